//! The walls of the house: pure crates stay pure, and arrows point one way.
//!
//! Asks cargo itself, so that a dependency of a dependency counts too. The list of arrows is that of the README.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Who may know whom. What is not here is forbidden.
const ARROWS: [(&str, &[&str]); 10] = [
    ("poplin-policy", &[]),
    ("poplin-bgp", &[]),
    ("poplin-proto", &[]),
    ("poplin-sandbox", &[]),
    ("poplin-node", &["poplin-policy", "poplin-bgp"]),
    ("poplin-manifest", &["poplin-policy", "poplin-proto"]),
    ("poplin-agent", &["poplin-node", "poplin-manifest", "poplin-policy", "poplin-bgp", "poplin-proto"]),
    ("poplin-cni", &["poplin-proto", "poplin-sandbox"]),
    ("poplin-speaker", &["poplin-bgp"]),
    ("poplin", &["poplin-manifest", "poplin-policy", "poplin-proto", "poplin-sandbox"]),
];

/// Nothing of these may be reached from a pure crate: they bring IO, clocks or chance.
const IMPURE: [&str; 8] = ["tokio", "mio", "socket2", "rustix", "libc", "rand", "getrandom", "async-trait"];

fn metadata() -> Value {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--offline",
            "--filter-platform",
            "x86_64-unknown-linux-gnu",
            "--manifest-path",
            manifest,
        ])
        .output()
        .expect("cargo runs");
    serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("cargo writes a text here")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("cargo writes a list here")
}

/// Every package and what it needs to run, by name. Development dependencies do not count.
fn dependencies(metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let packages = list(&metadata["packages"]);
    let name_of: BTreeMap<&str, &str> =
        packages.iter().map(|package| (text(&package["id"]), text(&package["name"]))).collect();
    let nodes = list(&metadata["resolve"]["nodes"]);
    let is_needed = |dependency: &&Value| list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"].is_null());
    nodes
        .iter()
        .map(|node| {
            let needed = list(&node["deps"]).iter().filter(is_needed);
            let names = needed.map(|dependency| name_of[text(&dependency["pkg"])].to_owned()).collect();
            (name_of[text(&node["id"])].to_owned(), names)
        })
        .collect()
}

fn reached(from: &str, dependencies: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut next = vec![from.to_owned()];
    while let Some(name) = next.pop() {
        for dependency in dependencies.get(&name).into_iter().flatten() {
            if reached.insert(dependency.clone()) {
                next.push(dependency.clone());
            }
        }
    }
    reached
}

#[test]
fn arrows_point_only_where_the_design_says() {
    let dependencies = dependencies(&metadata());

    for (name, allowed) in ARROWS {
        let ours = dependencies[name].iter().filter(|other| *other == "poplin" || other.starts_with("poplin-"));
        let wrong: Vec<&String> = ours.filter(|other| !allowed.contains(&other.as_str())).collect();
        assert!(wrong.is_empty(), "{name} must not know {wrong:?}");
    }
}

#[test]
fn pure_crates_reach_no_io_no_clock_and_no_chance() {
    let dependencies = dependencies(&metadata());

    for name in ["poplin-policy", "poplin-bgp", "poplin-node"] {
        let reached = reached(name, &dependencies);
        let impure: Vec<&&str> = IMPURE.iter().filter(|impure| reached.contains(**impure)).collect();
        assert!(impure.is_empty(), "{name} reaches {impure:?}");
    }
}

#[test]
fn pure_crates_name_no_clock_and_no_world() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let forbidden = "Instant::now|SystemTime|std::fs|std::net::Tcp|std::net::Udp|std::thread|std::process|std::env";
    for source in ["policy/src", "bgp/src", "agent/node/src", "agent/manifest/src"] {
        let found =
            Command::new("grep").args(["-rnE", forbidden, &format!("{root}/{source}")]).output().expect("grep runs");
        let text = String::from_utf8_lossy(&found.stdout);
        let lines: Vec<&str> = text.lines().filter(|line| !line.contains("//")).collect();
        assert!(lines.is_empty(), "{source} is pure, but: {lines:#?}");
    }
}

#[test]
fn what_the_page_on_trust_says_that_a_test_shows_is_a_test() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let page = std::fs::read_to_string(format!("{root}/SECURITY.md")).expect("the page is there");
    let named = page.split('`').skip(1).step_by(2).filter(|word| word.contains('_') && !word.contains([' ', '.', '$']));
    let tests: BTreeSet<&str> = named.filter(|word| word.matches('_').count() > 2).collect();
    assert!(tests.len() > 30, "the page names few tests: {tests:?}");

    for name in tests {
        let places = ["tests", "agent", "bgp", "policy"].map(|place| format!("{root}/{place}"));
        let found = Command::new("grep").args(["-rqF", "--include=*.rs", &format!("fn {name}(")]).args(places).status();
        assert!(found.expect("grep runs").success(), "SECURITY.md names {name}, which is no test");
    }
}
