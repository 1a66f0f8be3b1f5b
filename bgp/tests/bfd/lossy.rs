//! What holds on any wire: random losses, latencies of the two ends' making, and changes at random times.

use std::time::Duration;

use poplin_bgp::bfd::{Cause, Settings};
use proptest::prelude::*;

use crate::wire::{Wire, millis, settings};

/// Loses packets at random, though never `most` or more in a row of one sender.
fn losses(seed: u64, most: usize) -> Box<dyn FnMut(usize) -> bool> {
    let mut state = seed | 1;
    let mut in_a_row = [0; 2];
    Box::new(move |from| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let is_lost = in_a_row[from] + 1 < most && (state >> 33).is_multiple_of(2);
        in_a_row[from] = if is_lost { in_a_row[from] + 1 } else { 0 };
        is_lost
    })
}

fn any_settings() -> impl Strategy<Value = Settings> {
    (10_u64..2_000, 2_u8..6).prop_map(|(interval, multiplier)| settings(millis(interval), multiplier))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn both_come_up_whatever_half_of_the_packets_is_lost(
        seed: u64, one in any_settings(), other in any_settings(),
    ) {
        let mut wire = Wire::between(seed, one, other);
        wire.loses = losses(seed, 3);
        wire.pass(Duration::from_secs(60));
        wire.loses = Box::new(|_| false);
        wire.pass(Duration::from_secs(30));
        prop_assert!(wire.are_up());
    }

    #[test]
    fn losses_under_the_multiplier_do_not_make_it_flap(
        seed: u64, one in any_settings(), other in any_settings(),
    ) {
        let mut wire = Wire::between(seed, one, other);
        wire.pass(Duration::from_secs(30));
        wire.loses = losses(seed, one.multiplier.min(other.multiplier).into());
        wire.pass(Duration::from_secs(120));
        prop_assert!(wire.are_up());
        prop_assert_eq!(wire.falls(), 0);
    }

    #[test]
    fn a_dead_end_is_noticed_within_the_detection_time_and_not_before(
        seed: u64, one in any_settings(), other in any_settings(), after in 30_000_u64..90_000,
    ) {
        let mut wire = Wire::between(seed, one, other);
        wire.pass(millis(after));
        wire.stop(1);
        let (died, detection_time) = (wire.now, wire.view(0).detection_time);
        wire.pass(detection_time + millis(3));
        let fall = wire.view(0).fall.unwrap();
        prop_assert_eq!(fall.cause, Cause::Silence);
        prop_assert_eq!(fall.at - fall.heard, detection_time);
        prop_assert!(fall.at <= died + detection_time + millis(2), "what was under way came 2 ms later");
    }

    #[test]
    fn changes_of_the_times_at_any_moment_do_not_make_it_flap(
        seed: u64,
        one in any_settings(),
        other in any_settings(),
        changes in prop::collection::vec((0_usize..2, any_settings(), 0_u64..5_000), 1..12),
    ) {
        let mut wire = Wire::between(seed, one, other);
        wire.pass(Duration::from_secs(30));
        for (end, settings, rest) in changes {
            wire.change(end, settings);
            wire.pass(millis(rest));
        }
        wire.pass(Duration::from_secs(30));
        prop_assert!(wire.are_up());
        prop_assert_eq!(wire.falls(), 0);
    }

    #[test]
    fn an_end_that_begins_anew_is_met_again(seed: u64, one in any_settings(), other in any_settings(), away: bool) {
        let mut wire = Wire::between(seed, one, other);
        wire.pass(Duration::from_secs(30));
        if away {
            wire.stop(1);
            wire.pass(Duration::from_secs(30));
            wire.stopped[1] = false;
        }
        wire.restart(1, seed.wrapping_add(1));
        wire.pass(Duration::from_secs(30));
        prop_assert!(wire.are_up());
    }
}
