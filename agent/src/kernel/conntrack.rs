//! Reads the kernel's table of flows, and ends single ones.
//!
//! In: the addresses whose flows matter, flows to end. Out: flows. Knows nothing of why a flow should end.
//! The table may hold millions; the kernel gives it in pieces of 32 KiB, and what matters to nobody is let go piece by piece.
//! Header: linux/netfilter/nfnetlink_conntrack.h; rules: linux net/netfilter/nf_conntrack_netlink.c.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_sys::constants::NETLINK_NETFILTER;
use poplin_node::flows::{Flow, FlowHandle};
use poplin_policy::packet::{ICMP, ICMP6, Packet, TCP, Transport, UDP};
use rustix::io::Errno;

use super::socket::{Conversation, Refusal};
use super::wire::{attribute, attributes, be32_at};

/// `NFNL_SUBSYS_CTNETLINK` (linux/netfilter/nfnetlink.h), in the upper octet of a message's kind.
const SUBSYSTEM: u16 = 1 << 8;
const IPCTNL_MSG_CT_GET: u16 = 1;
const IPCTNL_MSG_CT_DELETE: u16 = 2;

/// `struct nfgenmsg`: family, version, resource id.
const HEAD_OCTETS: usize = 4;
const ANY_FAMILY: [u8; HEAD_OCTETS] = [0; HEAD_OCTETS];

const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_STATUS: u16 = 3;
const CTA_PROTOINFO: u16 = 4;
const CTA_ID: u16 = 12;
const CTA_ZONE: u16 = 18;

const CTA_TUPLE_IP: u16 = 1;
const CTA_TUPLE_PROTO: u16 = 2;

const CTA_IP_V4_SRC: u16 = 1;
const CTA_IP_V4_DST: u16 = 2;
const CTA_IP_V6_SRC: u16 = 3;
const CTA_IP_V6_DST: u16 = 4;

const CTA_PROTO_NUM: u16 = 1;
const CTA_PROTO_SRC_PORT: u16 = 2;
const CTA_PROTO_DST_PORT: u16 = 3;
const CTA_PROTO_ICMP_TYPE: u16 = 5;
const CTA_PROTO_ICMP_CODE: u16 = 6;
const CTA_PROTO_ICMPV6_TYPE: u16 = 8;
const CTA_PROTO_ICMPV6_CODE: u16 = 9;

const CTA_PROTOINFO_TCP: u16 = 1;
/// `struct nf_ct_tcp_flags`: flags, mask.
const CTA_PROTOINFO_TCP_FLAGS_ORIGINAL: u16 = 4;
/// linux/netfilter/nf_conntrack_tcp.h.
const IP_CT_TCP_FLAG_BE_LIBERAL: u8 = 0x08;

/// The flow was announced by another (linux/netfilter/nf_conntrack_common.h).
const IPS_EXPECTED: u32 = 1;

/// SCTP (RFC 9260).
const SCTP: u8 = 132;
/// UDP-Lite (RFC 3828).
const UDP_LITE: u8 = 136;

/// A grip on the table of flows of one network namespace.
pub struct Conntrack {
    conversation: Conversation,
}

impl Conntrack {
    /// Opens the socket. It belongs to the network namespace of the calling thread.
    pub fn open() -> io::Result<Self> {
        Ok(Self { conversation: Conversation::open(NETLINK_NETFILTER)? })
    }

    /// The flows of which an end is one of these addresses, before or after translation.
    pub fn read(&mut self, ends: &BTreeSet<IpAddr>) -> Result<Vec<Flow>, Refusal> {
        let collect = |flows: &mut Vec<Flow>, payload: &[u8]| flows.extend(parse(payload, ends));
        self.conversation.dump(SUBSYSTEM | IPCTNL_MSG_CT_GET, &ANY_FAMILY, |_| {}, collect)
    }

    /// Ends one flow: this very entry, and none that has taken its place since.
    pub fn end(&mut self, flow: &FlowHandle) -> Result<(), Refusal> {
        let Some((head, identity)) = flow.0.split_at_checked(HEAD_OCTETS) else { return Ok(()) };
        match self.conversation.request(SUBSYSTEM | IPCTNL_MSG_CT_DELETE, 0, head, |out| out.raw(identity)) {
            Err(refusal) if refusal.errno == Errno::NOENT => Ok(()), // it ended by itself
            outcome => outcome,
        }
    }
}

/// One entry; nothing if none of its ends matters, or it is of a family that is not ours. Most do not matter, so that is asked first.
fn parse(payload: &[u8], ends: &BTreeSet<IpAddr>) -> Option<Flow> {
    let (head, body) = payload.split_at_checked(HEAD_OCTETS)?;
    let opened = parse_tuple(attribute(body, CTA_TUPLE_ORIG)?)?;
    let answered = parse_tuple(attribute(body, CTA_TUPLE_REPLY)?)?;
    let all = [opened.source, opened.destination, answered.source, answered.destination];
    all.iter().any(|end| ends.contains(end)).then_some(())?;
    let status = be32_at(attribute(body, CTA_STATUS)?, 0)?;
    let (is_related, is_picked_up) = (status & IPS_EXPECTED != 0, is_picked_up(body));
    Some(Flow { opened, answered, is_related, is_picked_up, handle: handle(head, body) })
}

