//! One TCP connection to a neighbour, from our OPEN to its end.
//!
//! Rules: RFC 4271 §8.2.2 (OpenSent, OpenConfirm, Established), §4.4 and §6.5 (keepalive and hold timers), RFC 9687 (send hold timer).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    Address, ConnectionId,
    rib::Source,
    wire::{Capability, Dialect, Family, Framer, Hop},
};

use super::{
    NeighbourConfig, SessionState,
    monitor::Opens,
    negotiate::{Agreed, keepalive, next_hop},
};

/// How long to wait for the first OPEN: the large value that RFC 4271 §8.2.2 suggests.
const OPEN_HOLD_TIME: Duration = Duration::from_secs(240);

/// One TCP connection to a neighbour.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    pub(super) outgoing: bool,
    /// Whether it came in while an older one was established for long: its OPEN shows that the neighbour has restarted.
    pub(super) succeeds: bool,
    pub(super) local: Address,
    /// What our OPEN on it says we can do.
    pub(super) capabilities: Vec<Capability>,
    /// The configuration that our OPEN on it was made from.
    pub(super) terms: NeighbourConfig,
    /// The first message of either side, for those who monitor.
    pub(super) opens: Opens,
    pub(super) framer: Framer,
    pub(super) phase: Phase,
    /// When the neighbour has been silent for too long.
    hold_until: Option<Instant>,
    /// When we have been silent for long enough.
    keepalive_at: Option<Instant>,
    /// Until when each family may be told again that the neighbour has begun to tell again.
    pub(super) refreshing: BTreeMap<Family, Instant>,
    /// Since when the neighbour has taken nothing of what waits for it; `None` while nothing does.
    pub(super) waiting_since: Option<Instant>,
}

/// How far the two ends have come.
#[derive(Debug)]
pub(super) enum Phase {
    OpenSent,
    OpenConfirm(Agreed),
    Established {
        agreed: Agreed,
        /// Since when.
        at: Instant,
        /// The families whose initial table the neighbour has not yet told to its end, as far as it marks that end.
        awaited: BTreeSet<Family>,
    },
}

impl Connection {
    pub(super) fn open(
        now: Instant,
        id: ConnectionId,
        outgoing: bool,
        succeeds: bool,
        local: Address,
        capabilities: Vec<Capability>,
        terms: NeighbourConfig,
    ) -> Self {
        Self {
            id,
            outgoing,
            succeeds,
            local,
            capabilities,
            terms,
            opens: Opens::default(),
            framer: Framer::default(),
            phase: Phase::OpenSent,
            hold_until: Some(now + OPEN_HOLD_TIME),
            keepalive_at: None,
            refreshing: BTreeMap::new(),
            waiting_since: None,
        }
    }

    /// The neighbour's OPEN suits us: from now on the agreed times count.
    /// Without a hold time the wait for its confirmation is bounded as the wait for its OPEN was.
    pub(super) fn confirm(&mut self, now: Instant, agreed: Agreed) {
        self.hold_until = Some(now + agreed.hold_time.unwrap_or(OPEN_HOLD_TIME));
        self.phase = Phase::OpenConfirm(agreed);
        self.speak(now);
    }

    /// The neighbour confirmed; nothing changes unless it was asked to.
    pub(super) fn establish(&mut self, now: Instant) {
        self.phase = match std::mem::replace(&mut self.phase, Phase::OpenSent) {
            Phase::OpenConfirm(agreed) => {
                let awaited = agreed.restart.as_ref().map(|_| agreed.families.clone()).unwrap_or_default();
                Phase::Established { agreed, at: now, awaited }
            }
            phase => phase,
        };
        self.hear(now);
    }

    /// The neighbour is alive.
    pub(super) fn hear(&mut self, now: Instant) {
        if let Some(agreed) = self.agreed() {
            self.hold_until = agreed.hold_time.map(|hold_time| now + hold_time);
        }
    }

    /// We showed that we are alive.
    pub(super) fn speak(&mut self, now: Instant) {
        self.keepalive_at = self.agreed().and_then(|agreed| agreed.keepalive).map(|time| now + time);
    }

