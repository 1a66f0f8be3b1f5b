//! Waits, where the fabric asks for it, until BGP neighbours have the route to who has joined: what comes back to him would find no way before.
//!
//! In: who is wired, and what the speaker knows of who has what. Out: his answer, or that he is taken back. What a neighbour does with a route it has
//! is not known to anybody here.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Instant;

use ipnet::IpNet;
use poplin_bgp::{Address, Event, NeighbourView, SessionState, Speaker};

use crate::job::Stage;
use crate::lan::Lan;
use crate::name::AttachmentId;
use crate::object::{AwaitedPeers, Endpoint, Readiness};
use crate::prefix::host_prefix;
use crate::request::{Answer, Attached, Refusal};

use super::Node;

/// So many neighbours are told of by name where none has a route.
const NAMED: usize = 3;

/// Prefixes, and the neighbours that are to have acknowledged them.
pub(super) type AwaitedReceipts = (BTreeSet<IpNet>, BTreeSet<Address>);

impl Node {
    fn readiness(&self) -> Readiness {
        self.mirror.as_ref().map(|mirror| mirror.fabric().readiness).unwrap_or_default()
    }

    /// Every part of it stands on this host.
    pub(super) fn wired(&mut self, now: Instant, attachment: &AttachmentId, attached: Attached) {
        let readiness = self.readiness();
        if readiness.peers == AwaitedPeers::Nobody {
            return self.finish(attachment, Answer::Attached(attached));
        }
        if let Some(job) = self.jobs.get_mut(attachment) {
            job.stage = Stage::Announcing;
            job.deadline = now + readiness.timeout;
        }
    }

    /// Whose routes are known by now is answered, and the speaker told whose are not.
    pub(super) fn advance_announced(&mut self, now: Instant) {
        let waiting = self.jobs.at(|stage| *stage == Stage::Announcing);
        self.await_receipts(now, self.routes_of(&waiting));
        let before = waiting.len();
        let left: Vec<_> = waiting.into_iter().filter(|attachment| !self.finish_if_known(attachment)).collect();
        if left.len() < before {
            self.await_receipts(now, self.routes_of(&left));
        }
    }

    fn routes_of(&self, attachments: &[AttachmentId]) -> BTreeSet<IpNet> {
        let endpoints = attachments.iter().filter_map(|attachment| self.endpoint_of(attachment));
        endpoints.flat_map(|endpoint| self.routed(endpoint)).filter_map(|address| self.route_to(address)).collect()
    }

    fn await_receipts(&mut self, now: Instant, prefixes: BTreeSet<IpNet>) {
        let neighbours = if prefixes.is_empty() { BTreeSet::new() } else { self.awaited_neighbours() };
        let wanted = (prefixes, neighbours);
        if let Some(speaker) = self.speaker.as_mut().filter(|_| self.awaited_receipts != wanted) {
            let (prefixes, neighbours) = wanted.clone();
            speaker.handle(now, Event::Awaited { prefixes, neighbours });
            self.awaited_receipts = wanted;
            self.drain_speaker();
        }
    }

    /// The peers that are declared for this host; where none is, the hosts it peers with.
    fn awaited_neighbours(&self) -> BTreeSet<Address> {
        let Some(peering) = &self.peering else { return BTreeSet::new() };
        match peering.peers.is_empty() {
            true => peering.names.keys().copied().collect(),
            false => peering.peers.clone(),
        }
    }

    fn endpoint_of(&self, attachment: &AttachmentId) -> Option<&Endpoint> {
        self.mirror.as_ref()?.endpoint_on(attachment, &self.identity.host)
    }

    /// Its addresses to which there are to be routes: who is on a LAN is reached there.
    fn routed(&self, endpoint: &Endpoint) -> Vec<IpAddr> {
        let Some(mirror) = &self.mirror else { return Vec::new() };
        let lan = Lan::of(mirror);
        endpoint.addresses.iter().copied().filter(|address| !lan.has(*address)).collect()
    }

