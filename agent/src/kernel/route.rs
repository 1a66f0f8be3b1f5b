//! Adds, replaces and removes our routes in the main table.
//!
//! In: destination and target. Out: done, or why not. Knows nothing of other people's routes, and cannot harm them: see [`ROUTE_METRIC`].
//! Header: linux/rtnetlink.h (`struct rtmsg`, `struct rtnexthop`, `RTA_*`).

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use poplin_node::kernel::{Gateway, ROUTE_PROTOCOL, Step, Target};
use rustix::io::Errno;

use super::Trouble;
use super::address::{AF_INET6, family, octets};
use super::socket::{Conversation, Refusal};
use super::wire::{NLM_F_ACK, NLM_F_CREATE, NLM_F_REPLACE, NLM_F_REQUEST, Writer};

/// Metric of every route of ours. The kernel replaces by destination and metric, whoever wrote the route (net/ipv4/fib_trie.c,
/// `fib_table_insert`); a metric nobody else uses keeps our replacing away from connected (0 and 256), hand-made (0 and 1024) and
/// router-advertised (1024) routes. To the same destination, the IPv4 kernel prefers the others' 0, so whoever insists wins.
pub const ROUTE_METRIC: u32 = 143;

pub(super) const RTM_NEWROUTE: u16 = 24;
pub(super) const RTM_DELROUTE: u16 = 25;
pub(super) const RTM_GETROUTE: u16 = 26;

pub(super) const RTA_DST: u16 = 1;
pub(super) const RTA_OIF: u16 = 4;
pub(super) const RTA_GATEWAY: u16 = 5;
pub(super) const RTA_PRIORITY: u16 = 6;
pub(super) const RTA_PREFSRC: u16 = 7;
pub(super) const RTA_MULTIPATH: u16 = 9;
pub(super) const RTA_TABLE: u16 = 15;
/// A gateway of another family than the destination.
pub(super) const RTA_VIA: u16 = 18;
/// A next hop object, in the place of all that says where to.
pub(super) const RTA_NH_ID: u16 = 30;

pub(super) const RTN_UNICAST: u8 = 1;
pub(super) const RTN_BLACKHOLE: u8 = 6;
const RTN_UNSPEC: u8 = 0;

/// Ordinary routes.
pub(super) const RT_TABLE_MAIN: u8 = 254;

const RT_SCOPE_UNIVERSE: u8 = 0;
const RT_SCOPE_LINK: u8 = 253;
/// In a removal: of whatever scope.
const RT_SCOPE_NOWHERE: u8 = 255;

/// The gateway is on that link, whatever the routes say: that to a container may come after it, and to the end of a tunnel there is none.
pub(super) const RTNH_F_ONLINK: u8 = 4;

/// Octets of `struct rtmsg`: family, prefix lengths, tos, table, protocol, scope, type, flags.
pub(super) const HEAD_OCTETS: usize = 12;
/// Octets of `struct rtnexthop`: length, flags, weight, index.
pub(super) const NEXT_HOP_OCTETS: usize = 8;

/// Routes sent in one piece. Each message costs the kernel 1 to 3 µs, and each piece a call and its answer: so many that this is nothing,
/// and few enough that piece and answers fit into the buffers a socket has by default.
const MESSAGES_AT_ONCE: u32 = 500;

/// Changes of routes on their way.
pub(super) struct Train<'a> {
    steps: Vec<&'a Step>,
    out: Writer,
    sequence: u32,
    /// Where its last message begins.
    last: usize,
    /// Index of the device of our tunnels.
    tunnel: Option<u32>,
}

impl<'a> Train<'a> {
    pub(super) fn new(route: &mut Conversation, tunnel: Option<u32>) -> Self {
        let sequence = route.take_sequence(MESSAGES_AT_ONCE);
        Self { steps: Vec::new(), out: Writer::default(), sequence, last: 0, tunnel }
    }

    pub(super) fn is_full(&self) -> bool {
        self.steps.len() >= MESSAGES_AT_ONCE as usize
    }

    /// Adds the route, or puts it in the place of the one of ours to the same destination.
    pub(super) fn set(
        &mut self,
        step: &'a Step,
        destination: IpNet,
        target: &Target,
        source: Option<IpAddr>,
        interface: Option<u32>,
    ) {
        let destination = destination.trunc();
        let (kind, scope) = match target {
            Target::Link(_) => (RTN_UNICAST, RT_SCOPE_LINK),
            Target::Endpoints(_) | Target::Gateways(_) | Target::Group(_) => (RTN_UNICAST, RT_SCOPE_UNIVERSE),
            Target::Blackhole => (RTN_BLACKHOLE, RT_SCOPE_UNIVERSE),
        };
        let mut head = head(destination, kind, scope);
        let is_of_a_container = matches!(target, Target::Endpoints(_));
        let tunnel = self.tunnel;
        let flags_of = |gateway: &Gateway| match is_of_a_container || is_in_tunnel(gateway, tunnel) {
            true => RTNH_F_ONLINK,
            false => 0,
        };
        if let Target::Endpoints(gateways) | Target::Gateways(gateways) = target
            && let [only] = Vec::from_iter(gateways)[..]
        {
            head[HEAD_OCTETS - 4..].copy_from_slice(&u32::from(flags_of(only)).to_ne_bytes());
        }
        let flags = NLM_F_CREATE | NLM_F_REPLACE;
        self.add(step, RTM_NEWROUTE, flags, &head, |out| {
            put_destination(out, destination);
            out.put_u32(RTA_PRIORITY, ROUTE_METRIC);
            source.into_iter().for_each(|source| out.put(RTA_PREFSRC, &octets(source)));
            match target {
                Target::Link(_) => interface.into_iter().for_each(|index| out.put_u32(RTA_OIF, index)),
                Target::Endpoints(gateways) | Target::Gateways(gateways) => {
                    put_gateways(out, destination, gateways, flags_of);
                }
                Target::Group(id) => out.put_u32(RTA_NH_ID, id.number()),
                Target::Blackhole => {}
            }
        });
    }

