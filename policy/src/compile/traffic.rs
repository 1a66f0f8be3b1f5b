//! Cuts a path's clauses by protocol and port: within each piece every clause asks only for the other end.
//!
//! In: clauses in order. Out: for each family and protocol, ranges of ports and the list that holds on each. The cuts are swept
//! from port to port with the clauses that can fit there, so the work grows with what overlaps and not with the square of the rules.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::clause::{Clause, Traffic, message_range};
use super::list::{Entry, List};
use crate::model::{Direction, IpVersion, NamedPort, PortMatch, PortProtocol, PortSide};
use crate::packet::{ICMP, ICMP6};

/// What holds on a range of ports: one list, or one for each range of source ports.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Piece {
    List(List),
    BySource(Vec<(Ports, List)>),
}

/// A range of ports, both ends within.
pub(super) type Ports = (u16, u16);

/// All pieces of one family.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Pieces {
    /// By protocol: ranges of ports, from 0 to 65535 without a gap. Protocols without ports have one range.
    pub(super) protocols: BTreeMap<u8, Vec<(Ports, Piece)>>,
    /// Of every other protocol.
    pub(super) others: List,
}

/// The clauses of one path and what they are cut with.
pub(super) struct Cutter<'a, 'w> {
    pub(super) direction: Direction,
    pub(super) clauses: &'a [Clause<'w>],
    /// Every named port of anybody, sorted.
    pub(super) known: &'a [NamedPort],
}

impl Cutter<'_, '_> {
    pub(super) fn cut(&self, family: IpVersion) -> Pieces {
        let all: Vec<usize> = (0..self.clauses.len()).collect();
        let others = Traffic { family, protocol: None, destination: 0, source: 0 };
        Pieces {
            protocols: self.protocols().into_iter().map(|protocol| (protocol, self.sweep(family, protocol))).collect(),
            others: self.list(&all, others),
        }
    }

    /// The protocols some clause names.
    fn protocols(&self) -> BTreeSet<u8> {
        let sides = [PortSide::Source, PortSide::Destination];
        let matches = self.clauses.iter().flat_map(|clause| sides.map(|side| clause.matches(side)));
        matches.flat_map(|(wanted, excluded)| wanted.iter().chain(excluded)).map(PortMatch::protocol).collect()
    }

    fn sweep(&self, family: IpVersion, protocol: u8) -> Vec<((u16, u16), Piece)> {
        let mut cuts = BTreeSet::from([0]);
        let mut begins: BTreeMap<u16, Vec<usize>> = BTreeMap::new();
        let mut ends: BTreeMap<u16, Vec<usize>> = BTreeMap::new();
        for (index, clause) in self.clauses.iter().enumerate() {
            let (wanted, excluded) = clause.matches(PortSide::Destination);
            let mut reach = self.ranges(clause, wanted, PortSide::Destination, protocol);
            if wanted.is_empty() {
                reach = vec![0..=u16::MAX];
            }
            for range in &reach {
                begins.entry(*range.start()).or_default().push(index);
                ends.entry(*range.end()).or_default().push(index);
            }
            let mut cut = reach;
            cut.extend(self.ranges(clause, excluded, PortSide::Destination, protocol));
            if !has_ports(protocol) {
                // Entries for messages ask the same on both sides.
                let (wanted, excluded) = clause.matches(PortSide::Source);
                cut.extend(self.ranges(clause, wanted, PortSide::Source, protocol));
                cut.extend(self.ranges(clause, excluded, PortSide::Source, protocol));
            }
            cuts.extend(cut.iter().map(|range| *range.start()));
            cuts.extend(cut.iter().filter_map(|range| range.end().checked_add(1)));
        }
        self.pieces(family, protocol, cuts, &begins, &ends)
    }

