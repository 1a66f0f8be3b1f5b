//! What an agent costs that has nothing to do, alone and in a fabric of a thousand hosts, and how soon it knows such a fabric.
//!
//! `cargo build --release --workspace && cargo bench -p poplin-tests --bench resident`. Needs root and etcd. Repetitions:
//! `POPLIN_REPETITIONS`. 999 other hosts with a block and 100 endpoints each stand in etcd; one workload is here, and 100 policies govern it,
//! each of which admits 1,000 of those endpoints. Timed is from the start of the agent to its first answer about the fabric; the reference
//! reads the same records page by page and does nothing with them. How long an idle agent computes is told for each second.

#![allow(clippy::unwrap_used)] // whatever fails here ends the bench

#[allow(dead_code)]
mod figures;

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use figures::{Line, Times, setting, tell, time};
use poplin_agent::resource::{ROOT, encode, path_of};
use poplin_agent::store::{Location, MOST_OPERATIONS, Store, Transaction, open};
use poplin_lab::{Agent, ETCD, Lab, Tor, until};
use poplin_node::kernel::Mac;
use poplin_node::name::{AttachmentId, EndpointName, HostName, PoolName};
use poplin_node::object::{Block, Endpoint, Host, Object};
use poplin_policy::label::Labels;
use poplin_policy::ruleset::Interface;
use tokio::runtime::Runtime;

const OTHERS: u32 = 999;
const EACH: u32 = 100;
const GROUPS: u32 = 100;

/// How long an agent is given to come to rest, and how long it is watched then.
const SETTLES: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_secs(20);

/// What `/proc/PID/stat` counts in (USER_HZ, proc(5)).
const TICK: Duration = Duration::from_millis(10);

fn main() {
    let repetitions = setting("POPLIN_REPETITIONS", 5);
    let lab = Lab::new();
    let mut tor = lab.tor();
    tor.start_etcd();
    let mut agent = tor.host(&lab, 1);
    agent.start();
    agent.apply(&declared());
    let mut workload = lab.container("web");
    agent.attach(&mut workload, &["app=web"]);

    let alone = Idle::of(&mut agent);
    agent.kill();
    fill(&tor);
    let (mut synced, mut listed) = (Times::default(), Times::default());
    for _ in 0..repetitions {
        listed.add(tor.namespace().within(list));
        let ((), took) = time(|| sync(&mut agent));
        synced.add(took);
        agent.kill();
    }
    sync(&mut agent);
    let among_many = Idle::of(&mut agent);

    let who = || format!("{} hosts x {EACH} endpoints", OTHERS + 1);
    let idle = |what, who: &str, times| Line { what, who: who.to_owned(), times, reference: &alone.computes };
    let lines = [
        Line { what: "started and synced", who: who(), times: &synced, reference: &listed },
        Line { what: "bare listing", who: who(), times: &listed, reference: &listed },
        idle("idle, a second of it", "one host, one workload", &alone.computes),
        idle("idle, a second of it", &who(), &among_many.computes),
    ];
    tell("resident", "An agent at rest; ratio to a bare listing, and to one alone", &lines);
    for (who, idle) in [("one host".to_owned(), &alone), (who(), &among_many)] {
        println!("{who}: {} MiB resident, at most {} MiB", idle.resident_kib / 1024, idle.most_kib / 1024);
    }
}

/// Starts the agent, and waits until it has read the store and its rules follow.
fn sync(agent: &mut Agent) {
    agent.launch();
    until("it has read the store", || {
        let output = agent.try_poplin(&["status", "-o", "json"]);
        let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let store = &status["store"];
        store["connected"] == true && store["fromMemory"] != true && status["policies"] == GROUPS
    });
}

/// An agent that nobody asks anything.
struct Idle {
    computes: Times,
    resident_kib: u64,
    most_kib: u64,
}

impl Idle {
    fn of(agent: &mut Agent) -> Self {
        let pid = agent.process().pid();
        std::thread::sleep(SETTLES);
        let (before, start) = (computed(pid), Instant::now());
        std::thread::sleep(IDLE);
        let spent = (computed(pid) - before).as_secs_f64() / start.elapsed().as_secs_f64();
        let mut computes = Times::default();
        computes.add(Duration::from_secs_f64(spent));
        Self { computes, resident_kib: memory_kib(pid, "VmRSS:"), most_kib: memory_kib(pid, "VmHWM:") }
    }
}

