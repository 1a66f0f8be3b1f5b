//! Labels: what endpoints and address sets carry so that selectors can find them.
//!
//! In: pairs of text, as people wrote them. Out: labels every selector can be asked about. Knows nothing of selectors.
//! Limits: those of the wire contract, `Metadata.labels`.

use std::collections::BTreeMap;
use std::sync::Arc;

use thiserror::Error;

/// The labels of one thing: at most [`Labels::MAX_COUNT`], keys unique. Clones share them.
///
/// One piece of text, `key=value` and an end of line for each, in the order of keys: an agent holds those of everybody, and compares them often.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels(Arc<str>);

/// Between a key and its value; it can stand in neither.
const EQUALS: char = '=';
/// After a label; it can stand in none.
const END: char = '\n';

impl Labels {
    /// Most labels one thing may carry.
    pub const MAX_COUNT: usize = 64;
    /// Longest key, in octets: two parts of 63 and their slash, as in Kubernetes.
    pub const MAX_KEY_OCTETS: usize = 127;
    /// Longest value, in octets.
    pub const MAX_VALUE_OCTETS: usize = 63;

    /// Takes pairs of key and value, each checked; a key given twice is refused.
    pub fn try_from_pairs<K, V>(pairs: impl IntoIterator<Item = (K, V)>) -> Result<Self, LabelError>
    where
        K: Into<String>,
        V: Into<String>,
    {
        let mut labels = BTreeMap::new();
        for (key, value) in pairs {
            let (key, value) = (key.into(), value.into());
            check_key(&key)?;
            check_value(&key, &value)?;
            if labels.insert(key.clone(), value).is_some() {
                return Err(LabelError::KeyTwice { key });
            }
        }
        if labels.len() > Self::MAX_COUNT {
            return Err(LabelError::TooMany { count: labels.len() });
        }
        Ok(Self::of(labels))
    }

    /// The value of a label, if it is carried; it may be empty.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.iter().find_map(|(known, value)| (known == key).then_some(value))
    }

    /// These labels, and of the others those whose keys are not among them. The sum may be more than [`Labels::MAX_COUNT`].
    pub fn over(&self, inherited: &Self) -> Self {
        if self.0.is_empty() || inherited.0.is_empty() {
            return if self.0.is_empty() { inherited.clone() } else { self.clone() };
        }
        let all: BTreeMap<&str, &str> = inherited.iter().chain(self.iter()).collect();
        Self::of(all)
    }

    /// What differs between these labels and others: keys, and their values in each.
    pub fn differences<'l>(&'l self, other: &'l Self) -> Vec<(&'l str, Option<&'l str>, Option<&'l str>)> {
        let (mut ours, mut theirs) = (self.iter().peekable(), other.iter().peekable());
        let mut differences = Vec::new();
        while let Some(key) = ours.peek().into_iter().chain(theirs.peek()).map(|(key, _)| *key).min() {
            let old = ours.next_if(|(known, _)| *known == key).map(|(_, value)| value);
            let new = theirs.next_if(|(known, _)| *known == key).map(|(_, value)| value);
            differences.extend((old != new).then_some((key, old, new)));
        }
        differences
    }

    /// All labels, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let labels = self.0.split_terminator(END);
        labels.map(|label| label.split_once(EQUALS).expect("each label has a key and a value"))
    }

    fn of<T: AsRef<str> + Ord>(labels: BTreeMap<T, T>) -> Self {
        let mut text = String::new();
        for (key, value) in &labels {
            text.extend([key.as_ref(), "=", value.as_ref(), "\n"]);
        }
        Self(text.into())
    }
}

