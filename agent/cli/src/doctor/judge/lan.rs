//! Whether pools that are of a LAN fit the one this host is on.

use std::net::IpAddr;

use ipnet::IpNet;
use poplin_proto::v1::PoolUse;

use crate::doctor::finding::Finding;
use crate::doctor::reading::{Reading, is_ours};

pub(super) fn judge(reading: &Reading) -> Vec<Finding> {
    let pools = reading.told().into_iter().flat_map(|told| &told.pools).filter(|pool| pool.lan);
    let pools = pools.filter_map(|pool| Some((pool, pool.cidr.parse::<IpNet>().ok()?)));
    pools
        .flat_map(|(pool, cidr)| off_the_lan(reading, pool, cidr).into_iter().chain(taken(reading, pool, cidr)))
        .collect()
}

/// The LAN is where a route that is no default ends on the link.
fn off_the_lan(reading: &Reading, pool: &PoolUse, cidr: IpNet) -> Option<Finding> {
    let is_lan = |prefix: &IpNet| prefix.prefix_len() > 0 && (prefix.contains(&cidr) || cidr.contains(prefix));
    let mut on_link = reading.routes.iter().filter(|route| route.gateway.is_none() && !is_ours(&route.interface));
    // Where containers have interfaces of their own there, the host need not be on it.
    if !pool.lan_parent.is_empty() || on_link.any(|route| is_lan(&route.prefix)) {
        return None;
    }
    let message = format!("pool {} ({cidr}) is of a LAN, and no interface of this host is on it", pool.name);
    let advice = "let the pool's `hosts` leave this host out, or give an interface an address of the LAN";
    Some(Finding::warning("lan-pool", message, advice))
}

/// Addresses that containers must not get: the host's own, and its routers'.
fn taken(reading: &Reading, pool: &PoolUse, cidr: IpNet) -> Vec<Finding> {
    let own = reading.addresses.iter().map(|own| (own.address, "this host's own"));
    let routers = reading.routes.iter().filter_map(|route| Some((route.gateway?, "a router's")));
    let mut taken: Vec<(IpAddr, &str)> = own.chain(routers).filter(|(address, _)| cidr.contains(address)).collect();
    taken.sort_unstable();
    taken.dedup();
    taken.retain(|(address, _)| !pool.lan_reserved.iter().any(|range| is_in(range, *address)));
    let finding = |(address, whose): (IpAddr, &str)| {
        let message = format!("pool {} ({cidr}) may give {address} to a container, and it is {whose}", pool.name);
        Finding::failure("lan-pool", message, format!("add {address} to `reserved` of the pool"))
    };
    taken.into_iter().map(finding).collect()
}

/// Whether an address is in a range as the agent writes it: an address, or two with a dash.
fn is_in(range: &str, address: IpAddr) -> bool {
    let bounds = |(first, last): (&str, &str)| Some(first.parse::<IpAddr>().ok()?..=last.parse().ok()?);
    match range.split_once('-') {
        Some(both) => bounds(both).is_some_and(|bounds| bounds.contains(&address)),
        None => range.parse() == Ok(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::reading::{OwnAddress, Route, Told};

    /// A host at 192.0.2.10 on a LAN with a router at 192.0.2.1, and a pool of which these are reserved.
    fn host(cidr: &str, reserved: &[&str]) -> Reading {
        let route = |prefix: &str, gateway: Option<&str>| Route {
            prefix: prefix.parse().unwrap(),
            interface: "eth0".to_owned(),
            metric: 0,
            gateway: gateway.map(|text| text.parse().unwrap()),
        };
        let lan_reserved = reserved.iter().map(|text| (*text).to_owned()).collect();
        let pool =
            PoolUse { name: "p".to_owned(), cidr: cidr.to_owned(), lan: true, lan_reserved, ..PoolUse::default() };
        let address = "192.0.2.10".parse().unwrap();
        Reading {
            agent: Some(Ok(Told { pools: vec![pool], ..Told::default() })),
            addresses: vec![OwnAddress { address, interface: "eth0".to_owned(), is_duplicate: false }],
            routes: vec![route("0.0.0.0/0", Some("192.0.2.1")), route("192.0.2.0/24", None)],
            ..Reading::default()
        }
    }

    fn found(cidr: &str, reserved: &[&str]) -> Vec<String> {
        judge(&host(cidr, reserved)).into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn the_host_and_its_router_are_to_be_reserved() {
        let router = "pool p (192.0.2.0/24) may give 192.0.2.1 to a container, and it is a router's";
        let own = "pool p (192.0.2.0/24) may give 192.0.2.10 to a container, and it is this host's own";
        assert_eq!(found("192.0.2.0/24", &[]), [router, own]);
        assert_eq!(found("192.0.2.0/24", &["192.0.2.0-192.0.2.7"]), [own]);
        assert_eq!(found("192.0.2.0/24", &["192.0.2.1", "192.0.2.5-192.0.2.20"]), [""; 0]);
        assert_eq!(found("192.0.2.64/26", &[]), [""; 0], "neither is in it");
    }

    #[test]
    fn where_containers_are_on_the_lan_themselves_the_host_need_not_be() {
        let mut reading = host("198.51.100.0/24", &[]);
        let told = reading.agent.as_mut().and_then(|told| told.as_mut().ok()).unwrap();
        told.pools[0].lan_parent = "eth1".to_owned();

        assert!(judge(&reading).is_empty());
    }

    #[test]
    fn a_host_that_is_not_on_the_lan_is_told() {
        let message = "pool p (198.51.100.0/24) is of a LAN, and no interface of this host is on it";
        assert_eq!(found("198.51.100.0/24", &[]), [message]);
    }
}
