//! Shows the whole matrix of calls of the specification (sections 2 and 4): which verb needs what, in which version there is which, and what is
//! distrusted. No agent is there: a call that is well formed ends with "try again later", which is how it is told from one that is not.

#![allow(clippy::unwrap_used, reason = "a helper of a test that cannot go on ends the test")]

mod plugin;

use plugin::{NOWHERE, conf, del, plugin};
use serde_json::{Value, json};

const VERSIONS: [&str; 5] = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];
const TRY_LATER: u64 = 11;
const NOT_AVAILABLE: u64 = 50;

/// Verb, what it needs, the version that brought it, and how a well formed call ends without an agent.
const VERBS: [(&str, &[&str], &str, u64); 5] = [
    ("ADD", &["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"], "0.3.0", TRY_LATER),
    ("DEL", &["CNI_CONTAINERID", "CNI_IFNAME"], "0.3.0", TRY_LATER),
    ("CHECK", &["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"], "0.4.0", TRY_LATER),
    ("STATUS", &[], "1.1.0", NOT_AVAILABLE),
    ("GC", &[], "1.1.0", TRY_LATER),
];

/// A value each variable may have. The namespace is one that is no host's own.
fn value(variable: &str, netns: &str) -> String {
    match variable {
        "CNI_CONTAINERID" => "c1".to_owned(),
        "CNI_NETNS" => netns.to_owned(),
        _ => "eth0".to_owned(),
    }
}

fn variables<'a>(verb: &'a str, needs: &[&'a str], netns: &str) -> Vec<(&'a str, String)> {
    let needed = needs.iter().map(|variable| (*variable, value(variable, netns)));
    [("CNI_COMMAND", verb.to_owned())].into_iter().chain(needed).collect()
}

fn ask(variables: &[(&str, String)], input: &str) -> Value {
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    plugin(&variables, input).1
}

/// What every verb finds in its configuration.
fn full(version: &str) -> String {
    let mut conf: Value = serde_json::from_str(&conf(version, NOWHERE)).unwrap();
    conf["prevResult"] = json!({"cniVersion": version, "interfaces": [], "ips": []});
    conf["cni.dev/valid-attachments"] = json!([]);
    conf.to_string()
}

#[test]
fn every_verb_is_there_from_its_version_on_and_not_before() {
    let Some(netns) = Netns::new() else { return };
    for (verb, needs, since, ends) in VERBS {
        for version in VERSIONS {
            let answer = ask(&variables(verb, needs, &netns.path()), &full(version));

            let expected = if version >= since { ends } else { 1 };
            assert_eq!(answer["code"], expected, "{verb} {version}: {answer}");
            assert_eq!(answer["cniVersion"], version, "{verb}: an error is written in the version that was asked for");
        }
    }
}

#[test]
fn every_variable_a_verb_needs_is_missed_by_name() {
    for (verb, needs, ..) in VERBS {
        for missing in needs {
            let rest: Vec<_> = needs.iter().copied().filter(|variable| variable != missing).collect();

            let answer = ask(&variables(verb, &rest, "/run/netns/c1"), &full("1.1.0"));

            assert_eq!(
                (&answer["code"], &answer["msg"]),
                (&json!(4), &json!(format!("{missing} is not set"))),
                "{verb}"
            );
        }
    }
}

#[test]
fn an_empty_variable_is_a_missing_one() {
    for (verb, needs, ..) in VERBS.into_iter().filter(|(_, needs, ..)| !needs.is_empty()) {
        let empty = variables(verb, needs, "").into_iter().map(|(name, value)| match name {
            "CNI_COMMAND" => (name, value),
            _ => (name, String::new()),
        });

        assert_eq!(ask(&empty.collect::<Vec<_>>(), &full("1.1.0"))["code"], 4, "{verb}");
    }
}

