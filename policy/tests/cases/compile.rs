//! What a world is compiled to, in nft's own words.

use std::collections::{BTreeMap, BTreeSet};

use insta::assert_snapshot;
use poplin_policy::compile::{Compiler, compile};
use poplin_policy::host::{Failsafe, Host, Settings, WorkloadToHost};
use poplin_policy::model::{Action, DefaultAction, Direction, Peers, Policy, Rule};
use poplin_policy::nat::{Edge, Outgoing, Pool, Publication};
use poplin_policy::packet::Packet;
use poplin_policy::place::Place;
use poplin_policy::ruleset::{HookPoint, Interface, MapElements, Name, Ruleset, SourceNat, Then};
use poplin_policy::walk::{ConntrackState, Outcome, SYN, Transit, walk};
use poplin_policy::world::World;

use crate::scene::*;

fn host(local: &[&str]) -> Host {
    let interface = |name: &&str| ((*name).to_owned(), Interface::new(format!("pop-{name}")).unwrap());
    Host {
        interfaces: local.iter().map(interface).collect(),
        host_endpoints: BTreeMap::new(),
        edge: Edge::default(),
        settings: Settings {
            interface_prefix: "pop-".to_owned(),
            workload_to_host: WorkloadToHost::Drop,
            serves_names: false,
            failsafe: Failsafe::default(),
        },
    }
}

/// The first packet of a flow, on its way from one interface to another.
fn forwarded(packet: Packet, from: &str, to: &str) -> Transit {
    Transit {
        group: 0,
        hook: HookPoint::Forward,
        interface_in: Interface::new(from),
        interface_out: Interface::new(to),
        packet,
        hop_limit: 64,
        tcp_flags: SYN,
        state: ConntrackState::New,
        mark: 0,
    }
}

/// What policies make of the table: sets, maps and chains that are not there on every host.
fn of_policies(rules: &Ruleset) -> Ruleset {
    let nobody = compile(&World::default(), &host(&[]));
    let mut rules = rules.clone();
    rules.chains.retain(|name, _| !nobody.chains.contains_key(name));
    rules.maps.retain(|name, map| nobody.maps.get(name) != Some(map));
    rules.sets.retain(|name, _| !nobody.sets.contains_key(name));
    rules
}

#[test]
fn a_host_with_one_governed_and_one_free_endpoint() {
    let world =
        with(shop(), ingress("db", "app == 'db'", vec![rule(Action::Allow, select("app == 'web'"), "tcp/5432")]));

    let rules = compile(&world, &host(&["web", "db"]));

    assert_snapshot!(rules);
}

#[test]
fn rules_of_every_kind() {
    let office = Peers { sets: vec!["office".into()], not_nets: nets("192.0.2.7/32"), ..anybody() };
    let abroad = Peers { nets: nets("203.0.113.0/24 198.51.100.0/24"), ..anybody() };
    let rules = vec![
        rule(Action::Deny, abroad, ""),
        rule(Action::Allow, select("site == 'hq'"), "tcp/22"),
        rule(Action::Allow, office, "tcp/80 tcp/81 tcp/443 udp"),
        rule(Action::Allow, anybody(), "tcp/1 tcp/3 tcp/5 tcp/7 tcp/9"),
        rule(Action::Pass, anybody(), "icmp/8/0 icmp6/128 proto/47"),
    ];
    let world = with_tier(shop(), "first", 1.0, DefaultAction::Pass);
    let world = with(world, in_tier("first", ingress("all-kinds", "app == 'db'", rules)));
    let world = with(world, ingress("closed", "app == 'db'", vec![]));

    let rules = compile(&world, &host(&["db"]));

    assert_snapshot!(of_policies(&rules));
}

#[test]
fn two_pools_that_ask_for_the_same_and_one_that_asks_for_something_else() {
    let pool = |cidr: &str, source, exclude: &str| {
        (
            cidr.to_owned(),
            Pool { cidr: cidr.parse().unwrap(), outgoing: Some(Outgoing { source, exclude: nets(exclude) }) },
        )
    };
    let given = SourceNat::To("2001:db8::9".parse().unwrap());
    let pools = [
        pool("10.77.0.0/16", SourceNat::Masquerade, "192.0.2.0/24"),
        pool("10.78.0.0/16", SourceNat::Masquerade, "192.0.2.0/24"),
        pool("fd77::/48", given, ""),
    ];
    let hosts =
        BTreeMap::from([("h1".to_owned(), ["198.51.100.1", "2001:db8::1"].map(|text| text.parse().unwrap()).into())]);

    let rules =
        compile(&World::default(), &Host { edge: Edge { pools: pools.into(), hosts, ..Edge::default() }, ..host(&[]) });

    assert_snapshot!(of_policies(&rules));
}

