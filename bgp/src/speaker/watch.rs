//! What is told to somebody who watches the table: each time another path wins, or its next hops change.
//!
//! Nothing is told while nobody watches.

use std::sync::Arc;

use ipnet::IpNet;

use crate::{
    Action, Address, Step,
    rib::{Change, Offer},
    wire::Attributes,
};

use super::Speaker;

/// What became of one prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BestChange {
    /// Which.
    pub prefix: IpNet,
    /// Where traffic to it went before; `None` if nowhere.
    pub before: Option<Way>,
    /// And now.
    pub after: Option<Way>,
    /// All next hops in use now, sorted; none of our own prefixes.
    pub next_hops: Vec<Address>,
    /// The comparison that decides now.
    pub step: Option<Step>,
}

/// Where traffic to a prefix goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// It is our own.
    Own,
    /// By what this neighbour says.
    Heard {
        /// The neighbour.
        neighbour: Address,
        /// What counts of what it says.
        attributes: Arc<Attributes>,
        /// Its next hop.
        next_hop: Address,
    },
}

impl Way {
    fn of(offer: &Offer) -> Option<Self> {
        match offer {
            Offer::Nothing => None,
            Offer::Own => Some(Self::Own),
            Offer::Heard(path, _) => Some(Self::Heard {
                neighbour: path.source.neighbour,
                attributes: Arc::clone(&path.attributes),
                next_hop: path.next_hop,
            }),
        }
    }
}

impl Speaker {
    /// Tells of changes, if somebody watches.
    pub(super) fn report(&mut self, changes: &[Change]) {
        if self.is_watched {
            let told = changes.iter().map(|change| Action::BestChanged(self.best_change(change).into()));
            let told: Vec<_> = told.collect();
            self.actions.extend(told);
        }
    }

    fn best_change(&self, change: &Change) -> BestChange {
        let (next_hops, step) = self.table.used(&change.prefix);
        let (before, after) = (Way::of(&change.before), Way::of(&change.after));
        BestChange { prefix: change.prefix, before, after, next_hops, step }
    }
}
