//! What an address costs: of one host alone, of sixteen at once, and of a hundred containers that join one host at the same moment.
//!
//! `cargo build --release --workspace && cargo bench -p poplin-tests --bench allocation`. Needs root, etcd and the reference plugins in
//! /usr/lib/cni. Repetitions: `POPLIN_REPETITIONS`. A host here is the agent's head and its connection to etcd, above a kernel that does all at once;
//! timed is from the request to its answer. The reference is a bare transaction over the same connection, with as many compares and operations and
//! the same octets, in turns with it. A hundred containers are attached by real CNI plugins to a real agent; the reference is `ptp` with `host-local`.

#![allow(clippy::unwrap_used)] // whatever fails here ends the bench

#[allow(dead_code)]
mod figures;
#[allow(dead_code)]
mod plugin;

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use figures::{Line, Times, setting, tell, time};
use plugin::{Plugin, ours, ptp};
use poplin_agent::hear::{Hearing, plain, typed};
use poplin_agent::resource::ROOT;
use poplin_agent::store::{Compare, Followed, Location, Operation, Outcome, Store, Transaction, follow, open};
use poplin_lab::{Agent, Container, ETCD, Lab, Tor};
use poplin_node::kernel::KernelState;
use poplin_node::name::{AttachmentId, EndpointName, HostName};
use poplin_node::request::{Answer, Attach, Detach, RequestId};
use poplin_node::{Action, Event, Identity, Node, plan};
use poplin_policy::label::Labels;
use tokio::sync::mpsc;

const HOSTS: usize = 16;
const AT_ONCE: usize = 100;
/// Containers of a host that has many.
const MANY: usize = 400;

/// Without it each address would rest, and a host would claim block after block.
const DECLARED: &str = "apiVersion: poplin.dev/v1\nkind: Pool\nmetadata: {name: bench}\nspec: {cidr: 10.88.0.0/16}\n---\n\
    apiVersion: poplin.dev/v1\nkind: FabricConfig\nmetadata: {name: default}\nspec: {addressCooldownSeconds: 0}\n";

fn main() {
    let repetitions = setting("POPLIN_REPETITIONS", 1000);
    let lab = Lab::new();
    let mut tor = lab.tor();
    tor.start_etcd();
    let mut agent = tor.host(&lab, 1);
    agent.start();
    agent.apply(DECLARED);
    agent.kill(); // etcd tells every agent of every change, and this one is not of those that are timed

    let alone = together(&tor, 1, repetitions, 0);
    let beside = together(&tor, 1, repetitions, MANY);
    let among = together(&tor, HOSTS, repetitions / 4, 0);
    let who = |text: &str| text.to_owned();
    tell(
        "allocation",
        "an address, from request to answer; ratio to the bare transaction",
        &[
            Line { what: "bare, alone", who: who("etcd client"), times: &alone.bare, reference: &alone.bare },
            Line { what: "alone", who: who("head and etcd client"), times: &alone.whole, reference: &alone.bare },
            Line { what: "of it by etcd", who: who("etcd client"), times: &alone.by_store, reference: &alone.bare },
            Line { what: "bare, again", who: who("etcd client"), times: &beside.bare, reference: &beside.bare },
            Line {
                what: "beside 400 containers",
                who: who("head and etcd client"),
                times: &beside.whole,
                reference: &beside.bare,
            },
            Line { what: "of it by etcd", who: who("etcd client"), times: &beside.by_store, reference: &beside.bare },
            Line { what: "bare, 16 at once", who: who("etcd clients"), times: &among.bare, reference: &among.bare },
            Line {
                what: "16 at once",
                who: who("heads and etcd clients"),
                times: &among.whole,
                reference: &among.bare,
            },
            Line { what: "of it by etcd", who: who("etcd clients"), times: &among.by_store, reference: &among.bare },
        ],
    );
    agent.start();
    crowd(&lab, &agent, repetitions.div_ceil(100));
}

/// What allocations took, what of that the store was waited for, and what bare transactions did.
#[derive(Default)]
struct Taken {
    whole: Times,
    by_store: Times,
    bare: Times,
}

/// So many hosts that all allocate at once, each on a thread of its own: theirs and the references'. So many containers stand on each.
fn together(tor: &Tor, hosts: usize, repetitions: usize, standing: usize) -> Taken {
    let mut all = Taken::default();
    thread::scope(|scope| {
        let running: Vec<_> = (0..hosts)
            .map(|number| {
                scope.spawn(move || {
                    tor.namespace().within(|| host(hosts * 100 + standing + number, repetitions, standing))
                })
            })
            .collect();
        for one in running {
            let [whole, by_store, bare] = one.join().unwrap();
            all.whole.extend(whole);
            all.by_store.extend(by_store);
            all.bare.extend(bare);
        }
    });
    all
}