/// How long a process has computed, its kernel's part included (fields 14 and 15 of `/proc/PID/stat`).
fn computed(pid: u32) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = text.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u32 = fields[11..13].iter().map(|field| field.parse::<u32>().unwrap()).sum();
    TICK * ticks
}

fn memory_kib(pid: u32, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn declared() -> String {
    let mut text =
        "apiVersion: poplin.dev/v1\nkind: Pool\nmetadata: {name: p}\nspec: {cidr: 10.64.0.0/10, blockSize: 25}\n---\n\
        apiVersion: poplin.dev/v1\nkind: FabricConfig\nmetadata: {name: default}\nspec: {mesh: false}\n"
            .to_owned();
    for group in 0..GROUPS {
        let _ = write!(
            text,
            "---\napiVersion: poplin.dev/v1\nkind: Policy\nmetadata: {{name: p{group}}}\nspec:\n  subject: app == 'web'\n  \
             ingress: [{{action: allow, from: {{select: group == 'g{group}'}}, ports: [tcp/{}]}}]\n",
            1000 + group
        );
    }
    text
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

async fn store() -> Arc<dyn Store> {
    open(&Location::etcd(vec![ETCD.to_owned()])).await.unwrap()
}

/// Reads every record, and does nothing with it.
fn list() -> Duration {
    runtime().block_on(async {
        let store = store().await;
        let start = Instant::now();
        let listed = store.snapshot(ROOT).await.unwrap();
        assert!(listed.entries.len() > (OTHERS * EACH) as usize);
        start.elapsed()
    })
}

/// Writes down the other hosts and what is theirs.
fn fill(tor: &Tor) {
    tor.namespace().within(|| {
        runtime().block_on(async {
            let store = store().await;
            let objects: Vec<Object> = (1..=OTHERS).flat_map(others).collect();
            for part in objects.chunks(MOST_OPERATIONS) {
                let puts = part.iter().fold(Transaction::default(), |all, object| {
                    all.put(path_of(&object.key()), encode(object).unwrap())
                });
                store.transact(puts).await.unwrap();
            }
        });
    });
}

/// One host, its block and its endpoints.
fn others(number: u32) -> Vec<Object> {
    let host = HostName::new(format!("other{number}"));
    let at = Ipv4Addr::from_bits(u32::from(Ipv4Addr::new(172, 24, 0, 0)) + number);
    // The blocks of the other half of the pool, where no hash of this host's name leads before the first half is full.
    let first = u32::from(Ipv4Addr::new(10, 96, 0, 0)) + 128 * number;
    let cidr = ipnet::IpNet::new(Ipv4Addr::from_bits(first).into(), 25).unwrap();
    let mut block = Block::empty(PoolName::new("p"), cidr, host.clone());
    let mut objects = Vec::new();
    for ordinal in 0..EACH {
        let attachment = AttachmentId { container: format!("c{number}x{ordinal}"), interface: "eth0".to_owned() };
        block.taken.insert(ordinal, attachment.clone());
        let group = (number * EACH + ordinal) % GROUPS;
        let labels = [("app", "api".to_owned()), ("group", format!("g{group}"))];
        objects.push(Object::Endpoint(Endpoint {
            name: EndpointName::new(format!("e{number}x{ordinal}")),
            labels: Labels::try_from_pairs(labels).unwrap(),
            namespace: None,
            ports: Vec::new(),
            published: Vec::new(),
            host: host.clone(),
            attachment,
            addresses: [Ipv4Addr::from_bits(first + ordinal).into()].into(),
            interface: Interface::new(format!("pop{ordinal}")).unwrap(),
            mac: Mac([2, 0, 0, 0, 0, 1]),
            netns: format!("/run/netns/e{ordinal}").into(),
            mtu_bytes: 1500,
            network: None,
            is_sticky: false,
            since: Some(1_700_000_000),
            aliases: [].into(),
            profiles: [].into(),
            container: None,
            parent: None,
        }));
    }
    let router = Host {
        name: host,
        labels: Labels::default(),
        addresses: [at.into()].into(),
        asn: None,
        router_id: at,
        is_draining: false,
        told: None,
        machine: None,
        release: None,
    };
    objects.extend([Object::Host(router), Object::Block(block)]);
    objects
}
