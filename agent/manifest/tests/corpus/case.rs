//! The form of a case.
//!
//! ```text
//! #### what it shows, as a sentence
//! documents, as their authors write them; the line after the title is line 1
//! #= what is expected
//! ```
//! Of documents that are accepted, flows are expected: `web -> api, db tcp/80, udp/53: deny`, and `rest: allow` for every flow
//! of the usual ones that was not spoken of. Of documents that are refused, each failure as it is told.

use poplin_manifest::{Document, host_endpoints, read, world};
use poplin_policy::host::HostEndpoint;
use poplin_policy::world::World;
use poplin_proto::Failure;
use poplin_proto::v1::Manifest;

/// Who is there in every case.
pub(crate) const TOPOLOGY: &str = include_str!("topology.yaml");

/// The files whose cases are told by flows.
pub(crate) const MEANINGS: [&str; 7] = ["kubernetes", "cluster", "calico", "tiers", "sets", "mixed", "hosts"];

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
    text_of(file).split("\n#### ").skip(1).map(case).collect()
}

fn text_of(file: &str) -> &'static str {
    match file {
        "kubernetes" => include_str!("kubernetes.yaml"),
        "cluster" => include_str!("cluster.yaml"),
        "calico" => include_str!("calico.yaml"),
        "tiers" => include_str!("tiers.yaml"),
        "sets" => include_str!("sets.yaml"),
        "mixed" => include_str!("mixed.yaml"),
        "hosts" => include_str!("hosts.yaml"),
        "refused" => include_str!("refused.yaml"),
        other => panic!("no file of cases is called {other}"),
    }
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

pub(crate) fn documents(text: &str) -> Result<Vec<Document>, Vec<Failure>> {
    read(&Manifest { name: "case".to_owned(), text: text.to_owned() })
}

/// The host endpoints that the case declares.
pub(crate) fn gates_of(case: &Case) -> Vec<HostEndpoint> {
    host_endpoints(&documents(&case.text).unwrap())
}

/// Who is there, and what the case declares.
pub(crate) fn world_of(case: &Case) -> World {
    let mut all = documents(TOPOLOGY).unwrap();
    let declared = documents(&case.text).unwrap_or_else(|failures| panic!("{}: {failures:#?}", case.title));
    let is_declared_anew = |one: &Document| {
        declared.iter().any(|other| {
            (other.resource.kind(), other.resource.qualified_name())
                == (one.resource.kind(), one.resource.qualified_name())
        })
    };
    all.retain(|one| !is_declared_anew(one));
    all.extend(declared);
    world(&all).unwrap_or_else(|failures| panic!("{}: {failures:#?}", case.title))
}
