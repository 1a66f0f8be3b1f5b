//! Who decides what of the traffic between two classes, in one direction: exactly, and for all of it at once.
//!
//! In: the rules that can fit, in order. Out: disjoint shares of all traffic, each with its decider. Every rule takes its share of
//! what those before it left, as `verdict` does packet by packet.

use super::bits::Bits;
use super::book::{Book, Governed};
use super::demand::{Names, demanded};
use super::traffic::Traffic;
use crate::model::{Action, DefaultAction, Direction, IpVersion};

/// What decides. Places are those of the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Word {
    /// No policy governs.
    Ungoverned,
    /// A rule, by its place among the direction's entries.
    Rule(usize),
    /// The default of a tier, by its rank.
    EndOfTier(usize),
    /// Every tier passed.
    EndOfTiers,
}

/// All traffic of one direction between two classes, shared out.
#[derive(Clone, Debug)]
pub(crate) struct Settlement {
    /// Disjoint, never empty, together everything.
    pub(crate) shares: Vec<Share>,
    /// What rules passed on to the next tier.
    pub(crate) passed: Vec<(usize, Traffic)>,
    /// Rules that could fit these ends, in order.
    pub(crate) asked: Vec<usize>,
}

/// Traffic with one decider.
#[derive(Clone, Debug)]
pub(crate) struct Share {
    pub(crate) traffic: Traffic,
    pub(crate) allowed: bool,
    pub(crate) word: Word,
}

/// The two ends as one direction sees them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair<'a> {
    pub(crate) version: IpVersion,
    pub(crate) governed: &'a Governed,
    /// Rules the other end fits.
    pub(crate) peer: &'a Bits,
    pub(crate) names: Names<'a>,
}

/// Shares out all traffic between two classes.
pub(crate) fn settle(book: &Book<'_>, direction: Direction, pair: Pair<'_>) -> Settlement {
    let asked: Vec<usize> = pair.governed.entries.both(pair.peer).collect();
    let mut settlement = Settlement { shares: Vec::new(), passed: Vec::new(), asked };
    let mut left = Traffic::all();
    for rank in pair.governed.ranks.iter() {
        left = settlement.ask(book, direction, &pair, rank, left);
    }
    let last = if pair.governed.ranks.is_empty() { Word::Ungoverned } else { Word::EndOfTiers };
    settlement.share(left, true, last);
    settlement
}

impl Settlement {
    /// Asks one tier; what it passes on comes back.
    fn ask(&mut self, book: &Book<'_>, direction: Direction, pair: &Pair<'_>, rank: usize, all: Traffic) -> Traffic {
        let entries = book.entries(direction);
        let (mut left, mut passed) = (all, Traffic::none());
        let asked: Vec<usize> = self.asked.iter().copied().filter(|place| entries[*place].rank == rank).collect();
        for place in asked {
            if left.is_empty() {
                break;
            }
            let rule = entries[place].rule;
            let hit = left.and(&demanded(rule, pair.version, pair.names));
            left = left.without(&hit);
            match rule.action {
                Action::Allow => self.share(hit, true, Word::Rule(place)),
                Action::Deny => self.share(hit, false, Word::Rule(place)),
                Action::Pass | Action::Log => {
                    passed = passed.or(&hit);
                    self.passed.extend((!hit.is_empty()).then_some((place, hit)));
                }
            }
        }
        match book.ranks[rank].tier.default_action {
            DefaultAction::Deny => self.share(left, false, Word::EndOfTier(rank)),
            DefaultAction::Pass => passed = passed.or(&left),
        }
        passed
    }

    fn share(&mut self, traffic: Traffic, allowed: bool, word: Word) {
        if !traffic.is_empty() {
            self.shares.push(Share { traffic, allowed, word });
        }
    }
}
