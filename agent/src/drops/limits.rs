//! Which rules drop more than the kernel tells of.
//!
//! In: what is told, and when. Out: whether the rule that told it is at its limit, so that there may be more. Each rule that tells has a bucket of
//! [`LOGS_PER_SECOND`] packets in the kernel, filled by as many a second (linux net/netfilter/nft_limit.c); here is its image. What the kernel
//! holds back it counts nowhere; the rules' own counters do.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use poplin_policy::place::{LOGS_PER_SECOND, Place};
use poplin_policy::ruleset::Name;

/// What one packet takes, as the time in which it is filled up again.
const PACKET: Duration = Duration::from_millis(1000 / LOGS_PER_SECOND as u64);
/// How long a bucket that is empty takes to be full.
const FULL: Duration = Duration::from_secs(1);
/// An image below this may be empty in the kernel: what is told is heard in clusters, a tenth of a second apart on a busy machine.
const NEARLY_EMPTY: Duration = Duration::from_millis(100);
/// So many rules are looked after; those whose bucket is full need no memory.
const MOST_RULES: usize = 1024;

/// The buckets that are not full.
#[derive(Debug, Default)]
pub(super) struct Limits(BTreeMap<(Place, Option<Name>), Bucket>);

#[derive(Debug)]
struct Bucket {
    /// How much was in it, as the time that took.
    filled: Duration,
    at: Instant,
}

impl Bucket {
    fn fill(&mut self, now: Instant) {
        self.filled = FULL.min(self.filled + now.saturating_duration_since(self.at));
        self.at = now;
    }
}

impl Limits {
    /// A rule tells of one packet. Whether it may drop more than that.
    pub(super) fn tell(&mut self, place: Place, chain: Option<Name>, now: Instant) -> bool {
        if self.0.len() >= MOST_RULES {
            self.0.values_mut().for_each(|bucket| bucket.fill(now));
            self.0.retain(|_, bucket| bucket.filled < FULL);
        }
        if self.0.len() >= MOST_RULES {
            self.0.clear(); // so many at once: their images begin anew, rather than all be gone through for each packet
        }
        let bucket = self.0.entry((place, chain)).or_insert(Bucket { filled: FULL, at: now });
        bucket.fill(now);
        bucket.filled = bucket.filled.saturating_sub(PACKET);
        bucket.filled < NEARLY_EMPTY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place::Spoof;

    #[test]
    fn a_rule_at_its_limit_is_known_and_others_and_quiet_ones_are_not() {
        let (mut limits, begin) = (Limits::default(), Instant::now());
        let mut tell = |chain: Option<&str>, millis| {
            limits.tell(PLACE, chain.map(Name::new), begin + Duration::from_millis(millis))
        };

        let burst: Vec<bool> = (0..100).map(|_| tell(None, 0)).collect();
        assert_eq!(burst.iter().filter(|is_limited| **is_limited).count(), 10, "of those the bucket held, the last");
        assert!((1..50).all(|number| tell(None, 10 * number)), "as many as the kernel lets through");
        assert!(!tell(Some("rule-b"), 500), "each rule has its own");
        assert!(!tell(None, 2000), "it was quiet for a while");
        assert!((0..500).all(|number| !tell(Some("slow"), 20 * number)), "half as many as might be told");
    }

    #[test]
    fn rules_are_remembered_while_they_matter() {
        let (mut limits, begin) = (Limits::default(), Instant::now());
        for number in 0..3 * MOST_RULES {
            let chain = Some(Name::new(format!("rule-{number}").as_str()));
            limits.tell(PLACE, chain, begin);
        }

        assert!(limits.0.len() <= MOST_RULES);
    }
}
