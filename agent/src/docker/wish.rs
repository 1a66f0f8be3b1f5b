//! What somebody wants who says `docker network create`: the options as a network of the fabric.
//!
//! In: dockerd's call. Out: a spec, and what of it a name is missing for; or what is not known here. Decides, and does nothing.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use poplin_proto::v1::NetworkSpec;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::encapsulation::{self, ENCAP};
use super::wire::network::{CreateNetwork, IpamData};

/// Where dockerd puts what `-o` says.
const GENERIC: &str = "com.docker.network.generic";
/// `--internal`.
const INTERNAL: &str = "com.docker.network.internal";
/// Which network of the fabric is meant; absent = the one of the same name.
pub(super) const NETWORK: &str = "network";

/// Whether containers of other networks are kept out, which goes without saying.
const ISOLATION: &str = "isolation";

/// Who publishes ports: `docker`, by its own gateway bridge, or `routed`, which is us and goes without saying.
pub(super) const PORTS: &str = "ports";

/// How containers are on the network: `routed`, behind their hosts, which goes without saying, or `macvlan`, on a LAN of the hosts.
pub(super) const MODE: &str = "mode";
/// The value of [`MODE`] that has them on a LAN, each with a MAC of its own.
pub(super) const MACVLAN: &str = "macvlan";
/// The interface of the hosts that is on it.
pub(super) const PARENT: &str = "parent";
/// Whom of the others on the same host they reach, as Docker's own driver has it.
pub(super) const MACVLAN_MODE: &str = "macvlan_mode";

