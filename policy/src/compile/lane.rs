//! The base chains in which host endpoints are asked: one for each lane, and one before it where policies are staged there.
//!
//! In: which lane. Out: what passes in it unasked, and then a jump to who is asked. Each is a base chain of its own, so that what lets pass in
//! one is an accept there, and says nothing of any other.

use super::base::{BEFORE_DNAT, RAW, base, is_lo, known_or_untracked, needed_by_the_link, not_ours, ours};
use super::condition::{look_up, when};
use super::round::Round;
use crate::gate::Lane;
use crate::host::Settings;
use crate::model::Direction;
use crate::ruleset::{Chain, Field, HookPoint, Match, Name, Rule, Then, Verdict};

/// Priority of the first of host endpoints' chains at input, forward and output: after those of workloads.
pub const HOST_ENDPOINTS: i32 = 1;

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

/// The base chain of a lane.
pub(super) fn chain(settings: &Settings, lane: Lane, round: Round) -> Chain {
    let (hook, priority) = place(lane);
    // Staged policies count what comes to them, and then enforced ones decide.
    let priority = if round.is_staged { priority - 1 } else { priority };
    let mut rules = unasked(settings, lane);
    rules.push(when(asked(settings, lane), Verdict::Jump(gate_name(round))));
    base(hook, priority, rules)
}

fn place(lane: Lane) -> (HookPoint, i32) {
    match lane {
        Lane::UntrackedIn => (HookPoint::Prerouting, RAW),
        Lane::PreDnat => (HookPoint::Prerouting, BEFORE_DNAT),
        Lane::Input => (HookPoint::Input, HOST_ENDPOINTS + 1),
        Lane::ForwardIn | Lane::ForwardOut => (HookPoint::Forward, HOST_ENDPOINTS + 1),
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
        Lane::PreDnat => [vec![from_lo, from_ours, known], link, vec![failsafe(ingress)]].concat(),
        Lane::Input => [vec![from_lo, known], link, vec![failsafe(ingress)]].concat(),
        Lane::ForwardIn | Lane::ForwardOut => vec![known],
        // What a host sends to itself and to its own workloads passes.
        Lane::UntrackedOut => [vec![to_lo, to_ours], link, vec![failsafe(egress), failsafe_answer(ingress)]].concat(),
        Lane::Output => [vec![to_lo, to_ours, known], link, vec![failsafe(egress)]].concat(),
    }
}

/// What is asked about, of what is left.
fn asked(settings: &Settings, lane: Lane) -> Vec<Match> {
    match lane {
        Lane::ForwardIn => vec![not_ours(settings, Field::InterfaceIn)],
        Lane::ForwardOut => vec![not_ours(settings, Field::InterfaceOut)],
        Lane::UntrackedIn | Lane::PreDnat | Lane::Input | Lane::UntrackedOut | Lane::Output => Vec::new(),
    }
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
