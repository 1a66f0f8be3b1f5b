//! Policies of one tier and order that disagree: which of them is asked first hangs on their names.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::{Code, Finding, Place, Severity};
use crate::model::{Direction, QualifiedName};
use crate::packet::Packet;
use crate::region::{Book, Entry, Pair, Settlement, demanded};

/// Two rules of tied policies, and a packet both speak of and decide differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Conflict {
    direction: Direction,
    first: usize,
    second: usize,
    packet: Packet,
}

/// Packets that would be decided otherwise if the second of two tied policies were asked first.
pub(super) fn conflicts(
    book: &Book<'_>,
    direction: Direction,
    settlement: &Settlement,
    pair: &Pair<'_>,
    sample: Option<(IpAddr, IpAddr)>,
) -> Vec<Conflict> {
    let entries = book.entries(direction);
    let mut conflicts = Vec::new();
    let mut told: BTreeSet<(usize, usize)> = BTreeSet::new();
    for (first, taken) in settlement.takes().filter_map(|(word, traffic)| Some((word.rule()?, traffic))) {
        let tied = settlement.asked.iter().copied().filter(|other| is_tied(&entries[first], &entries[*other]));
        for second in tied.filter(|second| *second > first) {
            // What an earlier rule of the second policy takes is that one's, not this one's.
            let before = settlement
                .asked
                .iter()
                .filter(|other| std::ptr::eq(entries[**other].policy, entries[second].policy) && **other < second);
            let demand = |place: usize| demanded(entries[place].rule, pair.version, pair.names);
            let left = before.fold(taken.and(&demand(second)), |left, other| left.without(&demand(*other)));
            let disagrees = entries[first].rule.action != entries[second].rule.action;
            let Some(transport) = left.sample().filter(|_| disagrees && told.insert((first, second))) else { continue };
            let Some((source, destination)) = sample else { continue };
            let packet = Packet { source, destination, transport };
            conflicts.push(Conflict { direction, first, second, packet });
        }
    }
    conflicts
}

fn is_tied(one: &Entry<'_>, other: &Entry<'_>) -> bool {
    one.rank == other.rank && one.policy.order == other.policy.order && one.policy.name != other.policy.name
}

impl Conflict {
    /// The direction and the two policies: one finding for each is enough.
    pub(super) fn key<'w>(&self, book: &Book<'w>) -> (Direction, &'w QualifiedName, &'w QualifiedName) {
        let name = |place: usize| &book.entries(self.direction)[place].policy.name;
        (self.direction, name(self.first), name(self.second))
    }

    pub(super) fn finding(&self, book: &Book<'_>) -> Finding {
        let entries = book.entries(self.direction);
        let (first, second) = (&entries[self.first], &entries[self.second]);
        let message = format!(
            "policy {} stands at the same order, and rule {} there would decide otherwise what rule {} decides here: {}",
            second.policy.name, second.rule.name, first.rule.name, self.packet
        );
        let advice = match first.policy.order {
            Some(order) => format!(
                "give one of them another order; both have {}, and so the name decides which is asked first",
                order.get()
            ),
            None => "give both an order; without one the name decides which is asked first".to_owned(),
        };
        Place::of(first.policy, Some(self.direction)).finding(Severity::Warning, Code::TiedConflict, message, advice)
    }
}
