//! The form of a case.
//!
//! ```text
//! #### what it shows, as a sentence
//! documents, as their authors write them; the line after the title is line 1
//! #= what is expected
//! ```
//! Of documents that are accepted, flows are expected: `web -> api, db tcp/80, udp/53: deny`, and `rest: allow` for every flow
//! of the usual ones that was not spoken of. Of documents that are refused, each failure as it is told.

use std::path::Path;

pub(crate) struct Case {
    pub(crate) title: String,
    /// The documents.
    pub(crate) text: String,
    /// How many there are.
    pub(crate) documents: usize,
    /// The lines that begin with `#=`, without that sign.
    pub(crate) expectations: Vec<String>,
}

/// The cases of a file, in order.
pub(crate) fn cases(file: &str) -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(format!("{file}.yaml"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.split("\n#### ").skip(1).map(case).collect()
}

fn case(text: &str) -> Case {
    let (title, body) = text.split_once('\n').unwrap_or((text, ""));
    let is_expectation = |line: &&str| line.starts_with("#=");
    let expectations = body.lines().filter(is_expectation).map(|line| line[2..].trim().to_owned()).collect();
    let lines: Vec<&str> = body.lines().filter(|line| !is_expectation(line)).collect();
    let kinds = lines.iter().filter(|line| line.trim_start_matches(['-', ' ', '{']).starts_with("apiVersion:")).count();
    let lists = lines.iter().filter(|line| line.contains("kind: List") || line.contains("PolicyList")).count();
    Case { title: title.to_owned(), text: lines.join("\n") + "\n", documents: kinds - lists, expectations }
}
