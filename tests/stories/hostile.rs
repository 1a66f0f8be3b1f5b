//! A container that lies to its host below the level of ports: about whose an address is, where the way out is, how a packet is to go, and what one holds.

use std::net::{IpAddr, Ipv4Addr, SocketAddrV6};

use poplin_lab::{Container, Fabric, Namespace, until};
use rustix::net::{AddressFamily, SendFlags, SocketType, ipproto, sockopt};

use crate::spoof::counting;

/// ICMPv6 types (RFC 4861 §4.2, §4.4).
const ROUTER_ADVERTISEMENT: u8 = 134;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;

#[test]
fn who_claims_anothers_address_or_to_be_the_router_moves_no_packet() {
    let fabric = Fabric::under_a_tor(1);
    let (web, db, eve) = (fabric.container(1, "web"), fabric.container(1, "db"), fabric.container(1, "eve"));
    let host = fabric.hosts[0].namespace();
    until("db answers", || web.reaches(db.v4()) && web.reaches(db.v6()));
    let known = ground_of(host);

    let claimed = [db.v4(), "169.254.1.1".parse().expect("an address"), "172.31.1.1".parse().expect("an address")];
    for address in claimed {
        let (text, own) = (address.to_string(), format!("{address}/32"));
        eve.namespace().run("ip", &["address", "add", &own, "dev", "eth0"]);
        for kind in ["-A", "-U"] {
            eve.namespace().run("busybox", &["arping", kind, "-c", "3", "-I", "eth0", &text]);
        }
        eve.namespace().run("ip", &["address", "del", &own, "dev", "eth0"]);
    }
    advertise(&eve, &neighbour(db.v6()));
    advertise(&eve, &router());

    assert!(web.reaches(db.v4()) && web.reaches(db.v6()) && eve.reaches(db.v4()));
    assert_eq!(ground_of(host), known, "the host believes nothing of it");
}

#[test]
fn what_is_sourcerouted_or_overlaps_does_not_arrive() {
    let fabric = Fabric::under_a_tor(1);
    let (eve, db) = (fabric.container(1, "eve"), fabric.container(1, "db"));
    until("db answers", || eve.reaches(db.v4()));
    let (IpAddr::V4(from), IpAddr::V4(to)) = (eve.v4(), db.v4()) else { panic!("both are of IPv4") };
    let arrived = counting(db.namespace(), "udp dport 4000");
    let to_port = |id, offset, more, body: &[u8]| fragment(from, to, Vec::new(), (id, offset, more), body);
    let head = [0x0f, 0xa0, 0x0f, 0xa0, 0, 24, 0, 0]; // from and to port 4000, 24 octets, no checksum

    send(eve.namespace(), to, &to_port(1, 0, true, &[&head[..], &[1; 8]].concat()));
    send(eve.namespace(), to, &to_port(1, 2, false, &[2; 8]));
    until("fragments that fit arrive", || arrived() == 1);

    send(eve.namespace(), to, &to_port(2, 0, true, &[&head[..], &[1; 8]].concat()));
    send(eve.namespace(), to, &to_port(2, 1, false, &[2; 16]));
    let router = Ipv4Addr::new(172, 31, 1, 2);
    let way = [131, 7, 4].into_iter().chain(to.octets()).chain([0]).collect(); // loose source route (RFC 791 §3.1), and the end of options
    send(eve.namespace(), router, &fragment(from, router, way, (3, 0, false), &[&head[..], &[3; 16]].concat()));
    send(eve.namespace(), to, &fragment(from, to, Vec::new(), (4, 0, false), &[&head[..], &[4; 16]].concat()));

    until("what is sent after them does", || arrived() == 2);
    assert_eq!(arrived(), 2, "neither of the two between arrives");
}

/// Neighbours, routes and addresses of a host, without what only says how long ago something was heard.
fn ground_of(host: &Namespace) -> String {
    let neighbours = host.run("ip", &["neighbour", "show", "nud", "permanent"]);
    let asked = [["-4", "route"], ["-6", "route"], ["-br", "address"]];
    let lines = asked.map(|arguments| host.run("ip", &arguments));
    let lines = lines.iter().flat_map(|text| text.lines()).filter(|line| !line.contains("expires"));
    neighbours.lines().chain(lines).map(|line| format!("{}\n", line.trim())).collect()
}

/// To all nodes on the link of a container, as its router or a neighbour of it would.
fn advertise(from: &Container, message: &[u8]) {
    let index = from.namespace().run("cat", &["/sys/class/net/eth0/ifindex"]).trim().parse().expect("an index");
    let all = SocketAddrV6::new("ff02::1".parse().expect("an address"), 0, 0, index);
    from.namespace().within(|| {
        let socket =
            rustix::net::socket(AddressFamily::INET6, SocketType::RAW, Some(ipproto::ICMPV6)).expect("we are root");
        sockopt::set_ipv6_multicast_hops(&socket, 255).expect("RFC 4861 wants it");
        for _ in 0..3 {
            rustix::net::sendto(&socket, message, SendFlags::empty(), &all).expect("it is sent");
        }
    });
}

/// An unsolicited advertisement that overrides what was known (RFC 4861 §4.4), with a link-layer address of nobody.
fn neighbour(target: IpAddr) -> Vec<u8> {
    let IpAddr::V6(target) = target else { panic!("{target} is not of IPv6") };
    let mut message = vec![NEIGHBOUR_ADVERTISEMENT, 0, 0, 0, 0x20, 0, 0, 0];
    message.extend(target.octets());
    message.extend([2, 1, 2, 0xee, 0xee, 0xee, 0xee, 0xee]);
    message
}

/// A router that lives for half an hour, and a prefix to take an address from (RFC 4861 §4.2, §4.6.2).
fn router() -> Vec<u8> {
    let mut message = vec![ROUTER_ADVERTISEMENT, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0];
    message.extend([3, 4, 64, 0xc0, 0, 0, 7, 8, 0, 0, 7, 8, 0, 0, 0, 0]);
    message.extend([0xfd, 0xee, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    message
}

/// An IPv4 packet of UDP (RFC 791 §3.1): options, its id, the offset in units of eight octets, and whether more fragments follow.
fn fragment(
    from: Ipv4Addr,
    to: Ipv4Addr,
    options: Vec<u8>,
    (id, offset, more): (u16, u16, bool),
    body: &[u8],
) -> Vec<u8> {
    let words = 5 + options.len().div_ceil(4);
    let length = u16::try_from(words * 4 + body.len()).expect("it is short");
    let mut packet = vec![0x40 | u8::try_from(words).expect("options are short"), 0];
    packet.extend(length.to_be_bytes());
    packet.extend(id.to_be_bytes());
    packet.extend((offset | if more { 0x2000 } else { 0 }).to_be_bytes());
    packet.extend([64, 17, 0, 0]); // the kernel fills the checksum in (raw(7))
    packet.extend(from.octets());
    packet.extend(to.octets());
    packet.extend(options);
    packet.resize(words * 4, 0);
    packet.extend(body);
    packet
}

fn send(from: &Namespace, to: Ipv4Addr, packet: &[u8]) {
    from.within(|| {
        let socket =
            rustix::net::socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::RAW)).expect("we are root");
        let to = std::net::SocketAddrV4::new(to, 0);
        rustix::net::sendto(&socket, packet, SendFlags::empty(), &to).expect("it is sent");
    });
}
