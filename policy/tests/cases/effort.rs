//! Whom a change asks: those it can concern, and each once for all that came together.

use std::collections::BTreeMap;

use poplin_policy::compile::{Compiler, Effort};
use poplin_policy::host::{Doorway, Failsafe, Host, Settings, WorkloadToHost};
use poplin_policy::model::{Action, AddressSet, Hosts, NamedPort, Peers, Policy, Scope, Selection};
use poplin_policy::nat::Edge;
use poplin_policy::ruleset::Interface;
use poplin_policy::selector::Selector;
use poplin_policy::world::World;

use crate::scene::{anybody, ingress, labels, nets, rule, select, with, with_endpoint, with_set};

const POLICIES: usize = 1_000;
const LOCALS: usize = 50;
const SETS: usize = 100;

/// A thousand policies of one rule by label, of twenty on each of fifty workloads. On the first workload also one that names a set, one
/// that names a port, and one that asks for the labels of namespaces; and a host endpoint with ten policies of its own.
fn fabric() -> World {
    let mut world = World::default();
    for number in 0..LOCALS {
        world = with_endpoint(world, &format!("e{number}"), &format!("name=n{number}"), &format!("10.0.1.{number}"));
    }
    for number in 0..SETS {
        world = with_set(world, &format!("s{number}"), "", "192.0.2.0/25");
    }
    for number in 0..POLICIES {
        world = with(world, governing(number));
    }
    let named = Peers { sets: vec!["s7".into()], ..anybody() };
    world = with(world, ingress("sets", "name == 'n0'", vec![rule(Action::Allow, named, "tcp/80")]));
    world = with(world, ingress("ports", "name == 'n0'", vec![rule(Action::Allow, anybody(), "tcp/http")]));
    let scope = Scope::Namespaces(Selector::parse("tier == 'front'").unwrap());
    let within = Peers { select: Some(Selection { labels: Selector::all(), scope }), ..anybody() };
    world = with(world, ingress("namespaces", "name == 'n0'", vec![rule(Action::Allow, within, "tcp/81")]));
    for number in 0..10 {
        let rules = vec![rule(Action::Allow, select(&format!("site == 'd{number}'")), "tcp/22")];
        let policy = ingress(&format!("host{number}"), "role == 'edge'", rules);
        world = with(world, Policy { hosts: Hosts::Forward, ..policy });
    }
    world.host_endpoints.insert("uplink".to_owned(), labels("role=edge"));
    world
}

fn governing(number: usize) -> Policy {
    let rules = vec![rule(Action::Allow, select(&format!("app == 'a{number}'")), "tcp/443")];
    ingress(&format!("p{number}"), &format!("name == 'n{}'", number % LOCALS), rules)
}

fn host() -> Host {
    let interface = |number| (format!("e{number}"), Interface::new(format!("pop{number}")).unwrap());
    Host {
        interfaces: (0..LOCALS).map(interface).collect(),
        host_endpoints: BTreeMap::from([("uplink".to_owned(), Doorway::Named(Interface::new("eth0").unwrap()))]),
        edge: Edge::default(),
        settings: Settings {
            interface_prefix: "pop".to_owned(),
            workload_to_host: WorkloadToHost::Drop,
            serves_names: false,
            failsafe: Failsafe::default(),
        },
    }
}

/// What a change costs.
fn effort(compiler: &mut Compiler, change: impl FnOnce(&mut Compiler)) -> Effort {
    compiler.take_changes();
    let before = compiler.effort();
    change(compiler);
    assert!(!compiler.take_changes().is_empty(), "a change that changes nothing costs nothing");
    let after = compiler.effort();
    Effort {
        policies: after.policies - before.policies,
        paths: after.paths - before.paths,
        tables: after.tables - before.tables,
    }
}

fn set(name: &str, labelled: &str, all: &str) -> AddressSet {
    AddressSet { name: name.into(), labels: labels(labelled), nets: nets(all) }
}

