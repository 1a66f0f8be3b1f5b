//! Explain, with what hosts have to say.
//!
//! In: the objects of the store, a question, and what the head of this host knows of the way. Out: the packet that stands for the question, and
//! the whole story, in the order in which it is asked: of the endpoints at its ends, as [`poplin_manifest::question`] tells it, of what they may
//! open to their own host, and of the host endpoints it passes. What only another host can know is said to be asked there.

mod gate;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use poplin_manifest::question;
use poplin_node::course::{Course, Side};
use poplin_node::object::{Endpoint, Fabric, Host, Object, ObjectKey};
use poplin_node::outlook;
use poplin_policy::gate::Lane;
use poplin_policy::host::{HostEndpoint, is_link_local};
use poplin_policy::packet::{Packet, Transport};
use poplin_policy::world::World;
use poplin_proto::v1::{DirectionTrace, ExplainRequest, ExplainResponse};
use poplin_proto::{Failure, nearest};

use gate::{Doors, Gates};

/// What is asked, once it makes sense.
pub(super) struct Question<'o> {
    objects: &'o BTreeMap<ObjectKey, Object>,
    world: World,
    /// The packet that stands for it.
    pub(super) packet: Packet,
}

/// Where an address is at home.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Home {
    /// An endpoint of a host.
    Workload { host: String, endpoint: String },
    /// A host itself.
    Host(String),
    /// No host of the fabric.
    Elsewhere,
}

impl<'o> Question<'o> {
    /// The question with addresses in place of the names of hosts and host endpoints, in the first way that makes sense.
    pub(super) fn of(objects: &'o BTreeMap<ObjectKey, Object>, request: &ExplainRequest) -> Result<Self, Failure> {
        let world = outlook::world(objects.values());
        let sources = meanings(&world, objects, "source", &request.source)?;
        let destinations = meanings(&world, objects, "destination", &request.destination)?;
        let mut outcome =
            Err(Failure::new(tonic::Code::Internal, "NO_WAY", "a question can be put in at least one way"));
        for (source, destination) in sources.iter().flat_map(|source| destinations.iter().map(move |to| (source, to))) {
            let (source, destination) = (source.clone(), destination.clone());
            outcome = question::packet(&world, &ExplainRequest { source, destination, ..request.clone() });
            if let Ok(packet) = outcome {
                return Ok(Self { objects, world, packet });
            }
        }
        outcome.map(|packet| Self { objects, world, packet })
    }

    /// Tells the whole story, as far as it is known on this host.
    pub(super) fn answer(&self, here: &str, course: Option<&Course>) -> ExplainResponse {
        let judged = course.map_or(self.packet, |course| course.judged);
        let mut answer = question::story(&self.world, &judged);
        answer.destination_address = self.packet.destination.to_string();
        let ends = self.homes(here, course, &judged);
        let mut way = Way { question: self, here, course, judged, told: Vec::new(), notes: Vec::new() };
        way.walk(&ends, std::mem::take(&mut answer.directions));
        answer.allowed = way.told.iter().all(|trace| trace.allowed);
        answer.directions = way.told;
        answer.notes = way.notes;
        answer
    }

    fn homes(&self, here: &str, course: Option<&Course>, judged: &Packet) -> (Home, Home) {
        let own = |side: Option<&Side>| side == Some(&Side::Host);
        let source = self.home(judged.source, own(course.map(|course| &course.source)).then_some(here));
        // A gateway's address means the endpoint's own host.
        let near = match &source {
            Home::Workload { host, .. } if is_link_local(judged.destination) => Some(host.as_str()),
            Home::Workload { .. } | Home::Host(_) | Home::Elsewhere => {
                own(course.map(|course| &course.destination)).then_some(here)
            }
        };
        let destination = self.home(judged.destination, near);
        (source, destination)
    }

    fn home(&self, address: IpAddr, host: Option<&str>) -> Home {
        if let Some(host) = host {
            return Home::Host(host.to_owned());
        }
        if let Some((endpoint, _)) = self.world.endpoint_of(address) {
            let mut all = self.objects.values().filter_map(|object| <&Endpoint>::try_from(object).ok());
            let known = all.find(|one| one.name.as_str() == endpoint);
            let (host, endpoint) = (known.map(|one| one.host.to_string()).unwrap_or_default(), endpoint.to_owned());
            return Home::Workload { host, endpoint };
        }
        let host = hosts(self.objects).find(|host| host.addresses.contains(&address)).map(|host| host.name.to_string());
        let of_endpoint = || host_endpoints(self.objects).find(|one| one.addresses.contains(&address));
        host.or_else(|| of_endpoint().map(|one| one.host.clone())).map_or(Home::Elsewhere, Home::Host)
    }

