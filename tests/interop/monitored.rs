//! A host tells pmacct's BMP collector of its BGP, and Wireshark's dissector finds nothing wrong with a single message.

use std::collections::BTreeSet;

use poplin_lab::{Lab, Namespace, Process, eventually, until};
use rustix::process::Signal;
use serde_json::Value;

use crate::bird::{FOREIGN, World};

const STATIONS: &str = "{apiVersion: poplin.dev/v1, kind: FabricConfig, metadata: {name: default}, spec: {monitoringStations: \
    [{address: 172.31.1.1, views: [pre-policy, post-policy, loc-rib], statisticsSeconds: 1}]}}";

#[test]
fn a_collector_hears_of_sessions_routes_and_ends() {
    let lab = Lab::new();
    let mut world = World::new(65001, 64601);
    world.exchange();
    let wire = Wire::tap(&lab, world.tor.namespace());
    let collector = Collector::start(&lab, world.tor.namespace());

    world.host.apply(STATIONS);

    for view in ["is_in", "is_post", "is_loc"] {
        eventually("the collector has both routes of BIRD", || {
            let known = collector.prefixes(view);
            if FOREIGN.iter().all(|prefix| known.contains(*prefix)) { Ok(()) } else { Err(collector.text()) }
        });
    }
    let route = collector.route(FOREIGN[0]);
    assert_eq!([&route["bgp_nexthop"], &route["as_path"]], ["172.31.1.1", "65001"], "{route}");
    until("how many routes there are is told again and again", || collector.count("stats") > 4);
    assert!(collector.text().contains("\"poplind "), "{}", collector.text());

    assert!(world.tor.bird().birdc("disable foreign4").contains("disabled"));
    until("a route that went is told of", || collector.text().contains("\"withdraw\""));
    world.tor.bird().birdc("restart fabric");
    until("so is the end of the session", || collector.count("peer_down") > 0);
    until("and the next one", || collector.count("peer_up") > 2);
    world.host.process().signal(Signal::TERM);
    until("and that the agent stops", || collector.count("term") > 0);

    wire.shows_no_flaw();
}

#[test]
fn a_collector_that_comes_back_hears_everything_anew() {
    let lab = Lab::new();
    let mut world = World::new(65001, 64601);
    world.exchange();
    world.host.apply(STATIONS);
    until("that nobody listens is told", || world.host.said().contains("monitoring station 172.31.1.1:11019"));

    for _ in 0..2 {
        let collector = Collector::start(&lab, world.tor.namespace());
        until("it hears the whole table", || FOREIGN.iter().all(|one| collector.prefixes("is_in").contains(*one)));
    }
}

/// pmacct's collector.
struct Collector {
    _process: Process,
    log: std::path::PathBuf,
}

impl Collector {
    fn start(lab: &Lab, namespace: &Namespace) -> Self {
        let (log, settings) = (lab.directory().join("bmp.json"), lab.directory().join("pmbmpd.conf"));
        let _ = std::fs::remove_file(&log);
        let text = format!(
            "daemonize: false\nbmp_daemon_ip: 0.0.0.0\nbmp_daemon_port: 11019\nbmp_daemon_max_peers: 10\n\
             bmp_daemon_msglog_file: {}\nbmp_daemon_msglog_output: json\n",
            log.display()
        );
        std::fs::write(&settings, text).expect("the directory is there");
        let said = lab.directory().join("pmbmpd.log");
        let process = namespace.spawn(said, "pmbmpd", &["-f", &settings.display().to_string()]);
        Self { _process: process, log }
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// All it has heard so far; its last line may not be whole yet.
    fn heard(&self) -> Vec<Value> {
        self.text().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    fn count(&self, kind: &str) -> usize {
        self.heard().iter().filter(|one| one["bmp_msg_type"] == kind).count()
    }

    fn routes(&self) -> impl Iterator<Item = Value> {
        self.heard().into_iter().filter(|one| one["log_type"] == "update")
    }

    fn prefixes(&self, view: &str) -> BTreeSet<String> {
        let routes = self.routes().filter(|route| route[view] == 1 && (view == "is_post" || route["is_post"] != 1));
        routes.filter_map(|route| route["ip_prefix"].as_str().map(str::to_owned)).collect()
    }

    fn route(&self, prefix: &str) -> Value {
        self.routes().find(|route| route["ip_prefix"] == prefix).expect("it was told of")
    }
}

/// Everything that passes to the collector.
struct Wire {
    process: Process,
    path: String,
}

impl Wire {
    fn tap(lab: &Lab, namespace: &Namespace) -> Self {
        let path = lab.directory().join("bmp.pcap").display().to_string();
        let log = lab.directory().join("dumpcap.log");
        let process = namespace.spawn(log, "dumpcap", &["-i", "any", "-P", "-q", "-f", "tcp port 11019", "-w", &path]);
        until("it listens", || process.said().contains("File: "));
        Self { process, path }
    }

    /// What Wireshark says about each message, if the filter lets it pass.
    fn dissected(&self, filter: &str, field: &str) -> String {
        let arguments = ["-r", &self.path, "-d", "tcp.port==11019,bmp", "-Y", filter, "-T", "fields", "-e", field];
        poplin_lab::run("tshark", &arguments)
    }

    fn shows_no_flaw(mut self) {
        eventually("the last message is written down", || match self.dissected("bmp.type == 5", "bmp.type") {
            none if none.trim().is_empty() => Err(self.process.said()),
            _ => Ok(()),
        });
        self.process.kill();
        // Wireshark 4.0 takes what follows the two OPENs of a table for a third message; RFC 9069 §4.4 has the table's name there.
        let flaws =
            "bmp && (_ws.malformed || _ws.expert.severity >= 6291456) && !(bmp.type == 3 && bmp.peer.type == 3)";
        let flaws = self.dissected(flaws, "_ws.expert.message");
        assert_eq!(flaws, "", "warnings and errors of the dissector");
        let kinds = self.dissected("bmp", "bmp.type");
        let kinds: BTreeSet<&str> = kinds.split([',', '\n']).filter(|kind| !kind.is_empty()).collect();
        assert_eq!(kinds, ["0", "1", "2", "3", "4", "5"].into());
    }
}
