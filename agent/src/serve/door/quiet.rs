//! How often the log tells of one caller: whoever is refused may ask as often as they like.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Between two lines about one caller.
const QUIET: Duration = Duration::from_secs(10);

/// Callers told of in that time; more of them are no news.
const CALLERS: usize = 32;

/// Who was told of lately.
#[derive(Debug)]
pub(super) struct Quiet(Mutex<BTreeMap<String, Instant>>);

impl Quiet {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// Whether this caller is to be told of now; then they are not for a while.
    pub(super) fn breaks(&self, caller: &str, now: Instant) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|_, last| now.duration_since(*last) < QUIET);
        if told.contains_key(caller) || told.len() >= CALLERS {
            return false;
        }
        told.insert(caller.to_owned(), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_is_told_of_once_in_a_while_and_hides_no_other() {
        let (quiet, start) = (Quiet::new(), Instant::now());

        assert!(quiet.breaks("alice", start) && quiet.breaks("bob", start));
        assert!(!quiet.breaks("alice", start + QUIET / 2));
        assert!(quiet.breaks("alice", start + QUIET));
    }

    #[test]
    fn a_crowd_does_not_fill_the_log() {
        let (quiet, start) = (Quiet::new(), Instant::now());

        let told = (0..1000).filter(|uid| quiet.breaks(&format!("user {uid}"), start)).count();

        assert_eq!(told, CALLERS);
    }
}
