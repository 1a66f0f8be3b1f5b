//! Names of things that may live in a namespace.

use std::fmt;

/// A name, and the namespace it is unique in; without one it is unique in the fabric.
///
/// Sorted by name and then by namespace, so that ties of order go as Calico's users know them.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QualifiedName {
    name: String,
    namespace: Option<String>,
}

impl QualifiedName {
    /// A name in a namespace.
    pub fn within(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { name: name.into(), namespace: Some(namespace.into()) }
    }

    /// A name of the whole fabric.
    pub fn global(name: impl Into<String>) -> Self {
        Self { name: name.into(), namespace: None }
    }

    /// The name alone.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The namespace, if it has one.
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }
}

impl From<&str> for QualifiedName {
    /// `namespace/name`, or `name`.
    fn from(text: &str) -> Self {
        match text.split_once('/') {
            Some((namespace, name)) => Self::within(namespace, name),
            None => Self::global(text),
        }
    }
}

impl fmt::Display for QualifiedName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(out, "{namespace}/{}", self.name),
            None => out.write_str(&self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read_again() {
        for text in ["db", "shop/db"] {
            assert_eq!(QualifiedName::from(text).to_string(), text);
        }
    }

    #[test]
    fn ties_go_by_name_before_namespace() {
        let mut names = ["b/x", "a/y", "z", "a/x"].map(QualifiedName::from);

        names.sort();

        assert_eq!(names.map(|name| name.to_string()), ["a/x", "b/x", "a/y", "z"]);
    }
}
