//! `poplin get`: shows what is declared, once or as it changes.

use std::process::ExitCode;

use poplin_proto::v1::resource_service_client::ResourceServiceClient;
use poplin_proto::v1::watch_response::Change;
use poplin_proto::v1::{GetRequest, Resource, WatchRequest, WatchResponse};
use serde_json::json;
use tonic::transport::Channel;

use crate::agent;
use crate::door::Door;
use crate::kind::{Kind, title};
use crate::output::{Format, many, one, print, unprintable};
use crate::problem::{Exit, Problem};
use crate::table;

/// Show objects of a kind, or one by name.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  poplin get endpoints -l \"app == 'web'\"
  poplin get policy db -o yaml
  poplin get ep -o wide -w")]
pub(crate) struct Get {
    /// Pool, Host, Endpoint, Policy, Tier, AddressSet, Peer, FabricConfig, Namespace, HostEndpoint, RouteMap, Network, Service, StaticRoute, Profile or FloatingAddress; plural and short forms too (ep, pol, as).
    kind: Kind,
    /// Only the object of this name.
    name: Option<String>,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    /// Only objects whose labels match.
    #[arg(short = 'l', long, default_value = "", hide_default_value = true, conflicts_with = "name")]
    selector: String,
    /// Go on printing changes as they happen.
    #[arg(short, long)]
    watch: bool,
}

impl Get {
    pub(crate) async fn run(self, door: &Door) -> Result<ExitCode, Problem> {
        let mut client = agent::resources(door).await?;
        if self.watch {
            return self.follow(&mut client).await;
        }
        match &self.name {
            Some(name) => print(&one(&self.named(&mut client, name).await?, self.output)?)?,
            None => self.print_list(&agent::all(&mut client, self.kind.as_str(), &self.selector).await?)?,
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn named(&self, client: &mut ResourceServiceClient<Channel>, name: &str) -> Result<Resource, Problem> {
        let request = GetRequest { kind: self.kind.as_str().to_owned(), name: name.to_owned() };
        let answer = client.get(request).await?.into_inner();
        answer.resource.ok_or_else(|| Problem::new(Exit::Failed, "the agent answered without an object"))
    }

    fn print_list(&self, resources: &[Resource]) -> Result<(), Problem> {
        if resources.is_empty() && matches!(self.output, Format::Table | Format::Wide) {
            eprintln!("no {} found", self.kind.as_str());
        }
        print(&many(resources, self.output)?)
    }

    /// Ends when the agent ends the stream, which is always an error.
    async fn follow(&self, client: &mut ResourceServiceClient<Channel>) -> Result<ExitCode, Problem> {
        let request = WatchRequest { kind: self.kind.as_str().to_owned(), selector: self.selector.clone() };
        let mut changes = client.watch(request).await?.into_inner();
        let mut first = Vec::new();
        let mut is_synced = false;
        while let Some(event) = changes.message().await? {
            let change = event.change();
            match (change, event) {
                (Change::Synced, _) => {
                    is_synced = true;
                    self.print_first(&std::mem::take(&mut first))?;
                }
                (Change::Put, WatchResponse { resource: Some(resource), .. }) if !is_synced => {
                    first.extend(Some(resource).filter(|resource| self.is_wanted(resource)));
                }
                (Change::Put | Change::Deleted, WatchResponse { resource: Some(resource), .. }) => {
                    if self.is_wanted(&resource) {
                        print(&self.changed(change, &resource)?)?;
                    }
                }
                (Change::Put | Change::Deleted | Change::Unspecified, _) => {}
            }
        }
        Err(Problem::new(Exit::Unreachable, "the agent ended the watch").advice("run the command again"))
    }

    fn is_wanted(&self, resource: &Resource) -> bool {
        self.name.as_ref().is_none_or(|name| resource.name() == name)
    }

    /// What is there when the watch begins: a table in one piece, the rest as single changes.
    fn print_first(&self, resources: &[Resource]) -> Result<(), Problem> {
        match self.output {
            Format::Table | Format::Wide => self.print_list(resources),
            Format::Json | Format::Yaml | Format::Name => {
                resources.iter().try_for_each(|resource| print(&self.changed(Change::Put, resource)?))
            }
        }
    }

    fn changed(&self, change: Change, resource: &Resource) -> Result<String, Problem> {
        let is_deleted = change == Change::Deleted;
        let mark = if is_deleted { " deleted" } else { "" };
        match self.output {
            Format::Table | Format::Wide => {
                Ok(table::row(resource, self.output == Format::Wide).join("  ") + mark + "\n")
            }
            Format::Name => Ok(title(resource.kind(), resource.name()) + mark + "\n"),
            Format::Json => {
                let line = json!({"change": if is_deleted { "deleted" } else { "put" }, "object": resource});
                Ok(line.to_string() + "\n")
            }
            Format::Yaml => {
                let comment = if is_deleted { "# deleted\n" } else { "" };
                serde_saphyr::to_string(resource).map(|text| format!("---\n{comment}{text}")).map_err(unprintable)
            }
        }
    }
}
