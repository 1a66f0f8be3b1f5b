//! How the containers of a network are on a LAN.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use poplin_manifest::address::address;
use poplin_manifest::field::{Findings, Invalid, Invalids};
use poplin_node::macvlan::{Macvlan, MacvlanMode};
use poplin_policy::ruleset::Interface;
use poplin_proto::v1;

/// Reads it; `subnets` are its network's.
pub(super) fn check(macvlan: &v1::Macvlan, subnets: &BTreeSet<IpNet>) -> Result<Macvlan, Invalids> {
    let mut findings = Findings::default();
    let parent = findings.take(parent(&macvlan.parent));
    let mode = findings.take(mode(&macvlan.mode));
    let gateways = macvlan.gateways.iter().enumerate();
    let gateways = gateways.map(|(place, text)| gateway(&format!("spec.macvlan.gateways[{place}]"), text, subnets));
    let gateways: BTreeSet<IpAddr> = findings.take_all(gateways).into_iter().collect();
    findings.take(one_of_each_family(&gateways));
    findings.finish(parent.zip(mode).map(|(parent, mode)| Macvlan { parent, mode, gateways }))
}

fn parent(text: &str) -> Result<Interface, Invalid> {
    Interface::new(text).ok_or_else(|| {
        Invalid::new("spec.macvlan.parent", "BAD_INTERFACE", format!("{text:?} is not the name of an interface"))
            .advice("see `ip link` on the hosts; a name has 1 to 15 octets")
    })
}

fn mode(text: &str) -> Result<MacvlanMode, Invalid> {
    let text = if text.is_empty() { "bridge" } else { text };
    let all = MacvlanMode::ALL.map(|(name, _)| name).join(", ");
    let unknown = || Invalid::new("spec.macvlan.mode", "BAD_MODE", format!("{text:?} is none of {all}"));
    MacvlanMode::named(text).ok_or_else(unknown)
}

fn gateway(field: &str, text: &str, subnets: &BTreeSet<IpNet>) -> Result<IpAddr, Invalid> {
    let gateway = address(field, text)?;
    match subnets.iter().any(|subnet| subnet.contains(&gateway)) {
        true => Ok(gateway),
        false => Err(Invalid::new(field, "OUTSIDE_SUBNETS", format!("{gateway} is in none of the subnets"))),
    }
}

fn one_of_each_family(gateways: &BTreeSet<IpAddr>) -> Result<(), Invalid> {
    let v6 = gateways.iter().filter(|gateway| gateway.is_ipv6()).count();
    match (v6, gateways.len() - v6) {
        (0 | 1, 0 | 1) => Ok(()),
        _ => Err(Invalid::new("spec.macvlan.gateways", "TWO_OF_ONE_FAMILY", "there may be one gateway of each family")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(parent: &str, mode: &str, gateways: &[&str]) -> Result<Macvlan, String> {
        let gateways = gateways.iter().map(|text| (*text).to_owned()).collect();
        let macvlan = v1::Macvlan { parent: parent.to_owned(), mode: mode.to_owned(), gateways };
        let subnets = BTreeSet::from(["192.168.8.0/24".parse().unwrap(), "fd08::/64".parse().unwrap()]);
        check(&macvlan, &subnets).map_err(|invalids| invalids.to_string())
    }

    #[test]
    fn it_is_on_an_interface_and_has_routers_of_its_subnets() {
        let macvlan = read("eth0.10", "", &["192.168.8.1", "fd08::1"]).unwrap();

        assert_eq!(
            (macvlan.parent.as_str(), macvlan.mode, macvlan.gateways.len()),
            ("eth0.10", MacvlanMode::Bridge, 2)
        );
        assert_eq!(read("eth1", "private", &[]).unwrap().mode, MacvlanMode::Private);
    }

    #[test]
    fn what_it_cannot_be_is_named() {
        for (parent, mode, gateways, said) in [
            ("", "", &[][..], r#""" is not the name of an interface"#),
            ("an-interface-too-long", "", &[], "is not the name of an interface"),
            ("eth1", "l2", &[], r#""l2" is none of bridge, private, vepa"#),
            ("eth1", "", &["10.0.0.1"], "10.0.0.1 is in none of the subnets"),
            ("eth1", "", &["192.168.8.1", "192.168.8.2"], "one gateway of each family"),
        ] {
            let told = read(parent, mode, gateways).unwrap_err();
            assert!(told.contains(said), "{told}");
        }
    }
}
