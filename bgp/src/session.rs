//! The life of one neighbour: dialling, agreeing, staying in touch, hanging up.
//!
//! In: what happens on its connections, and the time. Out: octets, dials, closings, and the routes it speaks of.
//! Knows nothing of the table and of other neighbours. Rules: RFC 4271 §8, RFC 4724 and RFC 9494 (restarts).
//!
//! The standard runs one state machine for each connection of a neighbour (§8.2.1), so the states are split likewise:
//! what is true of a connection is in [`connection`], what is true between connections in [`dial`], what two rival
//! connections mean to each other in `collision`, and what outlives them all in [`restart`] and [`long_lived`], what BFD says about the way
//! in `path`, what a changed configuration does in [`terms`], and what keeps strangers off in [`protection`].
//!
//! ```text
//!   Idle ──rest over──> Connect ──connected──> OpenSent ──OPEN──> OpenConfirm ──KEEPALIVE──> Established
//!    ^                   │   ^                    ^
//!    │             failed v   │ time to dial      │ called
//!    └──── error ──     Active ───────────────────┘
//! ```

mod collision;
mod config;
mod connection;
mod dial;
mod effect;
mod end;
mod gentle;
mod limit;
mod long_lived;
mod monitor;
mod negotiate;
mod path;
mod protection;
mod receive;
mod record;
mod refresh;
mod restart;
mod role;
mod send_hold;
mod shutdown;
mod terms;
mod times;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use crate::{
    Action, Address, Asn, ConnectionId, Note, SpeakerConfig,
    wire::{Capability, Family, Fault, Message},
};

use connection::Connection;
use dial::Dial;
use long_lived::Ages;
use negotiate::our_open;

pub use config::{BfdConfig, Exchange, NeighbourConfig, RemoteAs, SessionState};
pub(crate) use connection::Established;
pub(crate) use effect::Effect;
pub use limit::{LimitAction, PrefixLimits};
pub(crate) use monitor::{Goodbye, Parted};
pub use protection::Protection;
pub use record::{Record, Refused, Tally};
pub use restart::{RESTART_SECS_MAX, RESTART_TIME};
pub use role::RoleConfig;
pub use times::Times;

/// One neighbour, with at most one connection of each direction; a restarted neighbour's call stands for a moment beside
/// the connection that it will replace.
#[derive(Debug)]
pub(crate) struct Session {
    config: NeighbourConfig,
    us: SpeakerConfig,
    dial: Dial,
    /// How many ends in a row came before a session had lasted; the rests grow with it.
    failures: u32,
    connections: Vec<Connection>,
    /// Until when stale routes are kept; `None` if there are none.
    stale_until: Option<Instant>,
    /// For how long routes are kept after that, as a last choice.
    ages: Ages,
    /// Until when that is, by family, once it has begun.
    aged_until: BTreeMap<Family, Instant>,
    /// When a session last ended without a word.
    lost_at: Option<Instant>,
    /// When a session last ended because BFD did not see the neighbour any more.
    blinded_at: Option<Instant>,
    /// Whether BFD sees the neighbour.
    is_path_up: bool,
    effects: Vec<Effect>,
    state: SessionState,
    since: Instant,
    last_error: Option<String>,
    /// What the neighbour last said before it hung up, until there is a session again.
    farewell: Option<String>,
    /// The families of which the neighbour was said to offer too many prefixes.
    excessive: BTreeSet<Family>,
    record: Record,
}

impl Session {
    /// Dials at once, unless we are to wait for the call.
    pub(crate) fn start(now: Instant, us: SpeakerConfig, config: NeighbourConfig, is_path_up: bool) -> Self {
        let mut session = Self {
            config,
            us,
            dial: Dial::Quiet,
            failures: 0,
            connections: Vec::new(),
            stale_until: None,
            ages: Ages::new(),
            aged_until: BTreeMap::new(),
            lost_at: None,
            blinded_at: None,
            is_path_up,
            effects: Vec::new(),
            state: SessionState::Idle,
            since: now,
            last_error: None,
            farewell: None,
            excessive: BTreeSet::new(),
            record: Record::default(),
        };
        session.call(now);
        session
    }

    /// A TCP connection stands; our OPEN on it says whether we have restarted.
    pub(crate) fn opened(
        &mut self,
        now: Instant,
        id: ConnectionId,
        outgoing: bool,
        local: Address,
        is_restarting: bool,
    ) {
        match self.dial {
            Dial::Resting { .. } => return self.turn_away(id, "resting after an error"),
            Dial::Stopped => return self.turn_away(id, "there is to be no session"),
            Dial::Quiet | Dial::Waiting { .. } | Dial::Dialling { .. } => {}
        }
        if outgoing {
            self.stop_dialling();
        }
        if self.is_held_back() {
            return self.turn_away(id, self.why_held_back());
        }
        let succeeds = !outgoing && self.may_be_superseded(now);
        if self.established().is_some() && !succeeds {
            self.send(now, id, Fault::COLLISION.bare());
            return self.turn_away(id, "a session is established already");
        }
        self.replace_same_direction(now, outgoing);
        let open = our_open(self.us, &self.config, local, is_restarting);
        let terms = self.config.clone();
        self.connections.push(Connection::open(now, id, outgoing, succeeds, local, open.capabilities.clone(), terms));
        let open = Message::from(open);
        self.say_first(id, &open);
        self.send(now, id, open);
    }

