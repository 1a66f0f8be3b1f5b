//! Which host endpoint of a host a packet passes, and what it says.
//!
//! In: a host, and the interfaces a packet may take there, if they are known. Out: the words of its host endpoints, lane by lane. Where it cannot
//! be known which is asked, that is said in place of a verdict. Knows nothing of where packets go.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use poplin_policy::explain::{GateAccount, explain_at_host};
use poplin_policy::gate::{GateBy, Lane};
use poplin_policy::host::{Doorway, Failsafe, HostEndpoint};
use poplin_policy::packet::Packet;
use poplin_policy::ruleset::Interface;
use poplin_policy::verdict::By;
use poplin_policy::world::World;
use poplin_proto::v1::DirectionTrace;

use crate::question::{decider, skipped};
use crate::site::Site;

/// The host endpoints of a host. Were there two for one doorway, the first by name counts.
pub(super) struct Gates<'o> {
    host: &'o str,
    all: Vec<&'o HostEndpoint>,
}

/// The host endpoints a packet meets at a host.
#[derive(Clone, Debug)]
pub(super) struct Doors {
    host: String,
    met: Met,
}

#[derive(Clone, Debug)]
enum Met {
    /// These, each by these interfaces; the routes choose for each flow.
    Known(Vec<(String, String)>),
    /// One of these.
    OneOf(Vec<String>),
}

/// What they said in a lane.
#[derive(Default)]
pub(super) struct Asked {
    pub(super) traces: Vec<DirectionTrace>,
    pub(super) note: Option<String>,
    /// Which of several is asked is not known, and their words count.
    pub(super) is_unknown: bool,
    /// The packet does not go on, or no later lane asks it, by whichever interface it comes.
    pub(super) is_over: bool,
}

impl<'o> Gates<'o> {
    pub(super) fn of(site: &'o Site, host: &'o str) -> Self {
        Self { host, all: site.host_endpoints.iter().filter(|endpoint| endpoint.host == host).collect() }
    }

    /// What is asked by these interfaces, of which any may be taken.
    pub(super) fn by(&self, interfaces: &BTreeSet<Interface>) -> Doors {
        let mut met: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for interface in interfaces {
            let named = self.at(&Doorway::Named(interface.clone()));
            if let Some(endpoint) = named.or_else(|| self.at(&Doorway::Every)) {
                met.entry(&endpoint.name).or_default().push(interface.as_str());
            }
        }
        let met = met.into_iter().map(|(name, interfaces)| (name.to_owned(), interfaces.join(", ")));
        Doors { host: self.host.to_owned(), met: Met::Known(met.collect()) }
    }

    /// What is asked where the interface is not known: the one with this address, or the only one for every interface, or one of several.
    pub(super) fn by_guess(&self, own: Option<IpAddr>) -> Doors {
        let at_address = self.all.iter().find(|endpoint| own.is_some_and(|own| endpoint.addresses.contains(&own)));
        let only = || self.at(&Doorway::Every).filter(|_| self.all.iter().all(|one| one.doorway == Doorway::Every));
        let met = match at_address.copied().or_else(only) {
            Some(endpoint) => Met::Known(vec![(endpoint.name.clone(), String::new())]),
            None => Met::OneOf(self.all.iter().map(|endpoint| endpoint.name.clone()).collect()),
        };
        Doors { host: self.host.to_owned(), met }
    }

    /// What is asked about what workloads send to the host: no interface of theirs has a name that can be given.
    pub(super) fn of_workloads(&self) -> Doors {
        let met = self.at(&Doorway::Every).map(|endpoint| (endpoint.name.clone(), String::new()));
        Doors { host: self.host.to_owned(), met: Met::Known(met.into_iter().collect()) }
    }

    fn at(&self, doorway: &Doorway) -> Option<&'o HostEndpoint> {
        self.all.iter().find(|endpoint| endpoint.doorway == *doorway).copied()
    }
}

impl Doors {
    /// What they say in a lane. Who has said that no later lane asks is not asked any more.
    pub(super) fn ask(&mut self, world: &World, failsafe: &Failsafe, lane: Lane, packet: &Packet) -> Asked {
        match &mut self.met {
            Met::Known(endpoints) => {
                let note = (endpoints.len() > 1).then(|| of_several(&self.host, endpoints));
                let mut asked = Asked { note, ..Asked::default() };
                let were_any = !endpoints.is_empty();
                endpoints.retain(|(name, interface)| {
                    let Some(Word { trace, is_settled }) = word(world, failsafe, name, lane, packet) else {
                        return true;
                    };
                    asked.is_over |= !trace.allowed;
                    asked.traces.push(DirectionTrace { interface: interface.clone(), ..trace });
                    !is_settled
                });
                asked.is_over |= were_any && endpoints.is_empty();
                asked
            }
            Met::OneOf(names) => {
                let is_unknown = names.iter().any(|name| word(world, failsafe, name, lane, packet).is_some());
                Asked { note: is_unknown.then(|| of_unknown(&self.host, names)), is_unknown, ..Asked::default() }
            }
        }
    }
}

fn of_several(host: &str, endpoints: &[(String, String)]) -> String {
    let by = endpoints.iter().map(|(name, interfaces)| format!("{name} by {interfaces}"));
    let by = by.collect::<Vec<_>>().join(" or ");
    format!("routes of {host} of equal cost lead there, and each flow meets {by}")
}

fn of_unknown(host: &str, names: &[String]) -> String {
    let names = names.join(" or ");
    format!("{host} asks its own host endpoint, {names}, by the interface the packet takes: ask `poplin explain` there")
}

/// What a host endpoint says.
struct Word {
    trace: DirectionTrace,
    is_settled: bool,
}

/// Nothing where no policy speaks in a lane that is open.
fn word(world: &World, failsafe: &Failsafe, name: &str, lane: Lane, packet: &Packet) -> Option<Word> {
    let GateAccount { steps, ruling } = explain_at_host(world, failsafe, name, lane, packet)?;
    if !lane.is_closed() && matches!(ruling.by, GateBy::Failsafe | GateBy::Policy(By::Ungoverned)) {
        return None;
    }
    let (tier, policy, rule) = match &ruling.by {
        GateBy::Policy(by) => decider(by),
        GateBy::Failsafe => Default::default(),
    };
    let trace = DirectionTrace {
        direction: lane.to_string(),
        endpoint: name.to_owned(),
        allowed: ruling.allowed,
        reason: ruling.reason(),
        tier,
        policy,
        rule,
        skipped: steps.iter().map(skipped).collect(),
        interface: String::new(),
    };
    Some(Word { trace, is_settled: ruling.is_settled })
}
