//! Composes the result of ADD in the form a version of the specification wants, and compares a later one with it.
//!
//! In: what the agent answered, and the result of the plugins before. Out: the result of the chain so far. Versions
//! before 1.0.0 write the family beside each address; 1.1.0 knows an interface's MTU.

use std::net::IpAddr;

use serde_json::{Value, json};

use crate::agent::Attached;
use crate::conf::Dns;
use crate::invocation::Sandbox;
use crate::version::is_at_least;

/// What plugins before us made stays in front; their entries keep their indices.
pub(crate) fn compose(version: &str, previous: Option<&Value>, sandbox: &Sandbox, attached: &Attached) -> Value {
    let mut result = previous.filter(|value| value.is_object()).cloned().unwrap_or_else(|| json!({"dns": {}}));
    result["cniVersion"] = json!(version);
    // The host's side comes first, the container's second.
    let container_side = list(&result, "interfaces").len() + 1;
    append(&mut result, "interfaces", interfaces(version, sandbox, attached));
    append(&mut result, "ips", ips(version, attached, container_side));
    append(&mut result, "routes", attached.gateways.iter().map(|gateway| default_route(gateway)).collect());
    result
}

/// Tells where the container may ask for names, unless a plugin before us has told already.
pub(crate) fn with_dns(mut result: Value, (nameservers, search): (Vec<String>, Vec<String>)) -> Value {
    let is_told = result["dns"]["nameservers"].as_array().is_some_and(|servers| !servers.is_empty());
    if !is_told && !nameservers.is_empty() {
        result["dns"] = json!({"nameservers": nameservers, "search": search});
    }
    result
}

/// What the runtime wants said comes before anything that is known otherwise.
pub(crate) fn with_wanted_dns(mut result: Value, wanted: &Dns) -> Value {
    let entries = [("nameservers", &wanted.servers), ("search", &wanted.searches), ("options", &wanted.options)];
    for (key, values) in entries {
        if let Some(values) = values.as_ref().filter(|values| !values.is_empty()) {
            result["dns"][key] = json!(values);
        }
    }
    result
}

fn interfaces(version: &str, sandbox: &Sandbox, attached: &Attached) -> Vec<Value> {
    let spec = &attached.spec;
    let mut host_side = json!({"name": spec.interface, "mac": attached.gateway_mac});
    let mut container_side = json!({
        "name": sandbox.attachment.interface,
        "mac": spec.mac,
        "sandbox": sandbox.netns.display().to_string(),
    });
    if is_at_least(version, "1.1.0") && spec.mtu_bytes != 0 {
        host_side["mtu"] = json!(spec.mtu_bytes);
        container_side["mtu"] = json!(spec.mtu_bytes);
    }
    vec![host_side, container_side]
}

fn ips(version: &str, attached: &Attached, interface: usize) -> Vec<Value> {
    attached.spec.addresses.iter().map(|address| ip(version, address, &attached.gateways, interface)).collect()
}

fn ip(version: &str, address: &str, gateways: &[String], interface: usize) -> Value {
    let is_v6 = is_v6(address);
    let mut ip = json!({"address": with_prefix(address), "interface": interface});
    if let Some(gateway) = gateways.iter().find(|gateway| self::is_v6(gateway) == is_v6) {
        ip["gateway"] = json!(gateway);
    }
    if !is_at_least(version, "1.0.0") {
        ip["version"] = json!(if is_v6 { "6" } else { "4" });
    }
    ip
}

fn default_route(gateway: &str) -> Value {
    json!({"dst": if is_v6(gateway) { "::/0" } else { "0.0.0.0/0" }, "gw": gateway})
}

/// How a result differs from what the agent has now, one sentence each.
pub(crate) fn differences(result: &Value, sandbox: &Sandbox, attached: &Attached) -> Vec<String> {
    let mut differences = Vec::new();
    let name = &sandbox.attachment.interface;
    match list(result, "interfaces").iter().find(|interface| is_container_side(interface, name)) {
        None => differences.push(format!("prevResult has no interface {name}")),
        Some(interface) if !is_same_mac(interface, &attached.spec.mac) => {
            differences
                .push(format!("interface {name} has MAC {}, prevResult says {}", attached.spec.mac, interface["mac"]));
        }
        Some(_) => {}
    }
    let promised: Vec<_> = list(result, "ips").iter().filter_map(|ip| parse(ip["address"].as_str()?)).collect();
    let has = |address: &&String| parse(address).is_some_and(|address| promised.contains(&address));
    let unknown = attached.spec.addresses.iter().filter(|address| !has(address));
    differences.extend(unknown.map(|address| format!("prevResult has no address {address}")));
    differences
}

fn is_container_side(interface: &Value, name: &str) -> bool {
    interface["name"] == name && interface["sandbox"].as_str().is_some_and(|sandbox| !sandbox.is_empty())
}

fn is_same_mac(interface: &Value, mac: &str) -> bool {
    interface["mac"].as_str().is_none_or(|promised| promised.eq_ignore_ascii_case(mac))
}

