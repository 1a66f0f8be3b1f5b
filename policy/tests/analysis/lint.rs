//! What lint finds, case by case, and on random worlds against the verdict.

use std::collections::BTreeSet;

use poplin_policy::lint::{Code, lint};
use poplin_policy::model::{
    Action, DefaultAction, Direction, Hosts, Peers, Policy, QualifiedName, Rule, Scope, Selection, Tier,
};
use poplin_policy::selector::Selector;
use poplin_policy::verdict::{By, verdict};
use poplin_policy::world::World;
use proptest::prelude::*;

use crate::packets::packets;
use crate::scene::{anybody, at, egress, in_tier, ingress, nets, rule, select, shop, with, with_tier};
use crate::strategy::world;

/// What is found, but for notes about ICMP, which most of these policies earn.
fn found(world: &World) -> String {
    let of_note = lint(world).into_iter().filter(|finding| finding.code != Code::NoIcmp);
    of_note.map(|finding| finding.to_string()).collect()
}

fn named(name: &str, rule: Rule) -> Rule {
    Rule { name: name.to_owned(), ..rule }
}

#[test]
fn a_rule_after_one_that_takes_all_its_packets_is_shadowed_by_it() {
    let world = with(
        shop(),
        ingress(
            "db",
            "app == 'db'",
            vec![
                named("wide", rule(Action::Deny, Peers { nets: nets("10.0.0.0/24 fd00::/64"), ..anybody() }, "tcp")),
                named("web", rule(Action::Allow, select("app == 'web'"), "tcp/5432")),
                named("again", rule(Action::Deny, select("app == 'api'"), "tcp/80")),
            ],
        ),
    );

    assert_eq!(
        found(&world),
        "\
error: policy db, ingress rule 2 (web): all its packets are decided before it, in another way
    covered by default/db/wide (ingress)
    try: move it before what covers it, narrow what covers it, or remove it
warning: policy db, ingress rule 3 (again): all its packets are decided before it, in the same way
    covered by default/db/wide (ingress)
    try: remove it, or what covers it
"
    );
}

#[test]
fn two_rules_can_cover_a_third_together() {
    let half = |name, ports| named(name, rule(Action::Allow, anybody(), ports));
    let third = named("third", rule(Action::Allow, select("app == 'web'"), "tcp/80-90"));
    let world =
        with(shop(), ingress("db", "app == 'db'", vec![half("low", "tcp/1-85"), half("high", "tcp/86-99"), third]));

    assert!(found(&world).contains("covered by default/db/low (ingress)\n    covered by default/db/high (ingress)"));
}

#[test]
fn an_allow_that_an_earlier_tier_denies_everywhere_is_an_error() {
    let gate = in_tier("gate", ingress("gate", "all()", vec![rule(Action::Deny, anybody(), "tcp/22")]));
    let world = with(with_tier(shop(), "gate", 1.0, DefaultAction::Pass), gate);
    let world = with(world, ingress("ssh", "app == 'db'", vec![rule(Action::Allow, select("app == 'web'"), "tcp/22")]));

    assert_eq!(
        found(&world),
        "\
error: policy ssh, ingress rule 1 (allow): all its packets are denied in an earlier tier already
    covered by gate/gate/deny (ingress)
    try: move it before what covers it, narrow what covers it, or remove it
"
    );
}

#[test]
fn a_rule_whose_own_end_is_another_sees_no_packet() {
    let turned = Rule { destination: select("app == 'db'").into(), ..rule(Action::Allow, anybody(), "tcp/80") };
    let world = with(shop(), ingress("web", "app == 'web'", vec![turned]));

    assert_eq!(
        found(&world),
        "\
error: policy web, ingress rule 1 (allow): no endpoint that the policy governs fits `to`, so the rule sees no packet
    try: `to` of ingress is the governed endpoint itself; did you mean `from`?
"
    );
}

