//! Containers that are on a LAN themselves: what has to be done in their namespaces holds nobody else up, and what fails there is no matter of the host's.

#![allow(clippy::unwrap_used)]

mod world;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use poplin_node::kernel::{KernelState, Mac, Step, StepFailure, StepFailureKind, UnderlayRoute};
use poplin_node::macvlan::{Macvlan, MacvlanMode};
use poplin_node::name::{EndpointName, HostName, NetworkName};
use poplin_node::names::Records;
use poplin_node::object::{Endpoint, Network, Object, ObjectKey, Versioned};
use poplin_node::{Action, Event, Node};
use poplin_policy::circle::Circle;
use poplin_policy::label::Labels;
use poplin_policy::ruleset::Interface;
use world::{id, node, pool};

/// How many are there at first.
const CONTAINERS: u8 = 20;

/// A node, its clock, and the steps it waits for.
struct Desk {
    node: Node,
    now: Instant,
    revision: i64,
    batch: Option<Vec<Step>>,
    has_asked_for_flows: bool,
}

impl Desk {
    /// It begins where all of them stand in the store, and nothing of them is known in their namespaces.
    fn begun() -> Self {
        let desk = Self { node: node(), now: Instant::now(), revision: 10, batch: None, has_asked_for_flows: false };
        let mut desk = desk.told(Event::KernelRead(kernel()));
        let objects = [pool("lan", "192.168.8.0/24", 28), lan()].into_iter().chain((1..=CONTAINERS).map(container));
        let objects = objects.map(|value| Versioned { value, version: 10 }).collect();
        desk.tell(Event::StoreRead { revision: 10, objects, unreadable: vec![] });
        desk
    }

    fn told(mut self, event: Event) -> Self {
        self.tell(event);
        self
    }

    fn tell(&mut self, event: Event) {
        self.node.handle(self.now, event);
        let mut committed = None;
        while let Some(action) = self.node.next_action() {
            match action {
                Action::Apply(steps) => assert_eq!(self.batch.replace(steps), None),
                Action::Transact(id, _) => committed = Some(id),
                Action::ReadFlows(..) => self.has_asked_for_flows = true,
                _ => {}
            }
        }
        if let Some(id) = committed {
            self.revision += 1;
            let outcome = poplin_node::transaction::TransactionOutcome::Committed { revision: self.revision };
            self.tell(Event::TransactionDone { id, outcome });
        }
    }

    fn store(&mut self, puts: Vec<Object>, deletes: Vec<ObjectKey>) {
        self.revision += 1;
        let (revision, version) = (self.revision, self.revision);
        let puts = puts.into_iter().map(|value| Versioned { value, version }).collect();
        self.tell(Event::StoreChanged { revision, puts, unreadable: vec![], deletes });
    }

    /// What is done in containers by the batch under way, which is done.
    fn finish(&mut self) -> Vec<String> {
        let steps = self.batch.take().unwrap();
        self.tell(Event::StepsDone(Ok(())));
        steps.iter().filter_map(inside).collect()
    }

    fn finish_all(&mut self) {
        while self.batch.is_some() {
            self.finish();
        }
    }

    fn fail(&mut self, is_it: impl Fn(&Step) -> bool) {
        let step = self.batch.take().unwrap().into_iter().find(is_it).unwrap();
        let failure = StepFailure { step, kind: StepFailureKind::Other, reason: "made so".to_owned() };
        self.tell(Event::StepsDone(Err(failure)));
    }

    /// No flow is found, as often as it asks. Tells how often it did.
    fn judge(&mut self) -> usize {
        let mut asked = 0;
        while std::mem::take(&mut self.has_asked_for_flows) {
            asked += 1;
            self.tell(Event::FlowsDone(Ok(())));
            self.wait(Duration::from_secs(1));
        }
        asked
    }

    fn wait(&mut self, duration: Duration) {
        self.now += duration;
        self.tell(Event::Tick);
    }
}

/// Whose namespace a step is in.
fn inside(step: &Step) -> Option<String> {
    match step {
        Step::ChangeSandbox { netns, .. } => Some(netns.display().to_string()),
        Step::LeaveSandbox { netns, .. } => Some(format!("leave {}", netns.display())),
        _ => None,
    }
}

fn is_leaving(step: &Step) -> bool {
    matches!(step, Step::LeaveSandbox { .. })
}

fn kernel() -> KernelState {
    let mut kernel = KernelState::default();
    kernel.underlay.insert("172.31.0.0/24".parse().unwrap(), UnderlayRoute::OnLink(2));
    kernel.addresses.insert("172.31.0.1".parse().unwrap(), "up".to_owned());
    kernel
}

