//! Differences against two verdicts, packet by packet.

use std::collections::BTreeSet;

use poplin_policy::diff::{Concern, Guarded, HostChange, HostTurn, Turn, diff, diff_hosts};
use poplin_policy::gate::{GateRuling, Lane, host_verdict};
use poplin_policy::host::{Doorway, Failsafe, HostEndpoint};
use poplin_policy::packet::Packet;
use poplin_policy::ruleset::Interface;
use poplin_policy::verdict::verdict;
use poplin_policy::world::World;
use proptest::prelude::*;

use crate::packets::packets;
use crate::strategy::world;

/// Two worlds that have most things in common, or nothing.
fn pair() -> impl Strategy<Value = (World, World)> {
    (world(), world(), 0..7u8).prop_map(|(before, other, part)| {
        let mut after = before.clone();
        match part {
            0 => after.policies = other.policies,
            1 => after.sets = other.sets,
            2 => after.endpoints = other.endpoints,
            3 => after.tiers = other.tiers,
            5 => after.host_ports = other.host_ports,
            4 => after.policies.extend(other.policies.into_iter().take(1)),
            _ => after = other,
        }
        (before, after)
    })
}

proptest! {
    #[test]
    fn a_packet_lies_in_a_reported_region_just_when_its_verdict_turns(
        (before, after) in pair(),
        packets in packets(),
    ) {
        let changes = diff(&before, &after, Concern::Decisions);
        let is_endpoint = |address| before.endpoint_of(address).or(after.endpoint_of(address)).is_some();

        for packet in &packets {
            let turned = match (verdict(&before, packet).allowed, verdict(&after, packet).allowed) {
                (false, true) => Some(&Turn::Opened),
                (true, false) => Some(&Turn::Closed),
                (true, true) | (false, false) => None,
            };
            let holding: Vec<_> = changes.iter().filter(|change| change.holds(packet, is_endpoint)).collect();

            prop_assert_eq!(holding.len(), usize::from(turned.is_some()), "{}\n{:#?}", packet, holding);
            prop_assert_eq!(holding.first().map(|change| &change.turn), turned, "{}", packet);
        }
    }

    #[test]
    fn an_example_is_decided_as_its_region_says((before, after) in pair()) {
        let is_endpoint = |address| before.endpoint_of(address).or(after.endpoint_of(address)).is_some();

        for change in diff(&before, &after, Concern::Deciders) {
            let example = &change.example;

            prop_assert!(change.holds(&example.packet, is_endpoint), "{}", change);
            match &change.turn {
                Turn::Opened => prop_assert!(!example.before.allowed && example.after.allowed, "{}", change),
                Turn::Closed => prop_assert!(example.before.allowed && !example.after.allowed, "{}", change),
                Turn::Kept { allowed, .. } => {
                    prop_assert_eq!((example.before.allowed, example.after.allowed), (*allowed, *allowed), "{}", change);
                    prop_assert_ne!(&example.before, &example.after);
                }
            }
        }
    }

    #[test]
    fn a_world_is_equivalent_to_itself(world in world()) {
        prop_assert_eq!(diff(&world, &world, Concern::Deciders), vec![]);
    }
}

/// Hosts' own interfaces: each of two, and the others.
fn places() -> Vec<(&'static str, Doorway)> {
    let named = |name| Doorway::Named(Interface::new(name).unwrap());
    ["h1", "h2"]
        .into_iter()
        .flat_map(|host| [Doorway::Every, named("lan"), named("wan")].map(|door| (host, door)))
        .collect()
}

/// The host endpoints of a world, each at one of the places.
fn standing(world: &World, at: [usize; 3]) -> Vec<HostEndpoint> {
    let names = world.host_endpoints.iter().zip(at);
    let endpoint = |((name, labels), at): ((&String, &poplin_policy::label::Labels), usize)| {
        let (host, doorway) = places().swap_remove(at);
        let (name, labels, host) = (name.clone(), labels.clone(), host.to_owned());
        HostEndpoint {
            name,
            labels,
            profiles: Vec::new(),
            host,
            doorway,
            addresses: BTreeSet::new(),
            ports: Vec::new(),
        }
    };
    names.map(endpoint).collect()
}

