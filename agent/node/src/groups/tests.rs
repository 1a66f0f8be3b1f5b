//! Groups in a kernel that refuses what a real one refuses, and in which no destination may go without a route for a moment.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use proptest::prelude::*;

use super::{Groups, Move};
use crate::kernel::{DeviceState, Gateway, KernelState, NextHop, NextHopId, Step, Target};
use crate::object::Host;
use crate::plan::{Desired, advance, plan};
use crate::routing::Gateways;
use crate::tunnel::Sources;

const PREFIXES: usize = 12;

/// Where prefixes should lead, and a kernel that follows.
#[derive(Default)]
struct World {
    groups: Groups,
    kernel: KernelState,
    wanted: BTreeMap<IpNet, Gateways>,
    /// Steps of the last bringing up to date.
    done: Vec<Step>,
}

impl World {
    fn new() -> Self {
        let mut world =
            Self { kernel: KernelState { has_next_hops: true, ..KernelState::default() }, ..Self::default() };
        world.groups.speak_under(sources());
        world
    }

    /// So many prefixes by these gateways, in the kernel.
    fn with(prefixes: std::ops::Range<usize>, gateways: &[u8]) -> Self {
        let mut world = Self::new();
        world.lead(prefixes, gateways);
        world
    }

    fn lead(&mut self, prefixes: std::ops::Range<usize>, gateways: &[u8]) {
        let moves = prefixes.map(|number| (prefix(number), some(gateways)));
        self.follow(moves.collect());
    }

    fn follow(&mut self, moves: Vec<Move>) {
        for (prefix, gateways) in &moves {
            match gateways {
                Some(gateways) => drop(self.wanted.insert(*prefix, gateways.clone())),
                None => drop(self.wanted.remove(prefix)),
            }
        }
        self.groups.follow(moves, self.kernel.has_next_hops);
        self.bring_up_to_date();
    }

    fn bring_up_to_date(&mut self) {
        self.done.clear();
        let kept: BTreeSet<_> =
            self.kernel.learned.keys().filter(|prefix| self.wanted.contains_key(prefix)).copied().collect();
        loop {
            let due = self.groups.take_due(&self.kernel, 3);
            let seen = KernelState { gateways: [crate::plan::GATEWAY_V4].into(), ..self.kernel.clone() };
            for step in plan(&Desired::default(), &due, &seen) {
                self.carry_out(&step);
                let lost = kept.iter().find(|prefix| !self.kernel.learned.contains_key(prefix));
                assert_eq!(lost, None, "without a route for a moment, after {step:?}");
                self.done.push(step);
            }
            if due.is_last {
                break;
            }
        }
        self.check();
    }

    fn carry_out(&mut self, step: &Step) {
        let kernel = &self.kernel;
        match step {
            Step::SetNextHop { id, next_hop } => {
                let same_kind = |found: &NextHop| std::mem::discriminant(found) == std::mem::discriminant(next_hop);
                assert!(kernel.next_hops.get(id).is_none_or(same_kind), "{step:?} is of another kind");
                if let NextHop::Group(members) = next_hop {
                    assert!(members.iter().all(|id| kernel.next_hops.contains_key(id)), "{step:?} has strangers");
                }
            }
            Step::RemoveNextHop(id) => {
                let is_used = kernel.learned.values().any(|target| *target == Target::Group(*id));
                assert!(!is_used, "{step:?} takes routes along");
            }
            Step::SetRoute { target: Target::Group(id), .. } => {
                assert!(kernel.gateways_of(*id).is_some(), "{step:?} points at nothing");
            }
            Step::SetRoute { .. } | Step::RemoveRoute(_) => {}
            other => panic!("{other:?} is no business of routes"),
        }
        advance(&mut self.kernel, step);
    }

