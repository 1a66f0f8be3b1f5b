//! Sixteen agents give out addresses of one small pool at once, out of an etcd of three members, while agents and leaders are killed.
//!
//! `POPLIN_LONGEST=20000 POPLIN_OPERATIONS=10000 cargo test -p poplin-tests --test stories allocators` has each agent attach or detach
//! that often (release programs by `POPLIN_BIN`: 64 minutes on two busy cores). Nothing of a container is configured: what is asked is who
//! has which address. A ledger beside the agents knows: an address stands in it from the answer to an attachment until its detachment is
//! asked for, and in that time nobody else may be given it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use poplin_lab::{Agent, Container, Lab, eventually, told};
use poplin_proto::v1::workload_service_client::WorkloadServiceClient;
use poplin_proto::v1::{AttachRequest, DetachRequest};
use tokio::runtime::Runtime;
use tonic::transport::Channel;

use crate::etcd_cluster::{Members, endpoints};

const HOSTS: u8 = 16;

/// 128 addresses in 16 blocks: a host that has many containers has more than a block of its own can hold.
const POOL: &str = "apiVersion: poplin.dev/v1\nkind: Pool\nmetadata: {name: small}\nspec: {cidr: 10.77.0.0/25, blockSize: 29}\n---\n\
    apiVersion: poplin.dev/v1\nkind: FabricConfig\nmetadata: {name: default}\nspec: {addressCooldownSeconds: 0}\n";

/// How many containers a host has at most; all of them together nearly fill the pool.
fn containers_of(host: u8) -> usize {
    if host.is_multiple_of(2) { 10 } else { 4 }
}

/// How long a call is tried again: a leader is elected in seconds, an agent starts in one.
const PATIENCE: Duration = Duration::from_secs(120);

/// After so many operations of all an agent is killed, at the least, and after five times as many the leader of etcd.
const OPERATIONS_A_LIFE: usize = 40;

/// How many agents are killed in a long run: who has more to do lives longer, or nothing is done but to begin.
const LIVES: usize = 400;

/// Between one try and the next.
const PAUSE: Duration = Duration::from_millis(20);

/// Whose each address is, as far as those know who were answered.
#[derive(Clone, Default)]
struct Ledger {
    whose: Arc<Mutex<BTreeMap<IpAddr, String>>>,
    /// How many operations have been answered.
    done: Arc<AtomicUsize>,
}

impl Ledger {
    #[track_caller]
    fn gains(&self, address: IpAddr, who: &str) {
        self.done.fetch_add(1, Ordering::Relaxed);
        let rival = self.whose.lock().expect("nobody panicked in it").insert(address, who.to_owned());
        assert_eq!(rival, None, "{address} is given to {who}, and somebody has it");
    }

    #[track_caller]
    fn loses(&self, address: IpAddr, who: &str) {
        self.done.fetch_add(1, Ordering::Relaxed);
        let had = self.whose.lock().expect("nobody panicked in it").remove(&address);
        assert_eq!(had.as_deref(), Some(who), "{address}");
    }
}

/// Who attaches and detaches the containers of one host.
struct Runtimes {
    socket: PathBuf,
    containers: Vec<Container>,
    has: Vec<Option<IpAddr>>,
    ledger: Ledger,
    runtime: Runtime,
    client: Option<WorkloadServiceClient<Channel>>,
    dice: u64,
}

impl Runtimes {
    fn new(lab: &Lab, host: u8, agent: &Agent, ledger: &Ledger) -> Self {
        let containers: Vec<_> =
            (0..containers_of(host)).map(|number| lab.container(&format!("h{host}c{number}"))).collect();
        Self {
            socket: agent.socket(),
            has: vec![None; containers.len()],
            containers,
            ledger: ledger.clone(),
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime"),
            client: None,
            dice: u64::from(host),
        }
    }

    /// So many attachments and detachments of whoever the dice say; then everybody leaves.
    fn work(mut self, operations: usize) {
        for _ in 0..operations {
            let which = self.roll();
            self.turn(which);
        }
        for which in (0..self.has.len()).filter(|which| self.has[*which].is_some()).collect::<Vec<_>>() {
            self.turn(which);
        }
    }

