//! What somebody wants who says `docker network create`: the options as a network of the fabric.
//!
//! In: dockerd's call. Out: a spec, and what of it a name is missing for; or what is not known here. Decides, and does nothing.

use std::collections::BTreeMap;

use ipnet::IpNet;
use poplin_proto::v1::NetworkSpec;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::wire::network::{CreateNetwork, IpamData};

/// Where dockerd puts what `-o` says.
const GENERIC: &str = "com.docker.network.generic";
/// `--internal`.
const INTERNAL: &str = "com.docker.network.internal";
/// Which network of the fabric is meant; absent = the one of the same name.
pub(super) const NETWORK: &str = "network";

/// Who publishes ports: `docker`, by its own gateway bridge, or `routed`, which is us and goes without saying.
pub(super) const PORTS: &str = "ports";

/// What `-o` understands; the long forms are those of Docker's own drivers.
const OPTIONS: &str = "network, mtu, icc, ports, com.docker.network.driver.mtu, com.docker.network.bridge.enable_icc";

/// The value of [`PORTS`] that leaves them to Docker.
pub(super) const DOCKER_PORTS: &str = "docker";

/// A network as somebody wants it, who has not told us what it is called.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Wish {
    /// The network of the fabric he means, if he says so.
    pub network: Option<String>,
    /// What it should be like.
    pub spec: NetworkSpec,
    /// By which its ranges are known that nobody named: the gateways they were given out with.
    pub numbers: Vec<u16>,
    /// Whether Docker publishes ports, by a bridge of its own; absent = he does not say.
    pub docker_ports: Option<bool>,
}

impl Wish {
    /// Reads the call.
    pub fn of(request: &CreateNetwork, ranges: &BTreeMap<IpNet, IpNet>) -> Result<Self, String> {
        let mut wish = Self::default();
        let options = request.options.clone().unwrap_or_default();
        wish.spec.internal = options.get(INTERNAL).is_some_and(is_true);
        for (key, value) in options.get(GENERIC).and_then(Value::as_object).into_iter().flatten() {
            wish.take_option(key, value.as_str().unwrap_or_default())?;
        }
        let data = [&request.ipv4_data, &request.ipv6_data];
        for one in data.into_iter().flatten().flatten() {
            wish.take_range(one, ranges)?;
        }
        Ok(wish)
    }

    /// Reads the wish back out of how dockerd shows a network: for one that was made while our store was another.
    pub fn of_shown(shown: &Value) -> Result<Self, String> {
        let configs = shown["IPAM"]["Config"].as_array().into_iter().flatten();
        let data = configs.map(|one| IpamData {
            pool: one["Subnet"].as_str().unwrap_or_default().to_owned(),
            gateway: one["Gateway"].as_str().unwrap_or_default().to_owned(),
            aux_addresses: serde_json::from_value(one["AuxiliaryAddresses"].clone()).ok(),
        });
        let options = [(GENERIC, shown["Options"].clone()), (INTERNAL, shown["Internal"].clone())];
        let options = options.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let request =
            CreateNetwork { options: Some(options), ipv4_data: Some(data.collect()), ..CreateNetwork::default() };
        Self::of(&request, &BTreeMap::new())
    }

    fn take_option(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            NETWORK => self.network = Some(value.to_owned()),
            "mtu" | "com.docker.network.driver.mtu" => {
                let mtu = value.parse().map_err(|_| format!("option {key}: {value:?} is no number of octets"))?;
                self.spec.mtu_bytes = Some(mtu);
            }
            "icc" | "com.docker.network.bridge.enable_icc" => match value {
                "true" | "1" => self.spec.icc = Some(true),
                "false" | "0" => self.spec.icc = Some(false),
                _ => return Err(format!("option {key}: {value:?} is neither true nor false")),
            },
            PORTS => match value {
                DOCKER_PORTS => self.docker_ports = Some(true),
                "routed" => self.docker_ports = Some(false),
                _ => return Err(format!("option {key}: {value:?} is neither routed nor {DOCKER_PORTS}")),
            },
            _ => return Err(format!("option {key} is not known to this driver; it knows {OPTIONS}")),
        }
        Ok(())
    }

    /// A range that nobody named is told by the number in its gateway; of one that was named, gateway and aux addresses are nobody's.
    fn take_range(&mut self, data: &IpamData, ranges: &BTreeMap<IpNet, IpNet>) -> Result<(), String> {
        let subnet: IpNet = data.pool.parse().map_err(|_| format!("{:?} is not a prefix", data.pool))?;
        let gateway = address_of(&data.gateway);
        if subnet.prefix_len() == 0 {
            self.numbers.extend(gateway.and_then(number_in));
            self.spec.subnets.push(any_of(subnet).to_owned());
            return Ok(());
        }
        let subnet = subnet.trunc();
        let aux = data.aux_addresses.iter().flat_map(BTreeMap::values).filter_map(|text| address_of(text));
        let reserved = gateway.into_iter().chain(aux).filter(|address| subnet.contains(address));
        self.spec.reserved.extend(reserved.map(|address| address.to_string()));
        self.spec.ranges.extend(ranges.get(&subnet).map(ToString::to_string));
        self.spec.subnets.push(subnet.to_string());
        Ok(())
    }
}

