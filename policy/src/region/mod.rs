//! Exact regions of packets: sets that every rule treats as one, so that one look at a region is a proof for all its packets.
//!
//! In: one world, or several that are to be compared. Out: classes of addresses, and for each ordered pair of them all traffic,
//! shared out by decision and decider. Addresses are cut where any prefix, label, namespace or named port makes a difference; traffic
//! is never cut into points but kept as sets (`traffic`), so nothing here grows with the number of ports or addresses.
//!
//! After Yang and Lam's atomic predicates (ICNP 2013), applied to a fabric without forwarding, where the dimensions factor.
//! Size: with C classes at most C² pairs are looked at, each a table look-up unless its rules that can fit were not seen before.
//!
//! Left out, as in `verdict`: an address always reaches itself, so regions speak of two different addresses.

mod bits;
mod line;

mod canonical;
mod traffic;

mod book;
mod chart;
mod view;

mod court;
mod demand;
mod settle;

mod lane;

pub(crate) use self::bits::Bits;
pub(crate) use self::book::{Book, DIRECTIONS, Entry, Extra, Governed, side_of};
pub(crate) use self::chart::{Chart, Class};
pub(crate) use self::court::{Court, Outcome};
pub(crate) use self::demand::{Names, demanded};
pub(crate) use self::lane::{Guard, Places, Share, demands, kept_open, spoken};
pub(crate) use self::line::{address, prefixes};
pub(crate) use self::settle::{Pair, Settlement, Word};
pub use self::traffic::Traffic;
pub(crate) use self::view::Side;

use crate::model::{Direction, IpVersion};
use crate::packet::Packet;
use crate::verdict::{By, RuleName};
use crate::world::World;

/// One or several worlds, with both families' addresses in classes that are one to all of them.
#[derive(Debug)]
pub struct Atlas<'w> {
    pub(crate) books: Vec<Book<'w>>,
    pub(crate) charts: [Chart<'w>; 2],
}

/// Packets between two classes that one world decides alike.
#[derive(Clone, Debug)]
pub struct Region {
    /// The family.
    pub version: IpVersion,
    /// Class of the sources, a number of its family's.
    pub source: usize,
    /// Class of the destinations.
    pub destination: usize,
    /// Their transport headers; never none.
    pub traffic: Traffic,
    /// Whether both ends allow them.
    pub allowed: bool,
    /// By whose word at the source; nothing if no endpoint is there.
    pub egress: Option<By>,
    /// By whose word at the destination.
    pub ingress: Option<By>,
}

impl<'w> Atlas<'w> {
    /// Charts the worlds, in this order.
    pub fn of(worlds: &[&'w World]) -> Self {
        Self::asking(worlds, Extra::default())
    }

    /// The same, with classes that are one to these questions too.
    pub(crate) fn asking(worlds: &[&'w World], extra: Extra<'w>) -> Self {
        let books: Vec<Book<'w>> = worlds.iter().map(|world| Book::of(world, extra)).collect();
        let charts = IpVersion::BOTH.map(|version| Chart::of(version, &books));
        Self { books, charts }
    }

    /// Every region of the world at that place among those that were given: all pairs of classes, all traffic.
    pub fn regions(&self, world: usize) -> Vec<Region> {
        let mut regions = Vec::new();
        for chart in &self.charts {
            let mut court = Court::of(&self.books, chart, world);
            for (source, destination) in chart.pairs() {
                let outcomes = court.pair(source, destination);
                regions.extend(
                    outcomes
                        .iter()
                        .map(|outcome| self.books[world].region(chart.line.version(), (source, destination), outcome)),
                );
            }
        }
        regions
    }

    /// The two classes a packet goes between.
    pub fn classes_of(&self, packet: &Packet) -> Option<(usize, usize)> {
        let chart = self.chart(IpVersion::of(packet.source));
        chart.class_of(packet.source).zip(chart.class_of(packet.destination))
    }

    /// The region that holds a packet between two different addresses.
    pub fn region_of(&self, world: usize, packet: &Packet) -> Option<Region> {
        let chart = self.chart(IpVersion::of(packet.source));
        let pair = self.classes_of(packet)?;
        let outcomes = Court::of(&self.books, chart, world).pair(pair.0, pair.1);
        let outcome = outcomes.iter().find(|outcome| outcome.traffic.contains(packet.transport))?;
        Some(self.books[world].region(chart.line.version(), pair, outcome))
    }

    pub(crate) fn chart(&self, version: IpVersion) -> &Chart<'w> {
        match version {
            IpVersion::V4 => &self.charts[0],
            IpVersion::V6 => &self.charts[1],
        }
    }
}

impl Chart<'_> {
    /// Every ordered pair of classes that two different addresses can be of, where at least one is an endpoint's.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let all = (0..self.classes.len()).flat_map(|source| (0..self.classes.len()).map(move |to| (source, to)));
        all.filter(|(source, destination)| self.is_pair(*source, *destination))
    }

    /// Whether two different addresses have these classes, one of them an endpoint's.
    pub(crate) fn is_pair(&self, source: usize, destination: usize) -> bool {
        let [from, to] = [source, destination].map(|class| &self.classes[class]);
        let is_some_endpoint = !from.points.is_empty() || !to.points.is_empty();
        is_some_endpoint && (source != destination || from.pair().is_some())
    }

    /// Pairs without an endpoint too, whom host endpoints are asked about: every two different addresses.
    pub(crate) fn all_pairs(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let all = (0..self.classes.len()).flat_map(|source| (0..self.classes.len()).map(move |to| (source, to)));
        all.filter(|(source, destination)| source != destination || !self.is_one_address(*source))
    }

    /// Whether a class is one address and no other.
    pub(crate) fn is_one_address(&self, class: usize) -> bool {
        let class = &self.classes[class];
        let is_point = |interval: &usize| self.line.bounds(*interval).0 == self.line.bounds(*interval).1;
        class.is_one_address()
            || class.points.is_empty() && class.intervals.len() == 1 && class.intervals.iter().all(is_point)
    }

    /// Two different addresses of such a pair.
    pub(crate) fn any_sample(&self, source: usize, destination: usize) -> Option<(std::net::IpAddr, std::net::IpAddr)> {
        self.classes[source].sample().zip(self.classes[destination].last())
    }

    /// Two different addresses, one of each class.
    pub(crate) fn sample(&self, source: usize, destination: usize) -> Option<(std::net::IpAddr, std::net::IpAddr)> {
        match source == destination {
            true => self.classes[source].pair(),
            false => self.classes[source].sample().zip(self.classes[destination].sample()),
        }
    }
}

impl Book<'_> {
    fn region(&self, version: IpVersion, (source, destination): (usize, usize), outcome: &Outcome) -> Region {
        Region {
            version,
            source,
            destination,
            traffic: outcome.traffic.clone(),
            allowed: outcome.allowed,
            egress: outcome.egress.map(|word| self.by(Direction::Egress, word)),
            ingress: outcome.ingress.map(|word| self.by(Direction::Ingress, word)),
        }
    }

    /// A decider by name.
    pub(crate) fn by(&self, direction: Direction, word: Word) -> By {
        match word {
            Word::Ungoverned => By::Ungoverned,
            Word::Rule(place) => By::Rule(self.entries(direction)[place].name()),
            Word::EndOfTier(rank) => By::EndOfTier { tier: self.ranks[rank].tier.name.clone() },
            Word::EndOfTiers => By::EndOfTiers,
        }
    }
}

impl Entry<'_> {
    pub(crate) fn name(&self) -> RuleName {
        RuleName::of(self.policy, &self.rule.name)
    }
}
