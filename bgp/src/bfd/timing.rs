//! How often to send, and how long to bear silence.
//!
//! Rules: RFC 5880 §6.8.2 and §6.8.3 (negotiation), §6.8.4 (detection time), §6.8.7 (jitter). Every packet tells what its sender
//! would like; what counts is the slower wish of the two, for each direction by itself.

use std::time::Duration;

use crate::Chance;

use super::Settings;

/// The least time between two packets while a session is not up, RFC 5880 §6.8.3.
const SLOW: Duration = Duration::from_secs(1);

/// How often one end would like to send, and can bear to receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wishes {
    pub(super) transmit: Duration,
    pub(super) receive: Duration,
}

impl Wishes {
    /// What we tell: nobody sends fast before both hear each other.
    pub(super) fn of(settings: &Settings, is_up: bool) -> Self {
        let interval = settings.interval();
        Self { transmit: if is_up { interval } else { interval.max(SLOW) }, receive: interval }
    }

    /// What of these counts at once, while `self` was in force: slower sending and faster receiving wait until the other end
    /// knows, else it would miss packets that we do not send yet, or we those that it does not.
    pub(super) fn safely(self, new: Self) -> Self {
        Self { transmit: self.transmit.min(new.transmit), receive: self.receive.max(new.receive) }
    }
}

/// A time between two packets, shortened by so many hundredths, lest everybody send at once.
pub(super) fn shortened(interval: Duration, hundredths: u32) -> Duration {
    interval * (100 - hundredths) / 100
}

/// How much of a time between packets is left out: up to a quarter; and at least a tenth where a single missing packet counts.
pub(super) fn draw_jitter(chance: &mut Chance, multiplier: u8) -> u32 {
    chance.between(if multiplier == 1 { 10 } else { 0 }, 25)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bfd::Path;

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn section_6_8_3_a_session_that_is_not_up_sends_once_a_second_at_most() {
        let fast = Settings { interval: millis(50), multiplier: 3, path: Path::Direct };
        let slow = Settings { interval: millis(2_000), ..fast };
        assert_eq!(Wishes::of(&fast, false).transmit, SLOW);
        assert_eq!(Wishes::of(&fast, true).transmit, millis(50));
        assert_eq!(Wishes::of(&slow, false).transmit, millis(2_000));
    }

    #[test]
    fn section_6_8_3_only_what_is_safe_counts_before_the_poll_has_ended() {
        let old = Wishes { transmit: millis(300), receive: millis(300) };
        let slower = Wishes { transmit: millis(900), receive: millis(900) };
        let faster = Wishes { transmit: millis(100), receive: millis(100) };
        assert_eq!(old.safely(slower), Wishes { transmit: millis(300), receive: millis(900) });
        assert_eq!(old.safely(faster), Wishes { transmit: millis(100), receive: millis(300) });
    }

    #[test]
    fn section_6_8_7_jitter_leaves_three_quarters_and_takes_a_tenth_where_one_packet_counts() {
        let mut chance = Chance::of(7);
        for _ in 0..1_000 {
            assert!((0..=25).contains(&draw_jitter(&mut chance, 3)));
            assert!((10..=25).contains(&draw_jitter(&mut chance, 1)));
        }
        assert_eq!(shortened(millis(300), 25), millis(225));
    }
}
