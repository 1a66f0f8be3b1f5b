//! What people, neighbours and broken machines send: the answer names what is wrong, and nothing is left half done.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use poplin_lab::{Agent, Fabric, Lab, eventually, told, until};
use serde_json::json;

#[test]
fn a_wrong_declaration_is_answered_with_what_is_wrong_and_where() {
    let lab = Lab::new();
    let host = lab.host();
    let before = everything(&host);

    for (text, words) in [
        ("apiVersion: poplin.dev/v1\nkind: Pool\nmetadata: {name: x\n", &["unclosed", ":3:11"][..]),
        (
            "apiVersion: poplin.dev/v1\nkind: Pool\nmetadata: {name: x}\nspec:\n  cidr: 10.9.0.0/16\n  blokSize: 3\n",
            &["unknown field", "blokSize", "blockSize", ":6:3"],
        ),
        (&pool("10.77.9.0/24"), &["overlaps pool default", "10.77.0.0/16", ":4:14"]),
        (&pool("10.9.0.0/30"), &["too small", "/26", "one block needs 64", ":4:14"]),
        (&pool("10.9.0.0/16x"), &["spec.cidr", "10.9.0.0/16x"]),
        (&policy("tier: nope, egress: []"), &["no tier", "nope", ":4:14"]),
        (&policy("subject: app = 3, egress: []"), &["spec.subject", "column 5", "==", ":4:17"]),
        (&policy("ingress: [{action: allow, ports: [tcp/70000]}]"), &["ports[0]", "70000", "65535"]),
        (&policy("ingress: [{action: allow, sourcePorts: [icmp/8]}]"), &["sourcePorts[0]", "icmp/8", "no source port"]),
        (&policy("ingress: [{action: alow}]"), &["alow", "allow"]),
        (&policy("ingress: [{action: allow, from: {sets: [nobody]}}]"), &["no address set", "nobody"]),
        (&policy("subject: app == 'x'"), &["governs neither direction", ":4:7"]),
        (&policy("order: high, egress: []"), &["a number belongs here", "spec.order", ":4:15"]),
        ("apiVersion: poplin.dev/v1\nkind: Pol\nmetadata: {name: x}\n", &["Pol", "Pool"]),
        ("apiVersion: poplin.dev/v2\nkind: Pool\nmetadata: {name: x}\n", &["poplin.dev/v2"]),
        (
            "apiVersion: poplin.dev/v1\nkind: Pool\nmetadata: {name: Not_A_Name}\nspec: {cidr: 10.9.0.0/16}\n",
            &["Not_A_Name"],
        ),
        (
            "apiVersion: poplin.dev/v1\nkind: Peer\nmetadata: {name: x}\nspec: {address: 192.0.2.1, asn: 0}\n",
            &["spec.asn"],
        ),
        (
            "apiVersion: poplin.dev/v1\nkind: FabricConfig\nmetadata: {name: default}\nspec: {existingFlows: cut}\n",
            &["spec.existingFlows", "cut", "recheck, keep", ":4:"],
        ),
        ("", &["no object"]),
    ] {
        let output = host.try_apply(text);
        assert_eq!(output.status.code(), Some(1), "{text}: {}", told(&output));
        says(&told(&output), words);
    }

    assert_eq!(everything(&host), before);
}

#[test]
fn a_file_with_one_bad_document_changes_nothing() {
    let lab = Lab::new();
    let host = lab.host();
    let before = everything(&host);

    let output = host.try_apply(&format!("{}---\n{}", pool("10.9.0.0/16"), pool("10.10.0.0/30")));

    assert!(!output.status.success());
    says(&told(&output), &["10.10.0.0/30", "too small"]);
    assert_eq!(everything(&host), before);
}

