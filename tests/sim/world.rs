//! Many nodes, one store, many kernels, in one thread and virtual time.
//!
//! In: a seed, and what the [runtime](crate::runtime) wants to happen. Out: everything the nodes do, carried out with the delays and faults
//! chance gives them. What the hands guarantee holds here too: one batch of steps at a time, its outcome before any later
//! reading; a watch in order and without gaps, never splitting a transaction; octets of a connection in order.
//! The laws are checked elsewhere; this is how the world goes.

mod connections;
mod forgetting;
mod hands;
mod store;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use poplin_agent::hear::{Hearing, plain, typed};
use poplin_agent::resource::ROOT;
use poplin_agent::store::core::Core;
use poplin_agent::store::{Compare, Followed, Operation, Transaction};
use poplin_bgp::{Action as BgpAction, ConnectionId, Event as BgpEvent};
use poplin_node::debt::Debt;
use poplin_node::kernel::{Step, StepFailure, StepFailureKind};
use poplin_node::lineage::Id;
use poplin_node::name::HostName;
use poplin_node::object::{AwaitedPeers, Object};
use poplin_node::request::{Answer, Attach, Detach, RequestId};
use poplin_node::transaction::{TransactionId, TransactionOutcome};
use poplin_node::{Action, Event, Identity, Node, Note};
use poplin_policy::label::Labels;

use crate::chance::Chance;
use crate::kernel::Kernel;
use crate::laws;
use forgetting::Memory;

/// How many lines of the story are kept to be told when a law is broken.
const STORY: usize = 400;

/// Which host.
pub type HostId = usize;

/// Something that will happen.
#[derive(Debug)]
enum Happening {
    /// An event reaches a node.
    Arrives(Event),
    /// The kernel thread takes its next order.
    Work,
    /// Somebody tells the kernel thread to read.
    Notice,
    /// A transaction reaches the store.
    Judge(TransactionId, poplin_node::transaction::Transaction, Fate),
    /// The watch tells of one more transaction; void if the watch was begun anew since.
    News(u64),
    /// The store is read whole.
    ReadStore,
    /// A dial reaches the other side.
    Dial(IpAddr),
    /// Octets reach the far end of a connection.
    Octets(ConnectionId, Vec<u8>),
    /// The far end of a connection has all octets that were sent before.
    Acknowledges(ConnectionId),
    /// The far end of a connection learns that it is closed.
    Closed(ConnectionId),
    /// A node starts.
    Start,
    /// The runtime goes on.
    Cue(u64),
}

/// What becomes of the answer to a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Told,
    DoneUntold,
    NotDone,
}

/// What comes in order, each in its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    Kernel,
    Rules,
    Store,
    Pipe(ConnectionId),
}

/// What the kernel thread was told.
#[derive(Debug)]
enum Order {
    Read,
    Apply(Vec<Step>),
}

/// One host.
#[derive(Debug)]
pub struct Host {
    /// Who it is.
    pub identity: Identity,
    /// Its kernel, which outlives its node.
    pub kernel: Kernel,
    /// Its node, if it lives.
    pub node: Option<Node>,
    /// Counts its nodes.
    pub life: u64,
    /// Steps that will fail: one in so many.
    pub step_fails_one_in: usize,
    /// Everything its nodes did to the kernel since somebody emptied this.
    pub done: Vec<Step>,
    hearing: Hearing,
    heard: i64,
    feed: u64,
    is_store_near: bool,
    orders: VecDeque<Order>,
    /// Drifts the kernel had when each reading under way was taken.
    readings: VecDeque<u64>,
    known_drifts: u64,
    under_way: Option<poplin_node::transaction::Transaction>,
    is_applying: bool,
    /// Who left, and the store is still to be told: on the host's disk.
    pub owed: BTreeSet<Debt>,
    /// What the store forgot and it goes by all the same: on the host's disk.
    kept: Vec<Object>,
    /// How far it knew the store that forgot: on the host's disk.
    shared: i64,
    /// What it last heard of the store: on the host's disk.
    memory: Memory,
    /// Whether it lost what it had on its disk.
    pub was_robbed: bool,
}