/// Who is asked at a place: the first that stands there, or that stands for every interface of its host.
fn asked<'h>(all: &'h [HostEndpoint], (host, doorway): &(&str, Doorway)) -> Option<&'h str> {
    let stands = |door: &Doorway| all.iter().find(|one| one.host == *host && one.doorway == *door);
    stands(doorway).or_else(|| stands(&Doorway::Every)).map(|one| one.name.as_str())
}

fn words((host, doorway): &(&str, Doorway)) -> String {
    match doorway {
        Doorway::Named(interface) => format!("{interface} of {host}"),
        Doorway::Every => format!("* of {host}"),
    }
}

/// Whether a packet may go on, and for good, where this host endpoint is asked or none.
fn goes_on(world: &World, name: Option<&str>, lane: Lane, packet: &Packet) -> (bool, bool) {
    let ruling = name.and_then(|name| host_verdict(world, &Failsafe::none(), name, lane, packet));
    ruling.map_or((true, false), |ruling| (ruling.allowed, ruling.is_settled))
}

fn turned(lane: Lane, before: (bool, bool), after: (bool, bool)) -> Option<HostTurn> {
    match (before, after) {
        ((false, _), (true, _)) => Some(HostTurn::Opened),
        ((true, _), (false, _)) => Some(HostTurn::Closed),
        ((true, false), (true, true)) => {
            Some(if lane == Lane::PreDnat { HostTurn::Spared } else { HostTurn::Untracked })
        }
        ((true, true), (true, false)) => Some(if lane == Lane::PreDnat { HostTurn::Asked } else { HostTurn::Tracked }),
        _ => None,
    }
}

proptest! {
    #[test]
    fn a_packet_lies_in_a_region_of_a_hosts_interface_just_when_that_treats_it_otherwise(
        (mut before, mut after) in pair(),
        (other, part) in (world(), 0..4u8),
        (at, moved, is_moved) in ([0..6usize, 0..6, 0..6], [0..6usize, 0..6, 0..6], any::<bool>()),
        packets in packets(),
    ) {
        match part {
            0 => after.host_endpoints = other.host_endpoints,
            1 => before.host_endpoints = after.host_endpoints.clone(),
            _ => {}
        }
        let (stood, stand) = (standing(&before, at), standing(&after, if is_moved { moved } else { at }));
        let changes = diff_hosts(
            Guarded { world: &before, host_endpoints: &stood },
            Guarded { world: &after, host_endpoints: &stand },
        );
        let is_endpoint = |address| before.endpoint_of(address).or(after.endpoint_of(address)).is_some();

        for packet in packets.iter().filter(|packet| packet.source != packet.destination) {
            for (place, lane) in places().iter().flat_map(|place| Lane::ALL.map(|lane| (place, lane))) {
                let all = [&stood, &stand];
                if all.iter().all(|all| !all.iter().any(|one| one.host == place.0 && one.doorway == place.1)) {
                    continue; // as all interfaces of its host that nobody names
                }
                let holders = all.map(|all| asked(all, place));
                let [old, new] =
                    [(&before, holders[0]), (&after, holders[1])].map(|(world, name)| goes_on(world, name, lane, packet));
                // One that stands here and nowhere else is told by its name.
                let is_here = |one: &HostEndpoint| (one.host.as_str(), &one.doorway) == (place.0, &place.1);
                let stands_here = |name: &String| {
                    let holds = |all: &Vec<HostEndpoint>, holder: &Option<&str>| {
                        *holder == Some(name) && all.iter().any(|one| one.name == *name && is_here(one))
                    };
                    all.iter().zip(&holders).any(|(all, holder)| holds(all, holder))
                };
                let is_it = |title: &String| *title == words(place) || stands_here(title);
                let of_it = changes.iter().filter(|change| change.lane == lane && change.host_endpoints.iter().any(is_it));
                let holding: Vec<_> = of_it.filter(|change| change.holds(packet, is_endpoint)).collect();

                let turn = turned(lane, old, new);
                prop_assert_eq!(holding.len(), usize::from(turn.is_some()), "{} {} {}", lane, words(place), packet);
                prop_assert_eq!(holding.first().map(|change| change.turn), turn, "{}", packet);
            }
        }
        for HostChange { turn, lane, example, .. } in &changes {
            let word = |ruling: &Option<GateRuling>| ruling.as_ref().map_or((true, false), |it| (it.allowed, it.is_settled));
            let [old, new] = [&example.before, &example.after].map(word);
            prop_assert_eq!(Some(*turn), turned(*lane, old, new), "{}", example.packet);
        }
    }
}

