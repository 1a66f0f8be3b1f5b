//! `poplin convert`: shows what documents of other houses become, without an agent.

use std::path::PathBuf;
use std::process::ExitCode;

use poplin_proto::v1::Resource;

use crate::files;
use crate::output::{Format, many, print};
use crate::problem::Problem;

/// Print policies of Kubernetes and Calico as ours. Asks no agent, changes nothing.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  poplin convert -f networkpolicy.yaml
  calicoctl get globalnetworkpolicy -o yaml | poplin convert -f -
  poplin convert -f policies/ -o json")]
pub(crate) struct Convert {
    /// File, directory of .yaml, .yml and .json files, or - for stdin.
    #[arg(short = 'f', long = "file", required = true, value_name = "FILE|DIR|-")]
    files: Vec<PathBuf>,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    output: Language,
}

/// In what documents are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Language {
    /// One document each.
    #[default]
    Yaml,
    /// An array of documents.
    Json,
}

impl Convert {
    pub(crate) fn run(self) -> Result<ExitCode, Problem> {
        let mut documents = Vec::new();
        let mut failures = Vec::new();
        for manifest in files::read(&self.files)? {
            match poplin_manifest::read(&manifest) {
                Ok(read) => documents.extend(read),
                Err(wrong) => failures.extend(wrong),
            }
        }
        // What an agent would refuse to apply is not worth printing.
        if failures.is_empty() {
            failures.extend(poplin_manifest::world(&documents).err().into_iter().flatten());
        }
        if !failures.is_empty() {
            return Err(failures.into());
        }
        let resources: Vec<Resource> = documents.into_iter().map(|document| document.resource).collect();
        let format = match self.output {
            Language::Yaml => Format::Yaml,
            Language::Json => Format::Json,
        };
        print(&many(&resources, format)?)?;
        Ok(ExitCode::SUCCESS)
    }
}
