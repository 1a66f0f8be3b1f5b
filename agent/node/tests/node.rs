//! One node, event by event: what the simulation once found, and how long a request may take.

#![allow(clippy::unwrap_used)]

mod world;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use poplin_bgp::ConnectionId;
use poplin_node::kernel::{Gateway, KernelState, Step, StepFailure, StepFailureKind, Target, UnderlayRoute};
use poplin_node::name::{EndpointName, HostName, PoolName};
use poplin_node::object::{Endpoint, Host, Object, ObjectKey, Versioned};
use poplin_node::request::{Answer, Attach, Attached, Detach, Hold, Refusal, Renew, RequestId};
use poplin_node::transaction::{Transaction, TransactionId, TransactionOutcome};
use poplin_node::{Action, Event, Node};
use poplin_policy::delta::Change;
use poplin_policy::label::Labels;
use world::{id, node, pool};

/// The wait after a first refusal of the kernel.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long routes of an earlier life are kept.
const ADOPTION: Duration = Duration::from_secs(30);

/// A node, its clock, and what it asked for and did not get yet.
struct Desk {
    node: Node,
    now: Instant,
    revision: i64,
    batch: Option<Vec<Step>>,
    transaction: Option<(TransactionId, Transaction)>,
    answers: Vec<Answer>,
    closed: Vec<ConnectionId>,
    reads_store: bool,
}

impl Desk {
    fn new() -> Self {
        let (node, now) = (node(), Instant::now());
        Self {
            node,
            now,
            revision: 10,
            batch: None,
            transaction: None,
            answers: vec![],
            closed: vec![],
            reads_store: false,
        }
    }

    /// One that has read everything, is written down, and has nothing left to do.
    fn at_rest(objects: Vec<Object>) -> Self {
        let mut desk = Self::new();
        desk.tell(Event::KernelRead(kernel()));
        desk.read(objects);
        desk.commit();
        desk.finish_batches();
        desk
    }

    fn tell(&mut self, event: Event) {
        self.node.handle(self.now, event);
        while let Some(action) = self.node.next_action() {
            match action {
                Action::Apply(steps) => assert_eq!(self.batch.replace(steps), None),
                Action::Transact(id, transaction) => assert_eq!(self.transaction.replace((id, transaction)), None),
                Action::ReadFlows(..) => {} // a kernel that never answers holds nothing up
                Action::EndFlows(flows) => panic!("{flows:?} were never read"),
                Action::Answer(_, answer) => self.answers.push(answer),
                Action::Bgp(poplin_bgp::Action::Close { connection }) => self.closed.push(connection),
                Action::ReadStore => self.reads_store = true,
                Action::Probe(probe) => panic!("{probe} is of no service: there is none"),
                Action::Discover(_)
                | Action::Owe(_)
                | Action::Keep { .. }
                | Action::ProtectCallers(_)
                | Action::AdvertiseNeighbours(_)
                | Action::ChangeNames(_)
                | Action::OpenNameDoors(_)
                | Action::Bgp(_)
                | Action::Note(_) => {}
            }
        }
    }

    fn read(&mut self, objects: Vec<Object>) {
        let version = self.revision;
        let objects = objects.into_iter().map(|value| Versioned { value, version }).collect();
        self.tell(Event::StoreRead { revision: version, objects, unreadable: vec![] });
    }

    fn end(&mut self, outcome: TransactionOutcome) -> Transaction {
        let (id, transaction) = self.transaction.take().expect("a transaction is under way");
        self.tell(Event::TransactionDone { id, outcome });
        transaction
    }

    fn commit(&mut self) -> Transaction {
        self.revision += 1;
        self.end(TransactionOutcome::Committed { revision: self.revision })
    }

    fn lose_answer(&mut self) -> Transaction {
        self.end(TransactionOutcome::Unknown { reason: "no answer".to_owned() })
    }

    fn finish_batches(&mut self) {
        while self.batch.take().is_some() {
            self.tell(Event::StepsDone(Ok(())));
        }
    }

