//! One BGP speaker: many sessions around one table.
//!
//! In: events. Out: actions. Hands each event to the session it concerns, and what the sessions tell to the table; what the
//! table decides becomes routes to install. Knows nothing of octets. Rules: RFC 4271 §3.

mod action;
mod configure;
mod event;
mod export;
mod hold;
mod import;
mod limit;
mod monitor;
mod note;
mod octets;
mod order;
mod outbox;
mod path;
mod protect;
mod receipt;
mod restart;
mod retire;
mod stranger;
mod view;
mod wait;
mod watch;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Instant,
};

use ipnet::IpNet;

use crate::{
    Address, Best, Protection, Route, bfd,
    rib::{Change, Own, Said, Table},
    session::{Effect, Session},
};

pub use action::Action;
pub use event::{ConnectionId, Event, SpeakerConfig};
pub use monitor::Monitoring;
pub use note::Note;
pub use octets::Octets;
pub use order::{Order, OrderRefusal};
pub use view::{Advertised, FamilyCount, NeighbourDetail, NeighbourView};
pub use watch::{BestChange, Way};

use export::Terms;
use hold::Held;
use monitor::Monitor;
use outbox::Outbox;
use receipt::Receipts;
use stranger::Strangers;
use wait::Wait;

/// One BGP speaker.
#[derive(Debug)]
pub struct Speaker {
    config: SpeakerConfig,
    sessions: BTreeMap<Address, Session>,
    /// Whose each open connection is.
    connections: BTreeMap<ConnectionId, Address>,
    /// The ways to neighbours that BFD was last asked to watch.
    watched: BTreeMap<Address, bfd::Settings>,
    /// The protection that was last asked for.
    protected: BTreeMap<Address, Protection>,
    /// The sessions that an operator's order holds down.
    held: BTreeMap<Address, Held>,
    /// How BFD last saw them.
    paths: BTreeMap<Address, bfd::View>,
    table: Table,
    /// What its paths share.
    said: Said,
    terms: Terms,
    /// When the first event came.
    started: Option<Instant>,
    /// Who has told us its whole table since then.
    synchronised: BTreeSet<Address>,
    /// Whom we still owe the mark that our table is complete.
    unended: BTreeSet<Address>,
    /// Whether neighbours may come that are not configured yet.
    expects_callers: bool,
    /// Whether somebody wants to hear of every change of a best path.
    is_watched: bool,
    monitor: Monitor,
    strangers: Strangers,
    outbox: Outbox,
    /// Of connections where something waits.
    waits: BTreeMap<ConnectionId, Wait>,
    receipts: Receipts,
    /// Room for the changes of the next update.
    spare: Vec<Change>,
    actions: VecDeque<Action>,
}

impl Speaker {
    /// A speaker without neighbours and without prefixes.
    pub fn new(config: SpeakerConfig) -> Self {
        Self {
            config,
            sessions: BTreeMap::new(),
            connections: BTreeMap::new(),
            watched: BTreeMap::new(),
            protected: BTreeMap::new(),
            held: BTreeMap::new(),
            paths: BTreeMap::new(),
            table: Table::default(),
            said: Said::default(),
            terms: Terms::new(),
            started: None,
            synchronised: BTreeSet::new(),
            unended: BTreeSet::new(),
            expects_callers: false,
            is_watched: false,
            monitor: Monitor::default(),
            strangers: Strangers::default(),
            outbox: Outbox::default(),
            waits: BTreeMap::new(),
            receipts: Receipts::default(),
            spare: Vec::new(),
            actions: VecDeque::new(),
        }
    }

    /// Something happened at this time, which never runs backwards.
    pub fn handle(&mut self, now: Instant, event: Event) {
        self.started.get_or_insert(now);
        match event {
            Event::Tick => self.tick(now),
            Event::Reconfigure { config, neighbours } => self.reconfigure(now, config, neighbours),
            Event::Originate(prefixes) => self.originate(Own::new(prefixes)),
            Event::Ordered { neighbour, order } => self.obey(now, neighbour.to_canonical(), order),
            Event::Watched(is_watched) => self.is_watched = is_watched,
            Event::ExpectsCallers(expects_callers) => self.expects_callers = expects_callers,
            Event::Share(multipath) => {
                let changes = self.table.share(multipath);
                self.follow(changes);
            }
            Event::ConnectionOpened { connection, neighbour, outgoing, local } => {
                self.opened(now, connection, neighbour.to_canonical(), outgoing, local.to_canonical());
            }
            Event::ConnectFailed { neighbour, reason } => {
                self.with_session(now, neighbour.to_canonical(), |session| session.dial_failed(now, reason));
            }
            Event::Received { connection, octets } => {
                self.with_connection(now, connection, |session| session.received(now, connection, &octets));
            }
            Event::Waits { connection, octets } => self.waits(now, connection, octets),
            Event::Awaited { prefixes, neighbours } => self.await_receipts(prefixes, neighbours),
            Event::Acknowledged { connection } => self.acknowledged(connection),
            Event::ConnectionClosed { connection, reason } => {
                self.with_connection(now, connection, |session| session.lost(now, connection, reason));
                self.forget_connection(connection);
            }
            Event::PathChanged(view) => self.path_changed(now, view),
            Event::ConnectionPorts { connection, local, remote } => self.ports_known(connection, local, remote),
            Event::Monitor(stations) => self.monitor(stations),
            Event::StationUp { connection, station, since_1970, system } => {
                self.station_up(now, connection, station, since_1970, system);
            }
            Event::StationReady { connection } => self.station_ready(connection),
            Event::StationDown { connection } => self.station_down(connection),
        }
        self.retire(now);
        self.tell_stations(now);
        self.outbox.take_all().into_iter().for_each(|action| self.ask(action));
        self.ask_for_receipts();
    }

