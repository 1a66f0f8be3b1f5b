//! Finds the line and column of a field in a document, and the field at a line and column.
//!
//! In: text, and a path such as `spec.ingress[2].ports[0]` or `metadata.labels["a.b"]`. Out: where its value begins, or the
//! innermost part of the path that is there; and the other way round. The document is read again, so it costs only those whose document is wrong.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use crate::file::any_dialect;

/// The places of a document's fields.
#[derive(Debug)]
pub struct Places(Option<Spanned<Node>>);

impl Places {
    /// Reads a document again; of one that is no YAML nothing is found.
    pub fn of(text: &str) -> Self {
        Self(serde_saphyr::from_str_with_options(text, any_dialect()).ok())
    }

    /// Where a field begins: line and column, both counted from 1.
    pub fn locate(&self, path: &str) -> Option<(u64, u64)> {
        let mut here = self.0.as_ref()?;
        for step in steps(path) {
            match here.value.child(&step) {
                Some(child) => here = child,
                None => break,
            }
        }
        Some((here.referenced.line(), here.referenced.column())).filter(|(line, _)| *line > 0)
    }

    /// All that begins at a place, from the outermost in: a collection begins where its first child does.
    pub fn at(&self, place: (u64, u64)) -> Vec<Found> {
        let mut found = Vec::new();
        if let Some(root) = &self.0 {
            root.value.find(place, "", &mut found);
        }
        found
    }
}

/// What begins at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The key of the entry with this path.
    Key(String),
    /// The value with this path.
    Value(String),
}

impl Found {
    /// Its path.
    pub fn path(&self) -> &str {
        match self {
            Found::Key(path) | Found::Value(path) => path,
        }
    }

    /// The path of the mapping in which something was missed there: one is blamed at its first key, an empty one at itself.
    pub fn mapping(&self) -> &str {
        match self {
            Found::Key(path) => path.rfind(['.', '[']).map_or("", |end| &path[..end]),
            Found::Value(path) => path,
        }
    }
}

/// A document's shape, with the place of each key and value.
#[derive(Debug)]
enum Node {
    Mapping(Vec<(Spanned<String>, Spanned<Node>)>),
    Sequence(Vec<Spanned<Node>>),
    Scalar,
}

impl Node {
    fn child(&self, step: &str) -> Option<&Spanned<Node>> {
        match self {
            Node::Mapping(entries) => entries.iter().find(|(key, _)| key.value == step).map(|(_, child)| child),
            Node::Sequence(items) => items.get(step.parse::<usize>().ok()?),
            Node::Scalar => None,
        }
    }

    fn find(&self, place: (u64, u64), path: &str, found: &mut Vec<Found>) {
        let is_here = |location: serde_saphyr::Location| (location.line(), location.column()) == place;
        match self {
            Node::Mapping(entries) => {
                for (key, child) in entries {
                    let path = entry(path, &key.value);
                    if is_here(key.referenced) {
                        found.push(Found::Key(path.clone()));
                    }
                    child_of(path, child, place, found);
                }
            }
            Node::Sequence(items) => {
                for (index, item) in items.iter().enumerate() {
                    child_of(format!("{path}[{index}]"), item, place, found);
                }
            }
            Node::Scalar => {}
        }
    }
}

fn child_of(path: String, child: &Spanned<Node>, place: (u64, u64), found: &mut Vec<Found>) {
    if (child.referenced.line(), child.referenced.column()) == place {
        found.push(Found::Value(path.clone()));
    }
    child.value.find(place, &path, found);
}

/// A key as a step of a path: in quotes where it holds what paths are made of.
fn named(key: &str) -> String {
    if key.contains(['.', '[', ']']) { format!("[{key:?}]") } else { key.to_owned() }
}

/// The path of what a key of a mapping holds.
pub fn entry(mapping: &str, key: &str) -> String {
    let step = named(key);
    let is_joined = mapping.is_empty() || step.starts_with('[');
    if is_joined { format!("{mapping}{step}") } else { format!("{mapping}.{step}") }
}

fn steps(path: &str) -> Vec<String> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        let quoted = rest.strip_prefix("[\"").and_then(|inner| inner.split_once("\"]"));
        if let Some((step, after)) = quoted {
            steps.push(step.to_owned());
            rest = after;
            continue;
        }
        let mut next = rest.char_indices().skip(1).filter(|(_, sign)| matches!(sign, '.' | '[' | ']'));
        let end = next.next().map_or(rest.len(), |(at, _)| at);
        let step = rest[..end].trim_start_matches(['.', '[', ']']);
        if !step.is_empty() {
            steps.push(step.to_owned());
        }
        rest = &rest[end..];
    }
    steps
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Shape)
    }
}

struct Shape;

impl<'de> Visitor<'de> for Shape {
    type Value = Node;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Mapping(entries))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element()? {
            items.push(item);
        }
        Ok(Node::Sequence(items))
    }

    fn visit_str<E>(self, _: &str) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "kind: Policy\nspec:\n  ingress:\n  - ports: [tcp/80,\n            tcp/70000]\n";

    #[test]
    fn a_field_deep_in_lists_is_found() {
        assert_eq!(Places::of(TEXT).locate("spec.ingress[0].ports[1]"), Some((5, 13)));
    }

    #[test]
    fn a_key_with_dots_is_one_step_in_quotes() {
        let text = "metadata:\n  labels: {a.b/c: 1, d: 2}\n";

        assert_eq!(Places::of(text).locate("metadata.labels[\"a.b/c\"]"), Some((2, 19)));
        assert_eq!(Places::of(text).at((2, 19)), [Found::Value("metadata.labels[\"a.b/c\"]".to_owned())]);
    }

    #[test]
    fn a_place_leads_to_all_that_begins_there() {
        let paths = |line, column| -> Vec<String> {
            Places::of(TEXT).at((line, column)).iter().map(|found| found.path().to_owned()).collect()
        };

        assert_eq!(paths(5, 13), ["spec.ingress[0].ports[1]"]);
        assert_eq!(paths(3, 3), ["spec", "spec.ingress"]);
        assert_eq!(paths(4, 5), ["spec.ingress", "spec.ingress[0]", "spec.ingress[0].ports"]);
        assert!(paths(9, 9).is_empty());
    }

    #[test]
    fn a_field_that_is_not_there_leads_to_what_should_hold_it() {
        assert_eq!(Places::of(TEXT).locate("spec.ingress[0].action"), Places::of(TEXT).locate("spec.ingress[0]"));
    }
}
