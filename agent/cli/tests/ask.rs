//! Shows the verbs that ask before anything is applied: of files alone, and of the fabric as it stands.

#![allow(clippy::unwrap_used, reason = "a helper of a test that cannot go on ends the test")]

mod fake;

use std::io::Write as _;
use std::process::{Command, Stdio};

use fake::Agent;

const TOPOLOGY: &str = "\
apiVersion: poplin.dev/v1
kind: Topology
endpoints:
  web-1: {labels: {app: web}, addresses: [10.77.0.1]}
  web-2: {labels: {app: web}, addresses: [10.77.0.2]}
  api: {labels: {app: api}, addresses: [10.77.0.3]}
  db: {labels: {app: db}, addresses: [10.77.0.4]}
";

/// The same, as agents keep endpoints.
const ENDPOINTS: &str = "\
apiVersion: poplin.dev/v1
kind: Endpoint
metadata: {name: web, labels: {app: web}}
spec: {addresses: [10.77.0.1/32]}
---
apiVersion: poplin.dev/v1
kind: Endpoint
metadata: {name: db, labels: {app: db}}
spec: {addresses: [10.77.0.4/32]}
";

const TESTS: &str = "\
apiVersion: poplin.dev/v1
kind: PolicyTest
metadata: {name: shop}
spec:
  cases:
  - {from: api, to: db, ports: tcp/5432, nobodyElse: true}
  - {from: app == 'web', to: app == 'db', ports: all, expect: deny}
";

/// A policy for db with one rule.
fn db(rule: &str) -> String {
    format!(
        "apiVersion: poplin.dev/v1\nkind: Policy\nmetadata: {{name: db}}\nspec:\n  subject: app == 'db'\n  ingress:\n  - {rule}\n"
    )
}

const FROM_API: &str = "{name: from-api, action: allow, from: {select: app == 'api'}, ports: [tcp/5432]}";
const FROM_NET: &str = "{name: from-net, action: allow, from: {nets: [10.77.0.0/16]}, ports: [tcp/5432]}";

/// A host's interface, and a policy for it that lets one port in before translation.
fn uplink(port: u16) -> String {
    format!(
        "apiVersion: poplin.dev/v1\nkind: HostEndpoint\nmetadata: {{name: h1-eth0, labels: {{role: uplink}}}}\n\
         spec: {{host: h1, interface: eth0}}\n---\n\
         apiVersion: poplin.dev/v1\nkind: Policy\nmetadata: {{name: uplink}}\nspec:\n  subject: role == 'uplink'\n  hosts: local\n  \
         ingress:\n  - {{name: in, action: allow, from: {{nets: [198.51.100.0/24]}}, ports: [tcp/{port}]}}\n"
    )
}

#[test]
fn diff_tells_what_a_change_opens_at_a_hosts_own_interface() {
    let agent = Agent::start();
    let (old, new) = (agent.file("old.yaml", &uplink(443)), agent.file("new.yaml", &uplink(8443)));
    let topology = agent.file("topology.yaml", TOPOLOGY);

    let other = agent.poplin(&["diff", "-f", &new, "--against", &old, "--topology", &topology]);

    let expected = "\
+ allowed now: 198.51.100.0/24 -> every endpoint, anywhere outside: tcp/8443 over IPv4, at input of h1-eth0
    such as 198.51.100.1 → 10.77.0.4 tcp 49152 → 8443
      was: end of tier default: denied
      now: default/uplink/in: allowed
- denied now: 198.51.100.0/24 -> every endpoint, anywhere outside: tcp/443 over IPv4, at input of h1-eth0
    such as 198.51.100.1 → 10.77.0.4 tcp 49152 → 443
      was: default/uplink/in: allowed
      now: end of tier default: denied
1 opened, 1 closed
";
    assert_eq!((other.code, other.out.as_str()), (1, expected), "{}", other.err);
}

