//! `poplin ipam`: who has which address, and whether that is sound.

mod told;

use std::net::IpAddr;
use std::process::ExitCode;

use poplin_proto::v1::{CheckAddressesRequest, ReleaseAddressRequest, ShowAddressesRequest};
use serde::Serialize;

use crate::agent;
use crate::door::Door;
use crate::output::{json, print, unprintable};
use crate::problem::Problem;

/// See who has which address, find what is lost, mend what is safe, and release what is kept.
#[derive(Debug, clap::Args)]
pub(crate) struct Ipam {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Show(Show),
    Check(Check),
    Leaks(Leaks),
    Release(Release),
}

/// Show how much of each pool is used and by which hosts, or all about one address.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  poplin ipam show
  poplin ipam show 10.77.0.9
  poplin ipam show -o json | jq '.pools[] | select(.free < 100) | .name'")]
struct Show {
    /// The address.
    address: Option<IpAddr>,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    output: Report,
}

/// Check that pools, blocks, endpoints, hosts and this host's kernel agree. Exits 1 if something is wrong and was not mended.
///
/// --fix mends what is safe: a host frees only what it holds itself, what no endpoint has, and what its kernel leads nowhere. Run it on each host
/// that is named.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  poplin ipam check
  poplin ipam check --fix")]
struct Check {
    /// Mend what is safe from this host, and tell what was done.
    #[arg(long)]
    fix: bool,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    output: Report,
}

/// List addresses that are lost: taken by nobody, had but not taken, had twice, or held by a host or container that is gone. Exits 1 if there are any.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  poplin ipam leaks
  poplin ipam leaks -o json | jq -r '.findings[].message'")]
struct Leaks {
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    output: Report,
}

/// Release an address that is kept for an endpoint, rests, or leaked. Refused if an endpoint has it, or may have.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  poplin ipam release 10.77.0.9")]
struct Release {
    /// The address.
    address: IpAddr,
}

/// How a report is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Report {
    /// For people; may change.
    #[default]
    Text,
    /// For programs.
    Json,
    /// The same as YAML.
    Yaml,
}

impl Report {
    fn of<T: Serialize>(self, answer: &T, told: impl FnOnce(&T) -> String) -> Result<String, Problem> {
        match self {
            Self::Text => Ok(told(answer)),
            Self::Json => json(answer),
            Self::Yaml => serde_saphyr::to_string(answer).map_err(unprintable),
        }
    }
}

impl Ipam {
    pub(crate) async fn run(self, door: &Door) -> Result<ExitCode, Problem> {
        match self.verb {
            Verb::Show(show) => show.run(door).await,
            Verb::Check(Check { fix, output }) => check(door, fix, false, output).await,
            Verb::Leaks(Leaks { output }) => check(door, false, true, output).await,
            Verb::Release(release) => release.run(door).await,
        }
    }
}

impl Show {
    async fn run(self, door: &Door) -> Result<ExitCode, Problem> {
        let address = self.address.map(|address| address.to_string()).unwrap_or_default();
        let answer = agent::ipam(door).await?.show(ShowAddressesRequest { address }).await?.into_inner();
        print(&self.output.of(&answer, told::shown)?)?;
        Ok(ExitCode::SUCCESS)
    }
}

async fn check(door: &Door, fix: bool, leaks_only: bool, output: Report) -> Result<ExitCode, Problem> {
    let request = CheckAddressesRequest { fix, leaks_only };
    let answer = agent::ipam(door).await?.check(request).await?.into_inner();
    print(&output.of(&answer, |answer| told::checked(answer, fix))?)?;
    let is_sound = answer.findings.iter().all(|finding| finding.mended);
    Ok(if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Release {
    async fn run(self, door: &Door) -> Result<ExitCode, Problem> {
        let request = ReleaseAddressRequest { address: self.address.to_string() };
        let done = agent::ipam(door).await?.release(request).await?.into_inner().done;
        print(&match done.as_str() {
            "" => format!("{} is free already\n", self.address),
            done => format!("{done}\n"),
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
