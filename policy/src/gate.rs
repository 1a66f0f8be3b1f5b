//! What a host lets pass at its own interfaces: the plain, slow, trusted definition.
//!
//! In: a world, a host endpoint, where on the kernel's path the first packet of a flow is, and the ports that stay open. Out: the
//! host endpoint's word. What is compiled is tested against this. Rules: Calico's host endpoints (docs, reference/host-endpoints),
//! with one difference: a policy speaks for host endpoints only if it says so ([`Hosts`]), `all()` or not.
//!
//! - Before all else pass: lo; flows that are known, or were let through untracked; neighbour discovery and listener reports; the
//!   ports of [`Failsafe`], except where the host only forwards.
//! - What the host itself receives and sends: what no rule allows is denied, each direction by itself, with or without policies.
//! - What it forwards: as for a workload; where no [`Hosts::Forward`] policy governs, it passes.
//! - TCP that opens no connection and belongs to none that is known is dropped at an interface that has a host endpoint, but for what the
//!   host sends from its failsafe ports; of what it forwards, if a policy governs any of that. So a connection that was ended stays so.
//! - Before destination translation, and untracked: a tier's end denies nothing; what no rule denies goes on to what comes later on
//!   the path. What a rule allows there, no later lane of that host endpoint asks: [`GateRuling::is_settled`]. The host endpoint by which it
//!   leaves again still does, and so do workloads.
//! - What an untracked rule allows is not tracked, so both are asked of it packet by packet, and workloads take of TCP only what
//!   opens a connection.
//! - A host's packets to its own workloads pass. What a workload sends to its host meets the workload's egress policy, then
//!   [`WorkloadToHost`](crate::host::WorkloadToHost), then the ingress policy of the host endpoint of
//!   [every](crate::host::Doorway::Every) interface, if there is one; else no interface of a workload is a host endpoint's.

use std::collections::BTreeSet;
use std::fmt;

use crate::host::Failsafe;
use crate::label::Labels;
use crate::matching::{Flow, mismatch};
use crate::model::{Action, DefaultAction, Direction, Hosts, Policy, PortProtocol, PortSide, Rule};
use crate::packet::{Packet, Transport};
use crate::verdict::{By, RuleName};
use crate::world::{Rank, World};

/// Where on the kernel's path a host endpoint is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// What the host itself receives by the interface.
    Input,
    /// What the host itself sends by the interface.
    Output,
    /// What came in by the interface and goes further.
    ForwardIn,
    /// What leaves by the interface and came from elsewhere.
    ForwardOut,
    /// What comes in by the interface, before its destination is translated.
    PreDnat,
    /// What comes in by the interface, before it is tracked.
    UntrackedIn,
    /// What the host itself sends by the interface, before it is tracked.
    UntrackedOut,
}

/// A host endpoint's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateRuling {
    /// Whose.
    pub host_endpoint: String,
    /// Where.
    pub lane: Lane,
    /// Whether the packet may go on.
    pub allowed: bool,
    /// Whether no later lane of the host endpoint asks: what a rule before translation allowed, and what goes on untracked.
    pub is_settled: bool,
    /// What decided.
    pub by: GateBy,
}

/// What decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GateBy {
    /// The port is one that stays open.
    Failsafe,
    /// Policies, or that there are none.
    Policy(By),
}

impl Lane {
    /// Every lane, in the order a packet meets them.
    pub const ALL: [Self; 7] = [
        Self::UntrackedIn,
        Self::PreDnat,
        Self::Input,
        Self::ForwardIn,
        Self::ForwardOut,
        Self::UntrackedOut,
        Self::Output,
    ];

    /// What is asked, in order, of what comes in by the interface and is for the host itself.
    pub const RECEIVED: [Self; 3] = [Self::UntrackedIn, Self::PreDnat, Self::Input];
    /// Of what comes in by it and goes further.
    pub const FORWARDED: [Self; 3] = [Self::UntrackedIn, Self::PreDnat, Self::ForwardIn];
    /// Of what the host itself sends by it.
    pub const SENT: [Self; 2] = [Self::UntrackedOut, Self::Output];

