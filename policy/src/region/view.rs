//! What a world says of an address: which rules it satisfies at either end, and what governs it.
//!
//! In: a book and the line of one family. Out: the side of an address, which depends on nothing but its endpoint's kind and its
//! interval. Knows nothing of ports and protocols.

use std::collections::BTreeMap;

use super::bits::Bits;
use super::book::{Book, DIRECTIONS, Governed, side_of};
use super::line::Line;
use crate::model::{Direction, IpVersion, NamedPort, Peers, Selection};

/// A book seen from one family's addresses.
#[derive(Debug)]
pub(crate) struct View<'b, 'w> {
    book: &'b Book<'w>,
    line: &'b Line,
    /// For each demand, the intervals that satisfy its prefixes and named sets.
    reach: Vec<Bits>,
    /// For each selection, the intervals that lie in a set it means.
    through_sets: Vec<Bits>,
    /// Named ports of hosts, by the interval of their address, which is alone in it.
    host_ports: BTreeMap<usize, &'b [NamedPort]>,
}

/// All that one world asks of an address. Addresses with equal sides are one to every rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Side {
    /// Which kind of endpoint has it: only whether there is one, and what governs it.
    pub(crate) own: Option<[Governed; 2]>,
    /// Rules it can be the other end of, a direction each.
    pub(crate) peer: [Bits; 2],
    /// Demands of the caller that it satisfies.
    pub(crate) extra: Bits,
    /// Its named ports that rules speak of.
    pub(crate) ports: Vec<NamedPort>,
}

impl<'b, 'w> View<'b, 'w> {
    pub(crate) fn of(book: &'b Book<'w>, line: &'b Line) -> Self {
        let reach = book.peers.iter().map(|peers| reach(book, line, peers)).collect();
        let nets_of = |selection: &&'w Selection| book.sets_of(selection).flat_map(|name| &book.world.sets[name].nets);
        let through_sets = book.selections.iter().map(|selection| line.covered(nets_of(selection))).collect();
        let of_family = book.host_ports.iter().filter(|(address, _)| IpVersion::of(*address) == line.version());
        let host_ports = of_family.map(|(address, ports)| (line.interval_of(*address), &ports[..])).collect();
        Self { book, line, reach, through_sets, host_ports }
    }

    /// The side of an address in an interval, which an endpoint of a kind has or none.
    pub(crate) fn side(&self, kind: Option<usize>, interval: usize) -> Side {
        let satisfied = Bits::where_(self.book.peers.len(), |peers| self.satisfies(peers, kind, interval));
        let extra = &self.book.extra;
        Side {
            own: kind.map(|kind| DIRECTIONS.map(|direction| self.own(kind, direction, &satisfied))),
            peer: DIRECTIONS.map(|direction| self.peer(direction, &satisfied)),
            extra: Bits::where_(extra.len(), |place| satisfied.contains(extra[place])),
            ports: match kind {
                Some(kind) => self.book.kinds[kind].ports.clone(),
                None => self.host_ports.get(&interval).map(|ports| ports.to_vec()).unwrap_or_default(),
            },
        }
    }

    fn satisfies(&self, place: usize, kind: Option<usize>, interval: usize) -> bool {
        let peers = self.book.peers[place];
        let is_meant = |selection: &Selection| {
            let place = self.book.selection(selection);
            place.is_some_and(|place| {
                self.through_sets[place].contains(interval)
                    || kind.is_some_and(|kind| self.book.kinds[kind].selected.contains(place))
            })
        };
        self.reach[place].contains(interval)
            && !(peers.outside && kind.is_some())
            && peers.select.as_ref().is_none_or(is_meant)
            && !peers.not_select.as_ref().is_some_and(is_meant)
    }

    /// What governs it, less the rules that do not mean its own address.
    fn own(&self, kind: usize, direction: Direction, satisfied: &Bits) -> Governed {
        let mut governed = self.book.kinds[kind].governed[side_of(direction)].clone();
        governed.entries.keep(&self.fitting(direction, satisfied, true));
        governed
    }

    fn peer(&self, direction: Direction, satisfied: &Bits) -> Bits {
        self.fitting(direction, satisfied, false)
    }

    /// Rules of this family whose demand on the governed end, or on the other, is satisfied.
    fn fitting(&self, direction: Direction, satisfied: &Bits, is_own: bool) -> Bits {
        let entries = self.book.entries(direction);
        let version = self.line.version();
        Bits::where_(entries.len(), |place| {
            let entry = &entries[place];
            let is_source = (direction == Direction::Egress) == is_own;
            let demand = if is_source { entry.source } else { entry.destination };
            satisfied.contains(demand) && entry.rule.ip_version.is_none_or(|wanted| wanted == version)
        })
    }
}

fn reach(book: &Book<'_>, line: &Line, peers: &Peers) -> Bits {
    let everywhere = || Bits::where_(line.len(), |_| true);
    let mut reach = if peers.nets.is_empty() { everywhere() } else { line.covered(&peers.nets) };
    reach.remove_all(&line.covered(&peers.not_nets));
    if !peers.sets.is_empty() {
        let sets = peers.sets.iter().filter_map(|name| book.world.sets.get(name));
        reach.keep(&line.covered(sets.flat_map(|set| &set.nets)));
    }
    reach
}
