//! The shape of a PolicyTest document, before anything in it is understood.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize as Derived;
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// The whole document.
#[derive(Debug, Derived)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PolicyTest {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) metadata: Metadata,
    pub(super) spec: Spec,
}

#[derive(Debug, Derived)]
#[serde(deny_unknown_fields)]
pub(super) struct Metadata {
    pub(super) name: String,
    /// Where selectors of its cases look; absent = everywhere.
    #[serde(default)]
    pub(super) namespace: String,
}

#[derive(Debug, Derived)]
#[serde(deny_unknown_fields)]
pub(super) struct Spec {
    pub(super) cases: Vec<WrittenCase>,
}

#[derive(Debug, Derived)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct WrittenCase {
    #[serde(default)]
    pub(super) name: String,
    pub(super) from: WrittenParty,
    /// Taken out of `from`.
    #[serde(default)]
    pub(super) except: Few<WrittenParty>,
    pub(super) to: WrittenParty,
    #[serde(default)]
    pub(super) ports: Few<String>,
    #[serde(default)]
    pub(super) expect: String,
    #[serde(default)]
    pub(super) by: Option<String>,
    #[serde(default, alias = "only")]
    pub(super) nobody_else: bool,
    /// The host endpoint by which packets come to a host that forwards them.
    #[serde(default)]
    pub(super) enters_by: Option<String>,
    /// By which they leave it.
    #[serde(default)]
    pub(super) leaves_by: Option<String>,
    #[serde(default)]
    pub(super) may_be_empty: bool,
}

/// One end: a word that says it all, or its parts.
#[derive(Debug)]
pub(super) enum WrittenParty {
    Word(String),
    Parts(Box<Parts>),
}

/// All that is given must hold together.
#[derive(Debug, Default, Derived)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Parts {
    pub(super) endpoint: String,
    pub(super) select: String,
    pub(super) namespace: String,
    pub(super) namespaces: String,
    pub(super) nets: Few<String>,
    pub(super) sets: Few<String>,
    pub(super) outside: bool,
    pub(super) except: Few<WrittenParty>,
}

/// One, or a list.
#[derive(Debug)]
pub(super) struct Few<T>(pub(super) Vec<T>);

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Few<T> {
    pub(super) fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }
}

impl<'de> Deserialize<'de> for WrittenParty {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PartyShape)
    }
}

struct PartyShape;

impl<'de> Visitor<'de> for PartyShape {
    type Value = WrittenParty;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an endpoint, a selector, a prefix, `outside`, `anybody`, or a mapping of these")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<WrittenParty, E> {
        Ok(WrittenParty::Word(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<WrittenParty, A::Error> {
        Parts::deserialize(MapAccessDeserializer::new(map)).map(|parts| WrittenParty::Parts(Box::new(parts)))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Few<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FewShape(PhantomData))
    }
}

struct FewShape<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for FewShape<T> {
    type Value = Few<T>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("text, or a list of texts")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Few<T>, E> {
        T::deserialize(StrDeserializer::<E>::new(text)).map(|one| Few(vec![one]))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Few<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(|one| Few(vec![one]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Few<T>, A::Error> {
        let mut all = Vec::new();
        while let Some(one) = sequence.next_element()? {
            all.push(one);
        }
        Ok(Few(all))
    }
}
