//! The corpus of policies of other houses, and real packets: the kernel does with every flow what its case says.
//!
//! All endpoints of a case are containers of one host, whose uplink may be a host endpoint. Needs root.

// In helpers too: a test that cannot be set up fails.
#![allow(clippy::unwrap_used)]

#[path = "../../agent/manifest/tests/corpus/case.rs"]
#[allow(dead_code, unreachable_pub)]
mod case;
#[allow(dead_code)] // what the benches and random worlds use
mod fabric;
#[path = "../../policy/tests/worlds/fleet.rs"]
#[allow(dead_code, unreachable_pub)]
mod fleet;
#[path = "../../agent/manifest/tests/corpus/flow.rs"]
#[allow(unreachable_pub)]
mod flow;
#[path = "../../policy/tests/worlds/strategy.rs"]
#[allow(dead_code, unreachable_pub, unused_imports)]
mod strategy;
#[path = "../../agent/manifest/tests/corpus/way.rs"]
#[allow(dead_code, unreachable_pub)]
mod way;
#[allow(dead_code)]
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use poplin_lab::Lab;
use poplin_node::kernel::Step;
use poplin_policy::compile::compile;
use poplin_policy::delta::between;
use poplin_policy::host::{Doorway, Host, HostEndpoint, WorkloadToHost};
use poplin_policy::packet::Packet;
use poplin_policy::ruleset::{Interface, Ruleset};
use poplin_policy::world::World;

use case::{Case, MEANINGS, cases, gates_of, world_of};
use fabric::{Fabric, HOST, OUTSIDE, Place, UNASKED, neighbour, route};
use fleet::{host, interface_of};
use flow::{Flow, flows};
use way::{Side, side};
use wire::{Standing, answers, begins_a_flow};

/// As many as any case has endpoints.
const CONTAINERS: Place = 12;

/// Packets on their way at once: fewer than a socket has room for.
const AT_ONCE: usize = 100;

#[test]
fn every_flow_of_the_corpus_fares_in_the_kernel_as_its_case_says() {
    let lab = Lab::new();
    let mut trial = Trial {
        fabric: Fabric::new(&lab, CONTAINERS).with_host(),
        standing: None,
        routed: BTreeSet::new(),
        wrong: Vec::new(),
        passed: 0,
        dropped: 0,
    };
    for file in MEANINGS {
        for case in cases(file) {
            trial.try_case(file, &case);
        }
    }
    let Trial { wrong, passed, dropped, .. } = trial;
    println!("{passed} packets passed, {dropped} were dropped");
    assert!(wrong.is_empty(), "{} flows fare otherwise\n{}", wrong.len(), wrong.join("\n"));
    assert!(passed > 10_000 && dropped > 10_000, "packets must tell something");
}

/// The host, what stands in its kernel, and what has been seen.
struct Trial {
    fabric: Fabric,
    standing: Option<Ruleset>,
    routed: BTreeSet<IpAddr>,
    wrong: Vec<String>,
    passed: usize,
    dropped: usize,
}

impl Trial {
    fn try_case(&mut self, file: &str, case: &Case) {
        let world = world_of(case);
        let seats = seats(&world);
        self.load(&world, &seats, way::own(gates_of(case)));
        let place = |address: IpAddr| match side(&world, address) {
            Side::Host => HOST,
            Side::Workload => world.endpoint_of(address).map_or(OUTSIDE, |(name, _)| seats[name]),
            Side::Outside => OUTSIDE,
        };
        // What an endpoint says to itself never reaches its host, and of ICMP only requests begin a flow.
        let is_seen = |flow: &Flow| {
            let Packet { source, destination, .. } = flow.packet;
            begins_a_flow(&flow.packet) && (place(source) == OUTSIDE || place(source) != place(destination))
        };
        let mut left: Vec<Flow> = flows(case).into_iter().filter(is_seen).collect();
        while !left.is_empty() {
            // A packet that would answer an earlier one waits until that one is forgotten.
            let mut now: Vec<Flow> = Vec::new();
            let mut later = Vec::new();
            for flow in left {
                let is_free = now.len() < AT_ONCE && !now.iter().any(|one| answers(&flow.packet, &one.packet));
                if is_free { now.push(flow) } else { later.push(flow) }
            }
            self.send(&format!("{file}: {}", case.title), now, place);
            left = later;
        }
    }

    /// Rules by what changed, then who is where.
    fn load(&mut self, world: &World, seats: &BTreeMap<String, Place>, gates: Vec<HostEndpoint>) {
        let interfaces = seats.iter().map(|(name, seat)| (name.clone(), interface_of(&format!("e{seat}"))));
        let host_endpoints = doorways(gates);
        let rules = compile(world, &Host { host_endpoints, ..host(interfaces.collect(), WorkloadToHost::Drop) });
        let mut steps = vec![Step::ChangeRules(between(self.standing.as_ref(), &rules).into())];
        let mut gone = std::mem::take(&mut self.routed);
        for (name, endpoint) in &world.endpoints {
            for address in &endpoint.addresses {
                steps.extend([neighbour(seats[name], *address), route(seats[name], *address)]);
                gone.remove(address);
                self.routed.insert(*address);
            }
        }
        steps.extend(gone.into_iter().map(|address| Step::RemoveRoute(address.into())));
        self.fabric.apply(&steps);
        self.standing = Some(rules);
    }

    /// Sends the first packet of each flow, and notes which fared otherwise than it should.
    fn send(&mut self, what: &str, flows: Vec<Flow>, place: impl Fn(IpAddr) -> Place) {
        self.fabric.forget_flows();
        let mut sent = BTreeMap::new();
        for (number, flow) in (1..).zip(flows) {
            let probe = self.fabric.send(place(flow.packet.source), &flow.packet, Standing::First, number);
            sent.insert(probe, flow);
        }
        let arrived: BTreeMap<u32, Place> = self.fabric.arrivals().into_iter().collect();
        for (probe, Flow { packet, said, is_allowed }) in sent {
            let seen = arrived.get(&probe).copied();
            if seen != is_allowed.then(|| place(packet.destination)) {
                self.wrong.push(format!("{what}\n  said: {said}\n  but {packet} arrived at {seen:?}"));
            }
            match seen {
                Some(_) => self.passed += 1,
                None => self.dropped += 1,
            }
        }
    }
}

/// Where they stand; and if there are any, none of them stands where what always passes comes by.
fn doorways(gates: Vec<HostEndpoint>) -> BTreeMap<String, Doorway> {
    let unasked = (!gates.is_empty()).then(|| ("unasked".to_owned(), Doorway::Named(Interface::new(UNASKED).unwrap())));
    gates.into_iter().map(|gate| (gate.name, gate.doorway)).chain(unasked).collect()
}

/// Which container each endpoint is.
fn seats(world: &World) -> BTreeMap<String, Place> {
    assert!(world.endpoints.len() <= usize::from(CONTAINERS), "{} endpoints", world.endpoints.len());
    world.endpoints.keys().cloned().zip(1..).collect()
}
