//! Systems by the hundred, joined at random, with links that fail silently or loudly, parts that are cut off, and speakers that die: once they
//! came to rest, everybody's packets take a shortest way to whom they can reach, and nobody keeps a route to whom they cannot.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    num::NonZeroUsize,
    time::Duration,
};

use poplin_bgp::{Event, Multipath, NeighbourConfig};
use proptest::{collection::vec, prelude::*};

use crate::mishap::{self, Mishap, Years};
use crate::world::{World, address, neighbour};

/// Longer than any timer that keeps a route: hold time, and time to restart.
const REST: Duration = Duration::from_secs(600);

/// Who is joined with whom; each system originates one prefix.
#[derive(Clone, Debug)]
struct Internet {
    systems: usize,
    links: Vec<(usize, usize)>,
}

/// Each system but the first has an uplink to an earlier one, and there are some more links: at most one for so many systems. Who loses the
/// last way tries all the others first, of which there are exponentially many in the number of circles, so hundreds must have few: here no time
/// passes between messages, and they come in any order, which is the worst there can be.
fn internet(systems: std::ops::Range<usize>, a_link_for: usize) -> impl Strategy<Value = Internet> {
    let systems_and_links = systems.prop_flat_map(move |systems| {
        let most = systems / a_link_for;
        let extra = vec((0..systems, 0..systems), most / 4..most);
        (Just(systems), vec(any::<prop::sample::Index>(), systems - 1), extra)
    });
    systems_and_links.prop_map(|(systems, uplinks, extra)| {
        let uplinks = (1..systems).zip(uplinks).map(|(one, uplink)| (uplink.index(one), one));
        let extra = extra.into_iter().filter(|(one, other)| one != other);
        let ordered = uplinks.chain(extra).map(|(one, other)| (one.min(other), one.max(other)));
        Internet { systems, links: ordered.collect::<BTreeSet<_>>().into_iter().collect() }
    })
}

impl Internet {
    fn begin(&self, seed: u64) -> World {
        let asns: Vec<u32> = (64_512..).take(self.systems).collect();
        let mut world = World::of(&asns, seed);
        for host in 0..self.systems {
            let others = self.links.iter().filter_map(|&(one, other)| match host {
                _ if host == one => Some(other),
                _ if host == other => Some(one),
                _ => None,
            });
            let passing = |mut one: NeighbourConfig| {
                one.exchange.transit = true;
                one
            };
            let configured = others.map(|other| passing(neighbour(address(other), asns[other])));
            world.hosts[host].neighbours = configured.collect();
            world.originate(host, &[&prefix(host)]);
            world.configure(host);
            share(&mut world, host);
        }
        world
    }

    fn befall(&self, world: &mut World, silent: &mut BTreeSet<(usize, usize)>, mishap: Mishap) {
        match mishap {
            Mishap::Silence(link) => {
                let (one, other) = self.links[link % self.links.len()];
                world.sever(one, other);
                silent.insert((one, other));
            }
            Mishap::Reset(link) => {
                let (one, other) = self.links[link % self.links.len()];
                world.break_pipe(one, other);
            }
            Mishap::Death(whom, are_told) => {
                world.kill(whom % self.systems, are_told);
                world.revive(whom % self.systems);
                share(world, whom % self.systems);
            }
            Mishap::Partition(last) => {
                let is_across = |(one, other): &&(usize, usize)| (*one..*other).contains(&(last % self.systems));
                for &(one, other) in self.links.iter().filter(is_across) {
                    world.sever(one, other);
                    silent.insert((one, other));
                }
            }
            Mishap::Mended => {
                world.mend();
                silent.clear();
            }
        }
    }

    /// How far each system is from this one, over links that are not silent.
    fn distances(&self, from: usize, silent: &BTreeSet<(usize, usize)>) -> BTreeMap<usize, usize> {
        let links = || self.links.iter().filter(|link| !silent.contains(link));
        let mut distances = BTreeMap::from([(from, 0)]);
        let mut queue = VecDeque::from([from]);
        while let Some(here) = queue.pop_front() {
            let next: Vec<_> = links()
                .filter_map(|&(one, other)| (one == here).then_some(other).or((other == here).then_some(one)))
                .collect();
            for there in next {
                if !distances.contains_key(&there) {
                    distances.insert(there, distances[&here] + 1);
                    queue.push_back(there);
                }
            }
        }
        distances
    }

    /// Each step of each packet brings it nearer to its end, so none goes in a circle; what cannot be reached has no route.
    fn assert_sound(&self, world: &World, silent: &BTreeSet<(usize, usize)>) {
        let host_of: BTreeMap<_, _> = (0..self.systems).map(|host| (address(host), host)).collect();
        for to in 0..self.systems {
            let distances = self.distances(to, silent);
            for from in (0..self.systems).filter(|from| *from != to) {
                let hops = world.next_hops(from, &prefix(to));
                let far: Vec<_> = hops.iter().map(|hop| distances.get(&host_of[hop]).copied()).collect();
                match distances.get(&from) {
                    Some(distance) => {
                        assert!(!far.is_empty(), "{from} has no way to {to}, {distance} links away");
                        assert!(maximum(from).is_none_or(|most| far.len() <= most.get()), "{from} shares by {hops:?}");
                        assert!(
                            far.iter().all(|far| *far == Some(distance - 1)),
                            "{from} is {distance} links from {to} and goes by {hops:?}, {far:?} links from it"
                        );
                    }
                    None => assert!(hops.is_empty(), "{from} goes by {hops:?} to {to}, which it cannot reach"),
                }
            }
        }
    }

    /// Lets all this happen, with some seconds after each mishap, and looks whenever all came to rest.
    fn live(&self, seed: u64, years: &Years) {
        let mut world = self.begin(seed);
        let mut silent = BTreeSet::new();
        world.pass(REST);
        self.assert_sound(&world, &silent);
        for year in years {
            for (mishap, seconds) in year {
                self.befall(&mut world, &mut silent, *mishap);
                world.pass(Duration::from_secs(*seconds));
            }
            world.pass(REST);
            self.assert_sound(&world, &silent);
        }
    }
}

/// Every third system uses one way at a time, and every third at most two, through systems that tell the same.
fn maximum(host: usize) -> Option<NonZeroUsize> {
    NonZeroUsize::new(host % 3)
}

fn share(world: &mut World, host: usize) {
    let maximum = maximum(host);
    world.handle(host, Event::Share(Multipath { maximum, is_relaxed: host % 3 != 2 }));
}

fn prefix(host: usize) -> String {
    format!("10.{host}.0.0/24")
}

fn years() -> impl Strategy<Value = Years> {
    mishap::years(1, 0..usize::from(u16::MAX))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_few_systems_find_the_shortest_ways_whatever_befalls_them(
        seed in any::<u64>(), internet in internet(2..12, 1), years in years(),
    ) {
        internet.live(seed, &years);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2))]

    #[test]
    fn so_do_two_hundred(seed in any::<u64>(), internet in internet(200..240, 12), years in years()) {
        internet.live(seed, &years);
    }
}
