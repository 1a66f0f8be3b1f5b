//! Assertions about who may talk to whom, proven or refuted.
//!
//! In: a world and cases as people state them. Out: for each case that it holds, or why not: one packet, and who decides it. A case
//! speaks of every packet between its two ends, so where it holds it is proven for the endpoints that are there. Host endpoints are asked where
//! a case names them. Knows nothing of files.

mod crossing;
mod prove;

use std::fmt;

use self::crossing::Stop;
use crate::gate::{GateBy, GateRuling, Lane};
use crate::model::{Peers, PortMatch};
use crate::packet::Packet;
use crate::verdict::{By, Decision};

pub use self::prove::check;

/// One assertion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// What people call it; empty = told by its ends.
    pub name: String,
    /// Whence: anybody who fits one of these.
    pub from: Party,
    /// Whither.
    pub to: Party,
    /// What the packets are addressed to: any of these; empty = every protocol and port. Named ports are those of the destination.
    pub ports: Vec<PortMatch>,
    /// What must become of every one of them.
    pub expect: Expect,
    /// Whose word it must be.
    pub by: Option<Author>,
    /// Nobody but `from` may reach `to` there.
    pub nobody_else: bool,
    /// The host endpoint by which the packets come to a host that forwards them; absent = none is asked.
    pub enters_by: Option<String>,
    /// By which they leave a host that forwards them.
    pub leaves_by: Option<String>,
    /// An end that selects nobody, or ends without a packet between them, hold too.
    pub may_be_empty: bool,
}

/// One end of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Party {
    /// How its author wrote it.
    pub text: String,
    /// Anybody who fits one of these.
    pub any: Vec<Peers>,
    /// But nobody who fits one of these.
    pub except: Vec<Peers>,
    /// It is a host, at this host endpoint of it, which is asked about what the host itself sends and receives.
    pub host_endpoint: Option<String>,
}

/// What must become of packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Both ends allow it.
    Allow,
    /// One end at least denies it.
    Deny,
}

/// Who must have decided: of an allowed packet one end at least, of a denied one an end that denies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    /// The policy, `name` or `namespace/name`.
    pub policy: String,
    /// The rule; absent = any of the policy's.
    pub rule: Option<String>,
}

/// What came of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It holds for all that it speaks of.
    Holds,
    /// A packet that it speaks of is decided otherwise.
    Refuted(Box<Refutation>),
    /// An end selects nobody, so that nothing is proven.
    Nobody {
        /// How its author wrote the end.
        party: String,
    },
    /// Both ends select somebody, and no packet can go between them: no family, no address or no port in common.
    NoPacket,
}

/// One packet that refutes a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refutation {
    /// The packet.
    pub packet: Packet,
    /// What becomes of it.
    pub allowed: bool,
    /// The word of the endpoints at its ends.
    pub decision: Decision,
    /// The words of the host endpoints it meets, in order.
    pub gates: Vec<GateRuling>,
    /// What the case asks of it that is not so.
    pub because: Because,
}

/// What is not so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// It is decided the other way.
    Decision,
    /// It is decided as expected, by another's word.
    Decider,
    /// Somebody else may reach the destination too.
    SomebodyElse,
}

impl Party {
    /// Anybody who fits.
    pub fn of(text: impl Into<String>, peers: Peers) -> Self {
        Self { text: text.into(), any: vec![peers], except: Vec::new(), host_endpoint: None }
    }
}

impl Case {
    /// The host endpoints that are asked about packets of `from`, or about those of somebody else.
    fn stops(&self, is_meant: bool) -> Vec<Stop<'_>> {
        let sent = Stop::at(self.from.host_endpoint.as_deref(), &Lane::SENT).filter(|_| is_meant);
        let left = Stop::at(self.leaves_by.as_deref(), &[Lane::ForwardOut]);
        let entered = Stop::at(self.enters_by.as_deref(), &Lane::FORWARDED);
        let received = Stop::at(self.to.host_endpoint.as_deref(), &Lane::RECEIVED);
        [sent, left, entered, received].into_iter().flatten().collect()
    }

    /// All that it asks of both ends, in one list: of the sources first.
    pub(crate) fn demands(&self) -> Vec<Peers> {
        let parties = [&self.from, &self.to];
        parties.into_iter().flat_map(|party| party.any.iter().chain(&party.except)).cloned().collect()
    }
}

impl Refutation {
    /// The words of all that say what becomes of it.
    fn told(&self) -> String {
        let word = if self.allowed { "allowed" } else { "denied" };
        let at_gates = self.gates.iter().filter(|ruling| ruling.allowed == self.allowed && has_a_say(ruling));
        let gates = at_gates.map(|ruling| format!("{} of {}: {}", ruling.lane, ruling.host_endpoint, ruling.by));
        let mut said: Vec<String> = gates.collect();
        if said.is_empty() || speaks(&self.decision, self.allowed) {
            let ends = crate::diff::told(&self.decision);
            said.insert(0, ends.strip_prefix(&format!("{word}, ")).unwrap_or(&ends).to_owned());
        }
        format!("{word}, {}", said.join(", "))
    }
}

/// Whether a host endpoint says more than that all may pass.
fn has_a_say(ruling: &GateRuling) -> bool {
    ruling.lane.is_closed() || !matches!(ruling.by, GateBy::Failsafe | GateBy::Policy(By::Ungoverned))
}

/// Whether an endpoint that is governed says so.
fn speaks(decision: &Decision, allowed: bool) -> bool {
    let mut ends = [&decision.egress, &decision.ingress].into_iter().flatten();
    decision.allowed == allowed && ends.any(|ruling| ruling.allowed == allowed && ruling.by != By::Ungoverned)
}

impl fmt::Display for Case {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.name.is_empty() {
            return out.write_str(&self.name);
        }
        let may = match (self.expect, self.nobody_else) {
            (Expect::Allow, false) => "may reach",
            (Expect::Allow, true) => "and nobody else may reach",
            (Expect::Deny, _) => "may not reach",
        };
        write!(out, "{} {may} {}", self.from.text, self.to.text)?;
        let ports: Vec<String> = self.ports.iter().map(ToString::to_string).collect();
        if !ports.is_empty() {
            write!(out, " on {}", ports.join(" "))?;
        }
        for (word, name) in [("entering", &self.enters_by), ("leaving", &self.leaves_by)] {
            name.as_ref().map_or(Ok(()), |name| write!(out, ", {word} by {name}"))?;
        }
        Ok(())
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::Holds => out.write_str("holds"),
            Finding::Nobody { party } => write!(out, "{party} is nobody, so nothing is proven"),
            Finding::NoPacket => out.write_str("no packet can go between the two ends, so nothing is proven"),
            Finding::Refuted(refutation) => {
                let Refutation { packet, because, .. } = &**refutation;
                let but = match because {
                    Because::Decision => "",
                    Because::Decider => "as expected, by another's word: ",
                    Because::SomebodyElse => "somebody else may: ",
                };
                write!(out, "{but}{packet} is {}", refutation.told())
            }
        }
    }
}
