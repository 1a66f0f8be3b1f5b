//! Shows each verb as a person meets it: the words on stdout and stderr, and the exit code.

#![allow(clippy::unwrap_used, reason = "a helper of a test that cannot go on ends the test")]

mod bgp;
#[path = "../fake/mod.rs"]
mod fake;
mod ipam;

use std::process::Command;

use fake::Agent;
use poplin_proto::Failure;
use poplin_proto::v1::{
    BfdStatus, DirectionTrace, Drop, ExplainResponse, GetStatusResponse, SessionStatus, SkippedRule, StoreStatus,
};
use tonic::Code;

const SHOP: &str = "\
apiVersion: poplin.dev/v1
kind: Policy
metadata:
  name: db
spec:
  subject: app == 'db'
  ingress: []
---
kind: Policy
metadata: {name: web}
---
kind: Policy
metadata: {name: zoo}
";

#[test]
fn apply_tells_what_became_of_each_object() {
    let agent = Agent::start();
    let file = agent.file("shop.yaml", SHOP);

    let dry = agent.poplin(&["apply", "-f", &file, "--dry-run"]);
    let first = agent.poplin(&["apply", "-f", &file]);
    let second = agent.poplin(&["apply", "-f", &file]);

    assert_eq!(dry.out.lines().next(), Some("policy/db created (dry run)"));
    assert_eq!(first.out, "policy/db created\npolicy/web created\npolicy/zoo created\n");
    assert_eq!(second.out, "policy/db unchanged\npolicy/web unchanged\npolicy/zoo unchanged\n");
}

#[test]
fn apply_prints_every_failure_with_its_place_and_advice() {
    let agent = Agent::start();
    agent.world().failures = vec![
        Failure::new(Code::InvalidArgument, "A", "pool prod is too small")
            .field("spec.cidr")
            .origin("shop.yaml:7:9")
            .advice("cidr of /26 or larger"),
        Failure::new(Code::InvalidArgument, "B", "unknown field `cdir`").origin("shop.yaml:12:3"),
    ];

    let run = agent.poplin(&["apply", "-f", &agent.file("shop.yaml", SHOP)]);

    assert_eq!((run.code, run.out.as_str()), (1, ""));
    let expected = "\
error: spec.cidr: pool prod is too small, at shop.yaml:7:9
  try: cidr of /26 or larger
error: unknown field `cdir`, at shop.yaml:12:3
";
    assert_eq!(run.err, expected);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let agent = Agent::start();

    let run = agent.poplin(&["apply", "-f", "/nowhere/shop.yaml"]);

    assert_eq!(run.code, 3);
    assert_eq!(run.err, "error: cannot read /nowhere/shop.yaml: no such file or directory\n");
}

