//! Whether one flow ends, by rules as they were and as they are.
//!
//! In: rules as they are and as they have been since flows were judged last, what is known of the host, and a flow. Out: whether it ends. Workloads and host endpoints are asked each for
//! themselves; of a kind of flow, once.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use poplin_policy::packet::{Packet, TCP, Transport, UDP};
use poplin_policy::walk::Book;

use super::{Flow, Ground};
use crate::course::{Course, Doors, Side};
use crate::policing::Rules;

/// Compares rules of several moments, flow by flow.
pub(super) struct Judge<'h, B, N> {
    /// Those in which it may have begun.
    before: Vec<Rules<'h, B>>,
    /// Whether there are no others.
    is_all_known: bool,
    now: Rules<'h, N>,
    host: &'h BTreeSet<IpAddr>,
    doors: Doors<'h>,
    looks_at_source_ports: bool,
    /// Whether host endpoints are asked now, and something is known of what was asked before.
    judges_gates: bool,
    /// What was judged already: most flows are of few kinds.
    known: HashMap<Packet, bool>,
    /// The same at host endpoints, by the first packet as it came and as it went on.
    known_at_gates: HashMap<(Packet, Packet), bool>,
    /// Of what began untranslated, whether it would be translated now.
    translated: HashMap<Packet, bool>,
}

impl<'h, B: Book, N: Book> Judge<'h, B, N> {
    pub(super) fn new(
        before: Vec<Rules<'h, B>>,
        is_all_known: bool,
        now: Rules<'h, N>,
        Ground { host, doors }: Ground<'h>,
    ) -> Self {
        let looked = before.iter().any(|before| before.looks_at_source_ports);
        Self {
            looks_at_source_ports: looked || now.looks_at_source_ports,
            judges_gates: !before.is_empty() && now.has_gates(),
            before,
            is_all_known,
            now,
            host,
            doors,
            known: HashMap::new(),
            known_at_gates: HashMap::new(),
            translated: HashMap::new(),
        }
    }

    pub(super) fn ends(&mut self, flow: &Flow) -> bool {
        self.is_of_former_holder(flow) || self.ends_at_workloads(flow) || self.ends_at_gates(flow)
    }

    fn ends_at_gates(&mut self, flow: &Flow) -> bool {
        if !self.judges_gates || flow.is_related || flow.is_picked_up {
            return false;
        }
        let kind = (self.kind_of(flow.opened), self.kind_of(flow.judged()));
        if let Some(ends) = self.known_at_gates.get(&kind) {
            return *ends;
        }
        let (opened, judged) = kind;
        let (source, destination) = (self.side_of(judged.source), self.side_of(judged.destination));
        let course = Course { opened, judged, source, destination };
        let was_admitted = || self.before.iter().any(|before| before.gates_admit(&course));
        let ends = !self.now.gates_admit(&course) && was_admitted();
        self.known_at_gates.insert(kind, ends);
        ends
    }

    /// Where an end is; by every interface, if no route is known.
    fn side_of(&self, address: IpAddr) -> Side {
        if self.host.contains(&address) || address.is_loopback() {
            return Side::Host;
        }
        if let Some(link) = self.now.link_of(address) {
            return Side::Link(link.clone());
        }
        match self.doors.leading_to(address) {
            doors if doors.is_empty() => Side::Far(self.doors.all()),
            doors => Side::Far(doors),
        }
    }

    fn ends_at_workloads(&mut self, flow: &Flow) -> bool {
        let packet = self.kind_of(flow.judged());
        // What the host itself opens passes by the place it comes from, whatever the rules say.
        if flow.is_related || self.host.contains(&packet.source) || self.is_with_itself(&packet) {
            return false;
        }
        if let Some(ends) = self.known.get(&packet) {
            return *ends;
        }
        let ends = self.is_denied_now(&packet) && self.was_admitted(&packet);
        self.known.insert(packet, ends);
        ends
    }

    /// What needs no connection goes on as it began, as long as it comes: to the host itself, though its port was published since, or out of
    /// the fabric under a source that its pool would translate now, and no answer finds it. Connections are left to who has them.
    pub(super) fn is_left_behind(&mut self, flow: &Flow) -> bool {
        let Packet { source, destination, .. } = flow.opened;
        let is_to_host = self.host.contains(&destination);
        let misses_its_port = flow.opened.protocol() == UDP && flow.answered.source == destination && is_to_host;
        let keeps_its_source = flow.answered.destination == source && self.now.link_of(source).is_some() && !is_to_host;
        if flow.opened.protocol() == TCP || !misses_its_port && !keeps_its_source {
            return false;
        }
        let (packet, now) = (without_source_port(flow.opened), &self.now);
        *self.translated.entry(packet).or_insert_with(|| match misses_its_port {
            true => now.leads_to(&packet).is_some(),
            false => now.leaves_translated(&packet),
        })
    }

    /// Who had a floating address goes on by it as long as the flow lasts: it is another's now, or nobody's.
    fn is_of_former_holder(&self, flow: &Flow) -> bool {
        let towards = (flow.opened.destination, flow.answered.source);
        let from = (flow.answered.destination, flow.opened.source);
        [towards, from].into_iter().filter(|(floating, own)| floating != own).any(|(floating, own)| {
            match self.now.floats_to(floating) {
                Some(now) => now != own,
                None => self.before.iter().any(|before| before.floats_to(floating) == Some(own)),
            }
        })
    }

    /// An endpoint that reaches itself by a translated address is asked nothing.
    fn is_with_itself(&self, packet: &Packet) -> bool {
        let (source, destination) = (self.now.link_of(packet.source), self.now.link_of(packet.destination));
        source.is_some() && source == destination
    }

    /// All flows that differ in what no rule looks at are of one kind.
    fn kind_of(&self, packet: Packet) -> Packet {
        if self.looks_at_source_ports { packet } else { without_source_port(packet) }
    }

    /// An end that has left is denied: what comes to its address next must not inherit its flows.
    fn is_denied_now(&self, packet: &Packet) -> bool {
        let was_here = |address| self.before.iter().any(|before| before.link_of(address).is_some());
        let has_left = |address| self.now.link_of(address).is_none() && was_here(address);
        has_left(packet.source)
            || has_left(packet.destination)
            || self.now.admits(packet, self.host.contains(&packet.destination)) == Some(false)
    }

    /// Flows from before all that is known, and of an address that is somebody else's now, were let in by somebody.
    fn was_admitted(&self, packet: &Packet) -> bool {
        let is_to_host = self.host.contains(&packet.destination);
        !self.is_all_known
            || self.before.iter().any(|before| {
                let is_newer = |address| self.now.link_of(address) != before.link_of(address);
                is_newer(packet.source)
                    || is_newer(packet.destination)
                    || before.admits(packet, is_to_host) != Some(false)
            })
    }
}

fn without_source_port(packet: Packet) -> Packet {
    match packet.transport {
        Transport::Ports { protocol, destination, .. } => {
            Packet { transport: Transport::Ports { protocol, source: 0, destination }, ..packet }
        }
        Transport::Icmp { .. } | Transport::Other(_) => packet,
    }
}
