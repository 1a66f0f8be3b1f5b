//! Counts the prefixes of neighbours that may not announce as many as they like.

use std::{collections::BTreeMap, time::Instant};

use crate::{Address, session::Session, wire::Family};

use super::Speaker;

impl Speaker {
    /// A neighbour may have announced something.
    pub(super) fn count(&mut self, now: Instant, neighbour: Address) {
        for family in Family::ALL {
            let count = self.table.count(neighbour, family);
            self.with_session(now, neighbour, |session| session.counted(now, family, count));
        }
    }

    /// Of each family that is limited: how many there are, and may be.
    pub(super) fn limits(&self, session: &Session) -> BTreeMap<Family, (usize, usize)> {
        let limit =
            |family| Some((self.table.count(session.config().address, family), session.config().limits.of(family)?));
        Family::ALL.into_iter().filter_map(|family| Some((family, limit(family)?))).collect()
    }
}
