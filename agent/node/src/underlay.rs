//! What the network between the hosts looks like from this one: which address is ours, and how a next hop is reached.
//!
//! In: routes and addresses others wrote, routes BGP taught. Out: the host's own addresses, and on-link gateways for a next hop.
//! Knows nothing of sessions.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use poplin_bgp::Address;

use crate::kernel::{KernelState, UnderlayRoute};

/// Routes learned by BGP: for each prefix its next hops, as announced.
pub type Learned = BTreeMap<IpNet, BTreeSet<Address>>;

/// How often a next hop may itself be reached through a next hop. A fabric needs one: host, by ToR.
const MAX_RECURSION: u8 = 4;

/// The address of each family under which others reach this host: one on the link that leads to the default gateway; where
/// there is no default route, the first global address on any link, or else on `lo`.
pub fn uplink_addresses(kernel: &KernelState) -> BTreeSet<IpAddr> {
    [false, true].into_iter().filter_map(|is_v6| uplink_address(kernel, is_v6)).collect()
}

fn uplink_address(kernel: &KernelState, is_v6: bool) -> Option<IpAddr> {
    let mut candidates =
        kernel.addresses.keys().copied().filter(|address| address.is_ipv6() == is_v6 && is_global(*address));
    let default: IpNet = if is_v6 { "::/0" } else { "0.0.0.0/0" }.parse().expect("a default route is a prefix");
    let gateway = match kernel.underlay.get(&default) {
        Some(UnderlayRoute::Via(gateways)) => gateways.first().copied(),
        Some(UnderlayRoute::OnLink) | None => None,
    };
    let link = gateway.and_then(|gateway| on_link(kernel, gateway.ip()));
    let near = link.and_then(|link| candidates.clone().find(|address| link.contains(address)));
    // Where no link is numbered, a host's address stands on its lo.
    let on_lo = || kernel.local.iter().copied().find(|address| address.is_ipv6() == is_v6 && is_global(*address));
    near.or_else(|| candidates.next()).or_else(on_lo)
}

/// Neither loopback nor link-local: something another host can answer to.
fn is_global(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !address.is_loopback() && !address.is_link_local() && !address.is_unspecified(),
        IpAddr::V6(address) => !address.is_loopback() && !address.is_unicast_link_local() && !address.is_unspecified(),
    }
}

/// The MTU of the interface one of these addresses stands on.
pub fn uplink_mtu_bytes(kernel: &KernelState, addresses: &BTreeSet<IpAddr>) -> Option<u32> {
    let on_interfaces = addresses.iter().filter_map(|address| kernel.addresses.get(address));
    on_interfaces.filter_map(|interface| kernel.mtus.get(interface)).min().copied()
}

/// The on-link gateways that lead to any of the next hops; empty if none is reachable.
pub fn resolve(kernel: &KernelState, learned: &Learned, next_hops: &BTreeSet<Address>) -> BTreeSet<Address> {
    next_hops.iter().flat_map(|next_hop| resolve_one(kernel, learned, *next_hop, MAX_RECURSION)).collect()
}

fn resolve_one(kernel: &KernelState, learned: &Learned, next_hop: Address, depth: u8) -> BTreeSet<Address> {
    if depth == 0 {
        return BTreeSet::new();
    }
    // What is known by its link is on that link, whatever the routes say, and gone with it.
    if let Some(zone) = next_hop.zone() {
        return kernel.live.contains_key(&zone).then_some(next_hop).into_iter().collect();
    }
    let underlay = longest_match(&kernel.underlay, next_hop.ip());
    let taught = longest_match(learned, next_hop.ip());
    let through = match (underlay, taught) {
        (Some((near, _)), Some((far, gateways))) if far.prefix_len() > near.prefix_len() => gateways,
        (None, Some((_, gateways))) => gateways,
        (Some((_, UnderlayRoute::OnLink)), _) => return BTreeSet::from([next_hop]),
        (Some((_, UnderlayRoute::Via(gateways))), _) => gateways,
        (None, None) => return BTreeSet::new(),
    };
    through.iter().flat_map(|gateway| resolve_one(kernel, learned, *gateway, depth - 1)).collect()
}

/// The on-link prefix an address is reached by directly, if it is.
pub fn on_link(kernel: &KernelState, address: IpAddr) -> Option<IpNet> {
    match longest_match(&kernel.underlay, address)? {
        (prefix, UnderlayRoute::OnLink) => Some(prefix),
        (_, UnderlayRoute::Via(_)) => None,
    }
}

