//! Selectors: which labelled things are meant.
//!
//! In: text such as `app == 'web' && !has(legacy)`. Out: yes or no for any [`Labels`]. Knows nothing of policies.
//! The language is Calico's: `!=` and `not in` hold where the label is absent, every other comparison needs it.

mod cursor;
mod error;
mod expression;
mod parse;

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

pub use self::error::{SelectorError, SelectorProblem};
use self::expression::Expression;
use crate::label::Labels;

/// A condition on labels. Equal selectors have equal canonical text. Clones share it: whatever asks the same carries it around.
#[derive(Clone, Debug)]
pub struct Selector(Arc<Read>);

/// A selector as it was read.
#[derive(Debug, Hash)]
struct Read {
    canonical: String,
    expression: Expression,
}

impl Selector {
    /// Longest selector, in octets; Calico's limit too.
    pub const MAX_OCTETS: usize = 1024;
    /// Deepest nesting of parentheses; no hand-written selector comes near, and no stack overflows on it.
    pub const MAX_DEPTH: usize = 64;
    /// Longest label a selector may name, in octets.
    pub const MAX_LABEL_OCTETS: usize = 512;

    /// Reads a selector; empty text means [`Selector::all`].
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        parse::parse(text).map(Self::from_expression)
    }

    /// The selector that admits everything that carries labels, even none.
    pub fn all() -> Self {
        Self::from_expression(Expression::All)
    }

    /// Whether a thing with these labels is meant.
    pub fn admits(&self, labels: &Labels) -> bool {
        self.0.expression.admits(labels)
    }

    /// Pairs of key and value of which whatever is meant carries at least one; absent where no such pairs are asked for.
    pub fn required(&self) -> Option<Vec<(&str, &str)>> {
        self.0.expression.required()
    }

    /// The keys of all labels it asks about.
    pub fn keys(&self) -> BTreeSet<&str> {
        let mut keys = BTreeSet::new();
        self.0.expression.keys(&mut keys);
        keys
    }

    /// Whether labels that have one of the required pairs are admitted for that alone.
    pub fn is_enough(&self) -> bool {
        self.0.expression.is_enough()
    }

    /// Every label it looks at, with the values it looks for whole, if it does; in the order of the text.
    pub fn mentions(&self) -> Vec<(&str, Vec<&str>)> {
        let mut mentions = Vec::new();
        self.0.expression.mention(&mut mentions);
        mentions
    }

    /// The canonical text, the same as [`fmt::Display`] prints.
    pub fn as_str(&self) -> &str {
        &self.0.canonical
    }

    fn from_expression(expression: Expression) -> Self {
        Self(Arc::new(Read { canonical: expression.to_string(), expression }))
    }
}

impl PartialEq for Selector {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.canonical == other.0.canonical
    }
}

impl Eq for Selector {}

impl PartialOrd for Selector {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Selector {
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) { Ordering::Equal } else { self.0.canonical.cmp(&other.0.canonical) }
    }
}