    fn fabric(&self) -> Option<&Fabric> {
        self.objects.get(&ObjectKey::Fabric).and_then(|object| object.try_into().ok())
    }
}

/// The way of a packet, and what was told on it.
struct Way<'q> {
    question: &'q Question<'q>,
    here: &'q str,
    course: Option<&'q Course>,
    judged: Packet,
    told: Vec<DirectionTrace>,
    notes: Vec<String>,
}

impl Way<'_> {
    /// Asks everybody in order. `ends` are the words of the endpoints.
    fn walk(&mut self, homes: &(Home, Home), ends: Vec<DirectionTrace>) {
        let (egress, ingress): (Vec<_>, Vec<_>) = ends.into_iter().partition(|trace| trace.direction == "egress");
        self.told.extend(egress);
        self.tell_of_translation();
        match homes {
            (Home::Host(source), Home::Host(destination)) if source == destination => {}
            (Home::Workload { host, .. }, Home::Workload { host: other, .. }) if host == other => {
                self.told.extend(ingress)
            }
            (Home::Workload { host, endpoint }, Home::Host(other)) if host == other => {
                self.open_to_own_host(host, endpoint)
            }
            (Home::Host(host), Home::Workload { host: other, endpoint }) if host == other => {
                self.told.push(from_own_host(endpoint));
            }
            (source, destination) => {
                self.leave(source);
                self.arrive(destination, ingress);
            }
        }
    }

    fn tell_of_translation(&mut self) {
        let (dialled, judged) = (self.question.packet, self.judged);
        if dialled.destination != judged.destination {
            let note = format!("{} publishes this port, and leads it to {}", self.here, socket(&judged));
            self.notes.push(note);
        }
    }

    /// What leaves a host by its own interfaces.
    fn leave(&mut self, source: &Home) {
        let (host, lanes): (_, &[Lane]) = match source {
            Home::Workload { host, .. } => (host, &[Lane::ForwardOut]),
            Home::Host(host) => (host, &[Lane::UntrackedOut, Lane::Output]),
            Home::Elsewhere => return,
        };
        let own = matches!(source, Home::Host(_)).then_some(self.judged.source);
        let mut doors = self.doors(host, own, self.course.map(|course| &course.destination));
        self.ask(&mut doors, lanes);
    }

    /// What comes to a host by its own interfaces, and with workloads to the end that lives there.
    fn arrive(&mut self, destination: &Home, ingress: Vec<DirectionTrace>) {
        let (host, last) = match destination {
            Home::Workload { host, .. } => (host, Lane::ForwardIn),
            Home::Host(host) => (host, Lane::Input),
            Home::Elsewhere => return self.told.extend(ingress),
        };
        let own = matches!(destination, Home::Host(_)).then_some(self.judged.destination);
        let mut doors = self.doors(host, own, self.course.map(|course| &course.source));
        let goes_on = self.ask(&mut doors, &[Lane::UntrackedIn, Lane::PreDnat]);
        self.told.extend(ingress);
        if goes_on {
            self.ask(&mut doors, &[last]);
        }
    }

    fn open_to_own_host(&mut self, host: &str, endpoint: &str) {
        let fabric = self.question.fabric().cloned().unwrap_or_default();
        let verdict = fabric.workload_to_host.verdict(fabric.naming.is_served, &self.judged);
        let trace = trace("to-host", endpoint, verdict.is_allowed(), verdict.to_string());
        self.told.push(trace);
        if verdict.is_allowed() {
            let mut doors = Gates::of(self.question.objects, host).of_workloads();
            self.ask(&mut doors, &[Lane::Input]);
        }
    }

    /// The host endpoints a packet passes at a host, by the interfaces that lead to `far`, as far as they are known here.
    fn doors(&self, host: &str, own: Option<IpAddr>, far: Option<&Side>) -> Doors {
        let gates = Gates::of(self.question.objects, host);
        match far.filter(|_| host == self.here) {
            Some(Side::Far(interfaces)) if !interfaces.is_empty() => gates.by(interfaces),
            Some(Side::Far(_) | Side::Host | Side::Link(_)) | None => gates.by_guess(own),
        }
    }

    /// Asks in one lane after the other, until one lets the packet go on for good or not at all. Whether it goes on to the next.
    fn ask(&mut self, doors: &mut Doors, lanes: &[Lane]) -> bool {
        let fabric = self.question.fabric();
        let failsafe = fabric.map(|fabric| fabric.failsafe.clone()).unwrap_or_default();
        for lane in lanes {
            let packet = match lane {
                Lane::UntrackedIn | Lane::PreDnat => &self.question.packet,
                Lane::Input | Lane::ForwardIn | Lane::ForwardOut | Lane::UntrackedOut | Lane::Output => &self.judged,
            };
            let asked = doors.ask(&self.question.world, &failsafe, *lane, packet);
            self.told.extend(asked.traces);
            self.notes.extend(asked.note.filter(|note| !self.notes.contains(note)));
            if asked.is_over {
                return false;
            }
        }
        true
    }
}

