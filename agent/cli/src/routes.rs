//! `poplin routes`: what BGP neighbours offer this host, and what is used of it.

use std::path::Path;
use std::process::ExitCode;

use poplin_proto::v1::{ListRoutesRequest, ListRoutesResponse, RouteStatus};

use crate::agent;
use crate::output::{json, print};
use crate::problem::Problem;
use crate::status::Form;
use crate::table::aligned;

/// List the routes BGP neighbours offer this host: `*` marks the best, `+` those as good, `x` those import rules reject.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  poplin routes
  poplin routes 10.77.0.64/26
  poplin routes --from tor -o json")]
pub(crate) struct Routes {
    /// Only routes to exactly this prefix.
    #[arg(default_value = "", hide_default_value = true)]
    prefix: String,
    /// Only routes of this neighbour: address, or name of the peer or host.
    #[arg(long, default_value = "", hide_default_value = true, value_name = "NEIGHBOUR")]
    from: String,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
}

impl Routes {
    pub(crate) async fn run(self, socket: &Path) -> Result<ExitCode, Problem> {
        let request = ListRoutesRequest { prefix: self.prefix, neighbour: self.from };
        let answer = agent::statuses(socket).await?.list_routes(request).await?.into_inner();
        print(&match self.output {
            Form::Text => table(&answer),
            Form::Json => json(&answer)?,
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

fn table(answer: &ListRoutesResponse) -> String {
    let heading =
        ["", "PREFIX", "FROM", "NEXT HOP", "PREF", "MED", "AS PATH", "COMMUNITIES", "CLUSTERS"].map(str::to_owned);
    let rows = answer.routes.iter().map(row);
    aligned(&std::iter::once(heading.to_vec()).chain(rows).collect::<Vec<_>>())
}

fn row(route: &RouteStatus) -> Vec<String> {
    let or_none = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    let number = |number: Option<u32>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    vec![
        mark(route).to_owned(),
        route.prefix.clone(),
        if route.name.is_empty() { route.neighbour.clone() } else { route.name.clone() },
        route.next_hop.clone(),
        number(route.local_pref),
        number(route.med),
        or_none(route.as_path.clone()),
        or_none(route.communities.join(" ")),
        or_none(route.clusters.join(" ")),
    ]
}

fn mark(route: &RouteStatus) -> &'static str {
    match (route.state.as_str(), route.stale) {
        ("best", false) => "*",
        ("best", true) => "*s",
        ("used", false) => "+",
        ("used", true) => "+s",
        ("rejected", _) => "x",
        (_, true) => "s",
        (_, false) => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_a_line_with_its_tags() {
        let route = RouteStatus {
            prefix: "10.77.0.64/26".to_owned(),
            neighbour: "192.0.2.2".to_owned(),
            next_hop: "192.0.2.2".to_owned(),
            local_pref: Some(100),
            communities: vec!["65000:1".to_owned(), "no-export".to_owned()],
            state: "best".to_owned(),
            ..RouteStatus::default()
        };

        let text = table(&ListRoutesResponse { routes: vec![route] });

        let line = text.lines().nth(1).unwrap().split_whitespace().collect::<Vec<_>>();
        assert_eq!(
            line,
            ["*", "10.77.0.64/26", "192.0.2.2", "192.0.2.2", "100", "-", "-", "65000:1", "no-export", "-"]
        );
    }
}
