//! A node that is told of flows, and what it asks of them.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use poplin_node::flows::{Flow, FlowHandle};
use poplin_node::kernel::{KernelState, Mac, StepFailure, StepFailureKind, UnderlayRoute};
use poplin_node::name::{AttachmentId, EndpointName, FloatingName, HostName, PoolName};
use poplin_node::object::{Endpoint, FloatingAddress, Host, Object, ObjectKey, Pool, Versioned};
use poplin_node::{Action, Event, Identity, Node};
use poplin_policy::host::{Doorway, HostEndpoint};
use poplin_policy::label::Labels;
use poplin_policy::model::{Action as RuleAction, Hosts, Mode, Policy, Rule, Selection};
use poplin_policy::nat::Outgoing;
use poplin_policy::packet::{Packet, Transport};
use poplin_policy::ruleset::{Interface, SourceNat};
use poplin_policy::selector::Selector;

pub(super) const WEB: &str = "10.77.0.1";
pub(super) const DB: &str = "10.77.0.2";
pub(super) const FAR: &str = "10.77.9.9";
pub(super) const HOST: &str = "172.31.0.1";
pub(super) const FLOATING: &str = "198.51.100.7";

/// A node that carries everything out at once, and what it asks about flows.
pub(super) struct Room {
    pub(super) node: Node,
    pub(super) now: Instant,
    pub(super) revision: i64,
    pub(super) asked: Option<BTreeSet<IpAddr>>,
    pub(super) readings: u32,
    pub(super) known: Vec<Flow>,
    pub(super) ended: Vec<FlowHandle>,
    /// The next batch fails at its first step.
    pub(super) fail_next: bool,
    /// Batches are done when the test says so.
    pub(super) is_held: bool,
}

impl Room {
    /// All flows of the beginning are read; with endpoints there are some to look at.
    pub(super) fn with(objects: Vec<Object>) -> Self {
        let identity = Identity {
            host: HostName::new("h1"),
            labels: Labels::default(),
            addresses: BTreeSet::from([address(HOST)]),
            asn: None,
            router_id: None,
            machine: None,
            release: None,
        };
        let (node, now) = (Node::new(identity), Instant::now());
        let is_ruled = objects.iter().any(|object| matches!(object, Object::Policy(_)));
        let mut room = Self {
            node,
            now,
            revision: 1,
            asked: None,
            readings: 0,
            known: vec![],
            ended: vec![],
            fail_next: false,
            is_held: false,
        };
        room.tell(Event::KernelRead(kernel()));
        let objects = objects.into_iter().chain([Object::Host(me())]);
        let objects = objects.map(|value| Versioned { value, version: 1 }).collect();
        room.tell(Event::StoreRead { revision: 1, objects, unreadable: vec![] });
        if !is_ruled && room.asked.is_some() {
            room.flows(vec![]);
            room.readings = 0;
        }
        room
    }

    pub(super) fn tell(&mut self, event: Event) {
        self.node.handle(self.now, event);
        while let Some(action) = self.node.next_action() {
            match action {
                Action::Apply(_) if self.is_held => {}
                Action::Apply(steps) => {
                    let failure =
                        |step| StepFailure { step, kind: StepFailureKind::Other, reason: "made so".to_owned() };
                    let failed = steps.into_iter().next().filter(|_| std::mem::take(&mut self.fail_next)).map(failure);
                    self.node.handle(self.now, Event::StepsDone(failed.map_or(Ok(()), Err)));
                }
                Action::ReadFlows(ends, _) => {
                    assert_eq!(self.asked.replace(ends), None);
                    self.readings += 1;
                }
                Action::EndFlows(flows) => self.ended.extend(flows),
                Action::Transact(_, transaction) => panic!("{transaction:?}"),
                Action::Answer(..)
                | Action::Discover(_)
                | Action::Owe(_)
                | Action::Keep { .. }
                | Action::ProtectCallers(_)
                | Action::AdvertiseNeighbours(_)
                | Action::ChangeNames(_)
                | Action::ReadStore
                | Action::OpenNameDoors(_)
                | Action::Probe(_)
                | Action::Bgp(_)
                | Action::Note(_) => {}
            }
        }
    }

