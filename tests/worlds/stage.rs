//! What one host must do with a packet, by the plain definitions alone.
//!
//! In: a world, which of its endpoints live here, and a packet. Out: whether it arrives, who stops it, whether it is tracked. The host has an
//! uplink, at which a host endpoint may stand, and links of containers, at which only the host endpoint of every interface is asked. Some of its ports
//! lead to containers: who is asked before the translation sees the packet as it was sent, all others as it goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use poplin_policy::compile::compile;
use poplin_policy::gate::{GateBy, GateRuling, Lane, host_verdict};
use poplin_policy::host::{Doorway, Failsafe, Host, Settings, WorkloadToHost};
use poplin_policy::model::PortProtocol;
use poplin_policy::nat::{Edge, Publication, Published};
use poplin_policy::packet::{Packet, Transport};
use poplin_policy::ruleset::{Interface, Ruleset};
use poplin_policy::verdict::{By, Ruling, verdict};
use poplin_policy::world::World;

use crate::fabric::{HOST, HOST_ADDRESSES, OUTSIDE, Place, UNASKED};
use crate::fleet::{host, interface_of};
use crate::wire::begins_a_flow;

/// The host endpoints of a world that this host has: of its uplink, and of every other interface. Without the first, the second
/// stands for the uplink.
const AT_UPLINK: &str = "wan";
const ELSEWHERE: &str = "any";

/// Those whose ports are translated.
const PROTOCOLS: [PortProtocol; 3] = [PortProtocol::Tcp, PortProtocol::Udp, PortProtocol::Sctp];

/// A world, which of its endpoints are on this host, and packets to try.
#[derive(Clone, Debug)]
pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) here: BTreeSet<String>,
    pub(crate) workload_to_host: WorkloadToHost,
    /// What endpoints publish; those that are not here publish nothing.
    pub(crate) published: BTreeMap<String, Vec<Published>>,
    pub(crate) probes: Vec<Probe>,
}

/// A packet, and the container that sends it if not the one it claims to come from.
#[derive(Clone, Debug)]
pub(crate) struct Probe {
    pub(crate) packet: Packet,
    pub(crate) impostor: Option<Place>,
}

/// Some that packets of these worlds have.
fn failsafe() -> Failsafe {
    let mut failsafe = Failsafe::default();
    failsafe.inbound.insert((PortProtocol::Tcp, 443));
    failsafe.outbound.insert((PortProtocol::Tcp, 8005));
    failsafe
}

impl Stage {
    pub(crate) fn compiled(&self) -> Ruleset {
        let here = self.world.endpoints.keys().filter(|name| self.here.contains(*name));
        let interfaces = here.map(|name| (name.clone(), interface_of(name))).collect();
        let uplink = self.world.host_endpoints.contains_key(AT_UPLINK).then_some((AT_UPLINK, "eth0"));
        // Governed by nobody, since the world does not know it.
        let named = uplink.into_iter().chain([("unasked", UNASKED)]);
        let named = named.map(|(name, interface)| (name, Doorway::Named(Interface::new(interface).unwrap())));
        let every = self.world.host_endpoints.contains_key(ELSEWHERE).then_some((ELSEWHERE, Doorway::Every));
        let host_endpoints = named.chain(every).map(|(name, doorway)| (name.to_owned(), doorway)).collect();
        let host = host(interfaces, self.workload_to_host);
        let settings = Settings { failsafe: failsafe(), ..host.settings };
        compile(&self.world, &Host { host_endpoints, settings, edge: self.edge(), ..host })
    }

    fn edge(&self) -> Edge {
        let here = self.published.iter().filter(|(name, _)| self.here.contains(*name));
        let published = here.filter_map(|(name, ports)| {
            let addresses = self.world.endpoints.get(name)?.addresses.iter().copied().collect();
            Some((name.clone(), Publication { addresses, ports: ports.clone() }))
        });
        Edge { published: published.collect(), ..Edge::default() }
    }

    /// A packet as it goes on, if this host lets it. What goes untracked is not translated, and what the host sends itself goes elsewhere.
    pub(crate) fn translated(&self, packet: &Packet) -> Packet {
        let Transport::Ports { protocol, source, destination } = packet.transport else { return *packet };
        let is_to_host = HOST_ADDRESSES.contains(&packet.destination);
        if !is_to_host || self.goes_untracked(packet) {
            return *packet;
        }
        let protocol_of_ports = PROTOCOLS.into_iter().find(|known| known.number() == protocol);
        let to =
            protocol_of_ports.and_then(|protocol| self.edge().published_at(protocol, packet.destination, destination));
        to.map_or(*packet, |to| Packet {
            destination: to.ip(),
            transport: Transport::Ports { protocol, source, destination: to.port() },
            ..*packet
        })
    }

    /// What the host endpoint says in a lane that is asked about what comes from a place, or goes there; nothing if there is none.
    fn asked(&self, place: Place, lane: Lane, packet: &Packet) -> Option<GateRuling> {
        let says = |name| host_verdict(&self.world, &failsafe(), name, lane, packet);
        let at_uplink = if place == OUTSIDE { says(AT_UPLINK) } else { None };
        at_uplink.or_else(|| says(ELSEWHERE))
    }

    fn passes(&self, place: Place, lane: Lane, packet: &Packet) -> bool {
        self.asked(place, lane, packet).is_none_or(|ruling| ruling.allowed)
    }

