//! Policies, tiers and address sets.

use std::collections::BTreeSet;

use poplin_policy::model::{
    Action, AddressSet, DEFAULT_TIER, DefaultAction, Hosts, IpVersion, Mode, NAMESPACE_LABEL, Order, Peers, Policy,
    PortError, PortMatch, QualifiedName, Rule, Rules, Scope, Selection, Tier,
};
use poplin_proto::v1;

use crate::field::{
    Findings, Invalid, Invalids, checked_labels, checked_name, checked_qualified_name, nets, selector, word,
};
use crate::locate::entry;

/// The two lists of rules, as documents spell them.
const INGRESS: &str = "spec.ingress";
const EGRESS: &str = "spec.egress";

/// Checks a policy.
pub fn check_policy(policy: &v1::Policy) -> Result<Policy, Invalids> {
    let spec = policy.spec.clone().unwrap_or_default();
    let name = checked_qualified_name(policy.metadata.as_ref());
    let mut findings = Findings::default();
    if spec.ingress.is_none() && spec.egress.is_none() {
        findings.add(
            Invalid::new("spec", "NO_DIRECTION", "the policy governs neither direction")
                .advice("add ingress: or egress:; an empty list denies everything in that direction"),
        );
    }
    let order = findings.take(order(spec.order));
    let words = [("", Mode::Enforce), ("enforce", Mode::Enforce), ("stage", Mode::Stage), ("off", Mode::Off)];
    let mode = findings.take(word("spec.mode", &spec.mode, &words));
    let subject = findings.take(subject(&name, &spec));
    let hosts = findings.take(hosts(&name, &spec));
    let home = name.namespace();
    let ingress = spec.ingress.map(|list| rules(&mut findings, home, INGRESS, &list.rules));
    let egress = spec.egress.map(|list| rules(&mut findings, home, EGRESS, &list.rules));
    let tier = if spec.tier.is_empty() { DEFAULT_TIER.to_owned() } else { spec.tier };
    let checked = order.zip(subject).zip(mode).zip(hosts);
    findings.finish(checked.map(|(((order, subject), mode), hosts)| Policy {
        name,
        tier,
        order,
        mode,
        subject,
        hosts,
        ingress,
        egress,
    }))
}

fn order(order: Option<f64>) -> Result<Option<Order>, Invalid> {
    let checked = order.map(Order::try_from).transpose();
    checked.map_err(|_| Invalid::new("spec.order", "BAD_ORDER", "the order is not a number"))
}

/// Whether a policy speaks for host endpoints, who live in no namespace, and when.
fn hosts(name: &QualifiedName, spec: &v1::PolicySpec) -> Result<Hosts, Invalid> {
    let words = [
        ("", Hosts::Never),
        ("local", Hosts::Local),
        ("forward", Hosts::Forward),
        ("preDNAT", Hosts::PreDnat),
        ("untracked", Hosts::Untracked),
    ];
    let hosts = word("spec.hosts", &spec.hosts, &words)?;
    match (hosts, name.namespace()) {
        (Hosts::Never, _) => {}
        (_, Some(namespace)) => {
            let message = format!("the policy lives in namespace {namespace}, and host endpoints live in none");
            return Err(Invalid::new("spec.hosts", "WRONG_SCOPE", message)
                .advice("leave spec.hosts out, or metadata.namespace"));
        }
        (Hosts::PreDnat, None) if spec.egress.is_some() => {
            let message = "before destination translation there is only what comes in";
            return Err(Invalid::new("spec.egress", "NOT_THERE", message)
                .advice("leave spec.egress out, or write it into a policy of its own with hosts: forward"));
        }
        (Hosts::Local | Hosts::Forward | Hosts::PreDnat | Hosts::Untracked, None) => {}
    }
    Ok(hosts)
}

