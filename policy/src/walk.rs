//! What a ruleset does with one packet at one hook, read the slow and plain way.
//!
//! In: a ruleset and a packet with what the kernel knows about it. Out: accept or drop. This is the judge of what the
//! compiler makes, so it follows nft(8) rule by rule and knows nothing of policies.
//! Panics where a rule reads a field the packet does not have, or refers to what does not stand: both are the compiler's bugs.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::packet::{Packet, TCP, Transport};
use crate::ruleset::{
    Atom, BasePolicy, Chain, ConntrackStates, Element, FAMILY_4, FAMILY_6, Field, Form, HookPoint, Interface, Map,
    MapElements, Match, Name, Rule, Ruleset, Set, Then, Verdict,
};

/// A packet at a place of the kernel's path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transit {
    /// Which place.
    pub hook: HookPoint,
    /// Interface it came in by; absent for what the host itself sends.
    pub interface_in: Option<Interface>,
    /// Interface it leaves by; absent before routing and for the host itself.
    pub interface_out: Option<Interface>,
    /// The packet.
    pub packet: Packet,
    /// IPv6 hop limit; not looked at for IPv4.
    pub hop_limit: u8,
    /// TCP flags, such as [`SYN`]; not looked at for other protocols.
    pub tcp_flags: u8,
    /// What connection tracking says.
    pub state: ConntrackState,
}

/// The flag of a packet that opens a TCP connection (RFC 9293 §3.1).
pub const SYN: u8 = 0x02;
/// The flag of every later packet of a TCP connection.
pub const ACK: u8 = 0x10;

/// What connection tracking says about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConntrackState {
    /// It begins a flow.
    New,
    /// It belongs to a flow seen in both directions.
    Established,
    /// It begins what a known flow announced.
    Related,
    /// It fits nothing.
    Invalid,
    /// It is not looked at, such as neighbour discovery.
    Untracked,
}

/// What became of the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It goes on.
    Accept,
    /// It is gone.
    Drop,
}

/// How a chain was left.
enum Ending {
    Accept,
    Drop,
    Return,
}

/// Sends the packet through the base chains of its hook, lowest priority first.
pub fn walk(ruleset: &Ruleset, transit: &Transit) -> Outcome {
    let hooked = |chain: &&Chain| chain.hook.is_some_and(|hook| hook.point == transit.hook);
    let mut bases: Vec<&Chain> = ruleset.chains.values().filter(hooked).collect();
    bases.sort_by_key(|chain| chain.hook.map(|hook| hook.priority));
    let walker = Walker { ruleset, transit };
    let is_dropped = |base: &&Chain| match walker.run(base) {
        Ending::Accept => false,
        Ending::Drop => true,
        Ending::Return => base.hook.is_some_and(|hook| hook.policy == BasePolicy::Drop),
    };
    if bases.iter().any(is_dropped) { Outcome::Drop } else { Outcome::Accept }
}

struct Walker<'a> {
    ruleset: &'a Ruleset,
    transit: &'a Transit,
}

