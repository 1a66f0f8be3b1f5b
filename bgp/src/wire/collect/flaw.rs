//! What was wrong with an UPDATE that its session survived.

use std::fmt;

/// What became of a broken attribute, RFC 7606 §2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlawKind {
    /// All routes of the message are treated as withdrawn.
    Withdrawn,
    /// The attribute alone is ignored.
    Discarded,
}

/// What was wrong with an UPDATE that its session survived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// What became of it.
    pub kind: FlawKind,
    /// The registered number of the attribute; 0 where there is none to name.
    pub attribute: u8,
    /// What was wrong with it.
    pub what: &'static str,
}

impl Flaw {
    pub(super) fn withdraw(attribute: u8, what: &'static str) -> Self {
        Self { kind: FlawKind::Withdrawn, attribute, what }
    }

    pub(super) fn discard(attribute: u8, what: &'static str) -> Self {
        Self { kind: FlawKind::Discarded, attribute, what }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fate = match self.kind {
            FlawKind::Withdrawn => "its routes are treated as withdrawn",
            FlawKind::Discarded => "the attribute is ignored",
        };
        write!(f, "attribute {}: {}; {fate}", self.attribute, self.what)
    }
}
