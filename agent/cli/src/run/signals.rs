//! Hands on to a command what we are told to do, and waits for it.

use std::io::{self, IsTerminal as _};
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};
use tokio::time::Instant;

/// How long a command that was told to end may take; as long as container runtimes give.
const PATIENCE: Duration = Duration::from_secs(10);

/// The signals that would end us, and our clearing up with us.
pub(super) struct Signals {
    interrupt: Stream,
    quit: Stream,
    terminate: Stream,
    hang_up: Stream,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// What comes of this, and the signal that came before it did, if one has: nothing is given up half done.
    pub(super) async fn meanwhile<T>(&mut self, job: impl Future<Output = T>) -> (T, Option<Signal>) {
        let (mut job, mut ended) = (std::pin::pin!(job), None);
        loop {
            tokio::select! {
                outcome = &mut job => return (outcome, ended),
                signal = self.next() => ended = Some(signal),
            }
        }
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::INT,
            _ = self.quit.recv() => Signal::QUIT,
            _ = self.terminate.recv() => Signal::TERM,
            _ = self.hang_up.recv() => Signal::HUP,
        }
    }
}

/// Waits for the command. Told to end, it gets a while to do so.
pub(super) async fn attend(mut child: Child, mut signals: Signals) -> io::Result<ExitStatus> {
    let mut deadline = None;
    loop {
        tokio::select! {
            status = child.wait() => return status,
            signal = signals.next() => {
                hand_on(&child, signal);
                if matches!(signal, Signal::TERM | Signal::HUP) {
                    deadline.get_or_insert_with(|| Instant::now() + PATIENCE);
                }
            }
            () = at(deadline) => {
                child.start_kill()?;
                deadline = None;
            }
        }
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// What is typed at a terminal reaches the command by itself: it is of our process group.
fn hand_on(child: &Child, signal: Signal) {
    let is_typed = matches!(signal, Signal::INT | Signal::QUIT) && io::stdin().is_terminal();
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid.filter(|_| !is_typed) {
        let _ = kill_process(pid, signal); // it may have ended just now
    }
}
