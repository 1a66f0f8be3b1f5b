//! The chains where packets enter, the same for every set of policies.
//!
//! The dispatch is a goto out of a small chain that forward and input jump to. What the policy allows returns past that
//! small chain to the rule after the jump; what finds no policy falls to the small chain's last rule and is dropped. So
//! fail-closed costs no look-up of its own: the jump is 25 ns, a membership test before the dispatch would be 100.

use std::net::Ipv6Addr;

use super::condition::{Condition, equals, member, within};
use super::dispatch::dispatch;
use super::family::Family;
use super::rule::when;
use super::sets::sources_name;
use crate::host::{Host, WorkloadToHost};
use crate::model::Direction;
use crate::packet::{ICMP, ICMP6, TCP};
use crate::place::Place;
use crate::ruleset::{
    Atom, BasePolicy, Chain, ConntrackStates, Field, Hook, HookPoint, Match, Name, Rule, Then, Verdict,
};

/// Priority of `raw` (linux/netfilter_ipv4.h): before connection tracking, so that spoofed packets make no entries.
const RAW: i32 = -300;
/// Priority of `filter`: after address translation.
const FILTER: i32 = 0;
/// Neighbour discovery's messages (RFC 4861 §4): router and neighbour solicitations and advertisements.
const DISCOVERY: (u8, u8) = (133, 136);
/// Messages about multicast listeners (RFC 2710 §3, RFC 3810 §5): queries, reports and farewells, and reports of the second version.
const LISTENER_REPORTS: [(u8, u8); 2] = [(130, 132), (143, 143)];
/// Hop limit of neighbour discovery: a router would have lowered it (RFC 4861 §3.1).
const UNROUTED: u8 = 255;

/// fe80::/10 (RFC 4291 §2.5.6), first and last.
const LINK_LOCAL: (Ipv6Addr, Ipv6Addr) =
    (Ipv6Addr::from_bits(0xfe80 << 112), Ipv6Addr::from_bits((0xfebf << 112) | (u128::MAX >> 16)));

/// Base chains and the two they jump to.
pub(super) fn chains(host: &Host) -> Vec<(Name, Chain)> {
    vec![
        (Name::new("prerouting"), base(HookPoint::Prerouting, RAW, prerouting(host))),
        (Name::new("forward"), base(HookPoint::Forward, FILTER, forward(host))),
        (Name::new("input"), base(HookPoint::Input, FILTER, input(host))),
        (from_workload(), Chain { hook: None, rules: policy_or_drop(Direction::Egress) }),
        (to_workload(), Chain { hook: None, rules: policy_or_drop(Direction::Ingress) }),
    ]
}

/// A local endpoint sends from its own addresses only; selectors rest on that.
fn prerouting(host: &Host) -> Vec<Rule> {
    let mut rules = vec![accept(not_ours(host))];
    for (family, field) in [(Family::V4, Field::Source4), (Family::V6, Field::Source6)] {
        let pair = member(vec![Field::InterfaceIn, field], sources_name(family));
        rules.push(when(Condition::of_family(family, vec![pair]), Verdict::Accept));
    }
    // An address is not yet, or not only, the endpoint's own while it looks for its neighbours.
    for (low, high) in [LINK_LOCAL, (Ipv6Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED)] {
        let source = within(Field::Source6, Atom::Address6(low), Atom::Address6(high));
        rules.push(neighbour_discovery(vec![source]));
    }
    rules.extend(LISTENER_REPORTS.map(listener_report));
    rules.extend([log(Vec::new(), Place::Spoof), drop()]);
    rules
}

/// Others' traffic meets three rules and goes on. Known flows come first, for they are nearly all packets; accepting
/// others' too takes nothing from them, since an accept ends the table's own chain only.
fn forward(host: &Host) -> Vec<Rule> {
    vec![
        accept(known_flows()),
        jump(ours(host, Field::InterfaceIn), from_workload()),
        jump(ours(host, Field::InterfaceOut), to_workload()),
    ]
}

