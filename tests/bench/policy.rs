//! What changes of policy and of its members cost, from the news to the kernel's word, with much policy loaded.
//!
//! `cargo bench -p poplin-tests --bench policy`. Needs root. Repetitions: `POPLIN_REPETITIONS`. The compiler and the kernel's table are
//! driven as the agent drives them, without store and gRPC. Three rooms:
//! - members: 20,000 endpoints of 10 labels each, so that 2,000 selectors have 100 members each; 2,000 policies of 10 rules on 200
//!   local workloads. One endpoint changes one label, or all ten; then one rule of one policy gets another port, and right after it, with
//!   that in the processor's caches, an endpoint one label. References: the same elements, written over bare netlink with nothing to
//!   compile; one element added to or taken from a map of the same table, so; and by running `nft`, to a set of as many elements in a table
//!   of its own, since ours is not open to others; all in the same run.
//! - staged: 1,000 local workloads, each with a policy of its own; one staged policy for all of them comes and goes.
//! - load: 10,000 policies of one rule, 1,000 local workloads, 100,000 endpoints; everything from nothing, and one label after that. It
//!   comes first: the most this process ever had in memory is then its own.

#![allow(clippy::unwrap_used)] // whatever fails here ends the bench

#[allow(dead_code)]
mod figures;

use std::net::Ipv4Addr;
use std::time::Duration;

use figures::{Line, Times, setting, tell, time};
use poplin_agent::kernel::Rules;
use poplin_lab::{Lab, Namespace};
use poplin_policy::compile::Compiler;
use poplin_policy::delta::Change;
use poplin_policy::host::{Failsafe, Settings, WorkloadToHost};
use poplin_policy::label::Labels;
use poplin_policy::model::{Action, Endpoint, Hosts, Mode, Peers, Policy, Rule, Selection};
use poplin_policy::ruleset::{Atom, Element, Interface, MapElements, Name};
use poplin_policy::selector::Selector;

/// A compiler and the table it fills.
struct Room {
    compiler: Compiler,
    rules: Rules,
}

impl Room {
    fn new(rules: Rules) -> Self {
        let settings = Settings {
            interface_prefix: "pop".to_owned(),
            workload_to_host: WorkloadToHost::Drop,
            serves_names: false,
            failsafe: Failsafe::default(),
        };
        Self { compiler: Compiler::new(settings), rules }
    }

    /// Tells the compiler something, and the kernel what follows.
    fn tell(&mut self, news: impl FnOnce(&mut Compiler)) -> Told {
        let (changes, thinking) = time(|| {
            news(&mut self.compiler);
            self.compiler.take_changes()
        });
        let ((), acting) = time(|| self.rules.apply(&changes).unwrap());
        Told { thinking, acting, changes: changes.len() }
    }
}

/// What it took to tell something.
struct Told {
    /// The compiler.
    thinking: Duration,
    /// Bare netlink: what follows is written, and the kernel's answer read.
    acting: Duration,
    changes: usize,
}

/// The same, many times.
#[derive(Default)]
struct Series {
    whole: Times,
    thinking: Times,
    acting: Times,
}

impl Series {
    fn add(&mut self, told: &Told) {
        self.whole.add(told.thinking + told.acting);
        self.thinking.add(told.thinking);
        self.acting.add(told.acting);
    }
}

fn main() {
    let repetitions = setting("POPLIN_REPETITIONS", 300);
    let lab = Lab::new();
    let namespace = lab.namespace("members");
    load(repetitions, Room::new(lab.namespace("load").within(begun)));
    staged(repetitions, Room::new(lab.namespace("staged").within(begun)));
    let room = Room::new(namespace.within(begun));
    members(repetitions, room, &namespace);
}

fn begun() -> Rules {
    let mut rules = Rules::open().unwrap();
    rules.apply(&[Change::Restart]).unwrap();
    rules
}

const KEYS: usize = 10;
const VALUES: usize = 200;

/// How often `nft` adds and deletes: it reads the whole ruleset each time.
const FOREIGN: usize = 10;

