//! `poplin bgp dump`: the table, as a file that other tools read.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use poplin_proto::v1::DumpTableRequest;

use crate::agent;
use crate::door::Door;
use crate::problem::{Exit, Problem};

/// Write the table of this moment to a file in MRT (TABLE_DUMP_V2), which bgpdump and others read: every path that import maps let
/// pass, and our own prefixes.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  poplin bgp dump table.mrt && bgpdump -m table.mrt
  poplin bgp dump - | gzip > table.mrt.gz")]
pub(crate) struct Dump {
    /// Where to; - is the standard output.
    file: PathBuf,
}

impl Dump {
    pub(crate) async fn run(self, door: &Door) -> Result<ExitCode, Problem> {
        let is_output = self.file == Path::new("-");
        if is_output && io::stdout().is_terminal() {
            return Err(Problem::new(Exit::Usage, "a table in MRT is not for a terminal").advice("name a file"));
        }
        let mut pieces = agent::bgp(door).await?.dump_table(DumpTableRequest {}).await?.into_inner();
        let mut out: Box<dyn Write> = match is_output {
            true => Box::new(io::stdout().lock()),
            false => Box::new(BufWriter::new(File::create(&self.file).map_err(|error| self.unwritten(&error))?)),
        };
        let mut prefixes = 0;
        while let Some(piece) = pieces.message().await? {
            out.write_all(&piece.records).map_err(|error| self.unwritten(&error))?;
            prefixes += piece.prefixes;
        }
        out.flush().map_err(|error| self.unwritten(&error))?;
        if !is_output {
            eprintln!("{prefixes} prefixes are in {}", self.file.display());
        }
        Ok(ExitCode::SUCCESS)
    }

    fn unwritten(&self, error: &io::Error) -> Problem {
        Problem::new(Exit::Failed, format!("cannot write {}: {error}", self.file.display()))
    }
}
