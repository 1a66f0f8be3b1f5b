//! What one neighbour is told of a prefix.
//!
//! In: an offer of the table, and the terms. Out: attributes and a next hop, or nothing; the same question has always the same
//! answer. Rules: RFC 4271 §5.1 (what is said to whom) and §9.2, RFC 4456 §8 (what a reflector leaves as it is), RFC 9234 §5 (for whom it is).

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use ipnet::IpNet;

use crate::{
    Address, Exchange, NextHop, SpeakerConfig,
    rib::{Offer, Path, Word},
    route_map::{Ruling, Subject},
    session::Established,
    wire::{AsPath, Attributes, Family, Hop, Origin, PathFamilies, Role},
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
pub(in crate::speaker) struct Told {
    pub(in crate::speaker) attributes: Attributes,
    pub(in crate::speaker) next_hop: Hop,
}

/// All that a neighbour is told of one prefix.
#[derive(Debug)]
pub(in crate::speaker) enum TellAll {
    /// It can hear one path only.
    Best(Option<Arc<Told>>),
    /// By path identifier.
    Several(BTreeMap<u32, Arc<Told>>),
}

impl Default for TellAll {
    fn default() -> Self {
        Self::Best(None)
    }
}

impl TellAll {
    /// Whether it is told of no way to it.
    pub(super) fn is_nothing(&self) -> bool {
        match self {
            Self::Best(told) => told.is_none(),
            Self::Several(all) => all.is_empty(),
        }
    }

    /// The only one has no identifier.
    pub(super) fn by_id(self) -> BTreeMap<u32, Arc<Told>> {
        match self {
            Self::Best(told) => told.into_iter().map(|told| (0, told)).collect(),
            Self::Several(all) => all,
        }
    }
}

/// One way that somebody may be told of.
#[derive(Clone, Copy)]
enum Way<'a> {
    Own,
    Heard(&'a Path),
}

/// The identifier of our own path to a prefix; those heard have others.
const OWN_ID: u32 = 1;

impl<'a> Way<'a> {
    /// The best first.
    fn all(offer: &'a Offer) -> Vec<Self> {
        match offer {
            Offer::Nothing => Vec::new(),
            Offer::Own => vec![Self::Own],
            Offer::Heard(best, others) => std::iter::once(best).chain(others).map(Self::Heard).collect(),
        }
    }

    fn best(offer: &'a Offer) -> Option<Self> {
        match offer {
            Offer::Nothing => None,
            Offer::Own => Some(Self::Own),
            Offer::Heard(best, _) => Some(Self::Heard(best)),
        }
    }

    /// What was heard, by its place in memory; null for our own.
    fn word(self) -> *const Word {
        match self {
            Self::Own => std::ptr::null(),
            Self::Heard(path) => Arc::as_ptr(&path.word),
        }
    }

    fn id(self) -> u32 {
        match self {
            Self::Own => OWN_ID,
            Self::Heard(path) => path.told_id,
        }
    }
}

/// What is said of some prefixes before the operator's rules.
struct Draft {
    attributes: Attributes,
    /// Over whom we reach them, as far as that can be told beyond the link to them; `None` also if we originate them.
    heard_hop: Option<IpAddr>,
}

/// Offers of which the same is said: ours of one family, or what was heard at once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kin {
    Own(Family),
    Heard { family: Family, attributes: *const Attributes, source: Address, hop: Hop },
}

/// What is said of offers of one kin.
struct Known {
    draft: Draft,
    /// Our own next hop for their family.
    own_hop: Hop,
    /// By what the operator's rules say: few, and mostly one.
    told: Vec<(Ruling, Option<Arc<Told>>)>,
}

/// Knows what one neighbour is told; made for some questions in a row, while nothing changes.
pub(super) struct Teller<'a> {
    us: SpeakerConfig,
    terms: &'a Terms,
    exchange: Exchange,
    session: &'a Established<'a>,
    /// Of which families it hears several paths.
    several: PathFamilies,
    /// Our own next hops.
    next_hops: BTreeMap<Family, Hop>,
    /// `None`: it is told nothing of this kin.
    known: Vec<Option<Known>>,
    /// Where in `known` each kin stands.
    places: BTreeMap<Kin, usize>,
    /// Where the one asked for last stands: questions come in runs about what was heard at once.
    last: Option<(Family, *const Word, usize)>,
}

impl<'a> Teller<'a> {
    pub(super) fn new(us: SpeakerConfig, terms: &'a Terms, session: &'a Established<'a>) -> Self {
        let exchange = terms.get(&session.source().neighbour).cloned().unwrap_or_default();
        Self {
            us,
            terms,
            exchange,
            session,
            several: session.dialect().ids_out,
            next_hops: session.families().collect(),
            known: Vec::new(),
            places: BTreeMap::new(),
            last: None,
        }
    }

