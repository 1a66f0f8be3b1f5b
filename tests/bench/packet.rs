//! What a packet pays for policy on its way through a host, by how many policies there are.
//!
//! `cargo bench -p poplin-tests --bench packet`. Needs root and nothing else running. Repetitions: `POPLIN_REPETITIONS`; packets in
//! each: `POPLIN_PACKETS`. One processor sends UDP from one container to another, and does all the forwarding itself, so the
//! time from first to last is what the packets cost: sending, two veth pairs, routing, rules. Repetitions of all layouts
//! are interleaved. They are timed in short bursts: who shares the processor with others is interrupted in few of them, and
//! the median is of those that were not. References: the same way without rules at all, and with connection tracking but no
//! policy.

#![allow(clippy::unwrap_used)] // whatever fails here ends the bench

#[path = "../worlds/fabric.rs"]
#[allow(dead_code)]
mod fabric;
#[allow(dead_code)]
mod figures;
#[path = "../../policy/tests/worlds/fleet.rs"]
#[allow(dead_code, unreachable_pub)]
mod fleet;
#[path = "../../policy/tests/worlds/strategy.rs"]
#[allow(dead_code, unreachable_pub, unused_imports)]
mod strategy;
#[path = "../worlds/wire.rs"]
#[allow(dead_code)]
mod wire;

use std::time::Duration;

use fabric::{Fabric, Place, route_to};
use figures::{Line, Times, setting, tell, time};
use fleet::{interface_of, one_host};
use poplin_lab::Lab;
use poplin_node::kernel::Step;
use poplin_policy::compile::compile;
use poplin_policy::delta::between;
use poplin_policy::host::WorkloadToHost;
use poplin_policy::label::Labels;
use poplin_policy::model::{Action, Endpoint, Hosts, Mode, Order, Peers, Policy, Rule, Selection};
use poplin_policy::packet::{Packet, Transport, UDP};
use poplin_policy::ruleset::{
    BasePolicy, Chain, ConntrackStates, Hook, HookPoint, Match, Name, Ruleset, Then, Verdict,
};
use poplin_policy::selector::Selector;
use poplin_policy::world::World;
use strategy::endpoint_address;
use wire::Standing;

const SENDER: Place = 1;
const RECEIVER: Place = 2;
const PORT: u16 = 5000;

/// Fewer than `nf_conntrack_max`, which is 65,536 on a small machine.
const PACKETS: usize = 20_000;

/// Packets timed together: about a millisecond of them.
const BURST: usize = 256;

/// A ruleset, and what packets paid under it.
struct Layout {
    who: String,
    rules: Ruleset,
    established: Times,
    new: Times,
}

fn main() {
    let (repetitions, packets) = (setting("POPLIN_REPETITIONS", 15), setting("POPLIN_PACKETS", PACKETS));
    let lab = Lab::new();
    let mut fabric = Fabric::new(&lab, RECEIVER);
    fabric.deafen();
    fabric.apply(&[route_to(SENDER, false, true), route_to(RECEIVER, false, true)]);
    let mut layouts = vec![
        layout("no rules", Ruleset::default()),
        layout("connection tracking only", tracking_only()),
        layout("0 policies", compiled(&spread_over(0))),
    ];
    for count in [1, 100, 1_000] {
        layouts.push(layout(&format!("{count} policies spread"), compiled(&spread_over(count))));
        layouts.push(layout(&format!("{count} policies by source on one"), compiled(&all_on_one(count, by_source))));
        layouts.push(layout(&format!("{count} policies by port on one"), compiled(&all_on_one(count, by_port))));
    }

    let same = vec![written(40_000); packets];
    let different: Vec<_> = (0..packets).map(|number| written(u16::try_from(1_024 + number).unwrap())).collect();
    for repetition in 0..=repetitions {
        for layout in &mut layouts {
            fabric.apply(&[Step::ChangeRules(between(None, &layout.rules))]);
            fabric.forget_flows();
            let new = per_packet(&fabric, &different);
            fabric.forget_flows();
            fabric.send(SENDER, &flow(40_000), Standing::First, 0);
            fabric.send(RECEIVER, &wire::answer_to(&flow(40_000)).unwrap(), Standing::Answer, 0);
            let established = per_packet(&fabric, &same);
            if repetition > 0 {
                layout.new.extend(new);
                layout.established.extend(established);
            }
        }
    }

    let [none, ..] = &layouts[..] else { unreachable!("there are layouts") };
    let mut lines = Vec::new();
    for (what, times) in [("established", established as fn(&Layout) -> &Times), ("new flow", new)] {
        lines.extend(layouts.iter().map(|layout| Line {
            what,
            who: layout.who.clone(),
            times: times(layout),
            reference: times(none),
        }));
    }
    tell(
        "packet",
        &format!("One packet, {repetitions} × {packets} of them in bursts of {BURST}; ratio to no rules at all"),
        &lines,
    );
}

fn established(layout: &Layout) -> &Times {
    &layout.established
}

fn new(layout: &Layout) -> &Times {
    &layout.new
}

fn layout(who: &str, rules: Ruleset) -> Layout {
    Layout { who: who.to_owned(), rules, established: Times::default(), new: Times::default() }
}