    /// The lane before tracking that a packet meets, if it meets one.
    fn untracked_lane(&self, packet: &Packet) -> Option<Lane> {
        match (self.place_of(packet.source), self.place_of(packet.destination)) {
            (OUTSIDE, _) => Some(Lane::UntrackedIn),
            (HOST, OUTSIDE) => Some(Lane::UntrackedOut),
            _ => None,
        }
    }

    /// The lanes a packet meets after that, and where. In the first of them it is still as it was sent.
    fn tracked_lanes(&self, packet: &Packet) -> Vec<(Place, Lane)> {
        match (self.place_of(packet.source), self.place_of(self.translated(packet).destination)) {
            (OUTSIDE, HOST) => vec![(OUTSIDE, Lane::PreDnat), (OUTSIDE, Lane::Input)],
            (container, HOST) => vec![(container, Lane::Input)],
            (HOST, OUTSIDE) => vec![(OUTSIDE, Lane::Output)],
            (HOST, _) => Vec::new(),
            (OUTSIDE, OUTSIDE) => [Lane::PreDnat, Lane::ForwardIn, Lane::ForwardOut].map(|lane| (OUTSIDE, lane)).into(),
            (OUTSIDE, _) => vec![(OUTSIDE, Lane::PreDnat), (OUTSIDE, Lane::ForwardIn)],
            (_, OUTSIDE) => vec![(OUTSIDE, Lane::ForwardOut)],
            (_, _) => Vec::new(),
        }
    }

    /// Whether a packet is let through untracked.
    pub(crate) fn goes_untracked(&self, packet: &Packet) -> bool {
        let ruling = self.untracked_lane(packet).and_then(|lane| self.asked(OUTSIDE, lane, packet));
        ruling.is_some_and(|ruling| ruling.is_settled)
    }

    /// Whether host endpoints let a packet pass that begins a flow.
    pub(crate) fn passes_gates(&self, packet: &Packet) -> bool {
        let first = self.untracked_lane(packet).map(|lane| (OUTSIDE, lane));
        let translated = self.translated(packet);
        let mut is_settled = false;
        first.into_iter().chain(self.tracked_lanes(packet)).all(|(place, lane)| {
            let packet = if lane.settles() { packet } else { &translated };
            // Only the host endpoint by which it leaves again asks what that by which it came has settled.
            let asked = self.asked(place, lane, packet).filter(|_| !is_settled || lane == Lane::ForwardOut);
            is_settled |= asked.as_ref().is_some_and(|ruling| ruling.is_settled);
            asked.is_none_or(|ruling| ruling.allowed)
        })
    }

    /// Whether a failsafe port is why a packet passes some lane.
    pub(crate) fn is_failsafe(&self, packet: &Packet) -> bool {
        let mut lanes = self.tracked_lanes(packet).into_iter();
        lanes.any(|(place, lane)| self.asked(place, lane, packet).is_some_and(|ruling| ruling.by == GateBy::Failsafe))
    }

    /// Whether an answer is known as such: before tracking, each packet is asked by itself.
    pub(crate) fn is_known(&self, answer: &Packet) -> bool {
        let mut lane = self.untracked_lane(answer).into_iter();
        lane.all(|lane| self.passes(OUTSIDE, lane, answer)) && !self.goes_untracked(answer)
    }

    /// Where the owner of an address is.
    pub(crate) fn place_of(&self, address: IpAddr) -> Place {
        match self.world.endpoint_of(address) {
            _ if HOST_ADDRESSES.contains(&address) => HOST,
            Some((name, _)) if self.here.contains(name) => number_of(name),
            _ => OUTSIDE,
        }
    }

    pub(crate) fn sender_of(&self, probe: &Probe) -> Place {
        probe.impostor.unwrap_or_else(|| self.place_of(probe.packet.source))
    }

    /// Whether this host must let a packet through.
    pub(crate) fn expects(&self, probe: &Probe) -> bool {
        let packet = &probe.packet;
        self.sender_of(probe) == self.place_of(packet.source)
            && self.passes_gates(packet)
            && self.passes_workloads(&self.translated(packet))
    }

    /// Whether the containers of both ends let a packet pass.
    fn passes_workloads(&self, packet: &Packet) -> bool {
        let (source, destination) = (self.place_of(packet.source), self.place_of(packet.destination));
        let is_container = |place| ![OUTSIDE, HOST].contains(&place);
        let decision = verdict(&self.world, packet);
        let says_yes = |ruling: Option<Ruling>| ruling.is_none_or(|ruling| ruling.allowed);
        let begins = begins_a_flow(packet) || self.goes_untracked(packet);
        let sends = !is_container(source) || begins && says_yes(decision.egress);
        match destination {
            HOST => sends && (!is_container(source) || self.workload_to_host.verdict(true, packet).is_allowed()),
            OUTSIDE => sends,
            // What the host itself sends to its containers passes.
            _ => sends && (source == HOST || begins && says_yes(decision.ingress)),
        }
    }

    /// What one endpoint says to itself never leaves it.
    pub(crate) fn leaves(&self, probe: &Probe) -> bool {
        let packet = &probe.packet;
        let is_itself = verdict(&self.world, packet).egress.is_some_and(|ruling| ruling.by == By::Itself);
        packet.source != packet.destination && !is_itself
    }
}

fn number_of(endpoint: &str) -> Place {
    endpoint.trim_start_matches('e').parse().unwrap()
}
