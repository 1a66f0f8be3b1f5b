//! What a selector says, once read: evaluation and canonical text.
//!
//! Canonical: no needless parentheses, `in` lists sorted, single quotes where they can be, no double negation.
//! Depth is bounded by the parser, so recursion here is too.

use std::collections::BTreeSet;
use std::fmt;

use crate::label::Labels;

/// A condition on labels. `And` and `Or` hold at least two parts, none of their own kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Expression {
    All,
    Has(String),
    Equals(String, String),
    Differs(String, String),
    In(String, BTreeSet<String>),
    NotIn(String, BTreeSet<String>),
    Contains(String, String),
    StartsWith(String, String),
    EndsWith(String, String),
    Not(Box<Expression>),
    And(Vec<Expression>),
    Or(Vec<Expression>),
}

impl Expression {
    pub(super) fn admits(&self, labels: &Labels) -> bool {
        let holds = |label: &str, question: &dyn Fn(&str) -> bool| labels.get(label).is_some_and(question);
        match self {
            Expression::All => true,
            Expression::Has(label) => labels.get(label).is_some(),
            Expression::Equals(label, wanted) => holds(label, &|value| value == wanted),
            Expression::Differs(label, wanted) => !holds(label, &|value| value == wanted),
            Expression::In(label, wanted) => holds(label, &|value| wanted.contains(value)),
            Expression::NotIn(label, wanted) => !holds(label, &|value| wanted.contains(value)),
            Expression::Contains(label, part) => holds(label, &|value| value.contains(part.as_str())),
            Expression::StartsWith(label, part) => holds(label, &|value| value.starts_with(part.as_str())),
            Expression::EndsWith(label, part) => holds(label, &|value| value.ends_with(part.as_str())),
            Expression::Not(inner) => !inner.admits(labels),
            Expression::And(parts) => parts.iter().all(|part| part.admits(labels)),
            Expression::Or(parts) => parts.iter().any(|part| part.admits(labels)),
        }
    }

    pub(super) fn keys<'e>(&'e self, keys: &mut BTreeSet<&'e str>) {
        match self {
            Expression::All => {}
            Expression::Has(label)
            | Expression::Equals(label, _)
            | Expression::Differs(label, _)
            | Expression::In(label, _)
            | Expression::NotIn(label, _)
            | Expression::Contains(label, _)
            | Expression::StartsWith(label, _)
            | Expression::EndsWith(label, _) => _ = keys.insert(label),
            Expression::Not(inner) => inner.keys(keys),
            Expression::And(parts) | Expression::Or(parts) => parts.iter().for_each(|part| part.keys(keys)),
        }
    }

    pub(super) fn is_enough(&self) -> bool {
        match self {
            Expression::Equals(..) | Expression::In(..) => true,
            Expression::Or(parts) => parts.iter().all(Expression::is_enough),
            Expression::All
            | Expression::Has(_)
            | Expression::Differs(..)
            | Expression::NotIn(..)
            | Expression::Contains(..)
            | Expression::StartsWith(..)
            | Expression::EndsWith(..)
            | Expression::Not(_)
            | Expression::And(_) => false,
        }
    }

    pub(super) fn required(&self) -> Option<Vec<(&str, &str)>> {
        match self {
            Expression::Equals(label, value) => Some(vec![(label, value)]),
            Expression::In(label, values) => {
                Some(values.iter().map(|value| (label.as_str(), value.as_str())).collect())
            }
            Expression::And(parts) => parts.iter().filter_map(Expression::required).min_by_key(Vec::len),
            Expression::Or(parts) => {
                let of_parts: Option<Vec<_>> = parts.iter().map(Expression::required).collect();
                of_parts.map(|of_parts| of_parts.concat())
            }
            Expression::All
            | Expression::Has(_)
            | Expression::Differs(..)
            | Expression::NotIn(..)
            | Expression::Contains(..)
            | Expression::StartsWith(..)
            | Expression::EndsWith(..)
            | Expression::Not(_) => None,
        }
    }

    /// Adds every label, and the values it is compared with as a whole.
    pub(super) fn mention<'e>(&'e self, mentions: &mut Vec<(&'e str, Vec<&'e str>)>) {
        match self {
            Expression::All => {}
            Expression::Has(label)
            | Expression::Contains(label, _)
            | Expression::StartsWith(label, _)
            | Expression::EndsWith(label, _) => mentions.push((label, Vec::new())),
            Expression::Equals(label, value) | Expression::Differs(label, value) => mentions.push((label, vec![value])),
            Expression::In(label, values) | Expression::NotIn(label, values) => {
                mentions.push((label, values.iter().map(String::as_str).collect()));
            }
            Expression::Not(inner) => inner.mention(mentions),
            Expression::And(parts) | Expression::Or(parts) => parts.iter().for_each(|part| part.mention(mentions)),
        }
    }

    pub(super) fn negated(self) -> Self {
        match self {
            Expression::Not(inner) => *inner,
            other => Expression::Not(Box::new(other)),
        }
    }

    /// Joins parts by `&&`; at least one is given.
    pub(super) fn and(parts: Vec<Self>) -> Self {
        let mut flat = Vec::new();
        for part in parts {
            match part {
                Expression::And(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        single(flat).unwrap_or_else(Expression::And)
    }

    /// Joins parts by `||`; at least one is given.
    pub(super) fn or(parts: Vec<Self>) -> Self {
        let mut flat = Vec::new();
        for part in parts {
            match part {
                Expression::Or(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        single(flat).unwrap_or_else(Expression::Or)
    }
}

/// The only part, or all of them back.
fn single(mut parts: Vec<Expression>) -> Result<Expression, Vec<Expression>> {
    match parts.len() {
        1 => Ok(parts.remove(0)),
        _ => Err(parts),
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expression::All => out.write_str("all()"),
            Expression::Has(label) => write!(out, "has({label})"),
            Expression::Equals(label, value) => write!(out, "{label} == {}", quoted(value)),
            Expression::Differs(label, value) => write!(out, "{label} != {}", quoted(value)),
            Expression::In(label, values) => write!(out, "{label} in {{{}}}", listed(values)),
            Expression::NotIn(label, values) => write!(out, "{label} not in {{{}}}", listed(values)),
            Expression::Contains(label, value) => write!(out, "{label} contains {}", quoted(value)),
            Expression::StartsWith(label, value) => write!(out, "{label} starts with {}", quoted(value)),
            Expression::EndsWith(label, value) => write!(out, "{label} ends with {}", quoted(value)),
            Expression::Not(inner) => match **inner {
                Expression::All | Expression::Has(_) => write!(out, "!{inner}"),
                _ => write!(out, "!({inner})"),
            },
            Expression::And(parts) => out.write_str(&joined(parts, " && ")),
            Expression::Or(parts) => out.write_str(&joined(parts, " || ")),
        }
    }
}

fn joined(parts: &[Expression], sign: &str) -> String {
    let inside = |part: &Expression| match part {
        Expression::Or(_) => format!("({part})"),
        other => other.to_string(),
    };
    parts.iter().map(inside).collect::<Vec<_>>().join(sign)
}

fn listed(values: &BTreeSet<String>) -> String {
    values.iter().map(|value| quoted(value)).collect::<Vec<_>>().join(", ")
}

/// There are no escapes: a value holds at most one of the two quotes, for it was written in the other.
fn quoted(value: &str) -> String {
    if value.contains('\'') { format!("\"{value}\"") } else { format!("'{value}'") }
}