    /// This is how long we may be silent from now on; a longer time counts after the next sign of life.
    pub(super) fn keep_in_touch(&mut self, now: Instant, config: &NeighbourConfig) {
        let (Phase::OpenConfirm(agreed) | Phase::Established { agreed, .. }) = &mut self.phase else { return };
        agreed.keepalive = agreed.hold_time.map(|time| keepalive(config, time));
        let due = agreed.keepalive.map(|time| now + time);
        self.keepalive_at = self.keepalive_at.into_iter().chain(due).min();
    }

    pub(super) fn has_expired(&self, now: Instant) -> bool {
        self.hold_until.is_some_and(|until| until <= now)
    }

    pub(super) fn owes_keepalive(&self, now: Instant) -> bool {
        self.keepalive_at.is_some_and(|at| at <= now)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.hold_until.into_iter().chain(self.keepalive_at).chain(self.refreshing.values().copied()).min()
    }

    /// When the neighbour has been silent for too long, and when we have been for long enough.
    pub(super) fn clocks(&self) -> (Option<Instant>, Option<Instant>) {
        (self.hold_until, self.keepalive_at)
    }

    pub(super) fn state(&self) -> SessionState {
        match self.phase {
            Phase::OpenSent => SessionState::OpenSent,
            Phase::OpenConfirm(_) => SessionState::OpenConfirm,
            Phase::Established { .. } => SessionState::Established,
        }
    }

    pub(super) fn agreed(&self) -> Option<&Agreed> {
        match &self.phase {
            Phase::OpenSent => None,
            Phase::OpenConfirm(agreed) | Phase::Established { agreed, .. } => Some(agreed),
        }
    }

    pub(super) fn established_at(&self) -> Option<Instant> {
        match self.phase {
            Phase::OpenSent | Phase::OpenConfirm(_) => None,
            Phase::Established { at, .. } => Some(at),
        }
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.agreed().map_or(Dialect::PLAIN, |agreed| agreed.dialect)
    }

    pub(super) fn established<'a>(&'a self, config: &'a NeighbourConfig) -> Option<Established<'a>> {
        match &self.phase {
            Phase::OpenSent | Phase::OpenConfirm(_) => None,
            Phase::Established { agreed, .. } => {
                let (opens, terms) = (&self.opens, &self.terms);
                Some(Established { id: self.id, local: self.local, opens, config, terms, agreed })
            }
        }
    }
}

/// What the table needs to know of a connection over which routes are exchanged.
pub(crate) struct Established<'a> {
    pub(crate) id: ConnectionId,
    pub(crate) local: Address,
    pub(crate) opens: &'a Opens,
    /// What is to be.
    config: &'a NeighbourConfig,
    /// What was to be when it was agreed on.
    terms: &'a NeighbourConfig,
    agreed: &'a Agreed,
}

impl Established<'_> {
    pub(crate) fn source(&self) -> &Arc<Source> {
        &self.agreed.source
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.agreed.dialect
    }

    /// Whether the neighbour tells all again when it is asked to (RFC 2918).
    pub(crate) fn answers_refresh(&self) -> bool {
        self.agreed.capabilities.contains(&Capability::RouteRefresh)
    }

    /// Whether the neighbour knows marks around a refresh (RFC 7313).
    pub(crate) fn knows_marks(&self) -> bool {
        self.agreed.capabilities.contains(&Capability::EnhancedRefresh)
    }

    /// Whether the neighbour knows what a long-lived stale route is (RFC 9494).
    pub(crate) fn knows_long_lived(&self) -> bool {
        self.agreed.long_lived.is_some()
    }

    /// Whether the neighbour hears IPv4 prefixes over routers of IPv6 (RFC 8950).
    pub(crate) fn hears_mixed(&self) -> bool {
        self.agreed.mixed_out
    }

    /// The families exchanged, each with our next hop; one that has none any more keeps the one it had.
    pub(crate) fn families(&self) -> impl Iterator<Item = (Family, Hop)> {
        let hop = |config, family| next_hop(config, self.local, family, self.agreed.mixed_out);
        let with_hop = move |&family| Some((family, hop(self.config, family).or_else(|| hop(self.terms, family))?));
        self.agreed.families.iter().filter_map(with_hop)
    }
}