    /// Knuth's generator (MMIX); its upper bits are the better ones.
    fn roll(&mut self) -> usize {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.dice >> 33) as usize % self.containers.len()
    }

    /// Who has an address leaves, who has none joins.
    fn turn(&mut self, which: usize) {
        let container = self.containers[which].name().to_owned();
        if let Some(address) = self.has[which].take() {
            self.ledger.loses(address, &container);
            let request = DetachRequest { container, ..DetachRequest::default() };
            self.insist(async |client| client.detach(request.clone()).await.map(|_| ()));
            return;
        }
        let netns = self.containers[which].namespace().path().display().to_string();
        let request = AttachRequest { container: container.clone(), netns, ..AttachRequest::default() };
        let answer = self.insist(async |client| client.attach(request.clone()).await);
        let spec = answer.into_inner().endpoint.and_then(|endpoint| endpoint.spec).expect("an endpoint");
        let [address] = &spec.addresses[..] else { panic!("{:?}", spec.addresses) };
        let address = address.split('/').next().and_then(|bare| bare.parse().ok()).expect("an address");
        self.ledger.gains(address, &container);
        self.has[which] = Some(address);
    }

    /// Asks until it is answered: whoever is killed, or waits for a leader, answers later or in another life.
    fn insist<T>(&mut self, ask: impl AsyncFn(&mut WorkloadServiceClient<Channel>) -> Result<T, tonic::Status>) -> T {
        let until = Instant::now() + PATIENCE;
        loop {
            let answer = self.runtime.block_on(async {
                let client = match &mut self.client {
                    Some(client) => client,
                    None => {
                        let channel = poplin_proto::connect(&self.socket).await.map_err(|error| error.to_string())?;
                        self.client.insert(WorkloadServiceClient::new(channel))
                    }
                };
                let answer = tokio::time::timeout(PATIENCE, ask(client)).await;
                answer.map_err(|late| late.to_string())?.map_err(|status| status.to_string())
            });
            match answer {
                Ok(answer) => return answer,
                Err(error) if Instant::now() > until => panic!("{}: {error}", self.socket.display()),
                // Whoever asks without a pause is all that the machine does.
                Err(_) => {
                    self.client = None;
                    thread::sleep(PAUSE);
                }
            }
        }
    }
}

#[test]
fn agents_and_leaders_that_are_killed_while_sixteen_agents_give_out_addresses_neither_double_nor_leak_one() {
    let operations = std::env::var("POPLIN_OPERATIONS").map_or(40, |text| text.parse().expect("a number"));
    let lab = Lab::new();
    let tor = lab.tor();
    let mut members = Members::start(&lab, &tor);
    let host = |number| tor.lone_host(&lab, number).with(&["--etcd", &endpoints()]);
    let mut hosts: Vec<Agent> = (1..=HOSTS).map(host).collect();
    hosts.iter_mut().for_each(Agent::launch);
    hosts.iter_mut().for_each(Agent::until_ready);
    hosts[0].apply(POOL);

    let ledger = Ledger::default();
    let workers: Vec<_> =
        (1..=HOSTS).zip(&hosts).map(|(number, agent)| Runtimes::new(&lab, number, agent, &ledger)).collect();
    let is_over = AtomicBool::new(false);
    let a_life = OPERATIONS_A_LIFE.max(operations * usize::from(HOSTS) / LIVES);
    thread::scope(|scope| {
        let workers: Vec<_> = workers.into_iter().map(|worker| scope.spawn(move || worker.work(operations))).collect();
        let killer = scope.spawn(|| kill_in_turn(&lab, &mut hosts, &mut members, a_life, (&ledger.done, &is_over)));
        let ends: Vec<_> = workers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        is_over.store(true, Ordering::Relaxed);
        let killed = killer.join().expect("who is killed comes back");
        ends.into_iter().for_each(|end| end.expect("every call is answered in the end"));
        assert!(killed > 0, "agents were killed");
    });

    hosts.iter_mut().for_each(Agent::until_ready);
    for host in &hosts {
        eventually("nothing is leaked", || match host.try_poplin(&["ipam", "check"]) {
            output if output.status.success() => Ok(()),
            output => Err(told(&output)),
        });
        assert_eq!(host.links(), Vec::<String>::new());
    }
    assert_eq!(hosts[0].get(&["endpoints"]), serde_json::json!([]));
}

/// Kills an agent and starts it again after `a_life` operations; after each five the leader of etcd. Tells how many agents were.
fn kill_in_turn(
    lab: &Lab,
    hosts: &mut [Agent],
    members: &mut Members,
    a_life: usize,
    (done, is_over): (&AtomicUsize, &AtomicBool),
) -> usize {
    let mut killed = 0;
    while !is_over.load(Ordering::Relaxed) {
        if done.load(Ordering::Relaxed) < killed * a_life {
            thread::sleep(Duration::from_millis(5));
            continue;
        }
        let count = hosts.len();
        let host = &mut hosts[killed * 7 % count];
        host.kill();
        host.start();
        killed += 1;
        if killed % 5 == 0 {
            let leader = members.leader();
            members.kill(leader);
            members.revive(lab, leader);
            members.until_whole();
        }
    }
    killed
}
