//! Shows the life of an attachment as a runtime drives it: a fake agent, a real namespace, every version. Needs root.

#![allow(clippy::unwrap_used, reason = "a helper of a test that cannot go on ends the test")]

#[path = "../../cli/tests/fake/mod.rs"]
mod fake;

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use fake::Agent;
use poplin_proto::v1::{GetStatusResponse, StoreStatus};
use serde_json::{Value, json};

#[test]
fn a_container_lives_from_add_to_del_in_every_version() {
    for version in ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] {
        let Some(container) = Container::new() else { return };

        let added = container.ask("ADD", conf(version));

        assert_eq!((added["cniVersion"].as_str(), added["code"].as_u64()), (Some(version), None), "{added}");
        assert_eq!(added["ips"][0]["address"], "10.77.0.5/32");
        assert_eq!(added["dns"], json!({"nameservers": ["169.254.40.1"], "search": ["poplin.internal"]}));
        assert!(sh(&format!("ip -n {} route", container.netns)).contains("default via 169.254.40.1 dev eth0"));
        assert_eq!(container.ask("ADD", conf(version)), added, "ADD twice is ADD once");
        if version >= "0.4.0" {
            assert_eq!(container.ask("CHECK", with_result(version, &added)), Value::Null);
        }
        assert_eq!(container.ask("DEL", conf(version)), Value::Null);
        assert_eq!(container.agent.world().detached.last().unwrap().container, container.netns);
    }
}

#[test]
fn check_says_what_differs_at_the_agent_and_in_the_container() {
    let Some(container) = Container::new() else { return };
    let added = container.ask("ADD", conf("1.0.0"));
    sh(&format!("ip -n {} route del default", container.netns));
    container.agent.world().findings = vec!["the policy chain is missing".to_owned()];

    let answer = container.ask("CHECK", with_result("1.0.0", &added));

    assert_eq!(answer["code"], 102);
    assert_eq!(answer["msg"], "the policy chain is missing; there is no default route for the family of 169.254.40.1");
    assert_eq!(container.ask("CHECK", conf("1.0.0"))["code"], 7);
}

#[test]
fn what_is_not_attached_is_an_unknown_container() {
    let Some(container) = Container::new() else { return };

    assert_eq!(container.ask("CHECK", with_result("1.0.0", &json!({})))["code"], 3);
}

#[test]
fn an_attachment_that_cannot_be_furnished_is_taken_back() {
    let Some(container) = Container::new() else { return };
    sh(&format!("ip -n {} link del eth0", container.netns));

    let answer = container.ask("ADD", conf("1.0.0"));

    assert_eq!(answer["code"], 101);
    assert!(answer["msg"].as_str().unwrap().starts_with("interface eth0 is not in "), "{answer}");
    assert_eq!(container.agent.world().detached[0].container, container.netns);
}

#[test]
fn labels_addresses_pools_and_ports_reach_the_agent() {
    let Some(container) = Container::new() else { return };
    let mut conf = conf("1.0.0");
    conf["labels"] = json!({"app": "web"});
    conf["pools"] = json!(["shop"]);
    conf["runtimeConfig"] =
        json!({"ips": ["10.77.0.5"], "portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]});

    container.ask("ADD", conf);

    let world = container.agent.world();
    let expected = [("app", "web"), ("poplin.dev/cni-network", "fabric"), ("poplin.dev/pod-name", "web-0")];
    let labels: Vec<_> = world.attached[0].labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(labels, expected);
    assert_eq!(world.attached[0].addresses, ["10.77.0.5"]);
    assert_eq!(world.attached[0].published, ["8080:80/tcp"]);
    assert_eq!(world.attached[0].pools, ["shop"]);
}

#[test]
fn status_and_gc_are_answered() {
    let Some(container) = Container::new() else { return };
    let store = Some(StoreStatus { connected: true, ..StoreStatus::default() });
    container.agent.world().status = GetStatusResponse { host: "h1".to_owned(), store, ..GetStatusResponse::default() };
    let mut with_list = conf("1.1.0");
    with_list["cni.dev/valid-attachments"] = json!([]);

    assert_eq!(container.ask("STATUS", conf("1.1.0")), Value::Null);
    assert_eq!(container.ask("GC", with_list), Value::Null);
}

fn conf(version: &str) -> Value {
    json!({"cniVersion": version, "name": "fabric", "type": "poplin-cni"})
}

fn with_result(version: &str, result: &Value) -> Value {
    let mut conf = conf(version);
    conf["prevResult"] = result.clone();
    conf
}

/// A namespace with its veth end in it, as the agent leaves it, and an agent; both gone when dropped.
struct Container {
    netns: String,
    agent: Agent,
}

impl Container {
    /// None where the test may not make namespaces.
    fn new() -> Option<Self> {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        if Command::new("id").arg("-u").output().unwrap().stdout != b"0\n" {
            eprintln!("skipped: making a namespace needs root");
            return None;
        }
        let netns = format!("cni{}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        sh(&format!("ip netns add {netns}"));
        let container = Self { netns, agent: Agent::start() };
        sh(&format!("ip -n {} link add eth0 type veth peer name outside", container.netns));
        Some(container)
    }

    /// Null if the plugin had nothing to say.
    fn ask(&self, command: &str, mut conf: Value) -> Value {
        conf["socket"] = json!(self.agent.socket());
        let mut child = Command::new(env!("CARGO_BIN_EXE_poplin-cni"))
            .env_clear()
            .env("CNI_COMMAND", command)
            .env("CNI_CONTAINERID", &self.netns)
            .env("CNI_NETNS", format!("/run/netns/{}", self.netns))
            .env("CNI_IFNAME", "eth0")
            .env("CNI_ARGS", "IgnoreUnknown=1;K8S_POD_NAME=web-0")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(conf.to_string().as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        if output.stdout.is_empty() { Value::Null } else { serde_json::from_slice(&output.stdout).unwrap() }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.netns]).status();
    }
}

fn sh(command: &str) -> String {
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