    /// Our dial came to nothing.
    pub(crate) fn dial_failed(&mut self, now: Instant, reason: String) {
        let Dial::Dialling { .. } = self.dial else { return };
        self.dial = Dial::Waiting { until: now + self.config.connect_retry() };
        self.remember(reason.clone(), false);
        self.note(Note::ConnectFailed { neighbour: self.config.address, reason });
    }

    /// Time passed.
    pub(crate) fn tick(&mut self, now: Instant) {
        let ids: Vec<_> = self.connections.iter().map(|connection| connection.id).collect();
        ids.into_iter().for_each(|id| self.tick_connection(now, id));
        self.tick_stale(now);
        self.tick_refreshes(now);
        if self.connections.is_empty() && self.dial.deadline().is_some_and(|deadline| deadline <= now) {
            self.call(now);
        }
    }

    fn tick_connection(&mut self, now: Instant, id: ConnectionId) {
        let Some(connection) = self.connection(id) else { return };
        if connection.has_expired(now) {
            self.fail(now, id, Fault::HOLD_EXPIRED.bare());
        } else if self.is_stuck(now, connection) {
            self.fail(now, id, Fault::SEND_HOLD_EXPIRED.bare());
        } else if connection.owes_keepalive(now) {
            self.send_keepalive(now, id);
        }
    }

    /// When to come back with [`Session::tick`].
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let stuck = self.connections.iter().filter_map(|connection| self.send_until(connection));
        let connections = self.connections.iter().filter_map(Connection::deadline).chain(stuck).min();
        let next = if self.connections.is_empty() { self.dial.deadline() } else { connections };
        next.into_iter().chain(self.stale_until).chain(self.aged_until.values().copied()).min()
    }

    /// Ends what there is and begins anew at once, as an operator asked.
    pub(crate) fn reset(&mut self, now: Instant) {
        self.failures = 0;
        let ids: Vec<_> = self.connections.iter().map(|connection| connection.id).collect();
        if ids.is_empty() {
            self.call(now);
        }
        ids.into_iter().for_each(|id| self.fail(now, id, Fault::RESET.bare()));
    }

    /// Dials, if that is our part and nothing holds us back; else just listens.
    fn call(&mut self, now: Instant) {
        if self.config.passive || self.is_held_back() {
            self.dial = if self.config.shutdown.is_some() { Dial::Stopped } else { Dial::Quiet };
            return;
        }
        self.dial = Dial::Dialling { retry_at: now + self.config.connect_retry() };
        self.act(Action::Connect { neighbour: self.config.address, port: self.config.port });
    }

    /// There is a connection of ours, or a session over the neighbour's. A call that came later would have to be closed again; and a FRR that is
    /// called while it has a session takes the caller for restarted, and ends it.
    fn stop_dialling(&mut self) {
        match self.dial {
            Dial::Quiet | Dial::Resting { .. } | Dial::Stopped => {}
            Dial::Waiting { .. } | Dial::Dialling { .. } => {
                self.dial = Dial::Quiet;
                self.act(Action::StopDialling { neighbour: self.config.address });
            }
        }
    }
}

/// Looking at it from outside.
impl Session {
    pub(crate) fn config(&self) -> &NeighbourConfig {
        &self.config
    }

    /// The system it is in, by the configuration or by its OPEN.
    pub(crate) fn asn(&self) -> Option<Asn> {
        let said = || self.connections.iter().find_map(|connection| Some(connection.agreed()?.source.asn));
        self.config.asn.named().or_else(said)
    }

    pub(crate) fn state(&self) -> SessionState {
        let furthest = self.connections.iter().map(Connection::state).max();
        furthest.unwrap_or(self.dial.state())
    }

    pub(crate) fn since(&self) -> Instant {
        self.since
    }

    /// When the session was established that stands now.
    pub(crate) fn established_at(&self) -> Option<Instant> {
        self.connections.iter().find_map(Connection::established_at)
    }

    pub(crate) fn record(&self) -> &Record {
        &self.record
    }

    /// So many UPDATEs were sent to it.
    pub(crate) fn count_updates(&mut self, count: u64) {
        self.record.sent.updates += count;
    }

    /// So many of its prefixes were turned away.
    pub(crate) fn count_refused(&mut self, refused: Refused) {
        self.record.refused.add(refused);
    }

    /// What both sides said they can do, on the connection that came the furthest; what the neighbour can is empty before its OPEN.
    pub(crate) fn capabilities(&self) -> (&[Capability], &[Capability]) {
        let furthest = self.connections.iter().max_by_key(|connection| connection.state());
        furthest.map_or((&[], &[]), |connection| {
            (&connection.capabilities, connection.agreed().map_or(&[], |agreed| &agreed.capabilities))
        })
    }

    pub(crate) fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }

    /// The connection over which routes are exchanged.
    pub(crate) fn established(&self) -> Option<Established<'_>> {
        self.connections.iter().find_map(|connection| connection.established(&self.config))
    }

    /// What is to be done, in order; notes when the state changed meanwhile.
    pub(crate) fn take_effects(&mut self, now: Instant) -> Vec<Effect> {
        let state = self.state();
        if state != self.state {
            self.state = state;
            self.since = now;
        }
        std::mem::take(&mut self.effects)
    }
}

/// Its connections, by name.
impl Session {
    fn connection(&self, id: ConnectionId) -> Option<&Connection> {
        self.connections.iter().find(|connection| connection.id == id)
    }

    fn connection_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.connections.iter_mut().find(|connection| connection.id == id)
    }

    fn remove(&mut self, id: ConnectionId) -> Option<Connection> {
        let position = self.connections.iter().position(|connection| connection.id == id)?;
        Some(self.connections.swap_remove(position))
    }
}
