//! A place in a selector's text, and what can be taken from there.

use super::{Selector, SelectorError, SelectorProblem};
use crate::label::is_label_character;

/// A text and how far it is read.
pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub(super) fn is_at_end(&mut self) -> bool {
        self.skip_space();
        self.rest().is_empty()
    }

    /// Whether a sign, or a function's name with its parenthesis, stands next.
    pub(super) fn stands(&mut self, sign: &str) -> bool {
        self.skip_space();
        self.rest().starts_with(sign)
    }

    /// Takes a sign, or a function's name with its parenthesis, if it stands next.
    pub(super) fn take(&mut self, sign: &str) -> bool {
        let stands = self.stands(sign);
        if stands {
            self.at += sign.len();
        }
        stands
    }

    /// Takes words with space between them, if they stand next and end where the last one does.
    pub(super) fn take_words(&mut self, words: &[&str]) -> bool {
        let start = self.at;
        let all_stand = words.iter().all(|word| {
            self.skip_space();
            self.word() == *word && self.take(word)
        });
        if !all_stand {
            self.at = start;
        }
        all_stand
    }

    /// Takes a label, which may be empty if none stands next.
    pub(super) fn label(&mut self) -> Result<&'a str, SelectorError> {
        self.skip_space();
        let label = self.word();
        if label.len() > Selector::MAX_LABEL_OCTETS {
            return Err(self.error(SelectorProblem::LabelTooLong { octets: label.len() }));
        }
        self.at += label.len();
        Ok(label)
    }

    /// Takes a quoted value, without its quotes.
    pub(super) fn value(&mut self) -> Result<&'a str, SelectorError> {
        self.skip_space();
        let quote = match self.rest().chars().next() {
            Some(quote @ ('\'' | '"')) => quote,
            _ => return Err(self.unexpected("a value in quotes")),
        };
        let inside = &self.rest()[1..];
        let Some(length) = inside.find(quote) else {
            return Err(self.error(SelectorProblem::UnclosedValue { quote }));
        };
        self.at += length + 2;
        Ok(&inside[..length])
    }

    /// The error that something else should stand next.
    pub(super) fn unexpected(&mut self, expected: &'static str) -> SelectorError {
        self.skip_space();
        let found = match (self.word(), self.rest().chars().next()) {
            (_, None) => "the end".to_owned(),
            ("", Some(sign)) => format!("`{sign}`"),
            (word, Some(_)) => format!("`{word}`"),
        };
        self.error(SelectorProblem::Unexpected { found, expected })
    }

    /// An error at this very place.
    pub(super) fn error(&self, problem: SelectorProblem) -> SelectorError {
        SelectorError { column: self.text[..self.at].chars().count() + 1, problem }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn word(&self) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|character| !is_label_character(character)).unwrap_or(rest.len());
        &rest[..end]
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t']).len();
    }
}
