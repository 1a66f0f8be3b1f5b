//! What is asked of the other end once protocol and ports are known: clauses in order, the first that fits settles.
//!
//! In: clauses. Out: the shortest list that says the same. Lists are values: equal lists become one chain, whoever they belong to.

use std::sync::Arc;

use super::way::{Step, Way};
use super::who::{Ends, Who};
use crate::model::{Direction, IpVersion};
use crate::verdict::RuleName;

/// What settles a packet, and how.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Settled {
    /// Nothing denies it.
    Open,
    /// A rule allows or denies it.
    Rule { name: Arc<RuleName>, allowed: bool, log: bool },
    /// Its tier ends.
    EndOfTier { tier: Arc<str> },
    /// A staged rule would settle it so.
    Staged(Box<Settled>),
    /// Nothing allows it, where that is asked for.
    Closed,
    /// It is settled so, and goes on untracked if it is allowed.
    Untracked(Box<Settled>),
    /// It is settled so, and if it is allowed the host endpoint asks it no more.
    Spared(Box<Settled>),
    /// What comes after in the list decides.
    After(Arc<List>),
    /// A rule that only logs tells of it; something else settles it.
    Told(Arc<RuleName>),
    /// A rule passes it on to the next tier and counts it; something else settles it.
    Passed(Arc<RuleName>),
}

impl Settled {
    /// Whether the packet may go on, as far as this list is asked.
    pub(super) fn lets_pass(&self) -> bool {
        match self {
            Settled::Open | Settled::Staged(_) | Settled::Told(_) | Settled::Passed(_) => true,
            Settled::Rule { allowed, .. } => *allowed,
            Settled::Untracked(inner) | Settled::Spared(inner) => inner.lets_pass(),
            Settled::EndOfTier { .. } | Settled::Closed | Settled::After(_) => false,
        }
    }
}

/// What a clause does with what fits it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Act {
    Settle(Settled),
    /// The rest of the tier is skipped; and this counts it, if anything does.
    Pass(Option<Settled>),
    /// It is logged, and the next clause is asked.
    Log(Arc<RuleName>),
}

/// If the ends are so, this is done.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Entry {
    pub(super) who: Ends,
    pub(super) act: Act,
    /// Which tier it stands in, counted along the path.
    pub(super) tier: usize,
}

impl Entry {
    /// The same where what it settles is of no account, and only who comes past it. What only logs holds up nobody.
    fn in_passing(&self) -> Option<Self> {
        let act = match self.act {
            Act::Settle(_) => Act::Settle(Settled::Open),
            Act::Pass(_) => Act::Pass(None),
            Act::Log(_) => return None,
        };
        Some(Self { act, ..self.clone() })
    }

    /// The same where only whom its tier passes on is of account, and what counts him.
    fn in_leaving(&self) -> Option<Self> {
        let settled = match &self.act {
            Act::Pass(Some(counted)) => counted.clone(),
            Act::Pass(None) | Act::Settle(_) => Settled::Open,
            Act::Log(_) => return None,
        };
        Some(Self { act: Act::Settle(settled), ..self.clone() })
    }

    /// Whether it passes on, and that is counted.
    fn counts_passing(&self) -> bool {
        matches!(self.act, Act::Pass(Some(_)))
    }

    /// Whether it settles whatever comes to it.
    pub(super) fn is_certain(&self) -> bool {
        self.who.is_anybody() && matches!(self.act, Act::Settle(_))
    }
}

/// What a list asks of the other end, as far as one look-up of its address can tell. Lists that differ only in what they settle share one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Shape {
    pub(super) family: IpVersion,
    /// One for each entry of a list in which none only logs.
    pub(super) questions: Vec<Question>,
    /// Whether what it answers must not be taken for an answer of the other family's list, with whose answers it shares maps.
    pub(super) is_apart: bool,
}

/// Whom an entry fits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Question {
    pub(super) who: Arc<Who>,
    pub(super) step: Step,
    pub(super) tier: usize,
}