    fn check(&self) {
        let led = |target: &Target| match target {
            Target::Group(id) => self.kernel.gateways_of(*id),
            Target::Gateways(gateways) => Some(gateways.clone()),
            Target::Link(_) | Target::Endpoints(_) | Target::Blackhole => None,
        };
        let stands: BTreeMap<_, _> =
            self.kernel.learned.iter().map(|(prefix, target)| (*prefix, led(target))).collect();
        let wanted: BTreeMap<_, _> = self.wanted.iter().map(|(prefix, to)| (*prefix, Some((**to).clone()))).collect();
        assert_eq!(stands, wanted);
        let source = |(prefix, to): (&IpNet, &Gateways)| Some((*prefix, sources().of(prefix, to)?));
        let spoken: BTreeMap<_, _> = self.wanted.iter().filter_map(source).collect();
        assert_eq!(self.kernel.sources, spoken);
        let pointed: BTreeSet<_> = self.kernel.learned.values().collect();
        for (id, next_hop) in &self.kernel.next_hops {
            match next_hop {
                NextHop::Group(_) => assert!(pointed.contains(&Target::Group(*id)), "{id:?} is not used"),
                NextHop::Single(_) => assert!(self.members().contains(id), "{id:?} is in no group"),
            }
        }
    }

    fn members(&self) -> BTreeSet<NextHopId> {
        let members = self.kernel.next_hops.values().map(|next_hop| match next_hop {
            NextHop::Group(members) => members.clone(),
            NextHop::Single(_) => BTreeSet::new(),
        });
        members.flatten().collect()
    }

    /// Another hand, or a link that goes, removes an object, and the kernel what depends on it.
    fn lose(&mut self, id: NextHopId) {
        self.kernel.next_hops.remove(&id);
        let mut empty = BTreeSet::from([id]);
        for (group, next_hop) in &mut self.kernel.next_hops {
            if let NextHop::Group(members) = next_hop
                && members.remove(&id)
                && members.is_empty()
            {
                empty.insert(*group);
            }
        }
        self.kernel.next_hops.retain(|id, _| !empty.contains(id));
        self.kernel.learned.retain(|_, target| !empty.iter().any(|id| *target == Target::Group(*id)));
        self.kernel.sources.retain(|prefix, _| self.kernel.learned.contains_key(prefix));
    }

    /// The agent dies, and finds what it left.
    fn restart(&mut self) {
        self.groups = Groups::default();
        self.groups.adopt(&self.kernel);
        self.bring_up_to_date();
        assert_eq!(self.done, [], "while nobody knows what this host is known by, routes stay as they are");
        self.groups.speak_under(sources());
        self.follow(self.wanted.clone().into_iter().map(|(prefix, to)| (prefix, Some(to))).collect());
    }
}

/// What this host speaks under through the tunnel, whose device has the index 3.
fn sources() -> Sources {
    let addresses: BTreeSet<IpAddr> = ["192.0.2.1", "2001:db8:ffff::1"].map(|own| own.parse().unwrap()).into();
    let tunnel = Some(DeviceState { index: 3, device: None, is_configured: true });
    let kernel = KernelState { tunnel, local: addresses.clone(), ..KernelState::default() };
    Sources::new(&Host { addresses, ..Host::bare("h1") }, &kernel)
}

/// Every other one of IPv6.
fn prefix(number: usize) -> IpNet {
    match number % 2 {
        0 => format!("198.51.{number}.0/24"),
        _ => format!("2001:db8:{number}::/48"),
    }
    .parse()
    .unwrap()
}

fn some(gateways: &[u8]) -> Option<Gateways> {
    let gateway = |number: &u8| Gateway {
        address: format!("fd00::{number}").parse().unwrap(),
        interface: Some(u32::from(*number)),
    };
    Some(gateways.iter().map(gateway).collect()).filter(|gateways: &BTreeSet<_>| !gateways.is_empty()).map(Into::into)
}

fn is_route(step: &Step) -> bool {
    matches!(step, Step::SetRoute { .. } | Step::RemoveRoute(_))
}

#[test]
fn a_dead_gateway_touches_no_route() {
    let mut world = World::with(0..PREFIXES, &[1, 2]);

    world.lead(0..PREFIXES, &[2]);

    assert!(!world.done.iter().any(is_route), "{:?}", world.done);
    let changes = world.done.iter().filter(|step| matches!(step, Step::SetNextHop { next_hop: NextHop::Group(_), .. }));
    assert_eq!(changes.count(), 2, "one a family");
}

#[test]
fn routes_that_come_to_lead_into_the_tunnel_or_out_of_it_say_so() {
    let mut world = World::with(0..PREFIXES, &[1]);

    world.lead(0..PREFIXES, &[3]);
    assert_eq!(world.kernel.sources.len(), PREFIXES, "of each family");

    world.lead(0..PREFIXES, &[1, 2]);
    assert!(world.kernel.sources.is_empty());
}

