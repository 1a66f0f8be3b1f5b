//! What who joins waits for beside his own host.

use std::time::Duration;

use poplin_manifest::field::{Findings, Invalids, within, word};
use poplin_node::object::{AwaitedPeers, Readiness};
use poplin_proto::v1;

const WORDS: [(&str, AwaitedPeers); 4] = [
    ("", AwaitedPeers::Nobody),
    ("none", AwaitedPeers::Nobody),
    ("any", AwaitedPeers::Any),
    ("all", AwaitedPeers::All),
];

/// Checks who is waited for, and how long.
pub(super) fn check(field: &str, spec: Option<&v1::Readiness>) -> Result<Readiness, Invalids> {
    let usual = Readiness::default();
    let Some(spec) = spec else { return Ok(usual) };
    let mut findings = Findings::default();
    let peers = findings.take(word(&format!("{field}.peers"), &spec.peers, &WORDS));
    let longest = u32::try_from(Readiness::LONGEST.as_secs()).unwrap_or(u32::MAX);
    let seconds = spec.timeout_seconds.map(|seconds| {
        within(&format!("{field}.timeoutSeconds"), seconds, 1, longest, " s").map_err(|invalid| {
            invalid.advice("a runtime's own patience ends soon after; to wait for nobody take `peers: none`")
        })
    });
    let seconds = findings.take(seconds.transpose());
    findings.finish(peers.zip(seconds).map(|(peers, seconds)| Readiness {
        peers,
        timeout: seconds.map_or(usual.timeout, |seconds| Duration::from_secs(seconds.into())),
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn checked(peers: &str, timeout_seconds: Option<u32>) -> Result<Readiness, Invalids> {
        check("spec.readiness", Some(&v1::Readiness { peers: peers.to_owned(), timeout_seconds }))
    }

    #[test]
    fn nobody_is_waited_for_unless_somebody_says_so() {
        assert_eq!(check("spec.readiness", None).unwrap().peers, AwaitedPeers::Nobody);
        assert_eq!(checked("", None).unwrap(), Readiness::default());
        let all = Readiness { peers: AwaitedPeers::All, timeout: Duration::from_secs(3) };
        assert_eq!(checked("all", Some(3)).unwrap(), all);
    }

    #[test]
    fn every_mistake_is_told_with_its_place_and_bound() {
        let Invalids(found) = checked("some", Some(16)).unwrap_err();
        let told: Vec<_> = found.iter().map(|one| (one.field.as_str(), one.message.as_str())).collect();

        assert_eq!(told[0].0, "spec.readiness.peers");
        assert_eq!(told[1], ("spec.readiness.timeoutSeconds", "16 s is above 15"));
        assert!(checked("any", Some(0)).is_err());
    }
}
