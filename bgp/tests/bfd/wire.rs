//! Two monitors, each watching the other, and a wire between them.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use poplin_bgp::{
    Address,
    bfd::{Action, Event, Monitor, Packet, Path, Settings, State, View},
};

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn settings(interval: Duration, multiplier: u8) -> Settings {
    Settings { interval, multiplier, path: Path::Direct }
}

pub(crate) fn address(end: usize) -> Address {
    Address::from([192, 0, 2, u8::try_from(end + 1).unwrap()])
}

/// One packet that was sent, whether it arrived or not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) at: Instant,
    pub(crate) from: usize,
    pub(crate) packet: Packet,
}

/// Two ends and what is under way between them.
pub(crate) struct Wire {
    pub(crate) now: Instant,
    pub(crate) began: Instant,
    monitors: [Monitor; 2],
    settings: [Settings; 2],
    /// How long a packet takes from each end to the other.
    latency: [Duration; 2],
    under_way: VecDeque<(Instant, usize, Vec<u8>)>,
    /// Whether this packet, the number-th of its sender, is lost.
    pub(crate) loses: Box<dyn FnMut(usize) -> bool>,
    pub(crate) log: Vec<Seen>,
    pub(crate) views: [Vec<View>; 2],
    /// Ends that do nothing at all.
    pub(crate) stopped: [bool; 2],
}

impl Wire {
    /// Both ends begin at once.
    pub(crate) fn between(seed: u64, one: Settings, other: Settings) -> Self {
        let mut wire = Self::dark(seed, one, other);
        wire.watch(0);
        wire.watch(1);
        wire
    }

    /// Neither end watches yet.
    pub(crate) fn dark(seed: u64, one: Settings, other: Settings) -> Self {
        let now = Instant::now();
        Self {
            now,
            began: now,
            monitors: [Monitor::new(seed), Monitor::new(!seed)],
            settings: [one, other],
            latency: [millis(1), millis(2)],
            under_way: VecDeque::new(),
            loses: Box::new(|_| false),
            log: Vec::new(),
            views: [Vec::new(), Vec::new()],
            stopped: [false, false],
        }
    }

    /// This end watches the other, with its settings as they stand.
    pub(crate) fn watch(&mut self, end: usize) {
        let wanted = BTreeMap::from([(address(1 - end), self.settings[end])]);
        self.handle(end, Event::Watch(wanted));
    }

    pub(crate) fn unwatch(&mut self, end: usize) {
        self.handle(end, Event::Watch(BTreeMap::new()));
    }

    pub(crate) fn change(&mut self, end: usize, settings: Settings) {
        self.settings[end] = settings;
        self.watch(end);
    }

    /// This end's process dies and begins anew; it knows nothing of before.
    pub(crate) fn restart(&mut self, end: usize, seed: u64) {
        self.monitors[end] = Monitor::new(seed);
        self.watch(end);
    }

    /// This end stops, as by SIGSTOP; what is sent to it is lost.
    pub(crate) fn stop(&mut self, end: usize) {
        self.stopped[end] = true;
    }

    pub(crate) fn view(&self, end: usize) -> &View {
        self.views[end].last().unwrap()
    }

    pub(crate) fn are_up(&self) -> bool {
        [0, 1].map(|end| self.view(end).state) == [State::Up, State::Up]
    }

    /// How often either end left the state Up.
    pub(crate) fn falls(&self) -> usize {
        let falls = |views: &[View]| views.windows(2).filter(|pair| pair[0].fall != pair[1].fall).count();
        self.views.iter().map(|views| falls(views)).sum()
    }

    /// Lets time pass; arrivals come before the tick of the same moment, as the hands do it.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.next().filter(|at| *at <= end) {
            assert!(at >= self.now, "a deadline lies in the past after its tick");
            self.now = at;
            self.deliver();
            for one in [0, 1] {
                if self.deadline(one).is_some_and(|deadline| deadline <= self.now) {
                    self.handle(one, Event::Tick);
                    assert!(self.deadline(one).is_none_or(|deadline| deadline > self.now), "a tick moves on");
                }
            }
        }
        self.now = end;
    }

    fn next(&self) -> Option<Instant> {
        let arrival = self.under_way.iter().map(|(at, ..)| *at).min();
        arrival.into_iter().chain([0, 1].into_iter().filter_map(|end| self.deadline(end))).min()
    }

    fn deadline(&self, end: usize) -> Option<Instant> {
        self.monitors[end].next_deadline().filter(|_| !self.stopped[end])
    }

    fn deliver(&mut self) {
        while let Some(place) = self.under_way.iter().position(|(at, ..)| *at <= self.now) {
            let (_, to, octets) = self.under_way.remove(place).unwrap();
            if !self.stopped[to] {
                self.handle(to, Event::Received { from: address(1 - to), path: self.settings[to].path, octets });
            }
        }
    }

    fn handle(&mut self, end: usize, event: Event) {
        self.monitors[end].handle(self.now, event);
        while let Some(action) = self.monitors[end].next_action() {
            match action {
                Action::Send { octets, .. } => self.send(end, &octets),
                Action::Tell(view) => self.views[end].push(view),
                Action::Open { .. } | Action::Close { .. } => {}
            }
        }
    }

    fn send(&mut self, from: usize, octets: &[u8]) {
        self.log.push(Seen { at: self.now, from, packet: Packet::decode(octets).unwrap() });
        if !(self.loses)(from) {
            self.under_way.push_back((self.now + self.latency[from], 1 - from, octets.to_vec()));
        }
    }
}