    /// Of several paths those come that it may be told, the best first, up to the agreed number.
    pub(super) fn told(&mut self, prefix: IpNet, offer: &Offer) -> TellAll {
        if !self.several.contains(Family::of_prefix(&prefix)) {
            return TellAll::Best(Way::best(offer).and_then(|way| self.told_of(prefix, way)));
        }
        let most = self.exchange.paths.max(1);
        let ways = Way::all(offer).into_iter();
        TellAll::Several(ways.filter_map(|way| Some((way.id(), self.told_of(prefix, way)?))).take(most).collect())
    }

    /// `None`: it is not told of this way.
    fn told_of(&mut self, prefix: IpNet, way: Way<'_>) -> Option<Arc<Told>> {
        let family = Family::of_prefix(&prefix);
        let place = self.place(family, way);
        let known = self.known.get(place)?.as_ref()?;
        let subject =
            Subject { prefix, neighbour: self.session.source().neighbour, attributes: &known.draft.attributes };
        let ruling = self.exchange.export.judge(subject)?;
        if let Some((_, told)) = known.told.iter().find(|(other, _)| *other == ruling) {
            return told.clone();
        }
        let told = self.finish(&known.draft, ruling, known.own_hop);
        let told = told.filter(|told| self.can_hear(family, told.next_hop)).map(Arc::new);
        if let Some(Some(known)) = self.known.get_mut(place) {
            known.told.push((ruling, told.clone()));
        }
        told
    }

    fn place(&mut self, family: Family, way: Way<'_>) -> usize {
        let word = way.word();
        if let Some((_, _, place)) = self.last.filter(|(last, of, _)| (*last, *of) == (family, word)) {
            return place;
        }
        let next = self.known.len();
        let place = *self.places.entry(kin(family, way)).or_insert(next);
        if place == next {
            let known = self.learn(family, way);
            self.known.push(known);
        }
        self.last = Some((family, word, place));
        place
    }

    fn learn(&self, family: Family, way: Way<'_>) -> Option<Known> {
        let own_hop = *self.next_hops.get(&family)?;
        Some(Known { draft: self.draft(way)?, own_hop, told: Vec::new() })
    }

    fn draft(&self, way: Way<'_>) -> Option<Draft> {
        match way {
            Way::Own => Some(self.own()),
            // Nothing goes back to whom it came from; said here, too, because that is asked most.
            Way::Heard(path) if path.source.neighbour == self.session.source().neighbour => None,
            Way::Heard(path) => self.heard(path),
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
        Some(Draft { attributes, heard_hop: next_hop })
    }

    /// The operator's changes, then what the standard asks for. What would fit no message is not told.
    fn finish(&self, draft: &Draft, ruling: Ruling, own_hop: Hop) -> Option<Told> {
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
                if self.session.source().role.is_some_and(Role::leads_down) {
                    attributes.only_to_customer.get_or_insert(asn);
                }
            }
            None => {
                attributes.local_pref.get_or_insert(LOCAL_PREF);
            }
        }
        let next_hop = self.next_hop(wish, draft.heard_hop, own_hop);
        let fits = attributes.octets_max() + BESIDE_OCTETS <= self.session.dialect().octets_out();
        fits.then_some(Told { attributes, next_hop })
    }

    /// RFC 8950 §4: IPv4 over a router of IPv6 is told only to whoever has said that it can hear that.
    fn can_hear(&self, family: Family, next_hop: Hop) -> bool {
        match family {
            Family::Ipv4 => next_hop.address.is_ipv4() || self.session.hears_mixed(),
            Family::Ipv6 => true,
        }
    }

    /// RFC 4271 §5.1.3: us for our own, and towards other systems; RFC 2545 §3: an address of a link says nothing beyond it.
    fn next_hop(&self, wish: NextHop, heard: Option<IpAddr>, own: Hop) -> Hop {
        match (wish, heard) {
            (NextHop::Itself, _) | (_, None) => own,
            (NextHop::Usual, Some(_)) if self.is_external() => own,
            (NextHop::Usual | NextHop::Keep, Some(heard)) => heard.into(),
        }
    }
}

/// What was heard at once is told by its place in memory: the offers outlive the questions.
fn kin(family: Family, way: Way<'_>) -> Kin {
    match way {
        Way::Own => Kin::Own(family),
        Way::Heard(path) => {
            let attributes = Arc::as_ptr(&path.attributes);
            Kin::Heard { family, attributes, source: path.source.neighbour, hop: path.hop }
        }
    }
}