impl Shape {
    /// The way of strangers, who are no endpoint and in no prefix that is named. It does not depend on who is there.
    pub(super) fn way_of_strangers(&self) -> Way {
        self.way(|_, who| who.fits_strangers())
    }

    /// The way of strangers in the address sets that one entry names, and in no other prefix that is.
    pub(super) fn way_of_held(&self, by: u32) -> Way {
        let held = |who: &Who| Who { sets: Vec::new(), ..who.clone() }.fits_strangers();
        self.way(|index, who| if index == by { held(who) } else { who.fits_strangers() })
    }

    fn way(&self, fits: impl Fn(u32, &Who) -> bool) -> Way {
        let entries = (0..).zip(&self.questions).map(|(index, question)| (index, question.step, question.tier));
        Way::through(entries, |index| fits(index, &self.questions[index as usize].who))
    }
}

/// Entries in order; what fits none is open.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct List {
    pub(super) direction: Direction,
    pub(super) family: IpVersion,
    pub(super) entries: Vec<Entry>,
}

impl List {
    /// Leaves out what can never be reached.
    pub(super) fn new(direction: Direction, family: IpVersion, entries: impl IntoIterator<Item = Entry>) -> Self {
        let mut kept: Vec<Entry> = Vec::new();
        let mut closed = None;
        for entry in entries {
            if closed == Some(entry.tier) {
                continue;
            }
            let tier = entry.tier;
            let is_certain = entry.who.is_anybody();
            match &entry.act {
                Act::Pass(counted) if is_certain => {
                    if counted.is_some() {
                        kept.push(entry);
                    }
                    closed = Some(tier);
                }
                Act::Settle(_) if is_certain => {
                    // Whoever was passed on before still comes to the next tier.
                    let may_be_passed = kept.iter().any(|one| one.tier == tier && matches!(one.act, Act::Pass(_)));
                    kept.push(entry);
                    if !may_be_passed {
                        break;
                    }
                    closed = Some(tier);
                }
                Act::Settle(_) | Act::Pass(_) | Act::Log(_) => kept.push(entry),
            }
        }
        drop_idle_end(&mut kept);
        renumber(&mut kept);
        Self { direction, family, entries: kept }
    }

    /// What becomes of every packet alike, if there is nothing to ask.
    pub(super) fn constant(&self) -> Option<Settled> {
        constant(&self.entries)
    }

    /// What becomes of every packet alike: what counts it on its way, in order, and what settles it then.
    pub(super) fn fate(&self) -> Option<(Vec<Settled>, Settled)> {
        let passed = self.entries.iter().map_while(|entry| match &entry.act {
            Act::Pass(Some(counted)) if entry.who.is_anybody() => Some(counted.clone()),
            Act::Pass(_) | Act::Settle(_) | Act::Log(_) => None,
        });
        let passed: Vec<_> = passed.collect();
        constant(&self.entries[passed.len()..]).map(|settled| (passed, settled))
    }

    /// The entries of tiers after one.
    pub(super) fn after(&self, tier: usize) -> Self {
        let later = self.entries.iter().filter(|entry| entry.tier > tier).cloned();
        Self::new(self.direction, self.family, later)
    }

    /// The same, to be looked up in parts if it can be: what comes before the first entry that only logs, and as its end the rest. Where
    /// somebody is passed on before, it cannot: the rest of the tier does not hold for him, and an end is for all. Nor where passes are counted.
    pub(super) fn in_parts(self) -> Self {
        let first = self.entries.iter().position(|entry| matches!(entry.act, Act::Log(_))).unwrap_or(0);
        let passes = self.entries[..first].iter().any(|entry| matches!(entry.act, Act::Pass(_)));
        if first == 0 || passes || self.counts_passing() || self.log_count() > Self::MOST_PARTS {
            return self;
        }
        let Self { mut entries, direction, family } = self;
        let rest = Arc::new(Self { entries: entries.split_off(first), direction, family });
        let tier = rest.entries[0].tier;
        entries.push(Entry { who: Ends::default(), act: Act::Settle(Settled::After(rest)), tier });
        Self { entries, direction, family }
    }