#[test]
fn a_directory_is_read_in_order_of_names() {
    let agent = Agent::start();
    let second = agent.file("b.yml", "kind: Tier\nmetadata: {name: b}\n");
    agent.file("a.json", r#"[{"kind":"Tier","metadata":{"name":"a1"}},{"kind":"Tier","metadata":{"name":"a2"}}]"#);
    agent.file("notes.txt", "not for us");

    let directory = std::path::Path::new(&second).parent().unwrap().display().to_string();
    let run = agent.poplin(&["apply", "-f", &directory]);

    assert_eq!(run.out, "tier/a1 created\ntier/a2 created\ntier/b created\n");
}

#[test]
fn what_get_prints_apply_accepts() {
    let agent = Agent::start();
    agent.poplin(&["apply", "-f", &agent.file("shop.yaml", SHOP)]);

    for format in ["yaml", "json"] {
        let printed = agent.poplin(&["get", "policies", "-o", format]);
        assert_eq!(printed.code, 0, "{printed:?}");
        let again = agent.poplin(&["apply", "-f", &agent.file("again.yaml", &printed.out)]);
        assert_eq!(again.out, "policy/db unchanged\npolicy/web unchanged\npolicy/zoo unchanged\n", "{printed:?}");
    }
}

#[test]
fn get_shows_a_table_of_every_page() {
    let agent = Agent::start();
    agent.poplin(&["apply", "-f", &agent.file("shop.yaml", SHOP)]);

    let table = agent.poplin(&["get", "POL"]);
    let names = agent.poplin(&["get", "policies", "-o", "name"]);
    let none = agent.poplin(&["get", "policies", "-l", "none"]);

    let expected = "\
NAME  TIER     ORDER  MODE     SUBJECT      INGRESS       EGRESS
db    default  last   enforce  app == 'db'  none allowed  -
web   default  last   enforce  all          -             -
zoo   default  last   enforce  all          -             -
";
    assert_eq!(table.out, expected);
    assert_eq!(names.out, "policy/db\npolicy/web\npolicy/zoo\n");
    assert_eq!((none.code, none.out.as_str(), none.err.as_str()), (0, "", "no Policy found\n"));
}

#[test]
fn get_by_name_prints_the_document_or_says_it_is_not_there() {
    let agent = Agent::start();
    agent.poplin(&["apply", "-f", &agent.file("shop.yaml", SHOP)]);

    let there = agent.poplin(&["get", "policy", "db", "-o", "yaml"]);
    let missing = agent.poplin(&["get", "policy", "dbb"]);

    assert_eq!(there.out, SHOP.split("---\n").next().unwrap());
    assert_eq!(missing.code, 3);
    assert_eq!(missing.err, "error: Policy dbb is not there\n  try: poplin get policies\n");
}

#[test]
fn a_watch_shows_what_is_and_what_changes_and_ends_with_an_error() {
    let agent = Agent::start();
    agent.poplin(&["apply", "-f", &agent.file("shop.yaml", SHOP)]);

    let names = agent.poplin(&["get", "pol", "-w", "-o", "name"]);
    let one = agent.poplin(&["get", "pol", "web", "-w"]);
    let json = agent.poplin(&["get", "pol", "db", "-w", "-o", "json"]);

    assert_eq!(names.out, "policy/db\npolicy/web\npolicy/zoo\npolicy/db deleted\n");
    assert_eq!(names.code, 5);
    assert_eq!(one.out.lines().count(), 2);
    let last: serde_json::Value = serde_json::from_str(json.out.lines().last().unwrap()).unwrap();
    assert_eq!((&last["change"], &last["object"]["kind"]), (&"deleted".into(), &"Policy".into()));
}

#[test]
fn an_unknown_kind_is_a_usage_error_that_lists_the_kinds() {
    let run = run("/nowhere", &["get", "polcy"]);

    assert_eq!(run.code, 2);
    assert!(run.err.contains("did you mean Policy?") && run.err.contains("AddressSet"), "{}", run.err);
}

#[test]
fn delete_goes_on_after_a_failure_where_names_are_given_and_takes_files_as_a_whole() {
    let agent = Agent::start();
    let file = agent.file("shop.yaml", SHOP);
    agent.poplin(&["apply", "-f", &file]);

    let mixed = agent.poplin(&["delete", "policy", "nobody", "db"]);
    let whole = agent.poplin(&["delete", "-f", &file]);
    let rest = agent.poplin(&["delete", "-f", &file, "--ignore-missing"]);

    assert_eq!((mixed.code, mixed.out.as_str()), (3, "policy/db deleted\n"));
    assert_eq!(mixed.err, "error: Policy nobody is not there\n");
    assert_eq!((whole.code, whole.out.as_str()), (3, ""), "db is gone, and files go as a whole");
    assert_eq!(rest.out, "policy/zoo deleted\npolicy/web deleted\npolicy/db was not there\n");
}

#[test]
fn a_host_is_removed_only_on_the_word_that_it_is_gone() {
    let agent = Agent::start();

    let asked = agent.poplin(&["host", "remove", "h3"]);
    let done = agent.poplin(&["host", "remove", "h3", "--gone"]);

    let held = "  endpoints (1): db\n  blocks freed (1): 10.77.0.0/26\n  blocks moved (1): 10.77.0.64/26 to h2\n  addresses freed: 1\n";
    let advice = "once you are sure that it does not run: poplin host remove h3 --gone\n";
    assert_eq!((asked.code, asked.out), (1, format!("host h3 stays; with it would go:\n{held}{advice}")));
    assert_eq!((done.code, done.out), (0, format!("host h3 removed\n{held}")));
}

#[test]
fn the_schema_that_is_lowered_tells_who_has_which_and_what_is_left_that_nobody_then_reads() {
    let agent = Agent::start();

    let lowered = agent.poplin(&["store", "schema", "--set", "1"]);

    assert!(lowered.out.starts_with("agents write in the store from schema 1 on\n"), "{}", lowered.out);
    assert!(lowered.out.contains("h2    0.1.0  3"), "{}", lowered.out);
    assert!(lowered.err.contains("c/pool/lan: spec.lan is of schema 2, which agents of schema 1 cannot read"));
    for wrong in [&["--set", "0"][..], &["--set", "1", "--raise"]] {
        assert_eq!(agent.poplin(&[&["store", "schema"], wrong].concat()).code, 2, "{wrong:?}");
    }
}

#[test]
fn a_host_that_is_renamed_tells_what_came_along_and_what_is_left_to_declare() {
    let done = Agent::start().poplin(&["host", "rename", "h1", "h9"]);

    let declared = "these HostEndpoints still name host h1; declare them anew: h1-uplink\n";
    assert_eq!((done.code, done.out), (0, format!("host h1 is h9: 2 endpoints and 1 blocks came along\n{declared}")));
}

#[test]
fn an_agent_that_is_not_there_is_exit_5_with_advice() {
    let run = run("/run/nobody/api.sock", &["get", "pools"]);

    assert_eq!(run.code, 5);
    assert!(run.err.starts_with("error: cannot reach the agent at /run/nobody/api.sock: no such file\n  try: "));
}

#[test]
fn explain_prints_both_directions_and_exits_by_the_verdict() {
    let agent = Agent::start();
    agent.world().explanation = explanation();

    let text = agent.poplin(&["explain", "web", "db", "tcp/5432"]);
    let json = agent.poplin(&["explain", "web", "db", "tcp/5432", "-o", "json"]);

    let expected = "\
denied: web (10.77.0.5) -> db (10.77.0.129) tcp/5432
  egress of web: no policy governs egress
  ingress of db: denied by policy db rule 2 in tier default
    skipped tier default policy db rule 1: the source is not app == 'api'
";
    assert_eq!((text.code, text.out.as_str()), (1, expected));
    let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json["directions"][1]["skipped"][0]["rule"], "1");
    agent.world().explanation.allowed = true;
    assert_eq!(agent.poplin(&["explain", "web", "db", "tcp/5432"]).code, 0);
}

