//! RFC 4271 §9.1.1 and §9.2: what operators let in and out, and that changing their minds ends no session.

use std::sync::Arc;

use poplin_bgp::{
    CommunityChange, Exchange, MedChange, NextHop, PathCondition, PrefixRange, RouteChange, RouteCondition, RouteMap,
    RouteRule, RouteRules, Verdict,
};

use crate::world::{World, address, net};

/// Rules that accept what fits with a change, and reject the rest.
fn accepting(when: RouteCondition, change: RouteChange) -> RouteRules {
    let rules = vec![RouteRule { when, verdict: Verdict::Accept, change }];
    RouteRules::Map(Arc::new(RouteMap { rules, otherwise: Verdict::Reject }))
}

/// Rules that reject what fits and accept the rest.
fn rejecting(when: RouteCondition) -> RouteRules {
    let rules = vec![RouteRule { when, verdict: Verdict::Reject, change: RouteChange::default() }];
    RouteRules::Map(Arc::new(RouteMap { rules, otherwise: Verdict::Accept }))
}

fn within(ranges: &[&str]) -> RouteCondition {
    let prefixes = ranges.iter().map(|range| range.parse::<PrefixRange>().unwrap()).collect();
    RouteCondition { prefixes, ..RouteCondition::default() }
}

fn carrying(tag: &str) -> RouteCondition {
    RouteCondition { communities: vec![tag.parse().unwrap()], ..RouteCondition::default() }
}

fn tagged(tags: &[&str]) -> RouteChange {
    let add = tags.iter().map(|tag| tag.parse().unwrap()).collect();
    RouteChange { communities: CommunityChange { add, ..CommunityChange::default() }, ..RouteChange::default() }
}

/// Host 0 in AS 64512, host 1 in this one; host 0 originates two prefixes.
fn pair(asn: u32) -> World {
    let mut world = World::mesh(&[64512, asn], 1);
    world.originate(0, &["10.0.0.0/26", "10.9.0.0/16"]);
    world.settle();
    world
}

/// A chain of three systems whose middle passes on what it hears.
fn chain() -> World {
    let mut world = World::mesh(&[64601, 64602, 64603], 1);
    world.part(0, 2);
    for other in [0, 2] {
        world.exchange(1, other, |exchange| exchange.transit = true);
    }
    world.settle();
    world
}

#[test]
fn export_rules_hide_and_mark_what_is_told() {
    let mut world = pair(64601);

    let mut change = tagged(&["64512:7", "no-export", "64512:1:2", "rt:64512:9"]);
    change.prepend = 2;
    change.med = MedChange::Set(50);
    world.exchange(0, 1, |exchange| exchange.export = accepting(within(&["10.0.0.0/8 ge 26"]), change));
    world.settle();

    let words = "path [64512 64512 64512] med 50 64512:7 no-export rt:64512:9 64512:1:2";
    assert_eq!(world.best_words(1, "10.0.0.0/26"), words);
    assert_eq!(world.best_words(1, "10.9.0.0/16"), "none");
    assert_eq!(world.view(0, 1).prefixes_sent.total(), 1);
}

#[test]
fn import_rules_hide_and_mark_what_is_heard_and_the_hidden_is_kept() {
    let mut world = pair(64601);

    let change = RouteChange { local_pref: Some(200), ..tagged(&["64601:1"]) };
    world.exchange(1, 0, |exchange| exchange.import = accepting(within(&["10.0.0.0/26"]), change));
    world.settle();

    assert_eq!(world.best_words(1, "10.0.0.0/26"), "path [64512] pref 200 64601:1");
    assert_eq!(world.hosts[1].routes.keys().copied().collect::<Vec<_>>(), [net("10.0.0.0/26")]);
    let rejected: Vec<_> = world.hosts[1].speaker.routes().filter(|route| !route.admitted).collect();
    assert_eq!(rejected.iter().map(|route| route.prefix).collect::<Vec<_>>(), [net("10.9.0.0/16")]);
}

#[test]
fn a_change_of_mind_ends_no_session_and_says_only_what_differs() {
    let mut world = pair(64601);
    let since = (world.view(0, 1).since, world.view(1, 0).since);
    let mut octets = 0;
    let mut told = |world: &World| {
        let new = world.hosts[0].octets_sent;
        new - std::mem::replace(&mut octets, new)
    };
    told(&world);

    world.exchange(0, 1, |exchange| exchange.export = rejecting(within(&["10.9.0.0/16"])));
    world.settle();
    assert_eq!(world.best_words(1, "10.9.0.0/16"), "none");
    assert_eq!(told(&world), 19 + 4 + 3, "one withdrawal of one prefix");

    world.exchange(0, 1, |exchange| exchange.export = rejecting(within(&["10.9.0.0/16", "192.0.2.0/24"])));
    world.settle();
    assert_eq!(told(&world), 0, "nothing differs");

    world.exchange(1, 0, |exchange| exchange.import = RouteRules::Closed);
    world.settle();
    assert!(world.hosts[1].routes.is_empty());
    world.exchange(1, 0, |exchange| exchange.import = RouteRules::Open);
    world.settle();
    assert_eq!(world.next_hops(1, "10.0.0.0/26"), [address(0)]);
    assert_eq!(told(&world), 0, "what was heard is judged anew without asking for it again");
    assert_eq!((world.view(0, 1).since, world.view(1, 0).since), since);
}

