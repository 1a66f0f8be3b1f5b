//! How many connections there may be: all together, and of each who comes. Whoever may do nothing has few, and not for long.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::guest::Caller;
use super::quiet::Quiet;

/// Connections of those who may do something, all together. A command has one for as long as it runs.
pub(super) const SEATS: usize = 256;

/// Connections of one user or certificate.
pub(super) const OF_ONE: usize = 32;

/// Connections of those who may do nothing: they hear that, and go.
const REFUSED: usize = 32;
const REFUSED_OF_ONE: usize = 4;

/// Seats of one kind.
#[derive(Clone, Debug)]
pub(super) struct Seats {
    all: usize,
    of_one: usize,
    taken: Arc<Mutex<BTreeMap<String, usize>>>,
}

/// One of them, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Seats,
    holder: String,
}

impl Seats {
    pub(super) fn of(all: usize, of_one: usize) -> Self {
        Self { all, of_one, taken: Arc::default() }
    }

    /// A seat, if there is one left for this holder.
    pub(super) fn take(&self, holder: &str) -> Option<Seat> {
        let mut taken = self.taken();
        let own = taken.get(holder).copied().unwrap_or_default();
        if own >= self.of_one || taken.values().sum::<usize>() >= self.all {
            tell_of_fullness(holder, own);
            return None;
        }
        taken.insert(holder.to_owned(), own + 1);
        Some(Seat { seats: self.clone(), holder: holder.to_owned() })
    }

    fn taken(&self) -> MutexGuard<'_, BTreeMap<String, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever is hung up on sees a connection that ended, and nothing else.
fn tell_of_fullness(holder: &str, own: usize) {
    static QUIET: Quiet = Quiet::new();
    if QUIET.breaks(holder, Instant::now()) {
        tracing::warn!(
            "no seat is left for {holder}, who has {own} connections to the API; more of theirs are hung up on"
        );
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken();
        match taken.get_mut(&self.holder) {
            Some(own) if *own > 1 => *own -= 1,
            Some(_) | None => drop(taken.remove(&self.holder)),
        }
    }
}

/// The seats of one door.
#[derive(Clone, Debug)]
pub(super) struct Hall {
    known: Seats,
    refused: Seats,
}

impl Hall {
    pub(super) fn new() -> Self {
        Self { known: Seats::of(SEATS, OF_ONE), refused: Seats::of(REFUSED, REFUSED_OF_ONE) }
    }

    /// Where a caller sits, if there is room.
    pub(super) fn seat(&self, caller: &Caller) -> Option<Seat> {
        match caller.right {
            Some(_) => self.known.take(&caller.name),
            None => self.refused.take(&caller.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::right::Right;
    use super::*;

    #[test]
    fn one_holder_takes_no_more_than_their_part_and_all_no_more_than_there_are() {
        let seats = Seats::of(3, 2);
        let first = seats.take("a").unwrap();
        let _second = seats.take("a").unwrap();

        assert!(seats.take("a").is_none());
        let _third = seats.take("b").unwrap();
        assert!(seats.take("c").is_none());
        drop(first);
        assert!(seats.take("c").is_some());
    }

    #[test]
    fn a_seat_that_is_given_back_leaves_nothing_behind() {
        let seats = Seats::of(3, 2);

        drop((seats.take("a"), seats.take("a"), seats.take("b")));

        assert!(seats.taken().is_empty());
    }

    #[test]
    fn who_may_do_nothing_takes_no_seat_of_those_who_may() {
        let hall = Hall::new();
        let caller = |name: String, right| Caller { name, right, until: None };
        let strangers: Vec<_> = (0..1000).filter_map(|uid| hall.seat(&caller(format!("user {uid}"), None))).collect();

        assert_eq!(strangers.len(), REFUSED);
        assert!(hall.seat(&caller("user 1000".to_owned(), Some(Right::Read))).is_some());
    }
}
