//! Which endpoints are healthy, by what their probes told.
//!
//! In: the probes that are wanted, their outcomes, the time. Out: which are to be made now, and who is healthy. An endpoint that was never
//! probed is healthy only if the kernel still leads a service's packets to it: an earlier life of ours has found it so.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::service::Probe;

/// The health of all that is probed on this host.
#[derive(Debug, Default)]
pub struct Health {
    watched: BTreeMap<Probe, Watch>,
}

#[derive(Debug)]
struct Watch {
    /// When it is probed next; absent = it is being probed.
    due: Option<Instant>,
    is_healthy: bool,
    /// How many outcomes in a row contradicted that.
    contradictions: u32,
    /// Why the last probe failed, if it did.
    complaint: Option<String>,
}

/// A change worth telling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It can serve from now on.
    Healthy,
    /// It cannot any more, and why.
    Unhealthy(String),
}

impl Health {
    /// These are all the probes that are wanted from now on, each with what is believed of a newcomer.
    pub fn want(&mut self, now: Instant, wanted: &BTreeMap<Probe, bool>) {
        self.watched.retain(|probe, _| wanted.contains_key(probe));
        for (probe, is_healthy) in wanted {
            let newcomer = || Watch { due: Some(now), is_healthy: *is_healthy, contradictions: 0, complaint: None };
            self.watched.entry(probe.clone()).or_insert_with(newcomer);
        }
    }

    /// The probes to be made now. Each is told of once, until its outcome comes.
    pub fn take_due(&mut self, now: Instant) -> Vec<Probe> {
        let due = self.watched.iter_mut().filter(|(_, watch)| watch.due.is_some_and(|due| due <= now));
        due.map(|(probe, watch)| {
            watch.due = None;
            probe.clone()
        })
        .collect()
    }

    /// When the next probe is due.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.watched.values().filter_map(|watch| watch.due).min()
    }

    /// A probe was made. One that nobody wants any more changes nothing.
    pub fn probed(&mut self, now: Instant, probe: &Probe, outcome: Result<(), String>) -> Option<Turn> {
        let watch = self.watched.get_mut(probe)?;
        watch.due = Some(now + probe.check.interval);
        let is_contradiction = outcome.is_ok() != watch.is_healthy;
        watch.complaint = outcome.err();
        watch.contradictions = if is_contradiction { watch.contradictions + 1 } else { 0 };
        let enough = if watch.is_healthy { probe.check.failures } else { probe.check.successes };
        if watch.contradictions < enough.max(1) {
            return None;
        }
        watch.contradictions = 0;
        watch.is_healthy = !watch.is_healthy;
        Some(match &watch.complaint {
            None => Turn::Healthy,
            Some(complaint) => Turn::Unhealthy(complaint.clone()),
        })
    }

    /// Whether an endpoint is healthy by this probe.
    pub fn is_healthy(&self, probe: &Probe) -> bool {
        self.watched.get(probe).is_some_and(|watch| watch.is_healthy)
    }

    /// Why its last probe failed.
    pub fn complaint(&self, probe: &Probe) -> Option<&str> {
        self.watched.get(probe)?.complaint.as_deref()
    }
}