#[test]
fn words_that_nothing_carries_are_answered_with_the_nearest() {
    let world = with(shop(), ingress("db", "app == 'db'", vec![rule(Action::Allow, select("ap == 'web'"), "tcp/80")]));
    let world = with(world, ingress("lost", "app == 'wbe'", vec![]));

    assert_eq!(
        found(&world),
        "\
warning: policy db, ingress rule 1 (allow): nobody fits `from` now, so the rule sees no packet
    try: check its labels, namespaces and prefixes, or remove the rule
warning: policy db, ingress rule 1 (allow): no endpoint or set carries the label ap, which `ap == 'web'` looks at
    try: did you mean app?
warning: policy lost: its subject `app == 'wbe'` selects no endpoint now
    try: check its labels and its namespace, or remove the policy
warning: policy lost: no endpoint carries app with the value 'wbe', which `app == 'wbe'` looks for
    try: did you mean web?
"
    );
}

#[test]
fn tied_policies_that_disagree_are_named_with_a_packet() {
    let open = ingress("a-open", "app == 'db'", vec![rule(Action::Allow, select("app == 'web'"), "tcp")]);
    let shut = ingress("b-shut", "all()", vec![rule(Action::Deny, anybody(), "tcp/22")]);
    let tied = with(with(shop(), open.clone()), shut.clone());
    let ordered = with(with(shop(), at(1.0, open.clone())), at(2.0, shut.clone()));
    let alike = with(with(shop(), at(1.5, open)), at(1.5, shut));

    assert_eq!(
        found(&tied),
        "\
warning: policy a-open, ingress: policy b-shut stands at the same order, and rule deny there would decide otherwise what rule \
         allow decides here: 10.0.0.1 → 10.0.0.3 tcp 49152 → 22
    try: give both an order; without one the name decides which is asked first
"
    );
    assert_eq!(found(&ordered), "");
    let advice =
        "    try: give one of them another order; both have 1.5, and so the name decides which is asked first\n";
    assert!(found(&alike).ends_with(advice), "{}", found(&alike));
}

#[test]
fn ping_is_said_to_be_denied_where_the_end_of_the_tier_denies_it() {
    let web = |rules| ingress("web", "app == 'web'", rules);
    let http = || rule(Action::Allow, anybody(), "tcp/80");
    let of_tier = |tier: &str, rules| Policy { tier: tier.to_owned(), ..web(rules) };
    let told = |policy: Policy| {
        let mut world = with(shop(), policy);
        let declared = Tier { default_action: DefaultAction::Pass, ..Tier::undeclared("security") };
        world.tiers.insert("security".to_owned(), declared);
        lint(&world).iter().any(|finding| finding.code == Code::NoIcmp)
    };

    assert!(told(web(vec![http()])));
    assert!(!told(of_tier("kube-admin", vec![http()])));
    assert!(!told(of_tier("security", vec![http()])));
    assert!(!told(web(vec![http(), rule(Action::Pass, anybody(), "")])), "another tier may allow it");
    assert!(told(web(vec![http(), rule(Action::Pass, anybody(), "udp")])));
    let before_translation = Policy { hosts: Hosts::PreDnat, ..web(vec![http()]) };
    assert!(!told(before_translation), "what is not decided there goes on");
}

#[test]
fn egress_without_a_name_server_is_noticed_unless_nothing_may_leave() {
    let https = |ports| with(shop(), egress("out", "app == 'web'", vec![rule(Action::Allow, anybody(), ports)]));
    let closed = with(shop(), egress("out", "app == 'web'", vec![]));

    assert!(found(&https("tcp/443")).starts_with("warning: policy out, egress: its endpoints may open connections"));
    assert_eq!(found(&https("tcp/443 udp/53")), "");
    assert_eq!(found(&closed), "");
}

