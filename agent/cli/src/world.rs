//! Gets the world a question is about: of files, or of the fabric as it stands.
//!
//! In: paths, or the agent's socket. Out: documents, each of which stands once, and what they mean to policy. Files of tests are
//! no part of a world and are passed over.

use std::path::PathBuf;

use poplin_manifest::{Document, test, topology};
use poplin_policy::world::World;
use poplin_proto::Failure;
use poplin_proto::v1::Manifest;

use crate::door::Door;
use crate::problem::{Exit, Problem};
use crate::{agent, files};

/// The kinds a verdict depends on.
const KINDS: [&str; 10] = [
    "Tier",
    "Policy",
    "AddressSet",
    "Namespace",
    "Profile",
    "Network",
    "Endpoint",
    "HostEndpoint",
    "Service",
    "FabricConfig",
];

/// Largest piece that is read at once, in octets. Topologies of a whole fabric are larger than any file people apply.
const PIECE_OCTETS: usize = 256 << 10;

/// What files declare.
pub(crate) fn declared(paths: &[PathBuf]) -> Result<Vec<Document>, Problem> {
    let mut documents = Vec::new();
    let mut failures = Vec::new();
    for manifest in files::read(paths)? {
        match read(&manifest) {
            Ok(read) => documents.extend(read),
            Err(wrong) => failures.extend(wrong),
        }
    }
    if failures.is_empty() { Ok(documents) } else { Err(unusable(failures)) }
}

/// What files declare, with the endpoints of a topology beneath.
pub(crate) fn with_topology(paths: &[PathBuf], topology: Option<&PathBuf>) -> Result<Vec<Document>, Problem> {
    let beneath = declared(topology.map_or(&[][..], std::slice::from_ref))?;
    Ok(overlaid(beneath, declared(paths)?))
}

/// What the fabric has that a verdict depends on; with the endpoints of a topology in place of its own, if there is one.
pub(crate) async fn live(door: &Door, topology: Option<&PathBuf>) -> Result<Vec<Document>, Problem> {
    let mut documents = with_topology(&[], topology)?;
    let mut client = agent::resources(door).await?;
    for kind in KINDS.into_iter().filter(|kind| topology.is_none() || *kind != "Endpoint") {
        documents.extend(agent::all(&mut client, kind, "").await?.into_iter().map(Document::typed));
    }
    Ok(documents)
}

/// What files declare, or, without files, what the fabric has.
pub(crate) async fn asked(
    door: &Door,
    files: &[PathBuf],
    topology: Option<&PathBuf>,
) -> Result<Vec<Document>, Problem> {
    match files {
        [] => live(door, topology).await,
        files => with_topology(files, topology),
    }
}

/// Both, and of what both declare the upper.
pub(crate) fn overlaid(beneath: Vec<Document>, upper: Vec<Document>) -> Vec<Document> {
    let identity = |document: &Document| (document.resource.kind(), document.resource.qualified_name());
    let hidden: std::collections::BTreeSet<_> = upper.iter().map(identity).collect();
    let mut all: Vec<Document> = beneath.into_iter().filter(|document| !hidden.contains(&identity(document))).collect();
    all.extend(upper);
    all
}

/// What documents mean to policy.
pub(crate) fn world(documents: &[Document]) -> Result<World, Problem> {
    poplin_manifest::world(documents).map_err(unusable)
}

/// Files that cannot be read are no answer: 1 would mean that there is one.
pub(crate) fn unusable(failures: Vec<Failure>) -> Problem {
    Problem::from(failures).exiting(Exit::Usage)
}

fn read(manifest: &Manifest) -> Result<Vec<Document>, Vec<Failure>> {
    if is_all(manifest, test::KIND) {
        return Ok(Vec::new());
    }
    if is_all(manifest, topology::KIND) {
        return topology::read(manifest).map_err(|failure| vec![failure]);
    }
    let mut documents = Vec::new();
    for piece in pieces(manifest) {
        documents.extend(poplin_manifest::read(&piece)?);
    }
    Ok(documents)
}

/// Whether every document of a file is of this kind, as far as lines tell.
fn is_all(manifest: &Manifest, kind: &str) -> bool {
    let mut kinds = manifest.text.lines().filter_map(|line| line.strip_prefix("kind:")).peekable();
    kinds.peek().is_some() && kinds.all(|word| word.trim().trim_matches(['"', '\'']) == kind)
}

/// A large file cut between documents; lines are then counted from where each piece begins.
pub(crate) fn pieces(manifest: &Manifest) -> Vec<Manifest> {
    if manifest.text.len() <= PIECE_OCTETS {
        return vec![manifest.clone()];
    }
    let mut pieces: Vec<Manifest> = Vec::new();
    for (number, line) in manifest.text.lines().enumerate() {
        let is_full = pieces.last().is_none_or(|piece| piece.text.len() > PIECE_OCTETS && line.starts_with("---"));
        if is_full {
            let name = match number {
                0 => manifest.name.clone(),
                _ => format!("{} (after line {number})", manifest.name),
            };
            pieces.push(Manifest { name, text: String::new() });
        }
        if let Some(piece) = pieces.last_mut() {
            piece.text.push_str(line);
            piece.text.push('\n');
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(text: String) -> Manifest {
        Manifest { name: "fabric.yaml".to_owned(), text }
    }

    #[test]
    fn a_large_file_is_cut_between_its_documents() {
        let tier = |number: usize| {
            format!(
                "---\napiVersion: poplin.dev/v1\nkind: Tier\nmetadata: {{name: tier-{number}}}\nspec: {{order: {number}}}\n"
            )
        };
        let text: String = (0..8_000).map(tier).collect();

        let documents = read(&manifest(text)).unwrap();

        assert_eq!(documents.len(), 8_000);
        assert_eq!(documents[7_999].resource.name(), "tier-7999");
    }

    #[test]
    fn tests_are_no_part_of_a_world() {
        assert!(read(&manifest("apiVersion: poplin.dev/v1\nkind: PolicyTest\n".to_owned())).unwrap().is_empty());
    }
}
