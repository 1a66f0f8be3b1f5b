//! Host endpoints.

use std::collections::BTreeSet;

use poplin_policy::host::{Doorway, HostEndpoint, INTERFACE_PREFIX};
use poplin_policy::ruleset::Interface;
use poplin_proto::v1;

use crate::address::address;
use crate::field::{Findings, Invalid, Invalids, checked_labels, checked_name, named_ports, object_name};
use crate::profile::check_profiles;

/// Checks a host endpoint.
pub fn check_host_endpoint(endpoint: &v1::HostEndpoint) -> Result<HostEndpoint, Invalids> {
    let spec = endpoint.spec.clone().unwrap_or_default();
    let mut findings = Findings::default();
    let name = checked_name(endpoint.metadata.as_ref());
    let labels = findings.take(checked_labels(endpoint.metadata.as_ref()));
    findings.take(object_name("spec.host", &spec.host));
    let doorway = findings.take(doorway("spec.interface", &spec.interface));
    let addresses = spec.addresses.iter().enumerate();
    let addresses = addresses.map(|(index, text)| address(&format!("spec.addresses[{index}]"), text));
    let addresses: BTreeSet<_> = findings.take_all(addresses).into_iter().collect();
    let profiles = findings.take_part(check_profiles("spec.profiles", &spec.profiles)).unwrap_or_default();
    let ports = findings.take_all(named_ports("spec.ports", &spec.ports));
    let checked = labels.zip(doorway);
    findings.finish(checked.map(|(labels, doorway)| HostEndpoint {
        name,
        labels,
        profiles,
        host: spec.host,
        doorway,
        addresses,
        ports,
    }))
}

/// Checks which interface is meant: `*`, or one that is not a container's and not lo.
fn doorway(field: &str, text: &str) -> Result<Doorway, Invalid> {
    let advice = "name an interface of the host such as eth0, or * for all of them";
    let refused = |message: String| Err(Invalid::new(field, "BAD_INTERFACE", message).advice(advice));
    match (text, Interface::new(text)) {
        ("*", _) => Ok(Doorway::Every),
        ("", _) => refused("no interface is given".to_owned()),
        ("lo", _) => refused("a host endpoint never stands for lo".to_owned()),
        (_, None) => refused(format!("{text:?} cannot name an interface")),
        (_, Some(interface)) if text.starts_with(INTERFACE_PREFIX) => {
            refused(format!("{interface} is a container's: the host's side of such begins with {INTERFACE_PREFIX}"))
        }
        (_, Some(interface)) => Ok(Doorway::Named(interface)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(interface: &str) -> String {
        doorway("spec.interface", interface).unwrap_err().message
    }

    #[test]
    fn an_interface_is_the_hosts_own_or_all_of_them() {
        assert_eq!(doorway("", "*").unwrap(), Doorway::Every);
        assert_eq!(doorway("", "eth0").unwrap(), Doorway::Named(Interface::new("eth0").unwrap()));
        assert_eq!(refusal("lo"), "a host endpoint never stands for lo");
        assert!(refusal("pop1234").starts_with("pop1234 is a container's"));
        assert_eq!(refusal(""), "no interface is given");
    }
}
