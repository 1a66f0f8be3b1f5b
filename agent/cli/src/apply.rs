//! `poplin apply`: declares what files say, all of it or nothing.

use std::path::PathBuf;
use std::process::ExitCode;

use poplin_proto::v1::apply_response::result::Outcome;
use poplin_proto::v1::{ApplyRequest, ApplyResponse, Manifest};

use crate::door::Door;
use crate::kind::title;
use crate::output::print;
use crate::problem::{Exit, Problem};
use crate::{agent, files};

/// Declare objects: create those that are new, change those that differ.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  poplin apply -f shop.yaml
  poplin apply -f policies/ --dry-run
  poplin apply -f policies/ --confirm-within 60s
  kubectl get networkpolicies -A -o yaml | poplin apply -f -
  poplin get policy db -o yaml | sed s/5432/5433/ | poplin apply -f -")]
pub(crate) struct Apply {
    /// File, directory of .yaml, .yml and .json files, or - for stdin.
    #[arg(short = 'f', long = "file", required = true, value_name = "FILE|DIR|-")]
    files: Vec<PathBuf>,
    /// Check everything, change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Take all of it back after this time, unless `poplin confirm` comes first: 60s, 5m, 1h.
    #[arg(long, value_name = "TIME", value_parser = seconds, conflicts_with = "dry_run")]
    confirm_within: Option<u32>,
}

/// `60s`, `5m`, `1h`.
fn seconds(text: &str) -> Result<u32, String> {
    let units = [('s', 1), ('m', 60), ('h', 3600)];
    let parsed = units.into_iter().find_map(|(unit, factor)| {
        let number: u32 = text.strip_suffix(unit)?.parse().ok()?;
        number.checked_mul(factor).filter(|seconds| *seconds > 0)
    });
    parsed.ok_or_else(|| format!("{text:?} is no time; write it like 60s, 5m or 1h"))
}

impl Apply {
    pub(crate) async fn run(self, door: &Door) -> Result<ExitCode, Problem> {
        let manifests = files::read(&self.files)?;
        check_size(&manifests)?;
        let confirm_within_seconds = self.confirm_within.unwrap_or_default();
        let request = ApplyRequest { manifests, resources: Vec::new(), dry_run: self.dry_run, confirm_within_seconds };
        let answer = agent::resources(door).await?.apply(request).await?.into_inner();
        print(&report(&answer, self.dry_run))?;
        if !answer.trial.is_empty() {
            let trial = &answer.trial;
            eprintln!("taken back in {confirm_within_seconds} s, unless you keep it: poplin confirm {trial}");
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What the agent takes in one request, less room for its envelope.
const MOST_OCTETS: usize = (16 << 20) - (64 << 10);

fn check_size(manifests: &[Manifest]) -> Result<(), Problem> {
    let octets: usize = manifests.iter().map(|manifest| manifest.text.len()).sum();
    if octets <= MOST_OCTETS {
        return Ok(());
    }
    let message = format!("the files have {octets} bytes, at most {MOST_OCTETS} go in one call");
    Err(Problem::new(Exit::Failed, message).advice("apply them in several calls"))
}

fn report(answer: &ApplyResponse, dry_run: bool) -> String {
    let suffix = if dry_run { " (dry run)" } else { "" };
    let lines = answer.results.iter().map(|result| {
        let outcome = match result.outcome() {
            Outcome::Created => "created",
            Outcome::Configured => "configured",
            Outcome::Unchanged => "unchanged",
            Outcome::Unspecified => "applied",
        };
        let title = title(&result.kind, &result.name);
        match result.written_as.as_str() {
            "" => format!("{title} {outcome}{suffix}\n"),
            written => format!("{title} {outcome}{suffix} (from {written})\n"),
        }
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_a_request_takes_is_refused_before_it_is_sent() {
        let manifest = |octets: usize| Manifest { name: "f".to_owned(), text: " ".repeat(octets) };
        assert!(check_size(&[manifest(MOST_OCTETS)]).is_ok());
        assert!(check_size(&[manifest(MOST_OCTETS), manifest(1)]).is_err());
    }
}