/// The most specific entry that contains the address. One look-up a prefix length, so it costs the same at any table size.
fn longest_match<T>(table: &BTreeMap<IpNet, T>, address: IpAddr) -> Option<(IpNet, &T)> {
    let whole = IpNet::from(address);
    (0..=whole.max_prefix_len()).rev().find_map(|bits| {
        let prefix = IpNet::new(address, bits).expect("bits run up to the family's own length").trunc();
        table.get(&prefix).map(|found| (prefix, found))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    fn behind_a_tor() -> KernelState {
        let mut kernel = KernelState::default();
        kernel.addresses.insert(ip("10.0.0.7"), "docker0".to_owned());
        kernel.addresses.insert(ip("172.31.1.2"), "up".to_owned());
        kernel.mtus.insert("up".to_owned(), 9000);
        kernel.underlay.insert("172.31.1.0/24".parse().unwrap(), UnderlayRoute::OnLink);
        kernel
            .underlay
            .insert("0.0.0.0/0".parse().unwrap(), UnderlayRoute::Via(BTreeSet::from([address("172.31.1.1")])));
        kernel
    }

    #[test]
    fn the_hosts_address_is_the_one_beside_its_default_gateway() {
        let kernel = behind_a_tor();

        let addresses = uplink_addresses(&kernel);

        assert_eq!(addresses, BTreeSet::from([ip("172.31.1.2")]));
        assert_eq!(uplink_mtu_bytes(&kernel, &addresses), Some(9000));
    }

    #[test]
    fn a_next_hop_on_the_link_is_its_own_gateway() {
        let next_hops = BTreeSet::from([address("172.31.1.1")]);
        assert_eq!(resolve(&behind_a_tor(), &Learned::new(), &next_hops), next_hops);
    }

    #[test]
    fn a_next_hop_beyond_the_tor_is_reached_through_it() {
        let far = BTreeSet::from([address("172.31.2.2")]);
        let tor = BTreeSet::from([address("172.31.1.1")]);
        assert_eq!(resolve(&behind_a_tor(), &Learned::new(), &far), tor);
    }

    #[test]
    fn a_next_hop_may_be_reached_by_a_route_bgp_taught() {
        let mut kernel = behind_a_tor();
        kernel.underlay.remove(&"0.0.0.0/0".parse().unwrap());
        let tor = BTreeSet::from([address("172.31.1.1")]);
        let learned = Learned::from([("172.31.2.0/24".parse().unwrap(), tor.clone())]);

        assert_eq!(resolve(&kernel, &learned, &BTreeSet::from([address("172.31.2.2")])), tor);
        assert_eq!(resolve(&kernel, &learned, &BTreeSet::from([address("192.0.2.1")])), BTreeSet::new());
    }

    #[test]
    fn routes_that_lead_to_each_other_lead_nowhere() {
        let learned = Learned::from([
            ("192.0.2.0/24".parse().unwrap(), BTreeSet::from([address("198.51.100.1")])),
            ("198.51.100.0/24".parse().unwrap(), BTreeSet::from([address("192.0.2.1")])),
        ]);
        let kernel = KernelState::default();
        assert_eq!(resolve(&kernel, &learned, &BTreeSet::from([address("192.0.2.9")])), BTreeSet::new());
    }

    #[test]
    fn a_next_hop_that_names_its_link_is_reached_there_as_long_as_the_link_lives() {
        let near = BTreeSet::from([address("fe80::1%eth0")]);
        let far = BTreeSet::from([address("10.0.0.1")]);
        let learned = Learned::from([("10.0.0.1/32".parse().unwrap(), near.clone())]);
        let mut kernel = KernelState::default();
        assert_eq!(resolve(&kernel, &learned, &near), BTreeSet::new());

        kernel.live.insert(poplin_bgp::Zone::new("eth0").unwrap(), 2);

        assert_eq!(resolve(&kernel, &learned, &near), near);
        assert_eq!(resolve(&kernel, &learned, &far), near, "a router of IPv6 leads to one of IPv4");
    }

    #[test]
    fn where_no_link_is_numbered_the_hosts_address_stands_on_lo() {
        let mut kernel = KernelState::default();
        kernel.local.extend([ip("127.0.0.1"), ip("::1"), ip("fe80::7"), ip("169.254.1.1"), ip("10.0.0.7")]);

        assert_eq!(uplink_addresses(&kernel), BTreeSet::from([ip("10.0.0.7")]));
    }
}
