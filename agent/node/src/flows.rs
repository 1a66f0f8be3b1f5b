//! Which established flows end because the rules came to deny them.
//!
//! In: rules as they are loaded, and the kernel's table of flows once it was read. Out: the flows to end. An established
//! flow passes before any policy is asked, so a rule that comes later does not reach it; whoever is denied now would talk on for days.
//! A flow ends if the rules that let it begin would not any more: the compiled rules themselves are asked, the old and the new, with its
//! first packet. Knows nothing of how flows are read and ended.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;

use poplin_policy::packet::{Packet, TCP, Transport, UDP};
use poplin_policy::ruleset::Interface;
use poplin_policy::walk::Book;

use crate::policing::{Moment, Policing, Rules};

/// One entry of the kernel's table of flows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Its first packet, as it came.
    pub opened: Packet,
    /// An answer to it, as it would come. Where addresses are translated this is not just the reverse.
    pub answered: Packet,
    /// Another flow announced it, and it passes with that one.
    pub is_related: bool,
    /// By what the kernel finds it again.
    pub handle: FlowHandle,
}

/// By what the kernel finds a flow again; only the hands look inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowHandle(pub Vec<u8>);

impl Flow {
    /// The first packet as policy sees it: after the translation of its destination, before that of its source.
    fn judged(&self) -> Packet {
        let transport = match (self.opened.transport, self.answered.transport) {
            (Transport::Ports { protocol, source, .. }, Transport::Ports { source: destination, .. }) => {
                Transport::Ports { protocol, source, destination }
            }
            (transport, _) => transport,
        };
        Packet { source: self.opened.source, destination: self.answered.source, transport }
    }

    /// Whether the other end can open it anew with its next packet. TCP from the middle of a stream is dropped, an answer to a
    /// ping opens nothing.
    fn can_return(&self) -> bool {
        matches!(self.opened.transport, Transport::Ports { protocol, .. } if protocol != TCP)
    }
}

/// What the head remembers of flows: not the flows, but the rules they passed.
#[derive(Debug, Default)]
pub struct Flows {
    /// The moment whose rules every flow has passed that stands now; absent = unknown.
    passed: Option<Moment>,
    reading: Option<Reading>,
    /// Some flow may have been denied since `passed`.
    is_due: bool,
    /// Answers to flows that were ended in the last reading: an open flow like this goes on with what was ended.
    ended: HashSet<Packet>,
    /// How often in a row returning flows were ended.
    returns: u8,
}

/// A reading under way.
#[derive(Debug)]
struct Reading {
    /// When it was asked for.
    asked: Moment,
    /// Some flows of it were not judged.
    is_missed: bool,
    /// Answers to flows that were ended in it.
    ended: HashSet<Packet>,
}

/// How often flows that return are looked for. Their next packet must have been under way at the very moment the former was ended, so
/// once is nearly always enough.
const MOST_RETURNS: u8 = 4;

impl Flows {
    /// Other rules are in force.
    pub fn loaded(&mut self, may_deny_more: bool) {
        self.is_due |= may_deny_more;
    }

    /// Nothing that stands is to be ended.
    pub fn keep(&mut self, policing: &mut Policing) {
        if !self.is_due && self.passed.is_some() {
            return;
        }
        if let Some(moment) = self.passed.replace(policing.remember()) {
            policing.forget_moment(&moment);
        }
        self.is_due = false;
    }

    /// The addresses whose flows should be read, if it is time to: when rules that may deny more are in force, and none are under way.
    ///
    /// Where ports of the host are published that need no connection, the host's own flows are looked at as well: some may go on to the host.
    pub fn wanted(&mut self, policing: &mut Policing, host: &BTreeSet<IpAddr>) -> Option<BTreeSet<IpAddr>> {
        if self.reading.is_some() || !self.is_due || !policing.is_settled() {
            return None;
        }
        let before = self.passed.iter().flat_map(Moment::addresses);
        let leading = host.iter().filter(|_| policing.leads_datagrams());
        let addresses: BTreeSet<IpAddr> = before.chain(policing.addresses()).chain(leading.copied()).collect();
        if addresses.is_empty() {
            self.keep(policing);
            return None;
        }
        self.reading = Some(Reading { asked: policing.remember(), is_missed: false, ended: HashSet::new() });
        self.is_due = false;
        Some(addresses)
    }

