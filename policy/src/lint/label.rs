//! Labels that selectors look for and nothing carries, with the spelling that was perhaps meant.

use std::collections::{BTreeMap, BTreeSet};

use super::{Code, Finding, Place, Severity, sights};
use crate::label::Labels;
use crate::model::{Hosts, Policy, Scope, Selection};
use crate::selector::Selector;
use crate::spelling::nearest;
use crate::world::World;

/// Every key that is carried, with its values.
type Carried<'w> = BTreeMap<String, BTreeSet<String>>;

pub(super) fn form(world: &World, policy: &Policy) -> Vec<Finding> {
    if world.endpoints.is_empty() {
        return Vec::new();
    }
    let endpoints = world.endpoints.values().map(|endpoint| endpoint.labels.clone());
    let hosts = world.host_endpoints.values().filter(|_| policy.hosts != Hosts::Never).cloned();
    let subjects = carried(endpoints.clone().chain(hosts));
    let peers = carried(endpoints.chain(world.sets.values().map(|set| set.labels.clone())));
    let namespaces = carried(namespaces(world).iter().map(|namespace| world.namespace_labels(namespace)));
    let mut findings = Vec::new();
    let mut look = |place: &dyn Fn() -> Place, selection: &Selection, things: &Carried<'_>| {
        findings.extend(unseen(place, &selection.labels, things, "endpoint or set"));
        if let Scope::Namespaces(selector) = &selection.scope {
            findings.extend(unseen(place, selector, &namespaces, "namespace"));
        }
    };
    look(&|| Place::of(policy, None), &policy.subject, &subjects);
    for sight in sights(policy) {
        for ends in [&sight.rule.source, &sight.rule.destination] {
            for selection in [&ends.select, &ends.not_select].into_iter().flatten() {
                look(&|| sight.place(), selection, &peers);
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

fn carried<'w>(all: impl Iterator<Item = Labels>) -> Carried<'w> {
    let mut carried = Carried::new();
    for labels in all {
        for (key, value) in labels.iter() {
            carried.entry(key.to_owned()).or_default().insert(value.to_owned());
        }
    }
    carried
}

fn unseen(place: &dyn Fn() -> Place, selector: &Selector, carried: &Carried<'_>, thing: &str) -> Vec<Finding> {
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
