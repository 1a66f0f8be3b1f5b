//! `poplin completion`: what a shell needs to complete our words.

use std::process::ExitCode;

use clap::CommandFactory as _;

use crate::CommandLine;
use crate::output::{print, unprintable};
use crate::problem::Problem;

/// Print completions for a shell.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  poplin completion bash > /etc/bash_completion.d/poplin")]
pub(crate) struct Completion {
    /// The shell.
    shell: clap_complete::Shell,
}

impl Completion {
    pub(crate) fn run(self) -> Result<ExitCode, Problem> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut CommandLine::command(), "poplin", &mut script);
        print(&String::from_utf8(script).map_err(unprintable)?)?;
        Ok(ExitCode::SUCCESS)
    }
}