/// The endpoints a policy governs: those of its namespace, or, where it lives in none, those of the namespaces it names.
fn subject(name: &QualifiedName, spec: &v1::PolicySpec) -> Result<Selection, Invalid> {
    let labels = selector("spec.subject", &spec.subject)?;
    let scope = match (name.namespace(), spec.namespaces.as_str()) {
        (Some(namespace), "") => Scope::Namespace(namespace.to_owned()),
        (None, "") => Scope::Anywhere,
        (None, text) => scope("spec.namespaces", text)?,
        (Some(namespace), _) => {
            let message = format!("the policy lives in namespace {namespace} and governs endpoints there only");
            return Err(Invalid::new("spec.namespaces", "WRONG_SCOPE", message)
                .advice("leave spec.namespaces out, or metadata.namespace"));
        }
    };
    Ok(Selection { labels, scope })
}

fn scope(field: &str, text: &str) -> Result<Scope, Invalid> {
    match text.trim() {
        "global()" => Ok(Scope::Global),
        text => selector(field, text).map(Scope::Namespaces),
    }
}

fn rules(findings: &mut Findings, home: Option<&str>, list: &str, rules: &[v1::Rule]) -> Rules {
    let mut names = BTreeSet::new();
    let mut checked = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        let field = format!("{list}[{index}]");
        let name = if rule.name.is_empty() { (index + 1).to_string() } else { rule.name.clone() };
        if !names.insert(name.clone()) {
            let message = format!("two rules are named {name:?}");
            findings.add(Invalid::new(format!("{field}.name"), "DUPLICATE_NAME", message));
        }
        checked.extend(check_rule(findings, home, &field, name, rule));
    }
    checked.into()
}

fn check_rule(findings: &mut Findings, home: Option<&str>, field: &str, name: String, rule: &v1::Rule) -> Option<Rule> {
    let words = [("allow", Action::Allow), ("deny", Action::Deny), ("pass", Action::Pass), ("log", Action::Log)];
    let action = findings.take(word(&format!("{field}.action"), &rule.action, &words));
    let ip_version = findings.take(ip_version(&format!("{field}.ipVersion"), rule.ip_version));
    let mut peers = |name: &str, peers: &Option<v1::Peers>| {
        let field = format!("{field}.{name}");
        peers.as_ref().map_or_else(Peers::default, |peers| check_peers(findings, home, &field, peers))
    };
    let (source, destination) = (peers("from", &rule.from), peers("to", &rule.to));
    let mut ports = |name: &str, read: fn(&str, &str) -> Result<PortMatch, Invalid>, texts: &[String]| {
        let at = |(index, text): (usize, &String)| read(&format!("{field}.{name}[{index}]"), text);
        findings.take_all(texts.iter().enumerate().map(at))
    };
    let (ports, not_ports, source_ports, not_source_ports) = (
        ports("ports", port, &rule.ports),
        ports("notPorts", port, &rule.not_ports),
        ports("sourcePorts", source_port, &rule.source_ports),
        ports("notSourcePorts", source_port, &rule.not_source_ports),
    );
    Some(Rule {
        name,
        action: action?,
        log: rule.log,
        ip_version: ip_version?,
        source: source.into(),
        destination: destination.into(),
        ports,
        not_ports: not_ports.into(),
        source_ports: source_ports.into(),
        not_source_ports: not_source_ports.into(),
    })
}

fn ip_version(field: &str, version: Option<u32>) -> Result<Option<IpVersion>, Invalid> {
    match version {
        None => Ok(None),
        Some(4) => Ok(Some(IpVersion::V4)),
        Some(6) => Ok(Some(IpVersion::V6)),
        Some(other) => Err(Invalid::new(field, "UNKNOWN_FAMILY", format!("{other} is not 4 or 6"))),
    }
}

fn check_peers(findings: &mut Findings, home: Option<&str>, field: &str, peers: &v1::Peers) -> Peers {
    let at = |name: &str| format!("{field}.{name}");
    let not_select = match peers.not_select.as_str() {
        "" => None,
        text => findings.take(selector(&at("notSelect"), text)).map(Selection::anywhere),
    };
    Peers {
        select: findings.take(selection(field, home, peers)).flatten(),
        not_select,
        nets: findings.take_all(nets(&at("nets"), &peers.nets)),
        not_nets: findings.take_all(nets(&at("notNets"), &peers.not_nets)),
        sets: peers.sets.iter().map(|name| QualifiedName::from(name.as_str())).collect(),
        outside: peers.outside,
    }
}

