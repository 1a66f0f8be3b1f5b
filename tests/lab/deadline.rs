//! A story that does not end is told of and ended, that it may not take all others with it.

use std::io::Write as _;
use std::process::Command;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// How many seconds a story may take: the longest takes one minute of them on two idle cores.
const LONGEST: u64 = 600;

/// How long a story may take whose processes have been ended under it.
const LAST_WORDS: Duration = Duration::from_secs(60);

/// Ends a story's processes when it has taken too long, and everything if that does not end it. It is over when this is dropped.
#[derive(Debug)]
pub(crate) struct Deadline {
    _is_on: Sender<()>,
}

impl Deadline {
    /// Begins to wait for the end of a lab of this name.
    pub fn new(lab: &str) -> Self {
        let (sender, ended) = channel();
        let longest = std::env::var("POPLIN_LONGEST").map_or(LONGEST, |text| text.parse().expect("seconds"));
        let longest = Duration::from_secs(longest);
        let thread = std::thread::current();
        // The test runner names a thread by its test; benches, which nobody waits for, run in the first one.
        let story = thread.name().filter(|name| *name != "main").map(str::to_owned);
        if let Some(story) = story {
            let lab = lab.to_owned();
            std::thread::spawn(move || watch(&story, &lab, longest, &ended));
        }
        Self { _is_on: sender }
    }
}

fn watch(story: &str, lab: &str, longest: Duration, ended: &Receiver<()>) {
    let is_late = |patience| ended.recv_timeout(patience) == Err(RecvTimeoutError::Timeout);
    if !is_late(longest) {
        return;
    }
    let running = processes_of(lab);
    let lines: String = running.iter().map(|(pid, line)| format!("  {pid} {line}\n")).collect();
    tell(&format!("{story} does not end: after {longest:?} there still run\n{lines}Now they are killed.\n"));
    for (pid, _) in running {
        let _ = kill_process(pid, Signal::KILL);
    }
    if is_late(LAST_WORDS) {
        tell(&format!("{story} does not end, and nobody is left that it could wait for.\n"));
        std::process::abort();
    }
}

/// Who runs in the namespaces of a lab, or was started with one of its files or names: what they are, and by which words.
fn processes_of(lab: &str) -> Vec<(Pid, String)> {
    let named = format!("{lab}-");
    let spaces = std::fs::read_dir("/run/netns").into_iter().flatten().flatten();
    let spaces =
        spaces.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| name.starts_with(&named));
    let within: Vec<u32> = spaces.flat_map(|space| pids_in(&space)).collect();
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let all = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let all = all.filter(|pid| *pid != std::process::id());
    let lines = all.map(|pid| (pid, words_of(pid)));
    let ours =
        lines.filter(|(pid, line)| within.contains(pid) || line.contains(&named) || line.contains(&format!("{lab}/")));
    ours.filter_map(|(pid, line)| Some((Pid::from_raw(i32::try_from(pid).ok()?)?, line))).collect()
}

fn pids_in(namespace: &str) -> Vec<u32> {
    let output = Command::new("ip").args(["netns", "pids", namespace]).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().filter_map(|line| line.trim().parse().ok()).collect()
}

fn words_of(pid: u32) -> String {
    let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&words).replace('\0', " ")
}

/// Past the runner, which keeps what a test says until that ends.
fn tell(words: &str) {
    let _ = std::io::stderr().write_all(words.as_bytes());
}
