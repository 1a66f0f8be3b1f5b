//! BGP beside BIRD 2, FRR and GoBGP: taking in a table, passing it on, telling one change, what the table weighs, and routes in the kernel.
//!
//! `cargo bench -p poplin-tests --bench bgp [-- --quick] [-- ROW…]`, as root, with `bird2`, `frr` and `gobgpd` of Debian. Repetitions:
//! `POPLIN_REPETITIONS`. The routers take turns within each repetition. Each is a reflector with one client that sends and others that hear;
//! for the rows `install` and `death of a next hop` it is `poplind` with `kernelRoutes`, built beforehand by `cargo build --release --workspace`.

#![allow(clippy::unwrap_used)] // whatever fails here ends the bench

#[allow(dead_code)]
#[path = "../figures.rs"]
mod figures;

mod bed;
mod count;
mod daemon;
mod kernel;
mod load;
mod talk;
mod work;

use std::collections::BTreeMap;

use daemon::{Task, Who};
use figures::{Line, Times, setting, tell};
use work::{Run, run};

/// One row: what the routers are given to do.
struct Row {
    what: &'static str,
    prefixes: u32,
    task: Task,
    flaps: usize,
    /// Whether GoBGP takes part: with a minute and more for one run it is asked once, or not at all.
    gobgp: Gobgp,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Gobgp {
    Once,
    Never,
}

const ROWS: [Row; 8] = [
    Row { what: "receive 100k", prefixes: 100_000, task: hearing(1, true), flaps: 0, gobgp: Gobgp::Once },
    Row { what: "receive 1M", prefixes: 1_000_000, task: hearing(1, true), flaps: 0, gobgp: Gobgp::Never },
    Row { what: "pass 100k to 1", prefixes: 100_000, task: hearing(1, false), flaps: 200, gobgp: Gobgp::Once },
    Row { what: "pass 100k to 10", prefixes: 100_000, task: hearing(10, false), flaps: 200, gobgp: Gobgp::Once },
    Row { what: "pass 100k to 50", prefixes: 100_000, task: hearing(50, false), flaps: 200, gobgp: Gobgp::Never },
    Row { what: "pass 1M to 1", prefixes: 1_000_000, task: hearing(1, false), flaps: 0, gobgp: Gobgp::Never },
    Row { what: "pass 1M to 10", prefixes: 1_000_000, task: hearing(10, false), flaps: 0, gobgp: Gobgp::Never },
    Row { what: "pass 1M to 50", prefixes: 1_000_000, task: hearing(50, false), flaps: 0, gobgp: Gobgp::Never },
];

const fn hearing(receivers: u8, only_marks: bool) -> Task {
    Task { receivers, only_marks }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [first, receivers, only_marks] = &arguments[..]
        && first == "speak"
    {
        return daemon::speak(hearing(receivers.parse().unwrap(), only_marks.parse().unwrap()));
    }
    let is_quick = arguments.iter().any(|argument| argument == "--quick");
    let asked: Vec<_> = arguments.iter().filter(|argument| *argument != "--quick").collect();
    let repetitions = setting("POPLIN_REPETITIONS", if is_quick { 1 } else { 5 });
    let is_asked = |what: &str| asked.is_empty() || asked.iter().any(|asked| what.contains(asked.as_str()));
    let shorter = |prefixes: u32| if is_quick { prefixes / 10 } else { prefixes };
    for row in ROWS.iter().filter(|row| is_asked(row.what)) {
        show(row, shorter(row.prefixes), repetitions);
    }
    for (what, measure) in kernel::ROWS.into_iter().filter(|(what, _)| is_asked(what)) {
        kernel::show(what, measure, shorter(100_000), repetitions);
    }
}

fn show(row: &Row, prefixes: u32, repetitions: usize) {
    let table = load::table(prefixes);
    let mut runs: BTreeMap<Who, Vec<Run>> = BTreeMap::new();
    for repetition in 0..repetitions {
        let others = Who::ALL.into_iter().filter(|who| *who != Who::Gobgp);
        let gobgp = (repetition == 0 && row.gobgp == Gobgp::Once).then_some(Who::Gobgp);
        for who in others.chain(gobgp) {
            let run = run(who, row.task, &table, prefixes as usize, row.flaps);
            if run.took.is_none() {
                println!("{} gave up on {}", row.what, who.name());
            }
            runs.entry(who).or_default().push(run);
        }
    }
    compare(row.what, prefixes, &runs);
}

fn compare(what: &str, prefixes: u32, runs: &BTreeMap<Who, Vec<Run>>) {
    let title = format!("{what}: {prefixes} prefixes, 32 of them behind one next hop; ratio to BIRD 2");
    let through = gather(runs, |run| run.took.into_iter().collect());
    let spent = gather(runs, |run| vec![run.spent]);
    let flaps = gather(runs, |run| run.flaps.clone());
    let lines = [(what, &through), ("of it, processor", &spent), ("one prefix flaps", &flaps)];
    let lines = lines.into_iter().flat_map(|(what, times)| lines_of(what, times)).collect::<Vec<_>>();
    tell("bgp", &title, &lines);
    for (who, runs) in runs {
        let mut grown: Vec<_> = runs.iter().map(|run| run.grown).collect();
        grown.sort_unstable();
        println!("grown by {:.1} MB: {}", grown[grown.len() / 2] as f64 / 1e6, who.name());
    }
}

fn gather(runs: &BTreeMap<Who, Vec<Run>>, of: impl Fn(&Run) -> Vec<std::time::Duration>) -> BTreeMap<Who, Times> {
    let times = runs.iter().map(|(&who, runs)| {
        let mut times = Times::default();
        times.extend(runs.iter().flat_map(&of).collect());
        (who, times)
    });
    times.filter(|(_, times)| times.len() > 0).collect()
}

fn lines_of<'a>(what: &'a str, times: &'a BTreeMap<Who, Times>) -> Vec<Line<'a>> {
    let Some(reference) = times.get(&Who::Bird) else { return Vec::new() };
    times.iter().map(|(who, times)| Line { what, who: who.name().to_owned(), times, reference }).collect()
}
