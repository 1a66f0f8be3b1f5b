//! What the loaded rules say of a packet they dropped.
//!
//! In: where the kernel dropped it, by which chain, on which interface, and its ends. Out: whose packet it was and who decided, for
//! people. The chain stands for one rule, so what is told is what the kernel did and not what would be done now.

use poplin_policy::model::Direction;
use poplin_policy::packet::Packet;
use poplin_policy::place::Place;
use poplin_policy::ruleset::{Interface, Name};
use poplin_policy::verdict::By;

use crate::kernel::INTERFACE_PREFIX;
use crate::policing::Policing;

/// A packet the kernel dropped by a rule of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// Where.
    pub place: Place,
    /// The chain that stands for the rule, where a policy had its say.
    pub chain: Option<Name>,
    /// The link of the endpoint whose side dropped it; absent if it is gone since.
    pub interface: Option<Interface>,
    /// Its ends, as far as they were copied.
    pub packet: Packet,
}

/// Whose it was, and who decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The end that dropped it: the source's or the destination's.
    pub direction: Direction,
    /// The endpoint at that end, if it is known.
    pub endpoint: Option<String>,
    /// The endpoint at the other end, if it is one of the fabric's.
    pub peer: Option<String>,
    /// Why, in a sentence.
    pub reason: String,
    /// The rule or tier that denied it; absent where no policy did.
    pub by: Option<By>,
}

impl Policing {
    /// Tells whose packet it was and who decided.
    pub fn account_of(&self, dropped: &Dropped) -> Account {
        let Dropped { place, chain, interface, packet } = dropped;
        let direction = place.direction();
        let (near, far) = match direction {
            Direction::Egress => (packet.source, packet.destination),
            Direction::Ingress => (packet.destination, packet.source),
        };
        let name_of = |address| self.endpoint_at(address).map(str::to_owned);
        let at_link = interface.as_ref().and_then(|interface| self.endpoint_on(interface)).map(str::to_owned);
        let endpoint = at_link.or_else(|| name_of(near));
        let by = chain.as_ref().and_then(|chain| self.says(chain));
        let hosts_own = interface.as_ref().filter(|interface| !interface.as_str().starts_with(INTERFACE_PREFIX));
        let reason = match (place, hosts_own) {
            (Place::NoPolicy(_), Some(interface)) => {
                format!("no policy lets it pass at the host endpoint of {interface}")
            }
            _ => reason(*place, endpoint.as_deref(), packet, by.as_ref()),
        };
        Account { direction, peer: name_of(far), endpoint, reason, by }
    }

    /// What a chain or counter stands for, or a log.
    fn says(&self, name: &Name) -> Option<By> {
        let logs = || self.logs(name).map(|rule| By::Rule(rule.clone()));
        self.counts(name).map(|counted| counted.by.clone()).or_else(logs)
    }
}

fn reason(place: Place, endpoint: Option<&str>, packet: &Packet, by: Option<&By>) -> String {
    let whose = endpoint.unwrap_or("this interface");
    match (place, by) {
        (Place::Denied(_), Some(by)) => format!("{by}: denied"),
        (Place::Denied(_), None) => "denied by a rule that is no longer there".to_owned(),
        (Place::Logged(_), Some(by)) => format!("{by}: logged"),
        (Place::Logged(_), None) => "logged by a rule".to_owned(),
        (Place::NoPolicy(_), _) => format!("no policy is loaded for {whose}"),
        (Place::Invalid(_), _) => "it fits no known flow and begins none".to_owned(),
        (Place::MidStream(_), _) => "it is from the middle of a TCP stream that is not known, or was ended".to_owned(),
        (Place::Spoof, _) => format!("{} is not an address of {whose}", packet.source),
        (Place::ToHost, _) => "workloads may not open this to their own host".to_owned(),
    }
}
