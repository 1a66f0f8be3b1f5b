//! Why a packet may or may not pass, told step by step.
//!
//! In: what [`verdict`](crate::verdict) takes. Out: its ruling for each end, and everything that was asked before it fell.
//! The rulings are those of `verdict` for every packet; random worlds test it.

use std::fmt;

use crate::gate::{GateBy, GateRuling, Lane, Traveller, governing, host_verdict};
use crate::host::Failsafe;
use crate::matching::{Flow, Mismatch, mismatch};
use crate::model::{Action, DefaultAction, Direction, Policy};
use crate::packet::Packet;
use crate::verdict::{By, Decision, RuleName, Ruling, governs, verdict};
use crate::world::{Rank, World};

/// The whole story of one packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The packet.
    pub packet: Packet,
    /// Whether both ends agree.
    pub allowed: bool,
    /// The source's part; nothing if the source is no endpoint.
    pub egress: Option<Account>,
    /// The destination's part; nothing if the destination is no endpoint.
    pub ingress: Option<Account>,
}

/// One end's part of the story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// What was asked and did not decide, in order.
    pub steps: Vec<Step>,
    /// What decided.
    pub ruling: Ruling,
}

/// Something that was asked and did not decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A rule that does not fit.
    Skipped {
        /// Which rule.
        rule: RuleName,
        /// The first thing that does not fit.
        because: Mismatch,
    },
    /// A rule that fits and only logs.
    Logged {
        /// Which rule.
        rule: RuleName,
    },
    /// A rule that fits and passes the packet to the next tier.
    Passed {
        /// Which rule.
        rule: RuleName,
    },
    /// A tier whose rules do not fit and whose default is to pass.
    TierPassed {
        /// Which tier.
        tier: String,
    },
}

/// Tells both ends' parts.
pub fn explain(world: &World, packet: &Packet) -> Explanation {
    let Decision { allowed, egress, ingress } = verdict(world, packet);
    let account = |direction, ruling: Ruling| match ruling.by {
        By::Itself => Some(Account { steps: Vec::new(), ruling }),
        _ => direction_account(world, &ruling.endpoint, direction, packet),
    };
    Explanation {
        packet: *packet,
        allowed,
        egress: egress.and_then(|ruling| account(Direction::Egress, ruling)),
        ingress: ingress.and_then(|ruling| account(Direction::Ingress, ruling)),
    }
}

/// Tells one end's part; nothing if there is no such endpoint.
pub fn direction_account(world: &World, endpoint: &str, direction: Direction, packet: &Packet) -> Option<Account> {
    let governed = world.endpoints.get(endpoint)?;
    let mut ranks = world.ranks();
    ranks.iter_mut().for_each(|rank| rank.policies.retain(|policy| governs(world, policy, governed, direction)));
    ranks.retain(|rank| !rank.policies.is_empty());
    Some(account(world, endpoint, direction, Flow::of(world, packet), &ranks))
}

/// Tells one end's part, given the tiers and policies that govern the endpoint in the direction.
pub(crate) fn account(
    world: &World,
    endpoint: &str,
    direction: Direction,
    flow: Flow<'_>,
    ranks: &[Rank<'_>],
) -> Account {
    let mut teller = Teller { world, traveller: Traveller::Workload(direction), flow, steps: Vec::new() };
    let last = if ranks.is_empty() { By::Ungoverned } else { By::EndOfTiers };
    let (allowed, by) = ranks.iter().find_map(|rank| teller.ask(rank)).unwrap_or((true, last));
    Account { steps: teller.steps, ruling: Ruling { endpoint: endpoint.to_owned(), allowed, by } }
}

/// A host endpoint's part of the story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateAccount {
    /// What was asked and did not decide, in order.
    pub steps: Vec<Step>,
    /// What decided.
    pub ruling: GateRuling,
}

