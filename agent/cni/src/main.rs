//! The CNI plugin: a container runtime runs it once for each thing it wants, and reads one JSON object.
//!
//! In: `CNI_*` variables and a network configuration on stdin. Out: a result or an error, as JSON on stdout; exit code
//! 1 with errors. Decides nothing: the agent allots and enforces, the sandbox furnishes the container's side.
//! Rules: the CNI specification, 0.3.0 to 1.1.0. With arguments it is a plugin of [`netavark`].

mod add;
mod agent;
mod check;
mod conf;
mod del;
mod error;
mod gc;
mod invocation;
mod netavark;
mod result;
mod status;
mod version;

use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use serde_json::Value;

use conf::Conf;
use error::CniError;
use invocation::Invocation;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).map(|one| one.to_string_lossy().into_owned()).collect();
    match arguments.is_empty() {
        true => cni(),
        false => match netavark::run(&arguments) {
            Ok(None) => ExitCode::SUCCESS,
            Ok(Some(answer)) => print(&answer, ExitCode::SUCCESS),
            Err(error) => print(&netavark::error(&error), ExitCode::FAILURE),
        },
    }
}

fn cni() -> ExitCode {
    let mut version = version::NEWEST.to_owned();
    match run(&mut version) {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(answer)) => print(&answer, ExitCode::SUCCESS),
        Err(error) => print(&error.to_json(&version), ExitCode::FAILURE),
    }
}

/// Does what is asked. `version` becomes that of the configuration once it is known: errors are written in it too.
fn run(version: &mut String) -> Result<Option<Value>, CniError> {
    let invocation = Invocation::from_env(|name| std::env::var(name).ok())?;
    let input = read_input()?;
    if matches!(invocation, Invocation::Version) {
        return Ok(Some(version::answer(&input)));
    }
    let conf = Conf::parse(&input)?;
    if version::is_known(&conf.cni_version) {
        version.clone_from(&conf.cni_version);
    }
    version::demand(&conf.cni_version, invocation.since())?;
    finish(serve(invocation, &conf))
}

/// Talks to the agent until there is an answer.
fn finish<T>(work: impl Future<Output = Result<T, CniError>>) -> Result<T, CniError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CniError::io)?;
    runtime.block_on(work)
}

async fn serve(invocation: Invocation, conf: &Conf) -> Result<Option<Value>, CniError> {
    match invocation {
        Invocation::Add(sandbox) => add::add(&sandbox, conf).await.map(Some),
        Invocation::Del(attachment) => del::del(&attachment, conf).await.map(|()| None),
        Invocation::Check(sandbox) => check::check(&sandbox, conf).await.map(|()| None),
        Invocation::Status => status::status(conf).await.map(|()| None),
        Invocation::Gc => gc::gc(conf).await.map(|()| None),
        // Answered before the configuration is read.
        Invocation::Version => Ok(None),
    }
}

fn read_input() -> Result<Vec<u8>, CniError> {
    let mut input = Vec::new();
    std::io::stdin().read_to_end(&mut input).map_err(CniError::io)?;
    Ok(input)
}

/// A runtime that closed its end has no use for the answer, but should not take silence for success.
fn print(answer: &Value, code: ExitCode) -> ExitCode {
    match writeln!(std::io::stdout(), "{answer}") {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}
