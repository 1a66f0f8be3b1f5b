//! The command line: one verb a run, data on stdout, talk on stderr, and an exit code that says how it went.
//!
//! In: arguments, files, the agent's answers. Out: text. Decides nothing: what is valid is asked at the agent, or, offline, at the
//! crate the agent asks too.
//! Exit codes: 0 done, healthy, allowed, equivalent · 1 failed, denied, different · 2 usage · 3 not found · 4 conflict · 5 agent or store
//! unreachable · 6 permission denied · 7 status or doctor found problems · 8 timed out. `run` ends as its command does, or with 125, 126 or 127.

mod agent;
mod apply;
mod attach;
mod bgp;
mod cni;
mod completion;
mod confirm;
mod convert;
mod counters;
mod delete;
mod detach;
mod diff;
mod doctor;
mod door;
mod drops;
mod end;
mod explain;
mod export;
mod files;
mod floating;
mod get;
mod host;
mod import;
mod ipam;
mod joining;
mod kind;
mod lint;
mod metrics;
mod moment;
mod netavark;
mod offline;
mod output;
#[cfg(test)]
mod pages;
mod pool;
mod ports;
mod problem;
mod promote;
mod routes;
mod run;
mod status;
mod store;
mod table;
mod test;
mod version;
mod world;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use problem::Problem;

/// Routed networking for containers: pools, policies, BGP and what stands behind them.
#[derive(Debug, Parser)]
#[command(name = "poplin", version, before_help = EXAMPLES)]
struct CommandLine {
    #[command(flatten)]
    place: door::Where,
    #[command(subcommand)]
    verb: Verb,
}

const EXAMPLES: &str = "Examples:
  poplin status
  poplin apply -f shop.yaml
  poplin explain web db tcp/5432";

#[derive(Debug, Subcommand)]
enum Verb {
    Apply(apply::Apply),
    Confirm(confirm::Confirm),
    Convert(convert::Convert),
    Get(get::Get),
    Delete(delete::Delete),
    Export(export::Export),
    Import(import::Import),
    Attach(attach::Attach),
    Detach(detach::Detach),
    Run(run::Run),
    Cni(cni::Cni),
    Netavark(netavark::Netavark),
    Ports(ports::Ports),
    Host(host::Host),
    Store(store::Store),
    Ipam(ipam::Ipam),
    Floating(floating::Floating),
    Pool(pool::Pool),
    Status(status::Status),
    Doctor(doctor::Doctor),
    Routes(routes::Routes),
    Bgp(bgp::Bgp),
    Metrics(metrics::Metrics),
    Explain(explain::Explain),
    Drops(drops::Drops),
    Counters(counters::Counters),
    Promote(promote::Promote),
    Diff(diff::Diff),
    Lint(lint::Lint),
    Test(test::Test),
    Version(version::Version),
    Completion(completion::Completion),
}

fn main() -> ExitCode {
    let command_line = CommandLine::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Problem::from(error).report(),
    };
    runtime.block_on(run(command_line)).unwrap_or_else(|problem| problem.report())
}

async fn run(CommandLine { place, verb }: CommandLine) -> Result<ExitCode, Problem> {
    let door = place.door()?;
    match verb {
        Verb::Apply(apply) => apply.run(&door).await,
        Verb::Confirm(confirm) => confirm.run(&door).await,
        Verb::Convert(convert) => convert.run(),
        Verb::Get(get) => get.run(&door).await,
        Verb::Delete(delete) => delete.run(&door).await,
        Verb::Export(export) => export.run(&door).await,
        Verb::Import(import) => import.run(&door).await,
        Verb::Attach(attach) => attach.run(door.here("attach")?).await,
        Verb::Detach(detach) => detach.run(&door).await,
        Verb::Run(run) => run.run(door.here("run")?).await,
        Verb::Cni(cni) => cni.run(door.socket("cni")?),
        Verb::Netavark(netavark) => netavark.run(),
        Verb::Ports(ports) => ports.run(&door).await,
        Verb::Host(host) => host.run(&door).await,
        Verb::Store(store) => store.run(&door).await,
        Verb::Ipam(ipam) => ipam.run(&door).await,
        Verb::Floating(floating) => floating.run(&door).await,
        Verb::Pool(pool) => pool.run(&door).await,
        Verb::Status(status) => status.run(&door).await,
        Verb::Doctor(doctor) => doctor.run(door.here("doctor")?).await,
        Verb::Routes(routes) => routes.run(&door).await,
        Verb::Bgp(bgp) => bgp.run(&door).await,
        Verb::Metrics(metrics) => metrics.run(&door).await,
        Verb::Explain(explain) => explain.run(&door).await,
        Verb::Drops(drops) => drops.run(&door).await,
        Verb::Counters(counters) => counters.run(&door).await,
        Verb::Promote(promote) => promote.run(&door).await,
        Verb::Diff(diff) => diff.run(&door).await,
        Verb::Lint(lint) => lint.run(&door).await,
        Verb::Test(test) => test.run(&door).await,
        Verb::Version(version) => version.run(&door).await,
        Verb::Completion(completion) => completion.run(),
    }
}
