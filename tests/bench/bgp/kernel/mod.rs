//! Routes in the kernel, beside BIRD 2 and FRR with zebra: a table that is taken in until its last route stands, and a next hop that dies
//! under a table that has another: from the end of its session until no route leads to it any more.

mod fib;
mod router;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::{Duration, Instant};

use poplin_lab::{Lab, eventually};

use crate::bed::{US, neighbour};
use crate::daemon::Who;
use crate::figures::{Times, tell};
use crate::lines_of;
use crate::load::{table, table_by};
use crate::talk::Talk;

use fib::{Fib, News};
use router::Router;

/// How long a router may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Routes that are looked at to see whether all have moved.
const SAMPLES: u32 = 512;

/// The rows, by what they are called.
pub(crate) const ROWS: [(&str, Measure); 2] = [("install", install), ("death of a next hop", death)];

type Measure = fn(Who, u32) -> Vec<Duration>;

/// Measures a row, and tells.
pub(crate) fn show(what: &str, measure: Measure, prefixes: u32, repetitions: usize) {
    let mut runs: BTreeMap<Who, Times> = BTreeMap::new();
    for _ in 0..repetitions {
        for who in [Who::Bird, Who::Poplin, Who::Frr] {
            runs.entry(who).or_default().extend(measure(who, prefixes));
        }
    }
    tell("bgp", &format!("{what}: {prefixes} routes of the kernel; ratio to BIRD 2"), &lines_of(what, &runs));
}

/// From the first octet sent until the kernel holds all routes.
fn install(who: Who, prefixes: u32) -> Vec<Duration> {
    let (lab, table) = (Lab::new(), table(prefixes));
    let router = joined(who, &lab);
    let peers = &router.1;
    let sender = peers.within(|| begin(&router.0, 0));
    let took = router.0.namespace().within(|| {
        let mut news = News::listen();
        let began = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| sender.sender().write_all(&table));
            news.until_routes(prefixes as usize, PATIENCE).map(|done| done - began)
        })
    });
    given_up(who, took, &router.0)
}

/// From the end of the session with the one until all routes are by the other.
fn death(who: Who, prefixes: u32) -> Vec<Duration> {
    let lab = Lab::new();
    let router = joined(who, &lab);
    let peers = &router.1;
    let mut talks = peers.within(|| [0, 1].map(|number| begin(&router.0, number)));
    for (number, talk) in (0..).zip(&mut talks) {
        talk.send(&table_by(prefixes, neighbour(number)));
    }
    let [dying, _living] = talks;
    let took = router.0.namespace().within(|| {
        let mut fib = Fib::open();
        let routes: Vec<_> = (0..SAMPLES).map(|sample| sample * (prefixes - 1) / (SAMPLES - 1)).collect();
        let by_both = |fib: &mut Fib| {
            routes.iter().all(|route| fib.is_by(*route, neighbour(0)) && fib.is_by(*route, neighbour(1)))
        };
        let limit = Instant::now() + PATIENCE;
        while !by_both(&mut fib) {
            if Instant::now() > limit {
                return None;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(Duration::from_secs(1)); // what it still has to tidy up is not to be measured
        let began = Instant::now();
        drop(dying);
        for route in &routes {
            while fib.is_by(*route, neighbour(0)) {
                if began.elapsed() > PATIENCE {
                    return None;
                }
            }
        }
        let took = began.elapsed();
        assert!(routes.iter().all(|route| fib.is_by(*route, neighbour(1))), "each has a route by the other");
        Some(took)
    });
    given_up(who, took, &router.0)
}

/// A router, and the namespace of its neighbours.
fn joined(who: Who, lab: &Lab) -> (Router, poplin_lab::Namespace) {
    let mut router = Router::new(who, lab);
    let peers = lab.namespace("peers");
    let addresses = [0, 1].map(|number| format!("{}/16", neighbour(number)));
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    router.namespace().join("bench", &[&format!("{US}/16")], &peers, "bench", &addresses);
    router.start();
    (router, peers)
}

fn begin(router: &Router, number: u8) -> Talk {
    eventually("a session", || Talk::begin(neighbour(number)).map_err(|error| format!("{error}\n{}", router.said())))
}

fn given_up(who: Who, took: Option<Duration>, router: &Router) -> Vec<Duration> {
    if took.is_none() {
        println!("given up on {}: {}", who.name(), router.said());
    }
    took.into_iter().collect()
}
