//! Shows the other door as netavark uses it: every verb, a fake agent, a real namespace, and what is said when something is wrong.

#![allow(clippy::unwrap_used, reason = "a helper of a test that cannot go on ends the test")]

#[path = "../../cli/tests/fake/mod.rs"]
mod fake;

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use fake::Agent;
use serde_json::{Value, json};

#[test]
fn a_container_lives_from_setup_to_teardown() {
    let Some(container) = Container::new() else { return };
    let wanted = container.wanted();

    let (code, status) = container.ask("setup", &wanted);

    assert_eq!(code, 0, "{status}");
    let expected = json!({
        "dns_server_ips": ["169.254.40.1"],
        "dns_search_domains": ["poplin.internal"],
        "interfaces": {"eth0": {
            "mac_address": "02:00:00:00:00:05",
            "subnets": [{"ipnet": "10.77.0.5/32", "gateway": "169.254.40.1"}],
        }},
    });
    assert_eq!(status, expected);
    let routes = sh(&format!("ip -n {} route", container.netns));
    assert!(routes.contains("default via 169.254.40.1 dev eth0"), "{routes}");
    assert_eq!(container.ask("setup", &wanted), (0, expected), "twice is once");
    assert_eq!(container.ask("teardown", &wanted), (0, Value::Null));
    assert_eq!(container.ask("teardown", &wanted), (0, Value::Null), "twice is once");
    let detached = container.agent.world().detached.last().unwrap().clone();
    assert_eq!((detached.container, detached.container_interface.as_str()), (container.netns.clone(), "eth0"));
}

#[test]
fn labels_names_addresses_and_ports_reach_the_agent() {
    let Some(container) = Container::new() else { return };
    let mut wanted = container.wanted();
    wanted["network"]["options"]["network"] = json!("bank");
    wanted["network"]["options"]["label.app"] = json!("vault");
    wanted["network_options"]["static_ips"] = json!(["10.77.0.5"]);
    wanted["port_mappings"] =
        json!([{"container_port": 80, "host_ip": "", "host_port": 8000, "protocol": "tcp", "range": 3}]);

    assert_eq!(container.ask("setup", &wanted).0, 0);

    let asked = container.agent.world().attached[0].clone();
    assert_eq!((asked.network.as_str(), asked.labels["app"].as_str()), ("bank", "vault"));
    assert_eq!(
        (asked.preferred_names, asked.aliases),
        (vec!["web.bank".to_owned()], vec!["web".to_owned(), "www".to_owned()])
    );
    assert_eq!(
        (asked.addresses, asked.published),
        (vec!["10.77.0.5".to_owned()], vec!["8000-8002:80-82/tcp".to_owned()])
    );
}

#[test]
fn an_attachment_that_cannot_be_furnished_is_taken_back() {
    let Some(container) = Container::new() else { return };
    sh(&format!("ip -n {} link del eth0", container.netns));

    let (code, answer) = container.ask("setup", &container.wanted());

    assert_eq!(code, 1);
    assert!(answer["error"].as_str().unwrap().starts_with("interface eth0 is not in "), "{answer}");
    assert_eq!(container.agent.world().detached[0].container, container.netns);
}

#[test]
fn a_container_goes_though_its_namespace_and_its_options_have_gone_bad() {
    let Some(container) = Container::new() else { return };
    assert_eq!(container.ask("setup", &container.wanted()).0, 0);
    sh(&format!("ip netns del {}", container.netns));
    let mut wanted = container.wanted();
    wanted["network"]["options"]["isolate"] = json!("true");

    assert_eq!(container.ask("setup", &wanted).0, 1, "it cannot be set up any more");
    assert_eq!(container.ask("teardown", &wanted), (0, Value::Null));
}

#[test]
fn a_network_is_created_as_podman_writes_it_down() {
    let network = json!({"name": "shop", "id": "2f25", "driver": "poplin", "options": {"label.app": "web"}});

    assert_eq!(plugin(&["create"], &network.to_string()), (0, network));
    let (code, refused) = plugin(&["create"], r#"{"name": "shop", "internal": true}"#);
    assert_eq!(code, 1);
    assert!(refused["error"].as_str().unwrap().starts_with("--internal true cannot be; "), "{refused}");
}

#[test]
fn what_is_no_verb_or_no_namespace_is_told_in_one_sentence() {
    let wanted = json!({"container_id": "c1", "network": {"name": "n"}, "network_options": {"interface_name": "eth0"}});
    let error = |arguments: &[&str], input: &str| {
        let (code, answer) = plugin(arguments, input);
        assert_eq!(code, 1, "{answer}");
        answer["error"].as_str().unwrap().to_owned()
    };

    assert!(error(&["setup"], "{}").starts_with("\"setup\" is none of create, setup NETNS, teardown NETNS, info; "));
    assert!(error(&["update", "x"], "{}").contains("\"update x\" is none of"));
    assert!(error(&["setup", "/run/netns/x"], "{").starts_with("what netavark said on stdin cannot be read; "));
    let absent = error(&["setup", "/run/netns/nobody-was-here"], &wanted.to_string());
    assert_eq!(absent, "network namespace /run/netns/nobody-was-here does not exist");
    let mut nowhere = wanted.clone();
    nowhere["network"]["options"] = json!({"socket": "/run/nobody-listens-here/api.sock"});
    assert!(error(&["teardown", "/run/netns/x"], &nowhere.to_string()).contains("/run/nobody-listens-here/api.sock"));
    assert_eq!(plugin(&["info"], ""), (0, json!({"version": env!("CARGO_PKG_VERSION"), "api_version": "1.0.0"})));
}

/// Exit code and answer; null if there was none.
fn plugin(arguments: &[&str], input: &str) -> (i32, Value) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_poplin-cni"))
        .args(arguments)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // The plugin may answer and end before it has read; that closes the pipe.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    (output.status.code().unwrap(), serde_json::from_slice(&output.stdout).unwrap_or(Value::Null))
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
        let netns = format!("nv{}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        sh(&format!("ip netns add {netns}"));
        let container = Self { netns, agent: Agent::start() };
        sh(&format!("ip -n {} link add eth0 type veth peer name outside", container.netns));
        Some(container)
    }

    /// What netavark says of a container `web` in a network `shop`.
    fn wanted(&self) -> Value {
        json!({
            "container_id": self.netns,
            "container_name": "web",
            "port_mappings": null,
            "network": {
                "name": "shop", "id": "2f25", "driver": "poplin", "dns_enabled": true, "internal": false, "ipv6_enabled": false,
                "options": {"socket": self.agent.socket()}, "subnets": null,
            },
            "network_options": {
                "aliases": ["www"], "interface_name": "eth0", "static_ips": null, "static_mac": null, "options": null,
            },
        })
    }

    fn ask(&self, verb: &str, wanted: &Value) -> (i32, Value) {
        plugin(&[verb, &format!("/run/netns/{}", self.netns)], &wanted.to_string())
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.netns]).stderr(Stdio::null()).status();
    }
}

fn sh(command: &str) -> String {
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