#[test]
fn diff_tells_what_a_host_endpoint_that_moves_opens_and_closes() {
    let agent = Agent::start();
    let diff = |change: (&str, &str)| {
        let old = agent.file("old.yaml", &uplink(443));
        let new = agent.file("new.yaml", &uplink(443).replace(change.0, change.1));
        agent.poplin(&["diff", "-f", &new, "--against", &old])
    };

    let moved = diff(("interface: eth0", "interface: eth1"));
    let elsewhere = diff(("host: h1", "host: h2"));
    let renamed = diff(("name: h1-eth0", "name: edge"));

    assert_eq!(moved.code, 1, "{}", moved.err);
    assert!(moved.out.contains("everything over IPv4, at input of eth0 of h1"), "{}", moved.out);
    let told = "\n      was: h1-eth0, end of tier default: denied\n      now: allowed, there is no host endpoint\n";
    assert!(moved.out.contains(told), "{}", moved.out);
    assert!(moved.out.contains("at input of eth1 of h1"), "{}", moved.out);
    assert!(elsewhere.out.contains("at output of eth0 of h2"), "{}", elsewhere.out);
    assert_eq!((renamed.code, renamed.out.as_str()), (0, "equivalent: every packet is decided alike\n"));
}

#[test]
fn diff_tells_what_other_addresses_of_a_host_endpoint_mean_to_rules() {
    let agent = Agent::start();
    let from_edge = |address: &str| {
        let edge = uplink(443).replace("interface: eth0", &format!("interface: eth0, addresses: [{address}]"));
        edge + "---\napiVersion: poplin.dev/v1\nkind: Policy\nmetadata: {name: db}\nspec:\n  subject: app == 'db'\n  ingress:\n  \
                - {action: allow, from: {select: role == 'uplink'}, ports: [tcp/5432]}\n"
    };
    let topology = agent.file("topology.yaml", TOPOLOGY);
    let (old, new) = (agent.file("old.yaml", &from_edge("192.0.2.1")), agent.file("new.yaml", &from_edge("192.0.2.9")));

    let other = agent.poplin(&["diff", "-f", &new, "--against", &old, "--topology", &topology]);

    assert_eq!(other.code, 1, "{}", other.err);
    let changes: Vec<&str> =
        other.out.lines().filter(|line| line.contains("now: set") || line.contains("such as")).collect();
    let expected = [
        "+ allowed now: set host endpoint h1-eth0 -> db: tcp/5432 over IPv4",
        "    such as 192.0.2.9 → 10.77.0.4 tcp 49152 → 5432",
        "- denied now: set host endpoint h1-eth0 -> db: tcp/5432 over IPv4",
        "    such as 192.0.2.1 → 10.77.0.4 tcp 49152 → 5432",
    ];
    assert_eq!(changes, expected, "{}", other.out);
}

#[test]
fn tests_prove_what_hosts_themselves_receive_and_forward() {
    let agent = Agent::start();
    let through = "---\napiVersion: poplin.dev/v1\nkind: Policy\nmetadata: {name: through}\nspec:\n  subject: role == 'uplink'\n  \
                   hosts: forward\n  ingress: [{action: deny, ports: [tcp/5432]}]\n\
                   ---\napiVersion: poplin.dev/v1\nkind: FabricConfig\nmetadata: {name: default}\nspec: {failsafeInbound: [tcp/2222]}\n";
    let (policies, topology) =
        (agent.file("uplink.yaml", &(uplink(443) + through)), agent.file("topology.yaml", TOPOLOGY));
    let cases = "apiVersion: poplin.dev/v1\nkind: PolicyTest\nmetadata: {name: edge}\nspec:\n  cases:\n  \
                 - {from: outside, to: h1-eth0, ports: tcp/22, expect: deny}\n  \
                 - {from: outside, to: h1-eth0, ports: tcp/2222, expect: allow}\n  \
                 - {from: outside, to: db, entersBy: h1-eth0, ports: tcp/5432, expect: deny, by: through/1}\n  \
                 - {from: outside, to: db, ports: tcp/5432, expect: deny}\n";

    let run = agent.poplin(&["test", &agent.file("cases.yaml", cases), "-f", &policies, "--topology", &topology]);

    assert_eq!(run.code, 1, "{}", run.err);
    let words: Vec<&str> = run.out.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(words[..4], ["ok", "ok", "ok", "FAIL"], "{}", run.out);
    assert!(run.out.contains("ok    edge: outside may not reach db on tcp/5432, entering by h1-eth0"), "{}", run.out);
}

