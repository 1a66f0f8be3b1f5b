//! The first line of an export: of what; and the last: how many documents stand before it, and a hash of them. A file without it was cut short.

use std::hash::Hasher as _;

use siphasher::sip::SipHasher13;

/// What the line begins with. It is a comment to whatever else reads the file.
const BEGIN: &str = "# end of export: ";

/// What the first line begins with.
const HEAD: &str = "# the fabric at revision ";

/// Between revision and schema.
const OF_SCHEMA: &str = ", of schema ";

/// The first line. A store that does not say of which schema it is has 0.
pub(crate) fn head(revision: i64, schema: u32) -> String {
    match schema {
        0 => format!("{HEAD}{revision}\n"),
        schema => format!("{HEAD}{revision}{OF_SCHEMA}{schema}\n"),
    }
}

/// Of which schema the fabric was, as the first line has it; 0 = it does not say.
pub(crate) fn schema_of(text: &str) -> u32 {
    let line = text.lines().next().and_then(|line| line.strip_prefix(HEAD));
    line.and_then(|line| line.split_once(OF_SCHEMA)?.1.trim().parse().ok()).unwrap_or(0)
}

/// What was written so far.
#[derive(Default)]
pub(crate) struct Tally {
    hasher: SipHasher13,
    documents: usize,
}

impl Tally {
    /// Another piece.
    pub(crate) fn add(&mut self, text: &str, is_document: bool) {
        self.hasher.write(text.as_bytes());
        self.documents += usize::from(is_document);
    }

    /// The last line.
    pub(crate) fn line(&self) -> String {
        format!("{BEGIN}{} documents, {:016x}\n", self.documents, self.hasher.finish())
    }
}

/// What stands before the last line, if that is there and tells of just this.
pub(crate) fn whole(text: &str) -> Result<&str, String> {
    let end = text.trim_end_matches('\n').rfind(BEGIN).filter(|at| *at == 0 || text[..*at].ends_with('\n'));
    let Some(end) = end else {
        return Err("its last line is missing, so it was cut short, or is no export".to_owned());
    };
    let (before, line) = text.split_at(end);
    let mut tally = Tally::default();
    tally.add(before, false);
    tally.documents = before.lines().filter(|line| *line == "---").count();
    let wanted = tally.line();
    match line.trim_end() == wanted.trim_end() {
        true => Ok(before),
        false => Err(format!(
            "it was changed or cut short: its last line says {:?}, and would be {:?}",
            line.trim_end(),
            wanted.trim_end()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_says_of_which_schema_the_fabric_was_if_the_store_did() {
        assert_eq!(head(7, 2), "# the fabric at revision 7, of schema 2\n");
        assert_eq!([head(7, 2), head(7, 0), "---\na: 1\n".to_owned()].map(|text| schema_of(&text)), [2, 0, 0]);
    }

    fn export() -> String {
        let mut tally = Tally::default();
        tally.add("# head\n", false);
        tally.add("---\na: 1\n", true);
        tally.add("---\nb: 2\n", true);
        format!("# head\n---\na: 1\n---\nb: 2\n{}", tally.line())
    }

    #[test]
    fn what_is_whole_is_known_by_its_last_line() {
        assert!(export().contains("# end of export: 2 documents, "));
        assert_eq!(whole(&export()), Ok("# head\n---\na: 1\n---\nb: 2\n"));
    }

    #[test]
    fn what_was_cut_or_changed_anywhere_is_not() {
        let whole_one = export();
        for length in 0..whole_one.len() - 1 {
            assert!(whole(&whole_one[..length]).is_err(), "{length} octets");
        }
        assert!(whole(&whole_one.replace("b: 2", "b: 3")).is_err());
    }
}
