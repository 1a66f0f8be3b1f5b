//! What a rule changes on the routes it accepts.

use crate::{
    Asn,
    wire::{AnyCommunity, Attributes},
};

use super::CommunityPattern;

/// What a rule changes; by default nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteChange {
    /// The preference within our system from then on.
    pub local_pref: Option<u32>,
    /// What becomes of the MED.
    pub med: MedChange,
    /// What becomes of the communities.
    pub communities: CommunityChange,
    /// How often one more AS number leads the path: ours where we tell, the neighbour's where we hear.
    pub prepend: u8,
    /// Over whom it is reached, where we tell; without meaning where we hear.
    pub next_hop: NextHop,
}

/// What becomes of the MED.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MedChange {
    /// It stays as it is.
    #[default]
    Keep,
    /// There is none.
    Remove,
    /// It is this one.
    Set(u32),
}

/// What becomes of the communities of every kind; those to be added come last and are never removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommunityChange {
    /// All go.
    pub clear: bool,
    /// These go.
    pub remove: Vec<CommunityPattern>,
    /// These come.
    pub add: Vec<AnyCommunity>,
}

/// Over whom a neighbour is told to reach a route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NextHop {
    /// As the RFCs have it: us for what we originate and towards external neighbours (RFC 4271 §5.1.3), else as it was.
    #[default]
    Usual,
    /// Us.
    Itself,
    /// As it was, if we heard it from somebody.
    Keep,
}

impl RouteChange {
    /// Changes the attributes; `asn` leads the path where one is to. The next hop is not among them.
    pub(crate) fn apply(&self, attributes: &mut Attributes, asn: Option<Asn>) {
        attributes.local_pref = self.local_pref.or(attributes.local_pref);
        match self.med {
            MedChange::Keep => {}
            MedChange::Remove => attributes.med = None,
            MedChange::Set(med) => attributes.med = Some(med),
        }
        self.communities.apply(attributes);
        if let Some(asn) = asn {
            attributes.path.prepend(asn, self.prepend.into());
        }
    }
}

impl CommunityChange {
    fn apply(&self, attributes: &mut Attributes) {
        let stays = |community| !self.clear && !self.remove.iter().any(|pattern| pattern.admits(community));
        attributes.communities.retain(|one| stays(AnyCommunity::Standard(*one)));
        attributes.extended.retain(|one| stays(AnyCommunity::Extended(*one)));
        attributes.large.retain(|one| stays(AnyCommunity::Large(*one)));
        for &community in &self.add {
            match community {
                AnyCommunity::Standard(one) => push_once(&mut attributes.communities, one),
                AnyCommunity::Extended(one) => push_once(&mut attributes.extended, one),
                AnyCommunity::Large(one) => push_once(&mut attributes.large, one),
            }
        }
    }
}

fn push_once<T: PartialEq>(all: &mut Vec<T>, one: T) {
    if !all.contains(&one) {
        all.push(one);
    }
}
