//! One session: the state variables, and what time does to them.
//!
//! In: packets of the other end, the time, the settings. Out: packets, and a [`View`]. Knows nothing of other sessions; which
//! packet is whose was found out before. Rules: RFC 5880 §6.8.1 (variables), §6.8.4 (detection), §6.8.16 (switching off).

mod poll;
mod receive;
mod transmit;

use std::time::{Duration, Instant};

use crate::Address;

use super::{Cause, Diagnostic, Fall, Settings, State, View, timing::Wishes};

use poll::Poll;
use transmit::Sent;

/// One session.
#[derive(Debug)]
pub(super) struct Session {
    neighbour: Address,
    settings: Settings,
    /// Our name for it; not zero, and no other session's.
    discriminator: u32,
    state: State,
    since: Instant,
    diagnostic: Diagnostic,
    remote: Remote,
    /// What our packets tell.
    told: Wishes,
    /// What counts of it: what the other end is not known to have heard of yet may have to wait.
    in_force: Wishes,
    poll: Poll,
    sent: Option<Sent>,
    /// When the last packet was taken.
    heard: Option<Instant>,
    fall: Option<Fall>,
    /// Switched off: until when the other end is still told of it.
    retires_at: Option<Instant>,
}

/// What the other end last told of itself.
#[derive(Debug)]
struct Remote {
    /// Zero while it is not known, or not heard any more.
    discriminator: u32,
    state: State,
    diagnostic: Diagnostic,
    multiplier: u8,
    wishes: Wishes,
    is_demand: bool,
    is_independent: bool,
}

impl Remote {
    /// RFC 5880 §6.8.1: before a word was heard its wish is one microsecond.
    fn unknown() -> Self {
        Self {
            discriminator: 0,
            state: State::Down,
            diagnostic: Diagnostic::NONE,
            multiplier: 0,
            wishes: Wishes { transmit: Duration::ZERO, receive: Duration::from_micros(1) },
            is_demand: false,
            is_independent: false,
        }
    }
}

impl Session {
    pub(super) fn start(now: Instant, neighbour: Address, settings: Settings, discriminator: u32) -> Self {
        let wishes = Wishes::of(&settings, false);
        Self {
            neighbour,
            settings,
            discriminator,
            state: State::Down,
            since: now,
            diagnostic: Diagnostic::NONE,
            remote: Remote::unknown(),
            told: wishes,
            in_force: wishes,
            poll: Poll::Idle,
            sent: None,
            heard: None,
            fall: None,
            retires_at: None,
        }
    }

    /// Takes over other times; the way stays what it was.
    pub(super) fn adopt(&mut self, settings: Settings) {
        self.settings = Settings { path: self.settings.path, ..settings };
        self.renegotiate();
    }

    /// Switched off: the other end hears of it for as long as it would take to miss us, RFC 5880 §6.8.16.
    pub(super) fn retire(&mut self, now: Instant) {
        self.enter(now, State::AdminDown, Diagnostic::ADMINISTRATIVE, Cause::Administrative);
        let missed_after = self.transmit_interval() * self.settings.multiplier().into();
        self.retires_at = Some(now + missed_after);
    }

    /// Whether it is switched off, and the other end had time to hear of it.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.retires_at.is_some_and(|at| at <= now)
    }

    /// Time passed.
    pub(super) fn tick(&mut self, now: Instant) {
        if self.expires_at().is_none_or(|at| at > now) {
            return;
        }
        // Taking the name away ends the wait, so that silence is noticed once.
        self.remote.discriminator = 0;
        match self.state {
            State::Init | State::Up => self.enter(now, State::Down, Diagnostic::EXPIRED, Cause::Silence),
            State::Down | State::AdminDown => {}
        }
    }

    /// When to come back, be it to send or to notice silence.
    pub(super) fn deadline(&self) -> Option<Instant> {
        [self.transmits_at(), self.expires_at(), self.retires_at].into_iter().flatten().min()
    }

    /// When silence has lasted for the detection time; nobody is missed who was not heard.
    fn expires_at(&self) -> Option<Instant> {
        let is_known = self.remote.discriminator != 0;
        self.heard.filter(|_| is_known).map(|heard| heard + self.detection_time())
    }

    /// RFC 5880 §6.8.4: the other end's multiplier times the agreed time between its packets.
    fn detection_time(&self) -> Duration {
        self.in_force.receive.max(self.remote.wishes.transmit) * self.remote.multiplier.into()
    }

    /// Changes the state, and what is told and wished for with it.
    fn enter(&mut self, now: Instant, state: State, diagnostic: Diagnostic, cause: Cause) {
        if self.state == State::Up && state != State::Up {
            let (heard, is_independent) = (self.heard.unwrap_or(now), self.remote.is_independent);
            self.fall = Some(Fall { at: now, heard, cause, is_independent });
        }
        if self.state != state {
            self.since = now;
        }
        self.state = state;
        self.diagnostic = diagnostic;
        self.renegotiate();
    }
}

/// Looking at it from outside.
impl Session {
    pub(super) fn discriminator(&self) -> u32 {
        self.discriminator
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn view(&self) -> View {
        View {
            neighbour: self.neighbour,
            path: self.settings.path,
            state: self.state,
            since: self.since,
            diagnostic: self.diagnostic,
            remote_diagnostic: self.remote.diagnostic,
            transmit_interval: self.transmit_interval(),
            detection_time: self.detection_time(),
            fall: self.fall,
        }
    }
}
