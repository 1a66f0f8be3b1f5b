//! How a difference is told.

use std::fmt;

use super::{Change, HostChange, HostTurn, Turn};
use crate::verdict::{By, Decision, Ruling};

impl Change {
    /// The word for the family, where it is one only.
    fn family(&self) -> String {
        match &self.families[..] {
            [only] => format!(" over {only}"),
            _ => String::new(),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { turn, sources, destinations, traffic, example, .. } = self;
        writeln!(out, "{turn} {sources} -> {destinations}: {traffic}{}", self.family())?;
        if let Turn::Kept { egress, ingress, .. } = turn {
            for (end, change) in [("source", egress), ("destination", ingress)] {
                let Some((old, new)) = change else { continue };
                writeln!(out, "    at the {end}: by {old}, now by {new}")?;
            }
        }
        writeln!(out, "    such as {}", example.packet)?;
        writeln!(out, "      was: {}", told(&example.before))?;
        writeln!(out, "      now: {}", told(&example.after))
    }
}

impl fmt::Display for HostChange {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host_endpoints, lane, turn, family, sources, destinations, traffic, example } = self;
        let whose = host_endpoints.join(", ");
        writeln!(out, "{turn} {sources} -> {destinations}: {traffic} over {family}, at {lane} of {whose}")?;
        writeln!(out, "    such as {}", example.packet)?;
        writeln!(out, "      was: {}", self.told(example.before.as_ref()))?;
        writeln!(out, "      now: {}", self.told(example.after.as_ref()))
    }
}

impl fmt::Display for HostTurn {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            HostTurn::Opened => "+ allowed now:",
            HostTurn::Closed => "- denied now:",
            HostTurn::Untracked => "~ untracked now:",
            HostTurn::Tracked => "~ tracked now:",
            HostTurn::Spared => "~ not asked again now:",
            HostTurn::Asked => "~ asked again now:",
        })
    }
}

impl fmt::Display for Turn {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Turn::Opened => "+ allowed now:",
            Turn::Closed => "- denied now:",
            Turn::Kept { allowed: true, .. } => "~ still allowed:",
            Turn::Kept { allowed: false, .. } => "~ still denied:",
        })
    }
}

/// Both ends' words in one line: who denies, or who allows; an end that nobody governs has nothing to say beside one that is.
pub fn told(decision: &Decision) -> String {
    let word = if decision.allowed { "allowed" } else { "denied" };
    let speaks = |ruling: &&Ruling| ruling.allowed == decision.allowed && ruling.by != By::Ungoverned;
    let ends = [("egress", &decision.egress), ("ingress", &decision.ingress)];
    let said: Vec<String> = ends
        .into_iter()
        .filter_map(|(direction, ruling)| Some((direction, ruling.as_ref().filter(speaks)?)))
        .map(|(direction, ruling)| format!("{direction} of {}: {}", ruling.endpoint, ruling.by))
        .collect();
    let said = if said.is_empty() { By::Ungoverned.to_string() } else { said.join(", ") };
    format!("{word}, {said}")
}
