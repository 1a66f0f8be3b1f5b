//! Says what a look around means. Pure: a reading in, findings out; the tests are readings.

mod agent;
mod bgp;
mod certificate;
mod ground;
mod kernel;
mod lan;
mod rules;
mod store;
mod tunnel;
mod walk;
mod way;

use super::finding::Finding;
use super::reading::Reading;

/// Every check, in the order in which one would look.
pub(super) fn all(reading: &Reading) -> Vec<Finding> {
    let checks = [
        agent::judge,
        kernel::judge,
        ground::judge,
        lan::judge,
        rules::judge,
        certificate::judge,
        store::judge,
        bgp::judge,
        way::judge,
        tunnel::judge,
    ];
    checks.iter().flat_map(|check| check(reading)).collect()
}

/// So many octets, in the largest unit that leaves a number before the point.
fn octets(number: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let place = (0..units.len() - 1).take_while(|place| number >> (10 * (place + 1)) > 0).count();
    format!("{} {}", number >> (10 * place), units[place])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_reading_finds_nothing() {
        assert_eq!(all(&Reading::default()), []);
    }

    #[test]
    fn octets_are_told_in_whole_units() {
        assert_eq!([512, 2048, 3 << 30].map(octets), ["512 B", "2 KiB", "3 GiB"]);
    }
}