    /// Which rules are asked.
    pub fn direction(self) -> Direction {
        match self {
            Lane::Input | Lane::ForwardIn | Lane::PreDnat | Lane::UntrackedIn => Direction::Ingress,
            Lane::Output | Lane::ForwardOut | Lane::UntrackedOut => Direction::Egress,
        }
    }

    /// Whether what no rule allows is denied.
    pub fn is_closed(self) -> bool {
        matches!(self, Lane::Input | Lane::Output)
    }

    /// Whether what is allowed is not tracked.
    pub fn is_untracked(self) -> bool {
        matches!(self, Lane::UntrackedIn | Lane::UntrackedOut)
    }

    /// Whether what a rule allows here is asked by no later lane of the host endpoint.
    pub fn settles(self) -> bool {
        matches!(self, Lane::PreDnat) || self.is_untracked()
    }

    /// Whether the end of a tier denies what none of its rules decided, where the tier says so.
    pub(crate) fn has_tier_ends(self) -> bool {
        matches!(self, Lane::Input | Lane::Output | Lane::ForwardIn | Lane::ForwardOut)
    }

    /// The rules a policy has for the lane, or nothing where it does not govern it.
    pub(crate) fn rules(self, policy: &Policy) -> Option<&[Rule]> {
        let speaks = match self {
            Lane::Input | Lane::Output => matches!(policy.hosts, Hosts::Local | Hosts::Forward),
            Lane::ForwardIn | Lane::ForwardOut => policy.hosts == Hosts::Forward,
            Lane::PreDnat => policy.hosts == Hosts::PreDnat,
            Lane::UntrackedIn | Lane::UntrackedOut => policy.hosts == Hosts::Untracked,
        };
        if speaks { policy.written(self.direction()) } else { None }
    }
}

/// Whose rules are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Traveller {
    /// A workload, in a direction.
    Workload(Direction),
    /// Whoever passes a host's own interface.
    Host(Lane),
}

impl Traveller {
    /// Which side is the governed one.
    pub(crate) fn direction(self) -> Direction {
        match self {
            Traveller::Workload(direction) => direction,
            Traveller::Host(lane) => lane.direction(),
        }
    }

    /// The rules a policy has for it, or nothing where it does not govern it.
    pub(crate) fn rules(self, policy: &Policy) -> Option<&[Rule]> {
        match self {
            Traveller::Workload(direction) => policy.rules(direction),
            Traveller::Host(lane) => lane.rules(policy),
        }
    }
}

/// Asks a host endpoint about a packet; nothing if there is no such host endpoint.
pub fn host_verdict(
    world: &World,
    failsafe: &Failsafe,
    host_endpoint: &str,
    lane: Lane,
    packet: &Packet,
) -> Option<GateRuling> {
    let labels = world.host_endpoints.get(host_endpoint)?;
    let ruling =
        |allowed, is_settled, by| GateRuling { host_endpoint: host_endpoint.to_owned(), lane, allowed, is_settled, by };
    if stays_open(failsafe, lane, packet) {
        return Some(ruling(true, false, GateBy::Failsafe));
    }
    let flow = Flow::of(world, packet);
    let mut last = By::Ungoverned;
    for rank in governing(world, labels, lane) {
        last = By::EndOfTiers;
        match first_fit(world, &rank.policies, lane, &flow) {
            Some((Action::Allow, name)) => {
                return Some(ruling(true, lane.settles(), GateBy::Policy(By::Rule(name))));
            }
            Some((Action::Deny, name)) => return Some(ruling(false, false, GateBy::Policy(By::Rule(name)))),
            Some((Action::Pass | Action::Log, _)) => {}
            None if rank.tier.default_action == DefaultAction::Deny => {
                let tier = rank.tier.name.clone();
                return Some(ruling(false, false, GateBy::Policy(By::EndOfTier { tier })));
            }
            None => {}
        }
    }
    Some(ruling(!lane.is_closed(), false, GateBy::Policy(last)))
}

