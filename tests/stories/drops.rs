//! What a host drops, told to whoever looks: whose packet it was, and by whose word.

use std::net::UdpSocket;

use poplin_lab::{Agent, Container, Flow, Lab, eventually, told, until};
use serde_json::Value;

use crate::room::room;

#[test]
fn a_packet_that_policy_denies_is_told_with_names_and_rule() {
    let lab = Lab::new();
    let (host, web, db) = room(&lab);
    host.apply(DB_FOR_22);
    let _port = db.listen(5432);
    until("web is denied", || !web.connects(db.v4(), 5432));

    let drop = dropped(&host, |drop| drop["destinationPort"] == 5432);

    assert_eq!(
        (&drop["direction"], &drop["endpoint"], &drop["peerEndpoint"]),
        (&text("ingress"), &text("db"), &text("web"))
    );
    assert_eq!((&drop["source"], &drop["destination"]), (&text(web.v4()), &text(db.v4())));
    assert_eq!((&drop["protocol"], &drop["host"]), (&text("tcp"), &text("h1")));
    assert_eq!((&drop["tier"], &drop["reason"]), (&text("default"), &text("end of tier default: denied")));

    host.apply(DB_BUT_5432);
    until("a rule denies", || {
        web.connects(db.v4(), 5432);
        all(&host, &[]).iter().any(|drop| drop["policy"] == "db" && drop["rule"] == "no-sql")
    });
    let live = host.try_poplin(&["explain", "web", "db", "tcp/5432", "--live"]);
    assert_eq!(live.status.code(), Some(1));
    assert!(told(&live).contains("ingress of db: default/db/no-sql: denied"), "{}", told(&live));
    let by = |policy| {
        format!(
            "poplin_policy_packets_total{{tier=\"default\",policy=\"{policy}\",direction=\"ingress\",action=\"deny\",staged=\"false\"}}"
        )
    };
    assert!(figure(&host, &by("db")) > 0, "a rule denied");
    assert!(
        figure(&host, "poplin_drops_heard_total{direction=\"ingress\",reason=\"denied\"}") > 1,
        "so did the end of the tier"
    );
}

/// One of the host's figures.
fn figure(host: &Agent, name: &str) -> u64 {
    let figures = host.poplin(&["metrics"]);
    let value = figures.lines().find_map(|line| line.strip_prefix(name));
    let value = value.unwrap_or_else(|| panic!("{name} is in\n{figures}"));
    value.trim().parse().expect("a figure is a number")
}

#[test]
fn who_follows_is_told_of_what_a_rule_logs_and_of_what_a_rule_denies() {
    let lab = Lab::new();
    let (host, web, db) = room(&lab);
    host.apply(DB_WATCHED);
    let _port = db.listen(22);
    let follower = host.start_poplin("follower", &["drops", "--follow", "-o", "json"]);
    let heard = |rule: &str| {
        let said = follower.said();
        // The last line may be half written.
        let mut drops = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        drops.find(|drop| drop["rule"] == rule)
    };

    until("both are told", || {
        let is_let_in = web.connects(db.v4(), 22);
        let is_denied = !web.connects(db.v4(), 5432);
        is_let_in && is_denied && heard("watch").is_some() && heard("no-sql").is_some()
    });

    for (rule, port, reason) in
        [("watch", 22, "default/db/watch: logged"), ("no-sql", 5432, "default/db/no-sql: denied")]
    {
        let drop = heard(rule).expect("it was there");
        assert_eq!((&drop["direction"], &drop["endpoint"]), (&text("ingress"), &text("db")), "{drop}");
        assert_eq!((&drop["peerEndpoint"], &drop["policy"]), (&text("web"), &text("db")), "{drop}");
        assert_eq!((&drop["source"], &drop["destination"]), (&text(web.v4()), &text(db.v4())), "{drop}");
        assert_eq!((&drop["protocol"], &drop["destinationPort"]), (&text("tcp"), &Value::from(port)), "{drop}");
        assert!(drop["sourcePort"].as_u64().is_some_and(|port| port > 0), "{drop}");
        assert_eq!(drop["reason"], reason);
        assert_eq!(drop["logged"], rule == "watch", "{drop}");
    }

    let live = host.try_poplin(&["explain", "web", "db", "tcp/22", "--live", "--wait", "0"]);
    assert_eq!(live.status.code(), Some(8), "what was logged went on: {}", told(&live));
    assert!(
        told(&live).contains("but saw one that went on (ingress of db: default/db/watch: logged)"),
        "{}",
        told(&live)
    );
}

#[test]
fn a_forged_source_is_told_with_the_endpoint_that_forged_it() {
    let lab = Lab::new();
    let (host, web, db) = room(&lab);
    web.namespace().run("ip", &["address", "add", "192.0.2.7/32", "dev", "eth0"]);

    web.namespace().output("ping", &["-n", "-c1", "-W0.1", "-I", "192.0.2.7", &db.v4().to_string()]);

    let drop = dropped(&host, |drop| drop["source"] == "192.0.2.7");
    assert_eq!(
        (&drop["direction"], &drop["endpoint"], &drop["peerEndpoint"]),
        (&text("egress"), &text("web"), &text("db"))
    );
    assert_eq!((&drop["protocol"], &drop["icmpType"]), (&text("icmp"), &Value::from(8)));
    assert_eq!(drop["reason"], "192.0.2.7 is not an address of web");
    assert_eq!(all(&host, &["--endpoint", "db"]).len(), 1, "containers that come up are no noise");
    assert_eq!(all(&host, &["--endpoint", "nobody"]).len(), 0);
    let line = host.poplin(&["drops"]);
    let words =
        format!("web (192.0.2.7) -> db ({})  icmp/8  egress of web: 192.0.2.7 is not an address of web\n", db.v4());
    assert!(line.ends_with(&words), "{line}");
    assert!(all(&host, &[]).iter().all(|drop| drop["limited"] == false), "these were all");
    assert_eq!(figure(&host, "poplin_drops_heard_total{direction=\"egress\",reason=\"spoof\"}"), 1);
}

