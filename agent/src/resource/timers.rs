//! How long things may take with a BGP peer.

use std::time::Duration;

use poplin_bgp::RESTART_SECS_MAX;
use poplin_manifest::field::{Findings, within};
use poplin_node::object::Timers;
use poplin_proto::v1::{HostSessions, PeerSpec};

/// A day: whoever waits longer has another reason than a neighbour.
const SECONDS_MAX: u32 = 86_400;

/// What is wished for, in seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    hold: Option<u32>,
    keepalive: Option<u32>,
    connect_retry: Option<u32>,
    send_hold: Option<u32>,
    restart: Option<u32>,
}

impl From<&PeerSpec> for Wish {
    fn from(spec: &PeerSpec) -> Self {
        Self {
            hold: spec.hold_time_seconds,
            keepalive: spec.keepalive_seconds,
            connect_retry: spec.connect_retry_seconds,
            send_hold: spec.send_hold_seconds,
            restart: spec.restart_seconds,
        }
    }
}

impl From<&HostSessions> for Wish {
    fn from(sessions: &HostSessions) -> Self {
        Self {
            hold: sessions.hold_time_seconds,
            keepalive: sessions.keepalive_seconds,
            connect_retry: sessions.connect_retry_seconds,
            send_hold: sessions.send_hold_seconds,
            restart: sessions.restart_seconds,
        }
    }
}

/// Checks what stands in fields of `spec`, or of something in it.
pub(super) fn check(findings: &mut Findings, spec: &str, wish: Wish) -> Option<Timers> {
    let usual = Timers::default();
    let mut time = |field: &str, seconds, low, high, advice| {
        time(findings, &format!("{spec}.{field}"), seconds, low, high, advice)
    };
    // RFC 4271 §4.2: a hold time is zero or at least three seconds; zero would keep a dead peer for ever.
    let hold = time("holdTimeSeconds", wish.hold, 3, 65_535, "leave it out for 90");
    let hold = hold?.unwrap_or(usual.hold);
    let hold_seconds = u32::try_from(hold.as_secs()).unwrap_or(u32::MAX);
    // RFC 4271 §4.4: three KEEPALIVEs fit into a hold time, so that one may be lost; more often than each second is refused.
    let advice = "leave it out for a third of holdTimeSeconds, or raise that";
    let keepalive = time("keepaliveSeconds", wish.keepalive, 1, hold_seconds / 3, advice);
    let advice = "leave it out for 5";
    let retry = time("connectRetrySeconds", wish.connect_retry, 1, SECONDS_MAX, advice);
    // RFC 9687: a neighbour that may be silent for so long may be busy for longer.
    let advice = "more than holdTimeSeconds, or leave it out for 480 or twice holdTimeSeconds, whichever is more";
    let send_hold = time("sendHoldSeconds", wish.send_hold, hold_seconds.saturating_add(1), SECONDS_MAX, advice);
    // RFC 4724 §3: twelve bits; of zero nothing would be kept.
    let restart = time("restartSeconds", wish.restart, 1, RESTART_SECS_MAX.into(), "leave it out for 120");
    Some(Timers {
        hold,
        keepalive: keepalive?,
        connect_retry: retry?.unwrap_or(usual.connect_retry),
        send_hold: send_hold?,
        restart: restart?.unwrap_or(usual.restart),
    })
}

/// `None` if what stands there is refused.
fn time(
    findings: &mut Findings,
    field: &str,
    seconds: Option<u32>,
    low: u32,
    high: u32,
    advice: &str,
) -> Option<Option<Duration>> {
    let Some(seconds) = seconds else { return Some(None) };
    let checked = within(field, seconds, low, high.max(low), " s");
    let checked = findings.take(checked.map_err(|invalid| invalid.advice(advice)))?;
    Some(Some(Duration::from_secs(checked.into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(change: impl FnOnce(&mut PeerSpec)) -> Result<Timers, String> {
        let mut spec = PeerSpec::default();
        change(&mut spec);
        let mut findings = Findings::default();
        let timers = check(&mut findings, "spec", Wish::from(&spec));
        findings.finish(timers).map_err(|invalids| invalids.to_string())
    }

    #[test]
    fn what_is_not_said_is_as_usual() {
        assert_eq!(checked(|_| {}), Ok(Timers::default()));
    }

    #[test]
    fn what_is_said_counts() {
        let all = checked(|spec| {
            (spec.hold_time_seconds, spec.keepalive_seconds) = (Some(9), Some(2));
            (spec.connect_retry_seconds, spec.send_hold_seconds) = (Some(60), Some(10));
            spec.restart_seconds = Some(300);
        });

        let [hold, keepalive, connect_retry, send_hold, restart] = [9, 2, 60, 10, 300].map(Duration::from_secs);
        assert_eq!(
            all,
            Ok(Timers { hold, keepalive: Some(keepalive), connect_retry, send_hold: Some(send_hold), restart })
        );
    }

    #[test]
    fn what_cannot_hold_together_is_refused_with_a_way_out() {
        let slow = checked(|spec| (spec.hold_time_seconds, spec.keepalive_seconds) = (Some(9), Some(4))).unwrap_err();
        let hasty = checked(|spec| spec.send_hold_seconds = Some(90)).unwrap_err();
        let endless = checked(|spec| spec.restart_seconds = Some(4096)).unwrap_err();
        let never = checked(|spec| spec.connect_retry_seconds = Some(0)).unwrap_err();

        assert!(slow.contains("spec.keepaliveSeconds: 4 s is above 3"), "{slow}");
        assert!(hasty.contains("spec.sendHoldSeconds: 90 s is below 91"), "{hasty}");
        assert!(endless.contains("spec.restartSeconds: 4096 s is above 4095"), "{endless}");
        assert!(never.contains("spec.connectRetrySeconds: 0 s is below 1"), "{never}");
    }
}
