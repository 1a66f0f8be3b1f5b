//! `poplin lint`: what policies probably do not mean.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use poplin_policy::lint::{Finding, Severity, lint};
use serde_json::{Value, json};

use crate::output::{json as printed, print};
use crate::problem::{Exit, Problem};
use crate::status::Form;
use crate::world;

/// Find rules no packet reaches, misspelt labels, policies that select nobody, and more. Exits 1 if there are errors.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  poplin lint
  poplin lint -f policies/ --topology endpoints.yaml
  poplin lint -o json | jq '.[] | select(.severity == \"error\")'")]
pub(crate) struct Lint {
    /// File, directory of .yaml, .yml and .json files, or - for stdin, with no agent asked. Absent = the fabric as it stands.
    #[arg(short = 'f', long = "file", value_name = "FILE|DIR|-")]
    files: Vec<PathBuf>,
    /// Endpoints: as `poplin get endpoints -o yaml` prints them, or kind Topology.
    #[arg(long, value_name = "FILE")]
    topology: Option<PathBuf>,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
}

impl Lint {
    pub(crate) async fn run(self, socket: &Path) -> Result<ExitCode, Problem> {
        let world = world::asked(socket, &self.files, self.topology.as_ref()).await?;
        if world.endpoints.is_empty() {
            eprintln!("there is no endpoint, so only the form of policies is looked at; see --topology");
        }
        let findings = lint(&world);
        print(&match self.output {
            Form::Text => rendered(&findings),
            Form::Json => printed(&findings.iter().map(document).collect::<Vec<_>>())?,
        })?;
        let has_errors = findings.iter().any(|finding| finding.severity == Severity::Error);
        Ok(if has_errors { Exit::Failed.into() } else { ExitCode::SUCCESS })
    }
}

fn rendered(findings: &[Finding]) -> String {
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let told: String = findings.iter().map(ToString::to_string).collect();
    let counts = [Severity::Error, Severity::Warning, Severity::Note]
        .map(|severity| format!("{} {}s", count(severity), severity.as_str()));
    format!("{told}{}\n", counts.join(", "))
}

fn document(finding: &Finding) -> Value {
    let place = &finding.place;
    json!({
        "severity": finding.severity.as_str(),
        "code": finding.code.as_str(),
        "policy": place.policy.to_string(),
        "direction": place.direction.map(|direction| direction.to_string()),
        "index": place.rule.as_ref().map(|(index, _)| index),
        "rule": place.rule.as_ref().map(|(_, name)| name),
        "message": finding.message,
        "coveredBy": finding.covered_by,
        "advice": finding.advice,
    })
}