/// Sends them all, sees that they arrived, and says what one cost in each burst.
fn per_packet(fabric: &Fabric, packets: &[Vec<u8>]) -> Vec<Duration> {
    let before = fabric.received_by(RECEIVER);
    let destination = endpoint_address(RECEIVER, false);
    let bursts = packets.chunks_exact(BURST).map(|burst| {
        let ((), took) = time(|| fabric.blast(SENDER, destination, burst));
        took / u32::try_from(BURST).unwrap()
    });
    let bursts: Vec<_> = bursts.collect();
    let (arrived, sent) = (fabric.received_by(RECEIVER) - before, bursts.len() * BURST);
    assert!(arrived >= sent as u64, "{arrived} of {sent} arrived");
    bursts
}

fn flow(port: u16) -> Packet {
    let (source, destination) = (endpoint_address(SENDER, false), endpoint_address(RECEIVER, false));
    let transport = Transport::Ports { protocol: UDP, source: port, destination: PORT };
    Packet { source, destination, transport }
}

fn written(port: u16) -> Vec<u8> {
    wire::write(&flow(port), Standing::First, 0, 0)
}

fn compiled(world: &World) -> Ruleset {
    let mut host = one_host(world, WorkloadToHost::Drop);
    for number in [SENDER, RECEIVER] {
        let name = format!("e{number}");
        host.interfaces.insert(name.clone(), interface_of(&name));
    }
    compile(world, &host)
}

/// A chain that only asks whether the flow is known.
fn tracking_only() -> Ruleset {
    let known = ConntrackStates { established: true, related: true, ..ConntrackStates::default() };
    let rule = poplin_policy::ruleset::Rule {
        matches: vec![Match::Conntrack(known)],
        counter: None,
        then: Then::Verdict(Verdict::Accept),
    };
    let hook = Hook { point: HookPoint::Forward, priority: 0, policy: BasePolicy::Accept };
    let chain = Chain { hook: Some(hook), rules: vec![rule] };
    Ruleset { chains: [(Name::new("forward"), chain)].into(), ..Ruleset::default() }
}

/// Each policy governs one workload of its own, by name; two of them, the sender and the receiver, are really there.
fn spread_over(policies: usize) -> World {
    let workloads = policies.max(2);
    let endpoints = (1..=workloads).map(|number| (format!("e{number}"), endpoint(number)));
    // The receiver is the one who must have a policy, if there is only one.
    let governed = (1..=policies).map(|number| if policies == 1 { RECEIVER.into() } else { number });
    let policies = governed.map(|number| {
        let name = format!("p{number}");
        let allow = rule(Selector::parse("all()").unwrap(), &format!("udp/{PORT}"));
        (name.as_str().into(), policy(&name, number, &format!("name == 'e{number}'"), allow))
    });
    World { endpoints: endpoints.collect(), policies: policies.collect(), ..World::default() }
}

/// Every policy governs the receiver, and only the last one asked allows the flow.
fn all_on_one(policies: usize, allow: fn(usize, bool) -> Rule) -> World {
    let endpoints = (1..=policies.max(2)).map(|number| (format!("e{number}"), endpoint(number)));
    let all = (1..=policies).map(|number| {
        let name = format!("p{number:04}");
        (
            name.as_str().into(),
            policy(&name, number, &format!("name == 'e{RECEIVER}'"), allow(number, number == policies)),
        )
    });
    World { endpoints: endpoints.collect(), policies: all.collect(), ..World::default() }
}

/// Each allows another source, the last one the sender.
fn by_source(number: usize, is_last: bool) -> Rule {
    let source = if is_last { usize::from(SENDER) } else { number + 2 };
    rule(Selector::parse(&format!("name == 'e{source}'")).unwrap(), &format!("udp/{PORT}"))
}

/// Each allows another port, the last one the flow's.
fn by_port(number: usize, is_last: bool) -> Rule {
    let port = if is_last { usize::from(PORT) } else { 10_000 + number };
    rule(Selector::parse("all()").unwrap(), &format!("udp/{port}"))
}

fn endpoint(number: usize) -> Endpoint {
    let labels = Labels::try_from_pairs([("name", format!("e{number}"))]).unwrap();
    let address = std::net::Ipv4Addr::from_bits(0x0a00_0000 + u32::try_from(number).unwrap());
    Endpoint { labels, addresses: vec![address.into()], ..Endpoint::default() }
}

fn policy(name: &str, order: usize, subject: &str, allow: Rule) -> Policy {
    Policy {
        name: name.into(),
        mode: Mode::Enforce,
        hosts: Hosts::Never,
        tier: "default".to_owned(),
        order: Some(Order::try_from(f64::from(u32::try_from(order).unwrap())).unwrap()),
        subject: Selection::anywhere(Selector::parse(subject).unwrap()),
        ingress: Some(vec![allow]),
        egress: None,
    }
}

fn rule(select: Selector, port: &str) -> Rule {
    let source = Peers { select: Some(Selection::anywhere(select)), ..Peers::default() };
    Rule { source, ports: vec![port.parse().unwrap()], ..Rule::any("1", Action::Allow) }
}
