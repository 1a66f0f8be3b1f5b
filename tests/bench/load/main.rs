//! The whole load of policy in a live agent: started with it, given it at once, and changed under it.
//!
//! `cargo build --release --workspace && cargo bench -p poplin-tests --bench load`. Needs root and `nft`. Loads: `POPLIN_LOADS`; edits of each
//! kind: `POPLIN_REPETITIONS`. 1,000 workloads, 10,000 policies of two rules, of which one asks for a label and one names a set, 1,000 sets of
//! 100 prefixes, and a host endpoint with ten policies of its own stand in the agent's own store. Three things are timed, each until the
//! kernel's word of the last commit:
//! - started: the agent's process, with all of it in its store and no table in the kernel.
//! - applied: `poplin apply` of all policies and sets in one file, to an agent that has the workloads and the host endpoint.
//! - edited: one prefix more or less in a set, one label of a workload, one port of a policy, each by an Apply over gRPC.
//!
//! References of the same run: `nft -f` of the same table from a file, in a namespace of its own, less the rules that look up in maps: what is found
//! by what was found has no words in `nft`. For edits one bare element over netlink, in a table of one set.

#![allow(clippy::unwrap_used)] // whatever fails here ends the bench

#[allow(dead_code)]
#[path = "../figures.rs"]
mod figures;

mod client;
mod declared;
mod generation;
mod news;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use client::Client;
use figures::{Line, Times, setting, tell, time};
use generation::Generation;
use news::News;
use poplin_agent::kernel::Rules;
use poplin_lab::{Agent, Container, Lab, Namespace, told};
use poplin_policy::delta::Change;
use poplin_policy::ruleset::{Atom, Datatype, Element, Form, Name, Set};

/// What the agent and its references took.
#[derive(Default)]
struct Taken {
    started: Times,
    applied: Times,
    by_nft: Times,
    element: Times,
    label: Times,
    policy: Times,
    bare: Times,
}

fn main() {
    let (loads, repetitions) = (setting("POPLIN_LOADS", 5), setting("POPLIN_REPETITIONS", 100));
    let (mut taken, mut memory) = (Taken::default(), Vec::new());
    for number in 0..loads {
        let lab = Lab::new();
        let mut bed = Bed::new(&lab);
        taken.applied.add(bed.apply());
        memory.push(("applied", bed.memory_kib()));
        taken.by_nft.add(bed.load_by_nft(&lab.namespace("reference")));
        taken.started.add(bed.start());
        memory.push(("started", bed.memory_kib()));
        if number + 1 == loads {
            bed.edit(&lab, repetitions, &mut taken);
            memory.push(("edited", bed.memory_kib()));
        }
    }
    report(&taken, &memory);
}

fn report(taken: &Taken, memory: &[(&str, [u64; 2])]) {
    let who = || format!("{} policies, {} sets", declared::POLICIES, declared::SETS);
    let line = |what, times, reference| Line { what, who: who(), times, reference };
    let lines = [
        line("started with it", &taken.started, &taken.by_nft),
        line("applied in one file", &taken.applied, &taken.by_nft),
        line("the table by nft -f", &taken.by_nft, &taken.by_nft),
        line("one prefix of a set", &taken.element, &taken.bare),
        line("one label", &taken.label, &taken.bare),
        line("one policy", &taken.policy, &taken.bare),
        line("bare netlink element", &taken.bare, &taken.bare),
    ];
    tell("load", "The whole load, to the kernel; ratio to nft -f of the same table, and to one bare element", &lines);
    for (when, [now, most]) in memory {
        println!("{when}: {} MiB resident, at most {} MiB", now / 1024, most / 1024);
    }
}

/// A host with its workloads.
struct Bed {
    agent: Agent,
    _workloads: Vec<Container>,
    generation: Generation,
    file: PathBuf,
}

impl Bed {
    fn new(lab: &Lab) -> Self {
        let mut agent = Agent::new(lab, lab.namespace("host"), "host");
        agent.start();
        let generation = Generation::of(agent.namespace());
        let mut workloads: Vec<_> =
            (0..declared::WORKLOADS).map(|number| lab.container(&format!("w{number}"))).collect();
        for (number, workload) in workloads.iter_mut().enumerate() {
            agent.attach(workload, &[&format!("name=n{number}")]);
        }
        agent.apply(&declared::host_endpoint());
        let file = lab.directory().join("declared.yaml");
        fs::write(&file, declared::all()).unwrap();
        Self { agent, _workloads: workloads, generation, file }
    }

