//! The whole story of a question: what the endpoints at its ends say, and what hosts say on the way.
//!
//! In: a fabric, a question, and what a host knows of the way, if one is asked. Out: the packet that stands for the question, and everybody's words in
//! the order in which they are asked: the endpoints' at its ends, as [`question`] tells them, what they may open to their own host, and those of the
//! host endpoints it passes. What only another host can know is said to be asked there.

mod gate;
mod staged;

use std::net::{IpAddr, SocketAddr};

use poplin_policy::course::{Course, Side};
use poplin_policy::gate::Lane;
use poplin_policy::host::is_link_local;
use poplin_policy::packet::{Packet, Transport};
use poplin_proto::Failure;
use poplin_proto::v1::{DirectionTrace, ExplainRequest, ExplainResponse};

use crate::question;
use crate::site::{Home, Site};
use gate::{Doors, Gates};

/// What is asked, once it makes sense.
pub struct Question<'s> {
    site: &'s Site,
    /// The packet that stands for it.
    pub packet: Packet,
}

impl<'s> Question<'s> {
    /// The question with addresses in place of the names of hosts and host endpoints, in the first way that makes sense.
    pub fn of(site: &'s Site, request: &ExplainRequest) -> Result<Self, Failure> {
        let sources = site.meanings("source", &request.source)?;
        let destinations = site.meanings("destination", &request.destination)?;
        let mut outcome =
            Err(Failure::new(tonic::Code::Internal, "NO_WAY", "a question can be put in at least one way"));
        for (source, destination) in sources.iter().flat_map(|source| destinations.iter().map(move |to| (source, to))) {
            let (source, destination) = (source.clone(), destination.clone());
            outcome = question::packet(&site.world, &ExplainRequest { source, destination, ..request.clone() });
            if let Ok(packet) = outcome {
                return Ok(Self { site, packet });
            }
        }
        outcome.map(|packet| Self { site, packet })
    }

    /// Tells the whole story, as far as it is known on a host; nobody is asked where `here` is empty and there is no course.
    pub fn answer(&self, here: &str, course: Option<&Course>) -> ExplainResponse {
        let mut answer = self.walked(here, course);
        answer.notes.extend(staged::told(self, here, course, &answer));
        answer
    }

    /// The same, but for what would become of it were staged policies promoted: that looks at all of them once for every question.
    pub fn walked(&self, here: &str, course: Option<&Course>) -> ExplainResponse {
        let judged = course.map_or(self.packet, |course| course.judged);
        let mut answer = question::story(&self.site.world, &judged);
        answer.destination_address = self.packet.destination.to_string();
        let ends = self.homes(here, course, &judged);
        let notes = Vec::from_iter(begins_nothing(&judged));
        let mut way = Way { question: self, here, course, judged, told: Vec::new(), notes, is_settled: true };
        way.walk(&ends, std::mem::take(&mut answer.directions));
        answer.allowed = way.told.iter().all(|trace| trace.allowed);
        answer.unsettled = answer.allowed && !way.is_settled;
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
        host.map_or_else(|| self.site.home(address), |host| Home::Host(host.to_owned()))
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
    /// Whoever is asked is known here.
    is_settled: bool,
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
        let Site { workload_to_host, serves_names, .. } = self.question.site;
        let verdict = workload_to_host.verdict(*serves_names, &self.judged);
        let trace = trace("to-host", endpoint, verdict.is_allowed(), verdict.to_string());
        self.told.push(trace);
        if verdict.is_allowed() {
            let mut doors = Gates::of(self.question.site, host).of_workloads();
            self.ask(&mut doors, &[Lane::Input]);
        }
    }

    /// The host endpoints a packet passes at a host, by the interfaces that lead to `far`, as far as they are known here.
    fn doors(&self, host: &str, own: Option<IpAddr>, far: Option<&Side>) -> Doors {
        let gates = Gates::of(self.question.site, host);
        match far.filter(|_| host == self.here) {
            Some(Side::Far(interfaces)) if !interfaces.is_empty() => gates.by(interfaces),
            Some(Side::Far(_) | Side::Host | Side::Link(_)) | None => gates.by_guess(own),
        }
    }

    /// Asks in one lane after the other, until one lets the packet go on for good or not at all. Whether it goes on to the next.
    fn ask(&mut self, doors: &mut Doors, lanes: &[Lane]) -> bool {
        let Site { world, failsafe, .. } = self.question.site;
        for lane in lanes {
            let packet = match lane {
                Lane::UntrackedIn | Lane::PreDnat => &self.question.packet,
                Lane::Input | Lane::ForwardIn | Lane::ForwardOut | Lane::UntrackedOut | Lane::Output => &self.judged,
            };
            let asked = doors.ask(world, failsafe, *lane, packet);
            self.told.extend(asked.traces);
            self.is_settled &= !asked.is_unknown;
            self.notes.extend(asked.note.filter(|note| !self.notes.contains(note)));
            if asked.is_over {
                return false;
            }
        }
        true
    }
}

/// Policy judges what begins a flow; of what cannot, its word is half the story.
fn begins_nothing(packet: &Packet) -> Option<String> {
    (!packet.transport.may_begin_a_flow()).then(|| {
        "this message answers or reports: with a flow that is known it passes, whatever policies say, and without one endpoints neither send nor get it"
            .to_owned()
    })
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
