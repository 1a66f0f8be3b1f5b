//! Which sessions an operator's order holds down, over what the configuration says.
//!
//! In: orders, and what the configuration says of a neighbour. Out: what is to be true of it. Outlives the session, as one that is declared anew, or
//! whose link was away for a moment, is meant all the same. Rules: RFC 4486 §4, RFC 9003.

use std::time::Instant;

use crate::{Address, NeighbourConfig, OrderRefusal, session::Session};

use super::Speaker;

/// A session that an order holds down.
#[derive(Debug)]
pub(super) struct Held {
    /// What the neighbour's operator was told.
    words: String,
    /// What the configuration says of it meanwhile.
    declared: Option<String>,
}

impl Speaker {
    /// What is to be true of a neighbour of which the configuration says this.
    pub(super) fn as_ordered(&mut self, mut neighbour: NeighbourConfig) -> NeighbourConfig {
        if let Some(held) = self.held.get_mut(&neighbour.address) {
            held.declared = neighbour.shutdown.replace(held.words.clone());
        }
        neighbour
    }

    /// Whether an order holds it down.
    pub(super) fn is_held(&self, neighbour: Address) -> bool {
        self.held.contains_key(&neighbour)
    }

    pub(super) fn may_start(&self, neighbour: Address, session: &Session) -> Result<(), OrderRefusal> {
        let declared = |session: &Session| session.config().shutdown.is_some();
        match self.held.get(&neighbour) {
            Some(Held { declared: None, .. }) => Ok(()),
            Some(Held { declared: Some(_), .. }) => Err(OrderRefusal::Declared(neighbour)),
            None if declared(session) => Err(OrderRefusal::Declared(neighbour)),
            None => Err(OrderRefusal::NotShutDown(neighbour)),
        }
    }

    /// Ends the session, and has none from now on.
    pub(super) fn hold(&mut self, now: Instant, neighbour: Address, words: String) {
        let Some(session) = self.sessions.get(&neighbour) else { return };
        let config = session.config().clone();
        let declared = match self.held.remove(&neighbour) {
            Some(held) => held.declared,
            None => config.shutdown.clone(),
        };
        self.held.insert(neighbour, Held { words: words.clone(), declared });
        self.with_session(now, neighbour, |session| {
            session.adopt(now, NeighbourConfig { shutdown: Some(words), ..config });
        });
    }

    /// What the configuration says counts again.
    pub(super) fn release(&mut self, now: Instant, neighbour: Address) {
        let Some(held) = self.held.remove(&neighbour) else { return };
        let Some(session) = self.sessions.get(&neighbour) else { return };
        let config = NeighbourConfig { shutdown: held.declared, ..session.config().clone() };
        self.with_session(now, neighbour, |session| session.adopt(now, config));
    }
}