    /// One `poplin apply` of everything, until the kernel's last word.
    fn apply(&mut self) -> Duration {
        let (before, start) = (self.generation.now(), Instant::now());
        self.agent.poplin(&["apply", "-f", self.path()]);
        println!("apply answered after {:?}", start.elapsed());
        self.generation.until_quiet(before) - start
    }

    fn path(&self) -> &str {
        self.file.to_str().unwrap()
    }

    /// Its start with everything in the store, until the kernel's last word.
    fn start(&mut self) -> Duration {
        self.agent.kill();
        self.agent.namespace().run("nft", &["delete", "table", "inet", "poplin"]);
        let (before, start) = (self.generation.now(), Instant::now());
        self.agent.start();
        self.generation.until_quiet(before) - start
    }

    /// The table as it stands, read by `nft` from a file into a namespace where nothing is.
    fn load_by_nft(&self, namespace: &Namespace) -> Duration {
        let listed = self.agent.namespace().run("nft", &["-nn", "list", "table", "inet", "poplin"]);
        let file = self.file.with_extension("nft");
        let has_words = |line: &&str| !line.trim_start().starts_with("flags owner") && !line.contains("map @");
        let open = listed.lines().filter(has_words).collect::<Vec<_>>().join("\n");
        println!("the table is {} lines, {} chains", open.lines().count(), open.matches("\n\tchain ").count());
        fs::write(&file, open).unwrap();
        let (output, took) = time(|| namespace.output("nft", &["-f", file.to_str().unwrap()]));
        assert!(output.status.success(), "{}", told(&output).chars().take(2_000).collect::<String>());
        took
    }

    /// One thing after the other changes, and changes back.
    fn edit(&mut self, lab: &Lab, repetitions: usize, taken: &mut Taken) {
        let news = News::of(self.agent.namespace());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut client = Client::connect(&runtime, &self.agent);
        let workload = client.endpoint("w50");
        let mut bare = Bare::new(&lab.namespace("bare"));
        for number in 0..repetitions {
            let (which, is_odd) = (number / 2, number % 2 == 1);
            let set = declared::set(which % declared::SETS, if is_odd { 0 } else { 1 });
            taken.element.add(changed(&news, || client.apply(set)));
            let app = if is_odd { "none".to_owned() } else { format!("a{which}") };
            taken.label.add(changed(&news, || client.label(&workload, &app)));
            let policy = declared::policy(which, if is_odd { 0 } else { 1 });
            taken.policy.add(changed(&news, || client.apply(policy)));
            taken.bare.add(bare.change(!is_odd));
        }
    }

    /// Now, and the most so far.
    fn memory_kib(&mut self) -> [u64; 2] {
        let status = fs::read_to_string(Path::new("/proc").join(self.agent.process().pid().to_string()).join("status"));
        let status = status.unwrap();
        ["VmRSS:", "VmHWM:"].map(|field| {
            let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
            line.trim().trim_end_matches(" kB").parse().unwrap()
        })
    }
}

/// From the request to the kernel's last word.
fn changed(news: &News, request: impl FnOnce()) -> Duration {
    let start = Instant::now();
    request();
    news.next(start) - start
}

/// One set with nothing to compile.
struct Bare {
    rules: Rules,
    news: News,
    shape: Set,
}

impl Bare {
    fn new(namespace: &Namespace) -> Self {
        let news = News::of(namespace);
        let mut rules = namespace.within(|| Rules::open().unwrap());
        let shape = Set { key: vec![Datatype::Address4], form: Form::Hash, elements: [].into() };
        rules.apply(&[Change::Restart, Change::AddSet(Name::new("peers"), shape.clone().into())]).unwrap();
        Self { rules, news, shape }
    }

    fn change(&mut self, comes: bool) -> Duration {
        let element = vec![Element::exactly([Atom::Address4([10, 0, 0, 1].into())])];
        let (removed, added) = if comes { (vec![], element) } else { (element, vec![]) };
        let change = Change::AlterSet { name: Name::new("peers"), shape: self.shape.clone().into(), removed, added };
        let start = Instant::now();
        self.rules.apply(&[change]).unwrap();
        self.news.next(start) - start
    }
}
