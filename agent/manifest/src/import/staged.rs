//! What Calico's staged kinds ask for: count what would be decided, and decide nothing.

use crate::field::{Findings, Invalid, word};

/// The mode of a policy, and what its name begins with, so that it stands beside the enforced one.
pub(super) struct Staging {
    pub(super) prefix: &'static str,
    pub(super) mode: String,
}

pub(super) fn staging(findings: &mut Findings, is_staged: bool, action: Option<&str>) -> Staging {
    let field = "spec.stagedAction";
    let enforced = || Staging { prefix: "", mode: String::new() };
    match (is_staged, action) {
        (false, None) => enforced(),
        (false, Some(_)) => {
            let message = "only a staged kind has an action to stage";
            findings.add(Invalid::new(field, "UNKNOWN_FIELD", message).advice("leave stagedAction out"));
            enforced()
        }
        (true, action) => {
            let words = [
                ("", Some("stage")),
                ("Set", Some("stage")),
                ("Ignore", Some("off")),
                ("Delete", None),
                ("Learn", None),
            ];
            let mode = findings.take(word(field, action.unwrap_or_default(), &words));
            if mode == Some(None) {
                let message = format!("{} cannot be staged here", action.unwrap_or_default());
                let advice = "delete the enforced policy with --dry-run to see what would change";
                findings.add(Invalid::new(field, "NOT_SUPPORTED", message).advice(advice));
            }
            Staging { prefix: "staged.", mode: mode.flatten().unwrap_or_default().to_owned() }
        }
    }
}
