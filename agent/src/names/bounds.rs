//! How much one container may ask, so that none of them takes all there is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use poplin_node::name::EndpointName;

/// Questions a second; as many at once if it was silent before. More than any program asks, and a hundredth of what one core answers.
const QUESTIONS: f64 = 2000.0;

/// Questions under way outside, of one container: each holds a socket and some memory for seconds at most.
const UNDER_WAY: usize = 64;

/// Connections by TCP, of one container.
const CONNECTIONS: usize = 16;

/// What each container has used up.
#[derive(Default)]
pub(super) struct Bounds(Arc<Mutex<HashMap<EndpointName, Account>>>);

struct Account {
    left: f64,
    since: Instant,
    is_told: bool,
    under_way: usize,
    connections: usize,
}

/// What one thing under way counts as.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Question,
    Connection,
}

/// Something is under way, until this is dropped.
pub(super) struct Turn {
    accounts: Arc<Mutex<HashMap<EndpointName, Account>>>,
    of: EndpointName,
    kind: Kind,
}

impl Bounds {
    /// Whether one more question may be looked at.
    pub(super) fn admits(&self, of: &EndpointName, now: Instant) -> bool {
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let account = accounts.entry(of.clone()).or_insert_with(|| Account::new(now));
        let passed = now.saturating_duration_since(account.since).as_secs_f64();
        account.left = (account.left + passed * QUESTIONS).min(QUESTIONS);
        account.since = now;
        if account.left >= 1.0 {
            account.left -= 1.0;
            account.is_told &= account.left < QUESTIONS / 2.0;
            return true;
        }
        if !std::mem::replace(&mut account.is_told, true) {
            tracing::warn!("{of} asks for more than {QUESTIONS} names a second; some of its questions are dropped");
        }
        false
    }

    /// Room for one more question outside.
    pub(super) fn question(&self, of: &EndpointName) -> Option<Turn> {
        self.turn(of, Kind::Question, UNDER_WAY)
    }

    /// Room for one more connection.
    pub(super) fn connection(&self, of: &EndpointName) -> Option<Turn> {
        self.turn(of, Kind::Connection, CONNECTIONS)
    }

    /// It is gone.
    pub(super) fn forget(&self, of: &EndpointName) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(of);
    }

    fn turn(&self, of: &EndpointName, kind: Kind, most: usize) -> Option<Turn> {
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = accounts.entry(of.clone()).or_insert_with(|| Account::new(Instant::now())).count(kind);
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Turn { accounts: self.0.clone(), of: of.clone(), kind })
    }
}

impl Account {
    fn new(now: Instant) -> Self {
        Self { left: QUESTIONS, since: now, is_told: false, under_way: 0, connections: 0 }
    }

    fn count(&mut self, kind: Kind) -> &mut usize {
        match kind {
            Kind::Question => &mut self.under_way,
            Kind::Connection => &mut self.connections,
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = accounts.get_mut(&self.of) {
            let count = account.count(self.kind);
            *count = count.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn who_asks_too_much_waits_and_nobody_else_does() {
        let (bounds, now) = (Bounds::default(), Instant::now());
        let [loud, quiet] = ["loud", "quiet"].map(EndpointName::new);

        let answered = (0..5000).filter(|_| bounds.admits(&loud, now)).count();

        assert_eq!(answered, 2000);
        assert!(bounds.admits(&quiet, now) && !bounds.admits(&loud, now));
        assert!(bounds.admits(&loud, now + Duration::from_millis(10)));
    }

    #[test]
    fn what_is_under_way_is_bounded_until_it_ends() {
        let bounds = Bounds::default();
        let web = EndpointName::new("web");

        let turns: Vec<Turn> = (0..100).map_while(|_| bounds.question(&web)).collect();
        assert_eq!(turns.len(), UNDER_WAY);
        assert!(bounds.connection(&web).is_some());

        drop(turns);
        assert!(bounds.question(&web).is_some());
    }
}
