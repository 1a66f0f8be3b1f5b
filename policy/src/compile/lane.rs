//! The base chains in which host endpoints are asked: one for each lane, and one before it where policies are staged there.
//!
//! In: which lane. Out: what passes in it unasked, and then a jump to who is asked. Each is a base chain of its own, so that what lets pass in
//! one is an accept there, and says nothing of any other.

use super::base::{
    BEFORE_DNAT, RAW, base, begins_no_connection, is_lo, known_flows, known_or_untracked, mid_stream,
    needed_by_the_link, not_ours, ours, plain,
};
use super::condition::{equals, look_up, when};
use super::round::Round;
use crate::gate::Lane;
use crate::host::Settings;
use crate::model::Direction;
use crate::ruleset::{Atom, Chain, ConntrackStates, Field, HookPoint, Interface, Match, Name, Rule, Then, Verdict};

/// Priority of the first of host endpoints' chains at input, forward and output: after those of workloads.
pub const HOST_ENDPOINTS: i32 = 1;

/// The bit of a packet's mark that says: the host endpoint it comes in by allowed it before translation, and asks it no more. It is there from
/// prerouting until input or forward, and read and changed alone. Others' bits elsewhere: kube-proxy 0x4000 and 0x8000, podman's and CNI's
/// port mappings 0x2000, Tailscale 0xff0000. Calico's are of 0xffff0000 unless it is told otherwise.
const SPARED: u32 = 0x1000_0000;

/// The name of a lane's base chain.
pub(super) fn chain_name(round: Round) -> Name {
    Name::new(format!("host-{round}"))
}

/// The chain that finds the path of what passes in a lane. What finds none passes.
pub(super) fn gate_name(round: Round) -> Name {
    round.name_of("gate")
}

/// The map of a direction's failsafe ports.
pub(super) fn failsafe_name(direction: Direction) -> Name {
    Name::new(format!("failsafe-{direction}"))
}

/// The base chain of a lane. `spares`: a rule before translation may allow something.
pub(super) fn chain(settings: &Settings, lane: Lane, round: Round, spares: bool) -> Chain {
    let (hook, priority) = place(lane);
    // Staged policies count what comes to them, and then enforced ones decide.
    let priority = if round.is_staged { priority - 1 } else { priority };
    let mut rules = unasked(settings, lane);
    if spares && !round.is_staged {
        add_unspared(&mut rules, lane);
    }
    rules.push(when(asked(settings, lane), Verdict::Jump(gate_name(round))));
    base(hook, priority, rules)
}

fn place(lane: Lane) -> (HookPoint, i32) {
    match lane {
        Lane::UntrackedIn => (HookPoint::Prerouting, RAW),
        Lane::PreDnat => (HookPoint::Prerouting, BEFORE_DNAT),
        Lane::Input => (HookPoint::Input, HOST_ENDPOINTS + 1),
        Lane::ForwardIn => (HookPoint::Forward, HOST_ENDPOINTS + 1),
        // After the interface it comes by: what that spares is said by a mark, which ends here.
        Lane::ForwardOut => (HookPoint::Forward, HOST_ENDPOINTS + 3),
        Lane::UntrackedOut => (HookPoint::Output, RAW),
        Lane::Output => (HookPoint::Output, HOST_ENDPOINTS + 1),
    }
}

/// What passes before anybody is asked.
fn unasked(settings: &Settings, lane: Lane) -> Vec<Rule> {
    let accept = |condition| when(vec![condition], Verdict::Accept);
    let [from_lo, to_lo] = [Field::InterfaceIn, Field::InterfaceOut].map(|field| accept(is_lo(field)));
    let [from_ours, to_ours] = [Field::InterfaceIn, Field::InterfaceOut].map(|field| accept(ours(settings, field)));
    let (known, link) = (accept(known_or_untracked()), needed_by_the_link());
    let (ingress, egress) = (Direction::Ingress, Direction::Egress);
    match lane {
        Lane::UntrackedIn => {
            [vec![from_lo, from_ours], link, vec![failsafe(ingress), failsafe_answer(egress)]].concat()
        }
        Lane::PreDnat => [vec![from_lo, known, from_ours], link, vec![failsafe(ingress)]].concat(),
        Lane::Input => [vec![from_lo, known], link, vec![failsafe(ingress)]].concat(),
        Lane::ForwardIn => vec![known],
        // What goes untracked was asked by the interface it came by, and by no other.
        Lane::ForwardOut => vec![accept(known_flows())],
        // What a host sends to itself and to its own workloads passes.
        Lane::UntrackedOut => [vec![to_lo, to_ours], link, vec![failsafe(egress), failsafe_answer(ingress)]].concat(),
        // The host's side of a connection that may not be ended, though nobody saw it begin.
        Lane::Output => {
            let answer = Rule { matches: begins_no_connection().into(), ..failsafe_answer(ingress) };
            [vec![to_lo, to_ours, known], link, vec![failsafe(egress), answer]].concat()
        }
    }
}

