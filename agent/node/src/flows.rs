//! Which established flows end because the rules came to deny them.
//!
//! In: rules as they are loaded, and the kernel's table of flows once it was read. Out: the flows to end. An established
//! flow passes before any policy is asked, so a rule that comes later does not reach it; whoever is denied now would talk on for days.
//! A flow ends if the rules that let it begin would not any more: the compiled rules themselves are asked, the old and the new, with its
//! first packet. Knows nothing of how flows are read and ended.
//!
//! At a host's own interfaces less is certain, and a doubt ends nothing: a flow ends if it is denied by each of the ways that lead to its
//! ends, or, where no route is known, by every interface; if the rules that let it pass are known; and if the kernel saw it begin, for of a
//! flow that was picked up in mid-stream nobody knows who opened it.

mod judge;

use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;

use poplin_policy::packet::{Packet, TCP, Transport};

use self::judge::Judge;
use crate::course::Doors;
use crate::policing::{Moment, Policing};

/// One entry of the kernel's table of flows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Its first packet, as it came.
    pub opened: Packet,
    /// An answer to it, as it would come. Where addresses are translated this is not just the reverse.
    pub answered: Packet,
    /// Another flow announced it, and it passes with that one.
    pub is_related: bool,
    /// The kernel came to know it in the middle of a TCP stream, so `opened` may be an answer.
    pub is_picked_up: bool,
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

    /// Whether the other end can open it anew with its next packet. TCP from the middle of a stream is dropped by workloads' rules, but not by
    /// those of a host's own interfaces; an answer to a ping opens nothing.
    fn can_return(&self, host: &BTreeSet<IpAddr>) -> bool {
        let is_of_host = || [self.opened.source, self.answered.source].iter().any(|end| host.contains(end));
        matches!(self.opened.transport, Transport::Ports { protocol, .. } if protocol != TCP || is_of_host())
    }
}

/// What is known of the host while flows are judged.
#[derive(Clone, Copy, Debug)]
pub struct Ground<'g> {
    /// Every address of it.
    pub host: &'g BTreeSet<IpAddr>,
    /// Its own interfaces.
    pub doors: Doors<'g>,
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
    /// The host's own flows are looked at as well where it has host endpoints, or had when they were last judged; and where ports of it are
    /// published that need no connection: some may go on to the host.
    pub fn wanted(&mut self, policing: &mut Policing, host: &BTreeSet<IpAddr>) -> Option<BTreeSet<IpAddr>> {
        if self.reading.is_some() || !self.is_due || !policing.is_settled() {
            return None;
        }
        let before = self.passed.iter().flat_map(Moment::addresses);
        let had_gates = self.passed.as_ref().is_some_and(|moment| policing.then(moment).has_gates());
        let concerns_host = policing.leads_datagrams() || policing.now().has_gates() || had_gates;
        let leading = host.iter().filter(|_| concerns_host);
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
    pub fn read(&mut self, flows: Vec<Flow>, ground: Ground<'_>, policing: &Policing) -> Vec<Flow> {
        if !policing.is_settled() {
            self.miss(); // rules are under way; whom they deny is judged once they are in force
            return Vec::new();
        }
        let Some(reading) = &mut self.reading else { return Vec::new() };
        let before = self.passed.as_ref().map(|moment| policing.then(moment));
        let mut judge = Judge::new(before, policing.now(), ground);
        let has_returned =
            |flow: &Flow| (flow.is_picked_up || flow.opened.protocol() != TCP) && self.ended.contains(&flow.opened);
        let ends = |flow: &Flow| has_returned(flow) || judge.ends(flow) || judge.is_left_behind(flow);
        let ending: Vec<Flow> = flows.into_iter().filter(ends).collect();
        let returning = ending.iter().filter(|flow| flow.can_return(ground.host));
        reading.ended.extend(returning.map(|flow| flow.answered));
        ending
    }

    /// Some flows could not be read, or not be judged.
    pub fn miss(&mut self) {
        if let Some(reading) = &mut self.reading {
            reading.is_missed = true;
        }
    }

    /// The reading is over. Tells whether flows are to be looked for that return.
    pub fn done(&mut self, policing: &mut Policing) -> bool {
        let Some(reading) = self.reading.take() else { return false };
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
        !self.ended.is_empty()
    }
}