#[test]
fn explain_does_not_call_skipped_what_was_asked_nor_say_that_nobody_is_asked_elsewhere() {
    let agent = Agent::start();
    let mut passed = explanation();
    passed.directions[1].skipped[0].matched = true;
    passed.directions[1].skipped[0].reason = "passes to the next tier".to_owned();
    agent.world().explanation = passed;
    let text = agent.poplin(&["explain", "web", "db", "tcp/5432"]).out;
    assert!(text.contains("    asked tier default policy db rule 1: passes to the next tier\n"), "{text}");

    let notes = vec!["h2 asks its own host endpoint".to_owned()];
    agent.world().explanation =
        ExplainResponse { directions: Vec::new(), allowed: true, unsettled: true, notes, ..explanation() };
    let told = agent.poplin(&["explain", "web", "db", "tcp/5432"]);
    assert!(told.out.starts_with("allowed as far as is known here: web (10.77.0.5) -> db"), "{}", told.out);
    assert!(told.out.ends_with("  nobody is asked here\n  note: h2 asks its own host endpoint\n"), "{}", told.out);
    assert_eq!(told.code, 9, "neither allowed nor denied");
}

#[test]
fn drops_are_told_a_line_each() {
    let agent = Agent::start();
    let none = agent.poplin(&["drops"]);
    agent.world().drops = vec![denied(), spoofed()];

    let text = agent.poplin(&["drops", "--endpoint", "web"]);
    let json = agent.poplin(&["drops", "-o", "json"]);

    assert_eq!((none.code, none.out.as_str(), none.err.as_str()), (0, "", "no dropped packets are remembered\n"));
    let expected = "\
2026-11-25T23:12:25.041Z  web (10.77.0.5) -> db (10.77.0.129)  tcp/5432 from 40000  ingress of db: default/db/2: denied
1970-01-01T00:00:00.000Z  web (10.9.9.9) -> 10.77.0.129  icmp/8  egress of web: 10.9.9.9 is not an address of web
";
    assert_eq!((text.code, text.out.as_str()), (0, expected));
    assert_eq!(text.err, "3 drops are not listed: they came faster than they were read\n");
    let lines: Vec<serde_json::Value> = json.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["peerEndpoint"], &lines[1]["icmpType"]), (&"web".into(), &8.into()));
}