#[test]
fn traps_of_form_are_found_without_looking_at_packets() {
    let within = Selection { labels: Selector::all(), scope: Scope::Namespace("shop".to_owned()) };
    let not_web = Some(Selection::anywhere(Selector::parse("app == 'web'").unwrap()));
    let not_select = Peers { select: Some(within), not_select: not_web, ..anybody() };
    let rules = vec![
        named("all", rule(Action::Allow, select("all()"), "")),
        named("not", rule(Action::Allow, not_select, "")),
        named("nets", rule(Action::Deny, Peers { nets: nets("192.0.2.0/24"), ..anybody() }, "tcp/htp")),
        named("set", rule(Action::Deny, Peers { sets: vec!["ofice".into()], ..anybody() }, "")),
    ];
    let policy = Policy { name: QualifiedName::within("shop", "p"), ..ingress("p", "all()", rules) };

    let codes: Vec<Code> = lint(&with(shop(), policy)).into_iter().map(|finding| finding.code).collect();

    for code in [Code::AllIsNotAnybody, Code::NotSelectAlone, Code::OneFamily, Code::UnseenPort, Code::MissingSet] {
        assert!(codes.contains(&code), "{code:?} in {codes:?}");
    }
}

#[test]
fn a_range_that_became_a_name_is_told_how_to_be_written() {
    let mut named_range = rule(Action::Allow, anybody(), "tcp");
    named_range.ports = vec![poplin_policy::model::PortMatch::Named {
        protocol: poplin_policy::model::PortProtocol::Tcp,
        name: "80-90".to_owned(),
    }];

    let text = found(&with(shop(), ingress("p", "app == 'web'", vec![named_range])));

    assert!(text.contains(
        "\"80-90\" is a name of a port here, not numbers\n    try: write tcp/80-90; in a Calico policy 80:90"
    ));
}

#[test]
fn a_policy_that_only_logs_closes_and_one_of_ports_denies_ping() {
    let world = with(shop(), ingress("log", "app == 'db'", vec![rule(Action::Log, anybody(), "")]));
    let ports = with(shop(), ingress("web", "app == 'web'", vec![rule(Action::Allow, anybody(), "tcp/80")]));

    assert!(found(&world).starts_with("warning: policy log, ingress: every rule only logs"));
    assert_eq!(lint(&ports).into_iter().map(|finding| finding.code).collect::<Vec<_>>(), [Code::NoIcmp]);
}

#[test]
fn good_policies_are_left_alone() {
    let world =
        with(shop(), ingress("db", "app == 'db'", vec![rule(Action::Allow, select("app == 'web'"), "tcp icmp icmp6")]));
    assert_eq!(lint(&world), vec![]);
}

proptest! {
    #[test]
    fn no_packet_is_decided_by_a_rule_that_is_said_to_see_none(world in world(), packets in packets()) {
        const SILENT: [Code; 6] = [
            Code::WrongEnd, Code::NoPeer, Code::NoPacket, Code::Redundant, Code::Shadowed, Code::DeniedEarlier,
        ];
        let findings = lint(&world);
        let silent: BTreeSet<_> = findings
            .into_iter()
            .filter(|finding| SILENT.contains(&finding.code))
            .filter_map(|finding| Some((finding.place.policy, finding.place.direction?, finding.place.rule?.1)))
            .collect();

        for packet in &packets {
            let decision = verdict(&world, packet);
            for (direction, ruling) in [(Direction::Egress, decision.egress), (Direction::Ingress, decision.ingress)] {
                if let Some(By::Rule(name)) = ruling.map(|ruling| ruling.by) {
                    prop_assert!(!silent.contains(&(name.policy.clone(), direction, name.rule.clone())), "{}", name);
                }
            }
        }
    }

    /// Without a rule that nothing reaches every packet is decided as with it.
    #[test]
    fn a_rule_that_is_covered_can_be_removed(world in world(), packets in packets()) {
        let covered = lint(&world).into_iter().find(|finding| !finding.covered_by.is_empty());
        if let Some((policy, direction, (index, _))) =
            covered.and_then(|finding| Some((finding.place.policy, finding.place.direction?, finding.place.rule?)))
        {
            let mut without = world.clone();
            let policy = without.policies.get_mut(&policy).unwrap();
            let rules = match direction {
                Direction::Ingress => policy.ingress.as_mut(),
                Direction::Egress => policy.egress.as_mut(),
            };
            let rules = rules.unwrap();
            *rules = [&rules[..index], &rules[index + 1..]].concat().into();

            for packet in &packets {
                prop_assert_eq!(verdict(&world, packet), verdict(&without, packet), "{}", packet);
            }
        }
    }
}