/// Whether a TCP flow was not seen to begin (linux net/netfilter/nf_conntrack_proto_tcp.c, `tcp_new`): its windows are not known, so nothing is
/// checked by them.
fn is_picked_up(body: &[u8]) -> bool {
    let tcp = attribute(body, CTA_PROTOINFO).and_then(|info| attribute(info, CTA_PROTOINFO_TCP));
    let flags = tcp.and_then(|tcp| attribute(tcp, CTA_PROTOINFO_TCP_FLAGS_ORIGINAL)).and_then(<[u8]>::first);
    flags.is_some_and(|flags| flags & IP_CT_TCP_FLAG_BE_LIBERAL != 0)
}

/// What the kernel finds the entry by, just as it was told: family, original tuple, zone and number.
fn handle(head: &[u8], body: &[u8]) -> FlowHandle {
    const NESTED: u16 = 0x8000; // NLA_F_NESTED, which the reading took off
    let mut out = super::wire::Writer::default();
    out.raw(&[head[0], 0, 0, 0]);
    for (kind, value) in attributes(body) {
        match kind {
            CTA_TUPLE_ORIG => out.put(kind | NESTED, value),
            CTA_ZONE | CTA_ID => out.put(kind, value),
            _ => {}
        }
    }
    FlowHandle(out.octets().to_vec())
}

fn parse_tuple(tuple: &[u8]) -> Option<Packet> {
    let (source, destination) = parse_addresses(attribute(tuple, CTA_TUPLE_IP)?)?;
    Some(Packet { source, destination, transport: parse_transport(attribute(tuple, CTA_TUPLE_PROTO)?)? })
}

fn parse_addresses(octets: &[u8]) -> Option<(IpAddr, IpAddr)> {
    let v4 = |kind| Some(Ipv4Addr::from(<[u8; 4]>::try_from(attribute(octets, kind)?).ok()?).into());
    let v6 = |kind| Some(Ipv6Addr::from(<[u8; 16]>::try_from(attribute(octets, kind)?).ok()?).into());
    v4(CTA_IP_V4_SRC).zip(v4(CTA_IP_V4_DST)).or_else(|| v6(CTA_IP_V6_SRC).zip(v6(CTA_IP_V6_DST)))
}

fn parse_transport(octets: &[u8]) -> Option<Transport> {
    let octet = |kind| attribute(octets, kind).and_then(|value| value.first()).copied();
    let port = |kind| Some(u16::from_be_bytes(attribute(octets, kind)?.try_into().ok()?));
    let icmp = |protocol, kind, code| Some(Transport::Icmp { protocol, kind: octet(kind)?, code: octet(code)? });
    match octet(CTA_PROTO_NUM)? {
        protocol @ (TCP | UDP | SCTP | UDP_LITE) => {
            let (source, destination) = (port(CTA_PROTO_SRC_PORT)?, port(CTA_PROTO_DST_PORT)?);
            Some(Transport::Ports { protocol, source, destination })
        }
        ICMP => icmp(ICMP, CTA_PROTO_ICMP_TYPE, CTA_PROTO_ICMP_CODE),
        ICMP6 => icmp(ICMP6, CTA_PROTO_ICMPV6_TYPE, CTA_PROTO_ICMPV6_CODE),
        protocol => Some(Transport::Other(protocol)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::wire::Writer;

    /// What a kernel says of one flow from 10.0.0.1:40000, translated from 192.0.2.1:80 to 10.0.0.2:8080.
    fn told(status: u32) -> Vec<u8> {
        let mut out = Writer::default();
        out.raw(&[2, 0, 0, 0]);
        let tuple = |out: &mut Writer, kind, (source, from): ([u8; 4], u16), (destination, to): ([u8; 4], u16)| {
            out.nest(kind, |out| {
                out.nest(CTA_TUPLE_IP, |out| {
                    out.put(CTA_IP_V4_SRC, &source);
                    out.put(CTA_IP_V4_DST, &destination);
                });
                out.nest(CTA_TUPLE_PROTO, |out| {
                    out.put(CTA_PROTO_NUM, &[TCP]);
                    out.put(CTA_PROTO_SRC_PORT, &from.to_be_bytes());
                    out.put(CTA_PROTO_DST_PORT, &to.to_be_bytes());
                });
            });
        };
        tuple(&mut out, CTA_TUPLE_ORIG, ([10, 0, 0, 1], 40000), ([192, 0, 2, 1], 80));
        tuple(&mut out, CTA_TUPLE_REPLY, ([10, 0, 0, 2], 8080), ([10, 0, 0, 1], 40000));
        out.put_be32(CTA_STATUS, status);
        out.put_be32(CTA_ID, 7);
        out.octets().to_vec()
    }

    #[test]
    fn a_translated_flow_has_both_its_ends() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let of = |end: &str, status| parse(&told(status), &[address(end)].into());

        let flow = of("10.0.0.1", 0x18e).unwrap();

        assert_eq!(flow.opened, Packet::tcp(address("10.0.0.1"), address("192.0.2.1"), (40000, 80)));
        assert_eq!(flow.answered, Packet::tcp(address("10.0.0.2"), address("10.0.0.1"), (8080, 40000)));
        assert!(!flow.is_related && of("10.0.0.1", 0x18f).unwrap().is_related);
        for end in ["10.0.0.2", "192.0.2.1"] {
            assert_eq!(of(end, 0x18e).as_ref(), Some(&flow), "{end}");
        }
        assert_eq!(of("10.0.0.3", 0x18e), None, "nobody asked for others");
    }

    #[test]
    fn an_entry_cut_short_is_none() {
        let told = told(0);
        let ends = ["10.0.0.1".parse().unwrap()].into();

        for length in 0..told.len() {
            let _ = parse(&told[..length], &ends); // whatever it makes of it, it ends
        }
        assert!(parse(&told[..40], &ends).is_none());
    }
}
