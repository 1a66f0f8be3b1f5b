//! How single values stand in foreign documents.
//!
//! In: YAML values. Out: texts that were written as texts, scalars that remember what they were, and lists and mappings that
//! may be left out but not left open. `true`, `8080` and `1.0` are no texts until they stand in quotes, as every Kubernetes
//! server has it; `8000:8050` and `y` are texts, as YAML 1.2 has it, and no number to the base of 60 and no yes.

use std::fmt;
use std::ops::Deref;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// A value that was written as text.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Text(String);

/// A value of one word, as it was written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Whole(i64),
    /// Any other number.
    Fraction(f64),
    /// Everything else, and whatever stands in quotes.
    Text(String),
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// As people wrote it, texts in quotes.
impl fmt::Display for Scalar {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scalar::Bool(value) => write!(out, "{value}"),
            Scalar::Whole(value) => write!(out, "{value}"),
            Scalar::Fraction(value) => write!(out, "{value}"),
            Scalar::Text(value) => write!(out, "{value:?}"),
        }
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Scalar::deserialize(deserializer)? {
            Scalar::Text(text) => Ok(Self(text)),
            other => Err(D::Error::custom(format!("{other} is no text here: put it in quotes"))),
        }
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Word)
    }
}

struct Word;

impl Visitor<'_> for Word {
    type Value = Scalar;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a single value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Scalar, E> {
        Ok(Scalar::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Scalar, E> {
        Ok(Scalar::Whole(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Scalar, E> {
        // What exceeds the signed range is beyond every bound there is here.
        Ok(Scalar::Whole(i64::try_from(value).unwrap_or(i64::MAX)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Scalar, E> {
        Ok(Scalar::Fraction(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(value.to_owned()))
    }

    fn visit_unit<E: Error>(self) -> Result<Scalar, E> {
        Err(E::custom(NOTHING))
    }
}

const NOTHING: &str =
    "nothing is written here, which could mean everything or nothing: leave the key out, or write a value";

/// Reads a field that may be absent but not null: left by a template, it would open what its author meant to close.
pub(super) fn something<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    match Option::<T>::deserialize(deserializer)? {
        Some(value) => Ok(Some(value)),
        None => Err(D::Error::custom(NOTHING)),
    }
}
