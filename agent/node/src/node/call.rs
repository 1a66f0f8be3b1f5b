//! Neighbours nobody named: whoever calls from the prefix of a peer becomes one, until it has hung up and left no route; so does whoever shows
//! himself on the link of a peer, until the link is gone or another takes his place.
//!
//! A prefix may hold more than there may be neighbours, and anybody in it may call: so there is a bound, and who is over it is turned away
//! with a reason.

use std::net::IpAddr;
use std::time::Instant;

use poplin_bgp::{Address, Event, SessionState, Zone};

use crate::action::Note;
use crate::peering::How;
use crate::peering::callers::peer_of;

use super::Node;

impl Node {
    /// Before the speaker hears of a call: the caller becomes a neighbour, if it may.
    pub(super) fn admit_caller(&mut self, now: Instant, event: &Event) {
        let Event::ConnectionOpened { neighbour, outgoing: false, .. } = event else { return };
        let caller = neighbour.to_canonical();
        let (Some(mirror), Some(me), Some(peering)) = (&self.mirror, self.me(), &self.peering) else { return };
        if peering.names.contains_key(&caller) {
            return;
        }
        if let Some(zone) = caller.zone().filter(|zone| peering.links.contains_key(zone)) {
            return self.meet(now, zone, caller, How::Called);
        }
        match peer_of(mirror, me, &self.callers, caller) {
            None => {}
            Some((_, true)) => {
                self.callers.insert(caller);
                self.is_peering_due = true;
                self.peer(now);
            }
            Some((peer, false)) => {
                let text = format!("{caller} calls, and there are as many of peer {} as there may be", peer.name);
                self.note(Note::Info(text));
            }
        }
    }

    /// Somebody showed himself on a link that a peer has to himself. A call from elsewhere ends no session.
    pub(super) fn meet(&mut self, now: Instant, zone: Zone, neighbour: Address, how: How) {
        let (Some(kernel), IpAddr::V6(address)) = (&self.kernel, neighbour.ip()) else { return };
        let is_busy = || self.met.on(zone, kernel).is_ok_and(|known| self.is_established(known));
        if !self.met.admits(zone, kernel, how) || (how == How::Called && is_busy()) {
            return;
        }
        self.met.meet(zone, address, how, kernel);
        self.note(Note::Info(format!("{neighbour} is the neighbour on {zone}")));
        self.is_peering_due = true;
        self.peer(now);
    }

    fn is_established(&self, neighbour: Address) -> bool {
        let detail = self.speaker.as_ref().and_then(|speaker| speaker.neighbour(neighbour));
        detail.is_some_and(|detail| detail.view.state == SessionState::Established)
    }

    /// After a connection ended, or time passed: callers of whom nothing is left are neighbours no more.
    pub(super) fn forget_callers(&mut self, is_occasion: bool) {
        if let Some(speaker) = self.speaker.as_ref().filter(|_| is_occasion) {
            let before = self.callers.len();
            self.callers.retain(|&caller| !speaker.is_forgotten(caller));
            let is_one_gone = self.callers.len() != before;
            self.has_world_moved |= is_one_gone;
            self.is_peering_due |= is_one_gone;
        }
    }
}

/// Whether after this event a caller may be gone.
pub(super) fn is_occasion(event: &Event) -> bool {
    matches!(event, Event::ConnectionClosed { .. } | Event::Tick)
}
