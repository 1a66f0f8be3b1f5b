//! `poplind`, the agent: one on every host.

use std::process::ExitCode;

use clap::Parser;
use poplin_agent::config::{Config, Flags};
use poplin_agent::run::run;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let flags = Flags::parse();
    let filter = EnvFilter::try_from_env("POPLIN_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_target(false).with_writer(std::io::stderr).init();
    let outcome = Config::load(flags).and_then(|config| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        // As a task, the loop runs in the thread that has just read what concerns it, and nobody is woken for it.
        runtime.block_on(async { tokio::spawn(run(config)).await? })
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