/// Whoever set the bit, it is clear before a rule can set it, and after it was read for the last time.
fn add_unspared(rules: &mut Vec<Rule>, lane: Lane) {
    let unspared = || look_up(vec![is_spared()], spare(false));
    match lane {
        // Known flows need no bit.
        Lane::PreDnat => rules.insert(2, unspared()),
        Lane::ForwardOut => rules.insert(0, unspared()),
        Lane::Input | Lane::ForwardIn | Lane::UntrackedIn | Lane::UntrackedOut | Lane::Output => {}
    }
}

/// What the host endpoint it comes in by allowed before translation passes where that would ask again.
pub(super) fn spares(lane: Lane, round: Round) -> Vec<Rule> {
    let passes = |verdict| vec![when(vec![is_spared()], verdict)];
    match lane {
        Lane::Input if !round.is_staged => passes(Verdict::Goto(spared().0)),
        Lane::Input | Lane::ForwardIn => passes(Verdict::Accept),
        Lane::PreDnat | Lane::ForwardOut | Lane::UntrackedIn | Lane::UntrackedOut | Lane::Output => Vec::new(),
    }
}

/// The chain of what comes to the host and is not asked again.
pub(super) fn spared() -> (Name, Chain) {
    (Name::new("host-spared"), plain(vec![look_up(Vec::new(), spare(false)), when(Vec::new(), Verdict::Accept)]))
}

/// Marks the packet as one that its host endpoint asks no more, or ends that.
pub(super) fn spare(is_set: bool) -> Then {
    Then::Mark { bit: SPARED, is_set }
}

fn is_spared() -> Match {
    Match::Mark { bit: SPARED, negated: false }
}

/// What is asked about, of what is left.
fn asked(settings: &Settings, lane: Lane) -> Vec<Match> {
    match lane {
        Lane::ForwardIn => vec![not_ours(settings, Field::InterfaceIn)],
        Lane::ForwardOut => vec![not_ours(settings, Field::InterfaceOut)],
        Lane::UntrackedIn | Lane::PreDnat | Lane::Input | Lane::UntrackedOut | Lane::Output => Vec::new(),
    }
}

/// What drops TCP that opens no connection and belongs to none, where somebody is asked by what interfaces; everywhere if that is everybody.
/// The kernel by default takes such a packet for the beginning of a flow (`nf_conntrack_tcp_loose`), and a flow that was ended because policy
/// changed would go on in the direction still open.
pub(super) fn no_mid_stream<'i>(
    round: Round,
    lane: Lane,
    of: impl Iterator<Item = Option<&'i Interface>>,
) -> Vec<Rule> {
    let is_asked = match lane {
        Lane::Input | Lane::Output | Lane::ForwardIn | Lane::ForwardOut => !round.is_staged,
        // Nothing is known of flows yet, or what comes later on the path tells.
        Lane::PreDnat | Lane::UntrackedIn | Lane::UntrackedOut => false,
    };
    let is_new = Match::Conntrack(ConntrackStates { new: true, ..Default::default() });
    let drops = |interface: Option<&Interface>| {
        let interface = interface.map(|interface| equals(round.interface(), Atom::Interface(interface.clone())));
        let matches = interface.into_iter().chain([is_new.clone()]).chain(begins_no_connection());
        when(matches.collect(), Verdict::Goto(mid_stream(round.direction())))
    };
    of.filter(|_| is_asked).map(drops).collect()
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
