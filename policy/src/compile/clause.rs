//! One rule as an endpoint meets it: what it asks of the endpoint itself is answered already. At a host's own interfaces nothing is
//! answered beforehand, for what passes there has addresses of many.
//!
//! In: a rule, and the endpoint it governs. Out: for any family, protocol and pair of ports, what is left to ask of either end.

use super::list::Act;
use super::who::{Ends, Who};
use crate::model::{Direction, IcmpMatch, IpVersion, NamedPort, PortMatch, PortSide, Rule};

/// A rule, and what it does.
#[derive(Clone, Debug)]
pub(super) struct Clause<'w> {
    /// Absent = every packet fits: the end of a tier.
    rule: Option<&'w Rule>,
    direction: Direction,
    /// Absent = what it asks of the governed end is asked of the packet.
    own: Option<Own>,
    /// What is asked of both ends, before ports are known; nothing for a family in which none can fit.
    ends: [Option<Ends>; 2],
    pub(super) act: Act,
    pub(super) tier: usize,
}

/// How the endpoint itself answers a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Own {
    /// Whether its address of each family fits, IPv4 first.
    pub(super) fits: [bool; 2],
    /// Which of its ports go by the names the rule uses.
    pub(super) ports: Vec<NamedPort>,
}

/// Protocol and ports of a packet, as far as a clause looks at them. Packets of protocols nobody names are all alike.
#[derive(Clone, Copy, Debug)]
pub(super) struct Traffic {
    pub(super) family: IpVersion,
    /// Absent = any protocol that no clause names.
    pub(super) protocol: Option<u8>,
    /// The port it goes to, or type and code of its message.
    pub(super) destination: u16,
    /// The port it comes from, or type and code of its message.
    pub(super) source: u16,
}

/// A way to fit: ports the other end must, or must not, call so.
type Ports = Vec<(NamedPort, bool)>;

impl<'w> Clause<'w> {
    pub(super) fn of(rule: &'w Rule, direction: Direction, own: Option<Own>, act: Act, tier: usize) -> Self {
        let ends = IpVersion::BOTH.map(|family| ends(rule, direction, own.as_ref(), family));
        Self { rule: Some(rule), direction, own, ends, act, tier }
    }

    /// A clause that every packet fits.
    pub(super) fn certain(direction: Direction, act: Act, tier: usize) -> Self {
        let ends = [Some(Ends::default()), Some(Ends::default())];
        Self { rule: None, direction, own: None, ends, act, tier }
    }

    /// The port matches of one side: wanted and excluded.
    pub(super) fn matches(&self, side: PortSide) -> (&'w [PortMatch], &'w [PortMatch]) {
        self.rule.map_or((&[], &[]), |rule| rule.ports_on(side))
    }

    /// What is left to ask: any of these is enough, none = the clause does not fit such traffic.
    pub(super) fn left_to_ask(&self, traffic: Traffic, known: &[NamedPort]) -> Vec<Ends> {
        let Some(Ends { peer, own }) = &self.ends[usize::from(traffic.family == IpVersion::V6)] else {
            return Vec::new();
        };
        let destination = self.ways(PortSide::Destination, traffic, known);
        let source = self.ways(PortSide::Source, traffic, known);
        let pairs = destination.iter().flat_map(|one| source.iter().map(move |other| (one, other)));
        let ends = pairs.map(|(to, from)| match self.direction {
            Direction::Ingress => Ends { peer: peer.with_ports(from), own: own.with_ports(to) },
            Direction::Egress => Ends { peer: peer.with_ports(to), own: own.with_ports(from) },
        });
        ends.filter(|ends| is_possible(&ends.peer) && is_possible(&ends.own)).collect()
    }

    fn ways(&self, side: PortSide, traffic: Traffic, known: &[NamedPort]) -> Vec<Ports> {
        let (wanted, excluded) = self.matches(side);
        let fit = |port: &PortMatch| self.fit(port, side, traffic, known);
        let mut without = Vec::new();
        for port in excluded {
            match fit(port) {
                Fit::No => {}
                Fit::Yes => return Vec::new(),
                Fit::If(named) => without.push((named, false)),
            }
        }
        if wanted.is_empty() || wanted.iter().any(|port| fit(port) == Fit::Yes) {
            return vec![without];
        }
        let named = wanted.iter().filter_map(|port| match fit(port) {
            Fit::If(named) => Some([vec![(named, true)], without.clone()].concat()),
            Fit::No | Fit::Yes => None,
        });
        named.collect()
    }

    fn fit(&self, port: &PortMatch, side: PortSide, traffic: Traffic, known: &[NamedPort]) -> Fit {
        if traffic.protocol != Some(port.protocol()) {
            return Fit::No;
        }
        let number = match side {
            PortSide::Source => traffic.source,
            PortSide::Destination => traffic.destination,
        };
        let yes = |is_so: bool| if is_so { Fit::Yes } else { Fit::No };
        match port {
            PortMatch::Protocol(_) => Fit::Yes,
            PortMatch::Ports { range, .. } => yes(range.contains(&number)),
            PortMatch::Icmp { version, message } => {
                yes(version.ip_version() == traffic.family && message_range(*message).contains(&number))
            }
            PortMatch::Named { protocol, name } => {
                let named = NamedPort { name: name.clone(), protocol: *protocol, port: number };
                match self.answered(side) {
                    Some(own) => yes(own.ports.contains(&named)),
                    None if known.binary_search(&named).is_ok() => Fit::If(named),
                    None => Fit::No,
                }
            }
        }
    }

    /// The answers of the governed endpoint, if a side of the packet is its.
    fn answered(&self, side: PortSide) -> Option<&Own> {
        let is_own = (side == PortSide::Destination) == (self.direction == Direction::Ingress);
        self.own.as_ref().filter(|_| is_own)
    }

    /// The named ports that count on a side: the endpoint's own, or everybody's.
    pub(super) fn named<'a>(&'a self, side: PortSide, known: &'a [NamedPort]) -> &'a [NamedPort] {
        self.answered(side).map_or(known, |own| &own.ports)
    }
}

/// What a rule asks of both ends for one family; nothing if none can fit.
fn ends(rule: &Rule, direction: Direction, own: Option<&Own>, family: IpVersion) -> Option<Ends> {
    let is_other_family = rule.ip_version.is_some_and(|version| version != family);
    let fits = |own: &Own| own.fits[usize::from(family == IpVersion::V6)];
    if is_other_family || !own.is_none_or(fits) {
        return None;
    }
    let peer = Who::of(rule.peers(direction), family)?;
    let own = match own {
        Some(_) => Who::default(),
        None => Who::of(rule.own(direction), family)?,
    };
    Some(Ends { peer: peer.into(), own: own.into() })
}

/// Whether a port match fits.
#[derive(PartialEq, Eq)]
enum Fit {
    No,
    Yes,
    /// If the other end calls its port so.
    If(NamedPort),
}

/// A port that must be called so and must not is nobody's.
fn is_possible(who: &Who) -> bool {
    !who.ports.iter().any(|(port, wanted)| *wanted && who.ports.binary_search(&(port.clone(), false)).is_ok())
}

/// Type and code as one number.
pub(super) fn message_range(message: IcmpMatch) -> std::ops::RangeInclusive<u16> {
    match message {
        IcmpMatch::Any => 0..=u16::MAX,
        IcmpMatch::Type(kind) => u16::from_be_bytes([kind, 0])..=u16::from_be_bytes([kind, u8::MAX]),
        IcmpMatch::TypeAndCode(kind, code) => {
            let both = u16::from_be_bytes([kind, code]);
            both..=both
        }
    }
}
