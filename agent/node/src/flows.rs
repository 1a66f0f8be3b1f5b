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
    /// The moment whose rules every flow has passed that stands now, if it did not begin since; absent = unknown.
    passed: Option<Moment>,
    /// Moments since, oldest first, whose rules may have let flows begin that those of `passed` would not.
    since: Vec<Moment>,
    /// The last such moment that is not remembered, for there were too many: what began in it is taken for let in.
    lost: Option<u64>,
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
    /// The rules that were in force when it was asked for.
    asked: Asked,
    /// Some flows of it were not judged.
    is_missed: bool,
    /// Answers to flows that were ended in it.
    ended: HashSet<Packet>,
}

/// The rules that were in force when flows were asked for.
#[derive(Debug)]
enum Asked {
    /// Those of a moment that is remembered for this.
    Own(Moment),
    /// Those of this generation, among the moments that are remembered anyway: stricter ones were under way.
    Among(u64),
}

/// So many moments are remembered between two readings: each costs what was touched since.
const MOST_MOMENTS: usize = 8;

/// How often flows that return are looked for. Their next packet must have been under way at the very moment the former was ended, so
/// once is nearly always enough.
const MOST_RETURNS: u8 = 4;

impl Flows {
    /// Other rules are in force.
    pub fn loaded(&mut self, may_deny_more: bool) {
        self.is_due |= may_deny_more;
    }

    /// Rules that stand are about to be followed by others, before flows that they let in were judged: those may be denied what these allow, as
    /// those of `passed` did.
    pub fn superseded(&mut self, policing: &mut Policing) {
        let is_remembered = self.moments().last().is_some_and(|last| last.generation == policing.generation());
        if is_remembered || !policing.is_being_tightened() {
            return;
        }
        if self.since.len() < MOST_MOMENTS {
            self.since.push(policing.remember());
        } else {
            self.lost = Some(policing.generation());
        }
    }

    /// Every flow that was read has passed the rules of this moment.
    fn have_passed(&mut self, moment: Moment, policing: &mut Policing) {
        self.lost = self.lost.filter(|generation| *generation > moment.generation);
        for past in self.since.extract_if(.., |past| past.generation <= moment.generation) {
            policing.forget_moment(&past);
        }
        if let Some(past) = self.passed.replace(moment) {
            policing.forget_moment(&past);
        }
    }

    /// The rules that are in force, where stricter ones may be under way. Where their moment was lost it is that of older ones.
    fn in_force(&self, is_tightening: bool, policing: &mut Policing) -> Asked {
        match self.moments().last().filter(|_| is_tightening) {
            Some(last) => Asked::Among(last.generation),
            None => Asked::Own(policing.remember()),
        }
    }

    /// The moments that are remembered in whose rules a flow may have begun.
    fn moments(&self) -> impl Iterator<Item = &Moment> {
        self.passed.iter().chain(&self.since)
    }

    /// Nothing that stands is to be ended.
    pub fn keep(&mut self, policing: &mut Policing) {
        if !self.is_due && self.passed.is_some() {
            return;
        }
        let now = policing.remember();
        self.have_passed(now, policing);
        self.is_due = false;
    }

    /// The addresses whose flows should be read, if it is time to: when rules that may deny more are in force, and none are under way.
    ///
    /// The host's own flows are looked at as well where it has host endpoints, or had when they were last judged; and where ports of it are
    /// published that need no connection: some may go on to the host. `is_tightening`: rules that may deny more are under way already.
    pub fn wanted(
        &mut self,
        policing: &mut Policing,
        host: &BTreeSet<IpAddr>,
        is_tightening: bool,
    ) -> Option<BTreeSet<IpAddr>> {
        if self.reading.is_some() || !self.is_due || !policing.is_settled() {
            return None;
        }
        let before = self.moments().flat_map(Moment::addresses);
        let had_gates = self.moments().any(|moment| policing.then(moment).has_gates());
        let concerns_host = policing.leads_datagrams() || policing.now().has_gates() || had_gates;
        let leading = host.iter().filter(|_| concerns_host);
        let addresses: BTreeSet<IpAddr> = before.chain(policing.addresses()).chain(leading.copied()).collect();
        if addresses.is_empty() {
            self.keep(policing);
            return None;
        }
        let asked = self.in_force(is_tightening, policing);
        self.reading = Some(Reading { asked, is_missed: false, ended: HashSet::new() });
        self.is_due = false;
        Some(addresses)
    }

    /// Some flows were read: those of them that end.
    pub fn read(&mut self, flows: Vec<Flow>, ground: Ground<'_>, policing: &Policing) -> Vec<Flow> {
        if !policing.is_settled() {
            self.miss(); // rules are under way; whom they deny is judged once they are in force
            return Vec::new();
        }
        let Some(mut reading) = self.reading.take() else { return Vec::new() };
        let before = self.moments().map(|moment| policing.then(moment)).collect();
        let is_all_known = self.passed.is_some() && self.lost.is_none();
        let mut judge = Judge::new(before, is_all_known, policing.now(), ground);
        let has_returned =
            |flow: &Flow| (flow.is_picked_up || flow.opened.protocol() != TCP) && self.ended.contains(&flow.opened);
        let ends = |flow: &Flow| has_returned(flow) || judge.ends(flow) || judge.is_left_behind(flow);
        let ending: Vec<Flow> = flows.into_iter().filter(ends).collect();
        let returning = ending.iter().filter(|flow| flow.can_return(ground.host));
        reading.ended.extend(returning.map(|flow| flow.answered));
        self.reading = Some(reading);
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
        match reading.asked {
            Asked::Own(moment) if reading.is_missed => policing.forget_moment(&moment),
            Asked::Own(moment) => self.have_passed(moment, policing),
            Asked::Among(_) if reading.is_missed => {}
            Asked::Among(generation) => {
                if let Some(place) = self.since.iter().position(|moment| moment.generation == generation) {
                    let moment = self.since.remove(place);
                    self.have_passed(moment, policing);
                }
            }
        }
        !self.ended.is_empty()
    }
}