    fn pieces(
        &self,
        family: IpVersion,
        protocol: u8,
        cuts: BTreeSet<u16>,
        begins: &BTreeMap<u16, Vec<usize>>,
        ends: &BTreeMap<u16, Vec<usize>>,
    ) -> Vec<((u16, u16), Piece)> {
        let mut reaching: BTreeMap<usize, usize> = BTreeMap::new();
        let mut pieces: Vec<((u16, u16), Piece)> = Vec::new();
        let mut starts = cuts.into_iter().peekable();
        while let Some(low) = starts.next() {
            let high = starts.peek().map_or(u16::MAX, |next| next - 1);
            for index in begins.get(&low).into_iter().flatten() {
                *reaching.entry(*index).or_default() += 1;
            }
            let active: Vec<usize> = reaching.keys().copied().collect();
            let piece = self.piece(&active, family, protocol, low);
            match pieces.last_mut() {
                Some(((_, end), last)) if *last == piece => *end = high,
                _ => pieces.push(((low, high), piece)),
            }
            for index in ends.get(&high).into_iter().flatten() {
                if let Some(count) = reaching.get_mut(index) {
                    *count -= 1;
                    if *count == 0 {
                        reaching.remove(index);
                    }
                }
            }
        }
        pieces
    }

    /// What holds at one port, where it goes to; cut further where clauses look at where it comes from.
    fn piece(&self, active: &[usize], family: IpVersion, protocol: u8, destination: u16) -> Piece {
        let at = |source| Traffic { family, protocol: Some(protocol), destination, source };
        if !has_ports(protocol) {
            return Piece::List(self.list(active, at(destination)));
        }
        let mut cuts = BTreeSet::from([0]);
        for clause in active.iter().map(|index| &self.clauses[*index]) {
            let (wanted, excluded) = clause.matches(PortSide::Source);
            for ports in [wanted, excluded] {
                let ranges = self.ranges(clause, ports, PortSide::Source, protocol);
                cuts.extend(ranges.iter().map(|range| *range.start()));
                cuts.extend(ranges.iter().filter_map(|range| range.end().checked_add(1)));
            }
        }
        let mut lists: Vec<((u16, u16), List)> = Vec::new();
        let mut starts = cuts.into_iter().peekable();
        while let Some(low) = starts.next() {
            let high = starts.peek().map_or(u16::MAX, |next| next - 1);
            let list = self.list(active, at(low));
            match lists.last_mut() {
                Some(((_, end), last)) if *last == list => *end = high,
                _ => lists.push(((low, high), list)),
            }
        }
        match lists.len() {
            1 => Piece::List(lists.remove(0).1),
            _ => Piece::BySource(lists),
        }
    }

    fn list(&self, active: &[usize], traffic: Traffic) -> List {
        let entries = active.iter().map(|index| &self.clauses[*index]).flat_map(|clause| {
            let whos = clause.left_to_ask(traffic, self.known);
            whos.into_iter().map(|who| Entry { who, act: clause.act.clone(), tier: clause.tier })
        });
        List::new(self.direction, traffic.family, entries).in_parts()
    }

    /// The ports of a protocol that port matches speak of.
    fn ranges(
        &self,
        clause: &Clause<'_>,
        ports: &[PortMatch],
        side: PortSide,
        protocol: u8,
    ) -> Vec<RangeInclusive<u16>> {
        let of_protocol = ports.iter().filter(|port| port.protocol() == protocol);
        let ranges = of_protocol.flat_map(|port| match port {
            PortMatch::Ports { range, .. } => vec![range.clone()],
            PortMatch::Icmp { message, .. } => vec![message_range(*message)],
            PortMatch::Protocol(_) => vec![0..=u16::MAX],
            PortMatch::Named { protocol, name } => {
                let so_called = clause.named(side, self.known).iter();
                let so_called = so_called.filter(|named| (&named.name, named.protocol) == (name, *protocol));
                so_called.map(|named| named.port..=named.port).collect()
            }
        });
        ranges.collect()
    }
}

/// Whether a protocol's packets have two ports of their own.
pub(super) fn has_ports(protocol: u8) -> bool {
    PortProtocol::from_number(protocol).is_some()
}

/// Whether a protocol's packets are messages with a type and a code.
pub(super) fn has_messages(protocol: u8) -> bool {
    [ICMP, ICMP6].contains(&protocol)
}
