//! What the network between the hosts looks like from this one: which address is ours, and how a next hop is reached.
//!
//! In: routes and addresses others wrote, routes BGP taught. Out: the host's own addresses, and on-link gateways for a next hop.
//! Knows nothing of sessions.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use poplin_bgp::Address;

use crate::kernel::{Gateway, KernelState, UnderlayRoute};

/// Next hops as announced, sorted. Many prefixes share them.
pub type NextHops = Arc<[Address]>;

/// Routes learned by BGP: for each prefix its next hops.
pub type Learned = BTreeMap<IpNet, NextHops>;

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
        Some(UnderlayRoute::OnLink(_)) | None => None,
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

/// How next hops are reached, and what was looked at to find out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// The on-link gateways that lead to any of them; none if none is reachable.
    pub gateways: BTreeSet<Gateway>,
    /// Addresses a route was looked up for: a change of none of those routes changes the gateways.
    pub asked: BTreeSet<IpAddr>,
}

/// Finds the on-link gateways that lead to any of the next hops.
pub fn resolve(kernel: &KernelState, learned: &Learned, next_hops: &[Address]) -> Resolved {
    let mut resolved = Resolved::default();
    next_hops.iter().for_each(|next_hop| resolve_one(kernel, learned, *next_hop, MAX_RECURSION, &mut resolved));
    resolved
}

fn resolve_one(kernel: &KernelState, learned: &Learned, next_hop: Address, depth: u8, resolved: &mut Resolved) {
    if depth == 0 {
        return;
    }
    let ip = next_hop.ip();
    // What is known by its link is on that link, whatever the routes say, and gone with it.
    if let Some(zone) = next_hop.zone() {
        let live = kernel.live.get(&zone).map(|interface| Gateway { address: ip, interface: Some(*interface) });
        return resolved.gateways.extend(live);
    }
    resolved.asked.insert(ip);
    let mut go_on = |address: Address| resolve_one(kernel, learned, address, depth - 1, resolved);
    let underlay = longest_match(&kernel.underlay, ip);
    match (underlay, longest_match(learned, ip)) {
        (Some((near, _)), Some((far, gateways))) if far.prefix_len() > near.prefix_len() => {
            gateways.iter().copied().for_each(go_on);
        }
        (None, Some((_, gateways))) => gateways.iter().copied().for_each(go_on),
        (Some((_, UnderlayRoute::OnLink(interface))), _) if kernel.dark.contains(interface) => {}
        (Some((_, UnderlayRoute::OnLink(interface))), _) => {
            resolved.gateways.insert(Gateway { address: ip, interface: Some(*interface) });
        }
        (Some((_, UnderlayRoute::Via(gateways))), _) => gateways.iter().copied().for_each(&mut go_on),
        (None, None) => {}
    }
}

/// The on-link prefix an address is reached by directly, if it is.
pub fn on_link(kernel: &KernelState, address: IpAddr) -> Option<IpNet> {
    match longest_match(&kernel.underlay, address)? {
        (prefix, UnderlayRoute::OnLink(_)) => Some(prefix),
        (_, UnderlayRoute::Via(_)) => None,
    }
}

/// The most specific entry that contains the address. One look-up a prefix length, so it costs the same at any table size.
pub(crate) fn longest_match<T>(table: &BTreeMap<IpNet, T>, address: IpAddr) -> Option<(IpNet, &T)> {
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
        kernel.underlay.insert("172.31.1.0/24".parse().unwrap(), UnderlayRoute::OnLink(2));
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

    /// The gateways that lead to an address.
    fn gateways(kernel: &KernelState, learned: &[(&str, &str)], to: &str) -> Vec<String> {
        let learned = learned.iter().map(|(prefix, next_hop)| (prefix.parse().unwrap(), [address(next_hop)].into()));
        let resolved = resolve(kernel, &learned.collect(), &[address(to)]);
        resolved.gateways.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_next_hop_on_the_link_is_its_own_gateway() {
        assert_eq!(gateways(&behind_a_tor(), &[], "172.31.1.1"), ["172.31.1.1%2"]);
    }

    #[test]
    fn a_next_hop_beyond_the_tor_is_reached_through_it() {
        assert_eq!(gateways(&behind_a_tor(), &[], "172.31.2.2"), ["172.31.1.1%2"]);
    }

    #[test]
    fn a_next_hop_on_a_link_without_carrier_is_not_reached() {
        let mut kernel = behind_a_tor();
        kernel.dark.insert(2);
        assert!(gateways(&kernel, &[], "172.31.1.1").is_empty());
    }

    #[test]
    fn a_next_hop_may_be_reached_by_a_route_bgp_taught() {
        let mut kernel = behind_a_tor();
        kernel.underlay.remove(&"0.0.0.0/0".parse().unwrap());
        let learned = [("172.31.2.0/24", "172.31.1.1")];

        assert_eq!(gateways(&kernel, &learned, "172.31.2.2"), ["172.31.1.1%2"]);
        assert!(gateways(&kernel, &learned, "192.0.2.1").is_empty());
    }

    #[test]
    fn routes_that_lead_to_each_other_lead_nowhere() {
        let learned = [("192.0.2.0/24", "198.51.100.1"), ("198.51.100.0/24", "192.0.2.1")];
        assert!(gateways(&KernelState::default(), &learned, "192.0.2.9").is_empty());
    }

    #[test]
    fn a_next_hop_that_names_its_link_is_reached_there_as_long_as_the_link_lives() {
        let learned = [("10.0.0.1/32", "fe80::1%eth0")];
        let mut kernel = KernelState::default();
        assert!(gateways(&kernel, &learned, "fe80::1%eth0").is_empty());

        kernel.live.insert(poplin_bgp::Zone::new("eth0").unwrap(), 2);

        assert_eq!(gateways(&kernel, &learned, "fe80::1%eth0"), ["fe80::1%2"]);
        assert_eq!(gateways(&kernel, &learned, "10.0.0.1"), ["fe80::1%2"], "a router of IPv6 leads to one of IPv4");
    }

    #[test]
    fn where_no_link_is_numbered_the_hosts_address_stands_on_lo() {
        let mut kernel = KernelState::default();
        kernel.local.extend([ip("127.0.0.1"), ip("::1"), ip("fe80::7"), ip("169.254.1.1"), ip("10.0.0.7")]);

        assert_eq!(uplink_addresses(&kernel), BTreeSet::from([ip("10.0.0.7")]));
    }
}
