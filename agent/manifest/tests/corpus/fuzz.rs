//! No text makes the reader panic.

use poplin_manifest::{read, world};
use poplin_proto::v1::Manifest;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::case::{MEANINGS, cases};
use crate::refusals;

/// All documents of the corpus, and those it refuses.
fn corpus() -> Vec<String> {
    MEANINGS.into_iter().chain(["refused"]).flat_map(cases).map(|case| case.text).collect()
}

/// What a slip of a hand, an editor or a template does to a text.
#[derive(Clone, Debug)]
enum Slip {
    Remove(Index, usize),
    Insert(Index, String),
    Repeat(Index, usize),
    Swap(Index, Index),
}

fn slip() -> impl Strategy<Value = Slip> {
    let words = vec![
        "null",
        "~",
        "[]",
        "{}",
        "- ",
        ":",
        ": ",
        "\n",
        "---\n",
        "'",
        "\"",
        "&a ",
        "*a",
        "<<: ",
        "true",
        "-1",
        "1e9",
        "0x1F",
        "99999999999999999999",
        "::/0",
        "0.0.0.0/0",
        "80:",
        ":80",
        "a:b",
        "80-90",
        "all()",
        "global()",
        "!",
        "|",
        ">",
        "%",
        "\t",
        "\u{feff}",
        "ü",
        "\u{0}",
        "kind: List\n",
        "items:\n",
        "spec:\n",
        "metadata:\n",
        "!!binary ",
        "? ",
        "#",
    ];
    prop_oneof![
        (any::<Index>(), 1..40usize).prop_map(|(at, length)| Slip::Remove(at, length)),
        (any::<Index>(), select(words)).prop_map(|(at, word)| Slip::Insert(at, word.to_owned())),
        (any::<Index>(), any::<char>()).prop_map(|(at, sign)| Slip::Insert(at, sign.to_string())),
        (any::<Index>(), 1..6usize).prop_map(|(at, lines)| Slip::Repeat(at, lines)),
        (any::<Index>(), any::<Index>()).prop_map(|(one, other)| Slip::Swap(one, other)),
    ]
}

impl Slip {
    fn on(&self, text: &str) -> String {
        let signs: Vec<char> = text.chars().collect();
        let mut lines: Vec<&str> = text.lines().collect();
        if signs.is_empty() || lines.is_empty() {
            return text.to_owned();
        }
        match self {
            Slip::Remove(at, length) => {
                let at = at.index(signs.len());
                signs[..at].iter().chain(signs.iter().skip(at + length)).collect()
            }
            Slip::Insert(at, word) => {
                let (before, after) = signs.split_at(at.index(signs.len()));
                before.iter().copied().chain(word.chars()).chain(after.iter().copied()).collect()
            }
            Slip::Repeat(at, count) => {
                let at = at.index(lines.len());
                let repeated: Vec<&str> = lines.iter().skip(at).take(*count).copied().collect();
                lines.splice(at..at, repeated);
                lines.join("\n")
            }
            Slip::Swap(one, other) => {
                let (one, other) = (one.index(lines.len()), other.index(lines.len()));
                lines.swap(one, other);
                lines.join("\n")
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn no_slip_makes_the_reader_panic(text in select(corpus()), slips in prop::collection::vec(slip(), 1..6)) {
        let text = slips.iter().fold(text, |text, slip| slip.on(&text));

        refusals(&text);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,200}") {
        let manifest = Manifest { name: "random".to_owned(), text };

        if let Ok(documents) = read(&manifest) {
            let _ = world(&documents);
        }
    }
}
