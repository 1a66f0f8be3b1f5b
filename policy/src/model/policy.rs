//! Policies: ordered rules for the endpoints a subject selects.

use std::fmt;

use ipnet::IpNet;

use super::{Order, PortMatch};
use crate::selector::Selector;

/// Which way a packet goes, seen from the governed endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// To the endpoint; peers are sources.
    Ingress,
    /// From the endpoint; peers are destinations.
    Egress,
}

/// Rules for the endpoints that `subject` admits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Unique.
    pub name: String,
    /// The tier it stands in.
    pub tier: String,
    /// Where it stands in its tier; absent = last.
    pub order: Option<Order>,
    /// The endpoints it governs.
    pub subject: Selector,
    /// Rules for what comes in. Present, even empty = the direction is governed.
    pub ingress: Option<Vec<Rule>>,
    /// Rules for what goes out. Present, even empty = the direction is governed.
    pub egress: Option<Vec<Rule>>,
}

impl Policy {
    /// The rules of a direction, or nothing where the policy does not govern it.
    pub fn rules(&self, direction: Direction) -> Option<&[Rule]> {
        match direction {
            Direction::Ingress => self.ingress.as_deref(),
            Direction::Egress => self.egress.as_deref(),
        }
    }
}

/// If everything asked for holds, the action; else the next rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Unique in its policy and direction.
    pub name: String,
    /// What becomes of a packet that fits.
    pub action: Action,
    /// Who is at the other end.
    pub peers: Peers,
    /// What the packet is addressed to: any of these; empty = every protocol and port.
    pub ports: Vec<PortMatch>,
    /// The same for the port it comes from. Entries without ports ask for what they ask for in `ports`.
    pub source_ports: Vec<PortMatch>,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The direction is settled: the packet may pass.
    Allow,
    /// The packet is dropped.
    Deny,
    /// The rest of the tier is skipped.
    Pass,
}

/// Who is at the other end. All that is given must hold together; within a list any one entry is enough.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peers {
    /// Endpoints and address sets by their labels; absent = no such demand. `all()` still means known ones only.
    pub select: Option<Selector>,
    /// Prefixes; empty = no such demand.
    pub nets: Vec<IpNet>,
    /// Prefixes the address must not lie in.
    pub not_nets: Vec<IpNet>,
    /// Address sets by name; empty = no such demand. A set that does not exist holds nothing.
    pub sets: Vec<String>,
}

impl Peers {
    /// Whether nothing is asked for, so that anybody fits.
    pub fn is_anybody(&self) -> bool {
        self.select.is_none() && self.nets.is_empty() && self.not_nets.is_empty() && self.sets.is_empty()
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Direction::Ingress => "ingress",
            Direction::Egress => "egress",
        })
    }
}