    /// What should be done next; drain until `None` before the next event.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When to come back with [`Event::Tick`], even if nothing happens until then.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.sessions
            .values()
            .filter_map(Session::deadline)
            .chain(self.deferral_ends())
            .chain(self.statistics_due())
            .min()
    }

    /// Why the traffic to exactly this prefix goes where it goes; `None` if we install nothing for it.
    pub fn best(&self, prefix: IpNet) -> Option<Best> {
        self.table.best(&prefix.trunc())
    }

    /// Every path of every neighbour, by prefix, then by neighbour.
    pub fn routes(&self) -> impl Iterator<Item = Route> {
        self.table.routes()
    }

    fn tick(&mut self, now: Instant) {
        let due = self.sessions.iter().filter(|(_, session)| session.deadline().is_some_and(|at| at <= now));
        let due: Vec<_> = due.map(|(&address, _)| address).collect();
        due.into_iter().for_each(|address| self.with_session(now, address, |session| session.tick(now)));
        self.end_tables(now);
        self.tick_stations(now);
    }

    fn opened(&mut self, now: Instant, connection: ConnectionId, neighbour: Address, outgoing: bool, local: Address) {
        if !self.sessions.contains_key(&neighbour) {
            return self.turn_stranger_away(now, connection, neighbour, outgoing);
        }
        self.connections.insert(connection, neighbour);
        let is_restarting = self.is_restarting(now, neighbour);
        self.with_session(now, neighbour, |session| session.opened(now, connection, outgoing, local, is_restarting));
    }

    fn with_connection(&mut self, now: Instant, connection: ConnectionId, change: impl FnOnce(&mut Session)) {
        if let Some(&neighbour) = self.connections.get(&connection) {
            self.with_session(now, neighbour, change);
        }
    }

    /// Lets something happen to a session, and carries out what it wants.
    fn with_session(&mut self, now: Instant, neighbour: Address, change: impl FnOnce(&mut Session)) {
        let Some(session) = self.sessions.get_mut(&neighbour) else { return };
        change(session);
        for effect in session.take_effects(now) {
            self.carry_out(now, neighbour, effect);
        }
    }

    fn carry_out(&mut self, now: Instant, neighbour: Address, effect: Effect) {
        match effect {
            Effect::Act(action) => self.act(action),
            Effect::Up => {
                self.neighbour_up(neighbour);
                self.send_table(now, neighbour);
                self.look_for_receipt(neighbour);
            }
            Effect::Parted(parted) => self.neighbour_down(now, parted),
            Effect::Down => {
                let changes = self.table.forget(neighbour);
                self.follow_end(changes);
            }
            Effect::Keep(families) => {
                let changes = self.table.keep(neighbour, &families);
                self.follow(changes);
            }
            Effect::Age(families) => self.age(neighbour, &families),
            Effect::Bypass => {
                let changes = self.table.bypass(neighbour);
                self.follow(changes);
            }
            Effect::Doubt(family) => self.table.doubt(neighbour, family),
            Effect::Sweep(families) => {
                let changes = self.table.sweep(neighbour, &families);
                self.follow_end(changes);
            }
            Effect::Synchronised => {
                self.neighbour_told_all(neighbour);
                self.synchronise(now, neighbour);
            }
            Effect::Update(update) => {
                self.import(neighbour, update);
                self.count(now, neighbour);
            }
            Effect::Refresh(family) => self.send_family(now, neighbour, family),
        }
    }

    /// Many paths may have gone, and with them what they shared.
    fn follow_end(&mut self, changes: Vec<Change>) {
        let gone = changes.len();
        self.follow(changes);
        self.said.changed(gone);
    }

    fn act(&mut self, action: Action) {
        if let Action::Send { connection, .. } | Action::Close { connection } = action {
            self.outbox.take(connection).into_iter().for_each(|action| self.ask(action));
        }
        if let Action::Close { connection } = action {
            self.forget_connection(connection);
        }
        self.ask(action);
    }

    fn ask(&mut self, action: Action) {
        self.count_waiting(&action);
        self.actions.push_back(action);
    }

    fn forget_connection(&mut self, connection: ConnectionId) {
        self.connections.remove(&connection);
        self.waits.remove(&connection);
        self.forget_receipt(connection);
        self.ports_gone(connection);
    }

    /// Turns changes of the table into routes for the kernel.
    fn install(&mut self, changes: &mut Vec<Change>) {
        let moved = changes.drain(..).filter_map(|Change { prefix, moved, .. }| Some((prefix, moved?)));
        self.actions.extend(moved.map(|(prefix, next_hops)| match next_hops {
            Some(next_hops) => Action::Install { prefix, next_hops },
            None => Action::Remove { prefix },
        }));
    }
}