impl Host {
    /// Whether another hand changed something the node has not been told of.
    pub fn has_untold_drift(&self) -> bool {
        self.known_drifts < self.kernel.drifts
    }
}

/// Somebody who waits for an answer.
#[derive(Clone, Debug)]
pub struct Request {
    /// Whom it was asked.
    pub host: HostId,
    /// When.
    pub at: Duration,
    /// What for, in the asker's numbering.
    pub subject: usize,
}

/// What the runtime is told.
#[derive(Debug)]
pub enum Report {
    /// A cue it gave itself has come.
    Cue(u64),
    /// A request was answered.
    Answered(Request, Answer),
    /// A request will never be answered: its node is dead.
    Forgotten(Request),
}

/// How unkind the world is; 0 = never, else one in so many.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unkindness {
    /// Transactions whose outcome is not told.
    pub untold_one_in: usize,
    /// Steps the kernel refuses.
    pub step_fails_one_in: usize,
    /// Longest time anything takes.
    pub slowness_ms: usize,
}

/// Everything.
#[derive(Debug)]
pub struct World {
    /// All chance comes from here.
    pub chance: Chance,
    /// How unkind it is at the moment.
    pub unkind: Unkindness,
    /// The one store.
    pub store: Core,
    /// The store as it was when somebody saved it.
    backup: Option<Core>,
    /// Whether the store was restored, and not all has come right since.
    pub is_forgetful: bool,
    /// What the store said of itself when it was restored last, and of each restoration before.
    restored_histories: BTreeSet<Option<Id>>,
    /// Whether an address was another's by the time a host noticed that the store forgot.
    pub was_contested: bool,
    /// Which other hosts who joins waits for.
    pub awaited: AwaitedPeers,
    /// All hosts.
    pub hosts: Vec<Host>,
    /// Everyone who waits.
    pub requests: BTreeMap<RequestId, Request>,
    /// How long a node that starts waits for the store.
    pub store_is_far_for: Duration,
    /// Actions that change something: transactions, steps, answers.
    pub deeds: u64,
    base: Instant,
    now: Duration,
    queue: BTreeMap<(Duration, u64), (HostId, u64, Happening)>,
    last: BTreeMap<(HostId, Source), Duration>,
    happenings: u64,
    asked: u64,
    /// Both ends of every open connection: whose it is, its life, the other end.
    connections: BTreeMap<ConnectionId, (HostId, u64, ConnectionId)>,
    /// Whose each connection ever opened is or was.
    ends: BTreeMap<ConnectionId, HostId>,
    /// Connections on which octets went to a host that could not answer.
    swallowed: BTreeSet<ConnectionId>,
    dialled: u64,
    story: VecDeque<String>,
    reports: VecDeque<Report>,
}

impl World {
    /// A world of so many hosts whose nodes start within the first second.
    pub fn new(seed: u64, hosts: usize, has_v6: bool) -> Self {
        let mut world = Self {
            chance: Chance::new(seed),
            unkind: Unkindness { slowness_ms: 20, ..Unkindness::default() },
            store: Core::new(),
            backup: None,
            is_forgetful: false,
            restored_histories: BTreeSet::new(),
            was_contested: false,
            awaited: AwaitedPeers::Nobody,
            hosts: (0..hosts).map(|id| host(id, has_v6)).collect(),
            requests: BTreeMap::new(),
            store_is_far_for: Duration::ZERO,
            deeds: 0,
            base: Instant::now(),
            now: Duration::ZERO,
            queue: BTreeMap::new(),
            last: BTreeMap::new(),
            happenings: 0,
            asked: 0,
            connections: BTreeMap::new(),
            ends: BTreeMap::new(),
            swallowed: BTreeSet::new(),
            dialled: 0,
            story: VecDeque::new(),
            reports: VecDeque::new(),
        };
        for id in 0..hosts {
            let delay = world.chance.between_ms(0, 1000);
            world.start(id, delay);
        }
        world
    }

