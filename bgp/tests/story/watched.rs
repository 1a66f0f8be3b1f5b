//! Speakers whose ways are watched by real monitors, all in virtual time: what BFD must notice, and what it must not.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::IpAddr,
    time::Duration,
};

use poplin_bgp::{
    BfdConfig, Event, RESTART_TIME,
    bfd::{self, Monitor, Path, Settings, State},
};

use crate::world::{World, address};

const SETTINGS: Settings = Settings { interval: Duration::from_millis(300), multiplier: 3, path: Path::Multihop };
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn an_agent_that_is_killed_and_comes_back_costs_nobody_a_route() {
    for seed in 0..60 {
        let mut lab = Watched::mesh(3, seed);
        let changes = lab.route_changes([1, 2]);

        lab.kill(0, true);
        lab.pass(Duration::from_millis(seed * seed % 4_000));
        lab.revive(0, if seed % 2 == 0 { 0 } else { 2 });
        lab.pass(RESTART_TIME + 10 * SECOND);

        assert_eq!(lab.route_changes([1, 2]), changes, "seed {seed}");
        assert!(lab.are_up(), "seed {seed}");
    }
}

#[test]
fn a_host_that_dies_without_a_word_is_without_routes_a_second_later() {
    for seed in 0..60 {
        let mut lab = Watched::mesh(3, seed);

        lab.kill(0, false);
        lab.pass(SECOND);

        assert_eq!([1, 2].map(|host| lab.world.hosts[host].routes.len()), [1, 1], "seed {seed}");
    }
}

#[test]
fn hosts_that_are_cut_off_from_each_other_lose_each_others_routes_and_get_them_back() {
    for seed in 0..20 {
        let mut lab = Watched::mesh(3, seed);

        lab.sever(0, 1);
        lab.pass(SECOND);
        assert_eq!([0, 1, 2].map(|host| lab.world.hosts[host].routes.len()), [1, 1, 2], "seed {seed}");
        lab.mend();
        lab.pass(100 * SECOND);

        assert!(lab.are_up(), "seed {seed}");
        assert_eq!([0, 1, 2].map(|host| lab.world.hosts[host].routes.len()), [2, 2, 2], "seed {seed}");
    }
}

/// Hosts that know and watch one another, each with one prefix of its own.
struct Watched {
    world: World,
    monitors: Vec<Option<Monitor>>,
    /// What each monitor was last asked for.
    asked: Vec<BTreeMap<IpAddr, Settings>>,
    severed: BTreeSet<(usize, usize)>,
    packets: VecDeque<(usize, usize, Vec<u8>)>,
    /// How many of the packets sent next get lost.
    doomed: usize,
    lives: u64,
}

impl Watched {
    fn mesh(count: usize, seed: u64) -> Self {
        let mut world = World::mesh(&vec![64512; count], seed);
        for host in 0..count {
            world.originate(host, &[&format!("10.0.{host}.0/26")]);
            let neighbours = &mut world.hosts[host].neighbours;
            neighbours.iter_mut().for_each(|one| one.bfd = Some(BfdConfig { settings: SETTINGS, is_strict: false }));
            world.configure(host);
        }
        let mut lab = Self {
            world,
            monitors: (0..count).map(|_| None).collect(),
            asked: vec![BTreeMap::new(); count],
            severed: BTreeSet::new(),
            packets: VecDeque::new(),
            doomed: 0,
            lives: seed << 32,
        };
        (0..count).for_each(|host| lab.begin(host));
        lab.pass(10 * SECOND);
        assert!(lab.are_up(), "seed {seed}");
        lab
    }

    fn begin(&mut self, host: usize) {
        self.lives += 1;
        self.monitors[host] = Some(Monitor::new(self.lives));
        self.asked[host].clear();
    }

    fn kill(&mut self, host: usize, are_told: bool) {
        self.world.kill(host, are_told);
        self.monitors[host] = None;
    }

    /// A new life begins; the first packets it sends get lost.
    fn revive(&mut self, host: usize, doomed: usize) {
        self.doomed = doomed;
        self.begin(host);
        self.world.revive(host);
    }

    fn sever(&mut self, one: usize, other: usize) {
        self.world.sever(one, other);
        self.severed.extend([(one, other), (other, one)]);
    }

    fn mend(&mut self) {
        self.world.mend();
        self.severed.clear();
    }

    /// Lets time pass for all of them.
    fn pass(&mut self, time: Duration) {
        let end = self.world.now + time;
        self.exchange();
        while let Some(at) = self.monitors.iter().flatten().filter_map(Monitor::next_deadline).min() {
            let rest = end.min(at).saturating_duration_since(self.world.now);
            self.world.pass(rest);
            self.exchange();
            if at > end {
                return;
            }
            (0..self.monitors.len()).for_each(|host| self.tell(host, bfd::Event::Tick));
            self.exchange();
        }
    }

    /// Tells monitors what their speakers ask for, and delivers their packets.
    fn exchange(&mut self) {
        for host in 0..self.monitors.len() {
            let wanted = self.world.hosts[host].watched.clone();
            if self.monitors[host].is_some() && wanted != self.asked[host] {
                self.asked[host].clone_from(&wanted);
                self.tell(host, bfd::Event::Watch(wanted));
            }
        }
        while let Some((from, to, octets)) = self.packets.pop_front() {
            self.tell(to, bfd::Event::Received { from: address(from), path: Path::Multihop, octets });
        }
        self.world.settle();
    }

    fn tell(&mut self, host: usize, event: bfd::Event) {
        let Some(monitor) = &mut self.monitors[host] else { return };
        monitor.handle(self.world.now, event);
        let mut views = Vec::new();
        while let Some(action) = monitor.next_action() {
            match action {
                bfd::Action::Send { neighbour, octets } => {
                    let to = (0..self.asked.len()).find(|&other| address(other) == neighbour).unwrap();
                    if self.doomed > 0 {
                        self.doomed -= 1;
                    } else if !self.severed.contains(&(host, to)) {
                        self.packets.push_back((host, to, octets.to_vec()));
                    }
                }
                bfd::Action::Tell(view) => views.push(view),
                bfd::Action::Open { .. } | bfd::Action::Close { .. } => {}
            }
        }
        views.into_iter().for_each(|view| self.world.handle(host, Event::PathChanged(view)));
    }

    fn route_changes<const N: usize>(&self, hosts: [usize; N]) -> [usize; N] {
        hosts.map(|host| self.world.hosts[host].route_changes)
    }

    /// Whether every session is established and every way is seen to work.
    fn are_up(&self) -> bool {
        let pairs = (0..self.asked.len()).flat_map(|one| (0..self.asked.len()).map(move |other| (one, other)));
        let is_up = |one, other| self.world.view(one, other).bfd.is_some_and(|view| view.state == State::Up);
        pairs.filter(|(one, other)| one != other).all(|(one, other)| self.world.is_up(one, other) && is_up(one, other))
    }
}
