//! Random topologies of reflectors and clients come to rest, and the rest does not depend on the road.

use std::{
    collections::BTreeSet,
    net::Ipv4Addr,
    sync::Arc,
    time::{Duration, Instant},
};

use poplin_bgp::{
    Address, CommunityChange, PrefixRange, RouteChange, RouteCondition, RouteMap, RouteRule, RouteRules, Verdict,
};
use proptest::{collection::vec, prelude::*};

use crate::world::{World, address, neighbour, net};

/// Who reflects for whom.
#[derive(Clone, Debug)]
struct Plan {
    /// Hosts with lower numbers are reflectors, all of them joined.
    reflectors: usize,
    hosts: usize,
    /// Whether they share their cluster.
    is_shared: bool,
    /// For each host that is no reflector, bits that say of which reflectors it is a client; at least of one.
    clients: Vec<u8>,
    /// What each host originates: numbers of prefixes, which several may share.
    own: Vec<BTreeSet<u8>>,
}

fn plan() -> impl Strategy<Value = Plan> {
    (1usize..4, 1usize..5, any::<bool>()).prop_flat_map(|(reflectors, others, is_shared)| {
        // Reflectors of one cluster take nothing from each other, so each client must know all of them.
        let least = if is_shared { (1 << reflectors) - 1 } else { 1 };
        let clients = vec(least..1u8 << reflectors, others);
        let own = vec(prop::collection::btree_set(0u8..12, 0..4), reflectors + others);
        (clients, own).prop_map(move |(clients, own)| Plan {
            reflectors,
            hosts: reflectors + others,
            is_shared,
            clients,
            own,
        })
    })
}

impl Plan {
    fn is_joined(&self, one: usize, other: usize) -> bool {
        let (low, high) = (one.min(other), one.max(other));
        low < self.reflectors && (high < self.reflectors || self.clients[high - self.reflectors] & 1 << low != 0)
    }

    /// The cluster the one reflects in for the other.
    fn cluster(&self, host: usize, other: usize) -> Option<Ipv4Addr> {
        let is_client = host < self.reflectors && other >= self.reflectors;
        let number = if self.is_shared { 99 } else { u8::try_from(host).unwrap() };
        is_client.then_some([9, 9, 9, number].into())
    }

    fn apply(&self, world: &mut World) {
        for host in 0..self.hosts {
            let others = (0..self.hosts).filter(|&other| other != host && self.is_joined(host, other));
            let configured = others.map(|other| {
                let mut one = neighbour(address(other), 64512);
                one.exchange.client_of = self.cluster(host, other);
                one
            });
            world.hosts[host].neighbours = configured.collect();
            world.configure(host);
        }
    }

