//! When a packet is sent, and what it says.
//!
//! Rules: RFC 5880 §6.8.7 (sending), §6.8.2 (the interval), §6.6 (the other end may ask for silence).

use std::time::{Duration, Instant};

use crate::Chance;

use super::{
    super::{
        Packet, State,
        timing::{draw_jitter, shortened},
    },
    Session,
};

/// The packet last sent in its turn.
#[derive(Debug)]
pub(super) struct Sent {
    at: Instant,
    content: Packet,
    /// By how many hundredths the wait for the next one is shorter than agreed.
    jitter: u32,
}

impl Session {
    /// The packet that is due, if one is.
    pub(in super::super) fn transmit(&mut self, now: Instant, chance: &mut Chance) -> Option<Packet> {
        if self.transmits_at().is_none_or(|at| at > now) {
            return None;
        }
        let packet = Packet { is_poll: self.is_polling(), ..self.packet() };
        let jitter = draw_jitter(chance, self.settings.multiplier());
        self.sent = Some(Sent { at: now, content: packet.content(), jitter });
        Some(packet)
    }

    /// The answer to a poll: at once, and beside the regular packets.
    pub(in super::super) fn answer(&self) -> Packet {
        Packet { is_final: true, ..self.packet() }
    }

    /// When the next packet is due. News are due at once, so that the other end learns of a change of state without waiting.
    /// Computed anew from what was agreed last: a faster agreement counts from the next packet on.
    pub(super) fn transmits_at(&self) -> Option<Instant> {
        if self.is_silenced() {
            return None;
        }
        Some(match &self.sent {
            None => self.since,
            Some(sent) if sent.content != self.packet() => sent.at,
            Some(sent) => sent.at + shortened(self.transmit_interval(), sent.jitter),
        })
    }

    /// Whether the other end wants to hear nothing: at all, or while both know that the way works.
    fn is_silenced(&self) -> bool {
        let both_up = self.state == State::Up && self.remote.state == State::Up;
        self.remote.wishes.receive.is_zero() || (self.remote.is_demand && both_up && !self.is_polling())
    }

    /// The slower of our wish and what the other end can bear.
    pub(super) fn transmit_interval(&self) -> Duration {
        self.in_force.transmit.max(self.remote.wishes.receive)
    }

    /// What is to be said now. Our part lives in the process that speaks BGP, so it shares its fate: C is clear.
    fn packet(&self) -> Packet {
        Packet {
            diagnostic: self.diagnostic,
            state: self.state,
            is_poll: false,
            is_final: false,
            is_independent: false,
            is_demand: false,
            multiplier: self.settings.multiplier(),
            mine: self.discriminator,
            yours: self.remote.discriminator,
            min_transmit: self.told.transmit,
            min_receive: self.told.receive,
            min_echo: Duration::ZERO,
        }
    }
}