mod told {
    //! How a difference reads.

    use insta::assert_snapshot;
    use poplin_policy::model::Action;

    use super::*;
    use crate::scene::{anybody, egress, ingress, nets, rule, select, shop, with, with_endpoint};

    fn text(before: &World, after: &World, concern: Concern) -> String {
        diff(before, after, concern).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_new_policy_closes_for_all_but_those_it_admits() {
        let guard = ingress("db", "app == 'db'", vec![rule(Action::Allow, select("app == 'api'"), "tcp/5432")]);
        let after = with(shop(), guard);

        assert_snapshot!(text(&shop(), &after, Concern::Decisions), @"
        - denied now: api -> db: everything but tcp/5432 over IPv4
            such as 10.0.0.2 → 10.0.0.3 tcp 49152 → 1
              was: allowed, no policy governs
              now: denied, ingress of db: end of tier default
        - denied now: web, anywhere outside -> db: everything
            such as 10.0.0.1 → 10.0.0.3 tcp 49152 → 1
              was: allowed, no policy governs
              now: denied, ingress of db: end of tier default
        ");
    }

    #[test]
    fn a_widened_rule_tells_what_it_opens_and_to_whom() {
        let allow = |ports| ingress("db", "app == 'db'", vec![rule(Action::Allow, select("app == 'web'"), ports)]);
        let crowd = (4..14).fold(shop(), |world, number| {
            with_endpoint(world, &format!("web-{number}"), "app=web tier=front", &format!("10.0.0.{number}"))
        });

        let (before, after) = (with(crowd.clone(), allow("tcp/5432")), with(crowd, allow("tcp/5432-5433 icmp/8")));

        assert_snapshot!(text(&before, &after, Concern::Decisions), @"
        + allowed now: app == 'web' (11 endpoints) -> db: icmp/8 tcp/5433 over IPv4
            such as 10.0.0.1 → 10.0.0.3 tcp 49152 → 5433
              was: denied, ingress of db: end of tier default
              now: allowed, ingress of db: default/db/allow
        + allowed now: web -> db: tcp/5433 over IPv6
            such as fd00::1 → fd00::3 tcp 49152 → 5433
              was: denied, ingress of db: end of tier default
              now: allowed, ingress of db: default/db/allow
        ");
    }

    #[test]
    fn another_decider_is_told_only_to_those_who_ask() {
        let office = poplin_policy::model::Peers { nets: nets("192.0.2.0/24"), ..anybody() };
        let before = with(shop(), egress("out", "app == 'web'", vec![rule(Action::Deny, office, "tcp")]));
        let sets = poplin_policy::model::Peers { sets: vec!["office".into()], ..anybody() };
        let after = with(before.clone(), egress("a", "app == 'web'", vec![rule(Action::Deny, sets, "tcp")]));

        assert_eq!(diff(&before, &after, Concern::Decisions), vec![]);
        assert_snapshot!(text(&before, &after, Concern::Deciders), @"
        ~ still denied: web -> set office: tcp over IPv4
            at the source: by default/out/deny, now by default/a/deny
            such as 10.0.0.1 → 192.0.2.1 tcp 49152 → 1
              was: denied, egress of web: default/out/deny
              now: denied, egress of web: default/a/deny
        ~ still denied: web -> set office: tcp over IPv6
            at the source: by end of tier default, now by default/a/deny
            such as fd00::1 → 2001:db8::1 tcp 49152 → 1
              was: denied, egress of web: end of tier default
              now: denied, egress of web: default/a/deny
        ");
    }
}