fn lan() -> Object {
    let name = "lan".to_owned();
    let circle = Circle {
        name,
        labels: Labels::default(),
        index: 513,
        is_open_within: true,
        is_open_to_others: false,
        is_open_outside: true,
    };
    let macvlan = Macvlan {
        parent: Interface::new("eth1").unwrap(),
        mode: MacvlanMode::Bridge,
        gateways: ["192.168.8.1".parse().unwrap()].into(),
    };
    Object::Network(Network {
        name: NetworkName::new("lan"),
        circle,
        subnets: ["192.168.8.0/24".parse().unwrap()].into(),
        ranges: BTreeSet::new(),
        reserved: BTreeSet::new(),
        mtu_bytes: None,
        index: 513,
        records: Records::new(),
        macvlan: Some(macvlan),
    })
}

fn container(number: u8) -> Object {
    let name = format!("c{number:02}");
    Object::Endpoint(Endpoint {
        labels: Labels::default(),
        namespace: Some("lan".to_owned()),
        profiles: Vec::new(),
        network: Some(NetworkName::new("lan")),
        ports: Vec::new(),
        published: Vec::new(),
        host: HostName::new("h1"),
        addresses: [std::net::IpAddr::from([192, 168, 8, 100 + number])].into(),
        interface: Interface::new(format!("pop{number:012}")).unwrap(),
        mac: Mac([2, 0, 0, 0, 0, number]),
        netns: format!("/run/netns/{name}").into(),
        mtu_bytes: 1500,
        aliases: BTreeSet::new(),
        container: None,
        attachment: id(&name),
        is_sticky: false,
        since: None,
        parent: Interface::new("eth1"),
        name: EndpointName::new(format!("{name}.lan")),
    })
}

fn gone(number: u8) -> ObjectKey {
    ObjectKey::Endpoint(EndpointName::new(format!("c{number:02}.lan")))
}

#[test]
fn a_new_life_writes_rules_in_a_few_containers_at_once_and_the_hosts_own_do_not_wait_for_the_others() {
    let mut desk = Desk::begun();
    let mut rounds = Vec::new();
    while desk.batch.is_some() {
        if rounds.len() == 2 {
            desk.store(vec![pool("more", "10.77.0.0/16", 26), container(CONTAINERS + 1)], vec![]);
            let rules = |desk: &Desk| desk.batch.iter().flatten().any(|step| matches!(step, Step::ChangeRules(_)));
            assert!(!rules(&desk), "the batch that is under way is of before");
            rounds.push(desk.finish());
            assert!(rules(&desk), "the very next has the host's own");
        }
        rounds.push(desk.finish());
    }

    assert!(rounds.iter().all(|round| round.len() <= 4), "{rounds:?}");
    let begun: BTreeSet<String> = rounds.concat().into_iter().collect();
    assert_eq!(begun.len(), usize::from(CONTAINERS) + 1);
    assert!(rounds.len() > 5);
}

#[test]
fn what_cannot_be_taken_out_of_a_container_holds_nothing_up_and_is_tried_again() {
    let mut desk = Desk::begun();
    desk.finish_all();
    let leave = |desk: &Desk| desk.batch.iter().flatten().filter(|step| is_leaving(step)).count();
    desk.store(vec![], vec![gone(1)]);
    assert_eq!(leave(&desk), 1);

    desk.fail(is_leaving);
    assert!(desk.batch.is_some(), "the rest goes on at once, and no kernel has to be read for it");
    desk.finish_all();
    desk.store(vec![], vec![gone(2)]);
    assert_eq!(leave(&desk), 1, "of the other");
    desk.finish_all();

    desk.wait(Duration::from_millis(100));
    assert_eq!(leave(&desk), 1);
    desk.fail(is_leaving);
    desk.finish_all();
    desk.wait(Duration::from_millis(100));
    assert_eq!(leave(&desk), 0, "it waits twice as long now");
    desk.wait(Duration::from_millis(100));
    assert_eq!(desk.finish(), ["leave /run/netns/c01"]);
    desk.wait(Duration::from_secs(10));
    assert_eq!(desk.batch, None);
}

#[test]
fn flows_are_judged_once_more_when_the_last_container_has_the_rules() {
    let mut desk = Desk::begun();
    desk.finish_all();
    desk.judge();

    let closed = |network: Object| match network {
        Object::Network(lan) => {
            let circle = Circle { is_open_within: false, ..lan.circle };
            Object::Network(Network { circle, ..lan })
        }
        other => other,
    };
    desk.store(vec![closed(lan())], vec![]);
    desk.finish();
    assert!(desk.has_asked_for_flows, "the host's rules are in force");
    desk.finish_all();
    assert_eq!(desk.judge(), 2, "what went on in those that came later is asked again, and then all is well");
}