    pub(super) fn put(&mut self, object: Object) {
        self.revision += 1;
        let puts = vec![Versioned { value: object, version: self.revision }];
        self.tell(Event::StoreChanged { revision: self.revision, puts, unreadable: vec![], deletes: vec![] });
    }

    pub(super) fn delete(&mut self, key: ObjectKey) {
        self.revision += 1;
        self.tell(Event::StoreChanged {
            revision: self.revision,
            puts: vec![],
            unreadable: vec![],
            deletes: vec![key],
        });
    }

    /// The flows asked for are these.
    #[track_caller]
    pub(super) fn flows(&mut self, mut flows: Vec<Flow>) {
        self.asked.take().expect("the flows are asked for");
        for (number, flow) in (0..).zip(&mut flows) {
            flow.handle = FlowHandle(vec![number]);
        }
        self.known.clone_from(&flows);
        let later = flows.split_off(flows.len() / 2);
        self.tell(Event::FlowsRead(flows));
        self.tell(Event::FlowsRead(later));
        self.tell(Event::FlowsDone(Ok(())));
    }

    /// The steps that are held are done.
    pub(super) fn steps_done(&mut self) {
        self.tell(Event::StepsDone(Ok(())));
    }

    /// The same, which takes so long that a rest follows.
    #[track_caller]
    pub(super) fn rest_after(&mut self, flows: Vec<Flow>) {
        self.now += millis(10);
        self.flows(flows);
    }

    /// The longest rest is over.
    pub(super) fn have_rested(&mut self) {
        self.now += millis(200);
        self.tell(Event::Tick);
    }

    /// What was ended of the flows last read.
    pub(super) fn ended(&mut self) -> Vec<Flow> {
        let ended = std::mem::take(&mut self.ended);
        let known = self.known.iter().filter(|flow| ended.contains(&flow.handle));
        known.map(|flow| Flow { handle: FlowHandle(vec![]), ..flow.clone() }).collect()
    }
}

pub(super) fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

pub(super) fn kernel() -> KernelState {
    let mut kernel = KernelState::default();
    kernel.addresses.insert(address(HOST), "up".to_owned());
    kernel.interfaces =
        [("lo", 1), ("up0", 2), ("up1", 3)].map(|(name, index)| (Interface::new(name).unwrap(), index)).into();
    let ways = [("0.0.0.0/0", UnderlayRoute::OnLink(2)), ("198.51.100.0/24", UnderlayRoute::OnLink(3))];
    kernel.underlay = ways.map(|(prefix, way)| (prefix.parse().unwrap(), way)).into();
    kernel.local = [HOST, "10.255.0.1", "169.254.1.1"].map(address).into();
    kernel
}

pub(super) fn me() -> Host {
    Host {
        name: HostName::new("h1"),
        labels: Labels::default(),
        addresses: BTreeSet::from([address(HOST)]),
        asn: None,
        router_id: HOST.parse().unwrap(),
        is_draining: false,
        told: None,
        machine: None,
        release: None,
    }
}

pub(super) fn endpoint(name: &str, at: &str) -> Object {
    Object::Endpoint(Endpoint {
        name: EndpointName::new(name),
        labels: Labels::try_from_pairs([("app", name)]).unwrap(),
        host: HostName::new("h1"),
        attachment: AttachmentId { container: name.to_owned(), interface: "eth0".to_owned() },
        addresses: [address(at)].into(),
        interface: Interface::new(format!("pop{name}")).unwrap(),
        mac: Mac([2, 0, 0, 0, 0, 1]),
        namespace: None,
        ports: Vec::new(),
        published: Vec::new(),
        netns: format!("/run/netns/{name}").into(),
        mtu_bytes: 1500,
        network: None,
        is_sticky: false,
        profiles: Vec::new(),
        since: None,
        aliases: BTreeSet::new(),
        container: None,
        parent: None,
    })
}

