//! Route maps: what is done with BGP routes.
//!
//! In: a document. Out: rules that cannot be wrong, or every field that is. What a rule asks stands in `condition.rs`, what it
//! changes in `change.rs`.

mod change;
mod condition;

use std::str::FromStr;
use std::sync::Arc;

use poplin_bgp::wire::NotACommunity;
use poplin_bgp::{RouteRule, Verdict};
use poplin_manifest::field::{Findings, Invalid, Invalids, checked_name, object_name, word};
use poplin_node::name::RouteMapName;
use poplin_node::object::{RouteMap, RouteMaps};
use poplin_proto::v1;

use change::change;
use condition::condition;

pub(super) fn check(map: &v1::RouteMap) -> Result<RouteMap, Invalids> {
    let spec = map.spec.clone().unwrap_or_default();
    let mut findings = Findings::default();
    let name = RouteMapName::new(checked_name(map.metadata.as_ref()));
    let words = [("", Verdict::Reject), ("accept", Verdict::Accept), ("reject", Verdict::Reject)];
    let otherwise = findings.take(word("spec.otherwise", &spec.otherwise, &words));
    let rules = spec.rules.iter().enumerate().map(|(index, one)| rule(&format!("spec.rules[{index}]"), one));
    let rules: Vec<_> = rules.filter_map(|checked| findings.take_part(checked)).collect();
    findings.finish(otherwise.map(|otherwise| {
        let rules = Arc::new(poplin_bgp::RouteMap { rules, otherwise });
        RouteMap { name, rules }
    }))
}

/// Checks the names of the route maps for both directions; an empty one names none.
pub(super) fn named(findings: &mut Findings, [import, export]: [(&str, &String); 2]) -> RouteMaps {
    let mut one = |(field, text): (&str, &String)| {
        let name = Some(text).filter(|text| !text.is_empty())?;
        findings.take(object_name(field, name).map(|()| RouteMapName::new(name.clone())))
    };
    RouteMaps { import: one(import), export: one(export) }
}

fn rule(field: &str, rule: &v1::RouteRule) -> Result<RouteRule, Invalids> {
    let mut findings = Findings::default();
    let words = [("accept", Verdict::Accept), ("reject", Verdict::Reject)];
    let verdict = findings.take(word(&format!("{field}.action"), &rule.action, &words));
    let when = rule.when.as_ref().map(|when| condition(&format!("{field}.when"), when));
    let when = findings.take_part(when.transpose()).map(Option::unwrap_or_default);
    let change = rule.set.as_ref().map(|set| change(&format!("{field}.set"), set));
    let change = findings.take_part(change.transpose()).map(Option::unwrap_or_default);
    if verdict == Some(Verdict::Reject) && rule.set.is_some() {
        let message = "what is rejected cannot be changed";
        findings.add(Invalid::new(format!("{field}.set"), "WITHOUT_EFFECT", message).advice("leave it out, or accept"));
    }
    findings.finish(verdict.zip(when).zip(change).map(|((verdict, when), change)| RouteRule { when, verdict, change }))
}

/// Checks each entry of a list under its own name.
fn each<'a, T>(
    field: &str,
    list: &str,
    texts: &'a [String],
    check: impl Fn(&str, &str) -> Result<T, Invalid> + 'a,
) -> impl Iterator<Item = Result<T, Invalid>> + 'a {
    let field = format!("{field}.{list}");
    texts.iter().enumerate().map(move |(index, text)| check(&format!("{field}[{index}]"), text))
}

fn community<T: FromStr<Err = NotACommunity>>(field: &str, text: &str) -> Result<T, Invalid> {
    text.parse().map_err(|error: NotACommunity| {
        Invalid::new(field, "BAD_COMMUNITY", error.to_string()).advice(NotACommunity::ADVICE)
    })
}

#[cfg(test)]
mod tests;
