//! What probes of the ways to others mean: how large a packet may be, and whether clocks agree.

use crate::doctor::finding::Finding;
use crate::doctor::reading::{Reading, Told, Way};

/// How far clocks may be apart. Certificates bear minutes; logs of two hosts that are to be read side by side bear a second or two.
const APART_MILLISECONDS: u64 = 5_000;

pub(super) fn judge(reading: &Reading) -> Vec<Finding> {
    let wrapping = reading.told().map_or(0, Told::wrapping_octets);
    let mut findings: Vec<Finding> = reading.ways.iter().filter_map(|way| narrow(way, wrapping)).collect();
    findings.extend(clock(&reading.ways));
    findings
}

/// What a container may send is less where it is wrapped.
fn narrow(way: &Way, wrapping_octets: u32) -> Option<Finding> {
    let (passed, address) = (way.passed.filter(|passed| *passed < way.wanted)?, way.address?);
    let message = format!(
        "packets of {} octets do not come through to {} ({address}), {passed} do: large transfers hang, or begin late",
        way.wanted, way.name
    );
    let fits = passed.saturating_sub(wrapping_octets);
    let advice = format!("mtuBytes: {fits} in FabricConfig, or raise the MTU on the way");
    Some(Finding::failure("mtu", message, advice))
}

/// If all others are ahead of us, or behind, it is our clock.
fn clock(ways: &[Way]) -> Vec<Finding> {
    let told: Vec<(&str, i64)> =
        ways.iter().filter_map(|way| Some((way.name.as_str(), way.ahead_milliseconds?))).collect();
    let off: Vec<&(&str, i64)> = told.iter().filter(|(_, ahead)| ahead.unsigned_abs() > APART_MILLISECONDS).collect();
    let is_ours = off.len() > 1 && off.len() == told.len();
    let advice = "timedatectl; run chrony or systemd-timesyncd on every host";
    let finding = |(name, ahead): &&(&str, i64)| {
        let span = crate::status::span(ahead.unsigned_abs() / 1000);
        let how = if *ahead > 0 { "ahead of" } else { "behind" };
        let message = format!("the clock of {name} is {span} {how} ours");
        Finding::warning("clock", message, advice)
    };
    match off.first() {
        Some((name, ahead)) if is_ours => {
            let span = crate::status::span(ahead.unsigned_abs() / 1000);
            let how = if *ahead > 0 { "behind" } else { "ahead of" };
            let message = format!("this host's clock is {span} {how} that of {name} and {} others", off.len() - 1);
            vec![Finding::failure("clock", message, advice)]
        }
        _ => off.iter().map(finding).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(name: &str, passed: Option<u32>, ahead_milliseconds: Option<i64>) -> Way {
        let address = Some("192.0.2.9".parse().unwrap());
        Way { name: name.to_owned(), address, wanted: 1500, passed, ahead_milliseconds }
    }

    fn told(ways: Vec<Way>) -> Vec<String> {
        judge(&Reading { ways, ..Reading::default() }).into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn a_way_that_takes_only_small_packets_is_told_and_one_that_answers_nothing_is_left_to_others() {
        let found = told(vec![way("h2", Some(1400), None), way("h3", Some(1500), None), way("h4", None, None)]);
        assert_eq!(found.len(), 1);
        assert!(
            found[0].starts_with("packets of 1500 octets do not come through to h2 (192.0.2.9), 1400 do"),
            "{found:?}"
        );
    }

    #[test]
    fn one_clock_that_is_off_is_its_owners_and_if_all_are_it_is_ours() {
        let one = told(vec![way("h2", None, Some(-3_600_000)), way("h3", None, Some(20))]);
        assert_eq!(one, ["the clock of h2 is 1h00m behind ours"]);

        let all = told(vec![way("h2", None, Some(60_000)), way("h3", None, Some(60_010))]);
        assert_eq!(all, ["this host's clock is 1m00s behind that of h2 and 1 others"]);
    }
}
