//! Which way a packet goes through a list: the entries that pass it on and count it, and the one that settles it.
//!
//! In: what each entry does with whom it fits, and its tier. Out: the way of a packet, the number that stands for it as an answer, and all ways that
//! lead through a list. So one look-up of an address tells all that is done with a packet, however many tiers pass it on. Ways multiply
//! from tier to tier; a list with too many of them counts aside ([`List::notes`]).

use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};

use smallvec::SmallVec;

use super::list::{Act, Entry, List, Settled};
use super::name::hash_of;

/// The number that stands for what fits no entry.
pub(super) const OPEN: u32 = u32::MAX;

/// A list has at most so many ways for each entry of it: each is an element or two at each port that leads to the list.
const WAYS_PER_ENTRY: usize = 8;

/// What an entry does with whom it fits, whatever it is that settles or counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Settles,
    /// The rest of its tier is skipped.
    Passes {
        is_counted: bool,
    },
}

/// Lists on which nothing is counted are asked by the ids they always had.
impl Hash for Step {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        match self {
            Self::Settles => false.hash(hasher),
            Self::Passes { is_counted: false } => true.hash(hasher),
            Self::Passes { is_counted: true } => 2_u8.hash(hasher),
        }
    }
}

/// Which of the counters on a way stands in the map of answers. A chain has the others, and ways that differ in nothing else share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Foremost {
    /// Of the first entry that passes the packet on.
    Passing,
    /// Of the one that settles it.
    Settling,
}

/// A way through a list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Way {
    /// The entries that pass on and count whom they do, in order.
    pub(super) passed: SmallVec<[u32; 2]>,
    /// The entry that settles, or [`OPEN`].
    pub(super) settled: u32,
}

impl Way {
    /// The way of a packet, past those of these entries that fit it.
    pub(super) fn through(
        entries: impl Iterator<Item = (u32, Step, usize)>,
        mut fits: impl FnMut(u32) -> bool,
    ) -> Self {
        let mut way = Self { passed: SmallVec::new(), settled: OPEN };
        let mut skipped = None;
        for (index, step, tier) in entries {
            if skipped == Some(tier) || !fits(index) {
                continue;
            }
            match step {
                Step::Settles => return Self { settled: index, ..way },
                Step::Passes { is_counted } => {
                    way.passed.extend(is_counted.then_some(index));
                    skipped = Some(tier);
                }
            }
        }
        way
    }

    /// The answer that stands for it. `is_apart` is [`Shape::is_apart`](super::list::Shape::is_apart). Ways on which something is counted
    /// are as many as there are combinations of entries, so they are told by a hash.
    pub(super) fn answer(&self, is_apart: bool) -> u64 {
        if !self.passed.is_empty() {
            return hash_of(&(self, is_apart));
        }
        let apart = u64::from(is_apart);
        if self.settled == OPEN { u64::MAX - apart } else { u64::from(self.settled) + 1 + (apart << u32::BITS) }
    }
}

/// How packets leave a tier for the next.
struct Exits {
    /// The entries that count them.
    counted: Vec<u32>,
    /// Whether some leave uncounted.
    is_open: bool,
}

impl Exits {
    fn of(tier: &[(u32, &Entry)]) -> Self {
        let passes = tier.iter().filter_map(|(index, entry)| match &entry.act {
            Act::Pass(counted) => Some((*index, counted.is_some())),
            Act::Settle(_) | Act::Log(_) => None,
        });
        let (counted, uncounted): (Vec<_>, Vec<_>) = passes.partition(|(_, is_counted)| *is_counted);
        let is_closed = tier.iter().any(|(_, entry)| entry.who.is_anybody() && !matches!(entry.act, Act::Log(_)));
        Self {
            counted: counted.into_iter().map(|(index, _)| index).collect(),
            is_open: !uncounted.is_empty() || !is_closed,
        }
    }
}

impl List {
    /// All ways that may lead through it, be there somebody who goes them or not.
    pub(super) fn ways(&self) -> Vec<Way> {
        let mut ways = Vec::new();
        let mut coming: Vec<SmallVec<[u32; 2]>> = vec![SmallVec::new()];
        for (tier, exits) in self.tiers() {
            for settled in settling(&tier) {
                ways.extend(coming.iter().map(|passed| Way { passed: passed.clone(), settled }));
            }
            let counted = exits.counted.iter().flat_map(|index| {
                coming.iter().map(|passed| passed.iter().copied().chain([*index]).collect::<SmallVec<[u32; 2]>>())
            });
            let counted: Vec<_> = counted.collect();
            coming.retain(|_| exits.is_open);
            coming.extend(counted);
        }
        ways.extend(coming.into_iter().map(|passed| Way { passed, settled: OPEN }));
        ways
    }

    /// Whether so many ways lead through it that what is counted on them is counted aside.
    pub(super) fn has_too_many_ways(&self) -> bool {
        let (mut coming, mut count) = (1_usize, 0_usize);
        for (tier, exits) in self.tiers() {
            count = count.saturating_add(coming.saturating_mul(settling(&tier).count()));
            coming = coming.saturating_mul(exits.counted.len() + usize::from(exits.is_open));
        }
        count.saturating_add(coming) > (self.entries.len() - self.log_count()) * WAYS_PER_ENTRY
    }

    /// The counter to put in a map, so that as few chains as can be have the others of these ways: there may be ten thousand rules that pass
    /// and two that settle, or the other way round.
    pub(super) fn foremost(&self, ways: &[Way]) -> Foremost {
        let counted = || ways.iter().filter(|way| !way.passed.is_empty());
        let settling: BTreeSet<_> = counted().map(|way| (&way.passed[1..], way.settled)).collect();
        let dropped = |way: &Way| (!self.done(way).1.lets_pass()).then_some(way.settled);
        let passing: BTreeSet<_> = counted().map(|way| (&way.passed[..], dropped(way))).collect();
        if passing.len() < settling.len() { Foremost::Settling } else { Foremost::Passing }
    }

    /// What counts a packet on a way, in order, and what settles it.
    pub(super) fn done(&self, way: &Way) -> (Vec<Settled>, Settled) {
        let counted = way.passed.iter().filter_map(|index| match &self.entries[*index as usize].act {
            Act::Pass(counted) => counted.clone(),
            Act::Settle(_) | Act::Log(_) => None,
        });
        let settled = match self.entries.get(way.settled as usize).map(|entry| &entry.act) {
            Some(Act::Settle(settled)) => settled.clone(),
            Some(Act::Pass(_) | Act::Log(_)) | None => Settled::Open,
        };
        (counted.collect(), settled)
    }

    fn tiers(&self) -> impl Iterator<Item = (Vec<(u32, &Entry)>, Exits)> {
        let numbered: Vec<(u32, &Entry)> = (0..).zip(&self.entries).collect();
        let mut rest = numbered.into_iter().peekable();
        std::iter::from_fn(move || {
            let tier = rest.peek()?.1.tier;
            let mut entries = Vec::new();
            while let Some(entry) = rest.next_if(|(_, entry)| entry.tier == tier) {
                entries.push(entry);
            }
            let exits = Exits::of(&entries);
            Some((entries, exits))
        })
    }
}

fn settling<'t>(tier: &'t [(u32, &Entry)]) -> impl Iterator<Item = u32> + 't {
    tier.iter().filter(|(_, entry)| matches!(entry.act, Act::Settle(_))).map(|(index, _)| *index)
}