    /// Its first entry, if that only logs, and the list of what comes after it.
    pub(super) fn log_first(&self) -> Option<(&Entry, Self)> {
        let first = self.entries.first().filter(|entry| matches!(entry.act, Act::Log(_)))?;
        let rest = Self { entries: self.entries[1..].to_vec(), ..*self };
        (self.log_count() <= Self::MOST_PARTS && !self.counts_passing()).then(|| (first, rest.in_parts()))
    }

    pub(super) fn log_count(&self) -> usize {
        self.entries.iter().filter(|entry| matches!(entry.act, Act::Log(_))).count()
    }

    /// Each part is a chain or two within the one before, and the kernel goes no deeper than [`MOST_CHAINS`](crate::depth::MOST_CHAINS).
    const MOST_PARTS: usize = 2;

    /// What is done with packets on their way, each a list of its own. They stand side by side, however many there are and however many tiers.
    pub(super) fn notes(&self) -> impl Iterator<Item = Self> {
        self.notes_of_logs().chain(self.notes_of_passes())
    }

    /// For each entry that only logs, a list that tells of those who come to it and fit: whoever an entry before settles or passes on does not.
    fn notes_of_logs(&self) -> impl Iterator<Item = Self> {
        let logs = self.entries.iter().enumerate().filter_map(|(index, entry)| match &entry.act {
            Act::Log(rule) => Some((index, entry, rule)),
            Act::Settle(_) | Act::Pass(_) => None,
        });
        logs.map(|(index, entry, rule)| {
            let before = self.entries[..index].iter().filter_map(Entry::in_passing);
            let told = Entry { act: Act::Settle(Settled::Told(rule.clone())), ..entry.clone() };
            Self::new(self.direction, self.family, before.chain([told]))
        })
    }

    /// For each tier that counts aside whom it passes on, a list that does: one look-up for the tier, however many rules of it pass.
    fn notes_of_passes(&self) -> impl Iterator<Item = Self> {
        let entries = if self.counts_aside() { &self.entries[..] } else { &[] };
        let tiers = entries.chunk_by(|one, next| one.tier == next.tier);
        tiers.filter(|entries| entries.iter().any(Entry::counts_passing)).map(|entries| {
            let tier = entries[0].tier;
            let before = self.entries.iter().take_while(|entry| entry.tier < tier).filter_map(Entry::in_passing);
            let here = entries.iter().filter_map(Entry::in_leaving);
            Self::new(self.direction, self.family, before.chain(here))
        })
    }

    /// The same without what is done aside, which settles nothing.
    pub(super) fn without_notes(&self) -> Self {
        let counts_aside = self.counts_aside();
        let left = |entry: &Entry| match entry.act {
            Act::Log(_) => None,
            Act::Pass(_) if counts_aside => Some(Entry { act: Act::Pass(None), ..entry.clone() }),
            Act::Pass(_) | Act::Settle(_) => Some(entry.clone()),
        };
        Self::new(self.direction, self.family, self.entries.iter().filter_map(left))
    }

    /// What it asks, whatever comes of the answers.
    pub(super) fn shape(&self, is_apart: bool) -> Shape {
        let ask = |entry: &Entry| {
            let step = match &entry.act {
                Act::Settle(_) => Some(Step::Settles),
                Act::Pass(counted) => Some(Step::Passes { is_counted: counted.is_some() }),
                Act::Log(_) => None,
            };
            step.map(|step| Question { who: entry.who.peer.clone(), step, tier: entry.tier })
        };
        Shape { family: self.family, questions: self.entries.iter().filter_map(ask).collect(), is_apart }
    }

