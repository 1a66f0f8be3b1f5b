//! What the loaded rules say of a packet they dropped.
//!
//! In: where the kernel dropped it, on which interface, and its ends. Out: whose packet it was and who decided, for people. The kernel
//! tells the place only; which policy and rule denied is found by asking the same world the rules were compiled from.

use std::net::IpAddr;

use poplin_policy::model::Direction;
use poplin_policy::packet::Packet;
use poplin_policy::place::Place;
use poplin_policy::ruleset::Interface;
use poplin_policy::verdict::{By, direction_verdict};

use crate::policing::Loaded;

/// A packet the kernel dropped by a rule of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// Where.
    pub place: Place,
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

/// Tells whose packet it was and who decided. Rules may have changed while word of it was under way: where the rules of now would not
/// have dropped it, those before them did.
pub fn account_of(dropped: &Dropped, now: &Loaded, before: Option<&Loaded>) -> Account {
    let account = now.account_of(dropped);
    let is_unclear = matches!(dropped.place, Place::Denied(_)) && account.by.is_none();
    let former = before.filter(|_| is_unclear).map(|before| before.account_of(dropped));
    former.filter(|former| former.by.is_some()).unwrap_or(account)
}

impl Loaded {
    fn account_of(&self, dropped: &Dropped) -> Account {
        let Dropped { place, interface, packet } = dropped;
        let direction = place.direction();
        let (near, far) = match direction {
            Direction::Egress => (packet.source, packet.destination),
            Direction::Ingress => (packet.destination, packet.source),
        };
        let at_link = interface.as_ref().and_then(|interface| self.endpoint_at(interface)).map(str::to_owned);
        let endpoint = at_link.or_else(|| self.endpoint_of(near));
        let (reason, by) = self.reason(*place, endpoint.as_deref(), packet);
        Account { direction, peer: self.endpoint_of(far), endpoint, reason, by }
    }

    fn endpoint_of(&self, address: IpAddr) -> Option<String> {
        self.world().endpoint_of(address).map(|(name, _)| name.to_owned())
    }

    fn reason(&self, place: Place, endpoint: Option<&str>, packet: &Packet) -> (String, Option<By>) {
        let whose = endpoint.unwrap_or("this interface");
        let reason = match place {
            Place::Denied(direction) => return self.ruling(endpoint, direction, packet),
            Place::NoPolicy(_) => format!("no policy is loaded for {whose}"),
            Place::Invalid(_) => "it fits no known flow and begins none".to_owned(),
            Place::MidStream(_) => "it is from the middle of a TCP stream that is not known, or was ended".to_owned(),
            Place::Spoof => format!("{} is not an address of {whose}", packet.source),
            Place::ToHost => "workloads may not open this to their own host".to_owned(),
        };
        (reason, None)
    }

    fn ruling(&self, endpoint: Option<&str>, direction: Direction, packet: &Packet) -> (String, Option<By>) {
        let asked = endpoint.and_then(|endpoint| direction_verdict(self.world(), endpoint, direction, packet));
        match asked.filter(|ruling| !ruling.allowed) {
            Some(ruling) => (ruling.to_string(), Some(ruling.by)),
            None => ("denied by rules that have changed since".to_owned(), None),
        }
    }
}