#[test]
fn diff_tells_whose_traffic_a_change_opens() {
    let agent = Agent::start();
    let (old, new) = (agent.file("old.yaml", &db(FROM_API)), agent.file("new.yaml", &db(FROM_NET)));
    let topology = agent.file("topology.yaml", TOPOLOGY);
    let diff = |new: &str| agent.poplin(&["diff", "-f", new, "--against", &old, "--topology", &topology]);

    let (same, wider) = (diff(&old), diff(&new));

    assert_eq!((same.code, same.out.as_str()), (0, "equivalent: every packet is decided alike\n"));
    assert_eq!(wider.code, 1);
    let expected = "\
+ allowed now: web-1, web-2, 10.77.0.0/16 but its endpoints -> db: tcp/5432 over IPv4
    such as 10.77.0.1 → 10.77.0.4 tcp 49152 → 5432
      was: denied, ingress of db: end of tier default
      now: allowed, ingress of db: default/db/from-net
1 opened, 0 closed
";
    assert_eq!(wider.out, expected);
}

#[test]
fn diff_against_the_fabric_tells_what_apply_would_change() {
    let agent = Agent::start();
    agent.poplin(&["apply", "-f", &agent.file("endpoints.yaml", ENDPOINTS)]);
    agent.poplin(&["apply", "-f", &agent.file("old.yaml", &db(FROM_NET))]);
    let (same, new) = (agent.file("same.yaml", &db(FROM_NET)), agent.file("new.yaml", &db(FROM_API)));

    assert_eq!(agent.poplin(&["diff", "-f", &same]).code, 0);
    let narrower = agent.poplin(&["diff", "-f", &new, "-o", "json"]);

    assert_eq!(narrower.code, 1);
    let changes: serde_json::Value = serde_json::from_str(&narrower.out).unwrap();
    assert_eq!(changes[0]["turn"], "closed");
    assert_eq!(changes[0]["sources"]["endpoints"], serde_json::json!(["web"]));
    assert_eq!(changes[0]["traffic"], "tcp/5432");
}

#[test]
fn without_endpoints_a_diff_says_what_it_needs() {
    let agent = Agent::start();
    let file = agent.file("old.yaml", &db(FROM_API));

    let run = agent.poplin(&["diff", "-f", &file, "--against", &file]);

    assert_eq!(run.code, 2);
    assert!(run.err.contains("there is no endpoint") && run.err.contains("--topology"), "{}", run.err);
}

#[test]
fn a_file_that_cannot_be_read_is_no_difference() {
    let agent = Agent::start();
    let (old, bad) = (agent.file("old.yaml", &db(FROM_API)), agent.file("bad.yaml", &db("{acton: allow}")));

    let run = agent.poplin(&["diff", "-f", &bad, "--against", &old]);

    assert_eq!((run.code, run.out.as_str()), (2, ""));
    assert!(run.err.contains("acton"), "{}", run.err);
}

#[test]
fn lint_fails_on_errors_only() {
    let agent = Agent::start();
    let topology = agent.file("topology.yaml", TOPOLOGY);
    let lint = |rules: &str| agent.poplin(&["lint", "-f", &agent.file("db.yaml", &db(rules)), "--topology", &topology]);

    let wrong = lint(&format!("{{name: shut, action: deny}}\n  - {FROM_API}"));
    let lost = lint("{name: lost, action: allow, from: {select: app == 'wev'}, ports: [tcp/5432, icmp/8]}");

    assert_eq!(wrong.code, 1);
    let error = "error: policy db, ingress rule 2 (from-api): all its packets are decided before it, in another way\n    \
                 covered by default/db/shut (ingress)\n";
    assert!(wrong.out.starts_with(error), "{}", wrong.out);
    assert!(wrong.out.contains("db.yaml:8:5\n"), "{}", wrong.out);
    assert_eq!(lost.code, 0);
    assert!(lost.out.contains("try: did you mean web?") && lost.out.ends_with("0 errors, 2 warnings, 0 notes\n"));
}

