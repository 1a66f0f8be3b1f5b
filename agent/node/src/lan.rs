//! Addresses of a LAN the host is on: for which of its containers it answers there, and of whom the LAN is told anew.
//!
//! In: the pools, the links of the containers here, the kernel as last seen. Out: the proxy neighbour entries that should stand, and which of them
//! are to be advertised now.
//! Everybody on a LAN asks there who has an address. So the void holds no block of such a pool, in which other machines may be, the router
//! among them; and BGP says nothing of it: other hosts ask as well.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use poplin_policy::ruleset::Interface;

use crate::kernel::{KernelState, UnderlayRoute};
use crate::mirror::Mirror;
use crate::plan::DesiredLink;
use crate::underlay::longest_match;

/// How often an address that has come is advertised: RFC 4861 §10, `MAX_NEIGHBOR_ADVERTISEMENT`. RFC 5227 §1.1 asks for two (`ANNOUNCE_NUM`).
const TIMES: u8 = 3;

/// From one time to the next: RFC 4861 §10, `RETRANS_TIMER`.
const INTERVAL: Duration = Duration::from_secs(1);

/// An uplink, and an address the host answers for on it.
type Entry = (Interface, IpAddr);

/// The ranges that are of a LAN.
#[derive(Debug)]
pub struct Lan(Vec<IpNet>);

impl Lan {
    /// Those of all pools.
    pub fn of(mirror: &Mirror) -> Self {
        Self(mirror.pools().filter(|pool| pool.is_lan).map(|pool| pool.cidr).collect())
    }

    /// Whether an address is in one of them.
    pub fn has(&self, address: IpAddr) -> bool {
        self.0.iter().any(|cidr| cidr.contains(&address))
    }

    /// What is to be answered for these links, of those that are there or about to be.
    pub fn proxied(&self, links: &BTreeMap<Interface, DesiredLink>, kernel: &KernelState) -> BTreeSet<Entry> {
        if self.0.is_empty() {
            return BTreeSet::new();
        }
        let there = links.iter().filter(|(name, link)| link.create.is_some() || kernel.links.contains_key(name));
        let addresses = there.flat_map(|(_, link)| link.addresses.iter().copied()).filter(|address| self.has(*address));
        addresses.filter_map(|address| Some((uplink(kernel, address)?.clone(), address))).collect()
    }
}

/// The interface that is on the LAN of an address: the one on whose link the best route finds it. A default route without a gateway is no LAN.
fn uplink(kernel: &KernelState, address: IpAddr) -> Option<&Interface> {
    let index = match longest_match(&kernel.underlay, address)? {
        (prefix, UnderlayRoute::OnLink(index)) if prefix.prefix_len() > 0 => *index,
        (_, UnderlayRoute::OnLink(_) | UnderlayRoute::Via(_)) => return None,
    };
    kernel.interfaces.iter().find(|(_, one)| **one == index).map(|(name, _)| name)
}

/// Which addresses the LAN is being told of. A machine that spoke with an address while it was elsewhere would send there until its
/// cache gives up.
#[derive(Debug, Default)]
pub struct Advertising {
    /// What was answered for when it was last looked; absent = the kernel was not read yet, and what stands then is no news.
    known: Option<BTreeSet<Entry>>,
    /// When it is told next, and how often still.
    due: BTreeMap<Entry, (Instant, u8)>,
}

impl Advertising {
    /// These entries stand now, each with whether the kernel answers by it.
    pub fn follow(&mut self, now: Instant, standing: &BTreeMap<Entry, bool>) {
        let answered = || standing.iter().filter(|(_, answers)| **answers).map(|(entry, _)| entry);
        if self.known.as_ref().is_some_and(|known| known.iter().eq(answered())) {
            return;
        }
        let answered: BTreeSet<Entry> = answered().cloned().collect();
        self.due.retain(|entry, _| answered.contains(entry));
        if let Some(known) = self.known.replace(answered.clone()) {
            self.due.extend(answered.difference(&known).map(|entry| (entry.clone(), (now, TIMES))));
        }
    }

    /// Those to be told now.
    pub fn take_due(&mut self, now: Instant) -> BTreeSet<Entry> {
        let mut taken = BTreeSet::new();
        self.due.retain(|entry, (at, times)| {
            if *at <= now {
                taken.insert(entry.clone());
                (*at, *times) = (now + INTERVAL, *times - 1);
            }
            *times > 0
        });
        taken
    }

    /// When something is to be told next.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.due.values().map(|(at, _)| *at).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Mac;
    use crate::name::PoolName;
    use crate::object::{Object, Pool, Versioned};

    fn interface(name: &str) -> Interface {
        Interface::new(name).unwrap()
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn lan(cidr: &str, is_lan: bool) -> Lan {
        let pool = Pool { is_lan, ..Pool::open(PoolName::new("lan"), cidr.parse().unwrap(), 28) };
        let mut mirror = Mirror::default();
        mirror.change(1, vec![Versioned { value: Object::Pool(pool), version: 1 }], vec![], vec![]);
        Lan::of(&mirror)
    }

    /// One link with these addresses, which the kernel has or not.
    fn links(addresses: &[&str]) -> BTreeMap<Interface, DesiredLink> {
        let addresses = addresses.iter().map(|text| address(text)).collect();
        let container_mac = Mac([2; 6]);
        let link = DesiredLink { create: None, addresses, container_mac, has_loopback: false, is_macvlan: false };
        [(interface("pop1"), link)].into()
    }

    /// A host on 192.0.2.0/24 by eth1, and elsewhere by eth0.
    fn kernel() -> KernelState {
        let via = UnderlayRoute::Via(["198.51.100.1".parse().unwrap()].into());
        let routes = [
            ("0.0.0.0/0", via),
            ("198.51.100.0/24", UnderlayRoute::OnLink(2)),
            ("192.0.2.0/24", UnderlayRoute::OnLink(3)),
        ];
        let link = crate::kernel::LinkState {
            index: 9,
            is_up: true,
            mac: Mac([2; 6]),
            mtu_bytes: 1500,
            is_configured: true,
            has_loopback: false,
        };
        KernelState {
            interfaces: [("eth0", 2), ("eth1", 3)].map(|(name, index)| (interface(name), index)).into(),
            underlay: routes.map(|(prefix, route)| (prefix.parse().unwrap(), route)).into(),
            links: [(interface("pop1"), link)].into(),
            ..KernelState::default()
        }
    }

    #[test]
    fn an_address_of_a_lan_is_answered_for_where_it_is_on_the_link() {
        let links = links(&["192.0.2.70", "10.77.0.1"]);

        let proxied = lan("192.0.2.64/26", true).proxied(&links, &kernel());

        assert_eq!(proxied, BTreeSet::from([(interface("eth1"), address("192.0.2.70"))]));
        assert_eq!(lan("192.0.2.64/26", false).proxied(&links, &kernel()), BTreeSet::new());
        let gone = KernelState { links: BTreeMap::new(), ..kernel() };
        assert_eq!(lan("192.0.2.64/26", true).proxied(&links, &gone), BTreeSet::new(), "nobody is behind it");
    }

    #[test]
    fn a_host_that_is_not_on_the_lan_answers_for_nobody() {
        let (lan, links) = (lan("203.0.113.0/26", true), links(&["203.0.113.7"]));
        assert_eq!(lan.proxied(&links, &kernel()), BTreeSet::new());

        let mut dialled_up = kernel();
        dialled_up.underlay.insert("0.0.0.0/0".parse().unwrap(), UnderlayRoute::OnLink(2));

        assert_eq!(lan.proxied(&links, &dialled_up), BTreeSet::new());
    }
}
