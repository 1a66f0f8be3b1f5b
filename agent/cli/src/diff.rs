//! `poplin diff`: whose traffic a change of policies opens or closes, exactly.

use std::path::PathBuf;
use std::process::ExitCode;

use poplin_policy::crowd::Crowd;
use poplin_policy::diff::{Change, Concern, Turn, diff, told};
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
        let (before, after) = self.worlds(door).await?;
        if before.endpoints.is_empty() && after.endpoints.is_empty() {
            return Err(Problem::usage("there is no endpoint, so nobody's traffic can differ")
                .advice("give --topology FILE, made by `poplin get endpoints -o yaml` or by hand"));
        }
        let concern = if self.deciders { Concern::Deciders } else { Concern::Decisions };
        let changes = diff(&before, &after, concern);
        print(&match self.output {
            Form::Text => rendered(&changes),
            Form::Json => printed(&changes.iter().map(document).collect::<Vec<_>>())?,
        })?;
        Ok(if changes.is_empty() { ExitCode::SUCCESS } else { Exit::Failed.into() })
    }

    /// Before and after.
    async fn worlds(&self, door: &Door) -> Result<(World, World), Problem> {
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
        Ok((world::world(&before)?, world::world(&world::overlaid(beneath, wanted))?))
    }
}

fn rendered(changes: &[Change]) -> String {
    let count = |turn: fn(&Turn) -> bool| changes.iter().filter(|change| turn(&change.turn)).count();
    let told: String = changes.iter().map(ToString::to_string).collect();
    match changes.is_empty() {
        true => "equivalent: every packet is decided alike\n".to_owned(),
        false => {
            let (opened, closed) = (count(|turn| *turn == Turn::Opened), count(|turn| *turn == Turn::Closed));
            let kept = changes.len() - opened - closed;
            let kept = if kept == 0 { String::new() } else { format!(", {kept} decided by another") };
            format!("{told}{opened} opened, {closed} closed{kept}\n")
        }
    }
}

fn document(change: &Change) -> Value {
    let turn = match &change.turn {
        Turn::Opened => "opened",
        Turn::Closed => "closed",
        Turn::Kept { .. } => "kept",
    };
    json!({
        "turn": turn,
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
