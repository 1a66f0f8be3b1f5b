//! What asking for a name costs a container: at its gateway, beside dnsmasq one veth away and Docker's embedded resolver.
//!
//! `cargo build --release --workspace && cargo bench -p poplin-tests --bench names`. Needs root, Debian's `dnsmasq-base` and `docker.io`.
//! Questions one after the other: `POPLIN_REPETITIONS`, a thousand a second at most, as an agent lets a container ask twice that. In the
//! row of many at once twenty namespaces ask, each with sixteen questions under way; of Docker's resolver, which each container has to itself, twenty containers.
//!
//! Names of the outside are dnsmasq's own on the host itself, so what is compared is the way there; those never asked before are new each time.

#![allow(clippy::unwrap_used)] // whatever fails here ends the bench

#[allow(dead_code)]
#[path = "../figures.rs"]
mod figures;

mod asker;
mod bed;
mod spread;

use std::process::Command;
use std::time::Duration;

use asker::{Heard, Task};
use bed::{Bed, Who};
use figures::{Line, Times, setting, tell};

/// A kind of question: what it is called, and the name that is asked for.
const KINDS: [(&str, &str); 3] =
    [("of the fabric", bed::INSIDE), ("outside, known", bed::OUTSIDE), ("outside, new", bed::FRESH)];

/// Namespaces that ask at once, and how much each asks: fewer than an agent answers at once.
const CROWD: usize = 20;
const OF_EACH: usize = 1800;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let Some(task) = Task::parse(&arguments) {
        return asker::work(&task);
    }
    let repetitions = setting("POPLIN_REPETITIONS", 2000);
    let bed = Bed::new(CROWD);
    for (what, name) in KINDS {
        let measured: Vec<_> = Who::ALL
            .into_iter()
            .map(|who| {
                // The first answer of each is fetched, the others remembered.
                let first = ask(&bed, who, &Task::alone(who.server(), name, 20));
                assert!(first.lost < 10, "{} does not answer for {name}", who.name());
                (who, ask(&bed, who, &Task::alone(who.server(), name, repetitions)))
            })
            .collect();
        compare(what, &measured);
    }
    crowd(&bed);
    drop(bed);
    spread::spread(repetitions.div_ceil(20));
}

fn ask(bed: &Bed, who: Who, task: &Task) -> Heard {
    Heard::read(bed.command(who, 0, task))
}

fn compare(what: &str, measured: &[(Who, Heard)]) {
    let times: Vec<(Who, Times)> = measured
        .iter()
        .map(|(who, heard)| {
            let mut times = Times::default();
            times.extend(heard.times.clone());
            (*who, times)
        })
        .collect();
    let Some((_, reference)) = times.iter().find(|(who, _)| *who == Who::Dnsmasq) else { return };
    let lines: Vec<_> =
        times.iter().map(|(who, times)| Line { what, who: who.name().to_owned(), times, reference }).collect();
    tell("names", &format!("A name {what}, asked for and answered; ratio to dnsmasq"), &lines);
    for (who, heard) in measured {
        println!("{} of {} without an answer: {}", heard.lost, heard.lost + heard.times.len(), who.name());
    }
}

/// How many questions a second are answered when many ask.
fn crowd(bed: &Bed) {
    for who in Who::ALL {
        let task = Task::together(who.server(), bed::INSIDE, OF_EACH);
        let commands: Vec<Command> = (0..CROWD).map(|number| bed.command(who, number, &task)).collect();
        let heard = Heard::read_all(commands);
        let answered: usize = heard.iter().map(|heard| heard.times.len()).sum();
        let began = heard.iter().map(|heard| heard.began).min().unwrap_or_default();
        let took = heard.iter().map(|heard| heard.ended).max().unwrap_or_default() - began;
        let lost: usize = heard.iter().map(|heard| heard.lost).sum();
        let rate = answered as f64 / Duration::as_secs_f64(&took);
        println!(
            "figure bench=names what=of-{CROWD}-at-once who={} answered={answered} lost={lost} per_second={rate:.0}",
            who.name().replace(' ', "-")
        );
    }
}
