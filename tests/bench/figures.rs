//! How figures are taken, compared and told: once for people, once for programs.
//!
//! A line for programs begins with `figure` and holds `key=value` pairs; times are in nanoseconds there.

use std::time::{Duration, Instant};

use tikv_jemallocator::Jemalloc;

/// The agent's: what of it is measured here has its memory from where it has it in life.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Measured times of one thing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    pub(crate) fn extend(&mut self, times: Vec<Duration>) {
        self.0.extend(times);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The time that so many per cent do not exceed.
    pub(crate) fn percentile(&self, per_cent: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort();
        sorted[(sorted.len() * per_cent).div_ceil(100).clamp(1, sorted.len()) - 1]
    }

    pub(crate) fn median(&self) -> Duration {
        self.percentile(50)
    }
}

/// One line of a table: what was measured, and how it compares.
pub(crate) struct Line<'a> {
    pub(crate) what: &'a str,
    pub(crate) who: String,
    pub(crate) times: &'a Times,
    /// Measured in the same run; compared by the median.
    pub(crate) reference: &'a Times,
}

/// Prints a table, and each of its lines for programs. `more` is the median less that of the reference.
pub(crate) fn tell(bench: &str, title: &str, lines: &[Line<'_>]) {
    println!("\n{title}");
    println!("{:<22} {:<34} {:>10} {:>10} {:>7} {:>10} {:>6}", "what", "who", "p50", "p99", "ratio", "more", "n");
    for Line { what, who, times, reference } in lines {
        let ratio = times.median().as_secs_f64() / reference.median().as_secs_f64();
        let (p50, p99) = (spell(times.median()), spell(times.percentile(99)));
        let more = spell(times.median().saturating_sub(reference.median()));
        println!("{what:<22} {who:<34} {p50:>10} {p99:>10} {ratio:>7.2} {more:>10} {:>6}", times.len());
    }
    for Line { what, who, times, reference } in lines {
        println!(
            "figure bench={bench} what={} who={} n={} p50_ns={} p99_ns={} reference_p50_ns={}",
            what.replace(' ', "-"),
            who.replace(' ', "-"),
            times.len(),
            times.median().as_nanos(),
            times.percentile(99).as_nanos(),
            reference.median().as_nanos(),
        );
    }
}

/// How long something takes.
pub(crate) fn time<T>(deed: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let outcome = deed();
    (outcome, start.elapsed())
}

/// A number from the environment, or its default.
pub(crate) fn setting(name: &str, default: usize) -> usize {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")),
        Err(_) => default,
    }
}

fn spell(time: Duration) -> String {
    match time.as_nanos() {
        nanoseconds @ 0..10_000 => format!("{nanoseconds} ns"),
        nanoseconds @ 10_000..10_000_000 => format!("{} µs", nanoseconds / 1_000),
        nanoseconds => format!("{} ms", nanoseconds / 1_000_000),
    }
}
