//! Flows, as cases write them: `SOURCES -> DESTINATIONS TRAFFIC: allow`, each a list with commas.
//!
//! An end is an endpoint of the topology, an address, a namespace as `shop/*`, `all` for every endpoint, `host`, or one of the outside
//! names. Traffic is `tcp/80`, `tcp/80<1024` with a source port, `echo`, `icmp/8/0`, `proto/47`, or `usual` for the usual ones;
//! ` v4` or ` v6` behind it asks for one family only.

use std::collections::BTreeSet;
use std::net::IpAddr;

use poplin_manifest::world;
use poplin_policy::packet::{Packet, Transport};
use poplin_policy::world::World;

use crate::case::{Case, TOPOLOGY, documents};
use crate::way::HOST;

/// One packet that opens a flow.
pub(crate) struct Flow {
    pub(crate) packet: Packet,
    /// The line that speaks of it.
    pub(crate) said: String,
    pub(crate) is_allowed: bool,
}

/// Addresses no endpoint has.
const OUTSIDE: [(&str, [&str; 2]); 3] = [
    ("office", ["192.0.2.10", "2001:db8:1::10"]),
    ("partner", ["203.0.113.5", "2001:db8:3::5"]),
    ("internet", ["198.51.100.7", "2001:db8:2::7"]),
];

/// What `usual` and `rest` stand for.
const USUAL: [&str; 7] = ["tcp/80", "tcp/443", "tcp/8080", "tcp/5432", "udp/53", "echo", "proto/47"];

/// The source port nobody named.
const ANY_PORT: u16 = 49152;

/// Every flow a case speaks of.
pub(crate) fn flows(case: &Case) -> Vec<Flow> {
    let world = world(&documents(TOPOLOGY).unwrap()).unwrap();
    let mut flows = Vec::new();
    let mut spoken = BTreeSet::new();
    for line in &case.expectations {
        let (what, verdict) = line.rsplit_once(':').unwrap_or_else(|| panic!("{line}"));
        let is_allowed = match verdict.trim() {
            "allow" => true,
            "deny" => false,
            other => panic!("{other} is no verdict, in {line}"),
        };
        let packets = if what == "rest" { rest(&world) } else { packets(&world, what) };
        for packet in packets {
            let is_new = spoken.insert(packet.to_string());
            match what {
                "rest" if !is_new => {}
                _ if !is_new => panic!("{}: {packet} is spoken of twice, again in {line}", case.title),
                _ => flows.push(Flow { packet, said: line.clone(), is_allowed }),
            }
        }
    }
    assert!(!flows.is_empty(), "{} expects nothing", case.title);
    flows
}

/// The usual traffic between all that are there.
fn rest(world: &World) -> Vec<Packet> {
    let outside: Vec<&str> = OUTSIDE.iter().map(|(name, _)| *name).collect();
    let outside = outside.join(", ");
    [format!("all, {outside} -> all usual"), format!("all -> {outside} usual")]
        .iter()
        .flat_map(|line| packets(world, line))
        .collect()
}

fn packets(world: &World, line: &str) -> Vec<Packet> {
    let (sources, rest) = line.split_once(" -> ").unwrap_or_else(|| panic!("{line}"));
    let (rest, families) = match rest.trim() {
        rest if rest.ends_with(" v4") => (rest[..rest.len() - 3].to_owned(), vec![false]),
        rest if rest.ends_with(" v6") => (rest[..rest.len() - 3].to_owned(), vec![true]),
        rest => (rest.to_owned(), vec![false, true]),
    };
    let words: Vec<&str> = rest.split(',').flat_map(str::split_whitespace).collect();
    let is_traffic = |word: &&&str| {
        let names = ["tcp", "udp", "sctp", "udplite", "icmp", "icmp6", "proto"];
        **word == "usual" || **word == "echo" || word.split_once('/').is_some_and(|(name, _)| names.contains(&name))
    };
    let traffic: Vec<&str> = words.iter().filter(is_traffic).copied().collect();
    let destinations: Vec<&str> = words.iter().filter(|word| !is_traffic(word)).copied().collect();
    let traffic: Vec<&str> =
        traffic.iter().flat_map(|one| if *one == "usual" { USUAL.to_vec() } else { vec![*one] }).collect();
    let sources: Vec<&str> = sources.split(',').map(str::trim).collect();
    assert!(!traffic.is_empty() && !destinations.is_empty(), "{line}");
    // A list of many meets itself without meaning it.
    let is_itself = sources == destinations && sources.len() == 1 && world.endpoints.contains_key(sources[0]);
    let mut packets = Vec::new();
    for is_v6 in families {
        for source in sources.iter().flat_map(|source| ends(world, source, is_v6)) {
            for destination in destinations.iter().flat_map(|destination| ends(world, destination, is_v6)) {
                if source != destination || is_itself {
                    packets.extend(traffic.iter().filter_map(|one| packet(source, destination, one)));
                }
            }
        }
    }
    packets
}

/// The addresses of a family that a word stands for.
fn ends(world: &World, word: &str, is_v6: bool) -> Vec<IpAddr> {
    let of_family = |address: &IpAddr| address.is_ipv6() == is_v6;
    if let Ok(address) = word.parse::<IpAddr>() {
        return Some(address).filter(of_family).into_iter().collect();
    }
    if word == "host" {
        return HOST.iter().map(|text| text.parse().unwrap()).filter(of_family).collect();
    }
    if let Some((_, addresses)) = OUTSIDE.iter().find(|(name, _)| *name == word) {
        return addresses.iter().map(|text| text.parse().unwrap()).filter(of_family).collect();
    }
    let is_meant = |name: &str, namespace: Option<&str>| match word.strip_suffix("/*") {
        Some(wanted) => namespace == Some(wanted),
        None => word == "all" || word == name,
    };
    let meant = world.endpoints.iter().filter(|(name, one)| is_meant(name, one.namespace.as_deref()));
    let meant: Vec<_> = meant.map(|(_, one)| one.addresses.clone()).collect();
    assert!(!meant.is_empty(), "nobody is called {word}");
    meant.concat().into_iter().filter(of_family).collect()
}

/// The packet, if its protocol is of the family of its ends.
fn packet(source: IpAddr, destination: IpAddr, traffic: &str) -> Option<Packet> {
    let is_v6 = source.is_ipv6();
    if traffic == "echo" {
        return Some(Packet::icmp(source, destination, if is_v6 { 128 } else { 8 }, 0));
    }
    let (name, rest) = traffic.split_once('/').unwrap();
    let ports = |protocol: u8| {
        let (port, from) = rest.split_once('<').unwrap_or((rest, ""));
        let from = from.parse().unwrap_or(ANY_PORT);
        Transport::Ports { protocol, source: from, destination: port.parse().unwrap() }
    };
    let message = |protocol: u8| {
        let (kind, code) = rest.split_once('/').unwrap_or((rest, "0"));
        Transport::Icmp { protocol, kind: kind.parse().unwrap(), code: code.parse().unwrap() }
    };
    let transport = match name {
        "tcp" => ports(6),
        "udp" => ports(17),
        "sctp" => ports(132),
        "udplite" => ports(136),
        "icmp" if !is_v6 => message(1),
        "icmp6" if is_v6 => message(58),
        "icmp" | "icmp6" => return None,
        "proto" => Transport::Other(rest.parse().unwrap()),
        other => panic!("{other} is no protocol"),
    };
    Some(Packet { source, destination, transport })
}
