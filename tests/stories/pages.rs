//! What the pages for those who come from elsewhere tell people to declare can be declared.

use poplin_lab::{Lab, told};

const PAGES: [(&str, &str); 4] = [
    ("docker-overlay.md", include_str!("../../examples/from/docker-overlay.md")),
    ("macvlan.md", include_str!("../../examples/from/macvlan.md")),
    ("flannel.md", include_str!("../../examples/from/flannel.md")),
    ("calico.md", include_str!("../../examples/from/calico.md")),
];

#[test]
fn every_document_on_the_pages_is_accepted() {
    for (page, text) in PAGES {
        let lab = Lab::new();
        let host = lab.host();
        host.poplin(&["delete", "pool", "default"]); // what an agent without configuration has
        let documents: Vec<String> = text.split("```").skip(1).step_by(2).filter_map(document).collect();
        assert!(documents.len() >= 2, "{page} declares nothing");

        for document in documents {
            let applied = host.try_apply(&document);

            assert!(applied.status.success(), "{page}:\n{document}\n{}", told(&applied));
        }
    }
}

/// A block of YAML, without the indent of the list it stands in.
fn document(block: &str) -> Option<String> {
    const INDENT: &str = "   ";
    let text = block.strip_prefix("yaml\n")?;
    Some(text.lines().map(|line| line.strip_prefix(INDENT).unwrap_or(line).to_owned() + "\n").collect())
}
