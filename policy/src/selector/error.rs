//! Why a text is not a selector, and where.

use thiserror::Error;

use super::Selector;

/// The first place at which a text stops being a selector.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("column {column}: {problem}")]
pub struct SelectorError {
    /// Counted from 1, in characters.
    pub column: usize,
    /// What is wrong there.
    pub problem: SelectorProblem,
}

/// What is wrong at one place of a selector.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SelectorProblem {
    /// Something else should stand there.
    #[error("found {found}, expected {expected}")]
    Unexpected {
        /// The word or sign that stands there, in backticks, or `the end`.
        found: String,
        /// What could stand there.
        expected: &'static str,
    },
    /// A quoted value runs to the end.
    #[error("the value has no closing {quote}")]
    UnclosedValue {
        /// The quote it was opened with.
        quote: char,
    },
    /// Parentheses beyond [`Selector::MAX_DEPTH`].
    #[error("parentheses nest deeper than {}", Selector::MAX_DEPTH)]
    TooDeep,
    /// Text beyond [`Selector::MAX_OCTETS`].
    #[error("the selector has {octets} octets, above {}", Selector::MAX_OCTETS)]
    TooLong {
        /// How long it is.
        octets: usize,
    },
    /// A label beyond [`Selector::MAX_LABEL_OCTETS`].
    #[error("the label has {octets} octets, above {}", Selector::MAX_LABEL_OCTETS)]
    LabelTooLong {
        /// How long it is.
        octets: usize,
    },
    /// Calico's `global()`, which needs namespaces.
    #[error("global() may only stand alone, as a rule's choice of namespaces")]
    Global,
}