/// Tells the part of a host endpoint in a lane; nothing if there is no such host endpoint.
pub fn explain_at_host(
    world: &World,
    failsafe: &Failsafe,
    host_endpoint: &str,
    lane: Lane,
    packet: &Packet,
) -> Option<GateAccount> {
    let ruling = host_verdict(world, failsafe, host_endpoint, lane, packet)?;
    let mut teller =
        Teller { world, traveller: Traveller::Host(lane), flow: Flow::of(world, packet), steps: Vec::new() };
    if ruling.by != GateBy::Failsafe {
        let labels = world.host_endpoints.get(host_endpoint)?;
        governing(world, labels, lane).find_map(|rank| teller.ask(&rank));
    }
    Some(GateAccount { steps: teller.steps, ruling })
}

struct Teller<'w> {
    world: &'w World,
    traveller: Traveller,
    flow: Flow<'w>,
    steps: Vec<Step>,
}

impl Teller<'_> {
    /// Goes through one tier's governing policies; nothing if the next tier is to be asked.
    fn ask(&mut self, rank: &Rank<'_>) -> Option<(bool, By)> {
        match (self.first_fit(&rank.policies), rank.tier.default_action) {
            (Some((Action::Allow, rule)), _) => Some((true, By::Rule(rule))),
            (Some((Action::Deny, rule)), _) => Some((false, By::Rule(rule))),
            (Some((Action::Pass | Action::Log, rule)), _) => {
                self.steps.push(Step::Passed { rule });
                None
            }
            (None, DefaultAction::Deny) => Some((false, By::EndOfTier { tier: rank.tier.name.clone() })),
            (None, DefaultAction::Pass) => {
                self.steps.push(Step::TierPassed { tier: rank.tier.name.clone() });
                None
            }
        }
    }

    fn first_fit(&mut self, policies: &[&Policy]) -> Option<(Action, RuleName)> {
        for policy in policies {
            for rule in self.traveller.rules(policy).unwrap_or_default() {
                let name = RuleName::of(policy, &rule.name);
                match mismatch(self.world, rule, &self.flow) {
                    None if rule.action == Action::Log => self.steps.push(Step::Logged { rule: name }),
                    None => return Some((rule.action, name)),
                    Some(because) => self.steps.push(Step::Skipped { rule: name, because }),
                }
            }
        }
        None
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}: {}", self.packet, passes_or_not(self.allowed))?;
        for (direction, account) in [(Direction::Egress, &self.egress), (Direction::Ingress, &self.ingress)] {
            match account {
                Some(account) => write!(out, "{direction} of {}", account)?,
                None => writeln!(out, "{direction}: not an endpoint of ours")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Account {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}:", self.ruling.endpoint)?;
        for step in &self.steps {
            writeln!(out, "  {step}")?;
        }
        writeln!(out, "  {}", self.ruling)
    }
}

impl fmt::Display for GateAccount {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{} of {}:", self.ruling.lane, self.ruling.host_endpoint)?;
        for step in &self.steps {
            writeln!(out, "  {step}")?;
        }
        writeln!(out, "  {}", self.ruling.reason())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Skipped { rule, because } => write!(out, "{rule}: skipped, {because}"),
            Step::Logged { rule } => write!(out, "{rule}: logged"),
            Step::Passed { rule } => write!(out, "{rule}: passes to the next tier"),
            Step::TierPassed { tier } => write!(out, "end of tier {tier}: passes to the next tier"),
        }
    }
}

impl fmt::Display for Ruling {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.by, passes_or_not(self.allowed))
    }
}

impl fmt::Display for By {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            By::Itself => out.write_str("source and destination are one endpoint"),
            By::Ungoverned => out.write_str("no policy governs"),
            By::Rule(rule) => write!(out, "{rule}"),
            By::EndOfTier { tier } => write!(out, "end of tier {tier}"),
            By::EndOfTiers => out.write_str("every tier passed"),
        }
    }
}

impl fmt::Display for RuleName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}/{}", self.tier, self.policy, self.rule)
    }
}

fn passes_or_not(allowed: bool) -> &'static str {
    if allowed { "allowed" } else { "denied" }
}
