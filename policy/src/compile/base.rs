//! The chains where packets enter, the same for every set of policies.
//!
//! The dispatch is a goto out of a small chain that forward and input jump to. What the policy allows returns past that
//! small chain to the rule after the jump; what finds no policy falls to the small chain's last rule and is dropped. So
//! fail-closed costs no look-up of its own: the jump is 25 ns, a membership test before the dispatch would be 100.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::condition::{equals, is_of, look_up, member, when, within};
use super::dispatch::{self, sources_name};
use super::published::to_itself;
use crate::gate::Lane;
use crate::host::{Settings, WorkloadToHost};
use crate::model::{Direction, IpVersion};
use crate::nat::LOOPBACK_4;
use crate::packet::{ICMP, ICMP6, TCP, UDP};
use crate::place::Place;
use crate::ruleset::{
    Atom, BasePolicy, Chain, ConntrackStates, Field, Hook, HookKind, HookPoint, Interface, Match, Name, Rule, Then,
    Verdict,
};

/// Priority of `raw` (linux/netfilter_ipv4.h): before connection tracking, so that spoofed packets make no entries.
const RAW: i32 = -300;
/// Just before destination translation, `dstnat` (−100).
const BEFORE_DNAT: i32 = -101;
/// Priority of `filter`: after address translation.
const FILTER: i32 = 0;
/// Priority of host endpoints' chains at input, forward and output: after those of workloads.
pub const HOST_ENDPOINTS: i32 = 1;
/// The bit of a packet's mark that says: the host endpoint it comes in by allowed it before translation, and asks it no more. It is there from
/// prerouting until input or forward, and read and changed alone. Others' bits elsewhere: kube-proxy 0x4000 and 0x8000, podman's and CNI's
/// port mappings 0x2000, Tailscale 0xff0000.
const SPARED: u32 = 0x1000_0000;
/// Neighbour discovery's messages (RFC 4861 §4): router and neighbour solicitations and advertisements.
const DISCOVERY: (u8, u8) = (133, 136);
/// Messages about multicast listeners (RFC 2710 §3, RFC 3810 §5): queries, reports and farewells, and reports of the second version.
const LISTENER_REPORTS: [(u8, u8); 2] = [(130, 132), (143, 143)];
/// Hop limit of neighbour discovery: a router would have lowered it (RFC 4861 §3.1).
const UNROUTED: u8 = 255;
/// Hop limit of messages about multicast listeners: they stay on their link (RFC 3810 §5).
const ON_LINK: u8 = 1;

/// fe80::/10 (RFC 4291 §2.5.6), first and last.
const LINK_LOCAL: (Ipv6Addr, Ipv6Addr) =
    (Ipv6Addr::from_bits(0xfe80 << 112), Ipv6Addr::from_bits((0xfebf << 112) | (u128::MAX >> 16)));

/// 169.254.0.0/16 (RFC 3927 §2.1), first and last.
const LINK_LOCAL_4: (Ipv4Addr, Ipv4Addr) = (Ipv4Addr::new(169, 254, 0, 0), Ipv4Addr::new(169, 254, 255, 255));

/// Where names are asked for (RFC 1035 §4.2).
const NAMES: u16 = 53;

