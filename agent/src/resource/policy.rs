//! Policies, tiers and address sets.

use std::collections::BTreeSet;

use poplin_policy::model::{
    Action, AddressSet, DEFAULT_TIER, DefaultAction, Order, Peers, Policy, PortMatch, Rule, Tier,
};
use poplin_policy::selector::Selector;
use poplin_proto::v1;

use super::field::{Findings, Invalid, Invalids, checked_labels, checked_name, nets, selector, word};

/// Which of `from` and `to` a rule may name.
#[derive(Clone, Copy)]
enum Side {
    Ingress,
    Egress,
}

impl Side {
    fn field(self) -> &'static str {
        match self {
            Side::Ingress => "spec.ingress",
            Side::Egress => "spec.egress",
        }
    }
}

pub(super) fn check_policy(policy: &v1::Policy) -> Result<Policy, Invalids> {
    let spec = policy.spec.clone().unwrap_or_default();
    let mut findings = Findings::default();
    if spec.ingress.is_none() && spec.egress.is_none() {
        findings.add(
            Invalid::new("spec", "NO_DIRECTION", "the policy governs neither direction")
                .advice("add ingress: or egress:; an empty list denies everything in that direction"),
        );
    }
    let order = findings.take(order(spec.order));
    let subject = findings.take(selector("spec.subject", &spec.subject));
    let ingress = spec.ingress.map(|list| rules(&mut findings, Side::Ingress, &list.rules));
    let egress = spec.egress.map(|list| rules(&mut findings, Side::Egress, &list.rules));
    let name = checked_name(policy.metadata.as_ref());
    let tier = if spec.tier.is_empty() { DEFAULT_TIER.to_owned() } else { spec.tier };
    let checked = order.zip(subject);
    findings.finish(checked.map(|(order, subject)| Policy { name, tier, order, subject, ingress, egress }))
}

fn order(order: Option<f64>) -> Result<Option<Order>, Invalid> {
    let checked = order.map(Order::try_from).transpose();
    checked.map_err(|_| Invalid::new("spec.order", "BAD_ORDER", "the order is not a number"))
}

fn rules(findings: &mut Findings, side: Side, rules: &[v1::Rule]) -> Vec<Rule> {
    let mut names = BTreeSet::new();
    let mut checked = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        let field = format!("{}[{index}]", side.field());
        let name = if rule.name.is_empty() { (index + 1).to_string() } else { rule.name.clone() };
        if !names.insert(name.clone()) {
            let message = format!("two rules are named {name:?}");
            findings.add(Invalid::new(format!("{field}.name"), "DUPLICATE_NAME", message));
        }
        checked.extend(check_rule(findings, side, &field, name, rule));
    }
    checked
}

fn check_rule(findings: &mut Findings, side: Side, field: &str, name: String, rule: &v1::Rule) -> Option<Rule> {
    let words = [("allow", Action::Allow), ("deny", Action::Deny), ("pass", Action::Pass)];
    let action = findings.take(word(&format!("{field}.action"), &rule.action, &words));
    let (here, wrong) = match side {
        Side::Ingress => (("from", &rule.from), ("to", &rule.to)),
        Side::Egress => (("to", &rule.to), ("from", &rule.from)),
    };
    if wrong.1.is_some() {
        let message = format!("a rule of {} names its peers in `{}`", side.field().trim_start_matches("spec."), here.0);
        findings.add(Invalid::new(format!("{field}.{}", wrong.0), "WRONG_SIDE", message));
    }
    let peers = here
        .1
        .as_ref()
        .map_or_else(Peers::default, |peers| check_peers(findings, &format!("{field}.{}", here.0), peers));
    let ports = check_ports(findings, &format!("{field}.ports"), &rule.ports);
    let source_ports = check_ports(findings, &format!("{field}.sourcePorts"), &rule.source_ports);
    action.map(|action| Rule { name, action, peers, ports, source_ports })
}

fn check_peers(findings: &mut Findings, field: &str, peers: &v1::Peers) -> Peers {
    let select = match peers.select.as_str() {
        "" => None,
        text => findings.take::<Selector>(selector(&format!("{field}.select"), text)),
    };
    Peers {
        select,
        nets: findings.take_all(nets(&format!("{field}.nets"), &peers.nets)),
        not_nets: findings.take_all(nets(&format!("{field}.notNets"), &peers.not_nets)),
        sets: peers.sets.clone(),
    }
}

fn check_ports(findings: &mut Findings, field: &str, texts: &[String]) -> Vec<PortMatch> {
    let check = |(index, text): (usize, &String)| {
        text.parse::<PortMatch>().map_err(|error| {
            Invalid::new(format!("{field}[{index}]"), "BAD_PORT", error.to_string())
                .advice("ports look like tcp/80, tcp/8000-8010, udp/*, icmp/8, proto/47")
        })
    };
    findings.take_all(texts.iter().enumerate().map(check))
}

pub(super) fn check_tier(tier: &v1::Tier) -> Result<Tier, Invalids> {
    let spec = tier.spec.clone().unwrap_or_default();
    let mut findings = Findings::default();
    let order = findings.take(order(spec.order));
    let words = [("", DefaultAction::Deny), ("deny", DefaultAction::Deny), ("pass", DefaultAction::Pass)];
    let default_action = findings.take(word("spec.defaultAction", &spec.default_action, &words));
    let name = checked_name(tier.metadata.as_ref());
    findings.finish(order.zip(default_action).map(|(order, default_action)| Tier { name, order, default_action }))
}

pub(super) fn check_address_set(set: &v1::AddressSet) -> Result<AddressSet, Invalids> {
    let spec = set.spec.clone().unwrap_or_default();
    let mut findings = Findings::default();
    let nets = findings.take_all(nets("spec.nets", &spec.nets));
    let labels = findings.take(checked_labels(set.metadata.as_ref()));
    let name = checked_name(set.metadata.as_ref());
    findings.finish(labels.map(|labels| AddressSet { name, labels, nets }))
}
