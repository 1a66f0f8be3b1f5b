//! Shows that every `poplin` command on the pages for those who come from elsewhere is one.

use clap::CommandFactory as _;

use crate::CommandLine;

const PAGES: [(&str, &str); 5] = [
    ("README.md", include_str!("../../../README.md")),
    ("docker-overlay.md", include_str!("../../../examples/from/docker-overlay.md")),
    ("macvlan.md", include_str!("../../../examples/from/macvlan.md")),
    ("flannel.md", include_str!("../../../examples/from/flannel.md")),
    ("calico.md", include_str!("../../../examples/from/calico.md")),
];

#[test]
fn every_command_on_the_pages_is_understood() {
    // Built once: it checks itself whenever it is.
    let mut grammar = CommandLine::command();
    grammar.build();
    let mut count = 0;
    for (page, text) in PAGES {
        for command in commands(text) {
            let understood = grammar.clone().try_get_matches_from(words(command));

            assert!(understood.is_ok(), "{page}: {command}\n{}", understood.unwrap_err());
            count += 1;
        }
    }
    assert!(count > 40, "only {count} commands were found");
}

/// What begins with `poplin` in blocks without a language: whole lines, and parts of them behind `&&`, `;` and `|`.
fn commands(page: &str) -> impl Iterator<Item = &str> {
    let blocks = page.split("```").skip(1).step_by(2).filter(|block| block.starts_with('\n'));
    let lines = blocks.flat_map(str::lines).map(|line| line.trim().trim_start_matches("$ ")).map(uncommented);
    let parts = lines.flat_map(|line| line.split(['&', ';', '|', '>'])).map(str::trim);
    let named = parts.map(|part| part.trim_start_matches("./target/release/"));
    named.filter(|part| part.starts_with("poplin ") && !part.contains('…'))
}

fn uncommented(line: &str) -> &str {
    line.split_once(" #").map_or(line, |(command, _)| command)
}

/// As a shell splits them: quotes hold words together.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for letter in command.chars() {
        match (letter, quote) {
            (letter, Some(open)) if letter == open => quote = None,
            ('\'' | '"', None) => quote = Some(letter),
            (' ', None) => words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty())),
            (letter, _) => word.push(letter),
        }
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    words
}
