//! What a packet pays for policy on its way through a host, by how many policies there are.
//!
//! `cargo bench -p poplin-tests --bench packet`. Needs root and nothing else running. Repetitions: `POPLIN_REPETITIONS`; packets in
//! each: `POPLIN_PACKETS`. One processor sends UDP from one container to another, and does all the forwarding itself, so the
//! time from first to last is what the packets cost: sending, two veth pairs, routing, rules. Repetitions of all layouts
//! are interleaved. They are timed in short bursts: who shares the processor with others is interrupted in few of them, and
//! the median is of those that were not. References: the same way without rules at all, with connection tracking but no policy, and
//! of each layout its smallest, with two rules: what more of them cost is the ratio to that. Where a tier passes the flow on, that is two rules of one tier.

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
use poplin_policy::host::{Host, WorkloadToHost};
use poplin_policy::label::Labels;
use poplin_policy::model::{Action, Endpoint, Hosts, Mode, Order, Peers, Policy, Rule, Selection};
use poplin_policy::packet::{Packet, Transport, UDP};
use poplin_policy::ruleset::{
    BasePolicy, Chain, ConntrackStates, Hook, HookKind, HookPoint, Match, Name, Ruleset, Then, Verdict,
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

/// How many rules there are, at least two.
const COUNTS: [usize; 4] = [2, 100, 1_000, 10_000];
/// How many workloads there are at most; all of them on this host.
const MOST_WORKLOADS: usize = 1_000;
/// Layouts without policy, and kinds of those with some.
const PLAIN: usize = 3;
const KINDS: usize = 4;
const BY_SOURCE: usize = 1;
const PASSED_ON: usize = 3;

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
        layout("no policy", compiled(&spread_over(0), 2)),
    ];
    for count in COUNTS {
        let workloads = count.min(MOST_WORKLOADS);
        layouts.push(layout(
            &format!("{workloads} workloads, a rule on each"),
            compiled(&spread_over(workloads), workloads),
        ));
        layouts.push(layout(&format!("{count} rules by source on one"), compiled(&all_on_one(count, by_source), 2)));
        layouts.push(layout(&format!("{count} rules by port on one"), compiled(&all_on_one(count, by_port), 2)));
        layouts.push(layout(&format!("{count} rules by source that pass on one"), compiled(&passed_on(count), 2)));
    }

    let same = vec![written(40_000); packets];
    let different: Vec<_> = (0..packets).map(|number| written(u16::try_from(1_024 + number).unwrap())).collect();
    for repetition in 0..=repetitions {
        for layout in &mut layouts {
            fabric.apply(&[Step::ChangeRules(between(None, &layout.rules).into())]);
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

    let mut lines = Vec::new();
    for (what, times) in [("established", established as fn(&Layout) -> &Times), ("new flow", new)] {
        lines.extend(layouts.iter().enumerate().map(|(place, layout)| {
            let reference = times(&layouts[reference(place)]);
            Line { what, who: layout.who.clone(), times: times(layout), reference }
        }));
    }
    tell(
        "packet",
        &format!(
            "One packet, {repetitions} × {packets} of them in bursts of {BURST}; ratio to two rules, else to none at all"
        ),
        &lines,
    );
}

/// What a layout is compared with: without policy no rules at all, else the smallest of its kind. What passes rules that pass is compared with what
/// need not.
fn reference(place: usize) -> usize {
    let kind = match place.checked_sub(PLAIN).map(|place| place % KINDS) {
        Some(PASSED_ON) => BY_SOURCE,
        Some(kind) => kind,
        None => return 0,
    };
    PLAIN + kind
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

/// The rules of a host on which so many endpoints live, the sender and the receiver among them.
fn compiled(world: &World, workloads: usize) -> Ruleset {
    let names = (1..=workloads).map(|number| format!("e{number}"));
    let interfaces = names.map(|name| (name.clone(), interface_of(&name))).collect();
    let host = Host { interfaces, ..one_host(world, WorkloadToHost::Drop) };
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
    let hook = Hook { kind: HookKind::Filter, point: HookPoint::Forward, priority: 0, policy: BasePolicy::Accept };
    let chain = Chain { hook: Some(hook), rules: vec![rule] };
    Ruleset { chains: [(Name::new("forward"), chain.into())].into(), ..Ruleset::default() }
}

/// Each policy governs one workload of its own, by name; only the sender and the receiver among them get packets.
fn spread_over(policies: usize) -> World {
    let workloads = policies.max(2);
    let endpoints = (1..=workloads).map(|number| (format!("e{number}"), endpoint(number)));
    let policies = (1..=policies).map(|number| {
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

/// Every policy of the first tier passes another source on, the last one the sender, whom one of the second allows.
fn passed_on(policies: usize) -> World {
    let passes = |number, is_last| Rule { action: Action::Pass, ..by_source(number, is_last) };
    let mut world = all_on_one(policies, passes);
    world.policies.values_mut().for_each(|policy| policy.tier = "kube-admin".to_owned());
    let allow = policy("last", 1, &format!("name == 'e{RECEIVER}'"), by_source(1, true));
    world.policies.insert("last".into(), allow);
    world
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
        ingress: Some(vec![allow].into()),
        egress: None,
    }
}

fn rule(select: Selector, port: &str) -> Rule {
    let source = Peers { select: Some(Selection::anywhere(select)), ..Peers::default() };
    Rule { source: source.into(), ports: vec![port.parse().unwrap()], ..Rule::any("1", Action::Allow) }
}
