//! `poplin delete`: removes objects by name, or those that files declare.

use std::path::PathBuf;
use std::process::ExitCode;

use poplin_proto::v1::{DeleteAllRequest, DeleteRequest, Manifest, ObjectName};
use serde::Deserialize;

use crate::door::Door;
use crate::kind::{Kind, title};
use crate::output::print;
use crate::problem::{Exit, Problem};
use crate::{agent, files};

/// Remove objects.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  poplin delete policy db web
  poplin delete -f shop.yaml --ignore-missing")]
pub(crate) struct Delete {
    /// Kind of the objects.
    #[arg(required_unless_present = "files", conflicts_with = "files")]
    kind: Option<Kind>,
    /// Their names.
    #[arg(required_unless_present = "files")]
    names: Vec<String>,
    /// Remove what this file, directory or stdin (-) declares: all of it, or nothing.
    #[arg(short = 'f', long = "file", value_name = "FILE|DIR|-")]
    files: Vec<PathBuf>,
    /// An object that is not there is no error.
    #[arg(long)]
    ignore_missing: bool,
    /// Check everything, change nothing.
    #[arg(long)]
    dry_run: bool,
}

/// As much of a document as deleting it needs.
#[derive(Debug, Deserialize)]
struct Identity {
    kind: String,
    metadata: Name,
}

#[derive(Debug, Deserialize)]
struct Name {
    name: String,
    namespace: Option<String>,
}

impl Delete {
    pub(crate) async fn run(self, door: &Door) -> Result<ExitCode, Problem> {
        match self.kind {
            Some(kind) => self.each(kind.as_str(), door).await,
            None => self.all(door).await,
        }
    }

    /// All that files declare, or nothing.
    async fn all(&self, door: &Door) -> Result<ExitCode, Problem> {
        let targets = self.declared()?;
        let object = |(kind, name): &(String, String)| ObjectName { kind: kind.clone(), name: name.clone() };
        let request = DeleteAllRequest {
            objects: targets.iter().map(object).collect(),
            allow_missing: self.ignore_missing,
            dry_run: self.dry_run,
        };
        let answer = agent::resources(door).await?.delete_all(request).await?.into_inner();
        for ((kind, name), was_there) in targets.iter().zip(answer.were_there) {
            print(&self.report(kind, name, was_there))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Goes on after a failure: each object that is named is its own, and what could be removed is.
    async fn each(&self, kind: &str, door: &Door) -> Result<ExitCode, Problem> {
        let mut client = agent::resources(door).await?;
        let mut problem: Option<Problem> = None;
        for name in &self.names {
            let request = DeleteRequest {
                kind: kind.to_owned(),
                name: name.clone(),
                resource_version: 0,
                allow_missing: self.ignore_missing,
                dry_run: self.dry_run,
            };
            match client.delete(request).await {
                Ok(answer) => print(&self.report(kind, name, answer.into_inner().resource.is_some()))?,
                Err(status) => {
                    problem = Some(match problem {
                        Some(before) => before.and(status.into()),
                        None => status.into(),
                    });
                }
            }
        }
        problem.map_or(Ok(ExitCode::SUCCESS), Err)
    }

    fn declared(&self) -> Result<Vec<(String, String)>, Problem> {
        let mut targets = Vec::new();
        for manifest in files::read(&self.files)? {
            targets.extend(declared(&manifest)?);
        }
        targets.reverse();
        Ok(targets)
    }

    fn report(&self, kind: &str, name: &str, was_there: bool) -> String {
        let outcome = if was_there { "deleted" } else { "was not there" };
        format!("{} {outcome}{}\n", title(kind, name), if self.dry_run { " (dry run)" } else { "" })
    }
}

/// What apply would make of the documents. Those it would not make anything of are taken at their first lines: an object may
/// be removed by a file that has since been spoiled.
fn declared(manifest: &Manifest) -> Result<Vec<(String, String)>, Problem> {
    if let Ok(documents) = poplin_manifest::read(manifest) {
        let resources = documents.iter().map(|document| &document.resource);
        return Ok(resources.map(|resource| (resource.kind().to_owned(), resource.qualified_name())).collect());
    }
    let documents: Vec<Option<Identity>> = serde_saphyr::from_multiple(&manifest.text)
        .map_err(|error| Problem::new(Exit::Failed, format!("{}: {error}", manifest.name)))?;
    let identified = documents.into_iter().flatten().map(|Identity { kind, metadata }| match metadata.namespace {
        Some(namespace) if kind != "Endpoint" => (kind, format!("{namespace}/{}", metadata.name)),
        _ => (kind, metadata.name),
    });
    Ok(identified.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_identified_without_reading_their_rest() {
        let text = "kind: Pool\nmetadata: {name: a}\nspec: {any: 1}\n---\nkind: Policy\nmetadata: {name: b}\n";
        let manifest = Manifest { name: "x.yaml".to_owned(), text: text.to_owned() };

        let targets = declared(&manifest).unwrap();

        assert_eq!(targets, [("Pool".to_owned(), "a".to_owned()), ("Policy".to_owned(), "b".to_owned())]);
    }

    #[test]
    fn a_foreign_document_is_identified_by_what_it_became() {
        let text =
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: api, namespace: shop}\nspec: {}\n";
        let manifest = Manifest { name: "x.yaml".to_owned(), text: text.to_owned() };

        let targets = declared(&manifest).unwrap();

        assert_eq!(targets, [("Policy".to_owned(), "shop/knp.default.api".to_owned())]);
    }
}
