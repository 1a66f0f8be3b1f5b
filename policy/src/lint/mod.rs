//! What is probably not meant: rules no packet reaches, policies that select nobody, words nobody carries.
//!
//! In: a world. Out: findings, each with its place and what to do. Some are exact for the endpoints that are there, by regions;
//! some are about form and need no endpoint. Only what is enforced is judged exactly; a policy that is off is not looked at.
//! Nothing found is not a proof of anything but that.

mod exact;
mod tie;

mod direction;
mod label;
mod peer;
mod port;
mod subject;

use std::fmt;

use crate::model::{Direction, Mode, Policy, QualifiedName, Rule};
use crate::verdict::By;
use crate::world::World;

/// Something that is probably not meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Where it is.
    pub place: Place,
    /// Which of the things that are looked for.
    pub code: Code,
    /// What is so, in one sentence.
    pub message: String,
    /// Who takes all packets before the rule, as explanations name them; empty unless it is covered.
    pub covered_by: Vec<String>,
    /// What to try.
    pub advice: String,
}

/// How bad a finding is, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It does not do what it says.
    Error,
    /// It does nothing, or probably not what was meant.
    Warning,
    /// It does what it says, and people are often surprised by that.
    Note,
}

/// Where a finding is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The policy.
    pub policy: QualifiedName,
    /// The direction, if the finding is of one.
    pub direction: Option<Direction>,
    /// The rule, if the finding is of one: its place in the direction, counted from 0, and its name.
    pub rule: Option<(usize, String)>,
}

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// A policy that selects no endpoint.
    SelectsNobody,
    /// A policy of a tier nobody declared.
    UndeclaredTier,
    /// A policy of which every rule only logs.
    OnlyLogs,
    /// A rule whose own end no governed endpoint fits.
    WrongEnd,
    /// A rule whose other end nobody fits.
    NoPeer,
    /// A rule that asks for what no packet between its ends has.
    NoPacket,
    /// A rule whose packets are all decided before it, in the same way.
    Redundant,
    /// A rule whose packets are all decided before it, in another way.
    Shadowed,
    /// A rule whose packets an earlier tier denies, all of them.
    DeniedEarlier,
    /// Two policies of one order that disagree.
    TiedConflict,
    /// `all()` where anybody may be meant.
    AllIsNotAnybody,
    /// `notSelect` alone in a policy of a namespace.
    NotSelectAlone,
    /// Prefixes of one family, for endpoints that have both.
    OneFamily,
    /// An address set that is not there.
    MissingSet,
    /// A label that nothing carries.
    UnseenLabel,
    /// A label that nothing carries with that value.
    UnseenValue,
    /// A port name that no endpoint has.
    UnseenPort,
    /// ICMP is denied by the way.
    NoIcmp,
    /// Names cannot be resolved.
    NoDns,
}

/// Everything that is found, the worst first.
pub fn lint(world: &World) -> Vec<Finding> {
    let mut findings = Vec::new();
    let labelled = label::Labelled::of(world);
    for policy in world.policies.values().filter(|policy| policy.mode != Mode::Off) {
        findings.extend(subject::form(world, policy));
        findings.extend(direction::form(world, policy));
        for sight in sights(policy) {
            findings.extend(peer::form(world, &sight));
            findings.extend(port::form(world, &sight));
        }
        findings.extend(label::form(&labelled, policy));
    }
    // Without endpoints there is nothing to be exact about, and every policy would be said to select nobody.
    if !world.endpoints.is_empty() {
        findings.extend(exact::findings(world));
    }
    findings.sort();
    findings.dedup();
    findings
}

/// A rule and where it stands.
struct Sight<'w> {
    policy: &'w Policy,
    direction: Direction,
    index: usize,
    rule: &'w Rule,
}

fn sights(policy: &Policy) -> impl Iterator<Item = Sight<'_>> {
    [Direction::Ingress, Direction::Egress].into_iter().flat_map(move |direction| {
        let rules = policy.rules(direction).unwrap_or_default().iter().enumerate();
        rules.map(move |(index, rule)| Sight { policy, direction, index, rule })
    })
}

impl Sight<'_> {
    fn place(&self) -> Place {
        Place {
            policy: self.policy.name.clone(),
            direction: Some(self.direction),
            rule: Some((self.index, self.rule.name.clone())),
        }
    }
}

impl Place {
    fn of(policy: &Policy, direction: Option<Direction>) -> Self {
        Self { policy: policy.name.clone(), direction, rule: None }
    }

    /// A finding here that no rule covers.
    fn finding(self, severity: Severity, code: Code, message: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding { severity, place: self, code, message: message.into(), covered_by: Vec::new(), advice: advice.into() }
    }
}

impl Code {
    /// Its name for programs, as errors of the wire contract are named.
    pub fn as_str(self) -> &'static str {
        match self {
            Code::SelectsNobody => "SELECTS_NOBODY",
            Code::UndeclaredTier => "UNDECLARED_TIER",
            Code::OnlyLogs => "ONLY_LOGS",
            Code::WrongEnd => "WRONG_END",
            Code::NoPeer => "NO_PEER",
            Code::NoPacket => "NO_PACKET",
            Code::Redundant => "REDUNDANT",
            Code::Shadowed => "SHADOWED",
            Code::DeniedEarlier => "DENIED_EARLIER",
            Code::TiedConflict => "TIED_CONFLICT",
            Code::AllIsNotAnybody => "ALL_IS_NOT_ANYBODY",
            Code::NotSelectAlone => "NOT_SELECT_ALONE",
            Code::OneFamily => "ONE_FAMILY",
            Code::MissingSet => "MISSING_SET",
            Code::UnseenLabel => "UNSEEN_LABEL",
            Code::UnseenValue => "UNSEEN_VALUE",
            Code::UnseenPort => "UNSEEN_PORT",
            Code::NoIcmp => "NO_ICMP",
            Code::NoDns => "NO_DNS",
        }
    }
}

impl Severity {
    /// Its name for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        }
    }
}

impl fmt::Display for Place {
    /// `policy shop/db, ingress rule 2 (backup)`; a rule without a name of its own is called by its place already.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "policy {}", self.policy)?;
        if let Some(direction) = self.direction {
            write!(out, ", {direction}")?;
        }
        match &self.rule {
            Some((index, name)) if *name == (index + 1).to_string() => write!(out, " rule {name}"),
            Some((index, name)) => write!(out, " rule {} ({name})", index + 1),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}: {}: {}", self.severity.as_str(), self.place, self.message)?;
        for cover in &self.covered_by {
            writeln!(out, "    covered by {cover}")?;
        }
        writeln!(out, "    try: {}", self.advice)
    }
}

/// How a cover is told.
fn cover(direction: Direction, by: &By) -> String {
    format!("{by} ({direction})")
}
