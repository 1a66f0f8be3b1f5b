//! `poplin run`: a command in a network namespace of its own, attached for as long as it runs.
//!
//! In: a command. Out: what it says, and its exit code. Our own failures end with 125, a command that cannot be started with 126 or 127, as with
//! env(1), so that a script can tell them from the command's.

mod signals;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;

use poplin_proto::v1::AttachResponse;
use poplin_sandbox::Fresh;
use tokio::process::{Child, Command};

use crate::agent;
use crate::door::Door;
use crate::joining::{Joining, Wishes};
use crate::problem::{Exit, Problem};
use signals::Signals;

/// How long the agent may take: longer than it gives itself, as runtimes do.
const PATIENCE: Duration = Duration::from_secs(30);

/// Run a command in a network namespace of its own, attached while it runs.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  poplin run -- ip address
  poplin run --name web --label app=web -p 8080:80 -- busybox httpd -f -p 80
  poplin run --network shop -- bash")]
pub(crate) struct Run {
    /// Name of the endpoint; otherwise run- and a number.
    #[arg(long)]
    name: Option<String>,
    /// Do not tell what it got.
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    wishes: Wishes,
    /// The command, and its arguments.
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl Run {
    pub(crate) async fn run(self, door: &Door) -> Result<ExitCode, Problem> {
        let own = |problem: Problem| problem.exiting(Exit::NotRun);
        let (joining, fresh, mut signals, command) = self.prepared().map_err(own)?;
        let (answer, ended) = signals.meanwhile(arrive(door, &joining, command.is_quiet)).await;
        let answer = answer.map_err(own)?;
        let status = match ended {
            Some(signal) => Ok(ExitStatus::from_raw(signal.as_raw())),
            None => match start(&fresh, &command.words, &answer) {
                Ok(child) => signals::attend(child, signals).await.map_err(Problem::from).map_err(own),
                Err(problem) => Err(problem),
            },
        };
        let left = leave(door, &joining).await;
        match (status, left) {
            (Ok(status), Ok(())) => Ok(code(status)),
            (Ok(status), Err(problem)) => {
                problem.report();
                Ok(code(status))
            }
            (Err(problem), Ok(())) => Err(problem),
            (Err(problem), Err(other)) => Err(problem.and(other)),
        }
    }

    /// Signals are heard from before there is anything to clean up.
    fn prepared(self) -> Result<(Joining, Fresh, Signals, Wanted), Problem> {
        let signals = Signals::new()?;
        let name = self.name.unwrap_or_else(|| format!("run-{}", std::process::id()));
        // No name of an endpoint has an underscore, so that this is nobody's who was attached by name.
        let container = format!("run_{name}");
        let fresh = Fresh::new()?;
        let joining = Joining { container, name, netns: fresh.path(), wishes: self.wishes };
        Ok((joining, fresh, signals, Wanted { words: self.command, is_quiet: self.quiet }))
    }
}

/// What to do inside.
struct Wanted {
    words: Vec<OsString>,
    is_quiet: bool,
}

async fn arrive(door: &Door, joining: &Joining, is_quiet: bool) -> Result<AttachResponse, Problem> {
    let joined = async {
        let mut client = agent::workloads(door).await?;
        joining.join(&mut client).await
    };
    let late = |_| {
        let message = format!("the agent did not answer within {} s", PATIENCE.as_secs());
        Problem::new(Exit::NotRun, message).advice(format!("poplin detach {}", joining.name))
    };
    let answer = tokio::time::timeout(PATIENCE, joined).await.map_err(late)??;
    if !is_quiet {
        let _ = io::stderr().write_all(joining.told(&answer).as_bytes()); // nobody may read it
    }
    Ok(answer)
}

fn start(fresh: &Fresh, words: &[OsString], answer: &AttachResponse) -> Result<Child, Problem> {
    if !answer.nameservers.is_empty() {
        fresh.resolve_by(resolv_conf(answer)).map_err(|error| Problem::from(error).exiting(Exit::NotRun))?;
    }
    let Some((program, arguments)) = words.split_first() else { return Err(Problem::usage("no command is given")) };
    let mut command = Command::new(program);
    command.args(arguments);
    let runtime = tokio::runtime::Handle::current();
    let started = fresh.within(move || {
        let _inside = runtime.enter();
        command.spawn()
    });
    let started = started.map_err(|error| Problem::from(error).exiting(Exit::NotRun))?;
    started.map_err(|error| not_started(program, &error))
}

fn not_started(program: &OsString, error: &io::Error) -> Problem {
    let exit = match error.kind() {
        io::ErrorKind::NotFound => Exit::NoCommand,
        _ => Exit::NotExecutable,
    };
    Problem::new(exit, format!("cannot run {}: {error}", program.display()))
}

fn resolv_conf(answer: &AttachResponse) -> String {
    let servers: String = answer.nameservers.iter().map(|server| format!("nameserver {server}\n")).collect();
    match &answer.search_domains[..] {
        [] => servers,
        domains => format!("{servers}search {}\n", domains.join(" ")),
    }
}

/// The agent may have been started anew meanwhile, so it is called anew.
async fn leave(door: &Door, joining: &Joining) -> Result<(), Problem> {
    let advice = || format!("poplin detach {}", joining.name);
    let mut client = agent::workloads(door).await.map_err(|problem| problem.advice(advice()))?;
    joining.leave(&mut client).await.map_err(|problem| problem.advice(advice()))
}

/// As shells have it: of what died by a signal, 128 and its number.
fn code(status: ExitStatus) -> ExitCode {
    let number = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    u8::try_from(number).map_or(ExitCode::FAILURE, ExitCode::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resolver_is_told_as_resolv_conf_has_it() {
        let answer = AttachResponse {
            nameservers: vec!["169.254.1.1".to_owned()],
            search_domains: vec!["shop.poplin.internal".to_owned(), "poplin.internal".to_owned()],
            ..AttachResponse::default()
        };

        assert_eq!(resolv_conf(&answer), "nameserver 169.254.1.1\nsearch shop.poplin.internal poplin.internal\n");
    }
}
