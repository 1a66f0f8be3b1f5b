//! How a neighbour stands, for people and metrics.

use std::{collections::BTreeMap, net::Ipv4Addr, time::Instant};

use ipnet::IpNet;

use crate::{
    Address, Asn, SessionState, SpeakerConfig, bfd,
    session::{Established, Record, Session, Times},
    wire::{Attributes, Capability, Family, Nlri},
};

use super::Speaker;

/// How one neighbour stands at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeighbourView {
    /// Its address, and its name.
    pub address: Address,
    /// The autonomous system it is in; `None` as long as only its OPEN can tell.
    pub asn: Option<Asn>,
    /// Where its session stands; of two rival connections the further one counts.
    pub state: SessionState,
    /// Whether a person wants no session with it.
    pub is_shut_down: bool,
    /// Whether that is so by an order ([`Order::ShutDown`](crate::Order::ShutDown)), and not by the configuration alone.
    pub is_held: bool,
    /// When that state was entered.
    pub since: Instant,
    /// Whether it has told us all its routes in this session: the end of the table is marked for every family (RFC 4724 §2).
    /// Of a neighbour that does not speak of restarts the end is not to be seen; there an established session suffices.
    pub has_sent_table: bool,
    /// How many of its prefixes we hold, usable or shadowed, those kept over its restart included.
    pub prefixes_received: FamilyCount,
    /// Of each family whose prefixes are limited: how many we hold, and how many it may announce.
    pub limits: BTreeMap<Family, (usize, usize)>,
    /// How many prefixes we have announced to it.
    pub prefixes_sent: FamilyCount,
    /// Why its last session or attempt ended; kept until the next one ends.
    pub last_error: Option<String>,
    /// The settings that count from the next session on, because this one was agreed on under others.
    pub pending: Vec<&'static str>,
    /// How BFD sees the way to it; `None` if nobody asks, or has not been answered yet.
    pub bfd: Option<bfd::View>,
}

/// How many prefixes of each family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FamilyCount {
    /// IPv4.
    pub ipv4: usize,
    /// IPv6.
    pub ipv6: usize,
}

impl FamilyCount {
    fn of(count: impl Fn(Family) -> usize) -> Self {
        Self { ipv4: count(Family::Ipv4), ipv6: count(Family::Ipv6) }
    }

    /// Both together.
    pub fn total(self) -> usize {
        self.ipv4 + self.ipv6
    }
}

/// All there is to know of one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeighbourDetail {
    /// How it stands.
    pub view: NeighbourView,
    /// What has passed.
    pub record: Record,
    /// What our last OPEN said we can do; empty without a connection.
    pub ours: Vec<Capability>,
    /// What its OPEN said it can do.
    pub theirs: Vec<Capability>,
    /// Its clocks.
    pub times: Times,
    /// Its BGP identifier, once established.
    pub router_id: Option<Ipv4Addr>,
    /// Our end of the connection, once established.
    pub local: Option<Address>,
    /// How many octets wait to be taken by it.
    pub waiting_octets: usize,
    /// How many prefixes have changed of which it is told later, because so many octets wait.
    pub late_prefixes: usize,
    /// The families exchanged, each with our next hop, once established.
    pub families: Vec<(Family, Address)>,
}

/// One prefix, as a neighbour is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertised {
    /// Who is told.
    pub neighbour: Address,
    /// Whereto.
    pub prefix: IpNet,
    /// Which of several paths to it; 0 if it is told one only (RFC 7911).
    pub path_id: u32,
    /// Over whom.
    pub next_hop: Address,
    /// What is said about it.
    pub attributes: Attributes,
}

impl Speaker {
    /// How the neighbours stand, by address.
    pub fn neighbours(&self) -> impl Iterator<Item = NeighbourView> {
        self.sessions.iter().map(|(&address, session)| self.view(address, session))
    }

    /// Whether nothing of this neighbour is left: no connection, no route, and no rest that it has to wait for.
    pub fn is_forgotten(&self, address: Address) -> bool {
        let is_quiet = |session: &Session| session.state() == SessionState::Active;
        self.sessions.get(&address).is_none_or(is_quiet) && !self.table.has_any(address)
    }

