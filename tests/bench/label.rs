//! From a changed label to a changed kernel, by how many policies are loaded.
//!
//! `cargo build --release --workspace && cargo bench -p poplin-tests --bench label`. Needs root. Repetitions: `POPLIN_REPETITIONS`.
//! Ten workloads share the policies; each policy admits one role to one of them. A container gains and loses a role that
//! one policy admits, by an Apply over gRPC. The clock runs from the request to the kernel's word that the element is there
//! or gone. Reference: the same word after one bare change over netlink, in a table of one set.

#![allow(clippy::unwrap_used)] // whatever fails here ends the bench

#[allow(dead_code)]
mod figures;

use std::fmt::Write as _;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use figures::{Line, Times, setting, tell};
use netlink_sys::SocketAddr;
use netlink_sys::constants::NETLINK_NETFILTER;
use poplin_agent::kernel::Rules;
use poplin_lab::{Agent, Lab, Namespace};
use poplin_policy::delta::Change;
use poplin_policy::ruleset::{Atom, Datatype, Element, Form, Name, Set};
use poplin_proto::v1::resource::Object;
use poplin_proto::v1::resource_service_client::ResourceServiceClient;
use poplin_proto::v1::{ApplyRequest, Endpoint, GetRequest, Manifest, Resource};
use tokio::runtime::Runtime;
use tonic::transport::Channel;

const WORKLOADS: usize = 10;

/// NFNLGRP_NFTABLES, and NFT_MSG_NEWSETELEM and DELSETELEM of its subsystem (linux/netfilter/nfnetlink.h, nf_tables.h).
const GROUP: u32 = 7;
const ELEMENT_CAME: u16 = 10 << 8 | 12;
const ELEMENT_WENT: u16 = 10 << 8 | 14;

/// Silence after which the agent has nothing left to do.
const SILENCE: Duration = Duration::from_millis(500);

fn main() {
    let repetitions = setting("POPLIN_REPETITIONS", 200);
    let mut measured = Vec::new();
    for policies in [1, 100, 1_000] {
        measured.push((policies, measure(policies, repetitions)));
    }
    let lines: Vec<_> = measured
        .iter()
        .flat_map(|(policies, [enforced, answered, bare])| {
            let line = |what, times| Line { what, who: format!("{policies} policies"), times, reference: bare };
            [line("label to kernel", enforced), line("label to answer", answered), line("bare netlink element", bare)]
        })
        .collect();
    tell("label", "One label changed; ratio to one bare element in the same run", &lines);
}

/// Request to kernel, request to answer, and the reference, interleaved.
fn measure(policies: usize, repetitions: usize) -> [Times; 3] {
    let lab = Lab::new();
    let mut agent = Agent::new(&lab, lab.namespace("host"), "host");
    agent.start();
    let mut workloads: Vec<_> = (0..WORKLOADS).map(|number| lab.container(&format!("w{number}"))).collect();
    for (number, workload) in workloads.iter_mut().enumerate() {
        agent.attach(workload, &[&format!("app=w{number}")]);
    }
    let mut changing = lab.container("changing");
    agent.attach(&mut changing, &[]);

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut client = Client::connect(&runtime, &agent);
    client.declare(policies);
    let endpoint = client.endpoint(changing.name());

    let bare = lab.namespace("bare");
    let (news, bare_news) = (listen(agent.namespace()), listen(&bare));
    let mut rules = bare.within(|| Rules::open().unwrap());
    let shape = Set { key: vec![Datatype::Address4], form: Form::Hash, elements: [].into() };
    rules.apply(&[Change::Restart, Change::AddSet(Name::new("peers"), shape.clone().into())]).unwrap();
    let element = vec![Element::exactly([Atom::Address4([10, 0, 0, 1].into())])];

    let mut times = [const { Vec::new() }; 3].map(|_: Vec<Duration>| Times::default());
    while news.0.recv_timeout(SILENCE).is_ok() {}
    for number in 0..2 * (repetitions.div_ceil(2)) + 2 {
        let gains = number % 2 == 0;
        let role = if gains { "r0" } else { "none" };
        let start = Instant::now();
        client.label(&endpoint, role);
        let answered = start.elapsed();
        let enforced = news.next(gains).duration_since(start);

        let (removed, added) = if gains { (vec![], element.clone()) } else { (element.clone(), vec![]) };
        let start = Instant::now();
        rules
            .apply(&[Change::AlterSet { name: Name::new("peers"), shape: shape.clone().into(), removed, added }])
            .unwrap();
        let told = bare_news.next(gains).duration_since(start);

        if number >= 2 {
            times[0].add(enforced);
            times[1].add(answered);
            times[2].add(told);
        }
    }
    times
}

