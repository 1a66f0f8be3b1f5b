//! Finds the word somebody probably meant.

/// The candidate closest to a word, if it is close enough to be meant: at most two edits away, and not all of it. Upper and
/// lower case are one.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    let edits = |known: &'a str| (edits_between(&word, &known.to_ascii_lowercase()), known);
    let is_meant = |(distance, known): &(usize, &str)| *distance <= 2 && *distance < known.len();
    candidates.into_iter().map(edits).filter(is_meant).min().map(|(_, best)| best)
}

/// Levenshtein's distance, one row at a time.
fn edits_between(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, left_octet) in left.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, right_octet) in right.bytes().enumerate() {
            let replaced = diagonal + usize::from(left_octet != right_octet);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_its_word_and_a_foreign_one_nothing() {
        assert_eq!(nearest("wbe", ["db", "web"]), Some("web"));
        assert_eq!(nearest("Web", ["api", "web"]), Some("web"));
        assert_eq!(nearest("cache", ["api", "web"]), None);
        assert_eq!(nearest("x", ["y"]), None);
    }
}
