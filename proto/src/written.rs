//! Says how a field stands in a document: when it is left out, and when nothing may not be written.
//!
//! In: single fields of resource messages. Out: serde's helpers, named in `build.rs`.
//! In a policy an absent field means "any". A key with nothing behind it, left by a template or by a half-finished
//! edit, would therefore open what its author meant to close; it is refused instead.

use serde::{Deserialize, Deserializer, de::Error};

/// Whether a field says nothing and is left out. `Some` of an empty list says something: nothing is allowed.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Reads a field that may be absent but not null.
pub(crate) fn something<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    match Option::<T>::deserialize(deserializer)? {
        Some(value) => Ok(Some(value)),
        None => Err(D::Error::custom(
            "nothing is written here, which could mean everything or nothing: leave the key out, or write a value",
        )),
    }
}

/// Reads a list that may be absent, or say that nothing is in it, but not be empty.
pub(crate) fn not_forgotten<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    match Option::<Vec<T>>::deserialize(deserializer)? {
        Some(list) if !list.is_empty() => Ok(list),
        Some(_) | None => Err(D::Error::custom(
            "the list is empty: leave the key out for the usual, or write [none] if that is meant",
        )),
    }
}

/// Reads a list that may be absent but not empty.
pub(crate) fn not_empty<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    match Option::<Vec<T>>::deserialize(deserializer)? {
        Some(list) if !list.is_empty() => Ok(list),
        Some(_) | None => {
            Err(D::Error::custom("the list is empty, which would match anything: leave the key out, or list something"))
        }
    }
}

/// Reads a text that may be absent but not empty.
pub(crate) fn not_blank<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    match Option::<String>::deserialize(deserializer)? {
        Some(text) if !text.trim().is_empty() => Ok(text),
        Some(_) | None => Err(D::Error::custom(
            "the selector is empty, which would match anything: leave the key out, or write one, such as all()",
        )),
    }
}
