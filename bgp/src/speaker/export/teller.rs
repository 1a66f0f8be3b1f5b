//! What one neighbour is told of a prefix.
//!
//! In: an offer of the table, and the terms. Out: attributes and a next hop, or nothing; the same question has always the same
//! answer. Rules: RFC 4271 §5.1 (what is said to whom) and §9.2, RFC 4456 §8 (what a reflector leaves as it is).

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use ipnet::IpNet;

use crate::{
    Exchange, NextHop, SpeakerConfig,
    rib::{Offer, Path},
    route_map::{Ruling, Subject},
    session::Established,
    wire::{AsPath, Attributes, Family, MESSAGE_OCTETS_MAX, Origin},
};

use super::{
    Terms,
    passage::{draft, for_the_unaware, passage},
};

/// How much internal neighbours are to prefer what we originate; the customary default.
const LOCAL_PREF: u32 = 100;

/// What may stand beside the attributes in a message: its head, its fields' lengths, and a prefix with its next hop.
const BESIDE_OCTETS: usize = 80;

/// What a neighbour is told of some prefixes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) attributes: Attributes,
    pub(super) next_hop: IpAddr,
}

/// What is said of some prefixes before the operator's rules.
struct Draft {
    attributes: Attributes,
    /// Over whom we reach them; `None` if we originate them.
    heard_hop: Option<IpAddr>,
}

/// Offers of which the same is said: ours of one family, or what was heard at once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kin {
    Own(Family),
    Heard { attributes: *const Attributes, source: IpAddr, next_hop: IpAddr },
}

/// Knows what one neighbour is told; made for some questions in a row, while nothing changes.
pub(super) struct Teller<'a> {
    us: SpeakerConfig,
    terms: &'a Terms,
    exchange: Exchange,
    session: &'a Established<'a>,
    /// Our own next hops.
    next_hops: BTreeMap<Family, IpAddr>,
    drafts: BTreeMap<Kin, Option<Arc<Draft>>>,
    told: BTreeMap<(Kin, Ruling), Option<Arc<Told>>>,
}

impl<'a> Teller<'a> {
    pub(super) fn new(us: SpeakerConfig, terms: &'a Terms, session: &'a Established<'a>) -> Self {
        let exchange = terms.get(&session.source().neighbour).cloned().unwrap_or_default();
        let next_hops = session.families().collect();
        Self { us, terms, exchange, session, next_hops, drafts: BTreeMap::new(), told: BTreeMap::new() }
    }

    /// `None`: it is told nothing of the prefix.
    pub(super) fn told(&mut self, prefix: IpNet, offer: &Offer) -> Option<Arc<Told>> {
        let family = Family::of_prefix(&prefix);
        let own_hop = *self.next_hops.get(&family)?;
        let kin = kin(family, offer)?;
        let draft = self.draft_of(kin, offer)?;
        let neighbour = self.session.source().neighbour;
        let ruling = self.exchange.export.judge(Subject { prefix, neighbour, attributes: &draft.attributes })?;
        if let Some(told) = self.told.get(&(kin, ruling)) {
            return told.clone();
        }
        let told = self.finish(&draft, ruling, own_hop).map(Arc::new);
        self.told.insert((kin, ruling), told.clone());
        told
    }

    fn draft_of(&mut self, kin: Kin, offer: &Offer) -> Option<Arc<Draft>> {
        if let Some(draft) = self.drafts.get(&kin) {
            return draft.clone();
        }
        let draft = self.draft(offer).map(Arc::new);
        self.drafts.insert(kin, draft.clone());
        draft
    }

    fn draft(&self, offer: &Offer) -> Option<Draft> {
        match offer {
            Offer::Nothing => None,
            Offer::Own => Some(self.own()),
            Offer::Heard(path) => self.heard(path),
        }
    }

    fn is_external(&self) -> bool {
        self.session.source().external
    }

    /// What is said about our own prefixes: inside our system the path is empty, RFC 4271 §5.1.2.
    fn own(&self) -> Draft {
        let local_pref = (!self.is_external()).then_some(LOCAL_PREF);
        let attributes = Attributes { local_pref, ..Attributes::new(Origin::Igp, AsPath::default()) };
        Draft { attributes, heard_hop: None }
    }

    fn heard(&self, path: &Path) -> Option<Draft> {
        let from = self.terms.get(&path.source.neighbour)?;
        let way = passage(path, from, self.session.source(), &self.exchange)?;
        let (mut attributes, next_hop) = draft(path, way, self.is_external());
        if attributes.is_long_lived_stale() && !self.session.knows_long_lived() {
            attributes = for_the_unaware(attributes, self.is_external())?;
        }
        Some(Draft { attributes, heard_hop: Some(next_hop) })
    }

    /// The operator's changes, then what the standard asks for. What would fit no message is not told.
    fn finish(&self, draft: &Draft, ruling: Ruling, own_hop: IpAddr) -> Option<Told> {
        let mut attributes = draft.attributes.clone();
        let asn = self.is_external().then_some(self.us.asn);
        let mut wish = NextHop::Usual;
        if let Some(change) = self.exchange.export.change(ruling) {
            change.apply(&mut attributes, asn);
            attributes.stay_long_lived_stale(&draft.attributes);
            wish = change.next_hop;
        }
        match asn {
            Some(asn) => {
                attributes.path.prepend(asn, 1);
                attributes.local_pref = None;
            }
            None => {
                attributes.local_pref.get_or_insert(LOCAL_PREF);
            }
        }
        let next_hop = self.next_hop(wish, draft.heard_hop, own_hop);
        let fits = attributes.octets_max() + BESIDE_OCTETS <= MESSAGE_OCTETS_MAX;
        fits.then_some(Told { attributes, next_hop })
    }

    /// RFC 4271 §5.1.3: us for our own, and towards other systems.
    fn next_hop(&self, wish: NextHop, heard: Option<IpAddr>, own: IpAddr) -> IpAddr {
        match (wish, heard) {
            (NextHop::Itself, _) | (_, None) => own,
            (NextHop::Usual, Some(_)) if self.is_external() => own,
            (NextHop::Usual | NextHop::Keep, Some(heard)) => heard,
        }
    }
}

/// `None` of nothing. What was heard at once is told by its place in memory: the offers outlive the questions.
fn kin(family: Family, offer: &Offer) -> Option<Kin> {
    match offer {
        Offer::Nothing => None,
        Offer::Own => Some(Kin::Own(family)),
        Offer::Heard(path) => {
            let attributes = Arc::as_ptr(&path.attributes);
            Some(Kin::Heard { attributes, source: path.source.neighbour, next_hop: path.next_hop })
        }
    }
}