impl Hash for Selector {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.0.hash(hasher);
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0.canonical)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::try_from_pairs(pairs.iter().copied()).unwrap()
    }

    fn admits(selector: &str, pairs: &[(&str, &str)]) -> bool {
        Selector::parse(selector).unwrap().admits(&labels(pairs))
    }

    fn canonical(selector: &str) -> String {
        Selector::parse(selector).unwrap().to_string()
    }

    fn refusal(selector: &str) -> String {
        Selector::parse(selector).unwrap_err().to_string()
    }

    #[test]
    fn nothing_and_all_admit_everything() {
        assert!(admits("", &[]));
        assert!(admits("  ", &[("a", "x")]));
        assert!(admits("all()", &[]));
        assert!(!admits("!all()", &[]));
    }

    #[test]
    fn comparisons_need_the_label_except_the_negative_ones() {
        assert!(admits("a == 'x'", &[("a", "x")]));
        assert!(!admits("a == ''", &[]));
        assert!(admits("a != 'x'", &[]));
        assert!(!admits("a != \"x\"", &[("a", "x")]));
        assert!(admits("a in {'x', \"y\",}", &[("a", "y")]));
        assert!(!admits("a in {}", &[("a", "y")]));
        assert!(admits("a not in {'x'}", &[]));
        assert!(!admits("a not in {'x'}", &[("a", "x")]));
        assert!(!admits("a contains ''", &[]));
    }

    #[test]
    fn words_look_into_the_value() {
        let app = &[("app", "shop-web-1")];

        assert!(admits("app contains 'web'", app));
        assert!(admits("app starts with 'shop'", app));
        assert!(admits("app   ends\twith '-1'", app));
        assert!(!admits("app starts with 'web'", app));
    }

    #[test]
    fn and_binds_tighter_than_or_and_not_tightest() {
        assert!(admits("has(a) || has(b) && has(c)", &[("a", "")]));
        assert!(!admits("(has(a) || has(b)) && has(c)", &[("a", "")]));
        assert!(admits("!has(a) && has(b)", &[("b", "")]));
        assert!(admits("!!has(b)", &[("b", "")]));
    }

    #[test]
    fn labels_may_be_called_like_operators() {
        assert!(admits("in in {'x'}", &[("in", "x")]));
        assert!(admits("has == 'x'", &[("has", "x")]));
        assert!(admits("not not in {'x'}", &[]));
        assert!(admits("all != 'x' && has(all)", &[("all", "y")]));
    }

    #[test]
    fn the_canonical_form_is_one_for_all_spellings() {
        assert_eq!(canonical(""), "all()");
        assert_eq!(canonical("a==\"x\"&&(b=='y'&&c=='z')"), "a == 'x' && b == 'y' && c == 'z'");
        assert_eq!(canonical("a in {'y','x','y'}"), "a in {'x', 'y'}");
        assert_eq!(canonical("!(a == 'x') || !!!has( b )"), "!(a == 'x') || !has(b)");
        assert_eq!(
            canonical("(has(a)||has(b)) && c starts  with \"it's\""),
            "(has(a) || has(b)) && c starts with \"it's\""
        );
    }

    #[test]
    fn an_error_names_the_column_what_stands_there_and_what_could() {
        assert_eq!(
            refusal("app = 'web'"),
            "column 5: found `=`, expected ==, !=, in, not in, contains, starts with or ends with"
        );
        assert_eq!(refusal("app == web"), "column 8: found `web`, expected a value in quotes");
        assert_eq!(refusal("app == 'web"), "column 8: the value has no closing '");
        assert_eq!(refusal("has(a) has(b)"), "column 8: found `has`, expected &&, || or the end");
        assert_eq!(refusal("(has(a)"), "column 8: found the end, expected &&, || or )");
        assert_eq!(refusal("has(a) &&"), "column 10: found the end, expected a label, has(), all(), ! or (");
        assert_eq!(
            refusal("has (a)"),
            "column 5: found `(`, expected ==, !=, in, not in, contains, starts with or ends with"
        );
        assert_eq!(refusal("ä == 'x' & b"), "column 1: found `ä`, expected a label, has(), all(), ! or (");
        assert_eq!(refusal("a in {'x' 'y'}"), "column 11: found `'`, expected , or }");
        assert_eq!(
            refusal("a notin {'x'}"),
            "column 3: found `notin`, expected ==, !=, in, not in, contains, starts with or ends with"
        );
        assert_eq!(refusal("global()"), "column 1: global() may only stand alone, as a rule's choice of namespaces");
    }

    #[test]
    fn depth_and_length_are_bounded() {
        let nested = |depth: usize| format!("{}has(a){}", "(".repeat(depth), ")".repeat(depth));

        assert!(Selector::parse(&nested(64)).is_ok());
        assert_eq!(refusal(&nested(65)), "column 65: parentheses nest deeper than 64");
        assert!(admits(&format!("{}has(a)", "!".repeat(1000)), &[("a", "x")]));
        assert_eq!(refusal(&" ".repeat(1025)), "column 1025: the selector has 1025 octets, above 1024");
        assert_eq!(refusal(&format!("has({})", "l".repeat(513))), "column 5: the label has 513 octets, above 512");
    }
}