    fn originate(&self, world: &mut World, host: usize) {
        let own: Vec<_> = self.own[host].iter().map(|number| format!("10.{number}.0.0/26")).collect();
        world.originate(host, &own.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

/// All that a host knows, without what depends on when it learned it.
fn known(world: &World, host: usize) -> Vec<String> {
    let routes = world.hosts[host].speaker.routes();
    routes
        .map(|route| {
            format!("{} {} {} {:?} {}", route.prefix, route.neighbour, route.next_hop, route.attributes, route.best)
        })
        .collect()
}

/// Every host has a way to every prefix that is not its own, and it leads to somebody who originates it.
fn assert_sound(plan: &Plan, world: &World) {
    for host in 0..plan.hosts {
        for (other, own) in plan.own.iter().enumerate() {
            let foreign = own.iter().filter(|number| other != host && !plan.own[host].contains(number));
            for number in foreign {
                let prefix = format!("10.{number}.0.0/26");
                let ways = world.next_hops(host, &prefix);
                assert!(!ways.is_empty(), "host {host} has no way to {prefix}");
                let leads =
                    |way: &Address| (0..plan.hosts).any(|one| address(one) == *way && plan.own[one].contains(number));
                assert!(ways.iter().all(leads), "host {host} goes astray to {prefix}: {ways:?}");
            }
        }
        for route in world.hosts[host].speaker.routes() {
            let clusters: BTreeSet<_> = route.attributes.clusters.iter().collect();
            assert_eq!(clusters.len(), route.attributes.clusters.len(), "a route went in a circle");
            assert_ne!(route.attributes.originator, Some(world.hosts[host].config.router_id));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// One reflector leaves out what it did not choose, so clients of a single one see no more than that; all see all prefixes.
    #[test]
    fn reflectors_converge_and_the_road_does_not_matter(seed in any::<u64>(), from in plan(), to in plan(), broken in vec(0usize..7, 0..4)) {
        let hosts = from.hosts.max(to.hosts);
        let mut world = World::of(&vec![64512; hosts], seed);
        from.apply(&mut world);
        (0..from.hosts).for_each(|host| from.originate(&mut world, host));
        world.pass(Duration::from_secs(30));
        assert_sound(&from, &world);

        for host in to.hosts..hosts {
            world.hosts[host].neighbours.clear();
            world.configure(host);
            world.originate(host, &[]);
        }
        to.apply(&mut world);
        for host in broken {
            world.break_pipe(host % to.hosts, (host + 1) % to.hosts);
        }
        (0..to.hosts).for_each(|host| to.originate(&mut world, host));
        world.pass(Duration::from_secs(600));
        assert_sound(&to, &world);

        let mut fresh = World::of(&vec![64512; to.hosts], seed ^ 1);
        to.apply(&mut fresh);
        (0..to.hosts).for_each(|host| to.originate(&mut fresh, host));
        fresh.pass(Duration::from_secs(600));
        for host in 0..to.hosts {
            prop_assert_eq!(known(&world, host), known(&fresh, host));
        }
    }
}

/// Rules of a few kinds; all the operator can do without preferring a longer way to a shorter.
fn rules(kind: u8) -> RouteRules {
    let ranges = ["10.0.0.0/14 le 26", "10.4.0.0/14 le 26"];
    let prefixes = |range: &str| [range.parse::<PrefixRange>().unwrap()].into_iter().collect();
    let when = RouteCondition { prefixes: prefixes(ranges[usize::from(kind % 2)]), ..RouteCondition::default() };
    let add = vec![format!("64512:{kind}").parse().unwrap()];
    let change = RouteChange { communities: CommunityChange { add, ..Default::default() }, ..Default::default() };
    let map = |verdict, change, otherwise| {
        let rules = vec![RouteRule { when: when.clone(), verdict, change }];
        RouteRules::Map(Arc::new(RouteMap { rules, otherwise }))
    };
    match kind / 2 {
        0 => RouteRules::Closed,
        1 => map(Verdict::Reject, RouteChange::default(), Verdict::Accept),
        2 => map(Verdict::Accept, change, Verdict::Reject),
        3 => map(Verdict::Accept, change, Verdict::Accept),
        _ => RouteRules::Open,
    }
}

/// Gives pairs of hosts their rules: who, with whom, for what is taken, for what is told.
fn rule(world: &mut World, changes: &[(usize, usize, u8, u8)]) {
    for &(host, other, import, export) in changes {
        let hosts = world.hosts.len();
        let (host, other) = (host % hosts, other % hosts);
        let known = world.hosts[host].neighbours.iter_mut().find(|neighbour| neighbour.address == address(other));
        if let Some(neighbour) = known {
            neighbour.exchange.import = rules(import);
            neighbour.exchange.export = rules(export);
            world.configure(host);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn changed_rules_lead_where_a_fresh_start_leads(
        seed in any::<u64>(),
        plan in plan(),
        first in vec((0usize..7, 0usize..7, 0u8..12, 0u8..12), 0..12),
        last in vec((0usize..7, 0usize..7, 0u8..12, 0u8..12), 0..12),
    ) {
        let mut world = World::of(&vec![64512; plan.hosts], seed);
        plan.apply(&mut world);
        rule(&mut world, &first);
        (0..plan.hosts).for_each(|host| plan.originate(&mut world, host));
        world.pass(Duration::from_secs(30));
        let since: Vec<_> = (0..plan.hosts).map(|host| sessions(&world, host)).collect();
        rule(&mut world, &last);
        world.pass(Duration::from_secs(60));

        let mut fresh = World::of(&vec![64512; plan.hosts], seed ^ 1);
        plan.apply(&mut fresh);
        rule(&mut fresh, &first);
        rule(&mut fresh, &last);
        (0..plan.hosts).for_each(|host| plan.originate(&mut fresh, host));
        fresh.pass(Duration::from_secs(60));

        for (host, since) in since.into_iter().enumerate() {
            prop_assert_eq!(known(&world, host), known(&fresh, host));
            prop_assert_eq!(sessions(&world, host), since, "no session ended");
        }
    }
}

fn sessions(world: &World, host: usize) -> Vec<Instant> {
    world.hosts[host].speaker.neighbours().map(|view| view.since).collect()
}

#[test]
fn a_route_passes_two_clusters() {
    // 2 is a client of 0, 3 of 1, and 0 and 1 are neighbours.
    let own = vec![BTreeSet::new(), BTreeSet::new(), BTreeSet::from([1]), BTreeSet::new()];
    let plan = Plan { reflectors: 2, hosts: 4, is_shared: false, clients: vec![1, 2], own };
    let mut world = World::of(&[64512; 4], 1);
    plan.apply(&mut world);
    plan.originate(&mut world, 2);
    world.pass(Duration::from_secs(30));

    let best = world.hosts[3].speaker.best(net("10.1.0.0/26")).unwrap().winner;

    assert_eq!(best.attributes.clusters, [Ipv4Addr::from([9, 9, 9, 1]), [9, 9, 9, 0].into()]);
    assert_eq!(best.attributes.originator, Some([192, 0, 2, 3].into()));
}