fn host(number: usize, repetitions: usize, standing: usize) -> [Vec<Duration>; 3] {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut host = Host::begin(number).await;
        for one in 0..standing {
            host.request(|id, number| Event::AttachRequested(id, wish(number, &format!("standing{one}x")))).await;
        }
        let mut taken: [Vec<Duration>; 3] = Default::default();
        for _ in 0..repetitions {
            let (took, by_store, transaction) = host.allocate().await;
            let bare = host.transact_bare(&transaction).await;
            taken.iter_mut().zip([took, by_store, bare]).for_each(|(times, time)| times.push(time));
        }
        taken
    })
}

/// A head above a kernel that does all at once.
struct Host {
    node: Node,
    store: Arc<dyn Store>,
    news: mpsc::Receiver<Followed>,
    hearing: Hearing,
    kernel: KernelState,
    number: usize,
    requests: u64,
    /// What was last asked of the store.
    last: Transaction,
    answer: Option<Answer>,
    /// For how long the store was waited for since that was last asked.
    waited: Duration,
}

impl Host {
    async fn begin(number: usize) -> Self {
        let store = open(&Location::etcd(vec![ETCD.to_owned()])).await.unwrap();
        let identity = Identity {
            host: HostName::new(format!("bench{number}")),
            labels: Labels::default(),
            addresses: [format!("172.29.{}.{}", number / 250, number % 250 + 1).parse().unwrap()].into(),
            asn: None,
            router_id: None,
            machine: None,
            release: None,
        };
        let mut host = Self {
            node: Node::new(identity),
            news: follow(store.clone(), ROOT.to_owned()),
            store,
            hearing: Hearing::default(),
            kernel: KernelState::default(),
            number,
            requests: 0,
            last: Transaction { compares: Vec::new(), operations: Vec::new() },
            answer: None,
            waited: Duration::ZERO,
        };
        host.tell(Event::KernelRead(KernelState::default())).await;
        while !host.node.is_ready() {
            host.listen().await;
        }
        host.request(|id, number| Event::AttachRequested(id, wish(number, "first"))).await; // the block is claimed
        host
    }

    /// Attaches a container, and detaches it.
    async fn allocate(&mut self) -> (Duration, Duration, Transaction) {
        while let Ok(news) = self.news.try_recv() {
            let event = self.hearing.event(&news);
            self.tell(event).await;
        }
        self.waited = Duration::ZERO;
        let start = Instant::now();
        let answer = self.request(|id, number| Event::AttachRequested(id, wish(number, "next"))).await;
        let (took, waited) = (start.elapsed(), self.waited);
        assert!(matches!(answer, Answer::Attached(_)), "{answer:?}");
        let transaction = self.last.clone();
        let next = |number| attachment(number, "next");
        self.request(|id, number| Event::DetachRequested(id, Detach::Attachment(next(number)))).await;
        (took, waited, transaction)
    }

    async fn request(&mut self, event: impl FnOnce(RequestId, usize) -> Event) -> Answer {
        self.requests += 1;
        self.tell(event(RequestId(self.requests), self.number)).await;
        loop {
            if let Some(answer) = self.answer.take() {
                return answer;
            }
            self.listen().await;
        }
    }

    /// The next news of the store, or the next thing that is due.
    async fn listen(&mut self) {
        let due = self.node.next_deadline().unwrap_or_else(|| Instant::now() + Duration::from_secs(10));
        let event = tokio::select! {
            news = self.news.recv() => self.hearing.event(&news.unwrap()),
            () = tokio::time::sleep_until(due.into()) => Event::Tick,
        };
        self.tell(event).await;
    }

