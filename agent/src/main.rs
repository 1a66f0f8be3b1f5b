//! `poplind`, the agent: one on every host.

use std::process::ExitCode;

use clap::Parser;
use poplin_agent::config::{Config, Flags};
use poplin_agent::run::run;
use tikv_jemallocator::Jemalloc;
use tokio::runtime::Builder;
use tracing_subscriber::EnvFilter;

/// What was read of a large fabric is thought of and thrown away, and goes back to the system some seconds later.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    let flags = Flags::parse();
    let filter = EnvFilter::try_from_env("POPLIN_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_target(false).with_writer(std::io::stderr).init();
    let outcome = Config::load(flags).and_then(|config| {
        let doors = Builder::new_multi_thread().worker_threads(2).thread_name("doors").enable_all().build()?;
        // The loop, the store's news and the neighbours share a thread: what is read is thought of where it was read, and nobody is woken for it.
        // It is a task like theirs, too: before what a runtime blocks on has its turn, the kernel is asked once more what there is to read.
        let looped = Builder::new_current_thread().enable_all().build()?;
        let outcome = looped.block_on(looped.spawn(run(config, doors.handle().clone()))).map_err(anyhow::Error::from);
        doors.shutdown_background();
        outcome.flatten()
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
