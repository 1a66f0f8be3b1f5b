//! The routers under test, each a reflector whose neighbours all are its clients, configured as alike as their languages allow.

mod bird;
mod frr;
mod gobgp;
mod poplin;

pub(crate) use poplin::speak;

use std::collections::BTreeMap;
use std::path::PathBuf;

use poplin_lab::Process;

use crate::bed::{Bed, neighbour};

/// Which router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    Poplin,
    Bird,
    Frr,
    Gobgp,
}

/// What it is to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task {
    pub(crate) receivers: u8,
    /// Whether receivers are told of marks alone.
    pub(crate) only_marks: bool,
}

impl Task {
    fn neighbours(self) -> impl Iterator<Item = std::net::Ipv4Addr> {
        (0..=self.receivers).map(neighbour)
    }
}

impl Who {
    pub(crate) const ALL: [Self; 4] = [Self::Bird, Self::Poplin, Self::Frr, Self::Gobgp];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Poplin => "Poplin",
            Self::Bird => "BIRD 2",
            Self::Frr => "FRR",
            Self::Gobgp => "GoBGP",
        }
    }

    /// Starts it; it may be a while until it answers.
    pub(crate) fn start(self, bed: &Bed, task: Task) -> Router {
        let process = match self {
            Self::Poplin => poplin::start(bed, task),
            Self::Bird => bird::start(bed, task),
            Self::Frr => frr::start(bed, task),
            Self::Gobgp => gobgp::start(bed, task),
        };
        Router { process }
    }
}

/// A router that runs.
pub(crate) struct Router {
    process: Process,
}

impl Router {
    pub(crate) fn said(&self) -> String {
        self.process.said()
    }

    /// Resident memory, in octets.
    pub(crate) fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(self.proc("status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or(0) * 1024
    }

    /// The time its threads that still live have spent on a processor, in nanoseconds, by thread.
    pub(crate) fn spent(&self) -> BTreeMap<PathBuf, u64> {
        let tasks = std::fs::read_dir(self.proc("task")).into_iter().flatten().flatten();
        let spent = tasks.filter_map(|task| {
            let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
            Some((task.path(), text.split(' ').next()?.parse().ok()?))
        });
        spent.collect()
    }

    fn proc(&self, file: &str) -> PathBuf {
        format!("/proc/{}/{file}", self.process.pid()).into()
    }
}
