//! What monitoring stations are told of neighbours and routes, and when.
//!
//! In: which stations there are to be, when one listens and when it has room; which sessions came and went, and which paths something
//! happened to. Out: octets for each station. A station that comes hears who is up, and then the table a stretch at a time, as it has
//! room; what changes meanwhile it hears at once. What a path is told as stands in the table at the end of each event, so nothing is
//! kept for a station but where its walk has come to. Rules: RFC 7854 §3.2 and §5 to §7, RFC 9069 §5.

mod portion;
mod statistics;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use ipnet::IpNet;

use crate::{
    Action, Address, ConnectionId, SpeakerConfig,
    bmp::{Message, Peer, Reason, System, Up, View},
    rib::Change,
    session::{Established, Goodbye, Parted, Session},
    wire::{self, Dialect, Notification},
};

use super::Speaker;

use portion::Portion;

/// How many prefixes a station hears of at once while it walks the table: some 100 kB, which a link sends in a moment.
const STRETCH: usize = 1000;

/// What one station is to hear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Monitoring {
    /// Which of our tables.
    pub views: BTreeSet<View>,
    /// How often it is told how many of what there are; `None` = never.
    pub statistics: Option<Duration>,
}

/// All that concerns stations.
#[derive(Debug, Default)]
pub(super) struct Monitor {
    wanted: BTreeMap<SocketAddr, Monitoring>,
    stations: BTreeMap<ConnectionId, Station>,
    /// The near and the far TCP port of each BGP connection.
    ports: BTreeMap<ConnectionId, (u16, u16)>,
    /// Prefixes of which something else may be in use since the last event.
    moved: BTreeSet<IpNet>,
    /// Neighbours that told the end of their table since.
    ended: BTreeSet<Address>,
}

/// A station that listens.
#[derive(Debug)]
struct Station {
    address: SocketAddr,
    terms: Monitoring,
    clock: Clock,
    walk: Walk,
    statistics_at: Option<Instant>,
    /// What waits for the end of the event.
    octets: Vec<u8>,
}

/// How far a station has come in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Walk {
    Begins,
    Behind(IpNet),
    Done,
}

/// What time it is for people: a moment, and how long after 1970 it was.
#[derive(Clone, Copy, Debug)]
struct Clock {
    at: Instant,
    since_1970: Duration,
}

impl Clock {
    fn read(self, moment: Instant) -> Duration {
        match moment.checked_duration_since(self.at) {
            Some(later) => self.since_1970 + later,
            None => self.since_1970.saturating_sub(self.at - moment),
        }
    }
}

impl Station {
    fn sees(&self, view: View) -> bool {
        self.terms.views.contains(&view)
    }

    /// Whether it hears of neighbours at all.
    fn sees_neighbours(&self) -> bool {
        self.sees(View::AdjRibInPre) || self.sees(View::AdjRibInPost)
    }

    fn tell(&mut self, message: &Message) {
        message.encode(&mut self.octets);
    }
}

/// Stations come and go.
impl Speaker {
    /// These are all the stations from now on; one whose terms are others begins anew.
    pub(super) fn monitor(&mut self, wanted: BTreeMap<SocketAddr, Monitoring>) {
        if self.monitor.wanted != wanted {
            self.monitor.stations.retain(|_, station| wanted.get(&station.address) == Some(&station.terms));
            self.actions.push_back(Action::Monitor(wanted.clone()));
            self.monitor.wanted = wanted;
            self.note_what_stations_see();
        }
    }

    /// A station listens: it hears who we are and who is up. The table follows when it has room.
    pub(super) fn station_up(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        address: SocketAddr,
        since_1970: Duration,
        system: System,
    ) {
        let Some(terms) = self.monitor.wanted.get(&address).cloned() else { return };
        let statistics_at = terms.statistics.map(|interval| now + interval);
        let (clock, walk) = (Clock { at: now, since_1970 }, Walk::Begins);
        let mut station = Station { address, terms, clock, walk, statistics_at, octets: Vec::new() };
        station.tell(&Message::Initiation(system));
        for session in self.sessions.values() {
            self.tell_up(&mut station, session);
        }
        if station.sees(View::LocRib) {
            station.tell(&Message::PeerUp(table(self.config, clock.read(now)), Up::table(self.config)));
        }
        self.monitor.stations.retain(|_, other| other.address != address);
        self.monitor.stations.insert(connection, station);
        self.note_what_stations_see();
    }

    /// A station has read all it was told: more of the table, if there is more.
    pub(super) fn station_ready(&mut self, connection: ConnectionId) {
        let Some(mut station) = self.monitor.stations.remove(&connection) else { return };
        // A stretch may hold nothing for it, and whoever is told nothing does not ask again.
        while station.walk != Walk::Done && station.octets.is_empty() {
            self.walk(&mut station);
        }
        self.monitor.stations.insert(connection, station);
    }

    pub(super) fn station_down(&mut self, connection: ConnectionId) {
        self.monitor.stations.remove(&connection);
        self.note_what_stations_see();
    }

    /// Our own name or system is another: the table in use was another's.
    pub(super) fn rename_table(&mut self, now: Instant, old: SpeakerConfig) {
        let new = self.config;
        for station in self.monitor.stations.values_mut().filter(|station| station.sees(View::LocRib)) {
            let time = station.clock.read(now);
            station.tell(&Message::PeerDown(table(old, time), Reason::Table));
            station.tell(&Message::PeerUp(table(new, time), Up::table(new)));
            station.walk = Walk::Begins;
        }
    }