    async fn tell(&mut self, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            self.node.handle(Instant::now(), event);
            while let Some(action) = self.node.next_action() {
                match action {
                    Action::Transact(id, transaction) => {
                        self.last = plain(&transaction);
                        let asked = Instant::now();
                        let outcome = self.store.transact(self.last.clone()).await.unwrap();
                        self.waited += asked.elapsed();
                        events.push(Event::TransactionDone { id, outcome: typed(outcome) });
                    }
                    Action::Apply(steps) => {
                        steps.iter().for_each(|step| plan::advance(&mut self.kernel, step));
                        events.push(Event::StepsDone(Ok(())));
                    }
                    Action::Owe(_) => events.push(Event::DebtsWritten(Ok(()))),
                    Action::ReadFlows(..) => events.push(Event::FlowsDone(Ok(()))),
                    Action::Answer(_, answer) => self.answer = Some(answer),
                    _ => {}
                }
            }
        }
    }

    /// The same octets under keys of nobody, with the same compares.
    async fn transact_bare(&self, model: &Transaction) -> Duration {
        let elsewhere = |key: &str| format!("/bench/{}{key}", self.number);
        let standing: Vec<&str> = model
            .compares
            .iter()
            .filter_map(|compare| match compare {
                Compare::Unchanged { key, .. } => Some(key.as_str()),
                _ => None,
            })
            .collect();
        let value = |key: &str| {
            model.operations.iter().find_map(|operation| match operation {
                Operation::Put { key: other, value, .. } if other == key => Some(value.clone()),
                _ => None,
            })
        };
        let put =
            |key: &str| Operation::Put { key: elsewhere(key), value: value(key).unwrap_or_default(), lease: None };
        let before = Transaction { compares: Vec::new(), operations: standing.iter().map(|key| put(key)).collect() };
        let revision = self.commit(before).await;
        let compares = model.compares.iter().map(|compare| match compare {
            Compare::Unchanged { key, .. } => Compare::Unchanged { key: elsewhere(key), mod_revision: revision },
            other => Compare::Absent(elsewhere(other.key())),
        });
        let operations = model.operations.iter().map(|operation| put(operation.key()));
        let transaction = Transaction { compares: compares.collect(), operations: operations.collect() };
        let written: Vec<String> = transaction.operations.iter().map(|one| one.key().to_owned()).collect();
        let start = Instant::now();
        self.commit(transaction).await;
        let took = start.elapsed();
        let clean = written.into_iter().map(Operation::Delete).collect();
        self.commit(Transaction { compares: Vec::new(), operations: clean }).await;
        took
    }

    async fn commit(&self, transaction: Transaction) -> i64 {
        match self.store.transact(transaction).await.unwrap() {
            Outcome::Committed { revision } => revision,
            refused => panic!("{refused:?}"),
        }
    }
}

fn attachment(number: usize, container: &str) -> AttachmentId {
    AttachmentId { container: format!("{container}{number}"), interface: "eth0".to_owned() }
}

fn wish(number: usize, container: &str) -> Attach {
    Attach {
        attachment: attachment(number, container),
        name: Some(EndpointName::new(format!("{container}{number}"))),
        preferred: Vec::new(),
        labels: Labels::default(),
        namespace: None,
        profiles: Vec::new(),
        ports: Vec::new(),
        published: Vec::new(),
        netns: format!("/run/netns/{container}{number}").into(),
        addresses: [].into(),
        has_all_addresses: false,
        mac: None,
        network: None,
        pools: [].into(),
        is_sticky: false,
        at: None,
        aliases: [].into(),
    }
}

/// A hundred containers join a host at the same moment, and leave it; each plugin has its turn.
fn crowd(lab: &Lab, agent: &Agent, rounds: usize) {
    let plain = lab.namespace("plain");
    let containers: Vec<Container> = (0..AT_ONCE).map(|number| lab.container(&format!("c{number}"))).collect();
    let mut plugins = [
        Plugin::new(ptp("ptp", &lab.directory().join("plain")), &plain),
        Plugin::new(ours("poplin-cni, etcd", agent), agent.namespace()),
    ];
    for _ in 0..rounds {
        for plugin in &mut plugins {
            for command in ["ADD", "DEL"] {
                let ((), took) = time(|| all_at_once(plugin, command, &containers));
                plugin.times(command).add(took);
            }
        }
    }
    let [reference, poplin] = &plugins;
    let line =
        |what, plugin: &Plugin<'_>, times, reference| Line { what, who: plugin.who.to_owned(), times, reference };
    let adds = |plugin| line("100 ADD", plugin, &plugin.add, &reference.add);
    let dels = |plugin| line("100 DEL", plugin, &plugin.del, &reference.del);
    let lines = [adds(reference), adds(poplin), dels(reference), dels(poplin)];
    tell("allocation", "a hundred at once, until the last is done; ratio to ptp", &lines);
}

fn all_at_once(plugin: &Plugin<'_>, command: &str, containers: &[Container]) {
    thread::scope(|scope| {
        for container in containers {
            scope.spawn(|| plugin.call(command, container));
        }
    });
}
