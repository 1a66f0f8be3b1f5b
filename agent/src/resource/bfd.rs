//! How the way to a BGP neighbour is watched.

use std::time::Duration;

use poplin_bgp::bfd::{INTERVAL_MAX, INTERVAL_MIN};
use poplin_manifest::field::{Findings, within};
use poplin_node::object::Bfd;
use poplin_proto::v1;

/// Checks what stands there; nothing if it is switched off.
pub(super) fn check(findings: &mut Findings, field: &str, bfd: &v1::Bfd) -> Option<Bfd> {
    let usual = Bfd::default();
    let (low, high) = (millis(INTERVAL_MIN), millis(INTERVAL_MAX));
    let interval = bfd.interval_milliseconds.unwrap_or(millis(usual.interval));
    let interval = findings.take(within(&format!("{field}.intervalMilliseconds"), interval, low, high, " ms"));
    let multiplier = bfd.multiplier.unwrap_or(usual.multiplier.into());
    let multiplier = findings.take(within(&format!("{field}.multiplier"), multiplier, 1, u8::MAX.into(), ""));
    let checked = Bfd {
        interval: Duration::from_millis(interval?.into()),
        multiplier: u8::try_from(multiplier?).ok()?,
        is_multihop: bfd.multihop,
        is_strict: bfd.strict,
    };
    bfd.enabled.unwrap_or(true).then_some(checked)
}

fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use poplin_manifest::field::Invalids;

    fn checked(bfd: v1::Bfd) -> Result<Option<Bfd>, Invalids> {
        let mut findings = Findings::default();
        let checked = check(&mut findings, "spec.bfd", &bfd);
        findings.finish(Some(checked))
    }

    #[test]
    fn an_empty_wish_means_the_usual() {
        assert_eq!(checked(v1::Bfd::default()).unwrap(), Some(Bfd::default()));
    }

    #[test]
    fn switched_off_is_switched_off() {
        let bfd = v1::Bfd { enabled: Some(false), ..v1::Bfd::default() };
        assert_eq!(checked(bfd).unwrap(), None);
    }

    #[test]
    fn what_is_out_of_bounds_is_refused_by_name() {
        let bfd = v1::Bfd { interval_milliseconds: Some(9), multiplier: Some(256), ..v1::Bfd::default() };

        let told = checked(bfd).unwrap_err().to_string();

        assert!(told.contains("spec.bfd.intervalMilliseconds") && told.contains("9 ms is below 10"), "{told}");
        assert!(told.contains("spec.bfd.multiplier") && told.contains("256 is above 255"), "{told}");
    }
}
