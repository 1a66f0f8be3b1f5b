//! What was found, and how it is told.

use std::fmt::Write as _;

use serde::Serialize;

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Weight {
    /// It hurts now.
    Failure,
    /// It will hurt, or hurts some.
    Warning,
    /// Good to know; a host with nothing else is healthy.
    Note,
}

/// One thing, with what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// The check that found it: stable, for scripts and runbooks.
    pub(super) check: &'static str,
    pub(super) weight: Weight,
    pub(super) message: String,
    /// What to do.
    pub(super) advice: String,
}

impl Finding {
    pub(super) fn failure(check: &'static str, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { check, weight: Weight::Failure, message: message.into(), advice: advice.into() }
    }

    pub(super) fn warning(check: &'static str, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { weight: Weight::Warning, ..Self::failure(check, message, advice) }
    }

    pub(super) fn note(check: &'static str, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { weight: Weight::Note, ..Self::failure(check, message, advice) }
    }
}

/// What could not be looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Unseen {
    pub(super) what: &'static str,
    pub(super) reason: String,
}

/// All of it.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) healthy: bool,
    findings: Vec<Finding>,
    unseen: Vec<Unseen>,
}

impl Report {
    /// The heaviest first; what weighs the same stays in the order of the checks.
    pub(super) fn of(mut findings: Vec<Finding>, unseen: Vec<Unseen>) -> Self {
        findings.sort_by_key(|finding| (finding.check != "agent", finding.weight));
        let healthy = findings.iter().all(|finding| finding.weight == Weight::Note);
        Self { healthy, findings, unseen }
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for Finding { check, weight, message, advice } in &self.findings {
            let title = match weight {
                Weight::Failure => "FAILURE",
                Weight::Warning => "warning",
                Weight::Note => "note   ",
            };
            let _ = writeln!(text, "{title}  {check}: {message}");
            if !advice.is_empty() {
                let _ = writeln!(text, "         try: {advice}");
            }
        }
        for Unseen { what, reason } in &self.unseen {
            let _ = writeln!(text, "unseen   {what}: {reason}");
        }
        let of = |weight| self.findings.iter().filter(|finding| finding.weight == weight).count();
        let _ = match (of(Weight::Failure), of(Weight::Warning)) {
            (0, 0) => writeln!(text, "nothing is wrong"),
            (failures, warnings) => writeln!(text, "failures {failures}, warnings {warnings}"),
        };
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heaviest_comes_first_but_an_agent_that_is_silent_before_all() {
        let findings = vec![
            Finding::note("kernel", "old", ""),
            Finding::warning("pool", "nearly full", "add a pool"),
            Finding::failure("mtu", "too small", "make it larger"),
            Finding::failure("agent", "silent", "start it"),
        ];

        let report = Report::of(findings, vec![Unseen { what: "rules", reason: "no nft".to_owned() }]);

        let expected = "FAILURE  agent: silent\n         try: start it\nFAILURE  mtu: too small\n         try: make it larger\n\
                        warning  pool: nearly full\n         try: add a pool\nnote     kernel: old\nunseen   rules: no nft\n\
                        failures 2, warnings 1\n";
        assert_eq!(report.text(), expected);
        assert!(!report.healthy);
    }

    #[test]
    fn notes_alone_are_health() {
        assert!(Report::of(vec![Finding::note("kernel", "old", "")], Vec::new()).healthy);
    }
}