    fn fail(&mut self, is_it: fn(&Step) -> bool, kernel: KernelState) {
        let steps = self.batch.take().expect("a batch is under way");
        let step = steps.into_iter().find(is_it).expect("the step is in the batch");
        let failure = StepFailure { step, kind: StepFailureKind::Other, reason: "made so".to_owned() };
        self.tell(Event::StepsDone(Err(failure)));
        self.tell(Event::KernelRead(kernel));
    }

    fn wait(&mut self, duration: Duration) {
        self.now += duration;
        self.tell(Event::Tick);
    }

    fn attach(&mut self, attach: Attach) {
        self.tell(Event::AttachRequested(RequestId(1), attach));
    }

    fn detach(&mut self, container: &str) {
        self.tell(Event::DetachRequested(RequestId(2), Detach::Attachment(id(container))));
    }

    /// An attachment from wish to answer.
    fn attach_wholly(&mut self, attach: Attach) -> Attached {
        self.attach(attach);
        self.commit();
        self.finish_batches();
        match self.answers.pop() {
            Some(Answer::Attached(attached)) => attached,
            other => panic!("it was answered with {other:?}"),
        }
    }

    fn refusal(&self) -> Option<&Refusal> {
        match self.answers.as_slice() {
            [Answer::Refused(refusal)] => Some(refusal),
            _ => None,
        }
    }
}

