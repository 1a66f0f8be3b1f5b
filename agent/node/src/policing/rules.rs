//! What rules do with the first packet of a flow: those of now, or of a moment that is remembered.
//!
//! In: a packet, and where its ends are. Out: whether it may pass, and which chains it comes through. The compiled rules themselves
//! are walked, hook by hook, in the order in which the kernel asks them.

use std::net::{IpAddr, SocketAddr};

use poplin_policy::compile::HOST_ENDPOINTS;
use poplin_policy::gate::Lane;
use poplin_policy::packet::Packet;
use poplin_policy::ruleset::{HookPoint, Interface, Name};
use poplin_policy::walk::{Book, ConntrackState, Journey, Outcome, SYN, Transit, destination_nat, journey, source_nat};

use super::Local;
use crate::course::{Course, Side};
use crate::kernel::INTERFACE_PREFIX;

/// Rules that can be asked about a packet.
pub struct Rules<'p, B> {
    book: B,
    local: &'p Local,
    /// Whether flows that differ in their source port only may fare differently.
    pub looks_at_source_ports: bool,
}

/// An interface that is not ours, for what comes from elsewhere or goes there; whose it is does not matter to any rule of a workload.
const FAR: &str = "elsewhere";

/// Priority of connection tracking (linux/netfilter_ipv4.h, `NF_IP_PRI_CONNTRACK`).
const TRACKING: i32 = -200;

/// The base chains of host endpoints.
const GATES: [&str; 7] = [
    "host-raw-in",
    "host-pre-dnat",
    "host-input",
    "host-forward-in",
    "host-forward-out",
    "host-raw-out",
    "host-output",
];

impl<'p, B: Book> Rules<'p, B> {
    pub(super) fn of(book: B, local: &'p Local, looks_at_source_ports: bool) -> Self {
        Self { book, local, looks_at_source_ports }
    }

    /// Where a flow that begins with this packet, to an address of this host, goes on to; absent if it stays here.
    pub fn leads_to(&self, packet: &Packet) -> Option<SocketAddr> {
        let transit = Transit { hook: HookPoint::Output, ..self.transit(packet, true) };
        destination_nat(&self.book, &transit, true)
    }

    /// Whether a flow that begins with this packet, not to this host, leaves it under another source.
    pub fn leaves_translated(&self, packet: &Packet) -> bool {
        let transit = Transit { hook: HookPoint::Postrouting, ..self.transit(packet, false) };
        source_nat(&self.book, &transit).is_some()
    }

    /// Where a floating address leads to.
    pub fn floats_to(&self, address: IpAddr) -> Option<IpAddr> {
        self.local.floats_to(address)
    }

    /// The link of the local endpoint with this address.
    pub fn link_of(&self, address: IpAddr) -> Option<&Interface> {
        self.local.links.get(&address)
    }

    /// Whether workloads let a flow begin with this packet, to this host itself or through it; absent if none of its ends is a local
    /// endpoint.
    pub fn admits(&self, packet: &Packet, is_to_host: bool) -> Option<bool> {
        self.link_of(packet.source).or(self.link_of(packet.destination))?;
        let journey = journey(&self.book, &self.transit(packet, is_to_host), |priority| priority < HOST_ENDPOINTS);
        Some(journey.outcome == Outcome::Accept)
    }

    /// Whether host endpoints are asked at all.
    pub fn has_gates(&self) -> bool {
        GATES.into_iter().any(|gate| self.book.chain(&Name::new(gate)).is_some())
    }

    /// Whether host endpoints let a flow begin so, by any of the ways it may take.
    pub fn gates_admit(&self, course: &Course) -> bool {
        ways(course).into_iter().any(|way| self.journeys(course, &way, true).iter().all(is_passed))
    }

    /// Whether a host endpoint denies a packet in a lane, by this interface.
    pub fn denies_in(&self, lane: Lane, packet: &Packet, interface: Option<&Interface>) -> bool {
        let interface = interface.cloned().unwrap_or_else(far);
        let (hook, interface_in, interface_out) = match lane {
            Lane::UntrackedIn | Lane::PreDnat => (HookPoint::Prerouting, Some(interface), None),
            Lane::Input => (HookPoint::Input, Some(interface), None),
            Lane::ForwardIn => (HookPoint::Forward, Some(interface), Some(ours())),
            Lane::ForwardOut => (HookPoint::Forward, Some(ours()), Some(interface)),
            Lane::UntrackedOut | Lane::Output => (HookPoint::Output, None, Some(interface)),
        };
        let transit = Transit { hook, interface_in, interface_out, ..self.transit(packet, true) };
        let asks = |priority| match lane {
            Lane::UntrackedIn | Lane::UntrackedOut => priority < TRACKING,
            Lane::PreDnat => priority > TRACKING,
            Lane::Input | Lane::Output | Lane::ForwardIn | Lane::ForwardOut => priority >= HOST_ENDPOINTS,
        };
        journey(&self.book, &transit, asks).outcome == Outcome::Drop
    }

