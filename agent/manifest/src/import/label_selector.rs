//! Kubernetes label selectors, in the words of our selectors.
//!
//! Both hold for an absent label where they ask for a difference, so they map one to one: `NotIn` is `not in`,
//! `DoesNotExist` is `!has()`.

use std::collections::BTreeMap;

use poplin_policy::model::NAMESPACE_LABEL;
use serde::Deserialize;

use super::written::{Text, something};
use crate::field::{Findings, Invalid, selector};
use crate::locate::entry;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct LabelSelector {
    #[serde(deserialize_with = "something")]
    match_labels: Option<BTreeMap<String, Text>>,
    #[serde(deserialize_with = "something")]
    match_expressions: Option<Vec<Requirement>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Requirement {
    key: Text,
    operator: Text,
    #[serde(default, deserialize_with = "something")]
    values: Option<Vec<Text>>,
}

impl LabelSelector {
    /// Selects what has such labels; one that asks for nothing selects all.
    pub(super) fn text(&self, findings: &mut Findings, field: &str) -> String {
        let mut terms = Vec::new();
        for (key, value) in self.match_labels.iter().flatten() {
            let field = entry(&format!("{field}.matchLabels"), key);
            findings.take(label_key(&field, key).and_then(|()| label_value(&field, value)));
            terms.push(format!("{key} == '{value}'"));
        }
        for (index, requirement) in self.match_expressions.iter().flatten().enumerate() {
            terms.extend(findings.take(requirement.text(&format!("{field}.matchExpressions[{index}]"))));
        }
        let text = if terms.is_empty() { "all()".to_owned() } else { terms.join(" && ") };
        // What was refused above would be refused here again, in other words.
        if findings.is_empty() {
            findings.take(selector(field, &text));
        }
        text
    }

    /// The same, for the pods at the other end. The label that only endpoints have keeps address sets out, which Kubernetes
    /// does not know.
    pub(super) fn pods(&self, findings: &mut Findings, field: &str) -> String {
        match self.text(findings, field).as_str() {
            "all()" => all_pods(),
            text => format!("{} && {text}", all_pods()),
        }
    }
}

/// Selects every endpoint that lives in a namespace, and nothing else.
pub(super) fn all_pods() -> String {
    format!("has({NAMESPACE_LABEL})")
}

impl Requirement {
    fn text(&self, field: &str) -> Result<String, Invalid> {
        let Self { key, operator, values } = self;
        label_key(&format!("{field}.key"), key)?;
        let values = values.as_deref().unwrap_or_default();
        let at = format!("{field}.values");
        match (&**operator, values) {
            ("Exists", []) => Ok(format!("has({key})")),
            ("DoesNotExist", []) => Ok(format!("!has({key})")),
            ("Exists" | "DoesNotExist", _) => {
                Err(Invalid::new(at, "BAD_SELECTOR", format!("{operator} takes no values")).advice("leave values out"))
            }
            ("In" | "NotIn", []) => Err(Invalid::new(at, "BAD_SELECTOR", format!("{operator} needs a value"))
                .advice("list values, or use Exists or DoesNotExist")),
            ("In" | "NotIn", values) => {
                for (index, value) in values.iter().enumerate() {
                    label_value(&format!("{at}[{index}]"), value)?;
                }
                let listed: Vec<String> = values.iter().map(|value| format!("'{value}'")).collect();
                let word = if &**operator == "In" { "in" } else { "not in" };
                Ok(format!("{key} {word} {{{}}}", listed.join(", ")))
            }
            (other, _) => {
                let message = format!("{other:?} is not one of In, NotIn, Exists, DoesNotExist");
                Err(Invalid::new(format!("{field}.operator"), "UNKNOWN_WORD", message))
            }
        }
    }
}

/// `prefix/name`: the name up to 63 characters, the prefix a DNS name up to 253.
fn label_key(field: &str, key: &str) -> Result<(), Invalid> {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let is_dns =
        |text: &str| text.len() <= 253 && text.split('.').all(|part| is_word(part) && !part.contains(['_', '.']));
    if is_word(name) && prefix.is_none_or(is_dns) {
        return Ok(());
    }
    Err(Invalid::new(field, "BAD_LABEL", format!("{key:?} is no label key, such as app or example.com/app")))
}

fn label_value(field: &str, value: &str) -> Result<(), Invalid> {
    if value.is_empty() || is_word(value) {
        return Ok(());
    }
    let rule = "up to 63 letters, digits and _ . -, with a letter or digit at both ends";
    Err(Invalid::new(field, "BAD_LABEL", format!("{value:?} is no label value: {rule}")))
}

fn is_word(text: &str) -> bool {
    let is_inner = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'_' | b'.' | b'-');
    let has_end = |octet: Option<u8>| octet.is_some_and(|octet| octet.is_ascii_alphanumeric());
    text.len() <= 63 && text.bytes().all(is_inner) && has_end(text.bytes().next()) && has_end(text.bytes().last())
}
