//! What the loaded rules say of a packet they dropped.
//!
//! In: where the kernel dropped it, by which chain, between which interfaces, and its ends. Out: whose packet it was and who decided, for
//! people. The chain stands for one rule, so what is told is what the kernel did and not what would be done now.

mod gate;

use poplin_policy::gate::Lane;
use poplin_policy::model::Direction;
use poplin_policy::packet::Packet;
use poplin_policy::place::Place;
use poplin_policy::ruleset::{HookPoint, Interface, Name};
use poplin_policy::verdict::By;

use crate::policing::Policing;

/// A packet the kernel dropped by a rule of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// Where.
    pub place: Place,
    /// The chain that stands for the rule, where a policy had its say.
    pub chain: Option<Name>,
    /// Where on the kernel's path; absent if the kernel does not say.
    pub hook: Option<HookPoint>,
    /// The interface it came in by; absent for what the host itself sends, and if it is gone since.
    pub interface_in: Option<Interface>,
    /// The interface it was to leave by; absent for what the host itself receives, before routing, and if it is gone since.
    pub interface_out: Option<Interface>,
    /// Its ends, as far as they were copied.
    pub packet: Packet,
}

/// Whose it was, and who decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The end that dropped it: the source's or the destination's.
    pub direction: Direction,
    /// The endpoint at that end, or the host endpoint that dropped it, if it is known.
    pub endpoint: Option<String>,
    /// The endpoint at that end, where a host endpoint dropped it on the way.
    pub behind: Option<String>,
    /// The lane, where a host endpoint dropped it.
    pub lane: Option<Lane>,
    /// The endpoint's link, or the host endpoint's interface; absent if it is gone since.
    pub interface: Option<Interface>,
    /// The endpoint at the other end, if it is one of the fabric's.
    pub peer: Option<String>,
    /// Why, in a sentence.
    pub reason: String,
    /// The rule or tier that denied it; absent where no policy did.
    pub by: Option<By>,
}

impl Dropped {
    /// The interface of the end that dropped it. What the host itself sends or receives has one alone.
    fn interface(&self) -> Option<&Interface> {
        match self.place.direction() {
            Direction::Egress => self.interface_in.as_ref().or(self.interface_out.as_ref()),
            Direction::Ingress => self.interface_out.as_ref().or(self.interface_in.as_ref()),
        }
    }
}

impl Policing {
    /// Tells whose packet it was and who decided.
    pub fn account_of(&self, dropped: &Dropped) -> Account {
        let Dropped { place, chain, packet, .. } = dropped;
        let direction = place.direction();
        let (near, far) = match direction {
            Direction::Egress => (packet.source, packet.destination),
            Direction::Ingress => (packet.destination, packet.source),
        };
        let name_of = |address| self.endpoint_at(address).map(str::to_owned);
        let by = chain.as_ref().and_then(|chain| self.says(chain));
        let peer = name_of(far);
        if let Some(lane) = self.lane_of(dropped) {
            let interface = gate::interface(lane, dropped).cloned();
            let endpoint = self.host_endpoint_at(interface.as_ref()).map(str::to_owned);
            let reason = gate::reason(*place, by.as_ref());
            let behind = name_of(near);
            return Account { direction, endpoint, behind, lane: Some(lane), interface, peer, reason, by };
        }
        let interface = dropped.interface().cloned();
        let at_link = interface.as_ref().and_then(|interface| self.endpoint_on(interface)).map(str::to_owned);
        let endpoint = at_link.or_else(|| name_of(near));
        let reason = reason(*place, endpoint.as_deref(), packet, by.as_ref());
        Account { direction, endpoint, behind: None, lane: None, interface, peer, reason, by }
    }

    /// What a chain or counter stands for, or a log.
    fn says(&self, name: &Name) -> Option<By> {
        let logs = || self.logs(name).map(|rule| By::Rule(rule.clone()));
        self.counts(name).map(|counted| counted.by.clone()).or_else(logs)
    }
}

const MID_STREAM: &str = "it is from the middle of a TCP stream that is not known, or was ended";

fn reason(place: Place, endpoint: Option<&str>, packet: &Packet, by: Option<&By>) -> String {
    let whose = endpoint.unwrap_or("this interface");
    match (place, by) {
        (Place::Denied(_), Some(by)) => format!("{by}: denied"),
        (Place::Denied(_), None) => "denied by a rule that is no longer there".to_owned(),
        (Place::Logged(_), Some(by)) => format!("{by}: logged"),
        (Place::Logged(_), None) => "logged by a rule".to_owned(),
        (Place::NoPolicy(_), _) => format!("no policy is loaded for {whose}"),
        (Place::Invalid(_), _) => "it fits no known flow and begins none".to_owned(),
        (Place::MidStream(_), _) => MID_STREAM.to_owned(),
        (Place::Spoof, _) => format!("{} is not an address of {whose}", packet.source),
        (Place::Tunnel, _) => "it is for the end of a tunnel of the fabric, and comes from none".to_owned(),
        (Place::ToHost, _) => "workloads may not open this to their own host".to_owned(),
    }
}
