//! What policies mean, case by case.

use poplin_policy::model::{Action, DefaultAction, Peers};
use poplin_policy::packet::Packet;
use poplin_policy::verdict::{Ruling, verdict};
use poplin_policy::world::World;

use crate::scene::*;

const WEB: &str = "10.0.0.1";
const API: &str = "10.0.0.2";
const DB: &str = "10.0.0.3";
const OFFICE: &str = "192.0.2.200";
const ELSEWHERE: &str = "203.0.113.9";

fn said(ruling: Option<Ruling>) -> String {
    ruling.map_or("nobody".to_owned(), |ruling| ruling.to_string())
}

/// What the destination says to a connection to its port 80.
fn answer(world: &World, source: &str, destination: &str) -> String {
    said(verdict(world, &tcp(source, destination, 80)).ingress)
}

#[test]
fn without_a_policy_everything_passes() {
    let decision = verdict(&shop(), &tcp(WEB, ELSEWHERE, 80));

    assert!(decision.allowed);
    assert_eq!(said(decision.egress), "no policy governs: allowed");
    assert_eq!(decision.ingress, None);
}

/// 1, 2, 3.
#[test]
fn a_policy_without_rules_closes_the_directions_it_has_and_no_other() {
    let world = with(shop(), ingress("closed", "app == 'db'", vec![]));

    assert_eq!(answer(&world, WEB, DB), "end of tier default: denied");
    assert_eq!(answer(&world, WEB, API), "no policy governs: allowed");
    assert!(verdict(&world, &tcp(DB, WEB, 80)).allowed);
}

/// 2.
#[test]
fn an_allow_at_one_end_does_not_undo_a_deny_at_the_other() {
    let world = with(shop(), ingress("open", "app == 'db'", vec![rule(Action::Allow, anybody(), "")]));
    let world = with(world, egress("quiet", "app == 'web'", vec![]));

    let decision = verdict(&world, &tcp(WEB, DB, 80));

    assert!(!decision.allowed);
    assert_eq!(said(decision.egress), "end of tier default: denied");
    assert_eq!(said(decision.ingress), "default/open/allow: allowed");
}

/// 4: `all()` means everybody we know, no selector means everybody.
#[test]
fn a_selector_of_all_leaves_strangers_out() {
    let known = with(shop(), ingress("known", "app == 'db'", vec![rule(Action::Allow, select("all()"), "")]));
    let anyone = with(shop(), ingress("anyone", "app == 'db'", vec![rule(Action::Allow, anybody(), "")]));

    assert_eq!(answer(&known, WEB, DB), "default/known/allow: allowed");
    assert_eq!(answer(&known, OFFICE, DB), "default/known/allow: allowed");
    assert_eq!(answer(&known, ELSEWHERE, DB), "end of tier default: denied");
    assert_eq!(answer(&anyone, ELSEWHERE, DB), "default/anyone/allow: allowed");
}

/// 8: an address is an address, whoever has it.
#[test]
fn prefixes_hold_endpoints_too_and_exceptions_only_narrow_their_own_rule() {
    let narrowed = Peers { nets: nets("10.0.0.0/24"), not_nets: nets("10.0.0.1/32"), ..anybody() };
    let world = with(shop(), at(1.0, ingress("near", "app == 'db'", vec![rule(Action::Allow, narrowed, "")])));
    let later = with(
        world.clone(),
        at(2.0, ingress("web", "app == 'db'", vec![rule(Action::Allow, select("app == 'web'"), "")])),
    );

    assert_eq!(answer(&world, API, DB), "default/near/allow: allowed");
    assert_eq!(answer(&world, WEB, DB), "end of tier default: denied");
    assert_eq!(answer(&later, WEB, DB), "default/web/allow: allowed");
}

