//! Whether a route that was heard counts, and as what.
//!
//! In: what was heard. Out: what counts, shared by all routes of which the same was heard and on which one rule decided.
//! Rules: RFC 4456 §8 (what passed our cluster does not count), RFC 8326 §4 (a route about to go is the last to be chosen), then the
//! operator's.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use ipnet::IpNet;

use crate::{
    RouteRules,
    rib::Path,
    route_map::{Ruling, Subject},
    wire::{Attributes, Community},
};

use super::super::export::Terms;

/// Judges the routes of one neighbour.
pub(super) struct Judge {
    rules: RouteRules,
    /// The clusters we reflect in.
    clusters: BTreeSet<Ipv4Addr>,
    /// What was heard, kept so that its place in memory is its name, and what counts before the operator's rules.
    before: BTreeMap<*const Attributes, (Arc<Attributes>, Arc<Attributes>)>,
    after: BTreeMap<(*const Attributes, Ruling), Arc<Attributes>>,
}

impl Judge {
    /// For the routes of this neighbour.
    pub(super) fn new(neighbour: IpAddr, terms: &Terms) -> Self {
        let rules = terms.get(&neighbour).map(|exchange| exchange.import.clone()).unwrap_or_default();
        Self { rules, clusters: clusters(terms), before: BTreeMap::new(), after: BTreeMap::new() }
    }

    /// Writes down whether the path counts, and as what.
    pub(super) fn decide(&mut self, prefix: IpNet, path: &mut Path) {
        let heard = Arc::as_ptr(&path.heard);
        let (_, before) = self.before.entry(heard).or_insert_with(|| (Arc::clone(&path.heard), standard(path)));
        let subject = Subject { prefix, neighbour: path.source.neighbour, attributes: before };
        let is_loop = before.clusters.iter().any(|cluster| self.clusters.contains(cluster));
        let ruling = self.rules.judge(subject).filter(|_| !is_loop);
        path.is_admitted = ruling.is_some();
        path.attributes = match ruling {
            None => Arc::clone(before),
            Some(ruling) => {
                let change = self.rules.change(ruling);
                let after = self.after.entry((heard, ruling)).or_insert_with(|| match change {
                    None => Arc::clone(before),
                    Some(change) => {
                        let mut attributes = Attributes::clone(before);
                        change.apply(&mut attributes, before.path.first());
                        attributes.stay_long_lived_stale(before);
                        Arc::new(attributes)
                    }
                });
                Arc::clone(after)
            }
        };
    }
}

/// The clusters we reflect in.
pub(super) fn clusters(terms: &Terms) -> BTreeSet<Ipv4Addr> {
    terms.values().filter_map(|exchange| exchange.client_of).collect()
}

/// What counts whatever the operator says: an external neighbour that is about to leave is the last choice.
fn standard(path: &Path) -> Arc<Attributes> {
    let leaves = path.source.external && path.heard.communities.contains(&Community::GRACEFUL_SHUTDOWN);
    if !leaves {
        return Arc::clone(&path.heard);
    }
    Arc::new(Attributes { local_pref: Some(0), ..Attributes::clone(&path.heard) })
}
