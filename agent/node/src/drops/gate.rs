//! Which host endpoint dropped a packet, if one did.
//!
//! In: where on its path the packet was. Out: the lane. A rule may stand in several paths and its chain does not tell in which it had its say, so
//! where a workload and a host endpoint are asked one after the other, the rules of now are asked which of them denies.

use poplin_policy::gate::Lane;
use poplin_policy::model::Direction;
use poplin_policy::place::Place;
use poplin_policy::ruleset::{HookPoint, Interface};
use poplin_policy::verdict::By;

use super::{Dropped, MID_STREAM};
use crate::kernel::INTERFACE_PREFIX;
use crate::policing::Policing;

impl Policing {
    /// The lane of a host endpoint in which it was dropped or told of; absent where the host endpoints had no say.
    pub(super) fn lane_of(&self, dropped: &Dropped) -> Option<Lane> {
        let may_be_theirs = match dropped.place {
            Place::Denied(_) | Place::Logged(_) | Place::NoPolicy(_) | Place::MidStream(_) => true,
            Place::Invalid(_) | Place::Spoof | Place::ToHost | Place::Tunnel => false,
        };
        if !may_be_theirs {
            return None;
        }
        match (dropped.hook?, dropped.place.direction()) {
            (HookPoint::Prerouting, Direction::Ingress) => {
                self.first_to_deny(dropped, Lane::UntrackedIn, Lane::PreDnat)
            }
            (HookPoint::Input, Direction::Ingress) => Some(Lane::Input),
            (HookPoint::Output, Direction::Egress) => self.first_to_deny(dropped, Lane::UntrackedOut, Lane::Output),
            (HookPoint::Forward, Direction::Ingress) => self.forwarded(dropped, Lane::ForwardIn),
            (HookPoint::Forward, Direction::Egress) => self.forwarded(dropped, Lane::ForwardOut),
            (HookPoint::Prerouting | HookPoint::Input, Direction::Egress)
            | (HookPoint::Output, Direction::Ingress)
            | (HookPoint::Postrouting, Direction::Ingress | Direction::Egress) => None,
        }
    }

    fn first_to_deny(&self, dropped: &Dropped, before: Lane, after: Lane) -> Option<Lane> {
        let denies = |lane| self.now().denies_in(lane, &dropped.packet, interface(lane, dropped));
        Some(if denies(before) { before } else { after })
    }

    /// A workload's interface is no host endpoint's. A packet between both was asked of the workload first.
    fn forwarded(&self, dropped: &Dropped, lane: Lane) -> Option<Lane> {
        let (own, workloads) = match lane.direction() {
            Direction::Ingress => (&dropped.interface_in, &dropped.interface_out),
            Direction::Egress => (&dropped.interface_out, &dropped.interface_in),
        };
        let is_host_endpoints = match (is_ours(own), is_ours(workloads), dropped.place) {
            (true, _, _) | (false, true, Place::NoPolicy(_) | Place::MidStream(_)) => false,
            (false, false, _) => true,
            (false, true, _) => {
                self.now().denies_in(lane, &dropped.packet, own.as_ref()) && !self.denies_workload(dropped)
            }
        };
        is_host_endpoints.then_some(lane)
    }

    fn denies_workload(&self, dropped: &Dropped) -> bool {
        self.now().admits(&dropped.packet, false) == Some(false)
    }
}

/// The interface a lane looks at.
pub(super) fn interface(lane: Lane, dropped: &Dropped) -> Option<&Interface> {
    match lane.direction() {
        Direction::Ingress => dropped.interface_in.as_ref(),
        Direction::Egress => dropped.interface_out.as_ref(),
    }
}

pub(super) fn reason(place: Place, by: Option<&By>) -> String {
    match (place, by) {
        (Place::Logged(_), Some(by)) => format!("{by}: logged"),
        (Place::Logged(_), None) => "logged by a rule".to_owned(),
        (Place::MidStream(_), _) => MID_STREAM.to_owned(),
        (Place::NoPolicy(_), _) => "no policy of the host endpoint lets it pass".to_owned(),
        (_, Some(by)) => format!("{by}: denied"),
        (_, None) => "denied by a rule that is no longer there".to_owned(),
    }
}

fn is_ours(interface: &Option<Interface>) -> bool {
    interface.as_ref().is_some_and(|interface| interface.as_str().starts_with(INTERFACE_PREFIX))
}
