//! The chains where packets enter, the same for every set of policies.
//!
//! The dispatch is a goto out of a small chain that forward and input jump to. What the policy allows returns past that
//! small chain to the rule after the jump; what finds no policy falls to the small chain's last rule and is dropped. So
//! fail-closed costs no look-up of its own: the jump is 25 ns, a membership test before the dispatch would be 100.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::condition::{equals, is_of, look_up, member, when, within};
use super::dispatch::{self, sources_name};
use super::round::Round;
use crate::host::{Settings, WorkloadToHost};
use crate::model::{Direction, IpVersion};
use crate::nat::LOOPBACK_4;
use crate::packet::{ICMP, ICMP6, TCP, UDP, UDP_LITE};
use crate::place::Place;
use crate::ruleset::{
    Atom, BasePolicy, Chain, ConntrackStates, Field, Hook, HookKind, HookPoint, Interface, Match, Name, Rule, Then,
    Verdict,
};

/// Priority of `raw` (linux/netfilter_ipv4.h): before connection tracking, so that spoofed packets make no entries.
pub(super) const RAW: i32 = -300;
/// Just before destination translation, `dstnat` (−100).
pub(super) const BEFORE_DNAT: i32 = -101;
/// Priority of `filter`: after address translation.
pub(super) const FILTER: i32 = 0;
/// Neighbour discovery's messages (RFC 4861 §4): router and neighbour solicitations and advertisements.
const DISCOVERY: (u8, u8) = (133, 136);
/// Messages about multicast listeners (RFC 2710 §3, RFC 3810 §5): queries, reports and farewells, and reports of the second version.
const LISTENER_REPORTS: [(u8, u8); 2] = [(130, 132), (143, 143)];
/// Hop limit of neighbour discovery: a router would have lowered it (RFC 4861 §3.1).
const UNROUTED: u8 = 255;
/// Hop limit of messages about multicast listeners: they stay on their link (RFC 3810 §5).
const ON_LINK: u8 = 1;

/// fe80::/10 (RFC 4291 §2.5.6), first and last.
pub(super) const LINK_LOCAL: (Ipv6Addr, Ipv6Addr) =
    (Ipv6Addr::from_bits(0xfe80 << 112), Ipv6Addr::from_bits((0xfebf << 112) | (u128::MAX >> 16)));

/// 169.254.0.0/16 (RFC 3927 §2.1), first and last.
const LINK_LOCAL_4: (Ipv4Addr, Ipv4Addr) = (Ipv4Addr::new(169, 254, 0, 0), Ipv4Addr::new(169, 254, 255, 255));

/// Where names are asked for (RFC 1035 §4.2).
const NAMES: u16 = 53;

/// Base chains, the two they jump to, and where those send what begins no flow; absent are those that are not to stand. Of some families,
/// ports are published; in some directions, policies are staged.
pub(super) fn chains(
    settings: &Settings,
    to_itself: &[Vec<Match>],
    staged: &[Direction],
) -> Vec<(Name, Option<Chain>)> {
    let mut chains = vec![
        (Name::new("prerouting"), Some(base(HookPoint::Prerouting, RAW, prerouting(settings)))),
        (Name::new("forward"), Some(base(HookPoint::Forward, FILTER, forward(settings, to_itself)))),
        (Name::new("input"), Some(base(HookPoint::Input, FILTER, input(settings)))),
    ];
    for (name, direction) in [(from_workload(), Direction::Egress), (to_workload(), Direction::Ingress)] {
        let is_staged = staged.contains(&direction);
        let round = Round::of_workloads(direction).staged();
        chains.push((name, Some(plain(policy_or_drop(direction, is_staged)))));
        chains.push((staged_name(direction), is_staged.then(|| plain(dispatch::rules(round)))));
        chains.push((invalid(direction), Some(plain(vec![log(Place::Invalid(direction)), drop()]))));
        chains.push((mid_stream(direction), Some(plain(vec![log(Place::MidStream(direction)), drop()]))));
    }
    chains
}

/// Without neighbour discovery and multicast listeners' reports there is no link at all.
pub(super) fn needed_by_the_link() -> Vec<Rule> {
    let report = |(first, last): (u8, u8)| {
        let mut matches = is_of(IpVersion::V6, ICMP6);
        matches.push(within(Field::IcmpType, Atom::Octet(first), Atom::Octet(last)));
        matches.push(equals(Field::HopLimit6, Atom::Octet(ON_LINK)));
        when(matches, Verdict::Accept)
    };
    [vec![neighbour_discovery(Vec::new())], LISTENER_REPORTS.map(report).to_vec()].concat()
}

