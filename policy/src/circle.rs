//! Those who belong together by default: the endpoints of one network of a container runtime.
//!
//! In: what the network's author wished. Out: a namespace, and one policy of that namespace in the last tier, which decides where nobody else
//! has said anything. Both are made anew from the network wherever somebody looks, so that every verdict comes from the same words.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::label::Labels;
use crate::model::{
    Action, BASELINE_TIER, Direction, Hosts, Mode, Namespace, Peers, Policy, PortMatch, PortProtocol, QualifiedName,
    Rule, Scope, Selection,
};
use crate::selector::Selector;

/// The next hop of a network's endpoints for IPv4, on every host; RFC 3927 §2.1 keeps the first and the last 256 addresses of 169.254.0.0/16 apart.
pub fn gateway_v4(index: u16) -> Ipv4Addr {
    let [high, low] = index.to_be_bytes();
    Ipv4Addr::new(169, 254, high, low)
}

/// The same for IPv6; it stands on each link.
pub fn gateway_v6(index: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 1, index)
}

/// A network, as policy sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Circle {
    /// The network's name, and that of the namespace its endpoints live in.
    pub name: String,
    /// What the namespace is chosen by, and what its endpoints inherit.
    pub labels: Labels,
    /// The network's number, which its gateways are made of; 0 = it has none yet.
    pub index: u16,
    /// Whether its endpoints may talk to one another.
    pub is_open_within: bool,
    /// Whether endpoints that are not its own may talk to them, if what is no endpoint may.
    pub is_open_to_others: bool,
    /// Whether what is no endpoint may talk to them, and they to it.
    pub is_open_outside: bool,
}

impl Circle {
    /// What the policy of a network's namespace is called. One that is declared by this name stands in its place.
    pub const POLICY: &str = "network";

    /// The name of the policy of a network.
    pub fn policy_name(network: &str) -> QualifiedName {
        QualifiedName::within(network, Self::POLICY)
    }

    /// The namespace its endpoints live in; what is declared for it by itself goes first.
    pub fn namespace(&self, declared: Option<&Namespace>) -> Namespace {
        let over = |own: Option<&Labels>| own.map_or_else(|| self.labels.clone(), |own| own.over(&self.labels));
        Namespace {
            name: self.name.clone(),
            labels: over(declared.map(|declared| &declared.labels)),
            endpoint_labels: over(declared.map(|declared| &declared.endpoint_labels)),
        }
    }