#[test]
fn two_endpoints_that_publish_ports() {
    let publication = |addresses: &[&str], ports: &[&str]| Publication {
        addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
        ports: ports.iter().map(|text| text.parse().unwrap()).collect(),
    };
    let published = BTreeMap::from([
        ("db".to_owned(), publication(&["10.0.0.3"], &["127.0.0.1:5432:5432"])),
        ("web".to_owned(), publication(&["10.0.0.1", "fd00::1"], &["8080-8081:80-81", "192.0.2.1:53:5353/udp"])),
    ]);

    let rules = compile(&World::default(), &Host { edge: Edge { published, ..Edge::default() }, ..host(&[]) });

    let mut part = of_policies(&rules);
    let forward = Name::new("forward");
    part.chains.insert(forward.clone(), rules.chains[&forward].clone());
    assert_snapshot!(part);
}

#[test]
fn a_port_that_is_passed_on_to_nobody_is_open() {
    let passes = ingress("passes", "app == 'db'", vec![rule(Action::Pass, anybody(), "tcp/22")]);
    let world = with(with_tier(shop(), "first", 1.0, DefaultAction::Deny), in_tier("first", passes));

    let rules = compile(&world, &host(&["db"]));

    let outcome = |port| {
        let packet = Packet::tcp("10.0.0.1".parse().unwrap(), "10.0.0.3".parse().unwrap(), (40_000, port));
        walk(&rules, &forwarded(packet, "elsewhere", "pop-db"))
    };
    assert_eq!((outcome(22), outcome(23)), (Outcome::Accept, Outcome::Drop));
}

#[test]
fn an_endpoint_the_world_does_not_know_gets_no_policy() {
    let rules = compile(&World::default(), &host(&["ghost"]));

    assert!(rules.maps.values().all(|map| map.elements.is_empty()));
    assert!(rules.sets.values().all(|set| set.elements.is_empty()));
}

/// The kernel follows at most 16 chains in a row; tiers are none of them.
#[test]
fn a_hundred_tiers_are_as_deep_as_one() {
    let passing = (0..100).fold(shop(), |world, number| {
        let tier = format!("t{number:02}");
        let policy = ingress(&tier, "app == 'db'", vec![rule(Action::Pass, anybody(), &format!("tcp/{}", 1 + number))]);
        with(with_tier(world, &tier, 1.0, DefaultAction::Pass), in_tier(&tier, policy))
    });

    let rules = compile(&passing, &host(&["db"]));

    assert_snapshot!(of_policies(&rules));
}

#[test]
fn a_long_list_is_two_look_ups_whoever_may_and_may_not() {
    let some = |number: usize| if number.is_multiple_of(2) { Action::Allow } else { Action::Deny };
    let peers = ["app == 'web'", "has(app)", "site == 'hq'"].map(select);
    let mut rules: Vec<_> = (0..).zip(peers).map(|(number, peers)| rule(some(number), peers, "tcp/443")).collect();
    rules.push(rule(Action::Allow, Peers { nets: nets("10.0.0.0/8"), not_nets: nets("10.0.0.0/30"), ..anybody() }, ""));
    for (number, rule) in (1..).zip(&mut rules) {
        rule.name = format!("{number}");
    }
    let world = with(shop(), ingress("db", "app == 'db'", rules));

    let rules = compile(&world, &host(&["db"]));

    assert_snapshot!(of_policies(&rules));
}