    /// All there is to know of one session; `None` if there is none.
    pub fn neighbour(&self, address: Address) -> Option<NeighbourDetail> {
        let session = self.sessions.get(&address)?;
        let established = session.established();
        let (ours, theirs) = session.capabilities();
        let wait = established.as_ref().and_then(|session| self.waits.get(&session.id));
        Some(NeighbourDetail {
            view: self.view(address, session),
            record: session.record().clone(),
            ours: ours.to_vec(),
            theirs: theirs.to_vec(),
            times: session.times(),
            router_id: established.as_ref().map(|session| session.source().router_id),
            local: established.as_ref().map(|session| session.source().local),
            waiting_octets: wait.map_or(0, |wait| wait.octets),
            late_prefixes: wait.and_then(|wait| wait.late.as_ref()).map_or(0, |late| late.told.len()),
            families: established.iter().flat_map(own_hops).collect(),
        })
    }

    /// Who we are towards every neighbour.
    pub fn config(&self) -> SpeakerConfig {
        self.config
    }

    /// What we originate.
    pub fn own(&self) -> impl Iterator<Item = IpNet> {
        self.table.own_prefixes()
    }

    /// How many prefixes of each neighbour import rules let pass; of one without any nothing is said.
    pub fn accepted(&self) -> BTreeMap<Address, FamilyCount> {
        let mut accepted: BTreeMap<Address, FamilyCount> = BTreeMap::new();
        for (neighbour, family) in self.table.admitted() {
            let count = accepted.entry(neighbour).or_default();
            *match family {
                Family::Ipv4 => &mut count.ipv4,
                Family::Ipv6 => &mut count.ipv6,
            } += 1;
        }
        accepted
    }

    /// Each neighbour with its system as far as it is known, and its BGP identifier once established.
    pub fn identities(&self) -> impl Iterator<Item = (Address, Option<Asn>, Option<Ipv4Addr>)> {
        self.sessions.iter().map(|(&address, session)| {
            let router_id = session.established().map(|session| session.source().router_id);
            (address, session.asn(), router_id)
        })
    }

    /// What a neighbour has been told, by prefix; to one prefix, if it is named.
    pub fn advertised(&self, neighbour: Address, prefix: Option<IpNet>) -> Vec<Advertised> {
        let Some(session) = self.sessions.get(&neighbour).and_then(Session::established) else { return Vec::new() };
        let batch = self.batch(&session, |known| prefix.is_none_or(|prefix| *known == prefix.trunc()));
        let mut told: Vec<_> = batch
            .announced()
            .map(|(Nlri { prefix, id }, told)| {
                let (next_hop, attributes) = (told.next_hop.address.into(), told.attributes.clone());
                Advertised { neighbour, prefix, path_id: id, next_hop, attributes }
            })
            .collect();
        told.sort_unstable_by_key(|one| (one.prefix, one.path_id));
        told
    }

    fn view(&self, address: Address, session: &Session) -> NeighbourView {
        NeighbourView {
            address,
            asn: session.asn(),
            state: session.state(),
            is_shut_down: session.config().shutdown.is_some(),
            is_held: self.is_held(address),
            since: session.since(),
            has_sent_table: session.has_sent_table(),
            prefixes_received: FamilyCount::of(|family| self.table.count(address, family)),
            limits: self.limits(session),
            prefixes_sent: self.sent(session),
            last_error: session.last_error().map(str::to_owned),
            pending: session.pending(),
            bfd: self.paths.get(&address).cloned(),
        }
    }

    /// How many prefixes a neighbour has been told.
    fn sent(&self, session: &Session) -> FamilyCount {
        let Some(session) = session.established() else { return FamilyCount::default() };
        let batch = self.batch(&session, |_| true);
        FamilyCount::of(|family| batch.announced().filter(|(one, _)| Family::of_prefix(&one.prefix) == family).count())
    }
}

fn own_hops(session: &Established<'_>) -> Vec<(Family, Address)> {
    session.families().map(|(family, hop)| (family, hop.address.into())).collect()
}
