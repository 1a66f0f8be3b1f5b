//! Ports of a rule, as alternatives.
//!
//! A packet that misses a rule pays some 20 ns for it, a hash set costs it 70, an interval set 200.
//! So a few ranges become a rule each, and many become one look-up.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::condition::{Condition, equals, member, within};
use super::family::Family;
use super::range::merged;
use super::sets::Sets;
use crate::model::{IcmpMatch, IcmpVersion, PortMatch, PortProtocol, PortSide, Rule};
use crate::ruleset::{Atom, Element, Field, Match};

/// Up to so many ranges of one protocol become a rule each.
const FEW: usize = 4;

/// What a rule asks of protocol, ports and messages: any of these.
pub(super) fn conditions(rule: &Rule, sets: &mut Sets<'_>) -> Vec<Condition> {
    let destination = of_side(&rule.ports, PortSide::Destination, sets);
    let source = of_side(&rule.source_ports, PortSide::Source, sets);
    super::condition::product(&destination, &source)
}

fn of_side(ports: &[PortMatch], side: PortSide, sets: &mut Sets<'_>) -> Vec<Condition> {
    if ports.is_empty() {
        return vec![Condition::default()];
    }
    let mut ranges: BTreeMap<PortProtocol, Vec<RangeInclusive<u128>>> = BTreeMap::new();
    let mut conditions = Vec::new();
    for port in ports {
        match port {
            PortMatch::Ports { protocol, range } => {
                ranges.entry(*protocol).or_default().push((*range.start()).into()..=(*range.end()).into());
            }
            PortMatch::Icmp { version, message } => conditions.push(of_message(*version, *message)),
            PortMatch::Named { .. } => {}
            PortMatch::Protocol(number) => conditions.push(Condition::of_protocol(*number, Vec::new())),
        }
    }
    for (protocol, ranges) in ranges {
        let elements = merged(ranges).iter().map(port_range).collect();
        let matches = of_ranges(elements, side, sets);
        conditions.extend(matches.into_iter().map(|rest| Condition::of_protocol(protocol.number(), rest)));
    }
    conditions
}

/// Alternatives for ranges of one protocol.
fn of_ranges(ranges: BTreeSet<Element>, side: PortSide, sets: &mut Sets<'_>) -> Vec<Vec<Match>> {
    let field = match side {
        PortSide::Source => Field::SourcePort,
        PortSide::Destination => Field::DestinationPort,
    };
    if ranges.contains(&port_range(&(0..=u16::MAX.into()))) {
        return vec![Vec::new()];
    }
    if ranges.len() <= FEW {
        return ranges.into_iter().map(|range| vec![one_range(field, range)]).collect();
    }
    vec![vec![member(vec![field], sets.ports(ranges))]]
}

fn one_range(field: Field, range: Element) -> Match {
    within(field, range.low[0].clone(), range.high[0].clone())
}

fn of_message(version: IcmpVersion, message: IcmpMatch) -> Condition {
    let family = match version {
        IcmpVersion::V4 => Family::V4,
        IcmpVersion::V6 => Family::V6,
    };
    let kind = |kind| equals(Field::IcmpType, Atom::Octet(kind));
    let rest = match message {
        IcmpMatch::Any => Vec::new(),
        IcmpMatch::Type(wanted) => vec![kind(wanted)],
        IcmpMatch::TypeAndCode(wanted, code) => vec![kind(wanted), equals(Field::IcmpCode, Atom::Octet(code))],
    };
    Condition { family: Some(family), protocol: Some(version.protocol()), rest }
}

fn port_range(range: &RangeInclusive<u128>) -> Element {
    let port = |bits: u128| Atom::Port(u16::try_from(bits).expect("ranges of ports end within 16 bits"));
    Element::range(port(*range.start()), port(*range.end()))
}