#[test]
fn a_drop_of_a_host_endpoint_names_who_is_behind_it_and_a_message_its_code() {
    let agent = Agent::start();
    let forwarded = Drop {
        endpoint: "h1-uplink".to_owned(),
        peer_endpoint: String::new(),
        endpoint_behind: "db".to_owned(),
        limited: false,
        lane: "forward-in".to_owned(),
        ..denied()
    };
    agent.world().drops = vec![forwarded, Drop { icmp_code: Some(4), lost: 0, ..spoofed() }];

    let told = agent.poplin(&["drops"]).out;

    let expected = "10.77.0.5 -> db (10.77.0.129)  tcp/5432 from 40000  forward-in of h1-uplink: default/db/2: denied";
    assert!(told.contains(expected), "{told}");
    assert!(told.contains("icmp/8/4  egress of web"), "{told}");
}

#[test]
fn explain_live_tells_of_a_real_packet_or_that_none_came() {
    let agent = Agent::start();
    agent.world().explanation = explanation();
    let live = ["explain", "web", "db", "tcp/5432", "--live", "--wait", "0"];

    let none = agent.poplin(&live);
    agent.world().drops = vec![spoofed(), denied()];
    let newest = agent.poplin(&live);

    assert_eq!((none.code, none.out.as_str()), (8, ""));
    let expected = "\
error: this host dropped no packet from web to db tcp/5432 within 0 s
  try: policy denies it; send a packet meanwhile, or ask at the host of the other end
";
    assert_eq!(none.err, expected);
    assert_eq!(newest.code, 1);
    assert!(newest.out.ends_with("ingress of db: default/db/2: denied\n"), "{}", newest.out);
    assert_eq!(agent.poplin(&["explain", "web", "db", "tcp/5432", "--wait", "3"]).code, 2);
}

#[test]
fn explain_live_takes_no_packet_that_a_rule_logged_for_a_dropped_one() {
    let agent = Agent::start();
    agent.world().explanation = ExplainResponse { allowed: true, ..explanation() };
    let live = ["explain", "web", "db", "tcp/5432", "--live", "--wait", "0"];

    agent.world().drops = vec![logged()];
    let none = agent.poplin(&live);
    agent.world().drops = vec![denied(), logged()];
    let dropped = agent.poplin(&live);

    assert_eq!((none.code, none.out.as_str()), (8, ""));
    let went_on = "within 0 s, but saw one that went on (ingress of db: default/db/watch: logged)\n";
    assert!(none.err.contains(went_on), "{}", none.err);
    assert_eq!(dropped.code, 1);
    assert!(dropped.out.ends_with("ingress of db: default/db/2: denied\n"), "{}", dropped.out);
}

#[test]
fn status_is_healthy_or_says_what_is_wrong() {
    let agent = Agent::start();
    agent.world().status = status("Established");
    let healthy = agent.poplin(&["status"]);
    agent.world().status = status("Active");
    let idle = agent.poplin(&["status", "-o", "json"]);

    assert_eq!((healthy.code, healthy.err.as_str()), (0, ""));
    assert!(healthy.out.contains("tor            172.31.1.1  65000  Established  1m07s"), "{}", healthy.out);
    assert!(healthy.out.contains("Up 300 ms, 900 ms"), "{}", healthy.out);
    assert_eq!((idle.code, idle.err.as_str()), (7, "warning: BGP session with tor (172.31.1.1) is Active\n"));
    let json: serde_json::Value = serde_json::from_str(&idle.out).unwrap();
    assert_eq!(json["sessions"][0]["secondsInState"], 67);
    assert_eq!(json["sessions"][0]["bfd"]["detectionMilliseconds"], 900);
}

#[test]
fn the_sessions_of_status_are_the_summary_of_bgp() {
    let agent = Agent::start();
    agent.world().status = status("Established");

    let (status, summary) = (agent.poplin(&["status"]), agent.poplin(&["bgp", "summary"]));
    let one = agent.poplin(&["bgp", "neighbor", "tor"]);
    let nobody = agent.poplin(&["bgp", "neighbor", "nobody"]);

    assert!(summary.out.starts_with("BGP NEIGHBOUR") && status.out.contains(&summary.out), "{summary:?} {status:?}");
    assert!(
        one.out.starts_with(&summary.out) && one.out.contains("hold time                   90s proposed"),
        "{one:?}"
    );
    assert_eq!((nobody.code, nobody.err.as_str()), (3, "error: no BGP neighbour is called \"nobody\"\n"));
}

