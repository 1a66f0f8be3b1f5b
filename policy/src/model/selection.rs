//! Which things are meant: by their labels, and by where they live.

use std::fmt;

use crate::selector::Selector;

/// Things whose labels a selector admits, within a scope.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Selection {
    /// What their labels must be.
    pub labels: Selector,
    /// Where they must live.
    pub scope: Scope,
}

/// Where things live.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Anywhere, in a namespace or in none.
    #[default]
    Anywhere,
    /// In this namespace.
    Namespace(String),
    /// In a namespace whose labels the selector admits; never what lives in none.
    Namespaces(Selector),
    /// In no namespace.
    Global,
}

impl Selection {
    /// By labels alone.
    pub fn anywhere(labels: Selector) -> Self {
        Self { labels, scope: Scope::Anywhere }
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.scope {
            Scope::Anywhere => write!(out, "{}", self.labels),
            Scope::Namespace(namespace) => write!(out, "{} in namespace {namespace}", self.labels),
            Scope::Namespaces(selector) => write!(out, "{} in namespaces {selector}", self.labels),
            Scope::Global => write!(out, "{} in no namespace", self.labels),
        }
    }
}
