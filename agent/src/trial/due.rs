//! When each change on trial is taken back.
//!
//! By a clock that does not jump, and that asks no two hosts to have the same time: who hears of a trial as it begins counts from then. Only who finds one that began
//! before he looked goes by the time of day, and never waits longer than the whole trial.

use std::collections::BTreeMap;
use std::hash::Hasher as _;
use std::time::Duration;

use siphasher::sip::SipHasher13;
use tokio::time::Instant;

use super::{GRACE, Trial, time_of_day};
use crate::store::{Change, Entry, Followed};

/// One change on trial, and when this host takes it back.
#[derive(Clone, Debug)]
pub(super) struct Due {
    pub(super) at: Instant,
    pub(super) entry: Entry,
}

/// All changes on trial that can be read, by key.
#[derive(Debug, Default)]
pub(super) struct Dues(BTreeMap<String, Due>);

impl Dues {
    /// News of the store, as `host` hears them now.
    pub(super) fn learn(&mut self, told: Followed, host: &str, now: Instant) {
        match told {
            Followed::Snapshot(snapshot) => {
                self.0.retain(|key, _| snapshot.entry(key).is_some());
                snapshot.entries.into_iter().for_each(|entry| self.note(entry, host, now, Trial::remaining));
            }
            Followed::Changes(batch) => {
                for change in batch.changes {
                    match change {
                        Change::Put(entry) => self.note(entry, host, now, Trial::whole),
                        Change::Deleted { key, .. } => self.forget(&key),
                    }
                }
            }
            Followed::Lost { .. } => {}
        }
    }

    /// What is taken back first.
    pub(super) fn first(&self) -> Option<&Due> {
        self.0.values().min_by_key(|due| due.at)
    }

    pub(super) fn forget(&mut self, key: &str) {
        self.0.remove(key);
    }

    /// What is known keeps its time, also where it is written anew because of another one.
    fn note(&mut self, entry: Entry, host: &str, now: Instant, left: impl Fn(&Trial) -> Duration) {
        let Some(trial) = Trial::read(&entry) else { return };
        let known = self.0.get(&entry.key).filter(|known| known.entry.create_revision == entry.create_revision);
        let at = known.map_or_else(|| now + left(&trial) + patience(&trial, host), |known| known.at);
        self.0.insert(entry.key.clone(), Due { at, entry });
    }
}

impl Trial {
    /// From its beginning to its end. An agent that does not write that down has its deadline believed.
    fn whole(&self) -> Duration {
        self.within.map_or_else(|| self.by_time_of_day(), Duration::from_millis)
    }

    /// From now to its end, as far as the time of day tells.
    fn remaining(&self) -> Duration {
        self.by_time_of_day().min(self.whole())
    }

    fn by_time_of_day(&self) -> Duration {
        Duration::from_millis(self.deadline.saturating_sub(time_of_day()))
    }
}

/// How long a host leaves it to the one that served the change.
fn patience(trial: &Trial, host: &str) -> Duration {
    if trial.host == host {
        return Duration::ZERO;
    }
    let mut hasher = SipHasher13::new();
    hasher.write(host.as_bytes());
    GRACE + Duration::from_millis(hasher.finish() % 5_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Batch, Snapshot};

    const KEY: &str = "/poplin/v1/t/7";
    const MINUTE_MS: u64 = 60_000;

    fn entry(deadline: u64) -> Entry {
        let trial = Trial { host: "h1".to_owned(), deadline, within: Some(MINUTE_MS), undo: Vec::new() };
        let value = serde_json::to_vec(&trial).unwrap();
        Entry { key: KEY.to_owned(), value, create_revision: 7, mod_revision: 7 }
    }

    fn changed(change: Change) -> Followed {
        Followed::Changes(Batch { revision: 7, changes: vec![change] })
    }

    fn listed(entry: Entry) -> Followed {
        Followed::Snapshot(Snapshot { revision: 9, entries: vec![entry] })
    }

    /// Seconds until it is taken back.
    fn left(dues: &Dues, now: Instant) -> u64 {
        (dues.first().unwrap().at - now).as_millis().div_ceil(1000).try_into().unwrap()
    }

    #[test]
    fn who_hears_of_it_as_it_begins_does_not_ask_for_the_time_of_day() {
        let now = Instant::now();
        for deadline in [0, time_of_day(), time_of_day() + 1000 * MINUTE_MS] {
            let mut dues = Dues::default();
            dues.learn(changed(Change::Put(entry(deadline))), "h1", now);
            assert_eq!(left(&dues, now), 60);
            let later = now + Duration::from_secs(20);
            dues.learn(listed(entry(deadline)), "h1", later);
            assert_eq!(left(&dues, later), 40, "what is known is not asked again");
        }
    }

    #[test]
    fn what_is_written_anew_keeps_its_time() {
        let (now, mut dues) = (Instant::now(), Dues::default());
        dues.learn(changed(Change::Put(entry(0))), "h1", now);
        let later = now + Duration::from_secs(20);
        let anew = Entry { mod_revision: 12, ..entry(0) };

        for news in [changed(Change::Put(anew.clone())), listed(anew)] {
            dues.learn(news, "h1", later);
            assert_eq!((left(&dues, later), dues.first().unwrap().entry.mod_revision), (40, 12));
        }
    }

    #[test]
    fn who_finds_it_waits_for_what_is_left_and_never_longer_than_the_whole() {
        let now = Instant::now();
        let half = time_of_day() + MINUTE_MS / 2;
        for (deadline, expected) in [(0, 0..=0), (half, 1..=30), (half + 1000 * MINUTE_MS, 60..=60)] {
            let mut dues = Dues::default();
            dues.learn(listed(entry(deadline)), "h1", now);
            assert!(expected.contains(&left(&dues, now)), "{}", left(&dues, now));
        }
    }

    #[test]
    fn others_leave_it_for_a_while_to_who_served_it() {
        let (now, mut dues) = (Instant::now(), Dues::default());
        dues.learn(changed(Change::Put(entry(0))), "h2", now);
        assert!((65..=70).contains(&left(&dues, now)), "{}", left(&dues, now));
        dues.learn(changed(Change::Deleted { key: KEY.to_owned(), revision: 8 }), "h2", now);
        assert!(dues.first().is_none());
    }
}
