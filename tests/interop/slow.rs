//! A neighbour that goes on sending KEEPALIVEs and reads nothing (RFC 9687), played by the test beside a speaker alone.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};

use ipnet::{IpNet, Ipv4Net};
use poplin_bgp::Asn;
use poplin_bgp::wire::{AsPath, Attributes, Capability, Dialect, Family, Message, Open, Origin, Unknown, pack_reach};
use poplin_lab::{Agent, Lab, Namespace, eventually};
use serde_json::Value;

const SPEAKER: &str = r#"
asn = 64512
routerId = "192.0.2.1"
addresses = ["192.0.2.1"]
[peers.source]
address = "192.0.2.11"
asn = 64512
passive = true
reflectorClient = true
[peers.stuck]
address = "192.0.2.12"
asn = 64512
passive = true
reflectorClient = true
holdTimeSeconds = 9
"#;

const DIALECT: Dialect = Dialect { four_octets: true, external: false, ..Dialect::PLAIN };

/// So many prefixes, each with so many octets that nobody understands: a table of 600 kB.
const PREFIXES: u32 = 200;
const OCTETS: usize = 3000;

#[test]
fn a_neighbour_that_reads_nothing_costs_a_bounded_room_and_is_left_in_the_end() {
    let lab = Lab::new();
    let namespace = lab.namespace("speaker");
    let [source, stuck] = ["source", "stuck"].map(|name| lab.namespace(name));
    let _segment = lab.segment("192.0.2", &[(&namespace, 1), (&source, 11), (&stuck, 12)]);
    // As little as possible hides in the kernel.
    namespace.run("sysctl", &["-qw", "net.ipv4.tcp_wmem=4096 16384 65536"]);
    stuck.run("sysctl", &["-qw", "net.ipv4.tcp_rmem=4096 16384 65536"]);
    let mut speaker = Agent::speaker(&lab, namespace, "speaker", SPEAKER);
    speaker.start();
    let mut stuck = begin(&stuck, 12);
    let mut source = begin(&source, 11);
    speaker.until_established(2);

    let mut rounds = 1..;
    let mut tell = || {
        source.write_all(&rounds.next().map(table).unwrap_or_default()).expect("the speaker reads");
        stuck.write_all(&Message::Keepalive.encode(Dialect::PLAIN)).expect("the speaker reads");
    };
    eventually("so much waits that the rest is told later", || {
        tell();
        match neighbour(&speaker) {
            told if number(&told, "latePrefixes") > 0 => Ok(()),
            told => Err(told.to_string()),
        }
    });
    let shown = speaker.poplin(&["bgp", "neighbor", "stuck"]);
    assert!(shown.contains("waits to be taken") && shown.contains("prefixes to be told after them"), "{shown}");
    (0..2).for_each(|_| tell());

    let told = neighbour(&speaker);
    assert!(number(&told, "latePrefixes") <= u64::from(PREFIXES), "{told}");
    assert!(number(&told, "waitingOctets") < 2 << 20, "a MiB, one table, and what one event makes: {told}");

    speaker.reconfigure(&format!("{SPEAKER}sendHoldSeconds = 10\n"));

    eventually("the session ends", || {
        let _ended = stuck.write_all(&Message::Keepalive.encode(Dialect::PLAIN));
        match speaker.said() {
            said if said.contains("session with 192.0.2.12 is down: send hold timer expired (8/0)") => Ok(()),
            _ => Err(neighbour(&speaker).to_string()),
        }
    });
    assert_eq!(number(&neighbour(&speaker), "waitingOctets"), 0);
}

/// Calls the speaker from its namespace, and agrees on a session without a hold time: a busy machine is not to end it.
fn begin(namespace: &Namespace, host: u8) -> TcpStream {
    let router_id = Ipv4Addr::new(192, 0, 2, host);
    let capabilities = vec![Capability::Multiprotocol(Family::Ipv4), Capability::FourOctetAsn(Asn(64512))];
    let open = Open { my_as: 64512, hold_time_secs: 0, router_id, capabilities };
    let connect = || namespace.connect([192, 0, 2, 1].into(), 179).map_err(|error| error.to_string());
    let mut stream = eventually("the speaker listens", connect);
    stream.write_all(&Message::Open(open).encode(Dialect::PLAIN)).expect("the speaker reads");
    stream.read_exact(&mut [0; 29]).expect("its OPEN comes");
    stream.write_all(&Message::Keepalive.encode(Dialect::PLAIN)).expect("the speaker reads");
    stream
}

/// The whole table, with other octets each time.
fn table(round: u32) -> Vec<u8> {
    let messages = (0..PREFIXES).flat_map(|number| {
        let mut attributes = Attributes { local_pref: Some(100), ..Attributes::new(Origin::Igp, AsPath::default()) };
        let value = round.to_be_bytes().into_iter().chain(number.to_be_bytes()).cycle().take(OCTETS).collect();
        attributes.unknown = vec![Unknown { code: 99, value }];
        let prefix = Ipv4Net::new((0x0a00_0000 + (number << 8)).into(), 24).expect("24 bits are some");
        pack_reach(&attributes, Ipv4Addr::new(192, 0, 2, 11), [IpNet::V4(prefix)], DIALECT)
    });
    messages.flatten().collect()
}

fn neighbour(speaker: &Agent) -> Value {
    serde_json::from_str(&speaker.poplin(&["bgp", "neighbor", "stuck", "-o", "json"])).expect("it is JSON")
}

fn number(told: &Value, field: &str) -> u64 {
    let number = &told[field];
    number.as_u64().or_else(|| number.as_str().and_then(|text| text.parse().ok())).unwrap_or_default()
}