    /// The way, if there is one, of strangers that no look-up of an address ever finds: what settles there fits whatever comes to it, nobody
    /// is passed on, and there is nothing an endpoint fits less than a stranger with its address would.
    pub(super) fn way_unasked(&self) -> Option<Way> {
        let mut peers = self.entries.iter().map(|entry| &entry.who.peer);
        let excludes =
            |who: &Who| who.not_select.is_some() || who.outside || who.ports.iter().any(|(_, is_wanted)| !is_wanted);
        let passes = self.entries.iter().any(|entry| matches!(entry.act, Act::Pass(_)));
        let stranger = self.shape(false).way_of_strangers();
        let is_certain = self.entries.get(stranger.settled as usize).is_none_or(Entry::is_certain);
        (is_certain && !passes && !peers.any(|who| excludes(who))).then_some(stranger)
    }

    /// How many entries ask something.
    pub(super) fn questions(&self) -> usize {
        self.entries.iter().filter(|entry| !entry.who.is_anybody()).count()
    }

    /// Whether some entry asks something of the governed end.
    pub(super) fn asks_own(&self) -> bool {
        self.entries.iter().any(|entry| !entry.who.own.is_anybody())
    }

    /// Whether some entry asks whose the other end's address is.
    pub(super) fn asks_whose(&self) -> bool {
        let mut peers = self.entries.iter().map(|entry| &entry.who.peer);
        peers.any(|who| who.select.is_some() || who.not_select.is_some() || who.outside || !who.ports.is_empty())
    }

    /// Whether something is done aside with packets: some entry only logs, or counts whom it passes on and has too many ways.
    pub(super) fn notes_anything(&self) -> bool {
        self.log_count() > 0 || self.counts_aside()
    }

    /// Whether whom tiers pass on is counted by look-ups of their own, and not by the one that settles.
    fn counts_aside(&self) -> bool {
        self.counts_passing() && self.has_too_many_ways()
    }

    fn counts_passing(&self) -> bool {
        self.entries.iter().any(Entry::counts_passing)
    }
}

/// What becomes of every packet alike that comes to these, if there is nothing to ask.
fn constant(entries: &[Entry]) -> Option<Settled> {
    match entries {
        [] => Some(Settled::Open),
        [Entry { who, act: Act::Settle(settled), .. }] if who.is_anybody() => Some(settled.clone()),
        _ => None,
    }
}

/// What stands at the end and comes to the same as falling off it.
fn drop_idle_end(entries: &mut Vec<Entry>) {
    while entries.last().is_some_and(|last| matches!(last.act, Act::Pass(None) | Act::Settle(Settled::Open))) {
        entries.pop();
    }
}