    /// The time since the beginning.
    pub fn now(&self) -> Duration {
        self.now
    }

    /// The same, as nodes are told.
    pub fn instant(&self) -> Instant {
        self.base + self.now
    }

    /// Adds a line to the story.
    pub fn tell(&mut self, line: impl FnOnce() -> String) {
        if self.story.len() == STORY {
            self.story.pop_front();
        }
        let line = format!("{:9.4} {}", self.now.as_secs_f64(), line());
        if std::env::var_os("POPLIN_SIM_STORY").is_some() {
            eprintln!("{line}");
        }
        self.story.push_back(line);
    }

    /// The last part of what happened.
    pub fn story(&self) -> String {
        self.story.iter().map(|line| format!("{line}\n")).collect()
    }

    /// Lets the runtime be told after a while.
    pub fn cue(&mut self, delay: Duration, cue: u64) {
        self.queue_up(0, 0, self.now + delay, Happening::Cue(cue));
    }

    /// Starts a node after a while.
    pub fn start(&mut self, host: HostId, delay: Duration) {
        self.queue_up(host, 0, self.now + delay, Happening::Start);
    }

    /// Asks to attach; nothing if nobody is there to be asked.
    pub fn attach(&mut self, host: HostId, subject: usize, attach: Attach) -> bool {
        self.ask(host, subject, |request| Event::AttachRequested(request, attach))
    }

    /// Asks to detach; nothing if nobody is there to be asked.
    pub fn detach(&mut self, host: HostId, subject: usize, detach: Detach) -> bool {
        self.ask(host, subject, |request| Event::DetachRequested(request, detach))
    }

    fn ask(&mut self, host: HostId, subject: usize, event: impl FnOnce(RequestId) -> Event) -> bool {
        if self.hosts[host].node.is_none() {
            return false;
        }
        self.asked += 1;
        let request = RequestId(self.asked);
        self.requests.insert(request, Request { host, at: self.now, subject });
        self.handle(host, event(request));
        true
    }

    /// Somebody writes to the store.
    pub fn declare(&mut self, path: &str, document: Option<&str>) {
        let key = format!("{ROOT}{path}");
        self.tell(|| format!("declared {path}: {document:?}"));
        let operation = match document {
            Some(text) => Operation::Put { key, value: text.into(), lease: None },
            None => Operation::Delete(key),
        };
        self.commit(&Transaction { compares: Vec::<Compare>::new(), operations: vec![operation] });
    }

    /// Kills a node without a word. Its kernel thread may be in the middle of something.
    pub fn kill(&mut self, host: HostId) {
        if self.hosts[host].node.take().is_none() {
            return;
        }
        self.tell(|| format!("host {host} killed"));
        if let Some(Order::Apply(steps)) = self.hosts[host].orders.pop_front() {
            let done = self.chance.below(steps.len() + 1);
            for step in &steps[..done] {
                let _ = self.hosts[host].kernel.carry_out(step);
            }
        }
        let one = &mut self.hosts[host];
        one.orders.clear();
        one.readings.clear();
        one.is_applying = false;
        one.life += 1;
        if let Some(transaction) = one.under_way.take().filter(|_| self.chance.one_in(2)) {
            self.commit(&plain(&transaction));
        }
        let ours = self.connections.iter().filter(|(_, (owner, ..))| *owner == host);
        let far: Vec<ConnectionId> = ours.map(|(_, (.., far))| *far).collect();
        self.connections.retain(|_, (owner, ..)| *owner != host);
        for far in far {
            self.close_far(far);
        }
        let forgotten: Vec<RequestId> =
            self.requests.iter().filter(|(_, request)| request.host == host).map(|(id, _)| *id).collect();
        for id in forgotten {
            let request = self.requests.remove(&id).expect("it was just seen");
            self.reports.push_back(Report::Forgotten(request));
        }
    }