    /// The chains the first packet of a flow comes through; of several ways it may take, by the first.
    pub fn trail(&self, course: &Course) -> Vec<Name> {
        let elsewhere = |side: &Side| matches!(side, Side::Far(_));
        let ways = ways(course);
        let Some(way) = ways.first().filter(|_| !(elsewhere(&course.source) && elsewhere(&course.destination))) else {
            return Vec::new();
        };
        self.journeys(course, way, false).into_iter().flat_map(|journey| journey.chains).collect()
    }

    /// What happens to it hook by hook, as far as it comes: host endpoints alone are asked, or all. What one host endpoint lets
    /// go on for good it asks no more.
    fn journeys(&self, course: &Course, way: &Way, is_gates_only: bool) -> Vec<Journey> {
        let (from, to) = (way.interface_in.as_ref(), way.interface_out.as_ref());
        let hooks = match (from, to) {
            (Some(_), Some(_)) => vec![HookPoint::Prerouting, HookPoint::Forward],
            (Some(_), None) => vec![HookPoint::Prerouting, HookPoint::Input],
            (None, Some(_)) => vec![HookPoint::Output],
            (None, None) => Vec::new(),
        };
        let mut journeys: Vec<Journey> = Vec::new();
        for hook in hooks {
            let is_first = hook == HookPoint::Prerouting;
            // What asks where a workload's packet comes from is asked at prerouting, too, and no policy.
            if is_first && matches!(course.source, Side::Link(_)) {
                continue;
            }
            let mark = journeys.last().map_or(0, |former| former.mark);
            let state = match journeys.last() {
                Some(former) if former.outcome == Outcome::Drop => break,
                Some(former) if former.is_untracked => ConntrackState::Untracked,
                Some(_) | None => ConntrackState::New,
            };
            let transit = Transit {
                group: 0,
                hook,
                interface_in: from.cloned(),
                interface_out: to.filter(|_| !is_first).cloned(),
                packet: if is_first { course.opened } else { course.judged },
                hop_limit: 64,
                tcp_flags: SYN,
                state,
                mark,
            };
            let is_late = matches!(hook, HookPoint::Forward | HookPoint::Input);
            let asks = |priority| !is_gates_only || !is_late || priority >= HOST_ENDPOINTS;
            journeys.push(journey(&self.book, &transit, asks));
        }
        journeys
    }

    fn transit(&self, packet: &Packet, is_to_host: bool) -> Transit {
        let (source, destination) = (self.link_of(packet.source), self.link_of(packet.destination));
        Transit {
            group: 0,
            hook: if is_to_host { HookPoint::Input } else { HookPoint::Forward },
            interface_in: Some(source.cloned().unwrap_or_else(far)),
            interface_out: (!is_to_host).then(|| destination.cloned().unwrap_or_else(far)),
            packet: *packet,
            hop_limit: 64,
            tcp_flags: SYN,
            state: ConntrackState::New,
            mark: 0,
        }
    }
}

/// By which interfaces a packet comes and goes; absent for the host itself.
struct Way {
    interface_in: Option<Interface>,
    interface_out: Option<Interface>,
}

/// All ways a packet may take.
fn ways(course: &Course) -> Vec<Way> {
    let out = doors(&course.destination);
    let pair = |interface_in: Option<Interface>| {
        let way = move |out: &Option<Interface>| Way { interface_in: interface_in.clone(), interface_out: out.clone() };
        out.iter().map(way).collect::<Vec<_>>()
    };
    doors(&course.source).into_iter().flat_map(pair).collect()
}

/// The interfaces that may lead to a side. Where none is known to, what stands for every interface is asked.
fn doors(side: &Side) -> Vec<Option<Interface>> {
    match side {
        Side::Host => vec![None],
        Side::Link(interface) => vec![Some(interface.clone())],
        Side::Far(doors) if doors.is_empty() => vec![Some(far())],
        Side::Far(doors) => doors.iter().cloned().map(Some).collect(),
    }
}

/// A workload's, whose does not matter.
fn ours() -> Interface {
    Interface::new(INTERFACE_PREFIX).expect("it is a name")
}

fn far() -> Interface {
    Interface::new(FAR).expect("it is a name")
}

fn is_passed(journey: &Journey) -> bool {
    journey.outcome == Outcome::Accept
}
