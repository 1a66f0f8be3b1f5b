//! Waits, where the fabric asks for it, until BGP neighbours have the route to who has joined: what comes back to him would find no way before.
//!
//! In: who is wired, and what the speaker knows of who has what. Out: his answer, or that he is taken back. What a neighbour does with a route it has
//! is not known to anybody here.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use poplin_bgp::{Address, Event, NeighbourView, SessionState, Speaker};

use crate::job::Stage;
use crate::lan::Lan;
use crate::name::AttachmentId;
use crate::object::{AwaitedPeers, Endpoint, Readiness};
use crate::peering::Peering;
use crate::prefix::host_prefix;
use crate::request::{Answer, Attached, Refusal};

use super::Node;

/// So many neighbours are told of by name where none has a route.
const NAMED: usize = 3;

/// How long taking back may take: with all that came before no longer than callers of runtimes wait.
const UNDOING: Duration = Duration::from_secs(3);

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
            self.lead_to_the_ready(now);
        }
    }

    /// Services lead to nobody who is not ready.
    fn lead_to_the_ready(&mut self, now: Instant) {
        if self.mirror.as_ref().is_some_and(|mirror| mirror.services().next().is_some()) {
            self.has_world_moved = true;
            self.serve(now);
            self.apply_if_due(now);
        }
    }

    fn routes_of(&self, attachments: &[AttachmentId]) -> BTreeSet<IpNet> {
        let endpoints = attachments.iter().filter_map(|attachment| self.endpoint_of(attachment));
        endpoints.flat_map(|endpoint| self.routed(endpoint)).filter_map(|address| self.route_to(address)).collect()
    }

    /// Tells the speaker of whom these are awaited, unless it knows. Whoever changes the neighbours has it forget that.
    fn await_receipts(&mut self, now: Instant, prefixes: BTreeSet<IpNet>) {
        if self.awaited_receipts.as_ref() == Some(&prefixes) {
            return;
        }
        let neighbours = self.awaited_neighbours();
        if let Some(speaker) = &mut self.speaker {
            self.awaited_receipts = Some(prefixes.clone());
            speaker.handle(now, Event::Awaited { prefixes, neighbours });
            self.drain_speaker();
        }
    }

    /// The peers that are declared for this host; where none is, the hosts it peers with.
    fn awaited_neighbours(&self) -> BTreeSet<Address> {
        let peering = self.peering.iter();
        let all = |peering: &Peering| peering.names.keys().copied().collect();
        peering.flat_map(|peering| peering.peers.clone().unwrap_or_else(|| all(peering))).collect()
    }

    pub(super) fn endpoint_of(&self, attachment: &AttachmentId) -> Option<&Endpoint> {
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
    pub(super) fn give_up_announcing(&mut self, now: Instant, attachment: &AttachmentId) {
        if self.finish_if_known(attachment) {
            return;
        }
        let endpoint = self.endpoint_of(attachment).cloned();
        let refusal = endpoint.as_ref().map_or(Refusal::gone(attachment), |endpoint| self.not_acknowledged(endpoint));
        let Some(job) = self.jobs.get_mut(attachment) else { return };
        job.deadline = now + UNDOING;
        match endpoint.filter(|_| job.is_maker) {
            Some(endpoint) => self.undo(attachment, endpoint, refusal),
            None => self.finish(attachment, Answer::Refused(refusal)),
        }
    }

    fn not_acknowledged(&self, endpoint: &Endpoint) -> Refusal {
        let unknown = self.routed(endpoint).into_iter().find(|address| !self.is_known(*address));
        let Some(address) = unknown else { return Refusal::gone(&endpoint.attachment) };
        let route = self.route_to(address);
        Refusal::NotAcknowledged {
            route: route.unwrap_or_else(|| host_prefix(address)),
            waited: self.readiness().timeout,
            reason: route.map_or_else(|| "it is not announced".to_owned(), |route| self.why_not(route)),
        }
    }

    /// Why each of those that are waited for has not acknowledged it.
    fn why_not(&self, route: IpNet) -> String {
        let awaited = self.awaited_neighbours();
        let views = self.speaker.iter().flat_map(Speaker::neighbours).filter(|view| awaited.contains(&view.address));
        let mut lacking: Vec<String> = views.filter_map(|view| self.lack_of(&view, route)).collect();
        lacking.extend(self.peering.iter().flat_map(|peering| peering.problems.clone()));
        let more = lacking.len().saturating_sub(NAMED);
        lacking.truncate(NAMED);
        lacking.extend((more > 0).then(|| format!("and {more} more")));
        match lacking.is_empty() {
            true => "this host has no BGP neighbour".to_owned(),
            false => lacking.join("; "),
        }
    }

    fn lack_of(&self, view: &NeighbourView, route: IpNet) -> Option<String> {
        let mut receipts = self.speaker.iter().flat_map(|speaker| speaker.receipts(route));
        let has = receipts.find_map(|(neighbour, has)| (neighbour == view.address).then_some(has));
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
