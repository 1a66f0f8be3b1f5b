//! What a packet of the other end does to a session.
//!
//! Rules: RFC 5880 §6.8.6, in its order, from where the session is known.

use std::time::Instant;

use super::{
    super::{Cause, Diagnostic, Packet, State, timing::Wishes},
    Remote, Session,
};

impl Session {
    /// Takes a packet; tells whether it asks for an answer at once.
    pub(in super::super) fn receive(&mut self, now: Instant, packet: &Packet) -> bool {
        let is_successor = self.remote.discriminator != 0 && self.remote.discriminator != packet.mine;
        self.learn(packet);
        self.heard = Some(now);
        if packet.is_final && self.is_polling() {
            self.poll_answered();
        }
        if self.state == State::AdminDown {
            return false;
        }
        self.follow(now, packet.state, cause(packet, is_successor));
        packet.is_poll
    }

    fn learn(&mut self, packet: &Packet) {
        self.remote = Remote {
            discriminator: packet.mine,
            state: packet.state,
            diagnostic: packet.diagnostic,
            multiplier: packet.multiplier,
            wishes: Wishes { transmit: packet.min_transmit, receive: packet.min_receive },
            is_demand: packet.is_demand,
            is_independent: packet.is_independent,
        };
    }

    /// The state machine of RFC 5880 §6.2.
    fn follow(&mut self, now: Instant, remote: State, cause: Cause) {
        match (self.state, remote) {
            (State::Init | State::Up, State::AdminDown) => {
                self.enter(now, State::Down, Diagnostic::NEIGHBOUR_DOWN, Cause::Administrative);
            }
            (State::Up, State::Down) => self.enter(now, State::Down, Diagnostic::NEIGHBOUR_DOWN, cause),
            (State::Down, State::Down) => self.advance(now, State::Init),
            (State::Down, State::Init) | (State::Init, State::Init | State::Up) => self.advance(now, State::Up),
            (State::Down, State::AdminDown | State::Up)
            | (State::Init, State::Down)
            | (State::Up, State::Init | State::Up)
            | (State::AdminDown, _) => {}
        }
    }

    /// Coming closer says nothing about the last fall: its diagnostic stays.
    fn advance(&mut self, now: Instant, state: State) {
        self.enter(now, state, self.diagnostic, Cause::Signalled);
    }
}

/// What it means that the other end is down while we are up. One that says that it heard us say so has heard us, though we said
/// no such thing: FRR 8.4 ends a session in these words when it replaces it by another.
fn cause(packet: &Packet, is_successor: bool) -> Cause {
    match packet.diagnostic {
        Diagnostic::ADMINISTRATIVE => Cause::Administrative,
        Diagnostic::NEIGHBOUR_DOWN => Cause::Restarted,
        _ if is_successor => Cause::Restarted,
        _ => Cause::Signalled,
    }
}