#[test]
fn lint_looks_at_the_fabric_where_no_file_is_given() {
    let agent = Agent::start();
    agent.poplin(&["apply", "-f", &agent.file("endpoints.yaml", ENDPOINTS)]);
    agent.poplin(&["apply", "-f", &agent.file("db.yaml", &db(FROM_API))]);

    let run = agent.poplin(&["lint", "-o", "json"]);

    let findings: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    let codes: Vec<_> = findings.as_array().unwrap().iter().map(|finding| finding["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["NO_PEER", "UNSEEN_VALUE", "NO_ICMP"]);
}

#[test]
fn a_test_is_proven_or_refuted_by_a_packet() {
    let agent = Agent::start();
    let (tests, topology) = (agent.file("tests.yaml", TESTS), agent.file("topology.yaml", TOPOLOGY));
    let test = |rule: &str| {
        let policies = agent.file("db.yaml", &db(rule));
        agent.poplin(&["test", &tests, "-f", &policies, "--topology", &topology])
    };

    let (holds, fails) = (test(FROM_API), test(FROM_NET));

    assert_eq!(holds.code, 0);
    let expected = "\
ok    shop: api and nobody else may reach db on tcp/5432
ok    shop: app == 'web' may not reach app == 'db'
2 cases: 2 hold, 0 do not
";
    assert_eq!(holds.out, expected);
    assert_eq!(fails.code, 1);
    let refuted = format!(
        "FAIL  shop: api and nobody else may reach db on tcp/5432, at {tests}:6:5\n        somebody else may: 10.77.0.1 → \
         10.77.0.4 tcp 49152 → 5432 is allowed, ingress of db: default/db/from-net\n"
    );
    assert!(fails.out.starts_with(&refuted), "{}", fails.out);
}

#[test]
fn a_directory_may_hold_policies_endpoints_and_tests() {
    let agent = Agent::start();
    let tests = agent.file("tests.yaml", TESTS);
    agent.file("topology.yaml", TOPOLOGY);
    agent.file("db.yaml", &db(FROM_API));
    let directory = std::path::Path::new(&tests).parent().unwrap().display().to_string();

    let run = agent.poplin(&["test", &tests, "-f", &directory]);

    assert_eq!((run.code, run.err.as_str()), (0, ""));
}

#[test]
fn one_question_is_answered_without_an_agent() {
    let agent = Agent::start();
    let (policies, topology) = (agent.file("db.yaml", &db(FROM_API)), agent.file("topology.yaml", TOPOLOGY));

    let run = run(&["explain", "web-1", "db", "tcp/5432", "--offline", "-f", &policies, "--topology", &topology], "");

    assert_eq!(run.code, 1);
    assert!(run.out.starts_with("denied: web-1 (10.77.0.1) -> db (10.77.0.4) tcp/5432\n"), "{}", run.out);
    assert!(run.out.contains("skipped tier default policy db rule from-api: source 10.77.0.1 not in selector"));
}

#[test]
fn what_nobody_is_asked_about_is_said_to_be_so() {
    let files = ["--offline", "-f", "shop.yaml", "--topology", "topology.yaml"];

    let mistyped = run(&[&["explain", "10.77.0.33", "10.77.0.44", "tcp/5432"][..], &files].concat(), "");

    assert_eq!(mistyped.code, 0, "{mistyped:?}");
    let nobody = "  nobody is asked: neither end is an endpoint, nor a host with a host endpoint\n";
    assert_eq!(mistyped.out, format!("allowed: 10.77.0.33 -> 10.77.0.44 tcp/5432\n{nobody}"));
}

#[test]
fn a_batch_answers_each_line_by_a_line() {
    let agent = Agent::start();
    let (policies, topology) = (agent.file("db.yaml", &db(FROM_API)), agent.file("topology.yaml", TOPOLOGY));
    let flows = "\
{\"source\": \"web-1\", \"destination\": \"db\", \"traffic\": \"tcp/5432\"}
{\"src\": \"10.77.0.3\", \"dst\": \"10.77.0.4\", \"protocol\": 6, \"dport\": 5432, \"bytes\": 7}

{\"source\": \"web-1\", \"destination\": \"dbb\", \"traffic\": \"tcp/5432\"}
";

    let run = run(&["explain", "--offline", "-f", &policies, "--topology", &topology, "--batch", "-"], flows);

    let lines: Vec<serde_json::Value> = run.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(run.code, 1);
    assert_eq!((&lines[0]["verdict"], &lines[0]["tier"]), (&"denied".into(), &"default".into()));
    assert_eq!((&lines[1]["verdict"], &lines[1]["rule"]), (&"allowed".into(), &"from-api".into()));
    assert_eq!(
        lines[2],
        serde_json::json!({
            "line": 4, "error": "\"dbb\" is no endpoint, no host, no host endpoint and no address", "advice": "did you mean db?",
        })
    );
}

#[test]
fn hosts_that_files_declare_have_their_say_without_an_agent() {
    let agent = Agent::start();
    let host = "{apiVersion: poplin.dev/v1, kind: Host, metadata: {name: h1}, spec: {addresses: [192.0.2.1]}}";
    let policies = agent
        .file("edge.yaml", &format!("{}---\n{host}\n", uplink(443).replace("eth0}", "eth0, addresses: [192.0.2.1]}")));
    let topology = agent.file("topology.yaml", &TOPOLOGY.replace("web-1: {", "web-1: {host: h1, "));
    let flows = "\
{\"src\": \"198.51.100.1\", \"dst\": \"h1\", \"traffic\": \"tcp/443\"}
{\"src\": \"198.51.100.1\", \"dst\": \"h1\", \"traffic\": \"tcp/80\"}
{\"src\": \"web-1\", \"dst\": \"169.254.1.1\", \"traffic\": \"tcp/22\"}
{\"src\": \"web-1\", \"dst\": \"web-2\", \"traffic\": \"tcp/22\"}
";
    let offline = ["--offline", "-f", &policies, "--topology", &topology];

    let told = run(&[&["explain", "198.51.100.1", "h1", "tcp/443"][..], &offline].concat(), "");
    let batch = run(&[&["explain"][..], &offline, &["--batch", "-"]].concat(), flows);

    assert_eq!(
        told.out,
        "allowed: 198.51.100.1 -> h1 (192.0.2.1) tcp/443\n  input of h1-eth0: default/uplink/in: allowed\n"
    );
    let lines: Vec<serde_json::Value> = batch.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let by = |line: &serde_json::Value| {
        ["verdict", "direction", "endpoint", "rule"]
            .map(|key| line[key].as_str().unwrap_or_default().to_owned())
            .join(" ")
    };
    let decided: Vec<String> = lines.iter().map(by).collect();
    let expected =
        ["allowed input h1-eth0 in", "denied input h1-eth0 ", "denied to-host web-1 ", "allowed ingress web-2 "];
    assert_eq!(decided, expected, "{}", batch.out);
    assert_eq!(
        (lines[0]["hosts"][0]["policy"].as_str(), &lines[3]["hosts"]),
        (Some("uplink"), &serde_json::Value::Null)
    );
}

#[test]
fn a_question_that_makes_no_sense_is_misuse_and_no_denial() {
    let agent = Agent::start();
    let (policies, topology) = (agent.file("db.yaml", &db(FROM_API)), agent.file("topology.yaml", TOPOLOGY));
    let ask = |source: &str, traffic: &str| {
        run(&["explain", source, "db", traffic, "--offline", "-f", &policies, "--topology", &topology], "")
    };

    let (port, spelling, nobody, number) =
        (ask("web-1", "tcp"), ask("web-1", "tpc/80"), ask("web-9", "tcp/80"), ask("web-1", "47"));

    assert_eq!((port.code, port.out.as_str()), (2, ""));
    let advice = "each may be decided otherwise: one packet has one\n  try: write one port, as in tcp/5432; ";
    assert!(port.err.contains(advice), "{}", port.err);
    assert_eq!(spelling.code, 2);
    assert!(spelling.err.contains("unknown protocol \"tpc\", did you mean tcp?"), "{}", spelling.err);
    assert_eq!(nobody.code, 3, "{}", nobody.err);
    assert_eq!(number.code, 1, "{}", number.err);
    assert!(number.out.starts_with("denied: web-1 (10.77.0.1) -> db (10.77.0.4) 47\n"), "{}", number.out);
}

#[test]
fn a_batch_that_is_no_lines_is_told_what_lines_are() {
    let agent = Agent::start();
    let (policies, topology) = (agent.file("db.yaml", &db(FROM_API)), agent.file("topology.yaml", TOPOLOGY));
    let batch =
        |flows: &str| run(&["explain", "--offline", "-f", &policies, "--topology", &topology, "--batch", "-"], flows);

    let list = batch("[\n  {\"source\": \"web-1\", \"destination\": \"db\", \"traffic\": \"tcp/5432\"}\n]\n");
    let open = batch(
        "{\"source\": \"web-1\", \"destination\": \"db\", \"protocol\": \"tcp\"}\n{\n[]\n{\"source\": \"web-1\", \"destination\": \"db\", \"traffic\": \"tcp/80\"}\n",
    );

    assert_eq!((list.code, list.out.as_str()), (2, ""));
    let expected = "error: the flows have a JSON list in line 1, and one object a line is expected\n  try: jq -c '.[]'";
    assert!(list.err.starts_with(expected), "{}", list.err);
    let lines: Vec<serde_json::Value> = open.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let says = |line: usize, key: &str, words: &str| {
        let text = lines[line][key].as_str().unwrap_or_default();
        assert!(text.contains(words), "{}", open.out);
    };
    assert_eq!(open.code, 1);
    says(0, "error", "\"tcp\" is many ports");
    says(1, "error", "not one flow as a JSON object");
    says(1, "advice", "a line is {\"source\": \"web\"");
    says(2, "error", "not one flow as a JSON object");
    says(3, "verdict", "denied");
}

/// What the README shows, its commands run as they stand there.
#[test]
fn the_readme_shows_what_is_printed() {
    let readme = include_str!("../../../README.md");
    let section = readme.split("## Ask before you apply").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut shown = 0;
    for block in section.split("```\n").skip(1).step_by(2) {
        for command in block.split("$ ").filter(|command| command.starts_with("poplin") && !command.contains('|')) {
            let (line, expected) = command.split_once('\n').unwrap();
            let arguments: Vec<&str> = line.split(' ').skip(1).collect();

            assert_eq!(run(&arguments, "").out, expected, "{line}");
            shown += 1;
        }
    }
    assert_eq!(shown, 3);
}

#[derive(Debug)]
struct Run {
    code: i32,
    out: String,
    err: String,
}

/// Runs without an agent, where the examples are.
fn run(arguments: &[&str], input: &str) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_poplin"));
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/ask");
    command.env("POPLIN_SOCKET", "/nowhere/api.sock").current_dir(examples).args(arguments);
    finish(command, input)
}

fn finish(mut command: Command, input: &str) -> Run {
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Run {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Agent {
    fn poplin(&self, arguments: &[&str]) -> Run {
        let mut command = Command::new(env!("CARGO_BIN_EXE_poplin"));
        command.env("POPLIN_SOCKET", self.socket()).args(arguments);
        finish(command, "")
    }
}