impl Walker<'_> {
    fn run(&self, chain: &Chain) -> Ending {
        for rule in &chain.rules {
            if !rule.matches.iter().all(|condition| self.holds(condition)) {
                continue;
            }
            match self.verdict_of(rule) {
                None => {}
                Some(Verdict::Accept) => return Ending::Accept,
                Some(Verdict::Drop) => return Ending::Drop,
                Some(Verdict::Return) => return Ending::Return,
                Some(Verdict::Goto(target)) => return self.run(self.chain(&target)),
                Some(Verdict::Jump(target)) => match self.run(self.chain(&target)) {
                    Ending::Return => {}
                    settled => return settled,
                },
            }
        }
        Ending::Return
    }

    /// The rule's verdict; nothing if it only logs, or a look-up found nothing.
    fn verdict_of(&self, rule: &Rule) -> Option<Verdict> {
        match &rule.then {
            Then::Verdict(verdict) => Some(verdict.clone()),
            Then::Log(_) => None,
            Then::Lookup { fields, map } => match &self.map(map).elements {
                MapElements::Verdicts(verdicts) => {
                    found(self.map(map).form, verdicts, &self.lookup_key(fields)?).cloned()
                }
                _ => panic!("{map} is looked up for verdicts and holds none"),
            },
            Then::Dispatch { fields, ids, verdicts } => match (&self.map(ids).elements, &self.map(verdicts).elements) {
                (MapElements::Ids(elements), MapElements::IdVerdicts(verdicts)) => {
                    verdicts.get(found(self.map(ids).form, elements, &self.key(fields))?).cloned()
                }
                _ => panic!("{ids} and {verdicts} are no two steps of a dispatch"),
            },
        }
    }

    fn holds(&self, condition: &Match) -> bool {
        match condition {
            Match::Range { field, low, high, negated } => {
                let value = self.field(*field);
                (*low <= value && value <= *high) != *negated
            }
            Match::InterfacePrefix { field, prefix, negated } => {
                self.interface(*field).as_str().starts_with(prefix.as_str()) != *negated
            }
            Match::Member { fields, set, negated } => is_member(self.set(set), &self.key(fields)) != *negated,
            Match::Bits { field, mask, value, negated } => match self.field(*field) {
                Atom::Octet(octet) => (octet & mask == *value) != *negated,
                other => panic!("bits of {other:?} are looked at"),
            },
            Match::Conntrack(states) => has_state(*states, self.transit.state),
        }
    }

    fn key(&self, fields: &[Field]) -> Vec<Atom> {
        fields.iter().map(|field| self.field(*field)).collect()
    }

    /// The key of a look-up. A joined key that names its protocol may have parts that other protocols have not: whatever the kernel
    /// finds in their place, it finds no such key.
    fn lookup_key(&self, fields: &[Field]) -> Option<Vec<Atom>> {
        let has_ports = matches!(self.transit.packet.transport, Transport::Ports { .. });
        let is_other = fields.contains(&Field::Protocol) && fields.contains(&Field::DestinationPort) && !has_ports;
        (!is_other).then(|| self.key(fields))
    }

    fn field(&self, field: Field) -> Atom {
        let Packet { source, destination, transport } = self.transit.packet;
        let absent = || -> ! { panic!("{field:?} is read of {}", self.transit.packet) };
        match (field, source, destination, transport) {
            (Field::InterfaceIn | Field::InterfaceOut, ..) => Atom::Interface(self.interface(field).clone()),
            (Field::Family, IpAddr::V4(_), ..) => FAMILY_4,
            (Field::Family, IpAddr::V6(_), ..) => FAMILY_6,
            (Field::Protocol, ..) => Atom::Octet(self.transit.packet.protocol()),
            (Field::Source4, IpAddr::V4(address), ..) => Atom::Address4(address),
            (Field::Destination4, _, IpAddr::V4(address), _) => Atom::Address4(address),
            (Field::Source6, IpAddr::V6(address), ..) => Atom::Address6(address),
            (Field::Destination6, _, IpAddr::V6(address), _) => Atom::Address6(address),
            (Field::HopLimit6, IpAddr::V6(_), ..) => Atom::Octet(self.transit.hop_limit),
            (Field::SourcePort, .., Transport::Ports { source, .. }) => Atom::Port(source),
            (Field::DestinationPort, .., Transport::Ports { destination, .. }) => Atom::Port(destination),
            (Field::IcmpMessage, .., Transport::Icmp { kind, code, .. }) => {
                Atom::Port(u16::from_be_bytes([kind, code]))
            }
            (Field::IcmpType, .., Transport::Icmp { kind, .. }) => Atom::Octet(kind),
            (Field::IcmpCode, .., Transport::Icmp { code, .. }) => Atom::Octet(code),
            (Field::TcpFlags, .., Transport::Ports { protocol: TCP, .. }) => Atom::Octet(self.transit.tcp_flags),
            (
                Field::Source4
                | Field::Destination4
                | Field::Source6
                | Field::Destination6
                | Field::HopLimit6
                | Field::SourcePort
                | Field::DestinationPort
                | Field::IcmpMessage
                | Field::IcmpType
                | Field::IcmpCode
                | Field::TcpFlags,
                ..,
            ) => absent(),
        }
    }

    fn interface(&self, field: Field) -> &Interface {
        let interface = match field {
            Field::InterfaceIn => &self.transit.interface_in,
            Field::InterfaceOut => &self.transit.interface_out,
            other => panic!("{other:?} is no interface"),
        };
        interface.as_ref().unwrap_or_else(|| panic!("{field:?} is read at {:?}", self.transit.hook))
    }

    fn chain(&self, name: &Name) -> &Chain {
        self.ruleset.chains.get(name).unwrap_or_else(|| panic!("chain {name} does not stand"))
    }

    fn set(&self, name: &Name) -> &Set {
        self.ruleset.sets.get(name).unwrap_or_else(|| panic!("set {name} does not stand"))
    }

    fn map(&self, name: &Name) -> &Map {
        self.ruleset.maps.get(name).unwrap_or_else(|| panic!("map {name} does not stand"))
    }
}

fn is_member(set: &Set, key: &[Atom]) -> bool {
    assert!(set.key.iter().copied().eq(key.iter().map(Atom::datatype)), "the set's key is {:?}, not {key:?}", set.key);
    match set.form {
        Form::Hash => set.elements.contains(&Element::exactly(key.to_vec())),
        Form::Interval => set.elements.iter().any(|range| range.low.as_slice() <= key && key <= range.high.as_slice()),
    }
}

/// What a map holds for a key.
fn found<'a, V>(form: Form, elements: &'a BTreeMap<Element, V>, key: &[Atom]) -> Option<&'a V> {
    match form {
        Form::Hash => elements.get(&Element::exactly(key.to_vec())),
        Form::Interval => {
            let mut all = elements.iter();
            let holds = |range: &Element| range.low.as_slice() <= key && key <= range.high.as_slice();
            all.find(|(range, _)| holds(range)).map(|(_, value)| value)
        }
    }
}

fn has_state(states: ConntrackStates, state: ConntrackState) -> bool {
    match state {
        ConntrackState::New => states.new,
        ConntrackState::Established => states.established,
        ConntrackState::Related => states.related,
        ConntrackState::Invalid => states.invalid,
        ConntrackState::Untracked => false,
    }
}