/// What `select` and `namespaces` choose together. In a policy that lives in a namespace any choice by labels, a negative one too, is
/// one among that namespace's things, unless namespaces are chosen.
fn selection(field: &str, home: Option<&str>, peers: &v1::Peers) -> Result<Option<Selection>, Invalid> {
    let labels = selector(&format!("{field}.select"), &peers.select)?;
    let scope = match (peers.namespaces.as_str(), home) {
        ("", _) if peers.select.is_empty() && peers.not_select.is_empty() => return Ok(None),
        ("", None) if peers.select.is_empty() => return Ok(None),
        ("", None) => Scope::Anywhere,
        ("", Some(home)) => Scope::Namespace(home.to_owned()),
        (text, _) => scope(&format!("{field}.namespaces"), text)?,
    };
    Ok(Some(Selection { labels, scope }))
}

fn port(field: &str, text: &str) -> Result<PortMatch, Invalid> {
    text.parse().map_err(|error: PortError| {
        Invalid::new(field, "BAD_PORT", error.to_string())
            .advice("ports look like tcp/80, tcp/8000-8010, tcp/http, udp/*, icmp/8, proto/47")
    })
}

/// The same where a packet comes from: only what has ports comes from one.
fn source_port(field: &str, text: &str) -> Result<PortMatch, Invalid> {
    match port(field, text)? {
        PortMatch::Icmp { .. } | PortMatch::Protocol(_) => {
            let message = format!("{text:?} has no source port; tcp, udp, udplite and sctp have");
            Err(Invalid::new(field, "NO_SOURCE_PORT", message).advice("write it into ports, or notPorts"))
        }
        known => Ok(known),
    }
}

/// Checks a tier.
pub fn check_tier(tier: &v1::Tier) -> Result<Tier, Invalids> {
    let spec = tier.spec.clone().unwrap_or_default();
    let mut findings = Findings::default();
    let order = findings.take(order(spec.order));
    let words = [("", DefaultAction::Deny), ("deny", DefaultAction::Deny), ("pass", DefaultAction::Pass)];
    let default_action = findings.take(word("spec.defaultAction", &spec.default_action, &words));
    let name = checked_name(tier.metadata.as_ref());
    findings.finish(order.zip(default_action).map(|(order, default_action)| Tier { name, order, default_action }))
}

/// Checks an address set.
pub fn check_address_set(set: &v1::AddressSet) -> Result<AddressSet, Invalids> {
    let spec = set.spec.clone().unwrap_or_default();
    let mut findings = Findings::default();
    if spec.nets.len() > MOST_PREFIXES {
        return Err(too_many(spec.nets.len()).into());
    }
    let nets = findings.take_all(nets("spec.nets", &spec.nets));
    let labels = findings.take(checked_labels(set.metadata.as_ref()));
    if labels.as_ref().is_some_and(|labels| labels.get(NAMESPACE_LABEL).is_some()) {
        findings.add(reserved_label());
    }
    let name = checked_qualified_name(set.metadata.as_ref());
    findings.finish(labels.map(|labels| AddressSet { name, labels, nets }))
}

/// How many prefixes a set may have: twice what the largest lists have, and more; a request to the agent has room for it, and a kernel takes it in.
const MOST_PREFIXES: usize = 250_000;

fn too_many(count: usize) -> Invalid {
    let message = format!("{count} prefixes are given, at most {MOST_PREFIXES} are in a set");
    Invalid::new("spec.nets", "TOO_MANY", message).advice("make several sets of it, and name all of them in `sets`")
}

/// The label that endpoints get for living in a namespace: by it, policies that mean pods leave address sets out.
pub fn reserved_label() -> Invalid {
    let message = format!("{NAMESPACE_LABEL} is a label that only endpoints have");
    Invalid::new(entry("metadata.labels", NAMESPACE_LABEL), "RESERVED_LABEL", message).advice("use another key")
}
