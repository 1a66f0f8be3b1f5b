//! Which NOTIFICATIONs take the routes along with the session, and which leave them, as a restart does.
//!
//! In: a NOTIFICATION, whose it is, and whether both ends said that they do so. Out: what it says about the routes, and the form we
//! send it in. Rules: RFC 8538 §3 and §4, RFC 9384 §3 (BFD).
//!
//! Without the word of both every NOTIFICATION takes them along, RFC 4724 §4. With it a mistake, a hold time that ran out on a busy
//! host and a lack of room are not worth more than a restart. What a person ends on purpose, or what BFD says, is: that is
//! wrapped into a Hard Reset, which says so to the other end too.

use crate::wire::{Fault, Notification};

use super::{connection::Connection, restart::Parting};

impl Connection {
    /// Whether both ends said that a NOTIFICATION leaves the routes; nothing is agreed on before the neighbour's OPEN.
    pub(super) fn is_gentle(&self) -> bool {
        self.agreed().is_some_and(|agreed| agreed.is_gentle)
    }

    /// The form in which this is said here.
    pub(super) fn wrapped(&self, error: Notification) -> Notification {
        if self.is_gentle() && is_hard(error.fault) { error.hardened() } else { error }
    }
}

/// What a NOTIFICATION in the form that it is sent in says about the routes.
pub(super) fn parting(error: &Notification, is_gentle: bool) -> Parting {
    let reason = error.hard_reason().map_or(error.fault, |reason| reason.fault);
    match (error.fault, reason) {
        (Fault::COLLISION, _) => Parting::Collision,
        (_, Fault::BFD_DOWN) => Parting::Blindness,
        (Fault::HARD_RESET, _) => Parting::Farewell,
        _ if is_gentle => Parting::Silence,
        _ => Parting::Farewell,
    }
}

/// Whether we mean what we say to be the end of the routes: what RFC 8538 §4 suggests by default, where we say it.
fn is_hard(fault: Fault) -> bool {
    [Fault::MAXIMUM_PREFIXES, Fault::SHUTDOWN, Fault::DECONFIGURED, Fault::BFD_DOWN].contains(&fault)
}