/// What `-o` understands; the long forms are those of Docker's own drivers.
const OPTIONS: &str = "network, mtu, icc, isolation, encap, ports, mode, parent, macvlan_mode, com.docker.network.driver.mtu, com.docker.network.bridge.enable_icc";

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
    /// How the pools of its subnets are to be wrapped, as they call it; absent = he does not say.
    pub encapsulation: Option<String>,
    /// Whether he says that containers are on a LAN.
    #[serde(skip)]
    pub is_on_a_lan: bool,
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
        wish.check_macvlan()?;
        wish.check_isolation()?;
        Ok(wish)
    }

    /// What dockerd shows as gateway of a range is a router of the LAN; who names none means the first address, as with Docker's own driver.
    fn take_router(&mut self, subnet: IpNet, named: Option<IpAddr>) {
        let Some(macvlan) = self.spec.macvlan.as_mut().filter(|_| !self.spec.internal) else { return };
        // Of IPv6 the address before it is every router's (RFC 4291 §2.6.1).
        let first = || subnet.hosts().find(|address| *address != subnet.network());
        let router = named.or_else(first).map(|address| address.to_string());
        self.spec.reserved.extend(router.clone().filter(|_| named.is_none()));
        macvlan.gateways.extend(router);
    }

    fn check_macvlan(&self) -> Result<(), String> {
        let Some(macvlan) = &self.spec.macvlan else { return Ok(()) };
        let is_named = |subnet: &String| subnet.contains('/');
        match () {
            () if macvlan.parent.is_empty() => {
                Err(format!("{MODE}={MACVLAN} needs the interface of the LAN: -o {PARENT}=eth1"))
            }
            () if !self.is_on_a_lan => {
                Err(format!("options {PARENT} and {MACVLAN_MODE} belong to {MODE}={MACVLAN}; add -o {MODE}={MACVLAN}"))
            }
            () if self.network.is_none() && !self.spec.subnets.iter().all(is_named) => {
                Err(format!("{MODE}={MACVLAN} needs the range of the LAN: --subnet, and --gateway for its router"))
            }
            () if self.docker_ports == Some(true) => Err(format!(
                "{PORTS}={DOCKER_PORTS} is not for {MODE}={MACVLAN}: containers are on the LAN with all their ports"
            )),
            () if self.encapsulation.as_ref().is_some_and(|wished| wished != "never") => {
                Err(format!("{ENCAP} is not for {MODE}={MACVLAN}: the LAN carries what containers send as it is"))
            }
            () => Ok(()),
        }
    }

    /// Over Docker's bridge nobody finds the way back to another network.
    fn check_isolation(&self) -> Result<(), String> {
        match self.spec.isolation == Some(false) && self.docker_ports == Some(true) {
            true => Err(format!(
                "{ISOLATION}=false is not for {PORTS}={DOCKER_PORTS}: what such containers send to other networks takes Docker's bridge; \
                 leave one of them out, or join the networks"
            )),
            false => Ok(()),
        }
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
            "icc" | "com.docker.network.bridge.enable_icc" => self.spec.icc = Some(truth(key, value)?),
            ISOLATION => self.spec.isolation = Some(truth(key, value)?),
            ENCAP => self.encapsulation = Some(encapsulation::named(value)?),
            PORTS => match value {
                DOCKER_PORTS => self.docker_ports = Some(true),
                "routed" => self.docker_ports = Some(false),
                _ => return Err(format!("option {key}: {value:?} is neither routed nor {DOCKER_PORTS}")),
            },
            MODE => match value {
                MACVLAN => {
                    self.is_on_a_lan = true;
                    self.spec.macvlan.get_or_insert_default();
                }
                "routed" => {}
                _ => return Err(format!("option {key}: {value:?} is neither routed nor {MACVLAN}")),
            },
            PARENT => value.clone_into(&mut self.spec.macvlan.get_or_insert_default().parent),
            MACVLAN_MODE => value.clone_into(&mut self.spec.macvlan.get_or_insert_default().mode),
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
        self.take_router(subnet, gateway.filter(|gateway| subnet.contains(gateway)));
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

/// What an option says that is a question.
fn truth(key: &str, value: &str) -> Result<bool, String> {
    match value {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(format!("option {key}: {value:?} is neither true nor false")),
    }
}

fn is_true(value: &Value) -> bool {
    value.as_bool().unwrap_or_default() || value.as_str() == Some("true")
}

/// The address in `10.0.0.1` or `10.0.0.1/24`.
fn address_of(text: &str) -> Option<IpAddr> {
    text.split('/').next()?.parse().ok()
}

/// The number a gateway of ours bears.
fn number_in(gateway: IpAddr) -> Option<u16> {
    match gateway {
        IpAddr::V4(address) if address.is_link_local() => {
            let [_, _, high, low] = address.octets();
            Some(u16::from_be_bytes([high, low]))
        }
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => address.segments().last().copied(),
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
        let refused = wish(r#"{"Options":{"com.docker.network.generic":{"speed":"10"}}}"#).unwrap_err();

        assert!(refused.contains("option speed is not known to this driver; it knows network, mtu"), "{refused}");
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

    #[test]
    fn other_networks_are_kept_out_unless_somebody_says_that_they_are_not() {
        let said = |options: &str| wish(&format!(r#"{{"Options":{{"com.docker.network.generic":{{{options}}}}}}}"#));
        let isolation = |value: &str| said(&format!(r#""isolation":"{value}""#)).map(|wish| wish.spec.isolation);

        assert_eq!(said("").map(|wish| wish.spec.isolation), Ok(None));
        assert_eq!((isolation("false"), isolation("true")), (Ok(Some(false)), Ok(Some(true))));
        assert_eq!(isolation("no"), Err("option isolation: \"no\" is neither true nor false".to_owned()));
        let told = said(r#""isolation":"false","ports":"docker""#).unwrap_err();
        assert!(told.starts_with("isolation=false is not for ports=docker"), "{told}");
    }

    fn on_a_lan(options: &str, range: &str) -> Result<Wish, String> {
        wish(&format!(r#"{{"Options":{{"com.docker.network.generic":{{{options}}}}},"IPv4Data":[{{{range}}}]}}"#))
    }

    #[test]
    fn a_network_on_a_lan_is_read_as_dockers_own_driver_reads_it() {
        let all = r#""mode":"macvlan","parent":"eth1","macvlan_mode":"private""#;
        let named = on_a_lan(all, r#""Pool":"192.168.8.0/24","Gateway":"192.168.8.254/32""#).unwrap().spec;
        let unnamed = on_a_lan(all, r#""Pool":"192.168.8.0/24","Gateway":"0.0.0.0/0""#).unwrap().spec;

        let macvlan = named.macvlan.unwrap();
        assert_eq!((macvlan.parent.as_str(), macvlan.mode.as_str()), ("eth1", "private"));
        assert_eq!(
            (macvlan.gateways, named.reserved),
            (vec!["192.168.8.254".to_owned()], vec!["192.168.8.254".to_owned()])
        );
        assert_eq!(unnamed.macvlan.unwrap().gateways, ["192.168.8.1"]);
        assert_eq!(unnamed.reserved, ["192.168.8.1"]);
        let v6 = on_a_lan(all, r#""Pool":"fd08::/64","Gateway":"::/0""#).unwrap().spec;
        assert_eq!(v6.macvlan.unwrap().gateways, ["fd08::1"]);
    }

    #[test]
    fn what_a_network_on_a_lan_lacks_is_named() {
        let range = r#""Pool":"192.168.8.0/24","Gateway":"192.168.8.1/32""#;
        for (options, range, said) in [
            (r#""mode":"macvlan""#, range, "mode=macvlan needs the interface of the LAN: -o parent=eth1"),
            (r#""parent":"eth1""#, range, "add -o mode=macvlan"),
            (r#""mode":"ipvlan","parent":"eth1""#, range, r#""ipvlan" is neither routed nor macvlan"#),
            (
                r#""mode":"macvlan","parent":"eth1""#,
                r#""Pool":"0.0.0.0/0","Gateway":"169.254.40.1/32""#,
                "needs the range of the LAN: --subnet",
            ),
            (r#""mode":"macvlan","parent":"eth1","ports":"docker""#, range, "ports=docker is not for mode=macvlan"),
        ] {
            let told = on_a_lan(options, range).unwrap_err();
            assert!(told.contains(said), "{told}");
        }
    }
}
