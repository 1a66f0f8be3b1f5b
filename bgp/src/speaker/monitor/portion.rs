//! Some routes for one station, gathered by table and neighbour, and there by what is said of them.
//!
//! In: paths as they stand in the table. Out: UPDATEs with AS numbers of four octets, each about one neighbour in one view; path identifiers
//! stand where the neighbour put them, so the OPENs that the station knows tell how to read them. Rules: RFC 7854 §4.6 and §5, RFC 8671 §4,
//! RFC 9069 §4.6. A path heard before a restart is told once it is heard again: with the old session it was void.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use ipnet::IpNet;

use crate::{
    Address, Monitoring,
    bmp::{Message, Peer, View},
    rib::{Offer, Path},
    session::{Established, Session},
    wire::{
        self, AsPath, Attributes, Dialect, Family, Hop, Nlri, Origin, PathFamilies, Update, pack_reach, pack_unreach,
    },
};

use super::{super::Speaker, about, table};

/// Some routes for one station.
pub(super) struct Portion<'a> {
    speaker: &'a Speaker,
    terms: &'a Monitoring,
    rows: BTreeMap<(View, Address), Rows>,
    own: Arc<Attributes>,
}

/// What is told about one neighbour in one view.
#[derive(Default)]
struct Rows {
    gone: Vec<Nlri>,
    come: Vec<Said>,
    /// Where in `come` each of these is said; a message is about one family, and attributes go by their place in memory, where `come` holds them.
    known: BTreeMap<(Family, *const Attributes, Hop), usize>,
    /// Families of which that is all.
    ended: Vec<Family>,
}

/// Some prefixes of which the same is said.
struct Said {
    attributes: Arc<Attributes>,
    next_hop: Hop,
    prefixes: Vec<Nlri>,
}

impl Rows {
    fn come(&mut self, attributes: &Arc<Attributes>, next_hop: Hop, one: Nlri) {
        let kin = (Family::of_prefix(&one.prefix), Arc::as_ptr(attributes), next_hop);
        let position = *self.known.entry(kin).or_insert_with(|| {
            self.come.push(Said { attributes: Arc::clone(attributes), next_hop, prefixes: Vec::new() });
            self.come.len() - 1
        });
        self.come[position].prefixes.push(one);
    }

    fn updates(self, dialect: Dialect) -> Vec<Vec<u8>> {
        let of = |family| self.gone.iter().copied().filter(move |one| Family::of_prefix(&one.prefix) == family);
        let gone = Family::ALL.into_iter().flat_map(|family| pack_unreach(family, of(family), dialect));
        let come = self.come.into_iter();
        let come = come.flat_map(|said| pack_reach(&said.attributes, said.next_hop, said.prefixes, dialect));
        let ended = self.ended.into_iter();
        let ended = ended.map(|family| wire::Message::Update(Update::end_of_rib(family)).encode(dialect));
        gone.chain(come).chain(ended).collect()
    }
}

/// The table in use has no neighbour's address.
const TABLE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

impl<'a> Portion<'a> {
    pub(super) fn new(speaker: &'a Speaker, terms: &'a Monitoring) -> Self {
        let own = Arc::new(Attributes::new(Origin::Igp, AsPath::default()));
        Self { speaker, terms, rows: BTreeMap::new(), own }
    }

    /// Something happened to a path: as it is now, or that it is gone.
    pub(super) fn path(&mut self, neighbour: Address, one: Nlri) {
        match self.speaker.table.path(neighbour, &one) {
            Some(path) if path.is_stale => {}
            Some(path) => self.heard(path, one, true),
            None => {
                let gone = |rows: &mut Rows| rows.gone.push(one);
                self.within(View::AdjRibInPre, neighbour, gone);
                self.within(View::AdjRibInPost, neighbour, gone);
            }
        }
    }

    /// Something else may be in use.
    pub(super) fn in_use(&mut self, prefix: IpNet) {
        let offer = self.speaker.table.offer_of(&prefix);
        self.used(prefix, &offer, true);
    }

