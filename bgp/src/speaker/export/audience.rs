//! Neighbours that are told the same, so that it is put into messages once.
//!
//! What a neighbour is told depends on the terms, on what was agreed on with it, and on who it is: nothing comes back to whom it
//! came from. So neighbours under the same terms are told the same changes in the same octets, unless one of the changes is about
//! a route of theirs, or the operator's rules ask who they are.

use std::net::{IpAddr, Ipv4Addr};

use crate::{
    Exchange, RouteRules,
    rib::{Change, Offer, Source},
    session::Established,
    wire::{Dialect, Family},
};

/// All that decides what a neighbour is told, but for who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Audience {
    export: RouteRules,
    client_of: Option<Ipv4Addr>,
    transit: bool,
    paths: usize,
    dialect: Dialect,
    knows_long_lived: bool,
    next_hops: Vec<(Family, IpAddr)>,
}

impl Audience {
    /// `None`: nobody else is told what this one is told of these changes.
    pub(super) fn of(session: &Established<'_>, exchange: &Exchange, changes: &[Change]) -> Option<Self> {
        let Exchange { export, client_of, transit, paths, .. } = exchange;
        let source = session.source();
        let is_concerned = |change: &Change| concerns(&change.before, source) || concerns(&change.after, source);
        if export.asks_who() || changes.iter().any(is_concerned) {
            return None;
        }
        Some(Self {
            export: export.clone(),
            client_of: *client_of,
            transit: *transit,
            paths: *paths,
            dialect: session.dialect(),
            knows_long_lived: session.knows_long_lived(),
            next_hops: session.families().collect(),
        })
    }
}

/// Whether an offer has to do with this neighbour itself.
fn concerns(offer: &Offer, neighbour: &Source) -> bool {
    match offer {
        Offer::Nothing | Offer::Own => false,
        Offer::Heard(best, others) => std::iter::once(best).chain(others).any(|path| {
            path.source.neighbour == neighbour.neighbour
                || path.next_hop == neighbour.neighbour
                || path.originator() == neighbour.router_id
        }),
    }
}
