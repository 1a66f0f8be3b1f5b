//! `poplin import`: a fabric out of the file of an export.

use std::path::PathBuf;
use std::process::ExitCode;

use poplin_proto::v1::{ImportRequest, ImportResponse, Manifest, Record};
use serde::Deserialize;

use crate::door::Door;
use crate::output::print;
use crate::problem::{Exit, Problem};
use crate::{agent, end, files, world};

/// Write what an export holds into the store: an empty one, or with --merge any. All or nothing up to a hundred objects; beyond that, the
/// same command again goes on where it was interrupted.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  poplin import -f fabric.yaml --dry-run
  poplin import -f fabric.yaml
  poplin export | poplin --socket /run/other.sock import -f - --merge")]
pub(crate) struct Import {
    /// File, or - for stdin.
    #[arg(short = 'f', long = "file", required = true, value_name = "FILE|-")]
    file: PathBuf,
    /// Into a store that holds objects: what is in both becomes as in the file, and what is only there stays.
    #[arg(long)]
    merge: bool,
    /// Check everything, change nothing.
    #[arg(long)]
    dry_run: bool,
}

impl Import {
    pub(crate) async fn run(self, door: &Door) -> Result<ExitCode, Problem> {
        let (mut pieces, mut schema) = (Vec::new(), 0);
        for manifest in files::read(std::slice::from_ref(&self.file))? {
            let text = end::whole(&manifest.text).map_err(|reason| cut_short(&manifest.name, &reason))?.to_owned();
            schema = schema.max(end::schema_of(&text));
            pieces.extend(pieces_of(&Manifest { text, ..manifest })?);
        }
        let first = ImportRequest { merge: self.merge, dry_run: self.dry_run, schema, ..ImportRequest::default() };
        let requests = std::iter::once(first).chain(pieces);
        let answer = agent::resources(door).await?.import(tokio_stream::iter(requests.collect::<Vec<_>>())).await?;
        print(&told(&answer.into_inner(), self.dry_run))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn cut_short(file: &str, reason: &str) -> Problem {
    let message = format!("{file} is not imported: {reason}");
    Problem::new(Exit::Failed, message)
        .advice("take a whole export; what was written by hand goes in with `poplin apply`")
}

fn told(answer: &ImportResponse, is_dry_run: bool) -> String {
    let ImportResponse { created, configured, unchanged, records, transactions, revision } = answer;
    let objects = format!("{created} created, {configured} configured, {unchanged} unchanged, {records} records");
    match (is_dry_run, transactions) {
        (true, _) => format!("{objects} (dry run)\n"),
        (false, 1) => format!("{objects}; at once, at revision {revision}\n"),
        (false, count) => format!("{objects}; in {count} transactions, the last at revision {revision}\n"),
    }
}

/// A record of the export.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Document {
    #[serde(rename = "apiVersion")]
    _api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
    metadata: Name,
    value: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Name {
    name: String,
}

/// The documents of a file in messages that are not too large, and its records.
fn pieces_of(manifest: &Manifest) -> Result<Vec<ImportRequest>, Problem> {
    let mut requests = Vec::new();
    let mut rest = String::new();
    let mut line = 1;
    for document in documents(&manifest.text) {
        let lines = document.lines().count() + 1;
        match is_record(document) {
            true => {
                let record = Some(record(&manifest.name, line, document)?);
                requests.push(ImportRequest { record, ..ImportRequest::default() });
                rest.extend(std::iter::repeat_n('\n', lines)); // so that what follows is found where it stands
            }
            false => rest.extend(["---\n", document.trim_end(), "\n"]),
        }
        line += lines;
    }
    let declared = Manifest { name: manifest.name.clone(), text: rest };
    let manifests = world::pieces(&declared).into_iter().filter(|piece| !piece.text.trim().is_empty());
    let messages = manifests.map(|piece| ImportRequest { manifest: Some(piece), ..ImportRequest::default() });
    Ok(messages.chain(requests).collect())
}

/// What stands between lines of three dashes.
fn documents(text: &str) -> impl Iterator<Item = &str> {
    let text = text.strip_prefix("---\n").unwrap_or(text);
    text.split("\n---\n")
}

fn is_record(document: &str) -> bool {
    document.trim_start().starts_with('{') && document.contains("\"kind\":\"Record\"")
}

fn record(file: &str, line: usize, document: &str) -> Result<Record, Problem> {
    let read: Result<Document, _> = serde_json::from_str(document.trim());
    match read {
        Ok(Document { metadata, value, .. }) => Ok(Record { key: metadata.name, value }),
        Err(error) => {
            let message = format!("{file}: the record at line {line} cannot be read: {error}");
            Err(Problem::new(Exit::Failed, message).advice("take the file as `poplin export --all` wrote it"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_told_apart_from_documents() {
        let record =
            r#"{"apiVersion":"poplin.dev/v1","kind":"Record","metadata":{"name":"b/p/10.0.0.0-26"},"value":"{}"}"#;
        let text = format!("# head\n---\na: 1\n---\n{record}\n---\nc: 1\n");

        let pieces = pieces_of(&Manifest { name: "f".to_owned(), text }).unwrap();

        let records: Vec<_> = pieces.iter().filter_map(|piece| piece.record.as_ref()).collect();
        assert_eq!((records[0].key.as_str(), records[0].value.as_str()), ("b/p/10.0.0.0-26", "{}"));
        let texts: String = pieces.iter().filter_map(|piece| Some(piece.manifest.as_ref()?.text.clone())).collect();
        assert!(texts.starts_with("---\n# head\n---\na: 1\n") && texts.ends_with("---\nc: 1\n"), "{texts}");
    }
}