#[test]
fn a_group_that_comes_to_the_gateways_of_another_touches_no_route_either() {
    let mut world = World::with(0..6, &[1, 2]);
    world.lead(6..PREFIXES, &[2]);

    world.lead(0..6, &[2]);

    assert!(!world.done.iter().any(is_route), "{:?}", world.done);
}

#[test]
fn prefixes_that_end_hold_the_others_of_their_group_not_up() {
    let mut world = World::with(0..PREFIXES, &[1, 2]);
    let moves = (0..PREFIXES).map(|number| (prefix(number), some(if number < 2 { &[] } else { &[2] })));

    world.follow(moves.collect());

    assert_eq!(world.done.iter().filter(|step| is_route(step)).count(), 2, "{:?}", world.done);
}

#[test]
fn a_prefix_that_moves_alone_leaves_its_group_as_it_is() {
    let mut world = World::with(0..PREFIXES, &[1, 2]);

    world.lead(4..5, &[1]);

    assert_eq!(world.done.iter().filter(|step| is_route(step)).count(), 1, "{:?}", world.done);
}

#[test]
fn a_restart_touches_nothing() {
    let mut world = World::with(0..PREFIXES, &[1, 2]);
    world.lead(4..5, &[1]);

    world.restart();

    assert_eq!(world.done, []);
}

#[test]
fn a_foreign_object_of_another_kind_under_a_number_of_ours_is_avoided() {
    let mut world = World::with(0..PREFIXES, &[1, 2]);
    let group = *world.kernel.next_hops.iter().find(|(_, next_hop)| matches!(next_hop, NextHop::Group(_))).unwrap().0;
    let single = *world.members().first().unwrap();
    let there = world.kernel.next_hops[&single].clone();
    world.lose(group);
    world.kernel.next_hops.insert(group, there);

    world.groups.doubt();
    world.bring_up_to_date();
}

#[test]
fn without_objects_each_route_carries_its_gateways() {
    let mut world = World::with(0..PREFIXES, &[1, 2]);
    world.kernel = KernelState::default();
    world.groups = Groups::default();

    world.lead(0..PREFIXES, &[1, 2]);

    assert!(world.kernel.next_hops.is_empty());
    assert!(world.kernel.learned.values().all(|target| matches!(target, Target::Gateways(_))));
}

#[derive(Clone, Debug)]
enum Happening {
    Move(Vec<(usize, BTreeSet<u8>)>),
    MoveAll(BTreeSet<u8>),
    LoseObject(usize),
    LoseRoute(usize),
    Restart,
}

fn happening() -> impl Strategy<Value = Happening> {
    let gateways = || prop::collection::btree_set(1..4_u8, 0..3);
    let moves = prop::collection::vec((0..PREFIXES, gateways()), 1..6);
    prop_oneof![
        6 => moves.prop_map(Happening::Move),
        3 => gateways().prop_map(Happening::MoveAll),
        1 => (0..9_usize).prop_map(Happening::LoseObject),
        1 => (0..PREFIXES).prop_map(Happening::LoseRoute),
        1 => Just(Happening::Restart),
    ]
}

impl World {
    fn happens(&mut self, happening: Happening) {
        match happening {
            Happening::Move(moves) => {
                let moves: BTreeMap<_, _> = moves.into_iter().collect();
                let moves = moves.into_iter().map(|(place, to)| (prefix(place), some(&Vec::from_iter(to))));
                self.follow(moves.collect());
            }
            Happening::MoveAll(to) => self.lead(0..PREFIXES, &Vec::from_iter(to)),
            Happening::LoseObject(place) => {
                if let Some(id) = self.kernel.next_hops.keys().nth(place).copied() {
                    self.lose(id);
                }
                self.groups.doubt();
                self.bring_up_to_date();
            }
            Happening::LoseRoute(place) => {
                self.kernel.drop_route(&prefix(place));
                self.groups.doubt();
                self.bring_up_to_date();
            }
            Happening::Restart => self.restart(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_kernel_follows_and_no_route_is_missing_meanwhile(
        happenings in prop::collection::vec(happening(), 1..40),
    ) {
        let mut world = World::new();
        happenings.into_iter().for_each(|happening| world.happens(happening));
    }
}