/// Base chains, the two they jump to, and where those send what begins no flow. Of some families, ports are published.
pub(super) fn chains(settings: &Settings, publishing: &[IpVersion]) -> Vec<(Name, Chain)> {
    let mut chains = vec![
        (Name::new("prerouting"), base(HookPoint::Prerouting, RAW, prerouting(settings))),
        (Name::new("forward"), base(HookPoint::Forward, FILTER, forward(settings, publishing))),
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

/// Base chains of the lanes in which host endpoints are asked. `may_spare`: a rule before translation may allow something.
pub(super) fn host_chains(settings: &Settings, lanes: &BTreeSet<Lane>, may_spare: bool) -> Vec<(Name, Chain)> {
    let has = |lane| lanes.contains(&lane);
    let jump = |lane| when(Vec::new(), Verdict::Jump(gate_name(lane)));
    let mut chains = Vec::new();
    if has(Lane::UntrackedIn) {
        let mut rules = vec![when(vec![is_lo(Field::InterfaceIn)], Verdict::Accept)];
        rules.push(when(vec![ours(settings, Field::InterfaceIn)], Verdict::Accept));
        rules.extend(needed_by_the_link());
        rules.extend([failsafe(Direction::Ingress), failsafe_answer(Direction::Egress), jump(Lane::UntrackedIn)]);
        chains.push((Name::new("host-raw-in"), base(HookPoint::Prerouting, RAW, rules)));
    }
    if has(Lane::PreDnat) {
        let mut rules = vec![when(vec![is_lo(Field::InterfaceIn)], Verdict::Accept)];
        rules.push(when(vec![known_or_untracked()], Verdict::Accept));
        rules.extend(may_spare.then(unspared));
        rules.push(when(vec![ours(settings, Field::InterfaceIn)], Verdict::Accept));
        rules.extend(needed_by_the_link());
        rules.extend([failsafe(Direction::Ingress), jump(Lane::PreDnat)]);
        chains.push((Name::new("host-pre-dnat"), base(HookPoint::Prerouting, BEFORE_DNAT, rules)));
    }
    if has(Lane::Input) {
        let mut rules = vec![when(vec![is_lo(Field::InterfaceIn)], Verdict::Accept)];
        rules.push(when(vec![known_or_untracked()], Verdict::Accept));
        rules.extend(needed_by_the_link());
        rules.push(failsafe(Direction::Ingress));
        if may_spare {
            rules.push(when(vec![is_spared(false)], Verdict::Goto(spared())));
            chains.push((spared(), plain(vec![look_up(Vec::new(), spare(false)), when(Vec::new(), Verdict::Accept)])));
        }
        rules.push(jump(Lane::Input));
        chains.push((Name::new("host-input"), base(HookPoint::Input, HOST_ENDPOINTS, rules)));
    }
    if has(Lane::ForwardIn) || has(Lane::ForwardOut) || may_spare {
        let mut rules = vec![when(vec![known_flows()], Verdict::Accept)];
        if has(Lane::ForwardIn) {
            // What the interface it came by let through untracked, or before translation, that does not ask again.
            let asked = [
                vec![not_ours(settings, Field::InterfaceIn), tracked()],
                may_spare.then(|| is_spared(true)).into_iter().collect(),
            ];
            rules.push(when(asked.concat(), Verdict::Jump(gate_name(Lane::ForwardIn))));
        }
        rules.extend(may_spare.then(unspared));
        if has(Lane::ForwardOut) {
            let theirs = vec![not_ours(settings, Field::InterfaceOut)];
            rules.push(when(theirs, Verdict::Jump(gate_name(Lane::ForwardOut))));
        }
        chains.push((Name::new("host-forward"), base(HookPoint::Forward, HOST_ENDPOINTS, rules)));
    }
    if has(Lane::UntrackedOut) {
        let mut rules = to_others(settings);
        rules.extend(needed_by_the_link());
        rules.extend([failsafe(Direction::Egress), failsafe_answer(Direction::Ingress), jump(Lane::UntrackedOut)]);
        chains.push((Name::new("host-raw-out"), base(HookPoint::Output, RAW, rules)));
    }
    if has(Lane::Output) {
        let mut rules = to_others(settings);
        rules.push(when(vec![known_or_untracked()], Verdict::Accept));
        rules.extend(needed_by_the_link());
        rules.extend([failsafe(Direction::Egress), jump(Lane::Output)]);
        chains.push((Name::new("host-output"), base(HookPoint::Output, HOST_ENDPOINTS, rules)));
    }
    chains
}

/// The chain that finds the path of what passes in a lane. What finds none passes.
pub(super) fn gate_name(lane: Lane) -> Name {
    Name::new(format!("{lane}-gate"))
}

/// The map of a direction's failsafe ports.
pub(super) fn failsafe_name(direction: Direction) -> Name {
    Name::new(format!("failsafe-{direction}"))
}

fn failsafe(direction: Direction) -> Rule {
    let fields = vec![Field::Protocol, Field::DestinationPort];
    look_up(Vec::new(), Then::Lookup { fields, map: failsafe_name(direction) })
}

/// The answers to what the failsafe ports of a direction let pass, where flows are not known yet.
fn failsafe_answer(direction: Direction) -> Rule {
    let fields = vec![Field::Protocol, Field::SourcePort];
    look_up(Vec::new(), Then::Lookup { fields, map: failsafe_name(direction) })
}

/// What a host sends to itself and to its own workloads passes.
fn to_others(settings: &Settings) -> Vec<Rule> {
    vec![
        when(vec![is_lo(Field::InterfaceOut)], Verdict::Accept),
        when(vec![ours(settings, Field::InterfaceOut)], Verdict::Accept),
    ]
}

/// Without neighbour discovery and multicast listeners' reports there is no link at all.
fn needed_by_the_link() -> Vec<Rule> {
    let report = |(first, last): (u8, u8)| {
        let mut matches = is_of(IpVersion::V6, ICMP6);
        matches.push(within(Field::IcmpType, Atom::Octet(first), Atom::Octet(last)));
        matches.push(equals(Field::HopLimit6, Atom::Octet(ON_LINK)));
        when(matches, Verdict::Accept)
    };
    [vec![neighbour_discovery(Vec::new())], LISTENER_REPORTS.map(report).to_vec()].concat()
}

/// What was let through untracked was asked before.
fn known_or_untracked() -> Match {
    Match::Conntrack(ConntrackStates { established: true, related: true, untracked: true, ..Default::default() })
}

/// What begins a flow, or fits none, where what goes on in known ones has passed already.
fn tracked() -> Match {
    Match::Conntrack(ConntrackStates { new: true, invalid: true, ..Default::default() })
}

/// Marks the packet as one that its host endpoint asks no more, or ends that.
pub(super) fn spare(is_set: bool) -> Then {
    Then::Mark { bit: SPARED, is_set }
}

fn is_spared(negated: bool) -> Match {
    Match::Mark { bit: SPARED, negated }
}

/// Whoever set it, from here on the bit is clear.
fn unspared() -> Rule {
    look_up(vec![is_spared(false)], spare(false))
}

/// The chain of what comes to the host and is not asked again.
fn spared() -> Name {
    Name::new("host-spared")
}

fn is_lo(field: Field) -> Match {
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
fn forward(settings: &Settings, publishing: &[IpVersion]) -> Vec<Rule> {
    let mut rules = vec![when(vec![known_flows()], Verdict::Accept)];
    rules.extend(publishing.iter().map(|family| when(to_itself(*family), Verdict::Accept)));
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
/// changed would go on in the direction still open.
fn policy_or_drop(direction: Direction) -> Vec<Rule> {
    let is_invalid = Match::Conntrack(ConntrackStates { invalid: true, ..Default::default() });
    let is_tcp = equals(Field::Protocol, Atom::Octet(TCP));
    let is_no_syn = Match::Bits { field: Field::TcpFlags, mask: 0x17, value: 0x02, negated: true };
    let mut rules = vec![
        when(vec![is_invalid], Verdict::Goto(invalid(direction))),
        when(vec![is_tcp, is_no_syn], Verdict::Goto(mid_stream(direction))),
    ];
    rules.extend(dispatch::rules(direction));
    rules.extend([log(Place::NoPolicy(direction)), drop()]);
    rules
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

fn known_flows() -> Match {
    Match::Conntrack(ConntrackStates { established: true, related: true, ..Default::default() })
}

fn ours(settings: &Settings, field: Field) -> Match {
    Match::InterfacePrefix { field, prefix: settings.interface_prefix.clone(), negated: false }
}

fn not_ours(settings: &Settings, field: Field) -> Match {
    Match::InterfacePrefix { field, prefix: settings.interface_prefix.clone(), negated: true }
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
    Chain { hook: Some(Hook { kind: HookKind::Filter, point, priority, policy: BasePolicy::Accept }), rules }
}
