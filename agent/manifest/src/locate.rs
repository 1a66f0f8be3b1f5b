//! Finds the line and column of a field in a document.
//!
//! In: text, and a path such as `spec.ingress[2].ports[0]`. Out: where its value begins, or the innermost part of the path
//! that is there. Reads the document again, so it costs only those whose document is wrong.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// Where the field begins: line and column, both counted from 1.
pub fn locate(text: &str, path: &str) -> Option<(u64, u64)> {
    let root: Spanned<Node> = serde_saphyr::from_str(text).ok()?;
    let mut here = &root;
    for step in steps(path) {
        match here.value.child(&step) {
            Some(child) => here = child,
            None => break,
        }
    }
    Some((here.referenced.line(), here.referenced.column())).filter(|(line, _)| *line > 0)
}

/// A document's shape, with the place of each value.
enum Node {
    Mapping(Vec<(String, Spanned<Node>)>),
    Sequence(Vec<Spanned<Node>>),
    Scalar,
}

impl Node {
    fn child(&self, step: &str) -> Option<&Spanned<Node>> {
        match self {
            Node::Mapping(entries) => entries.iter().find(|(key, _)| key == step).map(|(_, child)| child),
            Node::Sequence(items) => items.get(step.parse::<usize>().ok()?),
            Node::Scalar => None,
        }
    }
}

fn steps(path: &str) -> impl Iterator<Item = String> + '_ {
    path.split(['.', '[', ']']).filter(|step| !step.is_empty()).map(str::to_owned)
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
        assert_eq!(locate(TEXT, "spec.ingress[0].ports[1]"), Some((5, 13)));
    }

    #[test]
    fn a_field_that_is_not_there_leads_to_what_should_hold_it() {
        assert_eq!(locate(TEXT, "spec.ingress[0].action"), locate(TEXT, "spec.ingress[0]"));
    }
}