/// The word for any subnet of that family.
fn any_of(net: IpNet) -> &'static str {
    match net {
        IpNet::V4(_) => "ipv4",
        IpNet::V6(_) => "ipv6",
    }
}

fn is_true(value: &Value) -> bool {
    value.as_bool().unwrap_or_default() || value.as_str() == Some("true")
}

/// The address in `10.0.0.1` or `10.0.0.1/24`.
fn address_of(text: &str) -> Option<std::net::IpAddr> {
    text.split('/').next()?.parse().ok()
}

/// The number a gateway of ours bears.
fn number_in(gateway: std::net::IpAddr) -> Option<u16> {
    match gateway {
        std::net::IpAddr::V4(address) if address.is_link_local() => {
            let [_, _, high, low] = address.octets();
            Some(u16::from_be_bytes([high, low]))
        }
        std::net::IpAddr::V4(_) => None,
        std::net::IpAddr::V6(address) => address.segments().last().copied(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(json: &str) -> Result<Wish, String> {
        let request: CreateNetwork = serde_json::from_str(json).unwrap();
        let ranges = BTreeMap::from([("10.99.0.0/24".parse().unwrap(), "10.99.0.128/25".parse().unwrap())]);
        Wish::of(&request, &ranges)
    }

    #[test]
    fn what_dockerd_was_seen_to_say_is_understood() {
        let said = r#"{"NetworkID":"ab","Options":{"com.docker.network.enable_ipv6":false,"com.docker.network.internal":true,
            "com.docker.network.generic":{"mtu":"1400","icc":"false"}},"IPv4Data":[{"AddressSpace":"poplin","Pool":"10.99.0.0/24",
            "Gateway":"10.99.0.1/32","AuxAddresses":{"rtr":"10.99.0.5/32"}}],"IPv6Data":[]}"#;

        let spec = wish(said).unwrap().spec;

        assert_eq!(spec.subnets, ["10.99.0.0/24"]);
        assert_eq!(spec.ranges, ["10.99.0.128/25"]);
        assert_eq!(spec.reserved, ["10.99.0.1", "10.99.0.5"]);
        assert_eq!((spec.internal, spec.icc, spec.mtu_bytes), (true, Some(false), Some(1400)));
    }

    #[test]
    fn a_range_that_nobody_named_is_known_by_its_gateway() {
        let said = r#"{"NetworkID":"ab","Options":{},"IPv4Data":[{"Pool":"0.0.0.0/0","Gateway":"169.254.40.1/32"}],
            "IPv6Data":[{"Pool":"::/0","Gateway":"fe80::1:2802/128"}]}"#;

        let wish = wish(said).unwrap();

        assert_eq!(wish.numbers, [0x2801, 0x2802]);
        assert_eq!(wish.spec.subnets, ["ipv4", "ipv6"]);
    }

    #[test]
    fn what_dockerd_shows_of_a_network_is_what_was_wished() {
        let shown = serde_json::json!({"Name": "shop", "Internal": true, "Options": {"mtu": "1400"}, "IPAM": {"Driver": "poplin",
            "Options": {}, "Config": [{"Subnet": "0.0.0.0/0", "Gateway": "169.254.40.1"}, {"Subnet": "fd99::/64"}]}});

        let wish = Wish::of_shown(&shown).unwrap();

        assert_eq!((wish.numbers, wish.spec.internal, wish.spec.mtu_bytes), (vec![0x2801], true, Some(1400)));
        assert_eq!(wish.spec.subnets, ["ipv4", "fd99::/64"]);
    }

    #[test]
    fn options_that_are_not_known_are_refused_by_name_and_missing_ones_are_no_fault() {
        let refused = wish(r#"{"Options":{"com.docker.network.generic":{"parent":"eth0"}}}"#).unwrap_err();

        assert!(refused.contains("option parent is not known to this driver; it knows network, mtu"), "{refused}");
        let ports = |who: &str| wish(&format!(r#"{{"Options":{{"com.docker.network.generic":{{"ports":"{who}"}}}}}}"#));
        assert_eq!(ports("docker").map(|wish| wish.docker_ports), Ok(Some(true)));
        assert_eq!(ports("routed").map(|wish| wish.docker_ports), Ok(Some(false)));
        assert_eq!(ports("both"), Err("option ports: \"both\" is neither routed nor docker".to_owned()));
        assert_eq!(
            wish(r#"{"Options":{"com.docker.network.generic":null},"IPv4Data":null,"New":1}"#),
            Ok(Wish::default())
        );
        assert!(wish(r#"{"Options":{"com.docker.network.generic":{"icc":"maybe"}}}"#).is_err());
    }
}