    fn note_what_stations_see(&mut self) {
        self.table.note_touched(self.monitor.stations.values().any(Station::sees_neighbours));
    }

    fn walk(&self, station: &mut Station) {
        let after = match station.walk {
            Walk::Behind(prefix) => Some(prefix),
            Walk::Begins | Walk::Done => None,
        };
        let mut portion = Portion::new(self, &station.terms);
        if station.walk == Walk::Begins {
            portion.own();
        }
        let stretch = self.table.stretch(after, STRETCH);
        for (prefix, paths, offer) in stretch.prefixes {
            portion.stands(prefix, paths, &offer);
        }
        station.walk = stretch.last.map_or(Walk::Done, Walk::Behind);
        if station.walk == Walk::Done {
            portion.end_all();
        }
        // When these routes came is not kept: RFC 7854 §4.2 has a zero for that.
        portion.encode(Duration::ZERO, &mut station.octets);
    }
}

/// Sessions come and go.
impl Speaker {
    pub(super) fn ports_known(&mut self, connection: ConnectionId, local: u16, remote: u16) {
        self.monitor.ports.insert(connection, (local, remote));
    }

    pub(super) fn ports_gone(&mut self, connection: ConnectionId) {
        self.monitor.ports.remove(&connection);
    }

    pub(super) fn neighbour_up(&mut self, neighbour: Address) {
        let Some(session) = self.sessions.get(&neighbour) else { return };
        let mut stations = std::mem::take(&mut self.monitor.stations);
        stations.values_mut().for_each(|station| self.tell_up(station, session));
        self.monitor.stations = stations;
    }

    /// All that was told of its routes is void by that, RFC 7854 §4.9.
    pub(super) fn neighbour_down(&mut self, now: Instant, parted: Parted) {
        let Parted { source, goodbye } = parted;
        self.monitor.ended.remove(&source.neighbour);
        let reason = reason(goodbye);
        for station in self.monitor.stations.values_mut().filter(|station| station.sees_neighbours()) {
            let (address, time) = (source.neighbour.ip(), station.clock.read(now));
            let peer = Peer { view: View::AdjRibInPre, address, asn: source.asn, router_id: source.router_id, time };
            station.tell(&Message::PeerDown(peer, reason.clone()));
        }
    }

    pub(super) fn neighbour_told_all(&mut self, neighbour: Address) {
        if !self.monitor.stations.is_empty() {
            self.monitor.ended.insert(neighbour);
        }
    }

    fn tell_up(&self, station: &mut Station, session: &Session) {
        let Some(established) = session.established().filter(|_| station.sees_neighbours()) else { return };
        let (local_port, remote_port) = self.monitor.ports.get(&established.id).copied().unwrap_or_default();
        let up = Up {
            local: established.local.ip(),
            local_port,
            remote_port,
            sent: established.opens.ours.clone(),
            received: established.opens.theirs.clone(),
            is_table: false,
        };
        let time = station.clock.read(session.established_at().unwrap_or(station.clock.at));
        station.tell(&Message::PeerUp(about(View::AdjRibInPre, &established, time), up));
    }
}

/// Routes come and go.
impl Speaker {
    /// Something else may be in use of these prefixes.
    pub(super) fn note_moved(&mut self, changes: &[Change]) {
        if self.monitor.stations.values().any(|station| station.sees(View::LocRib)) {
            let moved = changes.iter().filter(|change| change.before != change.after);
            self.monitor.moved.extend(moved.map(|change| change.prefix));
        }
    }

    /// The event is over: tells what became of all it touched.
    pub(super) fn tell_stations(&mut self, now: Instant) {
        let touched = self.table.take_touched();
        let moved = std::mem::take(&mut self.monitor.moved);
        let ended = std::mem::take(&mut self.monitor.ended);
        let mut stations = std::mem::take(&mut self.monitor.stations);
        for (&connection, station) in &mut stations {
            let mut portion = Portion::new(self, &station.terms);
            touched.iter().for_each(|(neighbour, one)| portion.path(*neighbour, *one));
            moved.iter().for_each(|prefix| portion.in_use(*prefix));
            ended.iter().for_each(|neighbour| portion.end(*neighbour));
            portion.encode(station.clock.read(now), &mut station.octets);
            if !station.octets.is_empty() {
                let octets = std::mem::take(&mut station.octets);
                self.actions.push_back(Action::Report { connection, octets });
            }
        }
        self.monitor.stations = stations;
    }
}

/// A neighbour, as the header of a message names it.
fn about(view: View, session: &Established<'_>, time: Duration) -> Peer {
    let source = session.source();
    Peer { view, address: source.neighbour.ip(), asn: source.asn, router_id: source.router_id, time }
}

/// Ourselves, as the table in use.
fn table(us: SpeakerConfig, time: Duration) -> Peer {
    let address = Ipv4Addr::UNSPECIFIED.into();
    Peer { view: View::LocRib, address, asn: us.asn, router_id: us.router_id, time }
}

fn reason(goodbye: Goodbye) -> Reason {
    let message = |error: Notification| wire::Message::Notification(error).encode(Dialect::PLAIN);
    match goodbye {
        Goodbye::Ours(error) => Reason::Ours(message(error)),
        Goodbye::OursInSilence(event) => Reason::OursInSilence(event),
        Goodbye::Theirs(error) => Reason::Theirs(message(error)),
        Goodbye::Lost => Reason::Lost,
    }
}
