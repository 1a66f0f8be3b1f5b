//! Who may reach the ends of the fabric's tunnels.
//!
//! In: the ends. Out: a base chain for what comes and one for what goes, or none where there are no tunnels. What a host takes out of a packet it believes: whose source an inner packet names
//! is not asked again. So what comes to an end comes from an end; a workload has no such address, and reaches none by another host either.
//! It is asked before any destination is translated. From one end to another nothing is tracked: what is inside is, and each packet would be looked up twice.

use std::net::IpAddr;

use super::Compiler;
use super::base::{RAW, base};
use super::condition::{equals, is_of, look_up, member, when};
use super::outgoing::interval_set;
use super::part::Part;
use crate::model::{Direction, IpVersion};
use crate::nat::Ends;
use crate::packet::UDP;
use crate::place::Place;
use crate::ruleset::{Atom, Field, HookPoint, Name, Then, Verdict};

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
    let (mut coming, mut going) = (Vec::new(), Vec::new());
    for family in IpVersion::BOTH {
        let of_family = |address: &&IpAddr| IpVersion::of(**address) == family;
        let addresses: Vec<_> = ends.addresses.iter().filter(of_family).copied().map(Into::into).collect();
        if addresses.is_empty() {
            continue;
        }
        let (source, destination) = (family.peer_field(Direction::Ingress), family.peer_field(Direction::Egress));
        let mut to_one = is_of(family, UDP);
        to_one.push(equals(Field::DestinationPort, Atom::Port(ends.port)));
        to_one.push(member(vec![destination], set_name(family), false));
        let from_none = [to_one.clone(), vec![member(vec![source], set_name(family), true)]].concat();
        coming.push(look_up(from_none.clone(), Then::Log(Place::Tunnel.log())));
        coming.push(when(from_none, Verdict::Drop));
        coming.push(look_up(to_one.clone(), Then::Notrack));
        going.push(look_up(to_one, Then::Notrack));
        part.sets.insert(set_name(family), interval_set(&addresses, family));
    }
    for (name, hook, rules) in [("tunnel", HookPoint::Prerouting, coming), ("tunnel-out", HookPoint::Output, going)] {
        if !rules.is_empty() {
            part.chains.insert(Name::new(name), base(hook, RAW - 1, rules));
        }
    }
    part
}

fn set_name(family: IpVersion) -> Name {
    Name::new(format!("tunnel{}", family.digit()))
}
