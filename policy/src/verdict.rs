//! Whether a packet may pass: the plain, slow, trusted definition.
//!
//! In: a world and the first packet of a flow. Out: the decision of each end. Everything faster is tested against this.
//! Replies and related errors pass by connection tracking and are not asked here; what a
//! host itself sends to its own endpoints passes too.

use crate::matching::{Flow, mismatch};
use crate::model::{Action, DefaultAction, Direction, Endpoint, Policy, QualifiedName};
use crate::packet::Packet;
use crate::world::World;

/// What becomes of a packet, and by whose word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Both ends agree.
    pub allowed: bool,
    /// The source's word; nothing if the source is no endpoint.
    pub egress: Option<Ruling>,
    /// The destination's word; nothing if the destination is no endpoint.
    pub ingress: Option<Ruling>,
}

/// One end's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// Whose.
    pub endpoint: String,
    /// Whether the packet may pass this end.
    pub allowed: bool,
    /// What decided.
    pub by: By,
}

/// What decided.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum By {
    /// Both ends are one endpoint: the packet never leaves it.
    Itself,
    /// No policy governs the endpoint in this direction.
    Ungoverned,
    /// A rule that allows or denies.
    Rule(RuleName),
    /// No rule of this tier fitted, and its default is to deny.
    EndOfTier {
        /// Which tier.
        tier: String,
    },
    /// Every governing tier passed the packet on.
    EndOfTiers,
}

/// Where a rule stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleName {
    /// The policy's tier.
    pub tier: String,
    /// The policy.
    pub policy: QualifiedName,
    /// The rule.
    pub rule: String,
}

/// Asks both ends.
pub fn verdict(world: &World, packet: &Packet) -> Decision {
    let flow = Flow::of(world, packet);
    let (source, destination) = (flow.source.endpoint, flow.destination.endpoint);
    let (egress, ingress) = match (source, destination) {
        (Some((source, _)), Some((destination, _))) if source == destination => {
            (Some(itself(source)), Some(itself(destination)))
        }
        _ => (
            source.map(|one| ruling(world, one, Direction::Egress, &flow)),
            destination.map(|one| ruling(world, one, Direction::Ingress, &flow)),
        ),
    };
    let allowed = [&egress, &ingress].into_iter().flatten().all(|ruling| ruling.allowed);
    Decision { allowed, egress, ingress }
}

/// Asks one end; nothing if there is no such endpoint.
pub fn direction_verdict(world: &World, endpoint: &str, direction: Direction, packet: &Packet) -> Option<Ruling> {
    let (name, endpoint) = world.endpoints.get_key_value(endpoint)?;
    Some(ruling(world, (name, endpoint), direction, &Flow::of(world, packet)))
}

fn ruling(world: &World, (name, endpoint): (&str, &Endpoint), direction: Direction, flow: &Flow<'_>) -> Ruling {
    let ruling = |allowed, by| Ruling { endpoint: name.to_owned(), allowed, by };
    let mut last = By::Ungoverned;
    for rank in world.ranks() {
        let policies: Vec<&Policy> =
            rank.policies.into_iter().filter(|policy| governs(world, policy, endpoint, direction)).collect();
        if policies.is_empty() {
            continue;
        }
        last = By::EndOfTiers;
        match first_fit(world, &policies, direction, flow) {
            Some((Action::Allow, name)) => return ruling(true, By::Rule(name)),
            Some((Action::Deny, name)) => return ruling(false, By::Rule(name)),
            Some((Action::Pass | Action::Log, _)) => {}
            None if rank.tier.default_action == DefaultAction::Deny => {
                return ruling(false, By::EndOfTier { tier: rank.tier.name.clone() });
            }
            None => {}
        }
    }
    ruling(true, last)
}

/// Whether a policy speaks for an endpoint in a direction.
pub fn governs(world: &World, policy: &Policy, endpoint: &Endpoint, direction: Direction) -> bool {
    policy.rules(direction).is_some() && world.selects_endpoint(&policy.subject, endpoint)
}

/// The first rule that fits and does more than to log.
fn first_fit(world: &World, policies: &[&Policy], direction: Direction, flow: &Flow<'_>) -> Option<(Action, RuleName)> {
    for policy in policies {
        for rule in policy.rules(direction).unwrap_or_default() {
            if rule.action != Action::Log && mismatch(world, rule, flow).is_none() {
                return Some((rule.action, RuleName::of(policy, &rule.name)));
            }
        }
    }
    None
}

fn itself(endpoint: &str) -> Ruling {
    Ruling { endpoint: endpoint.to_owned(), allowed: true, by: By::Itself }
}

impl RuleName {
    /// The name of a policy's rule.
    pub(crate) fn of(policy: &Policy, rule: &str) -> Self {
        Self { tier: policy.tier.clone(), policy: policy.name.clone(), rule: rule.to_owned() }
    }
}