#[test]
fn a_wrong_attachment_is_refused_and_leaves_nothing() {
    let lab = Lab::new();
    let host = lab.host();
    let mut web = lab.container("web");
    let other = lab.container("other");
    host.attach(&mut web, &[]);
    let before = everything(&host);
    let netns = other.namespace().path().display().to_string();
    let file = lab.directory().join("file");
    std::fs::write(&file, "no namespace").expect("the directory is there");
    let file = file.display().to_string();

    for (arguments, code, words) in [
        (&["--netns", "/run/netns/nowhere", "--name", "x"][..], 3, &["/run/netns/nowhere", "does not exist"][..]),
        (&["--netns", &file, "--name", "x"], 1, &[&file, "is not a network namespace"]),
        (&["--netns", &netns, "--name", "web"], 4, &["already attached"]),
        (&["--netns", &netns, "--name", "Not A Name"], 1, &["Not A Name"]),
        (&["--netns", &netns, "--name", "x", "--ip", "192.0.2.1"], 1, &["192.0.2.1", "no pool"]),
        (
            &["--netns", &netns, "--name", "x", "--ip", "10.77.0.1", "--ip", "10.77.0.2"],
            1,
            &["10.77.0.1", "10.77.0.2", "family"],
        ),
        (&["--netns", &netns, "--name", "x", "--label", "a b=c"], 1, &["a b"]),
        (&["--netns", &netns, "--name", "x", "--interface", "much-too-long-a-name"], 1, &["much-too-long-a-name"]),
        (&["--netns", &netns, "--name", "x", "--interface", "lo"], 4, &["already has an interface named lo"]),
    ] {
        let mut all = vec!["attach"];
        all.extend(arguments);
        let output = host.try_poplin(&all);
        says(&told(&output), words);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", told(&output));
    }

    assert_eq!(everything(&host), before);
    assert_eq!(host.links().len(), 1);
    assert!(!other.namespace().run("ip", &["-o", "link"]).contains("eth0"));
}

#[test]
fn without_an_agent_the_command_line_says_where_it_looked() {
    let lab = Lab::new();
    let host = Agent::new(&lab, lab.namespace("h1"), "h1");

    let output = host.try_poplin(&["status"]);

    assert_eq!(output.status.code(), Some(5), "{}", told(&output));
    says(&told(&output), &["h1.sock", "try:"]);
}

#[test]
fn a_second_agent_is_refused_the_socket_and_the_store() {
    let lab = Lab::new();
    let host = lab.host();
    let program = poplin_lab::programs().join("poplind").display().to_string();
    let (socket, data) = (host.socket().display().to_string(), lab.directory().join("h1-data").display().to_string());
    let other = lab.directory().join("other").display().to_string();

    let same_socket = host.namespace().output(&program, &["--host", "h2", "--socket", &socket, "--data", &other]);
    let same_store = host.namespace().output(&program, &["--host", "h2", "--socket", &other, "--data", &data]);

    assert!(!same_socket.status.success() && !same_store.status.success());
    says(&told(&same_socket), &["another program serves on", &socket]);
    says(&told(&same_store), &["store.redb", "in use"]);
    assert_eq!(host.status()["host"], "h1", "the first one serves on");
}

#[test]
fn an_agent_without_its_etcd_serves_and_says_so_and_recovers() {
    let lab = Lab::new();
    let mut tor = lab.tor();
    let mut host = tor.host(&lab, 1);
    let mut web = lab.container("web");
    let netns = web.namespace().path().display().to_string();

    host.launch();

    let status = eventually("the agent serves", || match host.status() {
        status if status["store"]["connected"] == false => Ok(status),
        status => Err(status.to_string()),
    });
    assert!(!status["store"]["error"].as_str().unwrap_or("").is_empty(), "{status}");
    let output = host.try_poplin(&["status"]);
    assert_eq!(output.status.code(), Some(7));
    says(&told(&output), &["warning", "store is not connected"]);
    let asked = Instant::now();
    let output = host.try_poplin(&["attach", "--netns", &netns, "--name", "web"]);
    assert!(!output.status.success() && asked.elapsed() < Duration::from_secs(12), "{:?}", asked.elapsed());
    says(&told(&output), &["store", "cannot be reached"]);
    assert_eq!(host.links(), Vec::<String>::new());
    let asked = told(&host.cni_with("STATUS", &web, &json!({"cniVersion": "1.1.0"})));
    says(&asked, &["\"code\":50", "has not heard of its fabric yet"]);

    tor.start_etcd();

    host.until_ready();
    assert!(host.cni_with("STATUS", &web, &json!({"cniVersion": "1.1.0"})).status.success());
    host.apply(&pool("10.9.0.0/16"));
    host.attach(&mut web, &[]);
    assert_eq!(host.links().len(), 1);
}

