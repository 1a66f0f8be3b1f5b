//! What policies did to packets, as figures.
//!
//! In: what each rule counted, and what was heard of drops. Out: a figure for each policy, direction and action, and one for each kind of drop. Rules are no labels:
//! `poplin counters` has them. Of a flow that is allowed the first packet counts, of one that is denied every packet.

use std::collections::BTreeMap;

use poplin_policy::place::Place;
use poplin_proto::v1::RuleCounter;

use super::text::{Kind, Text};
use crate::drops::Heard;

/// Labels of one figure of a policy, in the order they are written.
type Which<'c> = (&'c str, &'c str, &'c str, &'c str, bool);

/// How often each policy, and the end of each tier, had its say.
pub(super) fn about_counters(text: &mut Text, counters: &[RuleCounter]) {
    let mut sums: BTreeMap<Which<'_>, u64> = BTreeMap::new();
    for one in counters {
        let which: Which<'_> = (&one.tier, &one.policy, &one.direction, &one.action, one.staged);
        *sums.entry(which).or_default() += one.packets;
    }
    let help = "Packets that a policy, or else the end of its tier, allowed, denied, logged or passed on; of an allowed flow its first.";
    text.family("poplin_policy_packets_total", Kind::Counter, help);
    for ((tier, policy, direction, action, is_staged), packets) in sums {
        let labels = [("tier", tier), ("policy", policy), ("direction", direction), ("action", action)];
        let labels = labels.map(|(label, value)| (label, value.to_owned()));
        let labels: Vec<_> = labels.into_iter().chain([("staged", is_staged.to_string())]).collect();
        text.sample(&labels, packets);
    }
}

/// What was dropped, whoever decided, as far as it was heard of.
pub(super) fn about_drops(text: &mut Text, heard: &Heard) {
    let help = "Packets that were dropped, as far as the kernel tells: a hundred a second for each rule that drops.";
    text.family("poplin_drops_heard_total", Kind::Counter, help);
    for place in Place::ALL.into_iter().filter(|place| !matches!(place, Place::Logged(_))) {
        let labels = [("direction", place.direction().to_string()), ("reason", place.word().to_owned())];
        text.sample(&labels, heard.packets.get(&place).copied().unwrap_or_default());
    }
    text.family(
        "poplin_drops_lost_total",
        Kind::Counter,
        "Drops and logs the kernel told of that were not heard in time.",
    );
    text.sample(&[], heard.lost);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policys_rules_are_one_figure_and_a_staged_one_is_another() {
        let counter = |rule: &str, staged, packets| RuleCounter {
            direction: "ingress".to_owned(),
            tier: "default".to_owned(),
            policy: "db".to_owned(),
            rule: rule.to_owned(),
            action: "allow".to_owned(),
            staged,
            packets,
            ..RuleCounter::default()
        };
        let mut text = Text::default();

        about_counters(&mut text, &[counter("1", false, 2), counter("1", true, 4), counter("2", false, 3)]);

        let who = "poplin_policy_packets_total{tier=\"default\",policy=\"db\",direction=\"ingress\",action=\"allow\"";
        let lines = format!("{who},staged=\"false\"}} 5\n{who},staged=\"true\"}} 4\n");
        assert!(text.finish().ends_with(&lines));
    }
}
