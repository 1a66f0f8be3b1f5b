//! `poplin test`: proves or refutes what people assert about who may talk to whom.

use std::path::PathBuf;
use std::process::ExitCode;

use poplin_manifest::test::{Test as Assertion, read};
use poplin_policy::check::{Case, Finding, check};
use serde_json::{Value, json};

use crate::door::Door;
use crate::output::{json as printed, print};
use crate::problem::{Exit, Problem};
use crate::status::Form;
use crate::{files, world};

/// Prove the assertions of PolicyTest documents, or refute them by a packet. Exits 1 if one does not hold.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  poplin test tests.yaml
  poplin test tests.yaml -f policies/ --topology endpoints.yaml")]
pub(crate) struct Test {
    /// Files of PolicyTest documents, directories of such, or - for stdin.
    #[arg(required = true, value_name = "FILE|DIR|-")]
    tests: Vec<PathBuf>,
    /// What is tested: file, directory or stdin (-), with no agent asked. Absent = the fabric as it stands.
    #[arg(short = 'f', long = "file", value_name = "FILE|DIR|-")]
    files: Vec<PathBuf>,
    /// Endpoints: as `poplin get endpoints -o yaml` prints them, or kind Topology.
    #[arg(long, value_name = "FILE")]
    topology: Option<PathBuf>,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
}

impl Test {
    pub(crate) async fn run(self, door: &Door) -> Result<ExitCode, Problem> {
        let documents = world::asked(door, &self.files, self.topology.as_ref()).await?;
        let world = world::world(&documents)?;
        let (mut tests, mut failures) = (Vec::new(), Vec::new());
        for manifest in files::read(&self.tests)? {
            match read(&manifest, &world) {
                Ok(read) => tests.extend(read),
                Err(wrong) => failures.extend(wrong),
            }
        }
        if !failures.is_empty() {
            return Err(world::unusable(failures));
        }
        let cases: Vec<Case> = tests.iter().map(|test| test.case.clone()).collect();
        let failsafe = poplin_manifest::failsafe(&documents).map_err(world::unusable)?;
        let findings = check(&world, &failsafe, &cases);
        let told = || tests.iter().zip(&findings);
        print(&match self.output {
            Form::Text => rendered(told()),
            Form::Json => printed(&told().map(document).collect::<Vec<_>>())?,
        })?;
        let all_hold = findings.iter().all(|finding| *finding == Finding::Holds);
        Ok(if all_hold { ExitCode::SUCCESS } else { Exit::Failed.into() })
    }
}

fn rendered<'a>(told: impl Iterator<Item = (&'a Assertion, &'a Finding)>) -> String {
    let (mut text, mut holding, mut failing) = (String::new(), 0, 0);
    for (test, finding) in told {
        let (suite, case) = (&test.suite, &test.case);
        if *finding == Finding::Holds {
            holding += 1;
            text.push_str(&format!("ok    {suite}: {case}\n"));
        } else {
            failing += 1;
            text.push_str(&format!("FAIL  {suite}: {case}, at {}\n        {finding}\n", test.origin));
        }
    }
    text + &format!("{} cases: {holding} hold, {failing} do not\n", holding + failing)
}

fn document((test, finding): (&Assertion, &Finding)) -> Value {
    json!({
        "suite": test.suite,
        "case": test.case.to_string(),
        "origin": test.origin,
        "holds": *finding == Finding::Holds,
        "finding": finding.to_string(),
    })
}
