//! Which routes a rule fits: all that is asked must hold, and of a list one entry is enough.

use std::ops::RangeInclusive;

use ipnet::IpNet;

use crate::{
    Asn,
    wire::{AsPath, Attributes, Family, Origin},
};

use super::{CommunityPattern, Prefixes, Subject};

/// Which routes a rule fits; what is empty asks nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteCondition {
    /// The prefix is one of these.
    pub prefixes: Prefixes,
    /// It is of this family.
    pub family: Option<Family>,
    /// It carries one of these.
    pub communities: Vec<CommunityPattern>,
    /// It came this way.
    pub path: PathCondition,
    /// It came into BGP in one of these manners.
    pub origins: Vec<Origin>,
    /// It is exchanged with a neighbour in one of these.
    pub neighbours: Vec<IpNet>,
}

/// Which AS paths are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathCondition {
    /// One of these is on it.
    pub contains: Vec<Asn>,
    /// It came to us from one of these: the first on the path.
    pub neighbour: Vec<Asn>,
    /// One of these began it: the last on the path.
    pub origin: Vec<Asn>,
    /// It is so long, a set counting as one (RFC 4271 §9.1.2.2 a).
    pub length: Option<RangeInclusive<usize>>,
}

impl RouteCondition {
    pub(super) fn fits(&self, subject: Subject<'_>) -> bool {
        self.fits_prefix(subject.prefix) && self.fits_neighbour(subject) && self.fits_attributes(subject.attributes)
    }

    fn fits_prefix(&self, prefix: IpNet) -> bool {
        self.family.is_none_or(|family| family == Family::of_prefix(&prefix))
            && (self.prefixes.is_empty() || self.prefixes.admit(prefix))
    }

    fn fits_neighbour(&self, subject: Subject<'_>) -> bool {
        self.neighbours.is_empty() || self.neighbours.iter().any(|net| net.contains(&subject.neighbour.ip()))
    }

    fn fits_attributes(&self, attributes: &Attributes) -> bool {
        is_empty_or_has(&self.origins, Some(attributes.origin))
            && self.path.fits(&attributes.path)
            && (self.communities.is_empty() || self.fits_communities(attributes))
    }

    fn fits_communities(&self, attributes: &Attributes) -> bool {
        attributes.all_communities().any(|given| self.communities.iter().any(|wanted| wanted.admits(given)))
    }
}

impl PathCondition {
    fn fits(&self, path: &AsPath) -> bool {
        (self.contains.is_empty() || self.contains.iter().any(|&asn| path.contains(asn)))
            && is_empty_or_has(&self.neighbour, path.first())
            && is_empty_or_has(&self.origin, path.last())
            && self.length.as_ref().is_none_or(|length| length.contains(&path.length()))
    }
}

fn is_empty_or_has<T: PartialEq>(wanted: &[T], given: Option<T>) -> bool {
    wanted.is_empty() || given.is_some_and(|given| wanted.contains(&given))
}