fn members(repetitions: usize, mut room: Room, namespace: &Namespace) {
    room.tell(|compiler| {
        for number in 0..20_000 {
            compiler.set_endpoint(&format!("e{number}"), Some(&endpoint(number, labels(number, 0))));
        }
        for number in 0..2_000 {
            let name = format!("p{number}").as_str().into();
            compiler.set_policy(&name, Some(policy(number, 1)));
        }
        for number in 0..200 {
            compiler.set_interface(&format!("e{number}"), Interface::new(format!("pop{number}")));
        }
    });
    let chains = room.compiler.ruleset().chains.len();
    begin_reference(namespace);
    let (mut bare, mut foreign) = (Times::default(), Times::default());
    let [mut one, mut ten, mut edit, mut after_edit] = [(); 4].map(|()| Series::default());
    for number in 0..repetitions {
        for (moved, series) in [(1, &mut one), (KEYS, &mut ten)] {
            move_labels(&mut room, 1_000 + 7 * number, moved, series);
        }
        for is_in in [true, false] {
            let change = one_element(&room.compiler, is_in);
            let ((), took) = time(|| room.rules.apply(std::slice::from_ref(&change)).unwrap());
            bare.add(took);
        }
    }
    for word in ["add", "delete"].into_iter().cycle().take(2 * FOREIGN) {
        let arguments = [word, "element", "inet", "reference", "peers", ELEMENT];
        let (_, took) = namespace.within(|| time(|| poplin_lab::run("nft", &arguments)));
        foreign.add(took);
    }
    for number in 0..repetitions {
        for shift in [2, 1] {
            let which = number % 2_000;
            let name = format!("p{which}").as_str().into();
            edit.add(&room.tell(|compiler| compiler.set_policy(&name, Some(policy(which, shift)))));
        }
        move_labels(&mut room, 1_000 + 7 * number, 1, &mut after_edit);
    }
    let who = || format!("2,000 policies x 10, {chains} chains");
    let line = |what, times, reference| Line { what, who: who(), times, reference };
    let lines = [
        line("one bare element", &bare, &bare),
        line("element by nft", &foreign, &bare),
        line("one label to kernel", &one.whole, &one.acting),
        line("of it, bare netlink", &one.acting, &one.acting),
        line("ten labels to kernel", &ten.whole, &ten.acting),
        line("of it, bare netlink", &ten.acting, &ten.acting),
        line("policy edit to kernel", &edit.whole, &edit.acting),
        line("of it, bare netlink", &edit.acting, &edit.acting),
        line("one label after an edit", &after_edit.whole, &after_edit.acting),
        line("of it, bare netlink", &after_edit.acting, &after_edit.acting),
    ];
    tell("policy", "Members and edits; ratio to the same elements over bare netlink", &lines);
}

/// So many of an endpoint's labels become others, and become what they were.
fn move_labels(room: &mut Room, whom: usize, moved: usize, series: &mut Series) {
    let name = format!("e{whom}");
    for labels in [labels(whom, moved), labels(whom, 0)] {
        let told = room.tell(|compiler| compiler.set_endpoint(&name, Some(&endpoint(whom, labels))));
        assert!(told.changes > 0);
        series.add(&told);
    }
}

fn load(repetitions: usize, mut room: Room) {
    let loaded = room.tell(|compiler| {
        for number in 0..100_000 {
            let labels = [("app", format!("a{}", number % 10_000)), ("name", format!("n{number}"))];
            compiler
                .set_endpoint(&format!("e{number}"), Some(&endpoint(number, Labels::try_from_pairs(labels).unwrap())));
        }
        for number in 0..10_000 {
            let subject = format!("name == 'n{}'", number % 1_000);
            let rule = allow(&format!("app == 'a{number}'"), &format!("tcp/{}", 1 + number));
            compiler.set_policy(&format!("p{number}").as_str().into(), Some(governing(number, &subject, vec![rule])));
        }
        for number in 0..1_000 {
            compiler.set_interface(&format!("e{number}"), Interface::new(format!("pop{number}")));
        }
    });
    let (mut everything, mut label) = (Series::default(), Series::default());
    everything.add(&loaded);
    let most = most_resident_kib() / 1024;
    for number in 0..repetitions {
        let whom = 50_000 + number;
        let name = format!("e{whom}");
        for app in ["a7", "nobody"] {
            let labels = Labels::try_from_pairs([("app", app.to_owned()), ("name", format!("n{whom}"))]).unwrap();
            label.add(&room.tell(|compiler| compiler.set_endpoint(&name, Some(&endpoint(whom, labels)))));
        }
    }
    let who = || "10,000 policies, 100,000 endpoints".to_owned();
    let line = |what, times, reference| Line { what, who: who(), times, reference };
    let lines = [
        line("everything", &everything.whole, &everything.acting),
        line("of it, bare netlink", &everything.acting, &everything.acting),
        line("one label to kernel", &label.whole, &label.acting),
        line("of it, bare netlink", &label.acting, &label.acting),
    ];
    tell("policy", "Full load; ratio to the same elements over bare netlink", &lines);
    let (changes, chains) = (loaded.changes, room.compiler.ruleset().chains.len());
    println!("{changes} changes, {chains} chains, at most {most} MiB in memory");
}

/// Each takes long, and as long as the last.
const FEW: usize = 20;

