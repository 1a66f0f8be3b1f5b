//! What we write for tools of others, read by them: a table in MRT by bgpdump, and figures by Prometheus' own checker.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

use poplin_lab::{Agent, Bird, Lab, run, until};

/// A reflector with a BIRD that announces routes of both families with all kinds of words about them.
struct World {
    reflector: Agent,
    bird: Bird,
    lab: Lab,
    _segment: poplin_lab::Namespace,
}

const FILE: &str = r#"
asn = 64512
routerId = "192.0.2.1"
addresses = ["192.0.2.1", "2001:db8:1::1"]
metricsListen = "127.0.0.1:9469"

[peers.tor]
address = "192.0.2.11"
asn = 4200000001
import = "some"
prefixLimits = { ipv4 = 1000 }

[routeMaps.some]
otherwise = "accept"
rules = [{ action = "reject", when = { prefixes = ["203.0.113.0/24"] } }]
"#;

const BIRD: &str = r#"
log stderr all;
router id 192.0.2.11;
protocol device {}
protocol static { ipv4; route 198.51.100.0/24 blackhole; route 203.0.113.0/24 blackhole; route 10.1.0.0/16 blackhole; }
protocol static { ipv6; route 2001:db8:51::/48 blackhole; }
filter words {
  bgp_community.add((65001, 7)); bgp_large_community.add((4200000001, 1, 2)); bgp_med = 40;
  bgp_path.prepend(65010); accept;
}
protocol bgp reflector {
  local 192.0.2.11 as 4200000001; neighbor 192.0.2.1 as 64512; connect delay time 1;
  ipv4 { import all; export filter words; next hop self; };
  ipv6 { import all; export filter words; next hop address 2001:db8:1::11; };
}
"#;

impl World {
    fn new() -> Self {
        let lab = Lab::new();
        let mut bird = Bird::new(&lab, "tor");
        let namespace = lab.namespace("rr1");
        let segment = lab.segment("192.0.2", &[(&namespace, 1), (bird.namespace(), 11)]);
        let mut reflector = Agent::speaker(&lab, namespace, "rr1", FILE);
        reflector.start();
        bird.start_with(BIRD);
        reflector.until_established(1);
        until("all four routes are there", || reflector.status()["sessions"][0]["prefixesReceived"] == 4);
        Self { reflector, bird, lab, _segment: segment }
    }

    fn dump(&self) -> String {
        let path = self.lab.directory().join("table.mrt").display().to_string();
        let told = self.reflector.try_poplin(&["bgp", "dump", &path]);
        assert!(String::from_utf8_lossy(&told.stderr).starts_with("3 prefixes are in "), "{told:?}");
        path
    }
}

#[test]
fn bgpdump_reads_the_table_as_it_is() {
    let world = World::new();

    let path = world.dump();
    let lines = run("bgpdump", &["-m", "-v", &path]);

    // Neighbour, AS, prefix, path, origin, next hop, local preference, MED, communities: a line as bgpdump writes it.
    let fields: BTreeSet<Vec<&str>> = lines.lines().map(|line| line.split('|').skip(3).collect()).collect();
    let said = ["4200000001 65010", "IGP"];
    let words = ["0", "40", "65001:7", "NAG", "", ""];
    let of = |prefix, next_hop| [&["192.0.2.11", "4200000001", prefix], &said[..], &[next_hop], &words].concat();
    let expected = [
        of("10.1.0.0/16", "192.0.2.11"),
        of("198.51.100.0/24", "192.0.2.11"),
        of("2001:db8:51::/48", "2001:db8:1::11"),
    ];
    assert_eq!(fields, expected.into(), "{lines}");
    let whole = run("bgpdump", &["-v", &path]);
    assert_eq!(whole.matches("LARGE_COMMUNITY: 4200000001:1:2").count(), 3, "{whole}");
    assert_eq!(whole.matches("FROM: 192.0.2.11 AS4200000001").count(), 3, "{whole}");
}

#[test]
fn prometheus_finds_nothing_wrong_with_our_figures() {
    let world = World::new();
    let figures = world.reflector.poplin(&["metrics"]);
    let served = world.reflector.namespace().within(|| asked("GET /metrics HTTP/1.1"));

    assert!(served.starts_with("HTTP/1.1 200 OK\r\n") && served.contains("version=0.0.4"), "{served}");
    let who = "peer=\"tor\",address=\"192.0.2.11\",asn=\"4200000001\"";
    for line in [
        format!("poplin_bgp_peer_up{{{who}}} 1"),
        format!("poplin_bgp_peer_state{{{who},state=\"Established\"}} 1"),
        format!("poplin_bgp_peer_prefixes_received{{{who},family=\"ipv4\"}} 3"),
        format!("poplin_bgp_peer_prefixes_accepted{{{who},family=\"ipv4\"}} 2"),
        format!("poplin_bgp_peer_prefixes_accepted{{{who},family=\"ipv6\"}} 1"),
        format!("poplin_bgp_peer_prefixes_limit{{{who},family=\"ipv4\"}} 1000"),
        format!("poplin_bgp_peer_prefixes_refused_total{{{who},reason=\"rules\"}} 1"),
        format!("poplin_bgp_peer_messages_received_total{{{who},type=\"open\"}} 1"),
        format!("poplin_bgp_peer_flaps_total{{{who}}} 0"),
    ] {
        assert!(figures.contains(&line) && served.contains(&line), "{line} in\n{figures}");
    }
    if let Some(promtool) = promtool() {
        checked(&promtool, &figures);
    }

    world.bird.birdc("disable reflector");
    until("its end is counted", || {
        let figures = world.reflector.poplin(&["metrics"]);
        let last = "from=\"peer\",code=\"6\",subcode=\"2\"";
        figures.contains(&format!("poplin_bgp_peer_flaps_total{{{who}}} 1"))
            && figures.contains(&format!("poplin_bgp_peer_last_notification_age_seconds{{{who},{last}}}"))
    });
    let refused = world.reflector.namespace().within(|| [asked("GET / HTTP/1.1"), asked("POST /metrics HTTP/1.1")]);
    assert!(refused[0].starts_with("HTTP/1.1 404") && refused[1].starts_with("HTTP/1.1 405"), "{refused:?}");
}

fn asked(line: &str) -> String {
    let mut stream = std::net::TcpStream::connect("127.0.0.1:9469").expect("somebody listens");
    write!(stream, "{line}\r\nHost: h\r\nConnection: close\r\n\r\n").expect("it reads");
    std::io::read_to_string(stream).expect("it answers")
}

/// Where it is: it comes with a server that is a hundred times as large, so not everybody has it.
fn promtool() -> Option<std::ffi::OsString> {
    let path = std::env::var_os("PROMTOOL").unwrap_or_else(|| "promtool".into());
    Command::new(&path).arg("--version").output().is_ok().then_some(path)
}

#[track_caller]
fn checked(promtool: &std::ffi::OsStr, figures: &str) {
    let mut command = Command::new(promtool);
    let command = command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut check = command.stderr(Stdio::piped()).spawn().expect("promtool runs");
    let mut input = check.stdin.take().expect("it was asked for");
    input.write_all(figures.as_bytes()).expect("promtool reads");
    drop(input);
    let output = check.wait_with_output().expect("promtool ends");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}