/// The host as the node writes it down.
fn me() -> Host {
    Host {
        name: HostName::new("h1"),
        labels: Labels::default(),
        addresses: BTreeSet::from([address("172.31.0.1")]),
        asn: None,
        router_id: "172.31.0.1".parse().unwrap(),
        is_draining: false,
        told: None,
        machine: None,
        release: None,
    }
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn wish(container: &str) -> Attach {
    world::wish(container, None)
}

fn four() -> Object {
    pool("four", "10.77.0.0/24", 26)
}

fn kernel() -> KernelState {
    let mut kernel = KernelState::default();
    kernel.underlay.insert(net("172.31.0.0/24"), UnderlayRoute::OnLink(2));
    kernel.addresses.insert(address("172.31.0.1"), "up".to_owned());
    kernel
}

fn far_away() -> Target {
    Target::Gateways(BTreeSet::from([Gateway { address: address("172.31.0.2"), interface: Some(2) }]))
}

fn is_restart(step: &Step) -> bool {
    matches!(step, Step::ChangeRules(changes) if changes.first() == Some(&Change::Restart))
}

fn endpoints_in(transaction: &Transaction) -> Vec<&Endpoint> {
    fn endpoint(put: &Object) -> Option<&Endpoint> {
        match put {
            Object::Endpoint(endpoint) => Some(endpoint),
            _ => None,
        }
    }
    transaction.puts.iter().filter_map(endpoint).collect()
}

#[test]
fn an_attachment_is_written_down_then_wired_then_answered() {
    let mut desk = Desk::at_rest(vec![four()]);

    desk.attach(wish("web"));
    assert_eq!((desk.batch.is_some(), desk.answers.len()), (false, 0));
    desk.commit();
    assert_eq!((desk.batch.is_some(), desk.answers.len()), (true, 0));
    desk.finish_batches();

    assert!(matches!(desk.answers.as_slice(), [Answer::Attached(_)]));
}

#[test]
fn what_is_refused_for_no_reason_that_is_known_is_tried_again_once_the_store_was_read_and_not_before() {
    let mut desk = Desk::at_rest(vec![four()]);
    desk.attach(wish("web"));
    let current = vec![Versioned { value: four(), version: 10 }];

    desk.end(TransactionOutcome::Refused { revision: 11, current, unreadable: vec![] });
    assert!(desk.reads_store && desk.transaction.is_none(), "it would be refused again");
    desk.read(vec![four(), Object::Host(me())]);
    desk.wait(Duration::from_millis(500));

    desk.commit();
    desk.finish_batches();
    assert!(matches!(desk.answers.as_slice(), [Answer::Attached(_)]));
}

#[test]
fn who_asks_again_is_answered_once_the_link_was_found_to_stand() {
    let mut desk = Desk::at_rest(vec![four()]);
    desk.attach_wholly(wish("web"));

    // Another hand has removed the link, and nobody has read of it.
    desk.attach(wish("web"));
    assert_eq!(desk.answers, vec![]);
    desk.fail(|step| matches!(step, Step::ConfigureLink(_)), kernel());
    desk.wait(FIRST_PAUSE);

    assert!(desk.batch.as_ref().unwrap().iter().any(|step| matches!(step, Step::CreateLink(_))));
    desk.finish_batches();
    assert!(matches!(desk.answers.as_slice(), [Answer::Attached(_)]));
}

#[test]
fn rules_that_were_not_reached_are_not_taken_for_loaded() {
    let mut desk = Desk::new();
    desk.tell(Event::KernelRead(kernel()));
    desk.read(vec![four()]);
    desk.commit();

    desk.fail(|step| *step == Step::EnableForwarding, kernel());
    desk.wait(FIRST_PAUSE);

    assert!(desk.batch.unwrap().iter().any(is_restart));
}

#[test]
fn rules_that_were_done_before_a_failure_are_not_loaded_again() {
    let mut desk = Desk::at_rest(vec![four()]);
    desk.attach(wish("web"));
    desk.commit();

    desk.fail(|step| matches!(step, Step::SetRoute { .. }), kernel());
    desk.wait(FIRST_PAUSE);

    assert!(!desk.batch.unwrap().iter().any(|step| matches!(step, Step::ChangeRules(_))));
}

#[test]
fn rules_altered_while_a_batch_is_under_way_are_loaded_anew() {
    let mut desk = Desk::at_rest(vec![four()]);
    desk.attach(wish("web"));
    desk.commit();

    desk.tell(Event::RulesAltered);
    desk.batch = None;
    desk.tell(Event::StepsDone(Ok(())));

    assert_eq!(desk.answers, vec![]);
    assert!(desk.batch.as_ref().unwrap().iter().any(is_restart));
    desk.finish_batches();
    assert!(matches!(desk.answers.as_slice(), [Answer::Attached(_)]));
}

#[test]
fn who_gets_no_address_of_one_family_keeps_none_of_the_other() {
    let mut desk = Desk::at_rest(vec![four()]);
    desk.tell(Event::StoreLost { reason: "away".to_owned() });
    let both = BTreeSet::from([address("10.77.0.5"), address("fd77::5")]);
    desk.attach(Attach { addresses: both, ..wish("a") });
    desk.attach(wish("b"));

    desk.read(vec![four(), Object::Host(me())]);

    let transaction = desk.commit();
    let holders = |put: &Object| match put {
        Object::Block(block) => block.taken.values().cloned().collect(),
        _ => vec![],
    };
    assert_eq!(transaction.puts.iter().flat_map(holders).collect::<Vec<_>>(), vec![id("b")]);
}

#[test]
fn an_attachment_that_must_wait_takes_no_address_into_the_transaction_of_another() {
    let mut desk = Desk::at_rest(vec![four()]);
    desk.tell(Event::StoreLost { reason: "away".to_owned() });
    let named = |container| Attach { name: Some(EndpointName::new("web")), ..wish(container) };
    desk.attach(named("a"));
    desk.attach(named("b"));

    desk.read(vec![four(), Object::Host(me())]);

    let (_, transaction) = desk.transaction.unwrap();
    let taken = |put: &Object| if let Object::Block(block) = put { block.taken.len() } else { 0 };
    assert_eq!(endpoints_in(&transaction).len(), 1);
    assert_eq!(transaction.puts.iter().map(taken).sum::<usize>(), 1);
}

#[test]
fn a_removal_waits_while_nobody_knows_what_was_written() {
    let mut desk = Desk::at_rest(vec![four()]);
    desk.attach(wish("web"));
    desk.lose_answer();
    desk.tell(Event::StoreLost { reason: "away".to_owned() });
    desk.wait(PATIENCE);
    assert!(matches!(desk.answers.pop(), Some(Answer::Refused(Refusal::StoreUnreachable { .. }))));

    desk.detach("web");
    assert_eq!(desk.answers, vec![]);
    desk.read(vec![four(), Object::Host(me())]);

    let asked = desk.commit();
    assert_eq!((asked.puts, asked.deletes, asked.compares.len()), (vec![], vec![], 1));
    assert_eq!(desk.answers, vec![Answer::Detached(None)]);
}

#[test]
fn a_removal_during_an_attachment_is_told_to_wait() {
    let mut desk = Desk::at_rest(vec![four()]);
    desk.attach(wish("web"));

    desk.detach("web");

    assert_eq!(desk.refusal(), Some(&Refusal::Busy { attachment: id("web") }));
}

#[test]
fn a_name_that_is_somebody_elses_by_now_is_not_deleted() {
    let mut desk = Desk::at_rest(vec![four()]);
    let mut other = desk.attach_wholly(Attach { name: Some(EndpointName::new("web")), ..wish("a") }).endpoint;
    desk.detach("a");
    desk.finish_batches();
    desk.lose_answer();

    other.attachment = id("b");
    other.host = HostName::new("h2");
    desk.revision += 2;
    let puts = vec![Versioned { value: Object::Endpoint(other), version: desk.revision }];
    desk.tell(Event::StoreChanged { revision: desk.revision, puts, unreadable: vec![], deletes: vec![] });
    desk.wait(Duration::from_millis(500));

    assert_eq!(desk.transaction, None);
    assert!(matches!(desk.answers.as_slice(), [Answer::Detached(Some(_))]));
}

#[test]
fn an_address_of_a_pool_that_is_gone_is_given_back() {
    let mut desk = Desk::at_rest(vec![four()]);
    desk.attach_wholly(wish("web"));
    desk.revision += 1;
    let deletes = vec![ObjectKey::Pool(PoolName::new("four"))];
    desk.tell(Event::StoreChanged { revision: desk.revision, puts: vec![], unreadable: vec![], deletes });

    desk.detach("web");
    desk.finish_batches();
    let transaction = desk.commit();

    assert!(matches!(transaction.puts.as_slice(), [Object::Block(block)] if block.taken.is_empty()));
}

#[test]
fn routes_of_an_earlier_life_wait_for_the_store_and_then_for_the_neighbours() {
    let mut desk = Desk::new();
    let mut kernel = kernel();
    kernel.put_route(net("10.77.9.0/26"), far_away(), None);
    desk.tell(Event::KernelRead(kernel));
    desk.wait(ADOPTION * 2);
    assert!(desk.node.next_deadline().is_none_or(|deadline| deadline > desk.now), "it does not spin meanwhile");

    desk.read(vec![four()]);
    desk.commit();
    let removes = |step: &Step| matches!(step, Step::RemoveRoute(_));
    assert!(!desk.batch.as_ref().unwrap().iter().any(removes));
    desk.finish_batches();
    desk.wait(ADOPTION);

    assert_eq!(desk.batch, Some(vec![Step::RemoveRoute(net("10.77.9.0/26"))]));
}

#[test]
fn a_call_that_comes_before_anybody_is_known_is_hung_up() {
    let mut desk = Desk::new();
    let (neighbour, local) = (address("172.31.0.2").into(), address("172.31.0.1").into());

    let connection = ConnectionId(7);
    desk.tell(Event::Bgp(poplin_bgp::Event::ConnectionOpened { connection, neighbour, outgoing: false, local }));

    assert_eq!(desk.closed, vec![connection]);
}

#[test]
fn an_attachment_the_kernel_never_takes_is_refused_and_taken_back() {
    let mut desk = Desk::at_rest(vec![four()]);
    desk.attach(wish("web"));
    desk.commit();

    desk.fail(|step| matches!(step, Step::RaiseLink(_)), kernel());
    desk.wait(PATIENCE);
    desk.finish_batches();
    let transaction = desk.commit();

    assert_eq!(transaction.deletes.len(), 1);
    assert!(matches!(desk.refusal(), Some(Refusal::Wiring { .. })));
}

#[test]
fn a_namespace_that_does_not_exist_is_told_and_leaves_nothing() {
    let mut desk = Desk::at_rest(vec![four()]);
    desk.attach(wish("web"));
    desk.commit();

    let steps = desk.batch.take().unwrap();
    let step = steps.into_iter().find(|step| matches!(step, Step::CreateLink(_))).unwrap();
    let failure = StepFailure { step, kind: StepFailureKind::NamespaceMissing, reason: "gone".to_owned() };
    desk.tell(Event::StepsDone(Err(failure)));
    desk.tell(Event::KernelRead(kernel()));
    desk.finish_batches();
    let transaction = desk.commit();

    assert_eq!(transaction.deletes.len(), 1);
    assert!(matches!(desk.refusal(), Some(Refusal::NamespaceMissing { .. })));
}

#[test]
fn a_removal_of_which_nobody_knows_whether_it_is_one_is_refused_in_time() {
    let mut desk = Desk::at_rest(vec![four()]);
    desk.tell(Event::StoreLost { reason: "away".to_owned() });

    desk.detach("web");
    desk.finish_batches();
    desk.wait(PATIENCE);

    assert_eq!(desk.refusal(), Some(&Refusal::StoreUnreachable { reason: "away".to_owned() }));
}

#[test]
fn an_address_that_was_held_is_had_by_who_names_it_and_claims_a_block_on_the_way() {
    let mut desk = Desk::at_rest(vec![pool("four", "10.77.0.0/24", 26)]);

    desk.tell(Event::HoldRequested(RequestId(77), Hold { is_v6: false, network: None }));
    let claim = desk.commit();
    desk.finish_batches();
    let Some(Answer::Held(held)) = desk.answers.pop() else { panic!("{:?}", desk.answers) };
    let other = desk.attach_wholly(wish("other"));
    let named = desk.attach_wholly(Attach { addresses: BTreeSet::from([held]), ..wish("named") });

    assert!(matches!(claim.puts.as_slice(), [Object::Block(block)] if block.taken.is_empty()), "nothing is taken yet");
    assert!(!other.endpoint.addresses.contains(&held));
    assert!(named.endpoint.addresses.contains(&held));
}

#[test]
fn who_is_known_better_is_another_endpoint_in_the_store_and_the_same_link() {
    let mut desk = Desk::at_rest(vec![pool("four", "10.77.0.0/24", 26)]);
    let before = desk.attach_wholly(wish("c1"));
    let labels = Labels::try_from_pairs([("app", "web")]).unwrap();
    let renew = Renew {
        attachment: id("c1"),
        names: vec![EndpointName::new("web")],
        labels: labels.clone(),
        published: None,
        aliases: BTreeSet::new(),
        container: None,
        netns: None,
    };

    desk.tell(Event::RenewRequested(RequestId(77), renew.clone()));
    let renamed = desk.commit();
    desk.finish_batches();

    let Some(Answer::Attached(after)) = desk.answers.pop() else { panic!("{:?}", desk.answers) };
    assert_eq!(renamed.deletes, [ObjectKey::Endpoint(before.endpoint.name.clone())]);
    assert_eq!(after.endpoint, Endpoint { name: EndpointName::new("web"), labels, ..before.endpoint });
    assert_eq!(desk.node.check(&id("c1")).unwrap().1, Vec::<String>::new(), "link, route and rules stand");
    desk.tell(Event::RenewRequested(RequestId(78), Renew { attachment: id("c2"), ..renew }));
    assert_eq!(desk.answers.pop(), Some(Answer::Detached(None)), "nothing is made of who is not there");
}
