//! `poplin drops`: the packets this host dropped, and by whose word.

use std::collections::BTreeSet;
use std::process::ExitCode;

use poplin_proto::v1::{Drop, WatchDropsRequest};

use crate::agent;
use crate::door::Door;
use crate::moment::rfc3339;
use crate::output::{print, unprintable};
use crate::problem::{Exit, Problem};
use crate::status::Form;

/// So many rules at their limit are told of, each once.
const MOST_LIMITED: usize = 256;

/// List the packets this host dropped last, and by whose word: of every rule that drops, a hundred a second at most.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  poplin drops
  poplin drops --follow --endpoint web
  poplin drops -o json | jq .reason")]
pub(crate) struct Drops {
    /// Go on with those to come.
    #[arg(short, long)]
    follow: bool,
    /// Only packets this endpoint is an end of.
    #[arg(long, value_name = "NAME")]
    endpoint: Option<String>,
    /// How to print; JSON is one object a line.
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
}

impl Drops {
    pub(crate) async fn run(self, door: &Door) -> Result<ExitCode, Problem> {
        let request = WatchDropsRequest {
            endpoint: self.endpoint.clone().unwrap_or_default(),
            follow: self.follow,
            ..WatchDropsRequest::default()
        };
        let mut drops = agent::policies(door).await?.watch_drops(request).await?.into_inner();
        let mut are_none = true;
        let mut limited = BTreeSet::new();
        while let Some(drop) = drops.message().await? {
            are_none = false;
            if drop.lost > 0 {
                eprintln!("{} drops are not listed: they came faster than they were read", drop.lost);
            }
            if drop.limited && limited.len() < MOST_LIMITED && limited.insert(whose(&drop)) {
                eprintln!("{}", at_its_limit(&drop));
            }
            print(&written(&drop, self.output)?)?;
        }
        if self.follow {
            return Err(Problem::new(Exit::Unreachable, "the agent ended the feed").advice("run the command again"));
        }
        if are_none && self.output == Form::Text {
            eprintln!("no dropped packets are remembered");
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn at_its_limit(drop: &Drop) -> String {
    let counted = if drop.tier.is_empty() { "" } else { ": `poplin counters` counts all" };
    format!("{}: a hundred packets a second are listed, and there may be more{counted}", whose(drop))
}

/// One drop, a line.
pub(crate) fn written(drop: &Drop, form: Form) -> Result<String, Problem> {
    match form {
        Form::Text => Ok(line(drop)),
        Form::Json => serde_json::to_string(drop).map(|text| text + "\n").map_err(unprintable),
    }
}

/// When, who to whom, what, which side dropped it, and why.
fn line(drop: &Drop) -> String {
    // A host endpoint is no end of what it forwards; it is named with its lane.
    let near = if drop.lane.is_empty() { &drop.endpoint } else { &drop.endpoint_behind };
    let (from, to) = match drop.direction.as_str() {
        "ingress" => (&drop.peer_endpoint, near),
        _ => (near, &drop.peer_endpoint),
    };
    let (from, to) = (end(from, &drop.source), end(to, &drop.destination));
    format!("{}  {from} -> {to}  {}  {}\n", rfc3339(drop.time), traffic(drop), whose(drop))
}

/// Which side dropped it, and why.
fn whose(drop: &Drop) -> String {
    let whose = if drop.endpoint.is_empty() { &drop.interface } else { &drop.endpoint };
    let at = if drop.lane.is_empty() { &drop.direction } else { &drop.lane };
    format!("{at} of {whose}: {}", drop.reason)
}

fn end(name: &str, address: &str) -> String {
    if name.is_empty() { address.to_owned() } else { format!("{name} ({address})") }
}

/// As `explain` takes it, and the port it came from, as its `--source-port` does.
fn traffic(drop: &Drop) -> String {
    match (drop.icmp_type, drop.source_port, drop.destination_port) {
        (Some(kind), _, _) => format!("{}/{kind}{}", drop.protocol, code(drop)),
        (None, _, 0) => drop.protocol.clone(),
        (None, 0, port) => format!("{}/{port}", drop.protocol),
        (None, from, port) => format!("{}/{port} from {from}", drop.protocol),
    }
}

/// `explain` takes a message without a code for one of code 0.
fn code(drop: &Drop) -> String {
    drop.icmp_code.filter(|code| *code > 0).map(|code| format!("/{code}")).unwrap_or_default()
}
