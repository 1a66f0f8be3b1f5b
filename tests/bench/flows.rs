//! What many questions about one world cost: flows explained a second, and the difference between two worlds.
//!
//! `cargo bench -p poplin-tests --bench flows`. Pure: no kernel, no root. Repetitions: `POPLIN_REPETITIONS`. Each policy governs one
//! group of endpoints and admits another; flows go between random endpoints, half of them to a port some rule speaks of. The
//! references are the plain definitions, asked the same.

#![allow(clippy::unwrap_used)] // whatever fails here ends the bench

#[allow(dead_code)]
mod figures;

use std::net::Ipv4Addr;

use figures::{Line, Times, setting, tell, time};
use poplin_policy::diff::{Concern, diff};
use poplin_policy::explain::explain;
use poplin_policy::index::Index;
use poplin_policy::label::Labels;
use poplin_policy::lint::lint;
use poplin_policy::model::{Action, Endpoint, Hosts, Mode, Peers, Policy, Rule, Selection};
use poplin_policy::packet::Packet;
use poplin_policy::selector::Selector;
use poplin_policy::verdict::verdict;
use poplin_policy::world::World;

/// Flows in one measured batch, and how few of them the plain definitions are asked.
const FLOWS: u32 = 20_000;
const FEW: u32 = 20;

fn main() {
    let repetitions = setting("POPLIN_REPETITIONS", 10);
    for (policies, endpoints, groups) in
        [(100, 1_000, 100), (1_000, 1_000, 100), (1_000, 10_000, 100), (1_000, 10_000, 1_000)]
    {
        measure(policies, endpoints, groups, repetitions);
    }
}

fn measure(policies: usize, endpoints: usize, groups: usize, repetitions: usize) {
    let who = format!("{policies} policies, {endpoints} endpoints in {groups} groups");
    let world = world(policies, endpoints, groups);
    let mut changed = world.clone();
    changed.endpoints.get_mut("e0").unwrap().labels = labels(0, 1);
    let flows = flows(policies, endpoints);
    let mut times: [Times; 7] = Default::default();
    for _ in 0..repetitions {
        let (index, took) = time(|| Index::of(&world));
        times[0].add(took);
        let (_, took) = time(|| flows.iter().filter(|flow| index.verdict(flow).allowed).count());
        times[1].add(took / FLOWS);
        let (_, took) = time(|| flows.iter().map(|flow| index.explain(flow).egress.map_or(0, |_| 1)).sum::<usize>());
        times[2].add(took / FLOWS);
        let (_, took) = time(|| flows.iter().take(FEW as usize).filter(|flow| verdict(&world, flow).allowed).count());
        times[3].add(took / FEW);
        let (_, took) = time(|| flows.iter().take(FEW as usize).filter(|flow| explain(&world, flow).allowed).count());
        times[4].add(took / FEW);
        let (changes, took) = time(|| diff(&world, &changed, Concern::Decisions));
        times[5].add(took);
        assert!(!changes.is_empty());
        let (_, took) = time(|| lint(&world));
        times[6].add(took);
    }
    let line = |what, place: usize, reference: usize| Line {
        what,
        who: who.clone(),
        times: &times[place],
        reference: &times[reference],
    };
    let lines = [
        line("index, once", 0, 3),
        line("verdict of a flow", 1, 3),
        line("explain a flow", 2, 4),
        line("diff of one label", 5, 3),
        line("lint", 6, 3),
    ];
    tell("flows", &format!("{who}: ratio to the plain definition"), &lines);
    for (what, place) in [("verdicts", 1), ("explanations", 2)] {
        println!("{:.0} {what} a second", 1.0 / times[place].median().as_secs_f64());
    }
}

fn flows(policies: usize, endpoints: usize) -> Vec<Packet> {
    let mut chance = Chance(0x5eed);
    let mut anybody = || address(chance.below(endpoints));
    let ends: Vec<_> = (0..FLOWS).map(|_| (anybody(), anybody())).collect();
    let port =
        |number: usize| u16::try_from(if number.is_multiple_of(2) { 1 + number % policies } else { 50_000 }).unwrap();
    let tcp = |(number, (source, destination)): (usize, (Ipv4Addr, Ipv4Addr))| {
        Packet::tcp(source.into(), destination.into(), (40_000, port(number)))
    };
    ends.into_iter().enumerate().map(tcp).collect()
}

/// Pseudo-random numbers (SplitMix64), the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).unwrap()
    }
}

fn world(policies: usize, endpoints: usize, groups: usize) -> World {
    let policies = (0..policies).map(|number| {
        let admitted = Selector::parse(&format!("group == 'g{}'", (number + 1 + number / groups) % groups)).unwrap();
        let rule = Rule {
            source: Peers { select: Some(Selection::anywhere(admitted)), ..Peers::default() }.into(),
            ports: vec![format!("tcp/{}", 1 + number).parse().unwrap()],
            ..Rule::any("1", Action::Allow)
        };
        let policy = Policy {
            name: format!("p{number}").as_str().into(),
            mode: Mode::Enforce,
            hosts: Hosts::Never,
            tier: "default".to_owned(),
            order: None,
            subject: Selection::anywhere(Selector::parse(&format!("group == 'g{}'", number % groups)).unwrap()),
            ingress: Some(vec![rule].into()),
            egress: None,
        };
        (policy.name.clone(), policy)
    });
    let endpoint = |number: usize| Endpoint {
        labels: labels(number, number % groups),
        addresses: vec![address(number).into()],
        ..Endpoint::default()
    };
    let endpoints = (0..endpoints).map(|number| (format!("e{number}"), endpoint(number)));
    World { policies: policies.collect(), endpoints: endpoints.collect(), ..World::default() }
}

fn address(number: usize) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x0a4d_0000 + u32::try_from(number).unwrap())
}

/// Each endpoint has a label of its own too, as those of orchestrators do.
fn labels(number: usize, group: usize) -> Labels {
    Labels::try_from_pairs([("group", format!("g{group}")), ("pod", format!("e{number}"))]).unwrap()
}
