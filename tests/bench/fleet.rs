//! What the head of one host spends on rules: compiling a fleet's policy, and finding what changed.
//!
//! `cargo bench -p poplin-tests --bench fleet`. Pure: no kernel, no root. Repetitions: `POPLIN_REPETITIONS`. A tenth of the endpoints are
//! on this host; each policy governs one of a hundred groups and admits another.

#![allow(clippy::unwrap_used)] // whatever fails here ends the bench

#[allow(dead_code)]
mod figures;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use figures::{Line, Times, setting, tell, time};
use poplin_policy::compile::compile;
use poplin_policy::delta::between;
use poplin_policy::host::{Failsafe, Host, Settings, WorkloadToHost};
use poplin_policy::label::Labels;
use poplin_policy::model::{Action, Endpoint, Hosts, Mode, Peers, Policy, Rule, Selection};
use poplin_policy::nat::Edge;
use poplin_policy::ruleset::Interface;
use poplin_policy::selector::Selector;
use poplin_policy::world::World;

const GROUPS: usize = 100;

fn main() {
    let repetitions = setting("POPLIN_REPETITIONS", 20);
    let mut measured = Vec::new();
    for (policies, endpoints) in [(100, 1_000), (1_000, 1_000), (1_000, 10_000)] {
        let world = world(policies, endpoints);
        let mut changed = world.clone();
        changed.endpoints.get_mut("e0").unwrap().labels = group(1);
        let host = host(endpoints / 10);
        let (mut compiling, mut comparing, mut changes) = (Times::default(), Times::default(), 0);
        for _ in 0..repetitions {
            let (rules, took) = time(|| compile(&world, &host));
            compiling.add(took);
            let new = compile(&changed, &host);
            let (found, took) = time(|| between(Some(&rules), &new));
            comparing.add(took);
            changes = found.len();
        }
        measured.push((format!("{policies} policies, {endpoints} endpoints"), compiling, comparing, changes));
    }
    let [(_, reference, ..), ..] = &measured[..] else { unreachable!("something was measured") };
    let lines: Vec<_> = measured
        .iter()
        .flat_map(|(who, compiling, comparing, _)| {
            [("compile", compiling), ("delta of one label", comparing)].map(|(what, times)| Line {
                what,
                who: who.clone(),
                times,
                reference,
            })
        })
        .collect();
    tell("fleet", "Rules of one host; ratio to compiling the smallest", &lines);
    for (who, .., changes) in &measured {
        println!("one label of {who}: {changes} changes");
    }
}

fn world(policies: usize, endpoints: usize) -> World {
    let policies = (0..policies).map(|number| {
        let admitted = Selector::parse(&format!("group == 'g{}'", (number + 1 + number / GROUPS) % GROUPS)).unwrap();
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
            subject: Selection::anywhere(Selector::parse(&format!("group == 'g{}'", number % GROUPS)).unwrap()),
            ingress: Some(vec![rule].into()),
            egress: None,
        };
        (policy.name.clone(), policy)
    });
    let endpoints = (0..endpoints).map(|number| {
        let address = Ipv4Addr::from_bits(0x0a4d_0000 + u32::try_from(number).unwrap());
        (
            format!("e{number}"),
            Endpoint { labels: group(number % GROUPS), addresses: vec![address.into()], ..Endpoint::default() },
        )
    });
    World { policies: policies.collect(), endpoints: endpoints.collect(), ..World::default() }
}

fn group(number: usize) -> Labels {
    Labels::try_from_pairs([("group", format!("g{number}"))]).unwrap()
}

fn host(endpoints: usize) -> Host {
    let interfaces =
        (0..endpoints).map(|number| (format!("e{}", number * 10), Interface::new(format!("pop{number}")).unwrap()));
    Host {
        interfaces: interfaces.collect(),
        host_endpoints: BTreeMap::new(),
        edge: Edge::default(),
        settings: Settings {
            interface_prefix: "pop".to_owned(),
            workload_to_host: WorkloadToHost::Drop,
            serves_names: false,
            failsafe: Failsafe::default(),
        },
    }
}