/// A host endpoint of this host.
pub(super) fn edge(interface: &str) -> Object {
    Object::HostEndpoint(HostEndpoint {
        name: "edge".to_owned(),
        labels: Labels::try_from_pairs([("role", "edge")]).unwrap(),
        profiles: Vec::new(),
        host: "h1".to_owned(),
        doorway: Doorway::Named(Interface::new(interface).unwrap()),
        addresses: BTreeSet::new(),
        ports: Vec::new(),
    })
}

/// A policy of the host endpoint that allows ports in both directions.
pub(super) fn at_edge(hosts: Hosts, ports: &[&str]) -> Object {
    let rule =
        Rule { ports: ports.iter().map(|port| port.parse().unwrap()).collect(), ..Rule::any("1", RuleAction::Allow) };
    for_edge(hosts, vec![rule])
}

pub(super) fn for_edge(hosts: Hosts, rules: Vec<Rule>) -> Object {
    let egress = (hosts != Hosts::PreDnat).then(|| rules.clone().into());
    Object::Policy(Policy {
        name: "edge".into(),
        mode: Mode::Enforce,
        hosts,
        tier: "default".to_owned(),
        order: None,
        subject: Selection::anywhere(Selector::parse("role == 'edge'").unwrap()),
        ingress: Some(rules.into()),
        egress,
    })
}

pub(super) fn masquerading(cidr: &str) -> Pool {
    Pool {
        nat: Some(Outgoing { source: SourceNat::Masquerade, exclude: Vec::new() }),
        ..Pool::open(PoolName::new("four"), cidr.parse().unwrap(), 26)
    }
}

pub(super) fn publishing(object: Object, ports: &[&str]) -> Object {
    let Object::Endpoint(endpoint) = object else { panic!("endpoints publish") };
    Object::Endpoint(Endpoint { published: ports.iter().map(|port| port.parse().unwrap()).collect(), ..endpoint })
}

/// The floating address, led to somebody or to nobody.
pub(super) fn floating(endpoint: Option<&str>) -> Object {
    Object::FloatingAddress(FloatingAddress {
        name: FloatingName::new("front"),
        address: address(FLOATING),
        endpoint: endpoint.map(EndpointName::new),
        is_until_detached: false,
        labels: Default::default(),
        annotations: Default::default(),
    })
}

/// A flow that comes by a translated address.
pub(super) fn led(flow: Flow, to: &str) -> Flow {
    Flow { answered: Packet { source: address(to), ..flow.answered }, ..flow }
}

/// A flow that goes out under the floating address.
pub(super) fn leaving(flow: Flow) -> Flow {
    Flow { answered: Packet { destination: address(FLOATING), ..flow.answered }, ..flow }
}

/// To db one may open these ports only.
pub(super) fn db_for_ports(ports: &str) -> Object {
    let ports = ports.split(' ').map(|port| port.parse().unwrap()).collect();
    db_for(vec![Rule { ports, ..Rule::any("1", RuleAction::Allow) }])
}

pub(super) fn db_for_nobody() -> Object {
    db_for(vec![])
}

pub(super) fn db_for(rules: Vec<Rule>) -> Object {
    Object::Policy(Policy {
        name: "db".into(),
        mode: Mode::Enforce,
        hosts: Hosts::Never,
        tier: "default".to_owned(),
        order: None,
        subject: Selection::anywhere(Selector::parse("app == 'db'").unwrap()),
        ingress: Some(rules.into()),
        egress: None,
    })
}

pub(super) fn tcp(from: &str, to: &str, port: u16) -> Flow {
    flow(Packet::tcp(address(from), address(to), (40000, port)))
}

pub(super) fn udp(from: &str, to: &str, port: u16) -> Flow {
    flow(Packet::udp(address(from), address(to), (40000, port)))
}

/// A flow nobody translates.
pub(super) fn flow(opened: Packet) -> Flow {
    let transport = match opened.transport {
        Transport::Ports { protocol, source, destination } => {
            Transport::Ports { protocol, source: destination, destination: source }
        }
        other => other,
    };
    let answered = Packet { source: opened.destination, destination: opened.source, transport };
    Flow { opened, answered, is_related: false, is_picked_up: false, handle: FlowHandle(vec![]) }
}

pub(super) fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}
