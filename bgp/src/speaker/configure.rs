//! Which sessions a new configuration ends, begins, or leaves alone.

use std::{collections::BTreeMap, time::Instant};

use crate::{Address, NeighbourConfig, SpeakerConfig, session::Session, wire::Fault};

use super::Speaker;

impl Speaker {
    /// The ends come first, so that their routes are gone before others come.
    pub(super) fn reconfigure(&mut self, now: Instant, config: SpeakerConfig, neighbours: Vec<NeighbourConfig>) {
        let wanted: BTreeMap<_, _> = neighbours.into_iter().map(canonical).collect();
        let identity_changed = self.config != config;
        let was = std::mem::replace(&mut self.config, config);
        self.end_superseded(now, &wanted, identity_changed);
        self.watch(&wanted);
        let terms = wanted.iter().map(|(&address, neighbour)| (address, neighbour.exchange.clone())).collect();
        let tells_several = wanted.values().any(|neighbour| neighbour.add_paths.send);
        self.table.tell_several(tells_several || self.sessions.values().any(Session::tells_several));
        let old = std::mem::replace(&mut self.terms, terms);
        self.protect(&wanted);
        self.strangers.know(|caller| wanted.contains_key(caller));
        wanted.into_iter().for_each(|(address, neighbour)| self.begin_or_adopt(now, address, neighbour));
        // First what we tell, then what we take and what follows from it.
        self.tell_anew(&old);
        self.judge_anew(&old);
        if identity_changed {
            self.rename_table(now, was);
        }
    }

    fn end_superseded(&mut self, now: Instant, wanted: &BTreeMap<Address, NeighbourConfig>, identity_changed: bool) {
        let ends = self.sessions.iter().filter_map(|(&address, session)| {
            let fault = match wanted.get(&address) {
                None => Fault::DECONFIGURED,
                Some(new) if identity_changed || session.is_with_another_than(new) => Fault::CONFIGURATION_CHANGE,
                Some(_) => return None,
            };
            Some((address, fault))
        });
        for (address, fault) in ends.collect::<Vec<_>>() {
            self.with_session(now, address, |session| session.stop(now, fault));
            self.sessions.remove(&address);
        }
    }

    fn begin_or_adopt(&mut self, now: Instant, address: Address, neighbour: NeighbourConfig) {
        if neighbour.exchange.retiring && !self.sessions.contains_key(&address) {
            return; // it has been let go
        }
        let neighbour = self.as_ordered(neighbour);
        let us = self.config;
        let is_path_up = self.is_path_up(address);
        self.sessions.entry(address).or_insert_with(|| Session::start(now, us, neighbour.clone(), is_path_up));
        self.with_session(now, address, |session| session.adopt(now, neighbour));
        self.count(now, address); // the limits may be others now
    }
}

/// One address has one spelling: `::ffff:192.0.2.1` is 192.0.2.1.
fn canonical(neighbour: NeighbourConfig) -> (Address, NeighbourConfig) {
    let address = neighbour.address.to_canonical();
    (address, NeighbourConfig { address, ..neighbour })
}