    /// A host loses power: nobody says goodbye for it, and its kernel forgets everything.
    pub fn power_off(&mut self, host: HostId) {
        let ours: Vec<ConnectionId> =
            self.connections.iter().filter(|(_, (owner, ..))| *owner == host).map(|(id, _)| *id).collect();
        for id in ours {
            self.connections.remove(&id);
        }
        self.kill(host);
        self.hosts[host].kernel.reboot();
    }

    /// A host loses sight of the store for a while.
    pub fn lose_store(&mut self, host: HostId, during: Duration) {
        let one = &mut self.hosts[host];
        if one.node.is_none() || !one.is_store_near {
            return;
        }
        one.is_store_near = false;
        one.feed += 1;
        let life = one.life;
        self.tell(|| format!("host {host} loses the store for {during:?}"));
        self.send(host, Source::Store, Event::StoreLost { reason: "made so".to_owned() });
        self.queue_up(host, life, self.now + during, Happening::ReadStore);
    }

    /// The follower reads everything once more, as it does now and then.
    pub fn read_store(&mut self, host: HostId) {
        let life = self.hosts[host].life;
        if self.hosts[host].is_store_near {
            self.queue_up(host, life, self.now, Happening::ReadStore);
        }
    }

    /// The kernel thread is told to read, after a while.
    pub fn notice(&mut self, host: HostId) {
        let delay = self.slow();
        let life = self.hosts[host].life;
        self.queue_up(host, life, self.now + delay, Happening::Notice);
    }

    /// Another hand empties our table, and the kernel tells.
    pub fn alter_rules(&mut self, host: HostId) {
        self.hosts[host].kernel.alter_rules();
        self.send(host, Source::Rules, Event::RulesAltered);
        self.notice(host);
    }

    /// One connection of a host breaks.
    pub fn break_connection(&mut self, host: HostId) {
        let ours = self.connections.iter().find(|(_, (owner, ..))| *owner == host);
        if let Some((near, far)) = ours.map(|(near, (.., far))| (*near, *far)) {
            self.close_far(near);
            self.close_far(far);
        }
    }

    /// Goes on until the runtime has something to be told, or the time is over.
    pub fn next_report(&mut self, end: Duration) -> Option<Report> {
        loop {
            if let Some(report) = self.reports.pop_front() {
                return Some(report);
            }
            if !self.go_on(end) {
                self.now = self.now.max(end);
                return None;
            }
        }
    }

    /// Lets the next thing happen, unless it lies after the end.
    fn go_on(&mut self, end: Duration) -> bool {
        let queued = self.queue.first_key_value().map(|((at, _), _)| *at);
        let wake = (0..self.hosts.len()).filter_map(|id| Some((self.wake(id)?, id))).min();
        match (queued, wake) {
            (_, Some((at, host))) if at <= end && queued.is_none_or(|queued| at < queued) => {
                self.now = self.now.max(at);
                self.handle(host, Event::Tick);
                let next = self.wake(host);
                assert!(next.is_none_or(|next| next > self.now), "host {host} spins: after a tick it is due at once");
                true
            }
            (Some(at), _) if at <= end => {
                self.now = self.now.max(at);
                let (_, (host, life, happening)) = self.queue.pop_first().expect("it was just seen");
                self.happen(host, life, happening);
                true
            }
            _ => false,
        }
    }

    fn wake(&self, host: HostId) -> Option<Duration> {
        let deadline = self.hosts[host].node.as_ref()?.next_deadline()?;
        Some(deadline.saturating_duration_since(self.base))
    }