#[test]
fn a_neighbour_that_calls_before_the_store_is_known_is_hung_up() {
    let lab = Lab::new();
    let tor = lab.tor();
    let mut host = tor.host(&lab, 1);
    host.launch();
    let address = "172.31.1.2".parse().expect("an address");

    let call = eventually("the agent listens", || {
        tor.namespace().connect(address, 179).map_err(|error| format!("{error}: {}", host.said()))
    });

    hung_up(call);
}

#[test]
fn an_etcd_that_goes_away_stops_changes_and_no_traffic() {
    let mut fabric = Fabric::under_a_tor(1);
    let (web, db) = (fabric.container(1, "web"), fabric.container(1, "db"));
    let host = &fabric.hosts[0];

    fabric.tor.stop_etcd();

    eventually("the agent notices", || match host.status() {
        status if status["store"]["connected"] == false => Ok(()),
        status => Err(status["store"].to_string()),
    });
    assert!(web.reaches(db.v4()) && web.reaches(db.v6()));
    let late = fabric.lab.container("late");
    let elsewhere = serde_json::json!({"args": {"cni": {"ips": ["10.77.200.1"]}}});
    let output = host.cni_with("ADD", &late, &elsewhere); // another host may have given it meanwhile
    says(&told(&output), &["\"code\":11", "store"]);

    fabric.tor.start_etcd();

    until("the agent is connected again", || fabric.hosts[0].status()["store"]["connected"] == true);
    until("attaching works again", || fabric.hosts[0].cni("ADD", &late, &serde_json::Value::Null).status.success());
}

#[test]
fn garbage_on_the_bgp_port_ends_that_connection_and_no_session() {
    let fabric = Fabric::under_a_tor(1);
    let host = &fabric.hosts[0];
    let session = || host.status()["sessions"][0].clone();
    let ours = "172.31.1.2".parse().expect("an address");
    let ups = || host.said().matches("session with 172.31.1.1 (AS 65000) is up").count();
    assert_eq!(ups(), 1);

    for garbage in [&b"GET / HTTP/1.1\r\nHost: bgp\r\n\r\n"[..], &[0; 4096], &[255; 64], b"x"] {
        closed(fabric.tor.namespace().connect(ours, 179).expect("the port is open to a neighbour"), garbage);
    }
    closed(host.namespace().connect(ours, 179).expect("the port is open"), b"I am nobody's neighbour");

    until("the stranger is named", || host.said().contains("172.31.1.2: not a neighbour of ours"));
    until("each call is told of", || host.said().matches("refused a connection of 172.31.1.1").count() == 4);
    assert_eq!(session()["state"], "Established");
    assert_eq!(ups(), 1, "the session is still the first: {}", host.said());
}

/// Sends octets, and nothing more; the other side closes.
#[track_caller]
fn closed(mut stream: TcpStream, octets: &[u8]) {
    let _ = stream.write_all(octets); // it may be closed already
    let _ = stream.shutdown(Shutdown::Write);
    hung_up(stream);
}

/// Waits until the other side has closed.
#[track_caller]
fn hung_up(mut stream: TcpStream) {
    stream.set_read_timeout(Some(poplin_lab::PATIENCE)).expect("a timeout may be set");
    if let Err(error) = stream.read_to_end(&mut Vec::new()) {
        assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "the connection stays open");
    }
}

/// All a host declares and holds.
fn everything(host: &Agent) -> String {
    let kinds = ["pools", "policies", "tiers", "addresssets", "peers", "endpoints"];
    let objects: String = kinds.iter().map(|kind| host.get(&[kind]).to_string()).collect();
    format!("{objects} {} {:?} {:?}", host.status()["blocks"], host.links(), host.routes())
}

#[track_caller]
fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word:?} is not said in: {text}");
    }
}

fn pool(cidr: &str) -> String {
    format!("apiVersion: poplin.dev/v1\nkind: Pool\nmetadata: {{name: x{}}}\nspec: {{cidr: {cidr}}}\n", cidr.len())
}

fn policy(spec: &str) -> String {
    format!("apiVersion: poplin.dev/v1\nkind: Policy\nmetadata: {{name: x}}\nspec: {{{spec}}}\n")
}
