//! Twenty faults, each named by `poplin doctor`, which names none where there is none.

use poplin_lab::{Agent, Fabric, Session, asn_of, told, until};
use serde_json::Value;

/// Failures and warnings, each `check: message`.
fn found(host: &Agent) -> Vec<String> {
    found_with(host, &[])
}

fn found_with(host: &Agent, more: &[&str]) -> Vec<String> {
    let output = host.try_poplin(&[&["doctor", "-o", "json"], more].concat());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", told(&output)));
    let findings = report["findings"].as_array().cloned().unwrap_or_default();
    let weighs = findings.iter().filter(|finding| finding["weight"] != "note");
    let found: Vec<String> = weighs.map(|one| format!("{}: {}", text(&one["check"]), text(&one["message"]))).collect();
    assert_eq!(output.status.code(), Some(if found.is_empty() { 0 } else { 7 }), "{}", told(&output));
    assert_eq!(report["unseen"], serde_json::json!([]), "all is seen by root");
    found
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// What was injected, and whether it was named.
#[derive(Default)]
struct Tally {
    named: Vec<String>,
    missed: Vec<String>,
}

impl Tally {
    /// Looks for a fault that stands; the words are those of the finding that must name it.
    fn names(&mut self, fault: &str, found: &[String], check: &str, words: &str) {
        let is_named = found.iter().any(|one| one.starts_with(&format!("{check}: ")) && one.contains(words));
        match is_named {
            true => self.named.push(fault.to_owned()),
            false => self.missed.push(format!("{fault}, of which it says {found:?}")),
        }
    }
}

#[test]
fn each_of_twenty_faults_is_named_and_a_healthy_fabric_has_none() {
    let mut fabric = Fabric::under_a_tor(2);
    let web = fabric.container(1, "web");
    let db = fabric.container(2, "db");
    until("containers reach each other", || web.reaches(db.v4()));
    let mut tally = Tally::default();

    healthy(&fabric, "before all");
    rules_of_others(&fabric.hosts[0], &mut tally);
    healthy(&fabric, "after the rules of others");
    ground(&fabric, &mut tally);
    healthy(&fabric, "after the ground");
    ways(&fabric, &mut tally);
    healthy(&fabric, "after the ways");
    sessions(&mut fabric, &mut tally);
    healthy(&fabric, "after the sessions");
    store(&mut fabric, &mut tally);
    without_agent(&mut fabric, &mut tally);

    let all = tally.named.len() + tally.missed.len();
    assert!(all >= 20, "{all} faults");
    assert!(tally.missed.is_empty(), "{} of {all} missed: {:#?}", tally.missed.len(), tally.missed);
}

#[track_caller]
fn healthy(fabric: &Fabric, when: &str) {
    fabric.until_established(1);
    for host in &fabric.hosts {
        assert_eq!(found(host), [""; 0], "{when}");
    }
}

fn rules_of_others(host: &Agent, tally: &mut Tally) {
    let inside = host.namespace();
    let base = |hook: &str, policy: &str, rules: &str| {
        format!(
            "table inet others {{ chain base {{ type filter hook {hook} priority 0; policy {policy}; {rules}\n }}; }}"
        )
    };
    let cases = [
        ("a policy of drop at forward", base("forward", "drop", ""), "foreign-forward", "by its policy"),
        (
            "a last rule that rejects",
            base("forward", "accept", "ct state established accept; reject"),
            "foreign-forward",
            "at handle",
        ),
        (
            "a firewall that knows ssh only",
            base(
                "input",
                "drop",
                "ct state established accept; iif lo accept; meta l4proto { icmp, ipv6-icmp } accept; tcp dport 22 accept",
            ),
            "foreign-input",
            "tcp port 179",
        ),
    ];
    for (fault, table, check, words) in cases {
        inside.run("nft", &[&table]);
        tally.names(fault, &found(host), check, words);
        inside.run("nft", &["delete table inet others"]);
    }
    inside.run("iptables-legacy", &["-P", "FORWARD", "DROP"]);
    tally.names("rules of the old kind", &found(host), "foreign-forward", "iptables-legacy");
    inside.run("iptables-legacy", &["-P", "FORWARD", "ACCEPT"]);
}

fn ground(fabric: &Fabric, tally: &mut Tally) {
    let (host, tor) = (&fabric.hosts[0], fabric.tor.namespace());
    let inside = host.namespace();

    inside.run("ip", &["route", "add", "10.77.128.0/20", "via", "172.31.1.1"]);
    tally.names("a route inside a pool", &found(host), "pool-route", "10.77.128.0/20");
    inside.run("ip", &["route", "del", "10.77.128.0/20"]);

    inside.run("ip", &["link", "add", "second", "type", "bridge"]);
    inside.run("ip", &["address", "add", "192.0.2.1/24", "dev", "second"]);
    inside.run("ip", &["link", "set", "second", "up"]);
    inside.run("ip", &["route", "add", "198.51.100.0/24", "via", "192.0.2.9"]);
    inside.run("sysctl", &["-qw", "net.ipv4.conf.uplink.rp_filter=1"]);
    tally.names("a strict reverse path of two", &found(host), "rp-filter", "uplink");
    inside.run("sysctl", &["-qw", "net.ipv4.conf.uplink.rp_filter=0"]);
    inside.run("ip", &["link", "del", "second"]);

    host.apply(
        "{apiVersion: poplin.dev/v1, kind: Policy, metadata: {name: streams}, spec: {subject: app == 'none', ingress: [{action: allow, ports: [udplite/5004]}]}}",
    );
    tally.names("UDP-Lite that is not tracked", &found(host), "udplite", "policy streams");
    host.poplin(&["delete", "policy", "streams"]);

    // The ToR answers for the host's address on the host's own link.
    tor.run("ip", &["link", "add", "twin", "link", "h1", "type", "macvlan", "mode", "bridge"]);
    tor.run("sysctl", &["-qw", "net.ipv4.conf.h1.rp_filter=0", "net.ipv4.conf.twin.rp_filter=0"]);
    let twin = fabric.lab.namespace("twin");
    tor.run("ip", &["link", "set", "twin", "netns", twin.name()]);
    twin.run("ip", &["link", "set", "twin", "up"]);
    twin.run("ip", &["address", "add", "172.31.1.2/24", "dev", "twin"]);
    tally.names("a second machine with the host's address", &found(host), "address-conflict", "172.31.1.2");
    drop(twin);

    let fabric_config = |mtu: &str| {
        format!(
            "{{apiVersion: poplin.dev/v1, kind: FabricConfig, metadata: {{name: default}}, spec: {{mesh: false{mtu}}}}}"
        )
    };
    host.apply(&fabric_config(", mtuBytes: 9000"));
    tally.names("containers that may send too much", &found(host), "mtu", "9000");
    host.apply(&fabric_config(""));

    let tiny = |more: &str| {
        format!(
            "{{apiVersion: poplin.dev/v1, kind: Pool, metadata: {{name: tiny}}, spec: {{cidr: 10.99.0.0/30, blockSize: 30{more}}}}}"
        )
    };
    host.apply(&tiny(""));
    let mut full = Vec::new();
    for number in 1..=4 {
        let mut tenant = fabric.lab.container(&format!("tenant{number}"));
        host.attach_with(&mut tenant, &["--pool", "tiny"]);
        full.push(tenant);
    }
    tally.names("a pool without addresses", &found(host), "pool", "tiny");
    full.iter().for_each(|tenant| drop(host.poplin(&["detach", tenant.name()])));
    host.apply(&tiny(", disabled: true"));
}

fn ways(fabric: &Fabric, tally: &mut Tally) {
    let (host, tor) = (&fabric.hosts[0], fabric.tor.namespace());

    tor.run(
        "nft",
        &["table inet narrow { chain in { type filter hook prerouting priority -310; meta length > 1400 drop; }; }"],
    );
    tally.names("a way that takes small packets only", &found(host), "mtu", "1400 do");
    tor.run("nft", &["delete table inet narrow"]);

    // The ToR's answers to questions for the time are those of a machine whose clock is six hours off.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("it is later").as_millis();
    let other = (now + 6 * 3_600_000) % 86_400_000;
    let skewed = format!(
        "table inet clock {{ chain out {{ type filter hook output priority 0; icmp type timestamp-reply @th,96,32 set {other}; }}; }}"
    );
    tor.run("nft", &[&skewed]);
    tally.names("a clock that is six hours off", &found(host), "clock", "ahead of ours");
    tor.run("nft", &["delete table inet clock"]);
}

fn sessions(fabric: &mut Fabric, tally: &mut Tally) {
    let both = |asn: u32| [Session { host: 1, asn }, Session { host: 2, asn: asn_of(2) }];
    let is_down = |fabric: &Fabric| fabric.hosts[0].status()["sessions"][0]["state"] != "Established";

    fabric.tor.bird().stop();
    until("the session is down", || is_down(fabric));
    tally.names("a neighbour without BGP", &found(&fabric.hosts[0]), "bgp", "nobody listens");

    fabric.tor.start_bird(&both(64999));
    until("it says so", || is_down(fabric) && fabric.hosts[0].status().to_string().to_lowercase().contains("peer as"));
    tally.names("another AS than agreed", &found(&fabric.hosts[0]), "bgp", "peer AS");
    fabric.tor.start_bird(&both(asn_of(1)));
    fabric.until_established(1);

    fabric.tor.namespace().run("nft", &["table inet wall { chain in { type filter hook input priority 0; tcp dport 179 drop; tcp sport 179 drop; }; }"]);
    fabric.hosts[0].poplin(&["bgp", "clear", "tor-h1"]);
    until("the session is down", || is_down(fabric));
    tally.names("a wall before the neighbour", &found(&fabric.hosts[0]), "bgp", "gets no answer");
    fabric.tor.namespace().run("nft", &["delete table inet wall"]);
}

fn store(fabric: &mut Fabric, tally: &mut Tally) {
    let host = &fabric.hosts[0];
    let link = host.links().remove(0);
    host.ip(&format!("link del {link}"));
    until("it is gone", || host.links().is_empty());
    tally.names("a container without link", &found(host), "link", &link);

    fabric.tor.stop_etcd();
    let output = fabric.hosts[0].try_poplin(&["doctor", "-o", "json"]);
    let found = vec![format!("store: {}", told(&output).replace('\n', " "))];
    tally.names("a store that is gone", &found, "store", "http://172.31.0.1:2379 does not answer");
    fabric.tor.start_etcd();
}

/// What is seen when nobody answers; repairs are gone with the agent.
fn without_agent(fabric: &mut Fabric, tally: &mut Tally) {
    let certificate = fabric.lab.directory().join("expired.pem");
    let key = fabric.lab.directory().join("open.key");
    certify(&certificate, &key);
    let nowhere = fabric.lab.directory().join("nowhere.pem");
    let config = fabric.lab.directory().join("poplin.toml");
    let settings = format!(
        "etcd = ['https://172.31.0.1:9']\naddress = ['172.31.2.2']\netcd-ca = '{}'\netcd-cert = '{}'\netcd-key = '{}'\n",
        nowhere.display(),
        certificate.display(),
        key.display()
    );
    std::fs::write(&config, settings).expect("the directory is there");
    let host = &mut fabric.hosts[1];
    host.kill();
    let inside = host.namespace();
    inside.run("sysctl", &["-qw", "net.ipv4.ip_forward=0", "net.ipv6.conf.all.forwarding=0"]);
    let link = host.links().remove(0);
    inside.run("ip", &["link", "set", &link, "down"]);
    let _ = inside.output("nft", &["delete table inet poplin"]);
    inside.run("ip", &["address", "del", "172.31.2.2/24", "dev", "uplink"]);

    let found = found_with(host, &["--config", &config.display().to_string()]);

    assert!(found[0].starts_with("agent: "), "it says that first: {found:?}");
    for (fault, check, words) in [
        ("an agent that is dead", "agent", "does not answer"),
        ("forwarding off", "forwarding", "ip_forward is 0"),
        ("forwarding of IPv6 off", "forwarding6", "forwarding is 0"),
        ("a container's link down", "link", "is down"),
        ("no rules of ours", "own-rules", "no policy is in force"),
        ("an address that is gone", "address", "172.31.2.2"),
        ("a certificate that is not there", "certificate", "nowhere.pem"),
        ("a certificate that expired", "certificate", "expired"),
        ("a key that everybody reads", "certificate", "everybody"),
        ("a store that refuses", "store", "172.31.0.1:9"),
    ] {
        tally.names(fault, &found, check, words);
    }
}

/// A certificate of 2020 and its key, by OpenSSL.
fn certify(certificate: &std::path::Path, key: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let (certificate, path) = (certificate.display().to_string(), key.display().to_string());
    let request = format!("{path}.csr");
    let name = ["-subj", "/CN=h2", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    poplin_lab::run("openssl", &[&["req", "-new", "-keyout", &path, "-out", &request], &name[..]].concat());
    let ended = ["-days", "-1", "-signkey", &path, "-out", &certificate];
    poplin_lab::run("openssl", &[&["x509", "-req", "-in", &request], &ended[..]].concat());
    std::fs::set_permissions(key, std::fs::Permissions::from_mode(0o644)).expect("the key is ours");
}