#[test]
fn figures_are_printed_as_they_come() {
    let run = Agent::start().poplin(&["metrics"]);

    assert_eq!((run.code, run.out.as_str()), (0, "poplin_bgp_peer_up 1\n"));
}

#[test]
fn status_waits_and_gives_up() {
    let agent = Agent::start();
    agent.world().status = status("Active");

    let run = agent.poplin(&["status", "--wait", "1"]);

    assert_eq!((run.code, run.out.as_str()), (8, ""));
    assert!(run.err.contains("not ready after 1 s") && run.err.contains("is Active"), "{}", run.err);
}

#[test]
fn convert_prints_what_a_foreign_policy_becomes_without_an_agent() {
    let agent = Agent::start();
    let file = agent.file("knp.yaml", FOREIGN);

    let yaml = run("/nowhere/api.sock", &["convert", "-f", &file]);
    let again = run("/nowhere/api.sock", &["convert", "-f", &agent.file("own.yaml", &yaml.out)]);
    let json = run("/nowhere/api.sock", &["convert", "-f", &file, "-o", "json"]);

    let expected = "\
apiVersion: poplin.dev/v1
kind: Policy
metadata:
  name: knp.default.api
  namespace: shop
  annotations:
    poplin.dev/origin: networking.k8s.io/v1 NetworkPolicy shop/api
spec:
  order: 1000.0
  ingress:
  - name: \"1\"
    action: allow
    ports:
    - tcp/80
";
    assert_eq!((yaml.code, yaml.out.as_str()), (0, expected), "{}", yaml.err);
    assert_eq!(again.out, yaml.out);
    assert!(json.out.starts_with('[') && json.out.contains("\"tcp/80\""), "{}", json.out);
}

#[test]
fn convert_refuses_what_apply_would_refuse() {
    let agent = Agent::start();
    let file = agent.file("knp.yaml", &FOREIGN.replace("port: 80", "port: \"80\""));

    let run = run("/nowhere/api.sock", &["convert", "-f", &file]);

    assert_eq!((run.code, run.out.as_str()), (1, ""));
    assert!(run.err.contains("NetworkPolicy shop/api: spec.ingress[0].ports[0].port: \"80\""), "{}", run.err);
    assert!(run.err.contains("knp.yaml:4:34") && run.err.contains("taken for a name; write 80"), "{}", run.err);
}

const FOREIGN: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: api, namespace: shop}
spec: {ingress: [{ports: [{port: 80}]}]}
";

#[test]
fn version_is_told_without_an_agent() {
    let run = run("/nowhere/api.sock", &["version"]);

    assert_eq!((run.code, run.out.as_str()), (0, concat!("poplin ", env!("CARGO_PKG_VERSION"), "\n")));
}

#[test]
fn help_of_every_verb_begins_with_examples() {
    for verb in
        ["apply", "get", "delete", "attach", "detach", "status", "bgp", "metrics", "explain", "version", "completion"]
    {
        let help = run("/nowhere", &[verb, "--help"]);

        assert!(help.out.starts_with("Examples:\n  "), "{verb}: {}", help.out);
    }
    assert!(run("/nowhere", &["completion", "bash"]).out.contains("complete -F _poplin"));
}

#[test]
fn attach_wires_the_namespace_and_takes_it_back_if_it_cannot() {
    if Command::new("id").arg("-u").output().unwrap().stdout != b"0\n" {
        eprintln!("skipped: making a namespace needs root");
        return;
    }
    let agent = Agent::start();
    let netns = Netns::new();

    let missing = agent.poplin(&["attach", "--netns", &netns.0, "--name", "web"]);
    sh(&format!("ip -n {} link add eth0 type veth peer name outside", netns.0));
    let good = agent.poplin(&["attach", "--netns", &netns.0, "--name", "web", "--label", "app=web", "-p", "8080:80"]);
    let gone = agent.poplin(&["detach", "web"]);

    assert_eq!(missing.code, 1);
    assert_eq!(missing.err, format!("error: interface eth0 is not in /run/netns/{}\n", netns.0));
    assert_eq!(
        (good.code, good.out.as_str()),
        (0, "endpoint/web attached: eth0 10.77.0.5/32\nnameserver 169.254.40.1, search poplin.internal\n"),
        "{}",
        good.err
    );
    assert!(sh(&format!("ip -n {} addr show eth0", netns.0)).contains("10.77.0.5/32"));
    assert_eq!(gone.out, "endpoint/web detached\n");
    let world = agent.world();
    assert_eq!(world.attached[1].netns, format!("/run/netns/{}", netns.0));
    assert_eq!(world.attached[1].labels["app"], "web");
    assert_eq!(world.attached[1].published, ["8080:80"]);
    assert_eq!((world.detached[0].container.as_str(), world.detached[1].name.as_str()), ("web", "web"));
}

