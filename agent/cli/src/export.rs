//! `poplin export`: the fabric as one file.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use poplin_proto::API_VERSION;
use poplin_proto::v1::{ExportRequest, ExportResponse, Record};
use serde_json::json;

use crate::door::Door;
use crate::end::{self, Tally};
use crate::output::unprintable;
use crate::problem::{Exit, Problem};
use crate::{agent, files};

/// The values of the store are not everybody's.
const OWNER_ONLY: u32 = 0o600;

/// Write all that was declared, at one moment, as documents that `apply` and `import` read. With --all, the records of hosts and addresses too.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  poplin export > fabric.yaml
  poplin export --all --file /var/backups/fabric.yaml
  poplin import -f /var/backups/fabric.yaml")]
pub(crate) struct Export {
    /// Hosts, blocks and endpoints too, so that the fabric can be rebuilt in an empty store.
    #[arg(long)]
    all: bool,
    /// Where to; else the standard output.
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    file: Option<PathBuf>,
}

impl Export {
    pub(crate) async fn run(self, door: &Door) -> Result<ExitCode, Problem> {
        let mut answers = agent::resources(door).await?.export(ExportRequest { all: self.all }).await?.into_inner();
        let (mut all, mut tally) = (String::new(), Tally::default());
        let mut is_whole = true;
        while let Some(answer) = answers.message().await? {
            if !answer.unreadable.is_empty() {
                eprintln!("warning: {}; it is not in the export", answer.unreadable);
                is_whole = false;
            }
            let text = text(&answer)?;
            tally.add(&text, answer.resource.is_some() || answer.record.is_some());
            all.push_str(&text);
        }
        all.push_str(&tally.line());
        write(self.file.as_deref(), &all).map_err(|error| self.unwritten(&error))?;
        Ok(if is_whole { ExitCode::SUCCESS } else { Exit::Failed.into() })
    }

    fn unwritten(&self, error: &io::Error) -> Problem {
        let place =
            self.file.as_ref().map_or_else(|| "the standard output".to_owned(), |file| file.display().to_string());
        Problem::new(Exit::Failed, format!("cannot write {place}: {error}"))
    }
}

/// Writes an export. A file is put in its place whole, readable by its owner only: nobody ever finds half of one.
fn write(file: Option<&Path>, text: &str) -> io::Result<()> {
    let Some(file) = file else { return io::stdout().lock().write_all(text.as_bytes()) };
    match fs::canonicalize(file) {
        Ok(place) if !place.is_file() => fs::write(place, text), // a pipe or a device stays what it is
        Ok(place) => files::put(&place, text.as_bytes(), OWNER_ONLY),
        Err(_) => files::put(file, text.as_bytes(), OWNER_ONLY),
    }
}

fn text(answer: &ExportResponse) -> Result<String, Problem> {
    let document = match (&answer.resource, &answer.record) {
        (Some(resource), _) => serde_saphyr::to_string(resource).map_err(unprintable)?,
        (None, Some(Record { key, value })) => {
            let record =
                json!({"apiVersion": API_VERSION, "kind": "Record", "metadata": {"name": key}, "value": value});
            format!("{record}\n")
        }
        (None, None) if answer.unreadable.is_empty() => {
            return Ok(end::head(answer.revision, answer.schema));
        }
        (None, None) => return Ok(String::new()),
    };
    Ok(format!("---\n{}", document.trim_start_matches("---\n")))
}
