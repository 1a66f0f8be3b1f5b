//! The one loop: events to the head, actions from it.
//!
//! In: a configuration. Out: nothing, until the process is told to stop; then it goes without a word, as death is harmless:
//! routes, rules and links stay, and the next life adopts them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use poplin_bgp::{Address, Order, OrderRefusal};
use poplin_node::release::MinWriter;
use poplin_node::request::{Answer, RequestId};
use poplin_node::status::Status;
use poplin_node::{Action, Event, Identity, Node, Note, Role};
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};

use crate::alarm::Alarm;
use crate::bmp::Stations;
use crate::changes::Changes;
use crate::config::speaker::SpeakerFile;
use crate::config::{Config, Role as ConfiguredRole};
use crate::docker;
use crate::drops::{self, Feed, Feeding};
use crate::execute::Executor;
use crate::flows::FlowKeeper;
use crate::hear::{self, Hearing, transact};
use crate::kernel::{Conntrack, Hands};
use crate::machine;
use crate::manager::Manager;
use crate::memory::Complaints;
use crate::metrics::{Figures, door};
use crate::names::{Nameserver, Upstreams};
use crate::past::Past;
use crate::peers::Peers;
use crate::probe;
use crate::resource::ROOT;
use crate::schema;
use crate::serve::door::{self as front, Wholes};
use crate::serve::{Call, Desk, serve};
use crate::store::{
    Compare, FileStore, Followed, Location, Operation, Revision, Store, StoreError, Transaction, chance, follow, open,
};
use crate::trial;

/// Events that may wait for the head. It handles one in microseconds, so a full queue means it is stuck, and senders wait.
const QUEUE: usize = 1024;

/// Connections that may wait to be spoken with.
const GUESTS: usize = 16;

/// The pool a single host begins with: private (RFC 1918), and in no default of Docker, libvirt or Kubernetes.
pub(crate) const DEFAULT_POOL: &str =
    r#"{"apiVersion":"poplin.dev/v1","kind":"Pool","metadata":{"name":"default"},"spec":{"cidr":"10.77.0.0/16"}}"#;

