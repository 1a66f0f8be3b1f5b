//! Hosts by the hundred behind reflectors chosen at random, with sessions that fall silent or break, parts of the fleet that are cut off from the
//! rest, and speakers that die: once all came to rest, whoever can hear of a host leads straight to it, and nobody else keeps a way there.

use std::{collections::BTreeSet, time::Duration};

use proptest::{collection::vec, prelude::*};

use crate::mishap::{self, Mishap, Years};
use crate::world::{World, address, neighbour};

/// Longer than any timer that keeps a route: hold time, and time to restart.
const REST: Duration = Duration::from_secs(600);

/// Reflectors have the lowest numbers, know one another, and are a cluster each. Each host originates one prefix.
#[derive(Clone, Debug)]
struct Fleet {
    reflectors: usize,
    /// Bits that say whose client each host is.
    clients: Vec<u8>,
}

fn fleet(clients: std::ops::Range<usize>) -> impl Strategy<Value = Fleet> {
    (2usize..6).prop_flat_map(move |reflectors| {
        let clients = vec(1u8..1 << reflectors, clients.clone());
        clients.prop_map(move |clients| Fleet { reflectors, clients })
    })
}

type Sessions = BTreeSet<(usize, usize)>;

impl Fleet {
    fn hosts(&self) -> usize {
        self.reflectors + self.clients.len()
    }

    /// Pairs of which the first is a reflector and has the lower number.
    fn sessions(&self) -> Vec<(usize, usize)> {
        let is_joined = |&(one, other): &(usize, usize)| match other.checked_sub(self.reflectors) {
            Some(client) => self.clients[client] & 1 << one != 0,
            None => one < other,
        };
        let pairs = (0..self.reflectors).flat_map(|one| (0..self.hosts()).map(move |other| (one, other)));
        pairs.filter(is_joined).collect()
    }

    fn begin(&self, seed: u64) -> World {
        let mut world = World::of(&vec![64512; self.hosts()], seed);
        for (one, other) in self.sessions() {
            let mut down = neighbour(address(other), 64512);
            let id = [9, 9, 9, u8::try_from(one).unwrap()].into();
            down.exchange.client_of = (other >= self.reflectors).then_some(id);
            world.hosts[one].neighbours.push(down);
            world.hosts[other].neighbours.push(neighbour(address(one), 64512));
        }
        for host in 0..self.hosts() {
            world.originate(host, &[&prefix(host)]);
            world.configure(host);
        }
        world
    }

    fn befall(&self, world: &mut World, silent: &mut Sessions, mishap: Mishap) {
        let sessions = self.sessions();
        let silence = |world: &mut World, silent: &mut Sessions, (one, other)| {
            world.sever(one, other);
            silent.insert((one, other));
        };
        match mishap {
            Mishap::Silence(which) => silence(world, silent, sessions[which % sessions.len()]),
            Mishap::Reset(which) => {
                let (one, other) = sessions[which % sessions.len()];
                world.break_pipe(one, other);
            }
            Mishap::Death(whom, are_told) => {
                world.kill(whom % self.hosts(), are_told);
                world.revive(whom % self.hosts());
            }
            Mishap::Partition(every) => {
                let is_across = |(one, other): &(usize, usize)| (one % every == 0) != (other % every == 0);
                sessions.into_iter().filter(is_across).for_each(|session| silence(world, silent, session));
            }
            Mishap::Mended => {
                world.mend();
                silent.clear();
            }
        }
    }

    /// Which reflectors hear of a host (RFC 4456 §6): itself, those it speaks with, and those that these speak with, if it is their client. Between
    /// reflectors nothing goes two steps.
    fn told(&self, host: usize, passes: &Sessions) -> BTreeSet<usize> {
        let speaks = |one: usize, other: usize| passes.contains(&(one.min(other), one.max(other)));
        let near: BTreeSet<_> = (0..self.reflectors).filter(|&one| one == host || speaks(one, host)).collect();
        if host < self.reflectors {
            return near;
        }
        let far = (0..self.reflectors).filter(|&far| near.iter().any(|&one| speaks(one, far)));
        far.chain(near.iter().copied()).collect()
    }

    /// A next hop is the host itself, so no packet goes in a circle.
    fn assert_sound(&self, world: &World, silent: &Sessions) {
        let passes: Sessions = self.sessions().into_iter().filter(|session| !silent.contains(session)).collect();
        for to in 0..self.hosts() {
            let told = self.told(to, &passes);
            for from in (0..self.hosts()).filter(|from| *from != to) {
                // What a reflector heard of a host that is not its client goes to its clients alone, and `told` knows that of reflectors.
                let is_client = from >= self.reflectors;
                let is_told =
                    told.contains(&from) || is_client && told.iter().any(|&one| passes.contains(&(one, from)));
                let wanted: Vec<_> = is_told.then(|| address(to)).into_iter().collect();
                assert_eq!(world.next_hops(from, &prefix(to)), wanted, "the way of {from} to {to}");
            }
        }
    }

    /// Lets all this happen, with some seconds after each mishap, and looks whenever all came to rest.
    fn live(&self, seed: u64, years: &Years) {
        let mut world = self.begin(seed);
        let mut silent = Sessions::new();
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

fn prefix(host: usize) -> String {
    format!("10.{host}.0.0/26")
}

fn years() -> impl Strategy<Value = Years> {
    mishap::years(2, 2..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_few_hosts_hear_of_whom_they_can_whatever_befalls_them(
        seed in any::<u64>(), fleet in fleet(1..8), years in years(),
    ) {
        fleet.live(seed, &years);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2))]

    #[test]
    fn so_do_two_hundred(seed in any::<u64>(), fleet in fleet(200..220), years in years()) {
        fleet.live(seed, &years);
    }
}
