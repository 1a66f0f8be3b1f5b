//! `poplin host`: hosts that come and go.

use std::process::ExitCode;

use poplin_proto::v1::resource::Object;
use poplin_proto::v1::{ApplyRequest, GetRequest, RemoveHostRequest, RemoveHostResponse, RenameHostRequest};

use crate::agent;
use crate::door::Door;
use crate::output::{json, print};
use crate::problem::Problem;
use crate::status::Form;

/// Drain a host before work on it, or take one that is gone for good out of the fabric.
#[derive(Debug, clap::Args)]
pub(crate) struct Host {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Drain(Drain),
    Undrain(Drain),
    Remove(Remove),
    Rename(Rename),
}

/// Have other hosts do what they can in its place, or no more: a drained host announces no addresses of services.
///
/// Its containers keep their addresses, and are reached as before.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  poplin host drain rack1-h7
  poplin host undrain rack1-h7")]
struct Drain {
    /// The host.
    name: String,
}

/// Remove a host that is gone for good: its endpoints go, their addresses and its blocks become free.
///
/// Without --gone it only tells what would go, and exits 1. A host that has a BGP session with the one that is asked is refused.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  poplin host remove rack1-h7
  poplin host remove rack1-h7 --gone")]
struct Remove {
    /// The host.
    name: String,
    /// You have made sure that it does not run: if its containers did, their addresses would be given to others too.
    #[arg(long)]
    gone: bool,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
}

/// Give a host another name: its endpoints, addresses and blocks come along, and its containers notice nothing.
///
/// First stop its agent and start it under the new name (--host): it does nothing until the fabric knows that name, and from then on it goes on where it
/// was. Cut short, the same again continues.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  poplin host rename rack1-h7 rack2-h7")]
struct Rename {
    /// The name it has in the fabric.
    name: String,
    /// Its new one.
    new_name: String,
}

impl Host {
    pub(crate) async fn run(self, door: &Door) -> Result<ExitCode, Problem> {
        match self.verb {
            Verb::Drain(drain) => drain.run(door, true).await,
            Verb::Undrain(drain) => drain.run(door, false).await,
            Verb::Remove(remove) => remove.run(door).await,
            Verb::Rename(rename) => rename.run(door).await,
        }
    }
}

impl Drain {
    /// The version that was read comes along, so that nobody's change in between is lost.
    async fn run(self, door: &Door, is_draining: bool) -> Result<ExitCode, Problem> {
        let mut client = agent::resources(door).await?;
        let wanted = GetRequest { kind: "Host".to_owned(), name: self.name.clone() };
        let mut resource = client.get(wanted).await?.into_inner().resource.unwrap_or_default();
        let was_draining = match &mut resource.object {
            Some(Object::Host(host)) => std::mem::replace(&mut host.spec.get_or_insert_default().drain, is_draining),
            _ => false,
        };
        client.apply(ApplyRequest { resources: vec![resource], ..ApplyRequest::default() }).await?;
        let now = if is_draining { "drains" } else { "drains no more" };
        let already = if was_draining == is_draining { ", as before" } else { "" };
        print(&format!("host {} {now}{already}\n", self.name))?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Rename {
    async fn run(self, door: &Door) -> Result<ExitCode, Problem> {
        let Self { name, new_name } = self;
        let request = RenameHostRequest { name: name.clone(), new_name: new_name.clone() };
        let answer = agent::resources(door).await?.rename_host(request).await?.into_inner();
        print(&format!(
            "host {name} is {new_name}: {} endpoints and {} blocks came along\n",
            answer.endpoints, answer.blocks
        ))?;
        if !answer.host_endpoints.is_empty() {
            let named = answer.host_endpoints.join(", ");
            print(&format!("these HostEndpoints still name host {name}; declare them anew: {named}\n"))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Remove {
    async fn run(self, door: &Door) -> Result<ExitCode, Problem> {
        let request = RemoveHostRequest { name: self.name.clone(), is_gone: self.gone };
        let answer = agent::resources(door).await?.remove_host(request).await?.into_inner();
        print(&match self.output {
            Form::Text => self.told(&answer),
            Form::Json => json(&answer)?,
        })?;
        Ok(if self.gone { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn told(&self, answer: &RemoveHostResponse) -> String {
        let name = &self.name;
        let mut told = match self.gone {
            true => format!("host {name} removed\n"),
            false => format!("host {name} stays; with it would go:\n"),
        };
        let mut line = |what: &str, of: &[String]| {
            if !of.is_empty() {
                told += &format!("  {what} ({}): {}\n", of.len(), of.join(", "));
            }
        };
        line("endpoints", &answer.endpoints);
        line("blocks freed", &answer.blocks_freed);
        line("blocks moved", &answer.blocks_moved);
        told += &format!("  addresses freed: {}\n", answer.addresses_freed);
        if !self.gone {
            told += &format!("once you are sure that it does not run: poplin host remove {name} --gone\n");
        }
        told
    }
}
