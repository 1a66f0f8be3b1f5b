//! Many sessions, and which packet is whose.
//!
//! In: [`Event`]s. Out: [`Action`]s. Drain them before the next event, and tick when [`Monitor::next_deadline`] says so; packets
//! that have arrived come before the tick, else a late reader takes its own lateness for the other end's silence.
//! Rules: RFC 5880 §6.3 (demultiplexing), §6.8.6 (selecting the session); ports of RFC 5881 §4 and RFC 5883 §5.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Instant,
};

use crate::{Address, Chance};

use super::{Malformed, PACKET_OCTETS, Packet, Path, Settings, View, schedule::Schedule, session::Session};

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Time passed: the deadline is reached.
    Tick,
    /// These are all the ways to be watched from now on; the differences begin, end, or take over other times.
    Watch(BTreeMap<Address, Settings>),
    /// A packet came to the port of this path.
    Received {
        /// Whence.
        from: Address,
        /// To which port.
        path: Path,
        /// The payload.
        octets: Vec<u8>,
    },
}

/// What should be done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Be ready to send to this neighbour, from a source port that no other session has.
    Open {
        /// Whom.
        neighbour: Address,
        /// To which port.
        path: Path,
    },
    /// Send this packet.
    Send {
        /// Whom.
        neighbour: Address,
        /// What.
        octets: [u8; PACKET_OCTETS],
    },
    /// Nothing more is sent to this neighbour.
    Close {
        /// Whom.
        neighbour: Address,
    },
    /// Something changed about this session.
    Tell(View),
}

/// All sessions of one system.
#[derive(Debug)]
pub struct Monitor {
    sessions: BTreeMap<Address, Session>,
    /// Whose each discriminator of ours is.
    names: BTreeMap<u32, Address>,
    /// What was last told of each session that is watched.
    told: BTreeMap<Address, View>,
    schedule: Schedule,
    chance: Chance,
    actions: VecDeque<Action>,
    /// Packets that belonged to nobody or were malformed.
    discarded: u64,
    last_flaw: Option<(Address, Malformed)>,
}

impl Monitor {
    /// Watches nothing yet. Two monitors of one seed draw the same numbers.
    pub fn new(seed: u64) -> Self {
        Self {
            sessions: BTreeMap::new(),
            names: BTreeMap::new(),
            told: BTreeMap::new(),
            schedule: Schedule::default(),
            chance: Chance::of(seed),
            actions: VecDeque::new(),
            discarded: 0,
            last_flaw: None,
        }
    }

    /// Something happened at this time, which never runs backwards.
    pub fn handle(&mut self, now: Instant, event: Event) {
        match event {
            Event::Tick => self.tick(now),
            Event::Watch(wanted) => self.watch(now, &wanted),
            Event::Received { from, path, octets } => self.receive(now, from.to_canonical(), path, &octets),
        }
    }

    /// What should be done next; drain until `None` before the next event.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When to come back with [`Event::Tick`], even if nothing happens until then.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.schedule.next()
    }

    /// How many packets were discarded, and the last flaw of form among them.
    pub fn discarded(&self) -> (u64, Option<(Address, Malformed)>) {
        (self.discarded, self.last_flaw)
    }

    fn tick(&mut self, now: Instant) {
        for neighbour in self.schedule.due(now) {
            self.with(now, neighbour, |session| session.tick(now));
            if self.sessions.get(&neighbour).is_some_and(|session| session.is_over(now)) {
                self.close(neighbour);
            }
        }
    }

    fn watch(&mut self, now: Instant, wanted: &BTreeMap<Address, Settings>) {
        let left: Vec<Address> =
            self.told.keys().filter(|neighbour| !wanted.contains_key(neighbour)).copied().collect();
        left.into_iter().for_each(|neighbour| self.retire(now, neighbour));
        for (&neighbour, &settings) in wanted {
            let is_watched = self.told.contains_key(&neighbour);
            let known = self.sessions.get(&neighbour).filter(|_| is_watched).map(|session| session.settings().path);
            match known {
                Some(path) if path == settings.path => self.with(now, neighbour, |session| session.adopt(settings)),
                Some(_) | None => self.begin(now, neighbour, settings),
            }
        }
    }

    /// The other end is told that nobody watches any more; what becomes of this session interests nobody.
    fn retire(&mut self, now: Instant, neighbour: Address) {
        self.told.remove(&neighbour);
        self.with(now, neighbour, |session| session.retire(now));
    }

    /// A session of this neighbour that still stands, switched off or on another path, makes room.
    fn begin(&mut self, now: Instant, neighbour: Address, settings: Settings) {
        if self.sessions.contains_key(&neighbour) {
            self.retire(now, neighbour);
            self.close(neighbour);
        }
        let discriminator = self.draw_discriminator();
        let session = Session::start(now, neighbour, settings, discriminator);
        self.names.insert(discriminator, neighbour);
        self.told.insert(neighbour, session.view());
        self.actions.push_back(Action::Open { neighbour, path: settings.path });
        self.actions.push_back(Action::Tell(session.view()));
        self.sessions.insert(neighbour, session);
        self.with(now, neighbour, |_| ());
    }

    fn close(&mut self, neighbour: Address) {
        if let Some(session) = self.sessions.remove(&neighbour) {
            self.names.remove(&session.discriminator());
            self.schedule.set(neighbour, None);
            self.actions.push_back(Action::Close { neighbour });
        }
    }

    /// Not zero, and unlike all others: RFC 5880 §6.8.1.
    fn draw_discriminator(&mut self) -> u32 {
        loop {
            let number = self.chance.number();
            if number != 0 && !self.names.contains_key(&number) {
                return number;
            }
        }
    }

    fn receive(&mut self, now: Instant, from: Address, path: Path, octets: &[u8]) {
        let packet = match Packet::decode(octets) {
            Ok(packet) => packet,
            Err(flaw) => {
                self.last_flaw = Some((from, flaw));
                return self.discard();
            }
        };
        let Some(neighbour) = self.session_of(from, path, &packet) else { return self.discard() };
        let mut is_poll = false;
        self.with(now, neighbour, |session| is_poll = session.receive(now, &packet));
        if let Some(session) = self.sessions.get(&neighbour).filter(|_| is_poll) {
            self.actions.push_back(Action::Send { neighbour, octets: session.answer().encode() });
        }
    }

    fn discard(&mut self) {
        self.discarded += 1;
    }

    /// By our own discriminator where the packet names one, else by its source.
    fn session_of(&self, from: Address, path: Path, packet: &Packet) -> Option<Address> {
        let neighbour = match packet.yours {
            0 => from,
            name => *self.names.get(&name)?,
        };
        self.sessions.get(&neighbour).filter(|session| session.settings().path == path).map(|_| neighbour)
    }

    /// Lets something happen to a session, sends what is due after it, and tells what changed.
    fn with(&mut self, now: Instant, neighbour: Address, change: impl FnOnce(&mut Session)) {
        let Some(session) = self.sessions.get_mut(&neighbour) else { return };
        change(session);
        if let Some(packet) = session.transmit(now, &mut self.chance) {
            self.actions.push_back(Action::Send { neighbour, octets: packet.encode() });
        }
        self.schedule.set(neighbour, session.deadline());
        let view = session.view();
        if let Some(told) = self.told.get_mut(&neighbour).filter(|told| **told != view) {
            *told = view.clone();
            self.actions.push_back(Action::Tell(view));
        }
    }
}