fn staged(repetitions: usize, mut room: Room) {
    const WORKLOADS: usize = 1_000;
    room.tell(|compiler| {
        for number in 0..WORKLOADS {
            let labels = Labels::try_from_pairs([("name", format!("n{number}"))]).unwrap();
            compiler.set_endpoint(&format!("e{number}"), Some(&endpoint(number, labels)));
            let rule = allow(&format!("name == 'n{}'", (number + 1) % WORKLOADS), &format!("tcp/{}", 1 + number));
            let subject = format!("name == 'n{number}'");
            compiler.set_policy(&format!("p{number}").as_str().into(), Some(governing(number, &subject, vec![rule])));
            compiler.set_interface(&format!("e{number}"), Interface::new(format!("pop{number}")));
        }
    });
    let rule = allow("has(name)", "tcp/443");
    let policy = Policy { mode: Mode::Stage, ..governing(WORKLOADS, "all()", vec![rule]) };
    let [mut comes, mut goes] = [(); 2].map(|()| Series::default());
    for _ in 0..repetitions.min(FEW) {
        comes.add(&room.tell(|compiler| compiler.set_policy(&policy.name, Some(policy.clone()))));
        goes.add(&room.tell(|compiler| compiler.set_policy(&policy.name, None)));
    }
    let line = |what, times, reference| Line { what, who: "1,000 paths".to_owned(), times, reference };
    let lines = [
        line("staged policy comes", &comes.whole, &comes.acting),
        line("of it, bare netlink", &comes.acting, &comes.acting),
        line("staged policy goes", &goes.whole, &goes.acting),
        line("of it, bare netlink", &goes.acting, &goes.acting),
    ];
    tell("policy", "One staged policy for all; ratio to the same elements over bare netlink", &lines);
}

const ELEMENT: &str = "{ 203.0.113.1 }";

/// A set of a hundred addresses, for `nft` to change.
fn begin_reference(namespace: &Namespace) {
    let elements: Vec<_> = (1..=100).map(|number| format!("10.9.0.{number}")).collect();
    let set = format!("{{ type ipv4_addr; elements = {{ {} }}; }}", elements.join(", "));
    namespace.run("nft", &["add", "table", "inet", "reference"]);
    namespace.run("nft", &["add", "set", "inet", "reference", "peers", &set]);
}

/// A list's element for an address nobody has.
fn one_element(compiler: &Compiler, is_in: bool) -> Change {
    let name = Name::new("who4");
    let shape = compiler.ruleset().maps[&name].emptied();
    let key = vec![Atom::Id(0), Atom::Address4(Ipv4Addr::new(203, 0, 113, 1))];
    let (none, element) = (shape.elements.none(), MapElements::Ids([(Element::exactly(key), 0)].into()));
    let (removed, added) = if is_in { (none, element) } else { (element, none) };
    Change::AlterMap { name, shape: shape.into(), removed, added }
}

/// Ten labels, each shared with ninety-nine others; the first few are those of the next endpoint.
fn labels(number: usize, moved: usize) -> Labels {
    let own = format!("n{number}");
    let pairs = (0..KEYS)
        .map(|key| (format!("k{key}"), format!("v{}", (number + usize::from(key < moved) + key * 13) % VALUES)));
    Labels::try_from_pairs(pairs.chain([("name".to_owned(), own)])).unwrap()
}

fn endpoint(number: usize, labels: Labels) -> Endpoint {
    let address = Ipv4Addr::from_bits(0x0a00_0000 + u32::try_from(number).unwrap());
    Endpoint { labels, addresses: vec![address.into()], ..Endpoint::default() }
}

/// Ten rules for one of 200 workloads.
fn policy(number: usize, shift: usize) -> Policy {
    let rules = (0..10).map(|rule| {
        let select = format!("k{rule} == 'v{}'", (number * 7 + rule) % VALUES);
        let port = 1 + number * 10 + rule + if rule == 0 { shift * 20_000 } else { 0 };
        Rule { name: rule.to_string(), ..allow(&select, &format!("tcp/{port}")) }
    });
    governing(number, &format!("name == 'n{}'", number % 200), rules.collect())
}

fn governing(number: usize, subject: &str, rules: Vec<Rule>) -> Policy {
    Policy {
        name: format!("p{number}").as_str().into(),
        tier: "default".to_owned(),
        order: None,
        mode: Mode::Enforce,
        hosts: Hosts::Never,
        subject: Selection::anywhere(Selector::parse(subject).unwrap()),
        ingress: Some(rules.into()),
        egress: None,
    }
}

fn allow(select: &str, port: &str) -> Rule {
    let source = Peers { select: Some(Selection::anywhere(Selector::parse(select).unwrap())), ..Peers::default() };
    Rule { source: source.into(), ports: vec![port.parse().unwrap()], ..Rule::any("1", Action::Allow) }
}

/// The most this process had in memory so far.
fn most_resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse().unwrap()
}