#[test]
fn a_rule_that_logs_in_a_long_list_is_asked_alone_and_names_itself() {
    let some = |number: usize| if number.is_multiple_of(2) { Action::Allow } else { Action::Deny };
    let named = |rule: Rule, name: String| Rule { name, ..rule };
    let asks = |number: usize| select(&format!("app == 'a{number}'"));
    let mut rules: Vec<_> =
        (0..100).map(|number| named(rule(some(number), asks(number), "tcp/443"), format!("{number}"))).collect();
    rules.insert(50, named(rule(Action::Log, select("app == 'web'"), ""), "watch".to_owned()));
    let world = with(shop(), ingress("db", "app == 'db'", rules));

    let compiler = Compiler::of(&world, &host(&["db"]));

    let chains = of_policies(compiler.ruleset()).chains;
    let rules: Vec<_> = chains.values().flat_map(|chain| &chain.rules).collect();
    let longest = chains.values().map(|chain| chain.rules.len()).max();
    assert!(longest < Some(10), "a hundred rules are asked by look-ups, and {longest:?} stand in one chain");
    let told = rules.iter().filter_map(|rule| match &rule.then {
        Then::Log(log) => Place::from_prefix(&log.prefix),
        _ => None,
    });
    let logged: BTreeSet<_> = told.filter(|(place, _)| *place == Place::Logged(Direction::Ingress)).collect();
    let named = logged.iter().map(|(_, name)| compiler.logs(name.as_ref().unwrap()).unwrap().to_string());
    assert_eq!(named.collect::<Vec<_>>(), ["default/db/watch"]);
}

/// Who is passed on in the first tier comes to the second, whatever the first says of where his address lies.
#[test]
fn an_endpoint_that_is_passed_on_is_not_asked_where_it_lies() {
    for (by_place, then) in [(Action::Allow, Action::Deny), (Action::Deny, Action::Allow)] {
        let nets = Peers { nets: nets("10.0.0.0/8"), ..anybody() };
        let first = vec![rule(Action::Pass, select("app == 'web'"), "tcp/443"), rule(by_place, nets, "tcp/443")];
        let first = Policy { tier: "early".to_owned(), ..ingress("early", "app == 'db'", first) };
        let second = ingress("late", "app == 'db'", vec![rule(then, anybody(), "")]);
        let world = with_tier(shop(), "early", 10.0, DefaultAction::Pass);
        let world = with(with(world, first), second);
        let packet = Packet::tcp("10.0.0.1".parse().unwrap(), "10.0.0.3".parse().unwrap(), (40000, 443));

        let outcome = walk(&compile(&world, &host(&["db"])), &forwarded(packet, "uplink", "pop-db"));

        assert_eq!(outcome, if then == Action::Allow { Outcome::Accept } else { Outcome::Drop }, "{then:?}");
    }
}

#[test]
fn what_comes_after_a_log_follows_an_address_set_that_comes_later() {
    let rules = ["app == 'web'", "app == 'watched'", "role == 'db'"].map(select);
    let [web, watched, db] = rules;
    let rules = vec![
        rule(Action::Allow, web, "tcp/443"),
        rule(Action::Log, watched, "tcp/443"),
        rule(Action::Allow, db, "tcp/443"),
    ];
    let before = with(shop(), ingress("db", "app == 'db'", rules));
    let after = with_set(before.clone(), "backups", "role=db", "10.9.0.0/16");
    let mut compiler = Compiler::of(&before, &host(&["db"]));

    for (name, set) in &after.sets {
        compiler.set_address_set(name, Some(set.clone()));
    }

    assert_eq!(compiler.into_ruleset(), compile(&after, &host(&["db"])));
}

#[test]
fn a_thousand_policies_for_a_thousand_endpoints_stand_side_by_side() {
    let mut world = World::default();
    for number in 0..1000 {
        let labelled = format!("app=a{number} team=t{}", number % 10);
        let address = format!("10.1.{}.{}", number / 250, number % 250);
        world = with_endpoint(world, &format!("e{number}"), &labelled, &address);
        let peers = select(&format!("app == 'a{}'", (number + 1) % 1000));
        let subject = format!("app == 'a{number}'");
        world = with(world, ingress(&format!("p{number}"), &subject, vec![rule(Action::Allow, peers, "tcp/80")]));
    }
    let names: Vec<&str> = world.endpoints.keys().map(String::as_str).collect();
    let rules = compile(&world, &host(&names));

    let elements = |map: &str| match &rules.maps[&Name::new(map)].elements {
        MapElements::Ids(ids) => ids.len(),
        MapElements::Verdicts(verdicts) => verdicts.len(),
        other => panic!("{map} holds {other:?}"),
    };
    assert_eq!(["ingress-chains", "ingress-questions", "ingress-verdicts", "who4"].map(elements), [1000; 4]);
    let chains = rules.chains.len() + rules.maps.len();
    assert!(chains < 50, "paths are elements, and {chains} chains and maps stand");
}