/// What endpoints send to this host. Discovery comes before policy: without it there is no link at all.
fn input(host: &Host) -> Vec<Rule> {
    let mut rules = vec![accept(not_ours(host)), accept(known_flows()), neighbour_discovery(Vec::new())];
    rules.push(Rule { matches: Vec::new(), counter: false, then: Then::Verdict(Verdict::Jump(from_workload())) });
    match host.workload_to_host {
        WorkloadToHost::Accept => {}
        WorkloadToHost::Drop => {
            let told = log(Vec::new(), Place::ToHost);
            rules.extend([echo_request(Family::V4), echo_request(Family::V6), told, drop()]);
        }
    }
    rules
}

/// The policy of the packet's interface; what has none is dropped.
///
/// A packet that fits no known flow must begin one. A TCP packet begins one by SYN alone: the kernel by default also
/// takes one from the middle of a stream (`nf_conntrack_tcp_loose`), and a flow whose entry was deleted because policy
/// changed would go on in the direction still open.
fn policy_or_drop(direction: Direction) -> Vec<Rule> {
    let flags = Match::Bits { field: Field::TcpFlags, mask: 0x17, value: 0x02, negated: true };
    let invalid = Match::Conntrack(ConntrackStates { invalid: true, ..Default::default() });
    let invalid = when(Condition { rest: vec![invalid], ..Default::default() }, Verdict::Drop);
    let mid_stream = when(Condition::of_protocol(TCP, vec![flags]), Verdict::Drop);
    vec![
        log(invalid.matches.clone(), Place::Invalid(direction)),
        invalid,
        log(mid_stream.matches.clone(), Place::MidStream(direction)),
        mid_stream,
        Rule { matches: Vec::new(), counter: false, then: dispatch(direction) },
        log(Vec::new(), Place::NoPolicy(direction)),
        drop(),
    ]
}

fn neighbour_discovery(and: Vec<Match>) -> Rule {
    let (first, last) = DISCOVERY;
    let mut rest = vec![
        within(Field::IcmpType, Atom::Octet(first), Atom::Octet(last)),
        equals(Field::HopLimit6, Atom::Octet(UNROUTED)),
    ];
    rest.extend(and);
    when(Condition { family: Some(Family::V6), protocol: Some(ICMP6), rest }, Verdict::Accept)
}

/// Every container sends some when it comes up, from an address of its link; dropped without a word.
fn listener_report((first, last): (u8, u8)) -> Rule {
    let rest = vec![within(Field::IcmpType, Atom::Octet(first), Atom::Octet(last))];
    when(Condition { family: Some(Family::V6), protocol: Some(ICMP6), rest }, Verdict::Drop)
}

fn echo_request(family: Family) -> Rule {
    let (protocol, kind) = match family {
        Family::V4 => (ICMP, 8),
        Family::V6 => (ICMP6, 128),
    };
    let rest = vec![equals(Field::IcmpType, Atom::Octet(kind))];
    when(Condition { family: Some(family), protocol: Some(protocol), rest }, Verdict::Accept)
}

fn known_flows() -> Match {
    Match::Conntrack(ConntrackStates { established: true, related: true, ..Default::default() })
}

fn ours(host: &Host, field: Field) -> Match {
    Match::InterfacePrefix { field, prefix: host.interface_prefix.clone(), negated: false }
}

fn not_ours(host: &Host) -> Match {
    Match::InterfacePrefix { field: Field::InterfaceIn, prefix: host.interface_prefix.clone(), negated: true }
}

fn from_workload() -> Name {
    Name::new("from-workload")
}

fn to_workload() -> Name {
    Name::new("to-workload")
}

fn accept(condition: Match) -> Rule {
    when(Condition { rest: vec![condition], ..Default::default() }, Verdict::Accept)
}

fn jump(condition: Match, target: Name) -> Rule {
    when(Condition { rest: vec![condition], ..Default::default() }, Verdict::Jump(target))
}

/// Tells of what the next rule drops.
fn log(matches: Vec<Match>, place: Place) -> Rule {
    Rule { matches, counter: false, then: Then::Log(place.log()) }
}

fn drop() -> Rule {
    when(Condition::default(), Verdict::Drop)
}

fn base(point: HookPoint, priority: i32, rules: Vec<Rule>) -> Chain {
    Chain { hook: Some(Hook { point, priority, policy: BasePolicy::Accept }), rules }
}