/// What a text may stand for: itself, or the addresses of the host endpoint or else of the host that is called so.
fn meanings(
    world: &World,
    objects: &BTreeMap<ObjectKey, Object>,
    field: &str,
    text: &str,
) -> Result<Vec<String>, Failure> {
    if text.parse::<IpAddr>().is_ok() || world.endpoints.contains_key(text) {
        return Ok(vec![text.to_owned()]);
    }
    match addresses_of(objects, text) {
        Some(addresses) if !addresses.is_empty() => Ok(addresses.iter().map(ToString::to_string).collect()),
        Some(_) => {
            let message = format!("it is not known which addresses {text} has");
            Err(Failure::new(tonic::Code::InvalidArgument, "NO_ADDRESS", message)
                .field(field)
                .advice("ask with an address in its place"))
        }
        None => Err(nobody(world, objects, field, text)),
    }
}

/// The addresses of whoever has that name.
pub(super) fn known(objects: &BTreeMap<ObjectKey, Object>, name: &str) -> Option<BTreeSet<IpAddr>> {
    let mut endpoints = objects.values().filter_map(|object| <&Endpoint>::try_from(object).ok());
    let endpoint = endpoints.find(|endpoint| endpoint.name.as_str() == name);
    endpoint.map(|endpoint| endpoint.addresses.iter().copied().collect()).or_else(|| addresses_of(objects, name))
}

/// The addresses of the host endpoint of that name, and where it has none or is not there, of the host.
fn addresses_of(objects: &BTreeMap<ObjectKey, Object>, name: &str) -> Option<BTreeSet<IpAddr>> {
    let endpoint = host_endpoints(objects).find(|endpoint| endpoint.name == name);
    let of_endpoint = endpoint.map(|endpoint| endpoint.addresses.iter().copied().collect::<BTreeSet<_>>());
    let host = hosts(objects).find(|host| host.name.as_str() == name).map(|host| host.addresses.clone());
    of_endpoint.clone().filter(|addresses| !addresses.is_empty()).or(host).or(of_endpoint)
}

fn nobody(world: &World, objects: &BTreeMap<ObjectKey, Object>, field: &str, text: &str) -> Failure {
    let endpoints = world.endpoints.keys().map(String::as_str);
    let own = host_endpoints(objects).map(|endpoint| endpoint.name.as_str());
    let near = nearest(text, endpoints.chain(own).chain(hosts(objects).map(|host| host.name.as_str())));
    let advice = match near {
        Some(near) => format!("did you mean {near}?"),
        None => "see `poplin get endpoints`, `poplin get hosts` and `poplin get hostendpoints`".to_owned(),
    };
    let message = format!("{text:?} is no endpoint, no host, no host endpoint and no address");
    Failure::new(tonic::Code::NotFound, "NOT_FOUND", message).field(field).advice(advice)
}

fn hosts(objects: &BTreeMap<ObjectKey, Object>) -> impl Iterator<Item = &Host> {
    objects.values().filter_map(|object| object.try_into().ok())
}

fn host_endpoints(objects: &BTreeMap<ObjectKey, Object>) -> impl Iterator<Item = &HostEndpoint> {
    objects.values().filter_map(|object| object.try_into().ok())
}

fn from_own_host(endpoint: &str) -> DirectionTrace {
    trace("ingress", endpoint, true, "what a host itself sends to its own workloads passes: allowed".to_owned())
}

fn trace(direction: &str, endpoint: &str, allowed: bool, reason: String) -> DirectionTrace {
    let (direction, endpoint) = (direction.to_owned(), endpoint.to_owned());
    DirectionTrace { direction, endpoint, allowed, reason, ..DirectionTrace::default() }
}

fn socket(packet: &Packet) -> String {
    match packet.transport {
        Transport::Ports { destination, .. } => SocketAddr::new(packet.destination, destination).to_string(),
        Transport::Icmp { .. } | Transport::Other(_) => packet.destination.to_string(),
    }
}

#[cfg(test)]
mod tests;
