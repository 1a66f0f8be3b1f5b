//! How long to wait before the next try: longer each time, and never the same on two hosts.

use crate::store::chance::chance;
use std::time::Duration;

/// The first wait: a blip should cost little.
const SHORTEST: Duration = Duration::from_millis(100);

/// The longest wait: a store that came back should be seen soon, and a thousand hosts be a hundred questions a second.
const LONGEST: Duration = Duration::from_secs(10);

/// A watch that lived so long was a good one: the next wait is short again.
const GOOD_LIFE: Duration = Duration::from_secs(10);

/// The wait to come, before jitter.
pub(crate) struct Backoff(Duration);

impl Backoff {
    pub(crate) fn new() -> Self {
        Self(SHORTEST)
    }

    /// The next wait: between half and all of it, then twice as long up to the longest.
    pub(crate) fn next(&mut self) -> Duration {
        let wait = self.0.mul_f64(0.5 + chance() / 2.0);
        self.0 = (self.0 * 2).min(LONGEST);
        wait.max(SHORTEST)
    }

    /// Starts over after a watch that lived well; one that breaks at once keeps the waits growing.
    pub(crate) fn rest_after(&mut self, life: Duration) {
        if life >= GOOD_LIFE {
            *self = Self::new();
        }
    }

    /// A time between once and twice as long, so that a fleet does not read in step.
    pub(super) fn stretched(&self, time: Duration) -> Duration {
        time.mul_f64(1.0 + chance())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_ten_seconds_and_no_further() {
        let mut backoff = Backoff::new();

        let waits: Vec<_> = (0..12).map(|_| backoff.next()).collect();

        assert!(waits[0] == SHORTEST, "{waits:?}");
        assert!(waits[11] >= LONGEST / 2, "{waits:?}");
        assert!(waits.iter().all(|wait| *wait <= LONGEST), "{waits:?}");
    }

    /// Short of the longest wait no jitter makes one longer than the next: half of twice as much is as much.
    #[test]
    fn a_watch_that_lived_well_makes_the_next_wait_short() {
        let mut backoff = Backoff::new();
        assert!((0..7).map(|_| backoff.next()).is_sorted());

        backoff.rest_after(GOOD_LIFE);

        assert_eq!(backoff.next(), SHORTEST);
    }
}