    /// The most specific prefix that is announced and holds it.
    fn route_to(&self, address: IpAddr) -> Option<IpNet> {
        self.origins.iter().filter(|prefix| prefix.contains(&address)).max_by_key(|prefix| prefix.prefix_len()).copied()
    }

    /// Answers it if its every address is known as it is to be.
    fn finish_if_known(&mut self, attachment: &AttachmentId) -> bool {
        let Some(endpoint) = self.endpoint_of(attachment) else { return false };
        let is_known = self.routed(endpoint).into_iter().all(|address| self.is_known(address));
        let Some(attached) = self.attached(attachment).filter(|_| is_known) else { return false };
        self.finish(attachment, Answer::Attached(attached));
        true
    }

    fn is_known(&self, address: IpAddr) -> bool {
        let route = self.speaker.as_ref().zip(self.route_to(address));
        let mut receipts = route.into_iter().flat_map(|(speaker, route)| speaker.receipts(route)).map(|(_, has)| has);
        match self.readiness().peers {
            AwaitedPeers::Nobody => true, // since a moment
            AwaitedPeers::Any => receipts.any(|has| has),
            AwaitedPeers::All => receipts.next().is_some_and(|has| has) && receipts.all(|has| has),
        }
    }

    /// Nobody has its route in time. What was there before it was asked for stays.
    pub(super) fn give_up_announcing(&mut self, attachment: &AttachmentId) {
        let endpoint = self.endpoint_of(attachment).cloned();
        let refusal = self.not_acknowledged(endpoint.as_ref());
        let is_maker = self.jobs.get_mut(attachment).is_some_and(|job| job.is_maker);
        match endpoint.filter(|_| is_maker) {
            Some(endpoint) => self.undo(attachment, endpoint, refusal),
            None => self.finish(attachment, Answer::Refused(refusal)),
        }
    }

    fn not_acknowledged(&self, endpoint: Option<&Endpoint>) -> Refusal {
        let addresses = endpoint.map(|endpoint| self.routed(endpoint)).unwrap_or_default();
        let unknown = addresses.into_iter().find(|address| !self.is_known(*address));
        let route = unknown.map(|address| self.route_to(address).unwrap_or_else(|| host_prefix(address)));
        Refusal::NotAcknowledged {
            route: route.map(|route| route.to_string()).unwrap_or_default(),
            waited: self.readiness().timeout,
            reason: self.why_not(route),
        }
    }

    /// Why each of those that are waited for has not acknowledged it.
    fn why_not(&self, route: Option<IpNet>) -> String {
        let awaited = self.awaited_neighbours();
        let (Some(speaker), Some(route)) = (&self.speaker, route) else { return "it is not announced".to_owned() };
        let views = speaker.neighbours().filter(|view| awaited.contains(&view.address));
        let mut lacking: Vec<String> = views.filter_map(|view| self.lack_of(speaker, &view, route)).collect();
        let more = lacking.len().saturating_sub(NAMED);
        lacking.truncate(NAMED);
        lacking.extend((more > 0).then(|| format!("and {more} more")));
        match lacking.is_empty() {
            true => "this host has no BGP neighbour".to_owned(),
            false => lacking.join("; "),
        }
    }

    fn lack_of(&self, speaker: &Speaker, view: &NeighbourView, route: IpNet) -> Option<String> {
        let has = speaker.receipts(route).find_map(|(neighbour, has)| (neighbour == view.address).then_some(has));
        let what = match (view.state, has) {
            (_, Some(true)) => return None,
            (_, Some(false)) => "has not acknowledged it".to_owned(),
            (SessionState::Established, None) => "is not told of it (see `poplin bgp rib out`)".to_owned(),
            (state, None) => match &view.last_error {
                Some(error) => format!("is {state:?}: {error}"),
                None => format!("is {state:?}"),
            },
        };
        Some(format!("{} ({}) {what}", self.name_of(view.address), view.address))
    }
}
