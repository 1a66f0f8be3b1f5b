//! A neighbour that goes on sending KEEPALIVEs and reads nothing (RFC 9687), played by the test beside a speaker alone.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::{Arc, Mutex};

use ipnet::{IpNet, Ipv4Net};
use poplin_bgp::Asn;
use poplin_bgp::wire::{
    AsPath, Attributes, Capability, Dialect, Family, Framer, Message, Open, Origin, Unknown, Update, pack_reach,
};
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

/// Comes before the peers of [`SPEAKER`], whose last one is changed on the way.
const FAST: &str = r#"
[peers.fast]
address = "192.0.2.13"
asn = 64512
passive = true
reflectorClient = true
"#;

const DIALECT: Dialect = Dialect { four_octets: true, external: false, ..Dialect::PLAIN };

/// So many prefixes, each with so many octets that nobody understands: a table of 600 kB.
const PREFIXES: u32 = 200;
const OCTETS: usize = 3000;

#[test]
fn a_neighbour_that_reads_nothing_costs_a_bounded_room_delays_nobody_and_is_left_in_the_end() {
    let lab = Lab::new();
    let namespace = lab.namespace("speaker");
    let [source, stuck, fast] = ["source", "stuck", "fast"].map(|name| lab.namespace(name));
    let _segment = lab.segment("192.0.2", &[(&namespace, 1), (&source, 11), (&stuck, 12), (&fast, 13)]);
    // As little as possible hides in the kernel.
    namespace.run("sysctl", &["-qw", "net.ipv4.tcp_wmem=4096 16384 65536"]);
    stuck.run("sysctl", &["-qw", "net.ipv4.tcp_rmem=4096 16384 65536"]);
    let configuration = SPEAKER.replacen("[peers.source]", &format!("{FAST}[peers.source]"), 1);
    let mut speaker = Agent::speaker(&lab, namespace, "speaker", &configuration);
    speaker.start();
    let mut stuck = begin(&stuck, 12);
    let mut source = begin(&source, 11);
    let heard = Heard::of(begin(&fast, 13));
    speaker.until_established(3);

    let mut round = 0;
    let mut tell = || {
        round += 1;
        source.write_all(&table(round)).expect("the speaker reads");
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
    eventually("who reads has all of the last round, beside one who has not read anything of it", || {
        match heard.of_round(round) {
            PREFIXES => Ok(()),
            count => Err(format!("{count} prefixes")),
        }
    });

    let told = neighbour(&speaker);
    assert!(number(&told, "latePrefixes") > 0, "{told}");
    assert!(number(&told, "latePrefixes") <= u64::from(PREFIXES), "{told}");
    assert!(number(&told, "waitingOctets") < 2 << 20, "a MiB, one table, and what one event makes: {told}");

    speaker.reconfigure(&format!("{configuration}sendHoldSeconds = 10\n"));

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
    let mut header = [0; 19];
    stream.read_exact(&mut header).expect("its OPEN comes");
    let octets = usize::from(u16::from_be_bytes([header[16], header[17]]));
    stream.read_exact(&mut vec![0; octets - header.len()]).expect("the rest of it comes");
    stream.write_all(&Message::Keepalive.encode(Dialect::PLAIN)).expect("the speaker reads");
    stream
}

/// In which round each prefix was last heard.
struct Heard(Arc<Mutex<BTreeMap<IpNet, u32>>>);

impl Heard {
    /// Reads as fast as it comes, for as long as it comes.
    fn of(mut stream: TcpStream) -> Self {
        let rounds = Arc::new(Mutex::new(BTreeMap::new()));
        let heard = Self(Arc::clone(&rounds));
        std::thread::spawn(move || {
            let (mut framer, mut octets) = (Framer::default(), vec![0; 1 << 16]);
            while let Ok(count @ 1..) = stream.read(&mut octets) {
                framer.feed(&octets[..count]);
                while let Some((message, _)) = framer.next(DIALECT).expect("the speaker speaks well") {
                    rounds.lock().expect("nobody fails here").extend(told(&message));
                }
            }
        });
        heard
    }

    /// How many prefixes were last heard in this round.
    fn of_round(&self, round: u32) -> u32 {
        let rounds = self.0.lock().expect("nobody fails here");
        rounds.values().filter(|last| **last == round).count().try_into().expect("there are a few hundred")
    }
}

/// Each prefix an UPDATE tells of, and the round in which the source told it.
fn told(message: &Message) -> Vec<(IpNet, u32)> {
    let Message::Update(Update { attributes: Some(attributes), announced, .. }) = message else { return Vec::new() };
    let value = attributes.unknown.first().and_then(|unknown| unknown.value.first_chunk());
    let round = value.map_or(0, |round| u32::from_be_bytes(*round));
    announced.iter().map(|one| (one.prefix, round)).collect()
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
