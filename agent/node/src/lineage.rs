//! Which fabric a store is of, and which of its histories it tells.
//!
//! A store that is restored from a backup goes on from there: what it tells afterwards is another history than the one that hosts knew. Whoever notices
//! first begins it: gives it an id, and notes down whom to wait for. A host that has told all it knew says so by that id in its own record, where nobody
//! else writes it. Until each of those who are awaited has, nobody can know which addresses are taken.

use std::collections::BTreeSet;

use crate::name::HostName;
use crate::object::Host;

/// Which fabric, which history of its store, or which machine. Random, so that no two are alike; written as 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id(pub u64);

impl std::fmt::Display for Id {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}

impl Id {
    /// Reads what is written so.
    pub fn parse(text: &str) -> Option<Self> {
        let is_id = text.len() == 16 && text.bytes().all(|octet| octet.is_ascii_hexdigit());
        u64::from_str_radix(text, 16).ok().filter(|_| is_id).map(Self)
    }
}

/// How many histories are remembered. Whoever was away for more restores than that takes an old one for a new one.
const MOST_FORMER: usize = 64;

/// What a store says of itself. There is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lineage {
    /// Made once, by the first agent.
    pub fabric: Id,
    /// The history that was begun when the store was last found to have forgotten; absent = it never was.
    pub history: Option<Id>,
    /// Those before, the oldest first.
    pub former: Vec<Id>,
    /// Hosts that may know what the store does not, until they have told it; some of them may have. Empty = all have.
    pub awaited: BTreeSet<HostName>,
    /// Whether a person said that nobody is to be waited for.
    pub is_accepted: bool,
}

impl Lineage {
    /// That of a store that is new, or was never asked.
    pub fn of(fabric: Id) -> Self {
        Self { fabric, history: None, former: Vec::new(), awaited: BTreeSet::new(), is_accepted: false }
    }

    /// Whether a history is this one or one before it.
    pub fn knows(&self, history: Id) -> bool {
        self.history == Some(history) || self.former.contains(&history)
    }

    /// Who is to be waited for, unless he has told.
    pub fn awaiting(&self) -> impl Iterator<Item = &HostName> {
        self.awaited.iter().filter(|_| self.history.is_some() && !self.is_accepted)
    }

    /// Whether a host has told all it knew to this history.
    pub fn has_told(&self, host: &Host) -> bool {
        self.history.is_some() && host.told == self.history
    }

    /// This one, knowing the histories of another as well.
    pub fn after(&self, known: &Self) -> Self {
        let mut former: Vec<Id> = Vec::new();
        for id in known.former.iter().chain(&known.history).chain(&self.former) {
            former.retain(|other| other != id);
            former.push(*id);
        }
        former.retain(|id| self.history != Some(*id));
        former.drain(..former.len().saturating_sub(MOST_FORMER));
        Self { former, ..self.clone() }
    }

    /// The same store in a new history, after this one and what was known of another.
    pub fn begin(&self, known: Option<&Self>, history: Id, awaited: BTreeSet<HostName>) -> Self {
        let fabric = known.map_or(self.fabric, |known| known.fabric);
        let new = Self { history: Some(history), awaited, ..Self::of(fabric) };
        known.into_iter().chain([self]).fold(new, |new, former| new.after(former))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_written_and_nothing_else_is() {
        for id in [Id(0), Id(0x0123_4567_89ab_cdef), Id(u64::MAX)] {
            assert_eq!(Id::parse(&id.to_string()), Some(id));
        }
        for text in ["", "1", "+000000000000001", "0123456789abcdef0", "0123456789abcdeg"] {
            assert_eq!(Id::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_new_history_knows_those_of_both_sides_and_no_more_than_it_has_room_for() {
        let listed = Lineage { history: Some(Id(2)), former: vec![Id(1)], ..Lineage::of(Id(7)) };
        let known = Lineage { history: Some(Id(3)), former: vec![Id(1), Id(2)], ..Lineage::of(Id(7)) };

        let begun = listed.begin(Some(&known), Id(9), BTreeSet::new());

        assert!([1, 2, 3, 9].into_iter().all(|id| begun.knows(Id(id))) && !begun.knows(Id(4)));
        let many = Lineage { former: (0..200).map(Id).collect(), ..begun };
        assert_eq!(many.begin(None, Id(999), BTreeSet::new()).former.len(), MOST_FORMER);
    }
}
