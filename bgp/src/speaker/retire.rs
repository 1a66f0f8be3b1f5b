//! Lets neighbours go that are not needed any more, without losing a route.
//!
//! When reflectors take the place of a mesh, the sessions of the mesh end one by one: each as soon as somebody who stays offers
//! all that this neighbour offers. The neighbour judges for itself and may not be as far, so the connection is closed without a
//! NOTIFICATION: to the neighbour we may be restarting, and it keeps our routes (RFC 4724 §4.2) until it lets us go too, or
//! until the time we said a restart takes is over.

use std::time::Instant;

use crate::Address;

use super::Speaker;

impl Speaker {
    /// Ends the sessions that are to end, as far as nothing is lost by it.
    pub(super) fn retire(&mut self, now: Instant) {
        let retiring: Vec<Address> =
            self.terms.iter().filter(|(_, terms)| terms.retiring).map(|(&one, _)| one).collect();
        for neighbour in retiring {
            let stays = |other: Address| self.terms.get(&other).is_some_and(|terms| !terms.retiring);
            if self.table.is_covered(neighbour, stays) {
                self.with_session(now, neighbour, |session| session.leave(now));
                self.sessions.remove(&neighbour);
                self.terms.remove(&neighbour);
            }
        }
    }
}