/// Tiers are counted from nought, so that lists which say the same are equal wherever their tiers stand.
fn renumber(entries: &mut [Entry]) {
    let mut last = None;
    let mut number = 0;
    for entry in entries {
        if last.is_some_and(|last| last != entry.tier) {
            number += 1;
        }
        last = Some(entry.tier);
        entry.tier = number;
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::super::who::Who;
    use super::*;

    fn rule_name(number: usize) -> Arc<RuleName> {
        RuleName { tier: "t".into(), policy: "p".into(), rule: number.to_string() }.into()
    }

    fn rule(number: usize, allowed: bool) -> Settled {
        Settled::Rule { name: rule_name(number), allowed, log: false }
    }

    fn entry(tier: usize, net: Option<(u128, u128)>, act: Act) -> Entry {
        let peer = Who { nets: net.map(|net| vec![net]), ..Who::default() };
        Entry { who: Ends { peer: peer.into(), own: Arc::default() }, act, tier }
    }

    fn list(entries: Vec<Entry>) -> List {
        List::new(Direction::Ingress, IpVersion::V4, entries)
    }

    #[test]
    fn what_follows_a_certain_end_is_left_out() {
        let list = list(vec![
            entry(0, Some((1, 2)), Act::Settle(rule(1, true))),
            entry(0, None, Act::Settle(rule(2, false))),
            entry(1, None, Act::Settle(rule(3, true))),
        ]);

        assert_eq!(list.entries.len(), 2);
        assert_eq!(list.constant(), None);
    }

    #[test]
    fn who_was_passed_on_before_a_certain_end_comes_to_the_next_tier() {
        let list = list(vec![
            entry(0, Some((1, 2)), Act::Pass(None)),
            entry(0, None, Act::Settle(rule(1, false))),
            entry(0, Some((3, 4)), Act::Settle(rule(2, true))),
            entry(1, None, Act::Settle(rule(3, true))),
        ]);

        assert_eq!(list.entries.len(), 3);
        assert_eq!(list.after(0).constant(), Some(rule(3, true)));
    }

    #[test]
    fn a_certain_pass_skips_the_rest_of_its_tier_only() {
        let list = list(vec![
            entry(4, None, Act::Pass(None)),
            entry(4, None, Act::Settle(rule(1, false))),
            entry(7, None, Act::Settle(rule(2, true))),
        ]);

        assert_eq!(list.constant(), Some(rule(2, true)));
        assert_eq!(list.entries[0].tier, 0);
    }

    fn passed(number: usize) -> Settled {
        Settled::Passed(rule_name(number))
    }

    #[test]
    fn each_tier_of_a_list_with_too_many_ways_counts_whom_it_passes_on_in_a_list_of_its_own() {
        let passes = |tier, numbers: Range<u128>| {
            let pass = |number: u128| Act::Pass(Some(passed(usize::try_from(number).unwrap())));
            numbers.map(move |number| entry(tier, Some((number, number)), pass(number)))
        };
        let denied = entry(0, Some((90, 99)), Act::Settle(rule(90, false)));
        let allowed = entry(1, None, Act::Settle(rule(91, true)));
        let list = list(passes(0, 1..21).chain([denied]).chain(passes(1, 31..51)).chain([allowed]).collect());

        let notes: Vec<List> = list.notes().collect();

        let acts = |list: &List| list.entries.iter().map(|entry| entry.act.clone()).collect::<Vec<_>>();
        let counting = |numbers: Range<usize>| numbers.map(|number| Act::Settle(passed(number))).collect::<Vec<_>>();
        assert_eq!(notes.len(), 2);
        assert_eq!(acts(&notes[0]), counting(1..21));
        let before = [&vec![Act::Pass(None); 20][..], &[Act::Settle(Settled::Open)]].concat();
        assert_eq!(acts(&notes[1]), [before, counting(31..51)].concat());
        assert!(!list.without_notes().notes_anything());
    }

    #[test]
    fn a_list_with_few_ways_counts_on_them() {
        let pass = |number| Act::Pass(Some(passed(number)));
        let list = list(vec![
            entry(0, Some((1, 2)), pass(1)),
            entry(0, None, pass(2)),
            entry(1, Some((1, 1)), Act::Settle(rule(3, true))),
            entry(1, Some((9, 9)), Act::Log(rule_name(4))),
        ]);

        let done: Vec<_> = list.without_notes().ways().iter().map(|way| list.done(way)).collect();

        let expected = [rule(3, true), Settled::Open]
            .into_iter()
            .flat_map(|settled| [1, 2].map(|number| (vec![passed(number)], settled.clone())));
        assert_eq!(done, expected.collect::<Vec<_>>());
        assert_eq!(list.notes().count(), 1, "that of the rule which logs");
    }

    #[test]
    fn who_is_passed_on_whatever_he_is_is_counted_and_settled_at_once() {
        let list = list(vec![
            entry(0, None, Act::Pass(Some(passed(1)))),
            entry(0, Some((1, 2)), Act::Settle(rule(2, false))),
            entry(1, None, Act::Settle(rule(3, true))),
        ]);

        assert_eq!(list.fate(), Some((vec![passed(1)], rule(3, true))));
    }

    #[test]
    fn passing_at_the_very_end_is_nothing() {
        assert_eq!(list(vec![entry(0, Some((1, 2)), Act::Pass(None))]).constant(), Some(Settled::Open));
    }
}
