//! Whose packets are asked about where, and by which policies: the part of every name that says so.
//!
//! In: nothing, these are values. Each round has maps, chains and paths of its own, which stand as long as there is something to ask; those of
//! workloads' enforced policies stand always, for what finds no path there is dropped.

use std::fmt;

use crate::gate::{Lane, Traveller};
use crate::model::{Direction, Mode, Policy};
use crate::ruleset::{Field, Name};

/// What is asked at one place of a packet's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Round {
    pub(super) traveller: Traveller,
    /// Whether staged policies are asked, too, and what they say is counted and nothing else done; else enforced ones decide.
    pub(super) is_staged: bool,
}

impl Round {
    /// Enforced policies of workloads in a direction.
    pub(super) const fn of_workloads(direction: Direction) -> Self {
        Self { traveller: Traveller::Workload(direction), is_staged: false }
    }

    /// Enforced policies of host endpoints in a lane.
    pub(super) const fn at_hosts(lane: Lane) -> Self {
        Self { traveller: Traveller::Host(lane), is_staged: false }
    }

    /// The same with staged policies.
    pub(super) const fn staged(self) -> Self {
        Self { is_staged: true, ..self }
    }

    /// Which side is the governed one.
    pub(super) fn direction(self) -> Direction {
        self.traveller.direction()
    }

    /// Whether a policy has a say.
    pub(super) fn asks(self, policy: &Policy) -> bool {
        let counts = match policy.mode {
            Mode::Enforce => true,
            Mode::Stage => self.is_staged,
            Mode::Off => false,
        };
        counts && self.traveller.rules(policy).is_some()
    }

    /// The interface that says whose policies are asked.
    pub(super) fn interface(self) -> Field {
        match self.traveller {
            Traveller::Workload(Direction::Egress) => Field::InterfaceIn,
            Traveller::Workload(Direction::Ingress) => Field::InterfaceOut,
            Traveller::Host(lane) => match lane {
                Lane::Input | Lane::ForwardIn | Lane::PreDnat | Lane::UntrackedIn => Field::InterfaceIn,
                Lane::Output | Lane::ForwardOut | Lane::UntrackedOut => Field::InterfaceOut,
            },
        }
    }

    /// The name of one of its maps or chains.
    pub(super) fn name_of(self, what: &str) -> Name {
        Name::new(format!("{self}-{what}"))
    }
}

impl fmt::Display for Round {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}{}", self.traveller, if self.is_staged { "-staged" } else { "" })
    }
}
