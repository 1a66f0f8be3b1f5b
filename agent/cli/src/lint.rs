//! `poplin lint`: what policies probably do not mean.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use poplin_manifest::Document;
use poplin_policy::lint::{Finding, Place, Severity, lint};
use poplin_policy::model::QualifiedName;
use serde_json::{Value, json};

use crate::door::Door;
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
    pub(crate) async fn run(self, door: &Door) -> Result<ExitCode, Problem> {
        let documents = world::asked(door, &self.files, self.topology.as_ref()).await?;
        let world = world::world(&documents)?;
        if world.endpoints.is_empty() {
            eprintln!("there is no endpoint, so only the form of policies is looked at; see --topology");
        }
        let findings = lint(&world);
        let origins = Origins::of(&documents);
        print(&match self.output {
            Form::Text => rendered(&findings, &origins),
            Form::Json => printed(&findings.iter().map(|finding| document(finding, &origins)).collect::<Vec<_>>())?,
        })?;
        let has_errors = findings.iter().any(|finding| finding.severity == Severity::Error);
        Ok(if has_errors { Exit::Failed.into() } else { ExitCode::SUCCESS })
    }
}

/// Where policies stand in the files they were read from.
struct Origins<'d>(BTreeMap<QualifiedName, &'d Document>);

impl<'d> Origins<'d> {
    fn of(documents: &'d [Document]) -> Self {
        let policies = documents.iter().filter(|document| document.resource.kind() == "Policy");
        Self(policies.map(|policy| (policy.resource.qualified_name().as_str().into(), policy)).collect())
    }

    /// `FILE:LINE:COLUMN`; absent for a policy of the fabric.
    fn of_place(&self, place: &Place) -> Option<String> {
        let field = match (place.direction, &place.rule) {
            (Some(direction), Some((index, _))) => format!("spec.{direction}[{index}]"),
            (Some(direction), None) => format!("spec.{direction}"),
            (None, _) => String::new(),
        };
        self.0.get(&place.policy)?.origin(&field)
    }
}

fn rendered(findings: &[Finding], origins: &Origins<'_>) -> String {
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let told = findings.iter().map(|finding| {
        let origin = origins.of_place(&finding.place).map(|origin| format!("    at {origin}\n"));
        format!("{finding}{}", origin.unwrap_or_default())
    });
    let told: String = told.collect();
    let counts = [Severity::Error, Severity::Warning, Severity::Note]
        .map(|severity| format!("{} {}s", count(severity), severity.as_str()));
    format!("{told}{}\n", counts.join(", "))
}

fn document(finding: &Finding, origins: &Origins<'_>) -> Value {
    let place = &finding.place;
    json!({
        "severity": finding.severity.as_str(),
        "code": finding.code.as_str(),
        "policy": place.policy.to_string(),
        "direction": place.direction.map(|direction| direction.to_string()),
        "index": place.rule.as_ref().map(|(index, _)| index),
        "rule": place.rule.as_ref().map(|(_, name)| name),
        "origin": origins.of_place(place),
        "message": finding.message,
        "coveredBy": finding.covered_by,
        "advice": finding.advice,
    })
}