/// Runs the agent until it is told to stop. Whoever asks something is answered by the threads of `doors`: a long answer holds up no neighbour.
pub async fn run(config: Config, doors: Handle) -> anyhow::Result<()> {
    schema::act_as(config.schema);
    let listener = {
        let _among_the_doors = doors.enter();
        front::listen(&config.socket, &config.allowed)?
    };
    let (role, truth) = truth(&config, &doors).await?;
    let store = truth.store();
    let hands = match role {
        Role::Host if config.owns_rules => Hands::open(),
        Role::Host => Hands::open_shared(),
        Role::Speaker { .. } => Hands::open_routes(),
    };
    let mut hands = hands.context("cannot take the kernel's network in hand")?;
    let rules_stand = hands.rules_stand()?;
    let (events, mut inbox) = mpsc::channel(QUEUE);
    let (calls, mut requests) = mpsc::channel(QUEUE);
    let (ready, is_ready) = watch::channel(false);
    let (tells_heard, heard) = watch::channel(0);
    let (tells_in_force, in_force) = watch::channel(false);
    let inside = hands.inside();
    let executor = Executor::start(hands, events.clone())?;
    let peers = Peers::start(&config.bgp_listen, config.identity.addresses.clone(), events.clone()).await;
    let drops = Arc::new(Feed::default());
    let host = config.identity.host.to_string();
    let stations = Stations::new(&host, config.identity.addresses.clone(), events.clone());
    let flows = match role {
        Role::Host => {
            let feeding = Feeding { feed: drops.clone(), host: host.clone(), head: calls.clone() };
            doors.spawn(drops::listen(feeding.clone()));
            doors.spawn(drops::listen_inside(inside, feeding));
            Some(keep_host(&doors, &host, &store, &events)?)
        }
        Role::Speaker { .. } => None,
    };
    let complaints = Complaints::default();
    let (past, recalled) = match (&config.role, &config.memory) {
        (ConfiguredRole::Host(Location::Etcd { endpoints, .. }), Some(path)) => {
            Past::remember(path, endpoints, complaints.clone(), rules_stand)
        }
        (ConfiguredRole::Host(_) | ConfiguredRole::Speaker { .. }, _) => (Past::default(), None),
    };
    let is_shared = matches!(config.role, ConfiguredRole::Host(Location::Etcd { .. }));
    let known_at = past.known_at();
    let wholes = Wholes::default();
    let of_store = store.clone();
    let desk = Desk {
        calls,
        store: of_store,
        host,
        drops,
        role,
        ready: is_ready,
        heard,
        in_force,
        known_at,
        wholes,
        complaints,
    };
    if let Some(address) = config.metrics_listen {
        let bound = doors.spawn(door::bind(address)).await??;
        doors.spawn(door::serve(bound, desk.clone()));
    }
    if let Some(settings) = &config.docker {
        let socket = {
            let _among_the_doors = doors.enter();
            docker::socket(&settings.plugin)?
        };
        doors.spawn(docker::serve(socket, settings.clone(), desk.clone()));
    }
    let (guests, who_came) = mpsc::channel(GUESTS);
    let allowed = Arc::new(config.allowed);
    doors.spawn(front::advise(allowed.clone(), config.socket.clone(), config.remote.is_some()));
    if let Some(remote) = config.remote {
        doors.spawn(front::admit(remote, allowed.clone(), guests.clone()));
    }
    doors.spawn(front::receive(listener, allowed, guests));
    let door = doors.spawn(serve(who_came, desk));
    let mut news = follow(store.clone(), ROOT.to_owned());
    let names = config.names.map(|named| Nameserver::start(&doors, Upstreams::new(named)));
    let machine = config.data.as_deref().and_then(machine::identify);
    let is_host = role == Role::Host;
    let release = is_host.then(schema::release);
    let node = Node::with_role(Identity { machine, release, ..config.identity }, role);
    let mut agent = Agent {
        node: if names.is_some() { node } else { node.without_names() },
        names,
        store,
        executor,
        flows,
        peers,
        stations,
        events,
        ready,
        heard: tells_heard,
        in_force: tells_in_force,
        hearing: Hearing::default(),
        past,
        changes: Changes::default(),
        is_unwatched: false,
        is_to_read_store: false,
        min_writer: MinWriter::Unsaid,
        is_host,
        waiting: BTreeMap::new(),
        requests: 0,
    };
    if is_shared {
        agent.handle(Event::Seeded(chance::seed()));
    }
    if let Some(debts) = recalled {
        agent.handle(Event::DebtsRecalled(debts));
    }
    let mut hangup = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut manager = Manager::found();
    manager.serving();
    tracing::info!("serving on {}", config.socket.display());
    let mut alarm = Alarm::default();
    loop {
        alarm.set(agent.node.next_deadline());
        tokio::select! {
            Some(event) = inbox.recv() => agent.handle(event),
            Some(call) = requests.recv() => agent.call(call),
            Some(followed) = news.recv() => {
                agent.hear(followed);
                if std::mem::take(&mut agent.is_to_read_store) {
                    news = follow(agent.store.clone(), ROOT.to_owned());
                }
            }
            () = alarm.ring() => agent.handle(Event::Tick),
            () = manager.asks() => manager.alive(),
            _ = hangup.recv() => truth.read_again(),
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    manager.stopping();
    door.abort();
    agent.stations.stop().await;
    tracing::info!("stopping; routes and rules stay in force");
    Ok(())
}

/// Where what is declared stands.
enum Truth {
    Store(Arc<dyn Store>),
    File(Arc<FileStore>, PathBuf, String),
}

async fn truth(config: &Config, doors: &Handle) -> anyhow::Result<(Role, Truth)> {
    match &config.role {
        ConfiguredRole::Host(location) => {
            let store = opened(location, doors).await?;
            if let Location::Embedded(_) = location {
                begin_fabric(&*store).await.map_err(told)?;
            }
            Ok((Role::Host, Truth::Store(store)))
        }
        ConfiguredRole::Speaker { path, values, installs } => {
            let store = Arc::new(FileStore::new(path.clone(), values.clone()));
            let truth = Truth::File(store, path.clone(), config.identity.host.to_string());
            Ok((Role::Speaker { installs: *installs }, truth))
        }
    }
}

/// Connections to etcd live among the doors: the loop may think of a large fabric for longer than etcd is given to answer, and a server
/// whose answers nobody fetches would be taken for one that is away. What is read is still thought of by the loop.
async fn opened(location: &Location, doors: &Handle) -> anyhow::Result<Arc<dyn Store>> {
    let store = match location {
        Location::Embedded(_) => open(location).await,
        Location::Etcd { .. } => {
            let location = location.clone();
            doors.spawn(async move { open(&location).await }).await?
        }
    };
    store.map_err(told)
}

impl Truth {
    fn store(&self) -> Arc<dyn Store> {
        match self {
            Truth::Store(store) => store.clone(),
            Truth::File(store, ..) => store.clone(),
        }
    }

    /// A file that is not sound any more changes nothing.
    fn read_again(&self) {
        match self {
            Truth::Store(_) => tracing::info!("nothing to read again: what is declared stands in the store"),
            Truth::File(store, path, host) => {
                let read = SpeakerFile::read(path).and_then(|file| file.values(host));
                match read.map(|values| store.replace(values)) {
                    Ok(true) => tracing::info!("{} was read again", path.display()),
                    Ok(false) => tracing::info!("{} was read again, and nothing in it is new", path.display()),
                    Err(error) => tracing::error!("{error:#}; what was read before stays in force"),
                }
            }
        }
    }
}

/// Starts what only a host needs: flows, trials of policy, and the end of what others began in the store.
fn keep_host(
    doors: &Handle,
    host: &str,
    store: &Arc<dyn Store>,
    events: &mpsc::Sender<Event>,
) -> anyhow::Result<FlowKeeper> {
    let conntrack = Conntrack::open().context("cannot open a netlink socket for flows")?;
    let flows = FlowKeeper::start(conntrack, events.clone())?;
    doors.spawn(trial::keep(store.clone(), host.to_owned()));
    let whole = store.clone();
    doors.spawn(async move { whole.keep().await });
    Ok(flows)
}

fn told(error: StoreError) -> anyhow::Error {
    let advice = error.advice().map(|advice| format!("; {advice}")).unwrap_or_default();
    anyhow::anyhow!("{}{advice}", error.story())
}

/// A store that does not say who may write is told. If it cannot be told now, the news that it is back ask again.
async fn say_min_writer(store: Arc<dyn Store>, before: MinWriter) {
    if let Err(error) = schema::begin(&*store, before).await {
        tracing::warn!("the store does not say from which schema on agents may write: {}", error.story());
    }
}

/// Gives a new embedded store its first pool. An old one whose pools were deleted gets none.
async fn begin_fabric(store: &dyn Store) -> Result<(), StoreError> {
    let pool = Operation::Put { key: format!("{ROOT}c/pool/default"), value: DEFAULT_POOL.into(), lease: None };
    let mark = format!("{ROOT}meta/begun");
    let transaction = Transaction {
        compares: vec![Compare::Absent(mark.clone())],
        operations: vec![pool, Operation::Put { key: mark, value: Vec::new(), lease: None }],
    };
    match store.transact(transaction).await {
        Err(StoreError::Outdated(_)) => Ok(()), // it was begun by a later agent
        outcome => outcome.map(|_| ()),
    }
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// The head and the hands it moves.
struct Agent {
    node: Node,
    store: Arc<dyn Store>,
    executor: Executor,
    /// Absent: a speaker ends no flows.
    flows: Option<FlowKeeper>,
    peers: Peers,
    stations: Stations,
    /// Absent: this node serves no names.
    names: Option<Nameserver>,
    events: mpsc::Sender<Event>,
    ready: watch::Sender<bool>,
    /// How far the head has heard the store.
    heard: watch::Sender<Revision>,
    /// Whether the kernel holds the rules that are wanted.
    in_force: watch::Sender<bool>,
    hearing: Hearing,
    /// What earlier lives knew, and what a later one will.
    past: Past,
    changes: Changes,
    /// Whether changes were told to nobody: the head may stop.
    is_unwatched: bool,
    /// Whether the store is to be read whole, and followed from there.
    is_to_read_store: bool,
    /// What the store last said of who may write in it.
    min_writer: MinWriter,
    /// Whether it is a host of a fabric, and no speaker alone, whose file nobody else writes.
    is_host: bool,
    waiting: BTreeMap<RequestId, oneshot::Sender<Answer>>,
    requests: u64,
}

impl Agent {
    fn handle(&mut self, event: Event) {
        if let Event::Bgp(poplin_bgp::Event::ConnectionClosed { connection, .. }) = &event {
            self.peers.forget(*connection);
        }
        self.node.handle(Instant::now(), event);
        while let Some(action) = self.node.next_action() {
            self.act(action);
        }
        if std::mem::take(&mut self.is_unwatched) {
            self.node.handle(Instant::now(), Event::Bgp(poplin_bgp::Event::Watched(false)));
        }
        let is_ready = self.node.is_ready();
        self.ready.send_if_modified(|ready| std::mem::replace(ready, is_ready) != is_ready);
        // Before what was heard: who waits for both is not to take the rules of before for those of after.
        let are_in_force = self.node.are_rules_in_force();
        self.in_force.send_if_modified(|before| std::mem::replace(before, are_in_force) != are_in_force);
        let revision = self.node.heard_revision();
        self.heard.send_if_modified(|heard| std::mem::replace(heard, revision) != revision);
    }

    /// News of the store. What an earlier life knew takes its place where it does not answer a first time, and is compared with what it says where it does.
    fn hear(&mut self, followed: Followed) {
        let event = self.hearing.event(&followed);
        let cluster = self.store.cluster();
        for before in self.past.before(&event, cluster) {
            self.handle(before);
        }
        // What forbids to write counts before anything else of the news, and what allows it after all of it.
        let (before, after) = self.leave_to_write(&followed);
        before.into_iter().chain([event]).chain(after).for_each(|event| self.handle(event));
        // Last: what the store forgot is in the memory before what it says now.
        self.past.hear(followed, cluster, |key| self.hearing.is_unreadable(key));
    }

    /// What the news say of imports and of who may write: what is to be told before them, and what after.
    fn leave_to_write(&mut self, followed: &Followed) -> (Vec<Event>, Vec<Event>) {
        let (mut before, mut after) = (Vec::new(), Vec::new());
        match hear::importing(followed) {
            Some(true) => before.push(Event::Importing(true)),
            Some(false) => after.push(Event::Importing(false)),
            None => {}
        }
        if let Some(min_writer) = hear::min_writer(followed) {
            let may_write = min_writer.admits(&schema::release()).is_ok();
            if may_write { &mut after } else { &mut before }.push(Event::MinWriter(min_writer));
            match min_writer {
                MinWriter::Unsaid if self.is_host => {
                    tokio::spawn(say_min_writer(self.store.clone(), self.min_writer));
                }
                told => self.min_writer = told,
            }
        }
        (before, after)
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::ReadStore => self.is_to_read_store = true,
            Action::Owe(debts) => self.past.owe(debts, self.events.clone()),
            Action::Keep { objects, shared } => self.past.keep(hear::kept(&objects), shared),
            Action::Apply(steps) => self.executor.apply(steps),
            Action::ReadFlows(ends, inside) => {
                self.flows.iter().for_each(|keeper| keeper.read(ends.clone(), inside.clone()));
            }
            Action::EndFlows(flows) => self.flows.iter().for_each(|keeper| keeper.end(flows.clone())),
            Action::Bgp(poplin_bgp::Action::BestChanged(change)) => {
                self.is_unwatched |= !self.changes.tell(&self.node, &change);
            }
            Action::Bgp(poplin_bgp::Action::Monitor(wanted)) => self.stations.want(&wanted),
            Action::Bgp(poplin_bgp::Action::Report { connection, octets }) => self.stations.report(connection, octets),
            Action::AdvertiseNeighbours(all) => self.executor.advertise(all),
            Action::Discover(links) => self.peers.discover(&links),
            Action::ProtectCallers(ranges) => self.peers.protect_callers(ranges),
            Action::Probe(wanted) => {
                let events = self.events.clone();
                tokio::spawn(async move {
                    let outcome = probe::make(&wanted).await;
                    let _ = events.send(Event::Probed(wanted, outcome)).await;
                });
            }
            Action::ChangeNames(changes) => {
                if let Some(names) = &self.names {
                    names.change(changes);
                }
            }
            Action::OpenNameDoors(wanted) => {
                if let Some(names) = &self.names {
                    names.open(wanted);
                }
            }
            Action::Bgp(action) => self.peers.act(action),
            Action::Note(Note::Info(text)) => tracing::info!("{text}"),
            Action::Note(Note::Warning(text)) => tracing::warn!("{text}"),
            Action::Answer(request, answer) => {
                if let Some(waiting) = self.waiting.remove(&request) {
                    let _ = waiting.send(answer); // a caller who went away needs no answer
                }
            }
            Action::Transact(id, transaction) => {
                let (store, events) = (self.store.clone(), self.events.clone());
                tokio::spawn(async move {
                    let outcome = transact(store, transaction).await;
                    let _ = events.send(Event::TransactionDone { id, outcome }).await;
                });
            }
        }
    }

    fn call(&mut self, call: Call) {
        match call {
            Call::Attach(attach, answer) => {
                let request = self.waits(answer);
                self.handle(Event::AttachRequested(request, attach));
            }
            Call::Detach(detach, answer) => {
                let request = self.waits(answer);
                self.handle(Event::DetachRequested(request, detach));
            }
            Call::Hold(hold, answer) => {
                let request = self.waits(answer);
                self.handle(Event::HoldRequested(request, hold));
            }
            Call::Renew(renew, answer) => {
                let request = self.waits(answer);
                self.handle(Event::RenewRequested(request, renew));
            }
            Call::LetGo(address) => self.handle(Event::HoldEnded(address)),
            Call::Check(attachment, answer) => {
                let _ = answer.send(self.node.check(&attachment));
            }
            Call::Truth(answer) => {
                let _ = answer.send(self.node.truth(Instant::now()));
            }
            Call::Status(answer) => {
                let _ = answer.send(self.node.status(Instant::now()));
            }
            Call::Routes(prefix, answer) => {
                let _ = answer.send(self.node.heard(prefix));
            }
            Call::NeighbourCalled(text, answer) => {
                let _ = answer.send(self.node.neighbour_called(&text));
            }
            Call::Neighbour(address, answer) => {
                let _ = answer.send(self.node.neighbour(Instant::now(), address));
            }
            Call::Advertised(neighbour, prefix, answer) => {
                let _ = answer.send(self.node.advertised(neighbour, prefix));
            }
            Call::Order(neighbour, order, answer) => {
                let _ = answer.send(self.order(neighbour, order));
            }
            Call::WatchRoutes(answer) => {
                let _ = answer.send(self.changes.watch());
                self.handle(Event::Bgp(poplin_bgp::Event::Watched(true)));
            }
            Call::Figures(answer) => {
                let _ = answer.send(self.figures());
            }
            Call::Dump(answer) => {
                let _ = answer.send(self.node.dump(since_1970()));
            }
            Call::Account(dropped, answer) => {
                let _ = answer.send(dropped.iter().map(|one| self.node.account_of(one)).collect());
            }
            Call::Course(packet, answer) => {
                let _ = answer.send(self.node.course(&packet));
            }
            Call::Passages(packet, answer) => {
                let _ = answer.send(self.node.passages(&packet));
            }
            Call::Counted(answer) => {
                let _ = answer.send(self.node.counted());
            }
        }
    }

    fn figures(&self) -> (Status, Vec<Figures>) {
        let now = Instant::now();
        let accepted = self.node.accepted();
        let status = self.node.status(now);
        let sessions = status.sessions.iter().filter_map(|session| {
            let (session, detail) = self.node.neighbour(now, session.address)?;
            let accepted = accepted.get(&session.address).copied().unwrap_or_default();
            Some(Figures { session, detail, accepted })
        });
        let sessions = sessions.collect();
        (status, sessions)
    }

    fn order(&mut self, neighbour: Address, order: Order) -> Result<String, OrderRefusal> {
        self.node.admits(neighbour, &order)?;
        self.handle(Event::Bgp(poplin_bgp::Event::Ordered { neighbour, order }));
        Ok(self.node.name_of(neighbour))
    }

    fn waits(&mut self, answer: oneshot::Sender<Answer>) -> RequestId {
        self.requests += 1;
        let request = RequestId(self.requests);
        self.waiting.insert(request, answer);
        request
    }
}