#[test]
fn attach_to_nothing_asks_nobody() {
    let agent = Agent::start();

    let run = agent.poplin(&["attach", "--netns", "/run/netns/nobody-was-here", "--name", "web"]);

    assert_eq!(run.code, 3);
    assert!(agent.world().attached.is_empty());
}

trait RunsPoplin {
    /// Runs the command line against this agent.
    fn poplin(&self, arguments: &[&str]) -> Run;
}

impl RunsPoplin for Agent {
    fn poplin(&self, arguments: &[&str]) -> Run {
        run(&self.socket(), arguments)
    }
}

/// How a run of the command line ended.
#[derive(Debug)]
struct Run {
    code: i32,
    out: String,
    err: String,
}

fn run(socket: &str, arguments: &[&str]) -> Run {
    let output =
        Command::new(env!("CARGO_BIN_EXE_poplin")).env("POPLIN_SOCKET", socket).args(arguments).output().unwrap();
    Run {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A namespace, gone when dropped.
struct Netns(String);

impl Netns {
    fn new() -> Self {
        let netns = Self(format!("cli{}", std::process::id()));
        sh(&format!("ip netns add {}", netns.0));
        netns
    }
}

impl std::ops::Drop for Netns {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

fn sh(command: &str) -> String {
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn status(state: &str) -> GetStatusResponse {
    GetStatusResponse {
        host: "h1".to_owned(),
        store: Some(StoreStatus { kind: "embedded".to_owned(), connected: true, ..StoreStatus::default() }),
        sessions: vec![SessionStatus {
            name: "tor".to_owned(),
            address: "172.31.1.1".to_owned(),
            asn: 65000,
            state: state.to_owned(),
            seconds_in_state: 67,
            bfd: Some(BfdStatus {
                state: "Up".to_owned(),
                interval_milliseconds: 300,
                detection_milliseconds: 900,
                ..BfdStatus::default()
            }),
            ..SessionStatus::default()
        }],
        ..GetStatusResponse::default()
    }
}

fn denied() -> Drop {
    Drop {
        time: 1_795_648_345_041_000_000,
        direction: "ingress".to_owned(),
        endpoint: "db".to_owned(),
        peer_endpoint: "web".to_owned(),
        source: "10.77.0.5".to_owned(),
        destination: "10.77.0.129".to_owned(),
        protocol: "tcp".to_owned(),
        source_port: 40000,
        destination_port: 5432,
        reason: "default/db/2: denied".to_owned(),
        ..Drop::default()
    }
}

fn logged() -> Drop {
    Drop { reason: "default/db/watch: logged".to_owned(), logged: true, ..denied() }
}

fn spoofed() -> Drop {
    Drop {
        direction: "egress".to_owned(),
        endpoint: "web".to_owned(),
        source: "10.9.9.9".to_owned(),
        destination: "10.77.0.129".to_owned(),
        protocol: "icmp".to_owned(),
        icmp_type: Some(8),
        icmp_code: Some(0),
        reason: "10.9.9.9 is not an address of web".to_owned(),
        lost: 3,
        ..Drop::default()
    }
}

fn explanation() -> ExplainResponse {
    let skipped = SkippedRule {
        tier: "default".to_owned(),
        policy: "db".to_owned(),
        rule: "1".to_owned(),
        reason: "the source is not app == 'api'".to_owned(),
        matched: false,
    };
    let egress = DirectionTrace {
        direction: "egress".to_owned(),
        endpoint: "web".to_owned(),
        allowed: true,
        reason: "no policy governs egress".to_owned(),
        ..DirectionTrace::default()
    };
    let ingress = DirectionTrace {
        direction: "ingress".to_owned(),
        endpoint: "db".to_owned(),
        reason: "denied by policy db rule 2 in tier default".to_owned(),
        skipped: vec![skipped],
        ..DirectionTrace::default()
    };
    ExplainResponse {
        allowed: false,
        directions: vec![egress, ingress],
        source_address: "10.77.0.5".to_owned(),
        destination_address: "10.77.0.129".to_owned(),
        chains: Vec::new(),
        notes: Vec::new(),
        unsettled: false,
    }
}