    fn happen(&mut self, host: HostId, life: u64, happening: Happening) {
        let is_past = life != self.hosts[host].life;
        match happening {
            Happening::Cue(cue) => self.reports.push_back(Report::Cue(cue)),
            Happening::Start => self.begin(host),
            Happening::Dial(neighbour) => self.dial(host, life, neighbour),
            Happening::Octets(connection, octets) => self.octets(connection, octets),
            Happening::Acknowledges(connection) => self.acknowledges(connection),
            Happening::Closed(connection) => self.closed(connection),
            _ if is_past => {}
            Happening::Arrives(event) => {
                if let Event::KernelRead(_) = &event {
                    let known = self.hosts[host].readings.pop_front().expect("each reading is noted");
                    self.hosts[host].known_drifts = known;
                }
                if let Event::StepsDone(_) = &event {
                    self.hosts[host].is_applying = false;
                }
                self.handle(host, event);
            }
            Happening::Notice => self.order(host, Order::Read),
            Happening::Work => self.work(host),
            Happening::Judge(id, transaction, fate) => self.judge(host, id, &transaction, fate),
            Happening::News(feed) => self.news(host, feed),
            Happening::ReadStore => self.snapshot(host),
        }
    }

    fn begin(&mut self, host: HostId) {
        let one = &mut self.hosts[host];
        if one.node.is_some() {
            return;
        }
        one.node = Some(Node::new(one.identity.clone()));
        one.hearing = Hearing::default();
        one.is_store_near = false;
        one.feed += 1;
        let life = one.life;
        self.tell(|| format!("host {host} starts, life {life}"));
        let owed = self.hosts[host].owed.clone();
        let seed = self.chance.below(1 << 30) as u64;
        self.handle(host, Event::Seeded(seed));
        self.handle(host, Event::DebtsRecalled(owed));
        self.remember(host);
        self.order(host, Order::Read);
        let delay = self.slow() + self.store_is_far_for;
        self.queue_up(host, life, self.now + delay, Happening::ReadStore);
        for near in std::mem::take(&mut self.swallowed) {
            self.close_far(near); // what is sent again is answered now: by a reset
        }
    }

    /// Hands an event to a node and does what it asks for.
    fn handle(&mut self, host: HostId, event: Event) {
        let now = self.instant();
        if self.hosts[host].node.is_none() {
            return;
        }
        match &event {
            Event::Tick | Event::Bgp(_) => {}
            Event::KernelRead(_) => self.tell(|| format!("host {host} <- the kernel, read")),
            Event::StoreRead { revision, .. } => self.tell(|| format!("host {host} <- the store, read at {revision}")),
            other => self.tell(|| format!("host {host} <- {other:?}")),
        }
        let heard = event.clone();
        let node = self.hosts[host].node.as_mut().expect("it was just seen");
        node.handle(now, event);
        self.hosts[host].memory.hear(&heard);
        while let Some(action) = self.hosts[host].node.as_mut().and_then(Node::next_action) {
            self.act(host, action);
        }
    }

    fn act(&mut self, host: HostId, action: Action) {
        match action {
            Action::Note(Note::Info(text)) => self.tell(|| format!("host {host} says: {text}")),
            Action::Note(Note::Warning(text)) => {
                self.was_contested |= text.contains("closed off");
                self.tell(|| format!("host {host} warns: {text}"));
            }
            Action::Bgp(action) => self.act_bgp(host, action),
            // Nobody talks in this world.
            Action::ReadFlows(..) => self.send(host, Source::Kernel, Event::FlowsDone(Ok(()))),
            Action::EndFlows(flows) => panic!("{flows:?} were never read"),
            Action::Discover(links) => panic!("{links:?} are no links of this world"),
            Action::AdvertiseNeighbours(all) => panic!("{all:?}: no pool of this world is of a LAN"),
            Action::ReadStore => self.read_store(host),
            Action::ChangeNames(_) | Action::OpenNameDoors(_) => {}
            Action::ProtectCallers(ranges) => panic!("nobody calls from {ranges:?} in this world"),
            Action::Probe(probe) => panic!("{probe} is of no service: this world has none"),
            Action::Owe(owed) => {
                self.hosts[host].owed = owed;
                self.send(host, Source::Kernel, Event::DebtsWritten(Ok(())));
            }
            Action::Keep { objects, shared } => (self.hosts[host].kept, self.hosts[host].shared) = (objects, shared),
            Action::Apply(steps) => {
                self.deeds += 1;
                self.tell(|| format!("host {host} -> {}", describe(&steps)));
                let is_busy = std::mem::replace(&mut self.hosts[host].is_applying, true);
                assert!(!is_busy, "host {host} sends a batch before the last one is done");
                self.order(host, Order::Apply(steps));
            }
            Action::Transact(id, transaction) => {
                self.deeds += 1;
                self.tell(|| format!("host {host} -> {id:?} {}", short(&transaction)));
                self.begin_transaction(host, id, transaction);
            }
            Action::Answer(id, answer) => {
                self.deeds += 1;
                self.tell(|| format!("host {host} -> {id:?} {answer:?}"));
                let request = self.requests.remove(&id).expect("every request is answered once");
                laws::answer(self, &request, &answer);
                self.reports.push_back(Report::Answered(request, answer));
            }
        }
    }

