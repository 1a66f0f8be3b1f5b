//! The chains where packets enter, the same for every set of policies.
//!
//! The dispatch is a goto out of a small chain that forward and input jump to. What the policy allows returns past that
//! small chain to the rule after the jump; what finds no policy falls to the small chain's last rule and is dropped. So
//! fail-closed costs no look-up of its own: the jump is 25 ns, a membership test before the dispatch would be 100.

use std::net::Ipv6Addr;

use super::condition::{equals, is_of, look_up, member, when, within};
use super::dispatch::{dispatch, sources_name};
use crate::host::{Settings, WorkloadToHost};
use crate::model::{Direction, IpVersion};
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

/// Base chains, the two they jump to, and where those send what begins no flow.
pub(super) fn chains(settings: &Settings) -> Vec<(Name, Chain)> {
    let mut chains = vec![
        (Name::new("prerouting"), base(HookPoint::Prerouting, RAW, prerouting(settings))),
        (Name::new("forward"), base(HookPoint::Forward, FILTER, forward(settings))),
        (Name::new("input"), base(HookPoint::Input, FILTER, input(settings))),
        (from_workload(), plain(policy_or_drop(Direction::Egress))),
        (to_workload(), plain(policy_or_drop(Direction::Ingress))),
    ];
    for direction in [Direction::Egress, Direction::Ingress] {
        chains.push((invalid(direction), plain(vec![log(Place::Invalid(direction)), drop()])));
        chains.push((mid_stream(direction), plain(vec![log(Place::MidStream(direction)), drop()])));
    }
    chains
}

/// A local endpoint sends from its own addresses only; selectors rest on that.
fn prerouting(settings: &Settings) -> Vec<Rule> {
    let mut rules = vec![when(vec![not_ours(settings)], Verdict::Accept)];
    for (family, field) in [(IpVersion::V4, Field::Source4), (IpVersion::V6, Field::Source6)] {
        let pair = member(vec![Field::InterfaceIn, field], sources_name(family), false);
        rules.push(when(vec![family.is_it(), pair], Verdict::Accept));
    }
    // An address is not yet, or not only, the endpoint's own while it looks for its neighbours.
    for (low, high) in [LINK_LOCAL, (Ipv6Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED)] {
        let source = within(Field::Source6, Atom::Address6(low), Atom::Address6(high));
        rules.push(neighbour_discovery(vec![source]));
    }
    rules.extend(LISTENER_REPORTS.map(listener_report));
    rules.extend([log(Place::Spoof), drop()]);
    rules
}

/// Others' traffic meets three rules and goes on. Known flows come first, for they are nearly all packets; accepting
/// others' too takes nothing from them, since an accept ends the table's own chain only.
fn forward(settings: &Settings) -> Vec<Rule> {
    vec![
        when(vec![known_flows()], Verdict::Accept),
        when(vec![ours(settings, Field::InterfaceIn)], Verdict::Jump(from_workload())),
        when(vec![ours(settings, Field::InterfaceOut)], Verdict::Jump(to_workload())),
    ]
}

/// What endpoints send to this host. Discovery comes before policy: without it there is no link at all.
fn input(settings: &Settings) -> Vec<Rule> {
    let mut rules = vec![
        when(vec![not_ours(settings)], Verdict::Accept),
        when(vec![known_flows()], Verdict::Accept),
        neighbour_discovery(Vec::new()),
        when(Vec::new(), Verdict::Jump(from_workload())),
    ];
    match settings.workload_to_host {
        WorkloadToHost::Accept => {}
        WorkloadToHost::Drop => {
            let echo_requests = IpVersion::BOTH.map(echo_request);
            rules.extend(echo_requests);
            rules.extend([log(Place::ToHost), drop()]);
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
    let is_invalid = Match::Conntrack(ConntrackStates { invalid: true, ..Default::default() });
    let is_tcp = equals(Field::Protocol, Atom::Octet(TCP));
    let is_no_syn = Match::Bits { field: Field::TcpFlags, mask: 0x17, value: 0x02, negated: true };
    vec![
        when(vec![is_invalid], Verdict::Goto(invalid(direction))),
        when(vec![is_tcp, is_no_syn], Verdict::Goto(mid_stream(direction))),
        look_up(Vec::new(), dispatch(direction)),
        log(Place::NoPolicy(direction)),
        drop(),
    ]
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

fn known_flows() -> Match {
    Match::Conntrack(ConntrackStates { established: true, related: true, ..Default::default() })
}

fn ours(settings: &Settings, field: Field) -> Match {
    Match::InterfacePrefix { field, prefix: settings.interface_prefix.clone(), negated: false }
}

fn not_ours(settings: &Settings) -> Match {
    Match::InterfacePrefix { field: Field::InterfaceIn, prefix: settings.interface_prefix.clone(), negated: true }
}

fn from_workload() -> Name {
    Name::new("from-workload")
}

fn to_workload() -> Name {
    Name::new("to-workload")
}

fn invalid(direction: Direction) -> Name {
    Name::new(format!("{direction}-invalid"))
}

fn mid_stream(direction: Direction) -> Name {
    Name::new(format!("{direction}-mid-stream"))
}

/// Tells of what the next rule drops.
fn log(place: Place) -> Rule {
    look_up(Vec::new(), Then::Log(place.log()))
}

fn drop() -> Rule {
    when(Vec::new(), Verdict::Drop)
}

fn plain(rules: Vec<Rule>) -> Chain {
    Chain { hook: None, rules }
}

fn base(point: HookPoint, priority: i32, rules: Vec<Rule>) -> Chain {
    Chain { hook: Some(Hook { point, priority, policy: BasePolicy::Accept }), rules }
}
