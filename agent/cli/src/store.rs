//! `poplin store`: what a person says of the store.

use std::process::ExitCode;

use poplin_proto::v1::{AcceptStoreRequest, AcceptStoreResponse, HostSchema, SetSchemaRequest, SetSchemaResponse};

use crate::agent;
use crate::door::Door;
use crate::output::{json, print};
use crate::problem::Problem;
use crate::status::Form;
use crate::table::aligned;

/// Say that a store which was restored or emptied is right as it is, or from which schema on agents may write in it.
#[derive(Debug, clap::Args)]
pub(crate) struct Store {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Accept(Accept),
    Schema(Schema),
}

/// Wait for no host any more that has still to tell what the store forgot: addresses are given again.
///
/// A container that runs on such a host may have an address that is given to another then; of the two it is closed off when its host comes back.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  poplin store accept --dry-run
  poplin store accept")]
struct Accept {
    /// Only tell which hosts are waited for.
    #[arg(long)]
    dry_run: bool,
}

/// Show from which schema on agents may write in the store, and what each host's agent knows; raise it after an upgrade, lower it before a way back.
///
/// An agent that knows less goes on with what it has and writes nothing. What came with a later schema nobody writes before it is raised.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  poplin store schema
  poplin store schema --raise
  poplin store schema --set 1")]
struct Schema {
    /// To the last that every host's agent knows.
    #[arg(long, conflicts_with = "set")]
    raise: bool,
    /// To this one: up as far as every host's agent knows it, down as far as you like.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    set: Option<u32>,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
}

impl Store {
    pub(crate) async fn run(self, door: &Door) -> Result<ExitCode, Problem> {
        match self.verb {
            Verb::Accept(accept) => accept.run(door).await,
            Verb::Schema(schema) => schema.run(door).await,
        }
    }
}

impl Accept {
    async fn run(self, door: &Door) -> Result<ExitCode, Problem> {
        let request = AcceptStoreRequest { dry_run: self.dry_run };
        let answer = agent::resources(door).await?.accept_store(request).await?.into_inner();
        print(&self.told(&answer))?;
        Ok(ExitCode::SUCCESS)
    }

    fn told(&self, answer: &AcceptStoreResponse) -> String {
        let hosts = answer.awaited.join(", ");
        match (answer.awaited.is_empty(), self.dry_run) {
            (true, _) => "nobody is waited for\n".to_owned(),
            (false, true) => format!("would wait no more for {hosts}\n"),
            (false, false) => format!("waits no more for {hosts}: addresses are given again\n"),
        }
    }
}

impl Schema {
    async fn run(self, door: &Door) -> Result<ExitCode, Problem> {
        let request = SetSchemaRequest { set: self.set.unwrap_or(0), raise: self.raise };
        let answer = agent::resources(door).await?.set_schema(request).await?.into_inner();
        print(&match self.output {
            Form::Text => shown(&answer),
            Form::Json => json(&answer)?,
        })?;
        for value in &answer.later {
            eprintln!("warning: {value}, which agents of schema {} cannot read", answer.min_writer);
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn shown(answer: &SetSchemaResponse) -> String {
    let mut text = match answer.min_writer {
        0 => "the store does not say from which schema on agents may write\n".to_owned(),
        least => format!("agents write in the store from schema {least} on\n"),
    };
    if answer.min_writer < answer.can_raise_to {
        text += &format!("all know schema {}: poplin store schema --raise\n", answer.can_raise_to);
    }
    let titles = ["HOST", "AGENT", "SCHEMA", ""].map(str::to_owned).to_vec();
    let row = |HostSchema { host, version, schema }: &HostSchema| {
        let version = if version.is_empty() { "-" } else { version };
        let note = if *schema < answer.min_writer { "writes nothing" } else { "" };
        vec![host.clone(), version.to_owned(), schema.to_string(), note.to_owned()]
    };
    let rows: Vec<Vec<String>> = std::iter::once(titles).chain(answer.hosts.iter().map(row)).collect();
    text + &aligned(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_names_the_schema_who_is_behind_and_whether_it_can_rise() {
        let host = |host: &str, schema| HostSchema { host: host.to_owned(), version: "0.1.0".to_owned(), schema };
        let answer = |min_writer, can_raise_to| SetSchemaResponse {
            min_writer,
            can_raise_to,
            hosts: vec![host("h1", 2), host("h2", 1)],
            later: Vec::new(),
        };

        let behind = shown(&answer(2, 1));
        assert!(behind.starts_with("agents write in the store from schema 2 on\nHOST"), "{behind}");
        assert!(behind.contains("h2    0.1.0  1       writes nothing\n"), "{behind}");
        assert!(!behind.contains("--raise") && !behind.contains("2       writes"), "{behind}");
        assert!(shown(&answer(1, 2)).contains("all know schema 2: poplin store schema --raise"));
        assert!(shown(&answer(0, 2)).starts_with("the store does not say"));
    }
}
