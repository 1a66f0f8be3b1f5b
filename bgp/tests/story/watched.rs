//! Speakers whose ways are watched by real monitors, all in virtual time: what BFD must notice, and what it must not.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use poplin_bgp::{
    Address, BfdConfig, Event, RESTART_TIME,
    bfd::{self, Monitor, Path, Settings, State},
};

use crate::world::{World, address};

const SETTINGS: Settings = Settings { interval: Duration::from_millis(300), multiplier: 3, path: Path::Multihop };
const SECOND: Duration = Duration::from_secs(1);

/// How long what was reflected outlives all reflectors.
const KEPT: Duration = Duration::from_secs(60);

fn is_reflector(host: Address) -> bool {
    host == address(0) || host == address(1)
}

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

#[test]
fn all_watched_reflectors_die_and_no_route_is_lost_until_the_time_is_over() {
    for (seed, are_told) in (0..2).flat_map(|seed| [(seed, true), (seed, false)]) {
        let mut lab = Watched::reflected(4, seed);
        let changes = lab.route_changes([2, 3]);

        (0..2).for_each(|reflector| lab.kill(reflector, are_told));
        lab.pass(KEPT - SECOND);
        assert_eq!(lab.route_changes([2, 3]), changes, "seed {seed}, told {are_told}: a route was touched");
        assert!((2..4).all(|host| lab.is_kept(host)), "seed {seed}, told {are_told}");

        lab.pass(RESTART_TIME + 20 * SECOND);
        assert!((2..4).all(|host| lab.world.hosts[host].routes.is_empty()), "seed {seed}: the time is over");
    }
}

#[test]
fn hosts_cut_off_from_all_their_reflectors_keep_the_routes_and_find_everything_as_it_was() {
    for seed in 0..3 {
        let mut lab = Watched::reflected(4, seed);
        let changes = lab.route_changes([2, 3]);

        [2, 3].into_iter().for_each(|host| lab.cut_off(host));
        lab.pass(Duration::from_secs(2 + seed * 5));
        assert!((2..4).all(|host| lab.is_kept(host)), "seed {seed}");
        lab.mend();
        lab.pass(RESTART_TIME + 10 * SECOND);

        assert_eq!(lab.route_changes([2, 3]), changes, "seed {seed}: a route was touched");
        assert!((2..4).all(|host| lab.is_fresh(host)), "seed {seed}");
    }
}

#[test]
fn a_reflector_that_was_cut_off_waits_for_a_dead_host_no_longer_than_after_a_restart() {
    let mut lab = Watched::reflected(4, 1);
    [2, 3].into_iter().for_each(|host| lab.cut_off(host));
    lab.pass(5 * SECOND);
    lab.kill(3, false);

    lab.mend();
    lab.pass(20 * SECOND);
    assert!(lab.knows_all(2), "the other may come");
    lab.pass(20 * SECOND);

    assert_eq!(lab.world.hosts[2].routes.len(), 0);
}

#[test]
fn a_host_that_died_long_ago_keeps_nobody_waiting_for_the_end_of_a_table() {
    let mut lab = Watched::reflected(5, 1);
    lab.kill(4, false);
    lab.pass(40 * SECOND);

    lab.cut_off(2);
    lab.pass(5 * SECOND);
    assert_eq!(lab.world.next_hops(2, "10.0.3.0/26"), [address(3)]);
    lab.mend();
    lab.pass(15 * SECOND);

    assert!(lab.world.hosts[2].speaker.routes().all(|route| !route.stale));
    assert_eq!(lab.world.next_hops(2, "10.0.3.0/26"), [address(3)]);
}

#[test]
fn rfc9494_4_2_reflectors_that_die_again_before_the_end_of_their_tables_get_no_new_time() {
    let mut lab = Watched::reflected(4, 1);
    [0, 1].into_iter().for_each(|reflector| lab.kill(reflector, false));
    lab.pass(20 * SECOND);

    lab.cut_off(3); // so that the reflectors wait for it
    [0, 1].into_iter().for_each(|reflector| lab.revive(reflector, 0));
    lab.pass(20 * SECOND);
    assert!(lab.world.is_up(2, 0) && lab.world.is_up(2, 1));
    [0, 1].into_iter().for_each(|reflector| lab.kill(reflector, false));
    lab.pass(KEPT - 41 * SECOND);
    assert!(lab.is_kept(2), "as long as from the first loss");
    lab.pass(3 * SECOND);

    assert_eq!(lab.world.hosts[2].routes.len(), 0);
}

/// Hosts that know and watch one another, each with one prefix of its own.
struct Watched {
    world: World,
    monitors: Vec<Option<Monitor>>,
    /// What each monitor was last asked for.
    asked: Vec<BTreeMap<Address, Settings>>,
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

    /// Hosts 0 and 1 reflect for the others, which know only those two. Routes of the reflectors themselves are left out.
    fn reflected(count: usize, seed: u64) -> Self {
        let mut lab = Self::mesh(count, seed);
        for host in 0..count {
            lab.world.hosts[host].neighbours.retain(|one| host < 2 || is_reflector(one.address));
            for neighbour in &mut lab.world.hosts[host].neighbours {
                neighbour.long_lived = Some(KEPT);
                let cluster = (host < 2 && !is_reflector(neighbour.address)).then(|| address(host));
                neighbour.exchange.client_of = cluster.and_then(|cluster| cluster.to_string().parse().ok());
            }
            lab.world.renew(host);
        }
        (0..2).for_each(|host| lab.world.originate(host, &[]));
        lab.pass(30 * SECOND);
        assert!((2..count).all(|host| lab.is_fresh(host)), "seed {seed}");
        lab
    }

    /// Whether the host knows the prefixes of all others that are no reflectors.
    fn knows_all(&self, host: usize) -> bool {
        let others = (2..self.asked.len()).filter(|&other| other != host);
        others.into_iter().all(|other| self.world.next_hops(host, &format!("10.0.{other}.0/26")) == [address(other)])
    }

    /// Whether it does, each as a last choice.
    fn is_kept(&self, host: usize) -> bool {
        let mut routes = self.world.hosts[host].speaker.routes();
        self.knows_all(host) && routes.all(|route| route.stale)
    }

    /// Whether it does, with nothing left from before.
    fn is_fresh(&self, host: usize) -> bool {
        let mut routes = self.world.hosts[host].speaker.routes();
        self.knows_all(host) && routes.all(|route| !route.stale && !route.attributes.is_long_lived_stale())
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

    /// A host loses all its reflectors.
    fn cut_off(&mut self, host: usize) {
        [0, 1].into_iter().for_each(|reflector| self.sever(host, reflector));
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
