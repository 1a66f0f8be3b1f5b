//! What comes to a floating address of an endpoint of this host goes on to it, and what it begins to the outside leaves under that address.
//!
//! In: floating addresses, and what is inside of the fabric. Out: three base chains, their maps and sets; where none leads there are none. One
//! more is four elements more. The client's address stays, and policy sees the endpoint's own. To the inside an endpoint goes by its own
//! address, but to itself: it would not take a packet from its own address for an answer. There are few on one host, so each change looks at all.
//!
//! ```text
//! floating-in (prerouting) ──┬─ address ── floating4 ── dnat
//! floating-out (output) ─────┘
//! floating-back (postrouting) ──┬─ from an endpoint to itself ─┬─ address ── floating-as4 ── snat
//!                               ├─ to the inside ── accept     │
//!                               └─ to the outside ─────────────┘
//! ```

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Compiler;
use super::condition::{look_up, member, when};
use super::family::address_atom;
use super::outgoing::{Border, SOURCE_NAT, inside, interval_set};
use super::part::Part;
use super::published::{DESTINATION_NAT, base, destination, source};
use crate::model::IpVersion;
use crate::nat::{Edge, Floating};
use crate::ruleset::{Element, Form, HookPoint, Map, MapElements, Match, Name, Rule, Set, Then, Verdict};

impl Compiler {
    /// A floating address of that name leads to an endpoint of this host, or does no more.
    pub fn set_floating(&mut self, name: &str, wanted: Option<Floating>) {
        let Border { edge, floating, .. } = &mut self.border;
        if edge.floating.get(name) == wanted.as_ref() {
            return;
        }
        match wanted {
            Some(wanted) => drop(edge.floating.insert(name.to_owned(), wanted)),
            None => drop(edge.floating.remove(name)),
        }
        floating.put(part(edge), &mut self.edited);
        self.set_base_chains();
    }

    /// Whether an endpoint of this host has a floating address of a family.
    pub(super) fn floats(&self, family: IpVersion) -> bool {
        of_family(&self.border.edge, family).next().is_some()
    }
}

/// A packet of an endpoint to itself, which only translation brings to its host, and nobody is asked about.
pub(super) fn to_itself(family: IpVersion) -> Vec<Match> {
    vec![family.is_it(), member(vec![source(family), destination(family)], itself_name(family), false)]
}

pub(super) fn part(edge: &Edge) -> Part {
    let mut part = Part::default();
    let (mut leading, mut back) = (Vec::new(), Vec::new());
    for family in IpVersion::BOTH.into_iter().filter(|family| of_family(edge, *family).next().is_some()) {
        let all: Vec<&Floating> = of_family(edge, family).collect();
        part.maps.insert(in_name(family), map(all.iter().map(|one| (one.outside, one.inside)), family));
        part.maps.insert(as_name(family), map(all.iter().map(|one| (one.inside, one.outside)), family));
        part.sets.insert(itself_name(family), itself(&all, family));
        part.sets.insert(inside_name(family), interval_set(&inside(edge), family));
        leading.push(exchange(vec![family.is_it()], destination(family), in_name(family)));
        back.push(exchange(to_itself(family), source(family), as_name(family)));
        let to_inside = member(vec![destination(family)], inside_name(family), false);
        back.push(when(vec![family.is_it(), to_inside], Verdict::Accept));
        back.push(exchange(vec![family.is_it()], source(family), as_name(family)));
    }
    if !leading.is_empty() {
        let chains = [
            ("floating-in", base(HookPoint::Prerouting, DESTINATION_NAT, leading.clone())),
            ("floating-out", base(HookPoint::Output, DESTINATION_NAT, leading)),
            // Before its pool and what it publishes have their say.
            ("floating-back", base(HookPoint::Postrouting, SOURCE_NAT - 1, back)),
        ];
        part.chains.extend(chains.map(|(name, chain)| (Name::new(name), chain)));
    }
    part
}

fn of_family(edge: &Edge, family: IpVersion) -> impl Iterator<Item = &Floating> {
    edge.floating.values().filter(move |one| IpVersion::of(one.inside) == family)
}

fn exchange(matches: Vec<Match>, field: crate::ruleset::Field, map: Name) -> Rule {
    look_up(matches, Then::Exchange { field, map })
}

/// Of two for one address, which are refused before they come here, the first by name counts.
fn map(pairs: impl DoubleEndedIterator<Item = (IpAddr, IpAddr)>, family: IpVersion) -> Map {
    let pairs: BTreeMap<IpAddr, IpAddr> = pairs.rev().collect();
    let keyed = |from: IpAddr| Element::exactly([address_atom(from)]);
    let to4 = |(from, to)| match to {
        IpAddr::V4(to) => Some((keyed(from), to)),
        IpAddr::V6(_) => None,
    };
    let to6 = |(from, to)| match to {
        IpAddr::V6(to) => Some((keyed(from), to)),
        IpAddr::V4(_) => None,
    };
    let elements = match family {
        IpVersion::V4 => MapElements::Addresses4(pairs.into_iter().filter_map(to4).collect()),
        IpVersion::V6 => MapElements::Addresses6(pairs.into_iter().filter_map(to6).collect()),
    };
    Map { key: vec![family.datatype()], form: Form::Hash, elements }
}

fn itself(all: &[&Floating], family: IpVersion) -> Set {
    let pair = |one: &&Floating| Element::exactly([address_atom(one.inside), address_atom(one.inside)]);
    Set { key: vec![family.datatype(); 2], form: Form::Hash, elements: all.iter().map(pair).collect() }
}

fn in_name(family: IpVersion) -> Name {
    Name::new(format!("floating{}", family.digit()))
}

fn as_name(family: IpVersion) -> Name {
    Name::new(format!("floating-as{}", family.digit()))
}

fn itself_name(family: IpVersion) -> Name {
    Name::new(format!("floating-itself{}", family.digit()))
}

fn inside_name(family: IpVersion) -> Name {
    Name::new(format!("floating-inside{}", family.digit()))
}