/// What was let through untracked was asked before.
pub(super) fn known_or_untracked() -> Match {
    Match::Conntrack(ConntrackStates { established: true, related: true, untracked: true, ..Default::default() })
}

pub(super) fn is_lo(field: Field) -> Match {
    equals(field, Atom::Interface(Interface::new("lo").expect("it is a name")))
}

/// A local endpoint sends from its own addresses only; selectors rest on that.
fn prerouting(settings: &Settings) -> Vec<Rule> {
    let mut rules = vec![when(vec![not_ours(settings, Field::InterfaceIn)], Verdict::Accept)];
    for (family, field) in [(IpVersion::V4, Field::Source4), (IpVersion::V6, Field::Source6)] {
        let pair = member(vec![Field::InterfaceIn, field], sources_name(family), false);
        rules.push(when(vec![family.is_it(), pair], Verdict::Accept));
    }
    // An address is not yet, or not only, the endpoint's own while it looks for its neighbours.
    for (low, high) in [LINK_LOCAL, (Ipv6Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED)] {
        let source = within(Field::Source6, Atom::Address6(low), Atom::Address6(high));
        rules.push(neighbour_discovery(vec![source]));
    }
    // Who has IPv6 alone asks its gateway on the link for names, and from an address of the link.
    if settings.serves_names {
        let (low, high) = LINK_LOCAL;
        let source = within(Field::Source6, Atom::Address6(low), Atom::Address6(high));
        rules.extend(
            questions(IpVersion::V6).map(|question| when([question, vec![source.clone()]].concat(), Verdict::Accept)),
        );
    }
    rules.extend(LISTENER_REPORTS.map(listener_report));
    rules.extend([log(Place::Spoof), drop()]);
    rules
}

/// Others' traffic meets three rules and goes on. Known flows come first, for they are nearly all packets; accepting
/// others' too takes nothing from them, since an accept ends the table's own chain only.
fn forward(settings: &Settings, to_itself: &[Vec<Match>]) -> Vec<Rule> {
    let mut rules = vec![when(vec![known_flows()], Verdict::Accept)];
    rules.extend(to_itself.iter().map(|packet| when(packet.clone(), Verdict::Accept)));
    rules.push(when(vec![ours(settings, Field::InterfaceIn)], Verdict::Jump(from_workload())));
    rules.push(when(vec![ours(settings, Field::InterfaceOut)], Verdict::Jump(to_workload())));
    rules
}

/// What endpoints send to this host. Discovery comes before policy: without it there is no link at all.
fn input(settings: &Settings) -> Vec<Rule> {
    let mut rules = vec![
        when(vec![not_ours(settings, Field::InterfaceIn)], Verdict::Accept),
        when(vec![known_flows()], Verdict::Accept),
        neighbour_discovery(Vec::new()),
    ];
    rules.extend(to_loopback());
    rules.push(when(Vec::new(), Verdict::Jump(from_workload())));
    match settings.workload_to_host {
        WorkloadToHost::Accept => {}
        WorkloadToHost::Drop => {
            let echo_requests = IpVersion::BOTH.map(echo_request);
            rules.extend(echo_requests);
            if settings.serves_names {
                let questions = IpVersion::BOTH.into_iter().flat_map(questions);
                rules.extend(questions.map(|question| when(question, Verdict::Accept)));
            }
            rules.extend([log(Place::ToHost), drop()]);
        }
    }
    rules
}

/// Links of who publishes let loopback addresses pass, for the host's own sake; what an endpoint sends there is dropped here.
fn to_loopback() -> [Rule; 2] {
    let loopback = within(Field::Destination4, Atom::Address4(LOOPBACK_4.0), Atom::Address4(LOOPBACK_4.1));
    let matches = vec![IpVersion::V4.is_it(), loopback];
    [look_up(matches.clone(), Then::Log(Place::ToHost.log())), when(matches, Verdict::Drop)]
}

/// The policy of the packet's interface; what has none is dropped.
///
/// A packet that fits no known flow must begin one. A TCP packet begins one by SYN alone: the kernel by default also
/// takes one from the middle of a stream (`nf_conntrack_tcp_loose`), and a flow whose entry was deleted because policy
/// changed would go on in the direction still open. UDP-Lite is judged packet by packet where the kernel does not track it: with
/// `nf_conntrack_checksum`, as is usual, it checks it by UDP's number, finds each checksum wrong that RFC 3828 §3.2 makes right, and
/// calls them all invalid (`udplite_error` in net/netfilter/nf_conntrack_proto_udp.c).
fn policy_or_drop(direction: Direction, is_staged: bool) -> Vec<Rule> {
    let is_invalid = Match::Conntrack(ConntrackStates { invalid: true, ..Default::default() });
    let mut rules = vec![
        when(vec![is_invalid, is_not(UDP_LITE)], Verdict::Goto(invalid(direction))),
        when(begins_no_connection().into(), Verdict::Goto(mid_stream(direction))),
    ];
    rules.extend(is_staged.then(|| when(Vec::new(), Verdict::Jump(staged_name(direction)))));
    rules.extend(dispatch::rules(Round::of_workloads(direction)));
    rules.extend([log(Place::NoPolicy(direction)), drop()]);
    rules
}

