//! Labels that selectors look for and nothing carries, with the spelling that was perhaps meant.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::{Code, Finding, Place, Severity, sights};
use crate::label::Labels;
use crate::model::{Hosts, Policy, Scope, Selection};
use crate::selector::Selector;
use crate::spelling::nearest;
use crate::world::World;

/// Every key that is carried, with its values.
type Carried = BTreeMap<String, BTreeSet<String>>;

/// What the things of a world carry.
pub(super) struct Labelled {
    endpoints: Carried,
    /// Endpoints and host endpoints.
    with_hosts: Carried,
    /// Endpoints and address sets.
    peers: Carried,
    namespaces: Carried,
}

impl Labelled {
    pub(super) fn of(world: &World) -> Self {
        let endpoints = || world.endpoints.values().map(|endpoint| Cow::Borrowed(&endpoint.labels));
        let sets = world.sets.values().map(|set| Cow::Borrowed(&set.labels));
        let names = namespaces(world);
        Self {
            endpoints: carried(endpoints()),
            with_hosts: carried(endpoints().chain(world.host_endpoints.values().map(Cow::Borrowed))),
            peers: carried(endpoints().chain(sets)),
            namespaces: carried(names.iter().map(|name| Cow::Owned(world.namespace_labels(name)))),
        }
    }
}

pub(super) fn form(labelled: &Labelled, policy: &Policy) -> Vec<Finding> {
    if labelled.endpoints.is_empty() {
        return Vec::new();
    }
    let mut findings = Vec::new();
    let mut look = |place: &dyn Fn() -> Place, selection: &Selection, things: &Carried, thing: &str| {
        findings.extend(unseen(place, &selection.labels, things, thing));
        if let Scope::Namespaces(selector) = &selection.scope {
            findings.extend(unseen(place, selector, &labelled.namespaces, "namespace"));
        }
    };
    let subjects = if policy.hosts == Hosts::Never { &labelled.endpoints } else { &labelled.with_hosts };
    look(&|| Place::of(policy, None), &policy.subject, subjects, "endpoint");
    for sight in sights(policy) {
        for ends in [&sight.rule.source, &sight.rule.destination] {
            for selection in [&ends.select, &ends.not_select].into_iter().flatten() {
                look(&|| sight.place(), selection, &labelled.peers, "endpoint or set");
            }
        }
    }
    findings
}

/// Namespaces that are declared, or that something lives in.
fn namespaces(world: &World) -> BTreeSet<String> {
    let lived_in = world.endpoints.values().filter_map(|endpoint| endpoint.namespace.clone());
    world.namespaces.keys().cloned().chain(lived_in).collect()
}

fn carried<'w>(all: impl Iterator<Item = Cow<'w, Labels>>) -> Carried {
    let mut carried = Carried::new();
    for labels in all {
        for (key, value) in labels.iter() {
            carried.entry(key.to_owned()).or_default().insert(value.to_owned());
        }
    }
    carried
}

fn unseen(place: &dyn Fn() -> Place, selector: &Selector, carried: &Carried, thing: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (key, wanted) in selector.mentions() {
        let Some(values) = carried.get(key) else {
            let message = format!("no {thing} carries the label {key}, which `{selector}` looks at");
            let advice = suggestion(nearest(key, carried.keys().map(String::as_str)), "check the label");
            findings.push(place().finding(Severity::Warning, Code::UnseenLabel, message, advice));
            continue;
        };
        for value in wanted.into_iter().filter(|value| !values.contains(*value)) {
            let message = format!("no {thing} carries {key} with the value '{value}', which `{selector}` looks for");
            let advice = suggestion(nearest(value, values.iter().map(String::as_str)), "check the value");
            findings.push(place().finding(Severity::Warning, Code::UnseenValue, message, advice));
        }
    }
    findings
}

fn suggestion(near: Option<&str>, otherwise: &str) -> String {
    near.map_or_else(
        || format!("{otherwise}; it is right if such things are still to come"),
        |near| format!("did you mean {near}?"),
    )
}
