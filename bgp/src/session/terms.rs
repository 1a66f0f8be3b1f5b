//! Which changes of a neighbour's configuration count at once, and which with the next session.
//!
//! What an OPEN has said cannot be unsaid while its connection stands, and an end of the session would cost traffic for what can mostly wait. So
//! a session goes on as it was agreed on, says which settings wait for the next one, and an operator who cannot wait ends it
//! ([`Order::Reset`](crate::Order::Reset)). Before there is a session nothing is lost by a new attempt, and it begins at once.

use std::time::Instant;

use crate::{
    Action,
    wire::{Family, Fault, Hop, PathFamilies},
};

use super::{Effect, NeighbourConfig, Session, dial::Dial};

const ASN: &str = "asn";

impl NeighbourConfig {
    /// The settings that an OPEN speaks of or a connection was made with, as far as the other has others.
    pub(super) fn differences(&self, other: &Self) -> Vec<&'static str> {
        [
            (ASN, self.asn != other.asn),
            ("hold time", self.hold_time_secs() != other.hold_time_secs()),
            ("families", self.families != other.families),
            ("extended next hop", self.extended_next_hop != other.extended_next_hop),
            ("additional paths", self.add_paths != other.add_paths),
            ("role", self.role != other.role),
            ("extended messages", self.extended_messages != other.extended_messages),
            ("restart time", self.restart_secs() != other.restart_secs()),
            ("long-lived restart", self.long_lived != other.long_lived),
            ("gentle notifications", self.gentle != other.gentle),
            ("protection", self.protection != other.protection),
        ]
        .into_iter()
        .filter_map(|(name, differs)| differs.then_some(name))
        .collect()
    }
}

impl Session {
    /// Whether it is established with a neighbour that is not the one meant here, which is in another system.
    pub(crate) fn is_with_another_than(&self, meant: &NeighbourConfig) -> bool {
        self.established().is_some_and(|session| !meant.asn.admits(session.source().asn, self.us.asn))
    }

    /// The settings that count from the next session on; which system it is in cannot be one of them.
    pub(crate) fn pending(&self) -> Vec<&'static str> {
        let standing = self.connections.iter().find(|connection| connection.is_established());
        let differences = standing.map(|connection| connection.terms.differences(&self.config)).unwrap_or_default();
        differences.into_iter().filter(|&setting| setting != ASN).collect()
    }

    /// Whether several paths to a prefix are told in the session that stands.
    pub(crate) fn tells_several(&self) -> bool {
        self.established().is_some_and(|session| session.dialect().ids_out != PathFamilies::default())
    }

    /// Takes over the settings that count at once; without a session all do.
    pub(crate) fn adopt(&mut self, now: Instant, config: NeighbourConfig) {
        let was_held_back = self.is_held_back();
        let passive_changed = self.config.passive != config.passive;
        let is_stopped = self.dial == Dial::Stopped;
        let is_readmitted = is_stopped && self.config.limits != config.limits;
        let is_new = self.established().is_none() && !self.config.differences(&config).is_empty();
        let hops = self.hops();
        self.config = config;
        self.shut_down(now);
        if is_new {
            self.abandon(now);
        }
        self.keep_in_touch(now);
        self.tell_new_hops(&hops);
        let is_released = (was_held_back || is_readmitted) && !self.is_held_back();
        let may_call = ((passive_changed || is_new) && !is_stopped) || is_released;
        if may_call && self.connections.is_empty() {
            self.call(now);
        }
    }

    /// Gives up attempts that speak of other terms, and forgets how earlier ones failed.
    fn abandon(&mut self, now: Instant) {
        self.failures = 0;
        for connection in std::mem::take(&mut self.connections) {
            self.send(now, connection.id, Fault::CONFIGURATION_CHANGE.bare());
            self.act(Action::Close { connection: connection.id });
        }
    }

    /// How long we are silent is ours to decide.
    fn keep_in_touch(&mut self, now: Instant) {
        let config = &self.config;
        self.connections.iter_mut().for_each(|connection| connection.keep_in_touch(now, config));
    }

    fn hops(&self) -> Vec<(Family, Hop)> {
        self.established().iter().flat_map(|session| session.families().collect::<Vec<_>>()).collect()
    }

    /// Over whom our prefixes are reached has changed: they are told again, as if the neighbour had asked.
    fn tell_new_hops(&mut self, old: &[(Family, Hop)]) {
        let new = self.hops();
        let changed = new.into_iter().filter(|hop| !old.contains(hop)).map(|(family, _)| family);
        self.effects.extend(changed.map(Effect::Refresh));
    }
}