#[test]
fn every_verb_refuses_versions_it_does_not_know_and_configurations_it_cannot_read() {
    let Some(netns) = Netns::new() else { return };
    for (verb, needs, ..) in VERBS {
        let variables = variables(verb, needs, &netns.path());
        let code = |input: &str| ask(&variables, input)["code"].clone();

        assert_eq!(code(&full("0.2.0")), 1, "{verb}");
        assert_eq!(code(&full("2.0.0")), 1, "{verb}");
        assert_eq!(code(""), 6, "{verb}");
        assert_eq!(code(r#"{"cniVersion": 1}"#), 6, "{verb}");
        assert_eq!(code(r#"{"cniVersion": "1.1.0", "name": "../n"}"#), 7, "{verb}");
    }
}

#[test]
fn ids_and_names_that_lead_elsewhere_are_refused_by_every_verb_that_takes_them() {
    for (verb, needs, ..) in VERBS.into_iter().filter(|(_, needs, ..)| !needs.is_empty()) {
        let with = |name: &str, value: &str| {
            let all = variables(verb, needs, "/run/netns/c1").into_iter();
            let all: Vec<_> =
                all.map(|(known, old)| (known, if known == name { value.to_owned() } else { old })).collect();
            ask(&all, &full("1.1.0"))["code"].clone()
        };

        for id in ["../../etc", "a/b", ".hidden", "-flag", "a b", "ä", "a\nb"] {
            assert_eq!(with("CNI_CONTAINERID", id), 4, "{verb} {id:?}");
        }
        for name in ["..", "a/b", "a b", "a:b", "sixteen-octets-x"] {
            assert_eq!(with("CNI_IFNAME", name), 4, "{verb} {name:?}");
        }
    }
}

#[test]
fn paths_that_are_no_namespace_are_refused_before_anybody_is_asked() {
    for (verb, needs, ..) in VERBS.into_iter().filter(|(_, needs, ..)| needs.contains(&"CNI_NETNS")) {
        for path in
            ["/run/netns/../../etc/passwd", "/proc/self/ns/uts", "/proc/self/ns/net", "/dev/zero", "/", "relative"]
        {
            let answer = ask(&variables(verb, needs, path), &full("1.1.0"));

            assert_eq!(answer["code"], 4, "{verb} {path}: {answer}");
        }
    }
}

#[test]
fn check_needs_a_former_result_and_gc_a_list() {
    let Some(netns) = Netns::new() else { return };
    for (verb, needs, ..) in VERBS.into_iter().filter(|(verb, ..)| ["CHECK", "GC"].contains(verb)) {
        assert_eq!(ask(&variables(verb, needs, &netns.path()), &conf("1.1.0", NOWHERE))["code"], 7, "{verb}");
    }
}

#[test]
fn a_former_result_that_is_none_is_refused_by_whoever_reads_it() {
    let Some(netns) = Netns::new() else { return };
    let formers = [json!("words"), json!([]), json!({"interfaces": 7}), json!({"ips": {}}), json!({"dns": "words"})];
    for (verb, needs, ..) in VERBS.into_iter().filter(|(verb, ..)| ["ADD", "CHECK"].contains(verb)) {
        for former in &formers {
            let mut conf: Value = serde_json::from_str(&conf("1.1.0", NOWHERE)).unwrap();
            conf["prevResult"] = former.clone();

            let answer = ask(&variables(verb, needs, &netns.path()), &conf.to_string());

            assert_eq!(answer["code"], 7, "{verb} {conf}: {answer}");
            assert!(answer["msg"].as_str().is_some_and(|told| told.contains("prevResult")), "{answer}");
        }
    }
}

#[test]
fn bandwidth_that_cannot_be_is_refused_before_anything_is_made() {
    let Some(netns) = Netns::new() else { return };
    let mut conf: Value = serde_json::from_str(&conf("1.1.0", NOWHERE)).unwrap();
    conf["runtimeConfig"] = json!({"bandwidth": {"ingressRate": 1}});

    let answer = ask(&variables("ADD", VERBS[0].1, &netns.path()), &conf.to_string());

    assert_eq!(answer["code"], 7);
    assert!(answer["msg"].as_str().unwrap().contains("ingressRate is 1 bits a second, at least 8000"), "{answer}");
}

#[test]
fn verbs_are_written_as_the_specification_writes_them() {
    for verb in ["add", "UPDATE", "ADD ", "VERSIONS"] {
        let mut variables = del();
        variables[0].1 = verb;

        assert_eq!(plugin(&variables, &full("1.1.0")).1["code"], 4, "{verb}");
    }
}

/// A namespace of its own, gone when dropped.
struct Netns(String);

impl Netns {
    /// None where the test may not make namespaces.
    fn new() -> Option<Self> {
        use std::sync::atomic::{AtomicU32, Ordering};
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let name = format!("cnim{}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        let made = std::process::Command::new("ip").args(["netns", "add", &name]).status();
        if !made.is_ok_and(|status| status.success()) {
            eprintln!("skipped: making a namespace needs root");
            return None;
        }
        Some(Self(name))
    }

    fn path(&self) -> String {
        format!("/run/netns/{}", self.0)
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        let _ = std::process::Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}