/// Why pairs cannot be labels.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LabelError {
    /// More than [`Labels::MAX_COUNT`].
    #[error("{count} labels are above {}", Labels::MAX_COUNT)]
    TooMany {
        /// How many were given.
        count: usize,
    },
    /// The same key stands twice.
    #[error("label key {key:?} is given twice")]
    KeyTwice {
        /// Which key.
        key: String,
    },
    /// A key without a character.
    #[error("a label key is empty")]
    KeyEmpty,
    /// A key longer than [`Labels::MAX_KEY_OCTETS`].
    #[error("label key {key:?} has {} octets, above {}", key.len(), Labels::MAX_KEY_OCTETS)]
    KeyTooLong {
        /// Which key.
        key: String,
    },
    /// A character that selectors could not name.
    #[error("label key {key:?} has {found:?}; letters, digits and _ . / - may stand there")]
    KeyCharacter {
        /// Which key.
        key: String,
        /// The first such character.
        found: char,
    },
    /// A value longer than [`Labels::MAX_VALUE_OCTETS`].
    #[error("label {key} has a value of {octets} octets, above {}", Labels::MAX_VALUE_OCTETS)]
    ValueTooLong {
        /// Whose value.
        key: String,
        /// How long it is.
        octets: usize,
    },
    /// A character that may not stand in values.
    #[error("label {key} has the value {value:?} with {found:?}; letters, digits and _ . / - may stand there")]
    ValueCharacter {
        /// Whose value.
        key: String,
        /// The value.
        value: String,
        /// The first such character.
        found: char,
    },
}

fn check_key(key: &str) -> Result<(), LabelError> {
    if key.is_empty() {
        return Err(LabelError::KeyEmpty);
    }
    if key.len() > Labels::MAX_KEY_OCTETS {
        return Err(LabelError::KeyTooLong { key: key.into() });
    }
    match stranger_in(key) {
        Some(found) => Err(LabelError::KeyCharacter { key: key.into(), found }),
        None => Ok(()),
    }
}

fn check_value(key: &str, value: &str) -> Result<(), LabelError> {
    if value.len() > Labels::MAX_VALUE_OCTETS {
        return Err(LabelError::ValueTooLong { key: key.into(), octets: value.len() });
    }
    match stranger_in(value) {
        Some(found) => Err(LabelError::ValueCharacter { key: key.into(), value: value.into(), found }),
        None => Ok(()),
    }
}

/// Whether a character may stand in keys and values.
pub(crate) fn is_label_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '.' | '/' | '-')
}

fn stranger_in(text: &str) -> Option<char> {
    text.chars().find(|character| !is_label_character(*character))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_found_by_their_key() {
        let labels = Labels::try_from_pairs([("app", "web"), ("k8s.io/name", "")]).unwrap();

        assert_eq!(labels.get("app"), Some("web"));
        assert_eq!(labels.get("k8s.io/name"), Some(""));
        assert_eq!(labels.get("tier"), None);
    }

    #[test]
    fn what_differs_is_told_by_key() {
        let labels = |pairs: &[(&str, &str)]| Labels::try_from_pairs(pairs.iter().copied()).unwrap();
        let (old, new) = (labels(&[("a", "1"), ("b", "2"), ("d", "4")]), labels(&[("a", "1"), ("b", "3"), ("c", "")]));

        let expected = [("b", Some("2"), Some("3")), ("c", None, Some("")), ("d", Some("4"), None)];
        assert_eq!(old.differences(&new), expected);
        assert_eq!(old.differences(&old), []);
    }

    #[test]
    fn what_cannot_be_a_label_is_refused_by_name() {
        let refusal = |key: &str, value: &str| Labels::try_from_pairs([(key, value)]).unwrap_err().to_string();

        assert_eq!(refusal("", "x"), "a label key is empty");
        assert_eq!(refusal("a b", "x"), "label key \"a b\" has ' '; letters, digits and _ . / - may stand there");
        assert_eq!(refusal("a", &"x".repeat(64)), "label a has a value of 64 octets, above 63");
        assert_eq!(
            refusal("a", "x'y"),
            "label a has the value \"x'y\" with '\\''; letters, digits and _ . / - may stand there"
        );
        assert!(refusal(&"k".repeat(128), "x").ends_with("has 128 octets, above 127"));
    }

    #[test]
    fn a_key_stands_once_and_there_are_at_most_64() {
        let twice = Labels::try_from_pairs([("a", "x"), ("a", "y")]);
        let many = Labels::try_from_pairs((0..65).map(|number| (format!("k{number}"), "x")));

        assert_eq!(twice, Err(LabelError::KeyTwice { key: "a".into() }));
        assert_eq!(many, Err(LabelError::TooMany { count: 65 }));
    }
}