#[test]
fn all_that_is_asked_for_must_hold_together() {
    let peers = Peers { sets: vec!["office".into(), "missing".into()], nets: nets("192.0.2.128/25"), ..anybody() };
    let world = with(shop(), ingress("office", "app == 'db'", vec![rule(Action::Allow, peers, "tcp/80 udp/53")]));

    assert_eq!(answer(&world, OFFICE, DB), "default/office/allow: allowed");
    assert_eq!(answer(&world, "192.0.2.1", DB), "end of tier default: denied");
    assert!(!verdict(&world, &tcp(OFFICE, DB, 81)).allowed);
}

#[test]
fn an_address_set_that_does_not_exist_holds_nothing() {
    let peers = Peers { sets: vec!["missing".into()], ..anybody() };
    let world = with(shop(), ingress("nobody", "all()", vec![rule(Action::Allow, peers, "")]));

    assert_eq!(answer(&world, OFFICE, DB), "end of tier default: denied");
}

/// 13.
#[test]
fn lower_order_is_asked_first_absent_last_ties_by_name() {
    let deny = |name| ingress(name, "all()", vec![rule(Action::Deny, anybody(), "")]);
    let absent = with(shop(), deny("a"));
    let second = with(absent.clone(), at(2.0, deny("c")));
    let tied = with(second.clone(), at(2.0, deny("b")));
    let first = with(tied.clone(), at(-1.5, deny("z")));

    assert_eq!(answer(&absent, WEB, DB), "default/a/deny: denied");
    assert_eq!(answer(&second, WEB, DB), "default/c/deny: denied");
    assert_eq!(answer(&tied, WEB, DB), "default/b/deny: denied");
    assert_eq!(answer(&first, WEB, DB), "default/z/deny: denied");
}

/// 14.
#[test]
fn a_pass_leaves_the_tier_and_past_the_last_one_everything_passes() {
    let pass = in_tier("early", ingress("early", "all()", vec![rule(Action::Pass, select("app == 'web'"), "")]));
    let early = with(with_tier(shop(), "early", 1.0, DefaultAction::Deny), pass);
    let both = with(early.clone(), ingress("late", "all()", vec![]));

    assert_eq!(answer(&early, WEB, DB), "every tier passed: allowed");
    assert_eq!(answer(&early, API, DB), "end of tier early: denied");
    assert_eq!(answer(&both, WEB, DB), "end of tier default: denied");
}

/// 14.
#[test]
fn a_tier_that_passes_by_default_asks_the_next() {
    let early = in_tier("early", ingress("early", "all()", vec![rule(Action::Deny, anybody(), "tcp/22")]));
    let world = with(with_tier(shop(), "early", 1.0, DefaultAction::Pass), early);
    let closed = with(world.clone(), ingress("late", "app == 'api'", vec![]));

    assert_eq!(answer(&world, WEB, DB), "every tier passed: allowed");
    assert_eq!(answer(&closed, WEB, API), "end of tier default: denied");
    assert_eq!(answer(&closed, WEB, DB), "every tier passed: allowed");
}

#[test]
fn a_policy_in_a_tier_nobody_declared_still_closes() {
    let world = with(shop(), in_tier("typo", ingress("p", "all()", vec![])));

    assert_eq!(answer(&world, WEB, DB), "end of tier typo: denied");
}

/// 20.
#[test]
fn an_endpoint_always_reaches_itself() {
    let world = with(shop(), ingress("closed", "all()", vec![]));

    assert_eq!(answer(&world, DB, DB), "source and destination are one endpoint: allowed");
}

#[test]
fn messages_of_icmp_are_told_apart_by_family_type_and_code() {
    let world = with(shop(), ingress("ping", "all()", vec![rule(Action::Allow, anybody(), "icmp/8/0")]));
    let ping = |source, destination, kind, code| {
        verdict(&world, &Packet::icmp(address(source), address(destination), kind, code)).allowed
    };

    assert!(ping(WEB, DB, 8, 0));
    assert!(!ping(WEB, DB, 8, 1));
    assert!(!ping(WEB, DB, 13, 0));
    assert!(!ping("fd00::1", "fd00::3", 8, 0));
}