    fn send(&mut self, host: HostId, source: Source, event: Event) {
        let (at, life) = (self.in_order(host, source), self.hosts[host].life);
        self.queue_up(host, life, at, Happening::Arrives(event));
    }

    /// A time to come, after everything of that source that is under way.
    fn in_order(&mut self, host: HostId, source: Source) -> Duration {
        let at = self.now + self.slow();
        let last = self.last.entry((host, source)).or_default();
        *last = at.max(*last);
        *last
    }

    fn queue_up(&mut self, host: HostId, life: u64, at: Duration, happening: Happening) {
        self.happenings += 1;
        self.queue.insert((at, self.happenings), (host, life, happening));
    }

    fn slow(&mut self) -> Duration {
        let most = if self.chance.one_in(10) { self.unkind.slowness_ms } else { self.unkind.slowness_ms / 10 };
        self.chance.between_ms(0, most)
    }

    fn is_unlucky(&mut self, one_in: usize) -> bool {
        one_in > 0 && self.chance.one_in(one_in)
    }
}

fn host(id: HostId, has_v6: bool) -> Host {
    let last = id + 1;
    let v4 = Some(format!("172.31.0.{last}"));
    let v6 = has_v6.then(|| format!("fd00:31::{last}"));
    let addresses: BTreeSet<IpAddr> =
        v4.into_iter().chain(v6).map(|text| text.parse().expect("it is an address")).collect();
    let identity = Identity {
        host: HostName::new(format!("h{last}")),
        labels: Labels::default(),
        addresses: addresses.clone(),
        asn: None,
        router_id: None,
        machine: None,
        release: None,
    };
    Host {
        kernel: Kernel::with_uplink(&addresses),
        identity,
        node: None,
        life: 0,
        step_fails_one_in: 0,
        done: Vec::new(),
        hearing: Hearing::default(),
        heard: 0,
        feed: 0,
        is_store_near: false,
        orders: VecDeque::new(),
        readings: VecDeque::new(),
        known_drifts: 0,
        under_way: None,
        is_applying: false,
        owed: BTreeSet::new(),
        kept: Vec::new(),
        shared: 0,
        memory: Memory::default(),
        was_robbed: false,
    }
}

fn describe(steps: &[Step]) -> String {
    let words: Vec<String> = steps.iter().map(Step::describe).collect();
    words.join(", ")
}

fn short(transaction: &poplin_node::transaction::Transaction) -> String {
    let plain = plain(transaction);
    let operations: Vec<String> = plain
        .operations
        .iter()
        .map(|operation| match operation {
            Operation::Put { key, value, .. } => format!("put {key} {}", String::from_utf8_lossy(value)),
            Operation::Delete(key) => format!("delete {key}"),
        })
        .collect();
    format!("if {:?} then {}", plain.compares, operations.join(", "))
}
