//! Which connections are to be protected, and how: the hands are told before they dial.

use std::collections::BTreeMap;

use crate::{Action, Address, NeighbourConfig, Protection};

use super::Speaker;

impl Speaker {
    /// Asks for what the neighbours' configurations ask for, if that is something new.
    pub(super) fn protect(&mut self, neighbours: &BTreeMap<Address, NeighbourConfig>) {
        let wanted = neighbours.iter().map(|(&address, config)| (address, config.protection.clone()));
        let wanted: BTreeMap<_, _> = wanted.filter(|(_, protection)| *protection != Protection::default()).collect();
        if wanted != self.protected {
            self.actions.push_back(Action::Protect(wanted.clone()));
            self.protected = wanted;
        }
    }
}