    /// Some flows were read: those of them that end.
    pub fn read(&mut self, flows: Vec<Flow>, host: &BTreeSet<IpAddr>, policing: &Policing) -> Vec<Flow> {
        if !policing.is_settled() {
            self.miss(); // rules are under way; whom they deny is judged once they are in force
            return Vec::new();
        }
        let Some(reading) = &mut self.reading else { return Vec::new() };
        let before = self.passed.as_ref().map(|moment| policing.then(moment));
        let mut judge = Judge::new(before, policing.now(), host);
        let ends = |flow: &Flow| self.ended.contains(&flow.opened) || judge.ends(flow) || judge.is_left_behind(flow);
        let ending: Vec<Flow> = flows.into_iter().filter(ends).collect();
        let returning = ending.iter().filter(|flow| flow.can_return());
        reading.ended.extend(returning.map(|flow| flow.answered));
        ending
    }

    /// Some flows could not be read, or not be judged.
    pub fn miss(&mut self) {
        if let Some(reading) = &mut self.reading {
            reading.is_missed = true;
        }
    }

    /// The reading is over.
    pub fn done(&mut self, policing: &mut Policing) {
        let Some(reading) = self.reading.take() else { return };
        let is_all_gone = reading.ended.is_empty();
        self.returns = if is_all_gone { 0 } else { self.returns + 1 };
        let is_in_vain = self.returns >= MOST_RETURNS;
        if is_in_vain {
            self.returns = 0;
        }
        self.ended = if is_in_vain { HashSet::new() } else { reading.ended };
        self.is_due |= reading.is_missed || !self.ended.is_empty();
        let former = if reading.is_missed { Some(reading.asked) } else { self.passed.replace(reading.asked) };
        if let Some(moment) = former {
            policing.forget_moment(&moment);
        }
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

/// Compares two sets of rules, flow by flow.
struct Judge<'h, B, N> {
    before: Option<Rules<'h, B>>,
    now: Rules<'h, N>,
    host: &'h BTreeSet<IpAddr>,
    looks_at_source_ports: bool,
    /// What was judged already: most flows are of few kinds.
    known: HashMap<Packet, bool>,
    /// Of what began untranslated, whether it would be translated now.
    translated: HashMap<Packet, bool>,
}

impl<'h, B: Book, N: Book> Judge<'h, B, N> {
    fn new(before: Option<Rules<'h, B>>, now: Rules<'h, N>, host: &'h BTreeSet<IpAddr>) -> Self {
        let looked = before.as_ref().is_some_and(|before| before.looks_at_source_ports);
        let looks_at_source_ports = looked || now.looks_at_source_ports;
        Self { before, now, host, looks_at_source_ports, known: HashMap::new(), translated: HashMap::new() }
    }

    fn ends(&mut self, flow: &Flow) -> bool {
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
    fn is_left_behind(&mut self, flow: &Flow) -> bool {
        let Packet { source, destination, .. } = flow.opened;
        let is_to_host = self.host.contains(&destination);
        let misses_its_port = flow.opened.protocol() == UDP && flow.answered.source == destination && is_to_host;
        let keeps_its_source = flow.answered.destination == source && self.now.link_of(source).is_some() && !is_to_host;
        if flow.opened.protocol() == TCP || !misses_its_port && !keeps_its_source {
            return false;
        }
        let (packet, now) = (without_source_port(flow.opened), &self.now);
        *self.translated.entry(packet).or_insert_with(|| match misses_its_port {
            true => now.leads_elsewhere(&packet),
            false => now.leaves_translated(&packet),
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
        let has_left = |address| self.now.link_of(address).is_none() && self.before_link_of(address).is_some();
        has_left(packet.source)
            || has_left(packet.destination)
            || self.now.admits(packet, self.host.contains(&packet.destination)) == Some(false)
    }

    /// Flows from before all that is known, and of an address that is somebody else's now, were let in by somebody.
    fn was_admitted(&self, packet: &Packet) -> bool {
        let is_to_host = self.host.contains(&packet.destination);
        let is_newer = |address| self.now.link_of(address) != self.before_link_of(address);
        is_newer(packet.source)
            || is_newer(packet.destination)
            || self.before.as_ref().is_none_or(|before| before.admits(packet, is_to_host) != Some(false))
    }

    fn before_link_of(&self, address: IpAddr) -> Option<&Interface> {
        self.before.as_ref()?.link_of(address)
    }
}
