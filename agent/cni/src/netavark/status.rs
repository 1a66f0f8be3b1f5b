//! What setup answers: a status block, which `podman inspect` shows, and whose nameservers go to the container's resolv.conf.

use serde_json::{Value, json};

use crate::add::Made;
use crate::result::{is_v6, with_prefix};

pub(super) fn block(interface: &str, has_dns: bool, made: &Made) -> Value {
    let spec = &made.attached.spec;
    let gateway = |address: &String| made.attached.gateways.iter().find(|one| is_v6(one) == is_v6(address));
    let subnet = |address: &String| json!({"ipnet": with_prefix(address), "gateway": gateway(address)});
    let subnets: Vec<_> = spec.addresses.iter().map(subnet).collect();
    let (nameservers, search) = if has_dns { made.dns.clone() } else { Default::default() };
    json!({
        "dns_server_ips": nameservers,
        "dns_search_domains": search,
        "interfaces": {interface: {"mac_address": spec.mac, "subnets": subnets}},
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::Attached;
    use poplin_proto::v1::EndpointSpec;

    fn made() -> Made {
        let spec = EndpointSpec {
            addresses: vec!["10.77.0.5/32".to_owned(), "fd77::5".to_owned()],
            mac: "02:00:00:00:00:05".to_owned(),
            ..EndpointSpec::default()
        };
        let gateways = vec!["169.254.40.1".to_owned(), "fe80::1".to_owned()];
        let attached = Attached { spec, gateways, gateway_mac: "02:00:00:00:00:01".to_owned() };
        Made { attached, dns: (vec!["169.254.40.1".to_owned()], vec!["poplin.internal".to_owned()]) }
    }

    #[test]
    fn each_address_stands_with_the_gateway_of_its_family() {
        let expected = json!({
            "dns_server_ips": ["169.254.40.1"],
            "dns_search_domains": ["poplin.internal"],
            "interfaces": {"eth0": {"mac_address": "02:00:00:00:00:05", "subnets": [
                {"ipnet": "10.77.0.5/32", "gateway": "169.254.40.1"},
                {"ipnet": "fd77::5/128", "gateway": "fe80::1"},
            ]}},
        });

        assert_eq!(block("eth0", true, &made()), expected);
    }

    #[test]
    fn who_wants_no_names_gets_no_nameserver() {
        let status = block("eth0", false, &made());

        assert_eq!((&status["dns_server_ips"], &status["dns_search_domains"]), (&json!([]), &json!([])));
    }
}
