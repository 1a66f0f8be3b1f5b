//! How many prefixes a BGP neighbour may announce.

use std::time::Duration;

use poplin_bgp::{LimitAction, PrefixLimits};
use poplin_manifest::field::{Findings, Invalid, within, word};
use poplin_proto::v1;

/// How long a session rests that is to come back by itself: long enough for a person to look, short enough for a night.
const PAUSE_SECONDS: u32 = 300;

/// Checks what stands there.
pub(super) fn check(findings: &mut Findings, field: &str, limits: &v1::PrefixLimits) -> Option<PrefixLimits> {
    let mut limit = |family: &str, limit: Option<u32>| {
        let checked = within(&format!("{field}.{family}"), limit?, 1, u32::MAX, " prefixes");
        findings.take(checked).and_then(|limit| usize::try_from(limit).ok())
    };
    let (v4, v6) = (limit("ipv4", limits.ipv4), limit("ipv6", limits.ipv6));
    if limits.ipv4.is_none() && limits.ipv6.is_none() {
        let message = "it limits neither family";
        findings.add(Invalid::new(field, "EMPTY", message).advice("say ipv4: 1000, or ipv6: 1000, or leave it out"));
    }
    let action = action(findings, field, limits)?;
    Some(PrefixLimits { v4, v6, action })
}

fn action(findings: &mut Findings, field: &str, limits: &v1::PrefixLimits) -> Option<LimitAction> {
    let seconds = limits.pause_seconds.unwrap_or(PAUSE_SECONDS);
    let seconds = findings.take(within(&format!("{field}.pauseSeconds"), seconds, 1, 86400, " s"))?;
    let pause = LimitAction::Pause(Duration::from_secs(seconds.into()));
    let words = [("", LimitAction::Stop), ("stop", LimitAction::Stop), ("warn", LimitAction::Warn), ("pause", pause)];
    let action = findings.take(word(&format!("{field}.action"), &limits.action, &words))?;
    if limits.pause_seconds.is_some() && action != pause {
        let message = "nothing pauses with this action";
        findings.add(Invalid::new(format!("{field}.pauseSeconds"), "UNUSED", message).advice("add action: pause"));
    }
    Some(action)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(limits: v1::PrefixLimits) -> Result<PrefixLimits, String> {
        let mut findings = Findings::default();
        let checked = check(&mut findings, "spec.prefixLimits", &limits);
        findings.finish(checked).map_err(|invalids| invalids.to_string())
    }

    #[test]
    fn the_session_stops_unless_something_else_is_said() {
        let limits = v1::PrefixLimits { ipv4: Some(10), ..v1::PrefixLimits::default() };
        let pause = v1::PrefixLimits { action: "pause".to_owned(), ..limits.clone() };

        let stops = PrefixLimits { v4: Some(10), v6: None, action: LimitAction::Stop };
        assert_eq!(checked(limits), Ok(stops));
        assert_eq!(checked(pause).unwrap().action, LimitAction::Pause(Duration::from_secs(300)));
    }

    #[test]
    fn a_limit_of_nothing_and_a_pause_that_never_comes_are_refused() {
        let told = checked(v1::PrefixLimits { pause_seconds: Some(5), ..v1::PrefixLimits::default() }).unwrap_err();

        assert!(told.contains("spec.prefixLimits: it limits neither family"), "{told}");
        assert!(told.contains("spec.prefixLimits.pauseSeconds: nothing pauses with this action"), "{told}");
    }
}