/// Asks a host endpoint in one lane after the other, until one denies the packet or settles that none asks any more. The words that were said;
/// the packet passes if all allow it.
pub fn host_verdicts(
    world: &World,
    failsafe: &Failsafe,
    host_endpoint: &str,
    lanes: &[Lane],
    packet: &Packet,
) -> Vec<GateRuling> {
    let mut said: Vec<GateRuling> = Vec::new();
    for lane in lanes {
        if said.last().is_some_and(|ruling| ruling.is_settled || !ruling.allowed) {
            break;
        }
        said.extend(host_verdict(world, failsafe, host_endpoint, *lane, packet));
    }
    said
}

/// Whether the failsafe ports hold the packet. Before tracking, answers are not known as such, so they are told by their source port.
fn stays_open(failsafe: &Failsafe, lane: Lane, packet: &Packet) -> bool {
    let Transport::Ports { protocol, source, destination } = packet.transport else { return false };
    let Some(protocol) = PortProtocol::from_number(protocol) else { return false };
    open_ports(failsafe, lane).into_iter().any(|(side, ports)| match side {
        PortSide::Source => ports.contains(&(protocol, source)),
        PortSide::Destination => ports.contains(&(protocol, destination)),
    })
}

/// The ports that stay open in a lane, and by which of a packet's two they are told.
pub(crate) fn open_ports(failsafe: &Failsafe, lane: Lane) -> Vec<(PortSide, &BTreeSet<(PortProtocol, u16)>)> {
    let (own, others) = match lane.direction() {
        Direction::Ingress => (&failsafe.inbound, &failsafe.outbound),
        Direction::Egress => (&failsafe.outbound, &failsafe.inbound),
    };
    match lane {
        Lane::Input | Lane::Output | Lane::PreDnat => vec![(PortSide::Destination, own)],
        Lane::UntrackedIn | Lane::UntrackedOut => vec![(PortSide::Destination, own), (PortSide::Source, others)],
        Lane::ForwardIn | Lane::ForwardOut => Vec::new(),
    }
}

/// The tiers and enforced policies that govern a host endpoint with these labels in a lane, in the order they are asked. Where a
/// tier's end denies nothing, it is shown as one that passes.
pub(crate) fn governing<'w>(world: &'w World, labels: &'w Labels, lane: Lane) -> impl Iterator<Item = Rank<'w>> {
    world.ranks().into_iter().filter_map(move |mut rank| {
        rank.policies
            .retain(|policy| lane.rules(policy).is_some() && world.selects_host_endpoint(&policy.subject, labels));
        if !lane.has_tier_ends() {
            rank.tier.to_mut().default_action = DefaultAction::Pass;
        }
        (!rank.policies.is_empty()).then_some(rank)
    })
}

/// The first rule that fits and does more than to log.
fn first_fit(world: &World, policies: &[&Policy], lane: Lane, flow: &Flow<'_>) -> Option<(Action, RuleName)> {
    for policy in policies {
        for rule in lane.rules(policy).unwrap_or_default() {
            if rule.action != Action::Log && mismatch(world, rule, flow).is_none() {
                return Some((rule.action, RuleName::of(policy, &rule.name)));
            }
        }
    }
    None
}

impl fmt::Display for Traveller {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Traveller::Workload(direction) => direction.fmt(out),
            Traveller::Host(lane) => lane.fmt(out),
        }
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Lane::Input => "input",
            Lane::Output => "output",
            Lane::ForwardIn => "forward-in",
            Lane::ForwardOut => "forward-out",
            Lane::PreDnat => "pre-dnat",
            Lane::UntrackedIn => "raw-in",
            Lane::UntrackedOut => "raw-out",
        })
    }
}

impl GateRuling {
    /// What decided, and how.
    pub fn reason(&self) -> String {
        let outcome = match (self.allowed, self.is_settled, self.lane.is_untracked()) {
            (true, true, true) => "allowed, untracked",
            (true, true, false) => "allowed, not asked again",
            (true, false, _) => "allowed",
            (false, ..) => "denied",
        };
        format!("{}: {outcome}", self.by)
    }
}

impl fmt::Display for GateBy {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GateBy::Failsafe => out.write_str("failsafe port"),
            GateBy::Policy(by) => write!(out, "{by}"),
        }
    }
}

impl fmt::Display for GateRuling {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} of {}: {}", self.lane, self.host_endpoint, self.reason())
    }
}
