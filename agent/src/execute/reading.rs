//! Says when the kernel is read again, of which somebody said that it may be different.
//!
//! In: such words, and how long the last reading took. Out: when the next is due. A reading looks at everything: with hundreds of containers it takes milliseconds, in
//! which nobody joins. So it waits, several times as long as it takes, and all words that come meanwhile are answered by one reading: somebody who joins or
//! leaves says many, most of them about what we do ourselves.

use std::time::{Duration, Instant};

/// For each moment of reading so many of waiting before it: a fifth of the time at most is spent with it.
const WAITS: u32 = 4;

/// What another hand changed is mended within a second, and there may be more to do than that.
const LONGEST_WAIT: Duration = Duration::from_millis(200);

/// So long after it is due, a reading waits no more for orders to end.
const PATIENCE: Duration = Duration::from_millis(100);

/// Whether and when to read.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// When somebody said first that something may be different.
    asked: Option<Instant>,
    /// How long the last one took; nothing before the first, for which everybody waits.
    took: Duration,
}

impl Reading {
    /// Something may be different.
    pub(super) fn ask(&mut self, now: Instant) {
        self.asked.get_or_insert(now);
    }

    /// When a reading is due; absent = nobody asked for one.
    pub(super) fn due(&self) -> Option<Instant> {
        self.asked.map(|asked| asked + (self.took * WAITS).min(LONGEST_WAIT))
    }

    /// Whether orders have had their time, and it is its turn.
    pub(super) fn comes_first(&self, now: Instant) -> bool {
        self.due().is_some_and(|due| now >= due + PATIENCE)
    }

    /// All was read.
    pub(super) fn done(&mut self, took: Duration) {
        *self = Self { asked: None, took };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reading_is_due_at_once_and_the_next_when_it_has_waited() {
        let now = Instant::now();
        let mut reading = Reading::default();
        assert_eq!(reading.due(), None);

        reading.ask(now);
        assert_eq!(reading.due(), Some(now));
        reading.done(Duration::from_millis(3));
        assert_eq!(reading.due(), None);

        reading.ask(now);
        reading.ask(now + Duration::from_millis(5));
        assert_eq!(reading.due(), Some(now + Duration::from_millis(12)));
    }

    #[test]
    fn however_long_it_takes_what_was_changed_is_seen_soon() {
        let now = Instant::now();
        let mut reading = Reading::default();
        reading.done(Duration::from_secs(1));

        reading.ask(now);

        let due = now + LONGEST_WAIT;
        assert_eq!(reading.due(), Some(due));
        assert!(!reading.comes_first(due));
        assert!(reading.comes_first(due + PATIENCE));
    }
}
