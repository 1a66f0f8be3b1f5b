//! Which of two connections to one neighbour survives.
//!
//! Rules: RFC 4271 §6.8, RFC 6286 §2.3, RFC 4724 §4.2.
//!
//! Both ends must choose alike, though each sees another order of events. So the choice rests on the identifiers alone,
//! and is made at the first OPEN of either connection, also against a rival that was established meanwhile: both had sent
//! their OPEN on both. Only a call that comes after a session is established is turned away before our OPEN (§6.8, last
//! paragraph); its caller then never sees one to choose by.
//!
//! Best is no collision: once there is a session over the neighbour's call, it is not dialled any more. Not before: an OPEN may have come through
//! where nothing else does, and then our own dial tells what is the matter.
//!
//! A neighbour that may restart gracefully is the exception, once its session has lasted: it does not call while it has a
//! session, so it must have died without a word. We answer its call, and at its OPEN the old connection ends in silence.
//! Not before: a call that says nothing proves nothing.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use crate::{Action, Asn, ConnectionId, SpeakerConfig, wire::Fault};

use super::{Session, connection::Connection, end::End, monitor::Goodbye, negotiate::Agreed, restart::Parting};

/// How long after a session is established a call may still be one that crossed ours.
/// 5 s leave room for the first two times that TCP sends a lost SYN again, after 1 s and 2 s more (RFC 6298 §5.5).
const CROSSING_TIME: Duration = Duration::from_secs(5);

/// Whether the connection that we dialled is the one to keep: the higher identifier's call counts, and of two alike the
/// higher AS number's.
fn ours_counts(us: SpeakerConfig, router_id: Ipv4Addr, asn: Asn) -> bool {
    (us.router_id, us.asn) > (router_id, asn)
}

impl Session {
    /// Ends the loser, if there are two; tells whether this connection survives.
    pub(super) fn survives_collision(&mut self, now: Instant, id: ConnectionId, agreed: &Agreed) -> bool {
        let Some(outgoing) = self.connection(id).map(|connection| connection.outgoing) else { return false };
        let rival = self.connections.iter().find(|connection| connection.id != id);
        let Some(rival) = rival.map(|connection| connection.id) else { return true };
        let survives = outgoing == ours_counts(self.us, agreed.source.router_id, agreed.source.asn);
        self.retire(now, if survives { rival } else { id });
        survives
    }

    /// Of two calls in one direction the later counts: the caller has given up the earlier. An established one does not
    /// fall to a mere call.
    pub(super) fn replace_same_direction(&mut self, now: Instant, outgoing: bool) {
        let mut earlier = self.connections.iter().filter(|connection| !connection.is_established());
        let earlier = earlier.find(|connection| connection.outgoing == outgoing);
        if let Some(id) = earlier.map(|connection| connection.id) {
            self.retire(now, id);
        }
    }

    /// Closes a connection in favour of another: no error, no rest.
    fn retire(&mut self, now: Instant, id: ConnectionId) {
        let Some(connection) = self.remove(id) else { return };
        self.send(now, id, Fault::COLLISION.bare());
        self.act(Action::Close { connection: id });
        self.tell_end(&connection, Goodbye::Ours(Fault::COLLISION.bare()));
        self.part(now, &connection, Parting::Collision, "another connection to the neighbour counts");
    }

    /// Whether a call that comes now can only be that of a neighbour that has restarted.
    pub(super) fn may_be_superseded(&self, now: Instant) -> bool {
        let restarts =
            |connection: &Connection| connection.outlives_restart() && connection.has_lasted(now, CROSSING_TIME);
        self.connections.iter().any(restarts)
    }

    /// The neighbour has introduced itself over this connection: an older session that it succeeds is over.
    pub(super) fn supersede(&mut self, now: Instant, id: ConnectionId) {
        if !self.connection(id).is_some_and(|connection| connection.succeeds) {
            return;
        }
        let old = self.connections.iter().find(|connection| connection.id != id && connection.is_established());
        if let Some(old) = old.map(|connection| connection.id) {
            self.end(now, old, End::Superseded);
        }
    }
}
