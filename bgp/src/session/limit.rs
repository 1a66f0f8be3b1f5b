//! How many prefixes a neighbour may announce, and what follows if it does not keep to that.
//!
//! In: how many we hold of it after an update. Out: a note, or the end of the session. Counted is what import guards let through.
//! Rules: RFC 4271 §6.7 and §8.2.2, RFC 4486 §3 and §4 (what the neighbour is told).

use std::time::{Duration, Instant};

use crate::{
    Note,
    wire::{Family, Fault},
};

use super::{Session, dial::Dial};

/// How many prefixes a neighbour may announce. By default that is not asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrefixLimits {
    /// At most so many of IPv4.
    pub v4: Option<usize>,
    /// At most so many of IPv6.
    pub v6: Option<usize>,
    /// What follows if there are more.
    pub action: LimitAction,
}

/// What follows if there are more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LimitAction {
    /// The session ends, and there is none until the limits change.
    #[default]
    Stop,
    /// It is told, and nothing else.
    Warn,
    /// The session ends, and there is none for so long.
    Pause(Duration),
}

impl PrefixLimits {
    /// How many of this family, if that is limited.
    pub fn of(&self, family: Family) -> Option<usize> {
        match family {
            Family::Ipv4 => self.v4,
            Family::Ipv6 => self.v6,
        }
    }
}

impl Session {
    /// The neighbour has announced so many.
    pub(crate) fn counted(&mut self, now: Instant, family: Family, count: usize) {
        if self.established().is_none() {
            return; // what is kept of an earlier session is not announced
        }
        match self.config.limits.of(family) {
            Some(limit) if count > limit => self.exceeded(now, family, count, limit),
            Some(_) | None => drop(self.excessive.remove(&family)),
        }
    }

    fn exceeded(&mut self, now: Instant, family: Family, count: usize, limit: usize) {
        let neighbour = self.config.address;
        if self.excessive.insert(family) {
            self.note(Note::TooManyPrefixes { neighbour, family, count, limit });
        }
        match self.config.limits.action {
            LimitAction::Warn => {}
            LimitAction::Stop => self.stop_at(now, family, limit, Dial::Stopped),
            LimitAction::Pause(time) => self.stop_at(now, family, limit, Dial::Resting { until: now + time }),
        }
    }

    /// RFC 4486 §4: the data names the family and the limit.
    fn stop_at(&mut self, now: Instant, family: Family, limit: usize, dial: Dial) {
        let (afi, safi) = family.numbers();
        let mut data = afi.to_be_bytes().to_vec();
        data.push(safi);
        data.extend(u32::try_from(limit).unwrap_or(u32::MAX).to_be_bytes());
        let error = Fault::MAXIMUM_PREFIXES.with(data);
        let all: Vec<_> = self.connections.iter().map(|connection| connection.id).collect();
        all.into_iter().for_each(|id| self.fail(now, id, error.clone()));
        self.excessive.clear();
        self.last_error = Some(format!("{error}: more than {limit} of {family}"));
        self.dial = dial;
    }
}