#[test]
fn rfc8212_a_closed_neighbour_neither_hears_nor_is_heard() {
    let mut world = World::of(&[64512, 64601], 1);
    world.acquaint_all();
    let closed = Exchange { import: RouteRules::Closed, export: RouteRules::Closed, ..Exchange::default() };
    world.hosts[0].neighbours[0].exchange = closed;
    world.configure(0);
    (0..2).for_each(|host| world.originate(host, &[&format!("10.{host}.0.0/26")]));
    world.pass(std::time::Duration::from_secs(10));

    assert!(world.is_up(0, 1));
    assert!(world.hosts.iter().all(|host| host.routes.is_empty()));
    assert_eq!((world.view(0, 1).prefixes_received.total(), world.view(0, 1).prefixes_sent.total()), (1, 0));
}

#[test]
fn rfc8326_4_a_route_about_to_go_is_the_last_choice() {
    let mut world = World::mesh(&[64512, 64601, 64602], 1);
    (1..3).for_each(|switch| world.originate(switch, &["0.0.0.0/0"]));
    world.settle();
    assert_eq!(world.next_hops(0, "0.0.0.0/0").len(), 2);

    let leaving = accepting(RouteCondition::default(), tagged(&["graceful-shutdown"]));
    world.exchange(1, 0, |exchange| exchange.export = leaving);
    world.settle();
    assert_eq!(world.next_hops(0, "0.0.0.0/0"), [address(2)]);

    world.originate(2, &[]);
    world.settle();
    assert_eq!(world.best_words(0, "0.0.0.0/0"), "path [64601] pref 0 graceful-shutdown", "better than none");
}

#[test]
fn rfc4271_5_1_a_transit_leads_the_path_and_the_next_hop_is_itself() {
    let mut world = chain();
    let marked = RouteChange { med: MedChange::Set(9), ..tagged(&["64601:1", "ext:4300000000000001", "rt:64601:1"]) };
    world.exchange(0, 1, |exchange| exchange.export = accepting(RouteCondition::default(), marked));

    world.originate(0, &["10.0.0.0/26"]);
    world.settle();

    assert_eq!(
        world.best_words(2, "10.0.0.0/26"),
        "path [64602 64601] 64601:1 rt:64601:1",
        "MED and what is not transitive stay"
    );
    assert_eq!(world.next_hops(2, "10.0.0.0/26"), [address(1)]);
    assert_eq!(world.view(1, 0).prefixes_sent.total(), 0, "nothing goes back to whom it came from");
    let keep = RouteChange { next_hop: NextHop::Keep, ..RouteChange::default() };
    world.exchange(1, 2, |exchange| exchange.export = accepting(RouteCondition::default(), keep));
    world.settle();
    assert_eq!(world.next_hops(2, "10.0.0.0/26"), [address(0)]);

    world.originate(0, &[]);
    world.settle();
    assert!(world.hosts[2].routes.is_empty());
}

#[test]
fn rfc1997_and_rfc7999_3_2_what_is_not_to_be_exported_stays() {
    let kept = ["no-export", "no-advertise", "no-export-subconfed", "blackhole"].map(|tag| (tag, false));
    for (tag, passes) in kept.into_iter().chain([("64601:1", true)]) {
        let mut world = chain();
        world.exchange(0, 1, |exchange| exchange.export = accepting(RouteCondition::default(), tagged(&[tag])));

        world.originate(0, &["10.0.0.0/26"]);
        world.settle();

        assert_eq!(world.best_words(1, "10.0.0.0/26"), format!("path [64601] {tag}"));
        assert_eq!(world.best_words(2, "10.0.0.0/26") != "none", passes, "{tag}");
    }
}

#[test]
fn rules_of_a_transit_look_at_tags_and_paths() {
    let mut world = chain();
    let through = PathCondition { origin: vec![poplin_bgp::Asn(64601)], ..PathCondition::default() };
    let cases = [
        (carrying("64601:*"), false),
        (carrying("64601:2"), true),
        (RouteCondition { path: through, ..RouteCondition::default() }, false),
        (RouteCondition { neighbours: vec!["192.0.2.3/32".parse().unwrap()], ..RouteCondition::default() }, false),
        (RouteCondition { neighbours: vec!["192.0.2.1/32".parse().unwrap()], ..RouteCondition::default() }, true),
    ];
    world.exchange(0, 1, |exchange| exchange.export = accepting(RouteCondition::default(), tagged(&["64601:1"])));
    world.originate(0, &["10.0.0.0/26"]);
    for (when, passes) in cases {
        world.exchange(1, 2, |exchange| exchange.export = rejecting(when.clone()));
        world.settle();

        assert_eq!(world.best_words(2, "10.0.0.0/26") != "none", passes, "{when:?}");
    }
}

#[test]
fn a_path_too_long_for_a_message_is_not_passed_on() {
    let mut world = chain();
    let tags: Vec<String> = (0..900).map(|number| format!("64601:{number}")).collect();
    let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
    world.exchange(0, 1, |exchange| exchange.export = accepting(RouteCondition::default(), tagged(&tags)));
    world.originate(0, &["10.0.0.0/26"]);
    world.settle();
    assert!(world.best_words(2, "10.0.0.0/26").contains("64601:899"));

    let more: Vec<String> = (0..200).map(|number| format!("64602:{number}")).collect();
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    world.exchange(1, 2, |exchange| exchange.export = accepting(RouteCondition::default(), tagged(&more)));
    world.settle();

    assert_eq!(world.best_words(2, "10.0.0.0/26"), "none");
    assert!(world.is_up(1, 2));
}