    /// What holds where nobody has said anything: others stay out unless they are let in, and of an internal network nobody leaves.
    pub fn policy(&self) -> Policy {
        let members = || {
            let labels = Selector::all();
            Peers { select: Some(Selection { labels, scope: Scope::Namespace(self.name.clone()) }), ..Peers::default() }
        };
        let outside = || Peers { outside: true, ..Peers::default() };
        // Where each host answers for the names of this network, and for those of an internal one no others.
        let gateways: [IpAddr; 2] = [gateway_v4(self.index).into(), gateway_v6(self.index).into()];
        let hosts = || Peers { nets: gateways.map(IpNet::from).to_vec(), ..Peers::default() };
        let port = |protocol| PortMatch::Ports { protocol, range: 53..=53 };
        let allowed = |direction: Direction, name: &str, peers: Peers| {
            Rule::any(name, Action::Allow).with_peers(direction, peers)
        };
        let mut ingress = Vec::new();
        let of_members = |action| Rule::any("members", action).with_peers(Direction::Ingress, members());
        let is_open_to_others = self.is_open_to_others && self.is_open_outside;
        match self.is_open_within {
            true => ingress.push(of_members(Action::Allow)),
            false => ingress.extend(is_open_to_others.then(|| of_members(Action::Deny))),
        }
        ingress.extend(self.is_open_outside.then(|| allowed(Direction::Ingress, "outside", outside())));
        ingress.push(Rule::any("others", if is_open_to_others { Action::Allow } else { Action::Deny }));
        let names = || Rule {
            ports: vec![port(PortProtocol::Udp), port(PortProtocol::Tcp)],
            ..allowed(Direction::Egress, "names", hosts())
        };
        let mut egress = vec![allowed(Direction::Egress, "members", members())];
        egress.extend((self.index != 0).then(names));
        egress.push(Rule::any("others", Action::Deny));
        Policy {
            name: Self::policy_name(&self.name),
            tier: BASELINE_TIER.to_owned(),
            order: None,
            mode: Mode::Enforce,
            subject: Selection { labels: Selector::all(), scope: Scope::Namespace(self.name.clone()) },
            hosts: Hosts::Never,
            ingress: Some(ingress.into()),
            egress: (!self.is_open_outside).then_some(egress.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Endpoint;
    use crate::packet::Packet;
    use crate::verdict::verdict;
    use crate::world::World;

    fn circle(name: &str) -> Circle {
        Circle {
            name: name.to_owned(),
            labels: Labels::default(),
            index: 0x2801,
            is_open_within: true,
            is_open_to_others: false,
            is_open_outside: true,
        }
    }

    /// Two endpoints of `shop` at .1 and .2, one of `bank` at .3, one of no network at .4.
    fn world(shop: Circle) -> World {
        let mut world = World::default();
        for one in [shop, circle("bank")] {
            world.policies.insert(Circle::policy_name(&one.name), one.policy());
        }
        let homes = [Some("shop"), Some("shop"), Some("bank"), None];
        for (last, home) in (1u8..).zip(homes) {
            let addresses = vec![IpAddr::from([10, 77, 0, last])];
            let endpoint = Endpoint { namespace: home.map(str::to_owned), addresses, ..Endpoint::default() };
            world.endpoints.insert(format!("e{last}"), endpoint);
        }
        world
    }

    /// What reaches what, of .1 to .4 and .9, which is nobody's.
    fn reaches(world: &World) -> Vec<(u8, u8)> {
        let ends = [1, 2, 3, 4, 9];
        let pairs = ends.into_iter().flat_map(|from| ends.into_iter().map(move |to| (from, to)));
        let is_open = |(from, to): &(u8, u8)| {
            let [source, destination] = [from, to].map(|last| IpAddr::from([10, 77, 0, *last]));
            from != to && verdict(world, &Packet::tcp(source, destination, (49152, 80))).allowed
        };
        pairs.filter(is_open).collect()
    }

    #[test]
    fn a_network_is_open_within_and_to_the_outside_and_closed_to_all_other_endpoints() {
        let open = reaches(&world(circle("shop")));

        assert_eq!(
            open.iter().filter(|(_, to)| [1, 2].contains(to)).collect::<Vec<_>>(),
            [&(1, 2), &(2, 1), &(9, 1), &(9, 2)]
        );
        assert!(open.contains(&(1, 9)) && open.contains(&(1, 4)) && !open.contains(&(1, 3)));
    }

    #[test]
    fn icc_off_closes_a_network_within() {
        let open = reaches(&world(Circle { is_open_within: false, ..circle("shop") }));

        assert_eq!(open.iter().filter(|(_, to)| [1, 2].contains(to)).collect::<Vec<_>>(), [&(9, 1), &(9, 2)]);
    }

    #[test]
    fn a_network_that_is_open_to_others_lets_them_in_and_is_let_into_no_other() {
        let open = reaches(&world(Circle { is_open_to_others: true, ..circle("shop") }));

        assert_eq!(open.iter().filter(|(_, to)| [1, 2].contains(to)).count(), 2 * 4);
        assert!(!open.contains(&(1, 3)), "the bank is closed to others as ever");
    }

    #[test]
    fn one_that_is_open_to_others_may_be_closed_within_and_an_internal_one_is_never() {
        let shop = || Circle { is_open_to_others: true, ..circle("shop") };
        let quiet = reaches(&world(Circle { is_open_within: false, ..shop() }));
        let inner = reaches(&world(Circle { is_open_outside: false, ..shop() }));

        let to_first = [(3, 1), (4, 1), (9, 1)];
        assert_eq!(quiet.into_iter().filter(|(_, to)| *to == 1).collect::<Vec<_>>(), to_first);
        assert_eq!(inner, reaches(&world(Circle { is_open_outside: false, ..circle("shop") })));
    }

    #[test]
    fn an_internal_network_knows_nobody_but_itself() {
        let open = reaches(&world(Circle { is_open_outside: false, ..circle("shop") }));

        assert_eq!(open.iter().filter(|(from, to)| *from < 3 || *to < 3).collect::<Vec<_>>(), [&(1, 2), &(2, 1)]);
    }

    #[test]
    fn an_internal_network_asks_its_hosts_for_names_and_nobody_else() {
        let world = world(Circle { is_open_outside: false, ..circle("shop") });
        let asks = |to: &str, port| {
            let packet = Packet::tcp(IpAddr::from([10, 77, 0, 1]), to.parse().unwrap(), (49152, port));
            verdict(&world, &packet).allowed
        };

        assert!(asks("169.254.40.1", 53));
        assert!(!asks("169.254.1.1", 53) && !asks("169.254.20.10", 53), "others answer for more than its names");
        assert!(!asks("169.254.40.1", 80) && !asks("169.254.169.253", 53) && !asks("192.0.2.53", 53));
    }
}
