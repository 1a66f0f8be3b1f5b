//! Lists of documents, as `kubectl get -o yaml` and `calicoctl get -o yaml` print them.
//!
//! In: one YAML document. Out: its items, each read as what its own kind says, or as what the list's kind says. The list is
//! read twice: first for the kinds, then for the rest, so that errors keep their places.

use std::fmt;

use poplin_proto::resource::Header;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::file::Item;

/// The kinds of a list's items.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Kinds {
    items: Vec<Header>,
}

/// The version and kind of each item; what an item leaves out is the list's to say.
pub(crate) fn headers<'de, D: Deserializer<'de>>(list: &Header, item: &str, yaml: D) -> Result<Vec<Header>, D::Error> {
    let mut headers = Kinds::deserialize(yaml)?.items;
    for header in &mut headers {
        if header.api_version.is_empty() && header.kind.is_empty() && !item.is_empty() {
            *header = Header { api_version: list.api_version.clone(), kind: item.to_owned() };
        }
    }
    Ok(headers)
}

/// Reads the items, whose kinds are all known to be read here.
pub(crate) fn items<'de, D: Deserializer<'de>>(headers: &[Header], yaml: D) -> Result<Vec<Item>, D::Error> {
    yaml.deserialize_map(List(headers))
}

struct List<'a>(&'a [Header]);

impl<'de> Visitor<'de> for List<'_> {
    type Value = Vec<Item>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a list of documents")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<Item>, A::Error> {
        let mut items = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "items" => items = map.next_value_seed(Items(self.0))?,
                "apiVersion" | "kind" | "metadata" => drop(map.next_value::<IgnoredAny>()?),
                other => return Err(A::Error::unknown_field(other, &["apiVersion", "kind", "metadata", "items"])),
            }
        }
        Ok(items)
    }
}

struct Items<'a>(&'a [Header]);

impl<'de> DeserializeSeed<'de> for Items<'_> {
    type Value = Vec<Item>;

    fn deserialize<D: Deserializer<'de>>(self, yaml: D) -> Result<Vec<Item>, D::Error> {
        yaml.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Items<'_> {
    type Value = Vec<Item>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("documents")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Vec<Item>, A::Error> {
        let mut items = Vec::new();
        for header in self.0 {
            items.extend(sequence.next_element_seed(One(header))?);
        }
        while sequence.next_element::<IgnoredAny>()?.is_some() {}
        Ok(items)
    }
}

struct One<'a>(&'a Header);

impl<'de> DeserializeSeed<'de> for One<'_> {
    type Value = Item;

    fn deserialize<D: Deserializer<'de>>(self, yaml: D) -> Result<Item, D::Error> {
        Item::deserialize(self.0, yaml)
    }
}
