//! How a decision is told.

use insta::assert_snapshot;
use poplin_policy::explain::explain;
use poplin_policy::model::{Action, DefaultAction, Peers, Rule};
use poplin_policy::world::World;

use crate::scene::*;

fn guarded() -> World {
    let office = Peers { sets: vec!["office".into()], ..anybody() };
    let guards = vec![
        rule(Action::Deny, Peers { nets: nets("203.0.113.0/24 198.51.100.0/24"), ..anybody() }, ""),
        rule(Action::Pass, select("has(app)"), "tcp"),
    ];
    let rules = vec![
        rule(Action::Allow, select("app == 'api'"), "tcp/5432"),
        Rule { name: "probes".into(), ..rule(Action::Allow, anybody(), "tcp/1-1023 udp/53") },
        Rule { name: "backup".into(), ..rule(Action::Allow, office, "tcp/5432") },
        Rule { name: "ping".into(), ..rule(Action::Allow, anybody(), "icmp/8") },
    ];
    let world = with_tier(shop(), "guard", 1.0, DefaultAction::Pass);
    let world = with(world, in_tier("guard", ingress("gate", "all()", guards)));
    with(world, ingress("db", "app == 'db'", rules))
}

#[test]
fn every_rule_skipped_is_told_with_its_reason() {
    let story = explain(&guarded(), &tcp("10.0.0.1", "10.0.0.3", 5432));

    assert_snapshot!(story, @r#"
    10.0.0.1 → 10.0.0.3 tcp 40000 → 5432: denied
    egress of web:
      no policy governs: allowed
    ingress of db:
      guard/gate/deny: skipped, source 10.0.0.1 not in 203.0.113.0/24 or 198.51.100.0/24
      guard/gate/pass: passes to the next tier
      default/db/allow: skipped, source 10.0.0.1 not in selector `app == 'api'`
      default/db/probes: skipped, port is 5432, not tcp/1-1023 or udp/53
      default/db/backup: skipped, source 10.0.0.1 not in set office
      default/db/ping: skipped, protocol is tcp, not icmp/8
      end of tier default: denied
    "#);
}

#[test]
fn the_outside_has_no_part_in_the_story() {
    let story = explain(&guarded(), &tcp("192.0.2.7", "10.0.0.3", 5432));

    assert_snapshot!(story, @r#"
    192.0.2.7 → 10.0.0.3 tcp 40000 → 5432: allowed
    egress: not an endpoint of ours
    ingress of db:
      guard/gate/deny: skipped, source 192.0.2.7 not in 203.0.113.0/24 or 198.51.100.0/24
      guard/gate/pass: skipped, source 192.0.2.7 not in selector `has(app)`
      end of tier guard: passes to the next tier
      default/db/allow: skipped, source 192.0.2.7 not in selector `app == 'api'`
      default/db/probes: skipped, port is 5432, not tcp/1-1023 or udp/53
      default/db/backup: allowed
    "#);
}
