//! Whether we have restarted, as far as a neighbour is concerned.
//!
//! Nobody knows if there was a life before this one: every life begins as if after a restart, and ends being one for a
//! neighbour that has told us its whole table, or for all when the time is over. Rules: RFC 4724 §4.1.

use std::{net::IpAddr, time::Instant};

use crate::RESTART_TIME;

use super::Speaker;

impl Speaker {
    pub(super) fn is_restarting(&self, now: Instant, neighbour: IpAddr) -> bool {
        let is_young = self.started.is_some_and(|started| now < started + RESTART_TIME);
        is_young && !self.synchronised.contains(&neighbour)
    }

    /// A neighbour has told us its whole table.
    pub(super) fn synchronise(&mut self, neighbour: IpAddr) {
        self.synchronised.insert(neighbour);
    }
}
