//! One way to one prefix, as one neighbour offers it.

use std::{
    fmt,
    hash::{Hash, Hasher},
    net::Ipv4Addr,
    ops::Deref,
    sync::Arc,
};

use ipnet::IpNet;

use crate::{
    Address, Asn,
    wire::{Attributes, Community, Hop, Role},
};

use super::{Apart, Step};

/// Who offers a route: one for each session, shared by all its routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) neighbour: Address,
    pub(crate) asn: Asn,
    pub(crate) router_id: Ipv4Addr,
    pub(crate) external: bool,
    /// What we are to it, if somebody says so.
    pub(crate) role: Option<Role>,
    /// Our end of the connection: a next hop that would lead back to us.
    pub(crate) local: Address,
}

/// What a neighbour says of some prefixes at once, and what counts of it: one for all of them, as a table holds many prefixes and few words.
#[derive(Clone, Debug)]
pub(crate) struct Word {
    pub(crate) source: Arc<Source>,
    /// What was said about it.
    pub(crate) heard: Arc<Attributes>,
    /// What counts: the same, but for what import rules changed.
    pub(crate) attributes: Arc<Attributes>,
    /// Over which router, as it was said.
    pub(crate) hop: Hop,
    /// The router's address that is used.
    pub(crate) next_hop: Address,
    /// The same, as all next hops of a prefix with this path alone: shared by them, as a table holds so many of these.
    pub(crate) ways: Arc<[Address]>,
    /// Whether import rules let it pass; else it is kept and never used, so that other rules can be tried on it.
    pub(crate) is_admitted: bool,
}

/// One way to one prefix.
#[derive(Clone, Debug)]
pub(crate) struct Path {
    pub(crate) word: Arc<Word>,
    /// Which of the neighbour's paths it is; 0 where it tells one only.
    pub(crate) id: u32,
    /// Which one it is to those that are told several: kept by the table, unlike those of the other paths to the prefix.
    pub(crate) told_id: u32,
    /// Whether it was heard before the neighbour's restart, and not again since.
    pub(crate) is_stale: bool,
}

impl Deref for Path {
    type Target = Word;

    fn deref(&self) -> &Word {
        &self.word
    }
}

/// What two looks at one path have in common, as far as others are told of it.
impl PartialEq for Path {
    fn eq(&self, other: &Self) -> bool {
        self.told_id == other.told_id && (Arc::ptr_eq(&self.word, &other.word) || self.word.tells_as(&other.word))
    }
}

/// Its parts are shared, so their places in memory are their names: two words are one if they are made of the same.
impl PartialEq for Word {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.source, &other.source)
            && Arc::ptr_eq(&self.heard, &other.heard)
            && Arc::ptr_eq(&self.attributes, &other.attributes)
            && (self.hop, self.next_hop, self.is_admitted) == (other.hop, other.next_hop, other.is_admitted)
    }
}

impl Hash for Word {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.source).hash(state);
        Arc::as_ptr(&self.heard).hash(state);
        Arc::as_ptr(&self.attributes).hash(state);
        (self.hop, self.is_admitted).hash(state);
    }
}

impl Word {
    fn tells_as(&self, other: &Self) -> bool {
        (self.next_hop, self.hop) == (other.next_hop, other.hop)
            && self.source == other.source
            && self.attributes == other.attributes
    }
}

impl Word {
    /// Who brought the route into our system: the neighbour, unless a reflector passed it on (RFC 4456 §9).
    pub(crate) fn originator(&self) -> Ipv4Addr {
        self.attributes.originator.unwrap_or(self.source.router_id)
    }

    /// Whether it must not outlive its teller for long (RFC 9494 §4.2), by word of who told it or of the operator.
    pub(crate) fn forbids_long_life(&self) -> bool {
        [&self.heard, &self.attributes].iter().any(|said| said.communities.contains(&Community::NO_LLGR))
    }

    /// The system the route came from; `None` for one of our own system.
    pub(crate) fn entry_asn(&self) -> Option<Asn> {
        self.attributes.path.first()
    }
}

/// A route as it is shown to people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Whereto.
    pub prefix: IpNet,
    /// Who offers it.
    pub neighbour: Address,
    /// The neighbour's autonomous system.
    pub asn: Asn,
    /// Over which router.
    pub next_hop: Address,
    /// Which of the neighbour's paths to the prefix it is (RFC 7911); 0 where it tells one only.
    pub path_id: u32,
    /// What is said about it.
    pub attributes: Arc<Attributes>,
    /// Whether it was heard before the neighbour's restart, and not again since (RFC 4724 §4.2); it is used like the others, unless it is
    /// marked `llgr-stale` (RFC 9494).
    pub stale: bool,
    /// Whether import rules let it pass; else it is kept, and never used.
    pub admitted: bool,
    /// Whether it won.
    pub best: bool,
    /// Whether its next hop is used: it won, or is as good as the winner.
    pub used: bool,
    /// What became of it, and why.
    pub fate: Fate,
}

/// What became of a route, and why; its `Display` gives the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// This comparison left it alone in the race.
    Won(Step),
    /// This comparison threw it out; its next hop may be used all the same.
    Lost(Step),
    /// The same, and its next hop is not used.
    Apart(Step, Apart),
    /// The guards or the import rules do not let it count.
    Rejected,
    /// The prefix is our own, and what others say of it does not count.
    Ours,
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Won(step) => step.fmt(f),
            Self::Lost(step) => f.write_str(step.loss()),
            Self::Apart(step, apart) => write!(f, "{}, and does not share the traffic: {apart}", step.loss()),
            Self::Rejected => f.write_str("import rules reject it, or it passed our cluster before"),
            Self::Ours => f.write_str("the prefix is our own"),
        }
    }
}
