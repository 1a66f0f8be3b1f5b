//! Floating addresses.

use poplin_manifest::check_floating_address;
use poplin_manifest::field::{Invalids, checked_name};
use poplin_node::name::{EndpointName, FloatingName};
use poplin_node::object::FloatingAddress;
use poplin_proto::v1;

pub(super) fn check(one: &v1::FloatingAddress) -> Result<FloatingAddress, Invalids> {
    let metadata = one.metadata.clone().unwrap_or_default();
    let (address, endpoint) = check_floating_address(one)?;
    Ok(FloatingAddress {
        name: FloatingName::new(checked_name(one.metadata.as_ref())),
        address,
        endpoint: endpoint.map(EndpointName::new),
        is_until_detached: one.spec.as_ref().is_some_and(|spec| spec.until_detached),
        labels: metadata.labels,
        annotations: metadata.annotations,
    })
}

/// The floating address in the form of the wire contract.
pub fn show(one: &FloatingAddress) -> v1::FloatingAddress {
    v1::FloatingAddress {
        metadata: Some(v1::Metadata {
            name: one.name.to_string(),
            labels: one.labels.clone(),
            annotations: one.annotations.clone(),
            ..v1::Metadata::default()
        }),
        spec: Some(v1::FloatingAddressSpec {
            address: one.address.to_string(),
            endpoint: one.endpoint.as_ref().map(ToString::to_string).unwrap_or_default(),
            until_detached: one.is_until_detached,
        }),
        ..v1::FloatingAddress::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use poplin_proto::v1::resource::Object;

    fn checked(spec: &str) -> Result<FloatingAddress, String> {
        let document = format!(r#"{{"metadata":{{"name":"front"}},"spec":{spec}}}"#);
        match v1::Resource::from_json("FloatingAddress", &document).unwrap().object {
            Some(Object::FloatingAddress(one)) => check(&one).map_err(|invalids| invalids.to_string()),
            _ => unreachable!("it was read as a floating address"),
        }
    }

    #[test]
    fn an_address_leads_to_an_endpoint_or_to_nobody() {
        let led = checked(r#"{"address":"2001:db8::7","endpoint":"web"}"#).unwrap();
        let free = checked(r#"{"address":"198.51.100.7"}"#).unwrap();

        assert_eq!(check(&show(&led)).unwrap(), led);
        assert_eq!((led.endpoint, led.is_until_detached), (Some(EndpointName::new("web")), false));
        assert_eq!((free.endpoint, free.address), (None, "198.51.100.7".parse().unwrap()));
    }

    #[test]
    fn what_cannot_be_meant_is_named() {
        let told = |spec: &str| checked(spec).unwrap_err();

        assert!(told("{}").contains("spec.address: it says no address"));
        assert!(told(r#"{"address":"198.51.100.0/24"}"#).contains("is a prefix"));
        assert!(told(r#"{"address":"fe80::1"}"#).contains("cannot be routed"));
        assert!(told(r#"{"address":"198.51.100.7","endpoint":"Web!"}"#).contains("spec.endpoint"));
        assert!(told(r#"{"address":"198.51.100.7","untilDetached":true}"#).contains("leads to nobody"));
    }
}