#[test]
fn the_rest_of_a_connection_that_was_ended_is_told() {
    let lab = Lab::new();
    let (host, web, db) = room(&lab);
    let flow = Flow::open(&web, &db, db.v4(), 5432);
    flow.goes_on();

    host.apply(DB_FOR_22);

    let drop = dropped(&host, |drop| drop["destinationPort"] == 5432 || drop["sourcePort"] == 5432);
    assert_eq!(drop["direction"], "egress");
    assert_eq!(drop["reason"], "it is from the middle of a TCP stream that is not known, or was ended");
}

#[test]
fn explain_tells_of_the_packet_that_comes_while_it_waits() {
    let lab = Lab::new();
    let (host, web, _db) = room(&lab);
    let early = host.try_poplin(&["explain", "web", "169.254.1.1", "tcp/22", "--live", "--wait", "0"]);
    assert_eq!(early.status.code(), Some(8), "{}", told(&early));
    assert!(told(&early).contains("this host dropped no packet from web to 169.254.1.1 tcp/22"), "{}", told(&early));

    let live = std::thread::scope(|scope| {
        let live = scope.spawn(|| host.try_poplin(&["explain", "web", "169.254.1.1", "tcp/22", "--live"]));
        while !live.is_finished() {
            web.connects("169.254.1.1".parse().expect("an address"), 22);
        }
        live.join().expect("poplin runs")
    });

    assert_eq!(live.status.code(), Some(1), "{}", told(&live));
    assert!(told(&live).contains("egress of web: workloads may not open this to their own host"), "{}", told(&live));
}

#[test]
fn a_flood_of_drops_neither_fills_the_agent_nor_silences_the_feed() {
    let lab = Lab::new();
    let (mut host, web, db) = room(&lab);
    let before = resident_kib(&mut host);

    datagrams(&web, "169.254.1.1:9", 50_000);

    let drops = eventually("the flood is told", || match all(&host, &[]) {
        drops if drops.len() >= 100 => Ok(drops),
        drops => Err(format!("{} drops", drops.len())),
    });
    assert!(drops.len() <= 1024, "{}", drops.len());
    assert!(drops.iter().any(|drop| drop["limited"] == true), "there were more than are told");
    let grown = resident_kib(&mut host).saturating_sub(before);
    assert!(grown < 16 * 1024, "{grown} KiB more");
    until("the next drop is told", || {
        datagrams(&web, "169.254.1.1:54", 1);
        all(&host, &[]).iter().any(|drop| drop["destinationPort"] == 54)
    });
    assert!(web.reaches(db.v4()), "and nobody else noticed");
}

/// All drops the host remembers.
fn all(host: &Agent, arguments: &[&str]) -> Vec<Value> {
    let lines = host.poplin(&[&["drops", "-o", "json"], arguments].concat());
    lines.lines().map(|line| serde_json::from_str(line).expect("-o json is JSON")).collect()
}

/// The first drop that is looked for.
#[track_caller]
fn dropped(host: &Agent, is_it: impl Fn(&Value) -> bool) -> Value {
    eventually("the drop is told", || {
        let drops = all(host, &[]);
        drops.iter().find(|drop| is_it(drop)).cloned().ok_or_else(|| format!("{drops:?}"))
    })
}

fn datagrams(from: &Container, to: &str, count: u32) {
    let socket = from.namespace().within(|| UdpSocket::bind("0.0.0.0:0")).expect("a port is free");
    (0..count).for_each(|_| drop(socket.send_to(b"x", to)));
}

/// Memory of the agent that is in use.
fn resident_kib(host: &mut Agent) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", host.process().pid())).expect("the agent runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a process has memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

fn text(value: impl ToString) -> Value {
    Value::String(value.to_string())
}

const DB_FOR_22: &str = "
apiVersion: poplin.dev/v1
kind: Policy
metadata: {name: db}
spec: {subject: app == 'db', ingress: [{action: allow, ports: [tcp/22]}]}
";

const DB_WATCHED: &str = "
apiVersion: poplin.dev/v1
kind: Policy
metadata: {name: db}
spec:
  subject: app == 'db'
  ingress:
  - {name: watch, action: log, ports: [tcp/22]}
  - {action: allow, ports: [tcp/22]}
  - {name: no-sql, action: deny, ports: [tcp/5432]}
";

const DB_BUT_5432: &str = "
apiVersion: poplin.dev/v1
kind: Policy
metadata: {name: db}
spec: {subject: app == 'db', ingress: [{name: no-sql, action: deny, ports: [tcp/5432]}, {action: allow}]}
";
