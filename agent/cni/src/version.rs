//! Knows which versions of the CNI specification are spoken here.

use serde_json::{Value, json};

use crate::error::CniError;

/// Oldest first. The result's form changes at 0.3.0 (before: one address a family) and at 1.0.0 (`ips[].version` goes).
pub(crate) const SUPPORTED: [&str; 5] = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];

/// The version errors are written in when none was asked for.
pub(crate) const NEWEST: &str = "1.1.0";

/// The answer to VERSION. It repeats the version asked for, if it is known here; the input may be anything.
pub(crate) fn answer(input: &[u8]) -> Value {
    let asked = serde_json::from_slice::<Value>(input).unwrap_or_default();
    let asked = asked["cniVersion"].as_str().filter(|version| is_known(version));
    json!({"cniVersion": asked.unwrap_or(NEWEST), "supportedVersions": SUPPORTED})
}

/// Refuses versions not spoken here, and verbs a version does not have yet.
pub(crate) fn demand(version: &str, since: &str) -> Result<(), CniError> {
    let known = format!("supported are {}", SUPPORTED.join(", "));
    let rank_of_version = rank(version)
        .ok_or_else(|| CniError::version(format!("cniVersion {version:?} is not supported")).details(known))?;
    if rank(since).is_some_and(|since| rank_of_version < since) {
        return Err(CniError::version(format!("this command needs cniVersion {since} or later, not {version}")));
    }
    Ok(())
}

/// Whether it is spoken here.
pub(crate) fn is_known(version: &str) -> bool {
    rank(version).is_some()
}

/// Whether `version` is at least `bound`; both are supported ones.
pub(crate) fn is_at_least(version: &str, bound: &str) -> bool {
    rank(version) >= rank(bound)
}

fn rank(version: &str) -> Option<usize> {
    SUPPORTED.iter().position(|supported| *supported == version)
}