    /// Removes our route to the destination, with all its next hops; none is as well. Ours is what has our protocol, of whatever metric.
    pub(super) fn remove(&mut self, step: &'a Step, destination: IpNet) {
        let destination = destination.trunc();
        self.add(step, RTM_DELROUTE, 0, &head(destination, RTN_UNSPEC, RT_SCOPE_NOWHERE), |out| {
            put_destination(out, destination);
        });
    }

    fn add(&mut self, step: &'a Step, kind: u16, flags: u16, head: &[u8], attributes: impl FnOnce(&mut Writer)) {
        let number = u32::try_from(self.steps.len()).expect("a train is short");
        self.last = self.out.octets().len();
        self.out.message(kind, NLM_F_REQUEST | flags, self.sequence.wrapping_add(number), head, attributes);
        self.steps.push(step);
    }

    /// Sends it off; of what was refused the first is told. Only the last message asks for an answer when all is well.
    pub(super) fn depart(mut self, route: &mut Conversation) -> Result<(), (Step, Trouble)> {
        if self.steps.is_empty() {
            return Ok(());
        }
        self.out.add_flags(self.last, NLM_F_ACK);
        let refused = route.request_all(&self.out, self.sequence, self.steps.len(), |number, refusal| {
            self.steps.get(number).and_then(|step| explain(step, refusal)).map(|reason| (number, reason))
        });
        match refused {
            Ok(None) => Ok(()),
            Ok(Some((number, reason))) => Err((self.steps[number].clone(), Trouble::other(reason))),
            Err(error) => Err((self.steps[0].clone(), Trouble::other(format!("cannot change routes: {error}")))),
        }
    }
}

/// Why the kernel would not, unless it is as it should be all the same.
fn explain(step: &Step, refusal: &Refusal) -> Option<String> {
    match step {
        Step::RemoveRoute(_) if matches!(refusal.errno, Errno::SRCH | Errno::NOENT) => None,
        Step::RemoveRoute(destination) => Some(format!("cannot remove route to {destination}: {refusal}")),
        other => Some(format!("cannot set {}: {refusal}", other.describe())),
    }
}

fn head(destination: IpNet, kind: u8, scope: u8) -> [u8; HEAD_OCTETS] {
    let family = family(destination.addr());
    [family, destination.prefix_len(), 0, 0, RT_TABLE_MAIN, ROUTE_PROTOCOL, scope, kind, 0, 0, 0, 0]
}

fn put_destination(out: &mut Writer, destination: IpNet) {
    out.put(RTA_DST, &octets(destination.addr()));
}

fn put_gateways(out: &mut Writer, destination: IpNet, gateways: &BTreeSet<Gateway>, flags_of: impl Fn(&Gateway) -> u8) {
    if let [only] = Vec::from_iter(gateways)[..] {
        only.interface.into_iter().for_each(|index| out.put_u32(RTA_OIF, index));
        return put_gateway(out, destination, only.address);
    }
    out.nest(RTA_MULTIPATH, |out| {
        for gateway in gateways {
            let mut next_hop = Writer::default();
            put_gateway(&mut next_hop, destination, gateway.address);
            let length = u16::try_from(NEXT_HOP_OCTETS + next_hop.octets().len()).expect("a next hop has 28 octets");
            let mut head = [0; NEXT_HOP_OCTETS];
            head[..2].copy_from_slice(&length.to_ne_bytes());
            head[2] = flags_of(gateway);
            head[4..].copy_from_slice(&gateway.interface.unwrap_or(0).to_ne_bytes());
            out.raw(&head);
            out.raw(next_hop.octets());
        }
    });
}

/// Whether the kernel is to believe that a gateway is on its link: to the end of a tunnel it finds no route there. Of IPv6 such are link-local.
pub(super) fn is_in_tunnel(gateway: &Gateway, tunnel: Option<u32>) -> bool {
    gateway.address.is_ipv4() && tunnel.is_some() && gateway.interface == tunnel
}

/// An IPv4 destination may have an IPv6 gateway (RFC 8950), but not the reverse.
fn put_gateway(out: &mut Writer, destination: IpNet, gateway: IpAddr) {
    match (destination, gateway) {
        (IpNet::V4(_), IpAddr::V6(via)) => {
            let mut value = u16::from(AF_INET6).to_ne_bytes().to_vec();
            value.extend(via.octets());
            out.put(RTA_VIA, &value);
        }
        _ => out.put(RTA_GATEWAY, &octets(gateway)),
    }
}