/// Hears of elements that come or go in a namespace, and when.
fn listen(namespace: &Namespace) -> News {
    let (tell, told) = mpsc::channel();
    let socket = namespace.within(|| {
        let mut socket = netlink_sys::Socket::new(NETLINK_NETFILTER).unwrap();
        socket.bind(&SocketAddr::new(0, 0)).unwrap();
        socket.add_membership(GROUP).unwrap();
        socket
    });
    thread::spawn(move || {
        while let Ok((message, _)) = socket.recv_from_full() {
            let now = Instant::now();
            let kind = u16::from_ne_bytes([message[4], message[5]]);
            if [ELEMENT_CAME, ELEMENT_WENT].contains(&kind) && tell.send((kind, now)).is_err() {
                break;
            }
        }
    });
    News(told)
}

/// Each element that came or went, and when that was heard of.
struct News(mpsc::Receiver<(u16, Instant)>);

impl News {
    /// When the next element came, or went; it must be that and nothing else.
    fn next(&self, comes: bool) -> Instant {
        let (kind, when) = self.0.recv_timeout(Duration::from_secs(5)).expect("the kernel changes");
        assert_eq!(kind == ELEMENT_CAME, comes, "one element changes, and no other");
        when
    }
}

/// One connection to the agent, as a person or a controller would hold it.
struct Client<'a> {
    runtime: &'a Runtime,
    resources: ResourceServiceClient<Channel>,
}

impl<'a> Client<'a> {
    fn connect(runtime: &'a Runtime, agent: &Agent) -> Self {
        let channel = runtime.block_on(poplin_proto::connect(&agent.socket())).unwrap();
        Self { runtime, resources: ResourceServiceClient::new(channel) }
    }

    /// Policies, each for one of the workloads and one role; the first admits the role that comes and goes.
    fn declare(&mut self, count: usize) {
        for numbers in (0..count).collect::<Vec<_>>().chunks(100) {
            let mut text = String::new();
            for number in numbers {
                let (app, port) = (number % WORKLOADS, 1 + number % 60_000);
                let _ = writeln!(
                    text,
                    "apiVersion: poplin.dev/v1\nkind: Policy\nmetadata: {{name: p{number}}}\nspec:\n  subject: app == 'w{app}'\n  \
                     ingress: [{{action: allow, from: {{select: role == 'r{number}'}}, ports: [tcp/{port}]}}]\n---"
                );
            }
            let text = text.trim_end_matches("---\n").to_owned();
            let manifest = Manifest { name: "policies.yaml".to_owned(), text };
            self.apply(ApplyRequest { manifests: vec![manifest], ..ApplyRequest::default() });
        }
    }

    fn endpoint(&mut self, name: &str) -> Endpoint {
        let request = GetRequest { kind: "Endpoint".to_owned(), name: name.to_owned() };
        let answer = self.runtime.block_on(self.resources.get(request)).unwrap().into_inner();
        let Some(Object::Endpoint(endpoint)) = answer.resource.and_then(|resource| resource.object) else {
            panic!("{name} is no endpoint")
        };
        endpoint
    }

    fn label(&mut self, endpoint: &Endpoint, role: &str) {
        let mut endpoint = endpoint.clone();
        let metadata = endpoint.metadata.as_mut().unwrap();
        metadata.resource_version = 0;
        metadata.labels.insert("role".to_owned(), role.to_owned());
        let resources = vec![Resource { object: Some(Object::Endpoint(endpoint)) }];
        self.apply(ApplyRequest { resources, ..ApplyRequest::default() });
    }

    fn apply(&mut self, request: ApplyRequest) {
        self.runtime.block_on(self.resources.apply(request)).unwrap();
    }
}
