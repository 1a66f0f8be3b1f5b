//! Reads a selector.
//!
//! ```text
//! selector = [ or ]                                  or  = and { "||" and }        and = term { "&&" term }
//! term     = { "!" } ( call | compare | "(" or ")" ) call = "has(" label ")" | "all(" ")"
//! compare  = label ( "==" | "!=" | "contains" | "starts with" | "ends with" ) value
//!          | label ( "in" | "not in" ) "{" [ value { "," value } [ "," ] ] "}"
//! ```
//! A function's name and its parenthesis stand together; after a label only an operator may follow, so that labels
//! may be called `in` or `has`.

use std::collections::BTreeSet;

use super::cursor::Cursor;
use super::expression::Expression;
use super::{Selector, SelectorError, SelectorProblem};

const TERM: &str = "a label, has(), all(), ! or (";
const OPERATOR: &str = "==, !=, in, not in, contains, starts with or ends with";

pub(super) fn parse(text: &str) -> Result<Expression, SelectorError> {
    if text.len() > Selector::MAX_OCTETS {
        let problem = SelectorProblem::TooLong { octets: text.len() };
        return Err(SelectorError { column: Selector::MAX_OCTETS + 1, problem });
    }
    let mut cursor = Cursor::new(text);
    if cursor.is_at_end() {
        return Ok(Expression::All);
    }
    let expression = or(&mut cursor, 0)?;
    if cursor.is_at_end() { Ok(expression) } else { Err(cursor.unexpected("&&, || or the end")) }
}

fn or(cursor: &mut Cursor<'_>, depth: usize) -> Result<Expression, SelectorError> {
    let mut parts = vec![and(cursor, depth)?];
    while cursor.take("||") {
        parts.push(and(cursor, depth)?);
    }
    Ok(Expression::or(parts))
}

fn and(cursor: &mut Cursor<'_>, depth: usize) -> Result<Expression, SelectorError> {
    let mut parts = vec![term(cursor, depth)?];
    while cursor.take("&&") {
        parts.push(term(cursor, depth)?);
    }
    Ok(Expression::and(parts))
}

/// Signs of negation are counted, not nested: a thousand of them cost no stack.
fn term(cursor: &mut Cursor<'_>, depth: usize) -> Result<Expression, SelectorError> {
    let mut is_negated = false;
    while cursor.take("!") {
        is_negated = !is_negated;
    }
    let positive = positive_term(cursor, depth)?;
    Ok(if is_negated { positive.negated() } else { positive })
}

fn positive_term(cursor: &mut Cursor<'_>, depth: usize) -> Result<Expression, SelectorError> {
    let is_deep = depth == Selector::MAX_DEPTH;
    if is_deep && cursor.stands("(") {
        return Err(cursor.error(SelectorProblem::TooDeep));
    }
    if cursor.stands("global(") {
        return Err(cursor.error(SelectorProblem::Global));
    }
    if cursor.take("(") {
        let inner = or(cursor, depth + 1)?;
        return close(cursor, "&&, || or )").map(|()| inner);
    }
    if cursor.take("has(") {
        let label = label(cursor, "a label")?;
        return close(cursor, ")").map(|()| Expression::Has(label));
    }
    if cursor.take("all(") {
        return close(cursor, ")").map(|()| Expression::All);
    }
    compare(cursor)
}

fn compare(cursor: &mut Cursor<'_>) -> Result<Expression, SelectorError> {
    let label = label(cursor, TERM)?;
    if cursor.take("==") {
        return Ok(Expression::Equals(label, cursor.value()?.to_owned()));
    }
    if cursor.take("!=") {
        return Ok(Expression::Differs(label, cursor.value()?.to_owned()));
    }
    if cursor.take_words(&["in"]) {
        return Ok(Expression::In(label, values(cursor)?));
    }
    if cursor.take_words(&["not", "in"]) {
        return Ok(Expression::NotIn(label, values(cursor)?));
    }
    if cursor.take_words(&["contains"]) {
        return Ok(Expression::Contains(label, cursor.value()?.to_owned()));
    }
    if cursor.take_words(&["starts", "with"]) {
        return Ok(Expression::StartsWith(label, cursor.value()?.to_owned()));
    }
    if cursor.take_words(&["ends", "with"]) {
        return Ok(Expression::EndsWith(label, cursor.value()?.to_owned()));
    }
    Err(cursor.unexpected(OPERATOR))
}

fn values(cursor: &mut Cursor<'_>) -> Result<BTreeSet<String>, SelectorError> {
    let mut values = BTreeSet::new();
    if !cursor.take("{") {
        return Err(cursor.unexpected("{"));
    }
    while !cursor.take("}") {
        values.insert(cursor.value()?.to_owned());
        if !cursor.take(",") && !cursor.stands("}") {
            return Err(cursor.unexpected(", or }"));
        }
    }
    Ok(values)
}

fn label(cursor: &mut Cursor<'_>, expected: &'static str) -> Result<String, SelectorError> {
    match cursor.label()? {
        "" => Err(cursor.unexpected(expected)),
        label => Ok(label.to_owned()),
    }
}

fn close(cursor: &mut Cursor<'_>, expected: &'static str) -> Result<(), SelectorError> {
    if cursor.take(")") { Ok(()) } else { Err(cursor.unexpected(expected)) }
}
