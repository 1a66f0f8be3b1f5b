//! Who hears what was heard from whom.
//!
//! Between internal neighbours only a reflector passes routes on, and only if one of the two is its client: RFC 4271 §9.2.1 and
//! RFC 4456 §6. What comes from another system or goes there passes where the operator has made us a transit. A host is none
//! by default: traffic of others through it is asked for, and never comes about because somebody forgot a filter.
//! The communities of RFC 1997 and RFC 7999, and the roles of RFC 9234, are obeyed whatever the operator's rules say.

use std::net::{IpAddr, Ipv4Addr};

use crate::{
    Exchange,
    rib::{Path, Source},
    wire::{Attributes, Community, Role},
};

/// How a route gets from one neighbour to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passage {
    /// As a reflector of this cluster passes it on.
    Reflected(Ipv4Addr),
    /// From or to another system.
    Transit,
}

/// `None`: it does not.
pub(super) fn passage(path: &Path, from: &Exchange, target: &Source, to: &Exchange) -> Option<Passage> {
    let is_withheld = is_kept_back(&path.attributes, target.external) || is_for_others(&path.attributes, target);
    if path.source.neighbour == target.neighbour || is_withheld {
        return None;
    }
    match (path.source.external, target.external) {
        (false, false) => reflected(path, from, target, to),
        (true, false) => from.transit.then_some(Passage::Transit),
        (false, true) => to.transit.then_some(Passage::Transit),
        (true, true) => (from.transit && to.transit).then_some(Passage::Transit),
    }
}

/// RFC 4456 §6: from a client to everybody, from others to clients; who brought it in need not hear it again (§8).
fn reflected(path: &Path, from: &Exchange, target: &Source, to: &Exchange) -> Option<Passage> {
    let comes_home = path.originator() == target.router_id || path.next_hop == target.neighbour;
    let cluster = from.client_of.or(to.client_of);
    cluster.filter(|_| !comes_home).map(Passage::Reflected)
}

/// RFC 1997, and RFC 7999 §3.2: whether its communities keep it from this kind of neighbour.
fn is_kept_back(attributes: &Attributes, external: bool) -> bool {
    attributes.communities.iter().any(|&community| match community {
        Community::NO_ADVERTISE => true,
        Community::NO_EXPORT | Community::NO_EXPORT_SUBCONFED | Community::BLACKHOLE => external,
        _ => false,
    })
}

/// RFC 9234 §5: whether it is for customers only, and the neighbour is none.
fn is_for_others(attributes: &Attributes, target: &Source) -> bool {
    let may_hear = target.role.is_none_or(Role::tells_customers);
    attributes.only_to_customer.is_some() && !may_hear
}

/// What is said about a route that goes this way, before the operator's rules, and over whom it was reached, as far as that means something to others.
pub(super) fn draft(path: &Path, passage: Passage, external: bool) -> (Attributes, Option<IpAddr>) {
    let mut attributes = Attributes::clone(&path.attributes);
    match passage {
        Passage::Reflected(cluster) => {
            attributes.originator.get_or_insert(path.originator());
            attributes.clusters.insert(0, cluster);
        }
        Passage::Transit => {
            attributes.originator = None;
            attributes.clusters.clear();
        }
    }
    if external {
        // RFC 4271 §5.1.4 and RFC 4360 §6: neither leaves the system it came to.
        attributes.med = None;
        attributes.extended.retain(|community| community.is_transitive());
    }
    (attributes, path.hop.global())
}

/// What is said of a route whose teller is away for long to a neighbour who does not know what that means: nothing to another system; within
/// ours it is to be the last choice all the same, and stay (RFC 9494 §4.3 and §4.6).
pub(super) fn for_the_unaware(mut attributes: Attributes, external: bool) -> Option<Attributes> {
    attributes.local_pref = Some(0);
    if !attributes.communities.contains(&Community::NO_EXPORT) {
        attributes.communities.push(Community::NO_EXPORT);
    }
    (!external).then_some(attributes)
}
