//! `podman network create`: what its author wants is checked, and what podman should leave to the fabric taken out.
//!
//! In: a network as podman has filled it in. Out: the same, which podman then writes down. Everything is refused that would be promised and not
//! kept; fields nobody here knows pass.

use serde_json::Value;

use super::options::{Of, Options};
use crate::error::CniError;

/// Field, the option of podman that fills it, and what to do instead.
const REFUSED: [(&str, &str, &str); 5] = [
    (
        "subnets",
        "--subnet",
        "addresses are the fabric's to give: name pools by -o pools=NAME, or a network of the fabric that has subnets by -o network=NAME",
    ),
    ("routes", "--route", "routes of containers are the fabric's"),
    ("network_interface", "--interface-name", "there is no bridge that could have a name"),
    ("internal", "--internal", "name a network of the fabric that is closed to the outside by -o network=NAME"),
    ("network_dns_servers", "--dns", "containers ask the fabric's nameserver, which asks the host's"),
];

pub(super) fn answer(input: &[u8]) -> Result<Value, CniError> {
    let mut network: Value = serde_json::from_slice(input).map_err(|error| CniError::decode(&error))?;
    for (field, option, advice) in REFUSED {
        if is_given(&network[field]) {
            return Err(CniError::config(format!("{option} {} cannot be", said(&network[field]))).details(advice));
        }
    }
    Options::read(&network["options"], Of::Network)?;
    leave_addresses(&mut network)?;
    Ok(network)
}

fn is_given(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(entries) => !entries.is_empty(),
        Value::Bool(true) | Value::Number(_) => true,
    }
}

/// As its author said it, where that is to be seen.
fn said(value: &Value) -> String {
    let one = |entry: &Value| entry["subnet"].as_str().or(entry["destination"].as_str()).map(str::to_owned);
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => {
            let entries = list.iter().map(|entry| one(entry).unwrap_or_else(|| entry.to_string()));
            entries.collect::<Vec<_>>().join(",")
        }
        other => other.to_string(),
    }
}

/// podman numbers containers of each host by itself where it may, and then two hosts would give one address.
fn leave_addresses(network: &mut Value) -> Result<(), CniError> {
    match network["ipam_options"]["driver"].as_str() {
        None | Some("none") => Ok(()),
        Some("" | "host-local") => {
            network["ipam_options"].as_object_mut().map(|options| options.remove("driver"));
            Ok(())
        }
        Some(other) => Err(CniError::config(format!("--ipam-driver {other} cannot be"))
            .details("addresses are the fabric's to give: leave it out")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn create(more: &Value) -> Result<Value, String> {
        let mut network =
            json!({"name": "shop", "id": "2f25", "driver": "poplin", "dns_enabled": true, "labels": {"a": "b"}});
        for (key, value) in more.as_object().unwrap() {
            network[key] = value.clone();
        }
        answer(network.to_string().as_bytes()).map_err(|error| error.told())
    }

    #[test]
    fn what_podman_filled_in_stays_and_addresses_are_not_its_to_give() {
        let made = create(
            &json!({"options": {"network": "shop", "label.app": "web"}, "ipam_options": {"driver": "host-local"}}),
        );

        let made = made.unwrap();
        assert_eq!((&made["name"], &made["id"], &made["driver"]), (&json!("shop"), &json!("2f25"), &json!("poplin")));
        assert_eq!((&made["dns_enabled"], &made["labels"]["a"]), (&json!(true), &json!("b")));
        assert_eq!(made["options"]["label.app"], "web");
        assert_eq!(made["ipam_options"], json!({}));
        assert_eq!(create(&json!({"ipam_options": {"driver": "none"}})).unwrap()["ipam_options"]["driver"], "none");
    }

    #[test]
    fn what_would_not_be_kept_is_refused_with_what_to_do_instead() {
        for (more, told) in [
            (
                json!({"subnets": [{"subnet": "10.9.0.0/24"}]}),
                "--subnet 10.9.0.0/24 cannot be; addresses are the fabric's",
            ),
            (json!({"internal": true}), "--internal true cannot be; name a network of the fabric"),
            (json!({"network_interface": "br9"}), "--interface-name br9 cannot be; there is no bridge"),
            (json!({"routes": [{"destination": "10.8.0.0/24"}]}), "--route 10.8.0.0/24 cannot be"),
            (json!({"network_dns_servers": ["192.0.2.53"]}), "--dns \"192.0.2.53\" cannot be"),
            (json!({"ipam_options": {"driver": "dhcp"}}), "--ipam-driver dhcp cannot be"),
            (json!({"options": {"mtu": "1400"}}), "option mtu is none of"),
        ] {
            let refused = create(&more).unwrap_err();
            assert!(refused.contains(told), "{refused}");
        }
        assert!(answer(b"[").is_err());
    }

    #[test]
    fn what_is_empty_is_not_given() {
        let empty = json!({"subnets": [], "routes": null, "network_interface": "", "internal": false, "options": {}});

        assert!(create(&empty).is_ok());
    }
}