    /// A prefix that a walk came by; our own ones are told at its beginning.
    pub(super) fn stands(&mut self, prefix: IpNet, paths: &[Path], offer: &Offer) {
        for path in paths.iter().filter(|path| !path.is_stale) {
            self.heard(path, Nlri { prefix, id: path.id }, false);
        }
        if *offer != Offer::Own {
            self.used(prefix, offer, false);
        }
    }

    /// Our own prefixes.
    pub(super) fn own(&mut self) {
        let speaker = self.speaker;
        speaker.table.own_prefixes().for_each(|prefix| self.used(prefix, &Offer::Own, false));
    }

    /// A neighbour has told its table to the end.
    pub(super) fn end(&mut self, neighbour: Address) {
        let families: Vec<_> = self.session(neighbour).iter().flat_map(|session| families(session)).collect();
        for view in [View::AdjRibInPre, View::AdjRibInPost] {
            self.within(view, neighbour, |rows| rows.ended.clone_from(&families));
        }
    }

    /// The walk is at its end, for everybody.
    pub(super) fn end_all(&mut self) {
        let speaker = self.speaker;
        speaker.sessions.keys().for_each(|neighbour| self.end(*neighbour));
        self.within(View::LocRib, TABLE.into(), |rows| rows.ended.extend(Family::ALL));
    }

    /// Writes all of it; `time` is when it happened.
    pub(super) fn encode(self, time: Duration, out: &mut Vec<u8>) {
        for ((view, neighbour), rows) in self.rows {
            let Some((peer, dialect)) = header(self.speaker, view, neighbour, time) else { continue };
            for update in rows.updates(dialect) {
                Message::Routes(peer.clone(), update).encode(out);
            }
        }
    }

    /// What a path is in either view; that rules do not let it pass is told if it may have passed before.
    fn heard(&mut self, path: &Path, one: Nlri, is_change: bool) {
        let neighbour = path.source.neighbour;
        self.within(View::AdjRibInPre, neighbour, |rows| rows.come(&path.heard, path.hop, one));
        self.within(View::AdjRibInPost, neighbour, |rows| {
            if path.is_admitted {
                rows.come(&path.attributes, path.hop, one);
            } else if is_change {
                rows.gone.push(one);
            }
        });
    }

    fn used(&mut self, prefix: IpNet, offer: &Offer, is_change: bool) {
        let one = Nlri::from(prefix);
        let own = Arc::clone(&self.own);
        self.within(View::LocRib, TABLE.into(), |rows| match offer {
            Offer::Nothing if is_change => rows.gone.push(one),
            Offer::Nothing => {}
            Offer::Own => rows.come(&own, nobody(prefix).into(), one),
            Offer::Heard(path, _) => rows.come(&path.attributes, path.hop, one),
        });
    }

    /// Adds to what is told about a neighbour, if the station looks there and there is a session.
    fn within(&mut self, view: View, neighbour: Address, add: impl FnOnce(&mut Rows)) {
        let is_up = view == View::LocRib || self.session(neighbour).is_some();
        if is_up && self.terms.views.contains(&view) {
            add(self.rows.entry((view, neighbour)).or_default());
        }
    }

    fn session(&self, neighbour: Address) -> Option<Established<'a>> {
        self.speaker.sessions.get(&neighbour).and_then(Session::established)
    }
}

fn families(session: &Established<'_>) -> Vec<Family> {
    session.families().map(|(family, _)| family).collect()
}

/// Whom a message is about, and how its UPDATE is written.
fn header(speaker: &Speaker, view: View, neighbour: Address, time: Duration) -> Option<(Peer, Dialect)> {
    let dialect = |ids_out| Dialect { four_octets: true, ids_out, ..Dialect::PLAIN };
    match view {
        View::LocRib => Some((table(speaker.config, time), dialect(PathFamilies::default()))),
        View::AdjRibInPre | View::AdjRibInPost => {
            let session = speaker.sessions.get(&neighbour).and_then(Session::established)?;
            Some((about(view, &session, time), dialect(session.dialect().ids_in)))
        }
    }
}

/// The next hop of what is our own.
fn nobody(prefix: IpNet) -> IpAddr {
    match prefix {
        IpNet::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpNet::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}