#[test]
fn a_sets_prefixes_fill_what_names_it_and_ask_nobody() {
    let mut compiler = Compiler::of(&fabric(), &host());

    let told = effort(&mut compiler, |compiler| {
        compiler.set_address_set(&"s7".into(), Some(set("s7", "", "192.0.2.0/25 198.51.100.7/32")));
    });

    assert_eq!((told.policies, told.paths), (0, 0));
    assert!((1..=4).contains(&told.tables), "{told:?}"); // by owner and by place, for both families
}

#[test]
fn a_sets_label_draws_the_path_of_the_policy_that_asks_for_it_and_no_other() {
    let mut compiler = Compiler::of(&fabric(), &host());

    let told = effort(&mut compiler, |compiler| {
        compiler.set_address_set(&"s8".into(), Some(set("s8", "app=a3", "192.0.2.0/25")));
    });

    assert_eq!(told.paths, 1);
    // Those of one workload, in the four rounds it is in.
    assert_eq!(told.policies, 4 * POLICIES / LOCALS);
}

#[test]
fn a_sets_label_that_a_host_endpoint_asks_for_asks_no_workload() {
    let mut compiler = Compiler::of(&fabric(), &host());

    let told = effort(&mut compiler, |compiler| {
        compiler.set_address_set(&"s9".into(), Some(set("s9", "site=d4", "192.0.2.0/25")));
    });

    // Its ten policies, in each of its seven lanes, enforced and staged; they speak in two.
    assert_eq!((told.policies, told.paths), (10 * 7 * 2, 2));
}

#[test]
fn a_named_port_draws_the_path_that_names_it() {
    let world = with_endpoint(fabric(), "far", "name=far", "10.0.2.1");
    let mut far = world.endpoints["far"].clone();
    let named = ingress("asks-others", "name == 'n1'", vec![rule(Action::Allow, anybody(), "")]);
    let mut from_named = named.clone();
    from_named.ingress.as_mut().unwrap()[0].source_ports = vec!["tcp/http".parse().unwrap()].into();
    let mut compiler = Compiler::of(&with(world, from_named), &host());
    far.ports = vec!["http=tcp/8080".parse::<NamedPort>().unwrap()];

    let told = effort(&mut compiler, |compiler| compiler.set_endpoint("far", Some(&far)));

    assert_eq!((told.policies, told.paths), (4 * (POLICIES / LOCALS + 1), 1));
}

#[test]
fn a_namespaces_labels_fill_what_asks_for_them_and_ask_nobody() {
    let mut world = with_endpoint(fabric(), "far", "name=far", "10.0.2.1");
    world.endpoints.get_mut("far").unwrap().namespace = Some("shop".to_owned());
    let mut compiler = Compiler::of(&world, &host());

    let told = effort(&mut compiler, |compiler| compiler.set_namespace("shop", Some(labels("tier=front"))));

    assert_eq!((told.policies, told.paths), (0, 0));
    assert!((1..=4).contains(&told.tables), "{told:?}");
}

#[test]
fn what_comes_together_is_thought_of_once() {
    let world = fabric();
    let fresh = Compiler::of(&world, &host());
    let mut bare = world.clone();
    bare.policies.clear();
    bare.sets.clear();
    let mut compiler = Compiler::of(&bare, &host());

    let told = effort(&mut compiler, |compiler| {
        for (name, set) in &world.sets {
            compiler.set_address_set(name, Some(set.clone()));
        }
        for (name, policy) in &world.policies {
            compiler.set_policy(name, Some(policy.clone()));
        }
    });

    assert_eq!(told.policies, fresh.effort().policies);
    assert!(told.paths <= fresh.effort().paths, "{told:?}"); // some stood before
    assert_eq!(compiler.into_ruleset(), fresh.into_ruleset());
}

#[test]
fn an_edited_policy_asks_the_workload_it_governs() {
    let mut compiler = Compiler::of(&fabric(), &host());
    let mut edited = governing(7);
    edited.ingress.as_mut().unwrap()[0].ports = vec!["tcp/8443".parse().unwrap()];

    let told = effort(&mut compiler, |compiler| compiler.set_policy(&edited.name.clone(), Some(edited)));

    assert_eq!((told.policies, told.paths), (4 * POLICIES / LOCALS, 1));
}