fn is_not(protocol: u8) -> Match {
    let (low, high) = (Atom::Octet(protocol), Atom::Octet(protocol));
    Match::Range { field: Field::Protocol, low, high, negated: true }
}

/// It is TCP, and not the SYN that opens a connection.
pub(super) fn begins_no_connection() -> [Match; 2] {
    let is_tcp = equals(Field::Protocol, Atom::Octet(TCP));
    [is_tcp, Match::Bits { field: Field::TcpFlags, mask: 0x17, value: 0x02, negated: true }]
}

fn neighbour_discovery(and: Vec<Match>) -> Rule {
    let (first, last) = DISCOVERY;
    let mut matches = is_of(IpVersion::V6, ICMP6);
    matches.push(within(Field::IcmpType, Atom::Octet(first), Atom::Octet(last)));
    matches.push(equals(Field::HopLimit6, Atom::Octet(UNROUTED)));
    matches.extend(and);
    when(matches, Verdict::Accept)
}

/// Every container sends some when it comes up, from an address of its link; dropped without a word.
fn listener_report((first, last): (u8, u8)) -> Rule {
    let mut matches = is_of(IpVersion::V6, ICMP6);
    matches.push(within(Field::IcmpType, Atom::Octet(first), Atom::Octet(last)));
    when(matches, Verdict::Drop)
}

fn echo_request(family: IpVersion) -> Rule {
    let (protocol, kind) = match family {
        IpVersion::V4 => (ICMP, 8),
        IpVersion::V6 => (ICMP6, 128),
    };
    let mut matches = is_of(family, protocol);
    matches.push(equals(Field::IcmpType, Atom::Octet(kind)));
    when(matches, Verdict::Accept)
}

/// What asks a host for names, by UDP and by TCP, at addresses that mean this host on every host.
fn questions(family: IpVersion) -> [Vec<Match>; 2] {
    let link_local = match family {
        IpVersion::V4 => within(Field::Destination4, Atom::Address4(LINK_LOCAL_4.0), Atom::Address4(LINK_LOCAL_4.1)),
        IpVersion::V6 => within(Field::Destination6, Atom::Address6(LINK_LOCAL.0), Atom::Address6(LINK_LOCAL.1)),
    };
    [UDP, TCP].map(|protocol| {
        let mut matches = is_of(family, protocol);
        matches.extend([link_local.clone(), equals(Field::DestinationPort, Atom::Port(NAMES))]);
        matches
    })
}

pub(super) fn known_flows() -> Match {
    Match::Conntrack(ConntrackStates { established: true, related: true, ..Default::default() })
}

pub(super) fn ours(settings: &Settings, field: Field) -> Match {
    Match::InterfacePrefix { field, prefix: settings.interface_prefix.clone(), negated: false }
}

pub(super) fn not_ours(settings: &Settings, field: Field) -> Match {
    Match::InterfacePrefix { field, prefix: settings.interface_prefix.clone(), negated: true }
}

pub(super) fn from_workload() -> Name {
    Name::new("from-workload")
}

pub(super) fn to_workload() -> Name {
    Name::new("to-workload")
}

fn staged_name(direction: Direction) -> Name {
    Name::new(format!("{direction}-staged"))
}

fn invalid(direction: Direction) -> Name {
    Name::new(format!("{direction}-invalid"))
}

/// The chain that drops what begins no connection.
pub(super) fn mid_stream(direction: Direction) -> Name {
    Name::new(format!("{direction}-mid-stream"))
}

/// Tells of what the next rule drops.
fn log(place: Place) -> Rule {
    look_up(Vec::new(), Then::Log(place.log()))
}

fn drop() -> Rule {
    when(Vec::new(), Verdict::Drop)
}

pub(super) fn plain(rules: Vec<Rule>) -> Chain {
    Chain { hook: None, rules }
}

pub(super) fn base(point: HookPoint, priority: i32, rules: Vec<Rule>) -> Chain {
    Chain { hook: Some(Hook { kind: HookKind::Filter, point, priority, policy: BasePolicy::Accept }), rules }
}
