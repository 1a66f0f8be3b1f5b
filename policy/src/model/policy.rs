//! Policies: ordered rules for the endpoints a subject selects.

use std::fmt;

use ipnet::IpNet;

use super::{IpVersion, Order, PortMatch, PortSide, QualifiedName, Rare, Rules, Selection};

/// Which way a packet goes, seen from the governed endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// To the endpoint; peers are sources.
    Ingress,
    /// From the endpoint; peers are destinations.
    Egress,
}

/// Rules for the endpoints that `subject` selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Unique.
    pub name: QualifiedName,
    /// The tier it stands in.
    pub tier: String,
    /// Where it stands in its tier; absent = last.
    pub order: Option<Order>,
    /// Whether it is enforced.
    pub mode: Mode,
    /// The endpoints it governs.
    pub subject: Selection,
    /// Whether it governs host endpoints too, and which of their packets.
    pub hosts: Hosts,
    /// Rules for what comes in. Present, even empty = the direction is governed.
    pub ingress: Option<Rules>,
    /// Rules for what goes out. Present, even empty = the direction is governed.
    pub egress: Option<Rules>,
}

/// What a policy has to say about the host endpoints its subject selects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hosts {
    /// Nothing, whatever its subject: it governs workloads.
    #[default]
    Never,
    /// It governs workloads, and what a host itself receives and sends.
    Local,
    /// As [`Hosts::Local`], and what a host forwards.
    Forward,
    /// It governs what comes in at a host before its destination is translated, and no workload.
    PreDnat,
    /// It governs what comes in at a host and what the host sends, before connection tracking, and no workload.
    Untracked,
}

impl Hosts {
    /// Every way.
    pub const ALL: [Self; 5] = [Self::Never, Self::Local, Self::Forward, Self::PreDnat, Self::Untracked];
}

/// How much a policy's word counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// It decides.
    #[default]
    Enforce,
    /// What it would decide is counted, and nothing else.
    Stage,
    /// As if it were not there.
    Off,
}

impl Policy {
    /// The rules of a direction, or nothing where the policy does not govern workloads in it.
    pub fn rules(&self, direction: Direction) -> Option<&[Rule]> {
        match self.hosts {
            Hosts::Never | Hosts::Local | Hosts::Forward => self.written(direction),
            Hosts::PreDnat | Hosts::Untracked => None,
        }
    }

    /// The rules of a direction as they are written, whomever they govern.
    pub(crate) fn written(&self, direction: Direction) -> Option<&[Rule]> {
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
    /// Whether a packet that fits is logged too.
    pub log: bool,
    /// Which family; absent = both.
    pub ip_version: Option<IpVersion>,
    /// Whence. Of an egress rule this is the governed endpoint itself.
    pub source: Rare<Peers>,
    /// Whither. Of an ingress rule this is the governed endpoint itself.
    pub destination: Rare<Peers>,
    /// What the packet is addressed to: any of these; empty = every protocol and port.
    pub ports: Vec<PortMatch>,
    /// What it must not be addressed to: none of these.
    pub not_ports: Rare<Vec<PortMatch>>,
    /// As `ports`, for the port it comes from. Entries without ports ask for what they ask for in `ports`.
    pub source_ports: Rare<Vec<PortMatch>>,
    /// As `not_ports`, for the port it comes from.
    pub not_source_ports: Rare<Vec<PortMatch>>,
}

impl Rule {
    /// A rule that every packet fits.
    pub fn any(name: impl Into<String>, action: Action) -> Self {
        Self {
            name: name.into(),
            action,
            log: false,
            ip_version: None,
            source: Rare::default(),
            destination: Rare::default(),
            ports: Vec::new(),
            not_ports: Rare::default(),
            source_ports: Rare::default(),
            not_source_ports: Rare::default(),
        }
    }

    /// Who must be at the other end.
    pub fn peers(&self, direction: Direction) -> &Peers {
        match direction {
            Direction::Ingress => &self.source,
            Direction::Egress => &self.destination,
        }
    }

    /// What is asked of the governed endpoint itself.
    pub fn own(&self, direction: Direction) -> &Peers {
        match direction {
            Direction::Ingress => &self.destination,
            Direction::Egress => &self.source,
        }
    }

    /// Every entry that speaks of ports, in whichever list.
    pub fn all_ports(&self) -> impl Iterator<Item = &PortMatch> + Clone {
        let (lists, more) = (self.ports_on(PortSide::Destination), self.ports_on(PortSide::Source));
        [lists.0, lists.1, more.0, more.1].into_iter().flatten()
    }

    /// What the port on a side must be, any of these, and what it must not be.
    pub fn ports_on(&self, side: PortSide) -> (&[PortMatch], &[PortMatch]) {
        match side {
            PortSide::Source => (&self.source_ports, &self.not_source_ports),
            PortSide::Destination => (&self.ports, &self.not_ports),
        }
    }

    /// The same, with these at the other end.
    pub fn with_peers(mut self, direction: Direction, peers: Peers) -> Self {
        match direction {
            Direction::Ingress => self.source = peers.into(),
            Direction::Egress => self.destination = peers.into(),
        }
        self
    }
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// The direction is settled: the packet may pass.
    Allow,
    /// The packet is dropped.
    Deny,
    /// The rest of the tier is skipped.
    Pass,
    /// Nothing but being logged; the next rule is asked.
    Log,
}

/// Who is at an end. All that is given must hold together; within a list any one entry is enough.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peers {
    /// Endpoints and address sets; absent = no such demand. `all()` still means known ones only.
    pub select: Option<Selection>,
    /// No endpoint or address set that is selected so; absent = no such demand.
    pub not_select: Option<Selection>,
    /// Prefixes; empty = no such demand.
    pub nets: Vec<IpNet>,
    /// Prefixes the address must not lie in.
    pub not_nets: Vec<IpNet>,
    /// Address sets by name; empty = no such demand. A set that does not exist holds nothing.
    pub sets: Vec<QualifiedName>,
    /// No endpoint of the fabric.
    pub outside: bool,
}

impl Peers {
    /// Nothing is asked for.
    pub(super) const ANYBODY: Self = Self {
        select: None,
        not_select: None,
        nets: Vec::new(),
        not_nets: Vec::new(),
        sets: Vec::new(),
        outside: false,
    };

    /// Whether nothing is asked for, so that anybody fits.
    pub fn is_anybody(&self) -> bool {
        *self == Self::default()
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
