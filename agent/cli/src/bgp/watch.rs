//! `poplin bgp watch`: best paths as they change.

use std::process::ExitCode;

use poplin_proto::v1::{RouteChange, WatchRoutesRequest};

use crate::agent;
use crate::door::Door;
use crate::moment::rfc3339;
use crate::output::{print, unprintable};
use crate::problem::{Exit, Problem};
use crate::status::Form;

/// Tell each change of a best path as it happens: who had the best, who has it now, over which next hops, and why.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  poplin bgp watch
  poplin bgp watch -o json | jq .prefix")]
pub(crate) struct Watch {
    /// How to print; JSON is one object a line.
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
}

impl Watch {
    pub(crate) async fn run(self, door: &Door) -> Result<ExitCode, Problem> {
        let mut changes = agent::bgp(door).await?.watch_routes(WatchRoutesRequest {}).await?.into_inner();
        while let Some(change) = changes.message().await? {
            if change.lost > 0 {
                eprintln!("{} changes are not listed: they came faster than they were read", change.lost);
            }
            print(&match self.output {
                Form::Text => line(&change),
                Form::Json => serde_json::to_string(&change).map(|text| text + "\n").map_err(unprintable)?,
            })?;
        }
        Err(Problem::new(Exit::Unreachable, "the agent ended the feed").advice("run the command again"))
    }
}

/// When, whereto, from whom to whom, over which next hops, and why.
fn line(change: &RouteChange) -> String {
    let (before, after) = (whose(&change.before, &change.before_name), whose(&change.after, &change.after_name));
    let mut text = format!("{}  {}  {before} -> {after}", rfc3339(change.time), change.prefix);
    if !change.next_hops.is_empty() {
        text += &format!("  via {}", change.next_hops.join(" "));
    }
    if !change.as_path.is_empty() {
        text += &format!("  path {}", change.as_path);
    }
    if !change.reason.is_empty() {
        text += &format!("  {}", change.reason);
    }
    text + "\n"
}

fn whose<'a>(address: &'a str, name: &'a str) -> &'a str {
    match (address, name) {
        ("", _) => "nobody",
        (address, "") => address,
        (_, name) => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_a_line() {
        let change = RouteChange {
            prefix: "10.77.0.64/26".to_owned(),
            before: "192.0.2.2".to_owned(),
            before_name: "h2".to_owned(),
            after: "192.0.2.3".to_owned(),
            next_hops: vec!["192.0.2.3".to_owned()],
            reason: "it is the only path".to_owned(),
            ..RouteChange::default()
        };
        let gone =
            RouteChange { before: "self".to_owned(), prefix: "10.77.0.0/26".to_owned(), ..RouteChange::default() };

        let expected = "1970-01-01T00:00:00.000Z  10.77.0.64/26  h2 -> 192.0.2.3  via 192.0.2.3  it is the only path\n";
        assert_eq!(line(&change), expected);
        assert_eq!(line(&gone), "1970-01-01T00:00:00.000Z  10.77.0.0/26  self -> nobody\n");
    }
}
