//! A world of many tiers, each of which makes of itself what it can.

use poplin_policy::label::Labels;
use poplin_policy::model::{Action, DefaultAction, Endpoint, Hosts, Mode, Order, Peers, Policy, Rule, Selection, Tier};
use poplin_policy::selector::Selector;
use poplin_policy::world::World;

use super::strategy::endpoint_address;

/// Tiers whose rules log, and pass some on to the next, and differ by protocol and by both ports; each is staged once more.
pub(crate) fn deep(tiers: u8) -> World {
    let host_endpoints = ["any", "wan"].map(|name| (name.to_owned(), Labels::default())).into();
    let mut world = World { host_endpoints, ..World::default() };
    for number in 1..=2 {
        let labels = [("app", format!("a{number}"))];
        let labels = Labels::try_from_pairs(labels).unwrap();
        let addresses = vec![endpoint_address(number, false)];
        world.endpoints.insert(format!("e{number}"), Endpoint { labels, addresses, ..Endpoint::default() });
    }
    for number in 0..tiers {
        let name = format!("t{number:02}");
        let order = Some(Order::try_from(f64::from(number)).unwrap());
        let tier = Tier { name: name.clone(), order, default_action: DefaultAction::Deny };
        world.tiers.insert(name.clone(), tier);
        for (mode, word) in [(Mode::Enforce, "enforced"), (Mode::Stage, "staged")] {
            for policy in policies(&name, number, mode, word) {
                world.policies.insert(policy.name.clone(), policy);
            }
        }
    }
    world
}

fn policies(tier: &str, number: u8, mode: Mode, word: &str) -> Vec<Policy> {
    let of = |hosts: Hosts| {
        let rules = rules(number);
        let turned = |rule: &Rule| Rule {
            source: rule.destination.clone(),
            destination: rule.source.clone(),
            ports: rule.ports.clone(),
            ..rule.clone()
        };
        Policy {
            name: format!("{tier}-{hosts:?}-{word}").to_lowercase().as_str().into(),
            tier: tier.to_owned(),
            order: None,
            mode,
            hosts,
            subject: Selection::anywhere(Selector::all()),
            egress: Some(rules.iter().map(turned).collect()),
            ingress: Some(rules.into()),
        }
    };
    Hosts::ALL.into_iter().map(of).collect()
}

/// Some of everything that makes a chain of its own, another few in each tier.
fn rules(number: u8) -> Vec<Rule> {
    let from = |app: u8| Peers {
        select: Some(Selection::anywhere(Selector::parse(&format!("app == 'a{}'", 1 + app % 2)).unwrap())),
        ..Peers::default()
    };
    let ports = |text: &str| text.split_whitespace().map(|text| text.parse().unwrap()).collect::<Vec<_>>();
    let both = |rule: Rule| Rule { destination: from(number + 1).into(), ..rule };
    let rule = |name: &str, action, source: Peers, to: &str| Rule {
        source: source.into(),
        ports: ports(to),
        ..Rule::any(name, action)
    };
    vec![
        rule("wide", Action::Deny, from(number), "udp/1000-2000 icmp/3 proto/47"),
        rule("watch", Action::Log, from(number), ""),
        rule("on", Action::Pass, from(number + 1), ""),
        both(rule("on-to", Action::Pass, from(number + 2), "")),
        both(rule("watch-both", Action::Log, from(number + 3), "")),
        Rule { log: true, ..both(rule("in-to", Action::Allow, from(number + 3), "tcp/22")) },
        Rule {
            source_ports: ports("tcp/1-1023").into(),
            ..rule("low", Action::Pass, from(number + 2), "tcp/80 tcp/443")
        },
        rule("watch-more", Action::Log, from(number + 3), "tcp"),
        rule("in", Action::Allow, from(number + 4), "tcp/80 tcp/8000-9000 udp/53"),
    ]
}