fn list<'a>(result: &'a Value, key: &str) -> &'a [Value] {
    result[key].as_array().map_or(&[], Vec::as_slice)
}

fn append(result: &mut Value, key: &str, mut entries: Vec<Value>) {
    match result[key].as_array_mut() {
        Some(list) => list.append(&mut entries),
        None => result[key] = Value::Array(entries),
    }
}

fn parse(text: &str) -> Option<IpAddr> {
    text.split_once('/').map_or(text, |(address, _)| address).parse().ok()
}

pub(crate) fn is_v6(text: &str) -> bool {
    text.contains(':')
}

/// The specification wants a prefix length; the agent's addresses have theirs.
pub(crate) fn with_prefix(address: &str) -> String {
    match (address.contains('/'), is_v6(address)) {
        (true, _) => address.to_owned(),
        (false, true) => format!("{address}/128"),
        (false, false) => format!("{address}/32"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invocation::Attachment;
    use poplin_proto::v1::EndpointSpec;

    fn sandbox() -> Sandbox {
        let attachment = Attachment { container: "c1".to_owned(), interface: "eth0".to_owned() };
        Sandbox { attachment, netns: "/run/netns/c1".into(), args: Vec::new() }
    }

    fn attached() -> Attached {
        Attached {
            spec: EndpointSpec {
                addresses: vec!["10.77.0.5/32".to_owned(), "fd77::5/128".to_owned()],
                interface: "pop1".to_owned(),
                mac: "02:00:00:00:00:05".to_owned(),
                mtu_bytes: 1450,
                ..EndpointSpec::default()
            },
            gateways: vec!["169.254.40.1".to_owned(), "fe80::1".to_owned()],
            gateway_mac: "02:00:00:00:00:01".to_owned(),
        }
    }

    #[test]
    fn version_1_1_names_the_mtu_and_no_family() {
        let result = compose("1.1.0", None, &sandbox(), &attached());

        let expected = json!({
            "cniVersion": "1.1.0",
            "dns": {},
            "interfaces": [
                {"name": "pop1", "mac": "02:00:00:00:00:01", "mtu": 1450},
                {"name": "eth0", "mac": "02:00:00:00:00:05", "mtu": 1450, "sandbox": "/run/netns/c1"},
            ],
            "ips": [
                {"address": "10.77.0.5/32", "gateway": "169.254.40.1", "interface": 1},
                {"address": "fd77::5/128", "gateway": "fe80::1", "interface": 1},
            ],
            "routes": [{"dst": "0.0.0.0/0", "gw": "169.254.40.1"}, {"dst": "::/0", "gw": "fe80::1"}],
        });
        assert_eq!(result, expected);
    }

    #[test]
    fn version_1_0_knows_no_mtu() {
        let result = compose("1.0.0", None, &sandbox(), &attached());

        assert_eq!(result["interfaces"][1].get("mtu"), None);
        assert_eq!(result["ips"][0].get("version"), None);
    }

    #[test]
    fn versions_before_1_0_write_the_family() {
        for version in ["0.3.0", "0.3.1", "0.4.0"] {
            let result = compose(version, None, &sandbox(), &attached());

            assert_eq!(result["cniVersion"], version);
            assert_eq!(result["ips"][0]["version"], "4");
            assert_eq!(result["ips"][1]["version"], "6");
        }
    }

    #[test]
    fn what_plugins_before_made_stays_in_front() {
        let previous = json!({
            "cniVersion": "1.0.0",
            "interfaces": [{"name": "net0", "sandbox": "/run/netns/c1"}],
            "ips": [{"address": "192.0.2.9/24", "interface": 0}],
            "dns": {"nameservers": ["192.0.2.53"]},
        });

        let result = compose("1.0.0", Some(&previous), &sandbox(), &attached());

        assert_eq!(result["interfaces"].as_array().unwrap().len(), 3);
        assert_eq!(result["ips"][0], previous["ips"][0]);
        assert_eq!(result["ips"][1]["interface"], 2);
        assert_eq!(result["dns"], previous["dns"]);
        assert_eq!(result["routes"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn a_result_agrees_with_itself_and_not_with_another() {
        let result = compose("1.0.0", None, &sandbox(), &attached());
        assert_eq!(differences(&result, &sandbox(), &attached()), Vec::<String>::new());

        let mut other = attached();
        other.spec.addresses = vec!["10.77.0.6/32".to_owned()];
        other.spec.mac = "02:00:00:00:00:06".to_owned();

        let expected = [
            r#"interface eth0 has MAC 02:00:00:00:00:06, prevResult says "02:00:00:00:00:05""#,
            "prevResult has no address 10.77.0.6/32",
        ];
        assert_eq!(differences(&result, &sandbox(), &other), expected);
        assert_eq!(differences(&json!({}), &sandbox(), &attached())[0], "prevResult has no interface eth0");
    }
}
