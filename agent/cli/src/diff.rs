//! `poplin diff`: whose traffic a change of policies opens or closes, exactly.

use std::path::PathBuf;
use std::process::ExitCode;

use poplin_manifest::Document;
use poplin_policy::crowd::Crowd;
use poplin_policy::diff::{Change, Concern, Guarded, HostChange, HostTurn, Turn, diff, diff_hosts, told};
use poplin_policy::host::HostEndpoint;
use poplin_policy::world::World;
use serde_json::{Value, json};

use crate::door::Door;
use crate::output::{json as printed, print};
use crate::problem::{Exit, Problem};
use crate::status::Form;
use crate::world;

/// Say exactly whose traffic files would open or close. Exits 0 if nobody's, 1 if somebody's.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  poplin diff -f new.yaml
  poplin diff -f new/ --against old/ --topology endpoints.yaml
  git show HEAD:db.yaml | poplin diff -f db.yaml --against - --topology endpoints.yaml -o json")]
pub(crate) struct Diff {
    /// What would be: file, directory of .yaml, .yml and .json files, or - for stdin.
    #[arg(short = 'f', long = "file", required = true, value_name = "FILE|DIR|-")]
    files: Vec<PathBuf>,
    /// What is: files that declare everything, with no agent asked. Absent = the fabric as it stands, to which -f is applied.
    #[arg(long, value_name = "FILE|DIR|-")]
    against: Vec<PathBuf>,
    /// Endpoints: as `poplin get endpoints -o yaml` prints them, or kind Topology.
    #[arg(long, value_name = "FILE")]
    topology: Option<PathBuf>,
    /// Tell too whose traffic stays as it is by another rule's word.
    #[arg(long)]
    deciders: bool,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
}

impl Diff {
    pub(crate) async fn run(self, door: &Door) -> Result<ExitCode, Problem> {
        let [(before, stood), (after, stand)] = self.worlds(door).await?;
        let is_empty = |world: &World| world.endpoints.is_empty() && world.host_endpoints.is_empty();
        if is_empty(&before) && is_empty(&after) {
            return Err(Problem::usage("there is no endpoint and no host endpoint, so nobody's traffic can differ")
                .advice("give --topology FILE, made by `poplin get endpoints -o yaml` or by hand"));
        }
        let concern = if self.deciders { Concern::Deciders } else { Concern::Decisions };
        let changes = diff(&before, &after, concern);
        let at_hosts = diff_hosts(
            Guarded { world: &before, host_endpoints: &stood },
            Guarded { world: &after, host_endpoints: &stand },
        );
        print(&match self.output {
            Form::Text => rendered(&changes, &at_hosts),
            Form::Json => {
                printed(&changes.iter().map(document).chain(at_hosts.iter().map(at_host)).collect::<Vec<_>>())?
            }
        })?;
        Ok(if changes.is_empty() && at_hosts.is_empty() { ExitCode::SUCCESS } else { Exit::Failed.into() })
    }

    /// Before and after, and where host endpoints stand.
    async fn worlds(&self, door: &Door) -> Result<[(World, Vec<HostEndpoint>); 2], Problem> {
        let wanted = world::declared(&self.files)?;
        let (before, beneath) = match &self.against[..] {
            [] => {
                let standing = world::live(door, self.topology.as_ref()).await?;
                (standing.clone(), standing)
            }
            against => {
                let endpoints = world::with_topology(&[], self.topology.as_ref())?;
                (world::overlaid(endpoints.clone(), world::declared(against)?), endpoints)
            }
        };
        Ok([guarded(&before)?, guarded(&world::overlaid(beneath, wanted))?])
    }
}

fn guarded(documents: &[Document]) -> Result<(World, Vec<HostEndpoint>), Problem> {
    Ok((world::world(documents)?, poplin_manifest::host_endpoints(documents)))
}

fn rendered(changes: &[Change], at_hosts: &[HostChange]) -> String {
    let words: Vec<&str> = changes.iter().map(word).chain(at_hosts.iter().map(host_word)).collect();
    let count = |wanted: &[&str]| words.iter().filter(|word| wanted.contains(word)).count();
    let told = changes.iter().map(ToString::to_string).chain(at_hosts.iter().map(ToString::to_string));
    let told: String = told.collect();
    match words.is_empty() {
        true => "equivalent: every packet is decided alike\n".to_owned(),
        false => {
            let or_nothing = |count: usize, what| if count == 0 { String::new() } else { format!(", {count} {what}") };
            let kept = or_nothing(count(&["kept"]), "decided by another");
            let tracked = or_nothing(count(&["tracked", "untracked"]), "tracked otherwise");
            let asked = or_nothing(count(&["spared", "asked"]), "asked by other lanes");
            format!("{told}{} opened, {} closed{kept}{tracked}{asked}\n", count(&["opened"]), count(&["closed"]))
        }
    }
}

fn host_word(change: &HostChange) -> &'static str {
    match change.turn {
        HostTurn::Opened => "opened",
        HostTurn::Closed => "closed",
        HostTurn::Untracked => "untracked",
        HostTurn::Tracked => "tracked",
        HostTurn::Spared => "spared",
        HostTurn::Asked => "asked",
    }
}

fn word(change: &Change) -> &'static str {
    match change.turn {
        Turn::Opened => "opened",
        Turn::Closed => "closed",
        Turn::Kept { .. } => "kept",
    }
}

fn at_host(change: &HostChange) -> Value {
    let HostChange { host_endpoints, lane, family, sources, destinations, traffic, example, .. } = change;
    json!({
        "turn": host_word(change),
        "hostEndpoints": host_endpoints,
        "lane": lane.to_string(),
        "families": [family.to_string()],
        "sources": crowd(sources),
        "destinations": crowd(destinations),
        "traffic": traffic.to_string(),
        "example": {
            "packet": example.packet.to_string(),
            "before": change.told(example.before.as_ref()),
            "after": change.told(example.after.as_ref()),
        },
    })
}

fn document(change: &Change) -> Value {
    json!({
        "turn": word(change),
        "families": change.families.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "sources": crowd(&change.sources),
        "destinations": crowd(&change.destinations),
        "traffic": change.traffic.to_string(),
        "example": {
            "packet": change.example.packet.to_string(),
            "before": told(&change.example.before),
            "after": told(&change.example.after),
        },
    })
}

fn crowd(crowd: &Crowd) -> Value {
    let nets: Vec<String> = crowd.outside.iter().map(ToString::to_string).collect();
    json!({"title": crowd.to_string(), "endpoints": crowd.endpoints, "outside": nets})
}
