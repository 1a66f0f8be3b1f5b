//! What is measured: from the first octet sent until the last receiver has the last prefix.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use poplin_lab::eventually;

use crate::bed::{Bed, neighbour};
use crate::daemon::{Router, Task, Who};
use crate::load::{announce, withdraw};
use crate::talk::{Talk, until};

/// How long a router may take for a table; GoBGP takes its time.
const PATIENCE: Duration = Duration::from_secs(180);

/// What one run showed.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    /// Until the table was through; `None` if that was not seen in time.
    pub(crate) took: Option<Duration>,
    /// What the router's threads spent on it.
    pub(crate) spent: Duration,
    /// What it grew by, in octets.
    pub(crate) grown: u64,
    /// One prefix, announced and withdrawn: each announcement until the last receiver had it.
    pub(crate) flaps: Vec<Duration>,
}

/// Loads a router with a table, then flaps one prefix so often.
pub(crate) fn run(who: Who, task: Task, table: &[u8], prefixes: usize, flaps: usize) -> Run {
    let bed = Bed::new(task.receivers);
    let router = who.start(&bed, task);
    bed.neighbours.within(|| load(&router, task, table, prefixes, flaps))
}

fn load(router: &Router, task: Task, table: &[u8], prefixes: usize, flaps: usize) -> Run {
    let (mut sender, mut receivers) = meet(router, task);
    let wanted = if task.only_marks { 1 } else { prefixes + 1 };
    forget(&mut receivers);
    let (memory, spent) = (router.memory(), router.spent());
    let began = Instant::now();
    let stream = sender.sender();
    let done = std::thread::scope(|scope| {
        scope.spawn(move || say(stream, &[table, &announce(1)]));
        until(&mut receivers, PATIENCE, |heard| heard.announced >= wanted)
    });
    let spent = Duration::from_nanos(difference(&spent, &router.spent()));
    let grown = router.memory().saturating_sub(memory);
    let flaps =
        if done.is_some() { (0..flaps).map(|_| flap(&mut sender, &mut receivers)).collect() } else { Vec::new() };
    Run { took: done.map(|done| done - began), spent, grown, flaps }
}

/// A router that is given up upon is killed, and this ends too.
fn say(mut stream: std::net::TcpStream, parts: &[&[u8]]) {
    for part in parts {
        let _given_up = stream.write_all(part);
    }
}

/// All sessions, once one prefix has gone through them and back: nobody is busy with beginning any more.
fn meet(router: &Router, task: Task) -> (Talk, Vec<Talk>) {
    let begin = |number| {
        eventually("a session", || {
            Talk::begin(neighbour(number)).map_err(|error| format!("{error}\n{}", router.said()))
        })
    };
    let mut sender = begin(0);
    let mut receivers: Vec<_> = (1..=task.receivers).map(begin).collect();
    flap(&mut sender, &mut receivers);
    (sender, receivers)
}

/// Announces a prefix, and withdraws it again; how long the announcement took.
fn flap(sender: &mut Talk, receivers: &mut [Talk]) -> Duration {
    const NUMBER: u8 = 9;
    forget(receivers);
    let (announced, withdrawn) = (announce(NUMBER), withdraw(NUMBER));
    let began = Instant::now();
    sender.send(&announced);
    let done = until(receivers, PATIENCE, |heard| heard.announced >= 1).expect("an announcement comes through");
    sender.send(&withdrawn);
    until(receivers, PATIENCE, |heard| heard.withdrawn >= 1).expect("a withdrawal comes through");
    done - began
}

fn forget(receivers: &mut [Talk]) {
    for Talk { heard, .. } in receivers {
        (heard.announced, heard.withdrawn) = (0, 0);
    }
}

fn difference(before: &BTreeMap<PathBuf, u64>, after: &BTreeMap<PathBuf, u64>) -> u64 {
    after.iter().map(|(task, spent)| spent - before.get(task).copied().unwrap_or(0)).sum()
}
