//! Who may reach the ends of the fabric's tunnels.
//!
//! In: the ends. Out: base chains for what comes, for what is for this host itself, and for what goes; or none where there are no tunnels. What a host takes out of a packet it believes: whose source an inner packet names
//! is not asked again. So what comes to an end comes from an end; a workload has no such address, and reaches none by another host either. The kernel receives at
//! every address it has, and at those of broadcast and multicast: there nobody is let in.
//! It is asked before any destination is translated. From one end to another nothing is tracked: what is inside is, and each packet would be looked up twice.

use std::net::IpAddr;

use super::Compiler;
use super::base::{FILTER, RAW, base};
use super::condition::{equals, is_of, look_up, member, when};
use super::outgoing::interval_set;
use super::part::Part;
use crate::model::{Direction, IpVersion};
use crate::nat::Ends;
use crate::packet::UDP;
use crate::place::Place;
use crate::ruleset::{Atom, Field, HookPoint, Match, Name, Rule, Then, Verdict};

impl Compiler {
    /// There are tunnels with these ends, or there are none.
    pub fn set_tunnel_ends(&mut self, ends: Option<Ends>) {
        if self.border.edge.ends != ends {
            self.border.tunnel.put(part(ends.as_ref()), &mut self.edited);
            self.border.edge.ends = ends;
        }
    }
}

fn part(ends: Option<&Ends>) -> Part {
    let mut part = Part::default();
    let Some(ends) = ends else { return part };
    let (mut coming, mut arriving, mut going) = (Vec::new(), Vec::new(), Vec::new());
    for family in IpVersion::BOTH {
        let of_family = |address: &&IpAddr| IpVersion::of(**address) == family;
        let addresses: Vec<_> = ends.addresses.iter().filter(of_family).copied().map(Into::into).collect();
        part.sets.insert(set_name(family), interval_set(&addresses, family));
        for port in &ends.ports {
            let wrapped = wrapped(family, *port);
            let to_one = [wrapped.clone(), vec![is_end(family, Direction::Egress, false)]].concat();
            coming.extend(refused([to_one.clone(), vec![is_end(family, Direction::Ingress, true)]].concat()));
            coming.push(look_up(to_one.clone(), Then::Notrack));
            going.push(look_up(to_one, Then::Notrack));
            if let Some(own) = ends.own.filter(|own| IpVersion::of(*own) == family) {
                let to_own = equals(family.peer_field(Direction::Egress), atom(own));
                let from_one = is_end(family, Direction::Ingress, false);
                arriving.push(when([wrapped.clone(), vec![to_own, from_one]].concat(), Verdict::Accept));
            }
            arriving.extend(refused(wrapped));
        }
    }
    let chains = [
        ("tunnel", HookPoint::Prerouting, RAW - 1, coming),
        ("tunnel-in", HookPoint::Input, FILTER - 1, arriving),
        ("tunnel-out", HookPoint::Output, RAW - 1, going),
    ];
    part.chains.extend(chains.map(|(name, hook, priority, rules)| (Name::new(name), base(hook, priority, rules))));
    part
}

/// A packet for the port of tunnels.
fn wrapped(family: IpVersion, port: u16) -> Vec<Match> {
    let mut matches = is_of(family, UDP);
    matches.push(equals(Field::DestinationPort, Atom::Port(port)));
    matches
}

/// Where a packet comes from, or goes to, is the end of a tunnel, or is not.
fn is_end(family: IpVersion, direction: Direction, negated: bool) -> Match {
    member(vec![family.peer_field(direction)], set_name(family), negated)
}

fn refused(matches: Vec<Match>) -> [Rule; 2] {
    [look_up(matches.clone(), Then::Log(Place::Tunnel.log())), when(matches, Verdict::Drop)]
}

fn atom(address: IpAddr) -> Atom {
    match address {
        IpAddr::V4(address) => Atom::Address4(address),
        IpAddr::V6(address) => Atom::Address6(address),
    }
}

fn set_name(family: IpVersion) -> Name {
    Name::new(format!("tunnel{}", family.digit()))
}
