//! `poplin routes`: what BGP neighbours offer this host, and what is used of it.

use std::process::ExitCode;

use poplin_proto::v1::{ListRoutesRequest, ListRoutesResponse, RouteStatus};

use crate::agent;
use crate::door::Door;
use crate::output::{json, print};
use crate::problem::Problem;
use crate::status::Form;
use crate::table::aligned;

/// List the routes BGP neighbours offer this host: `*` marks the best, `+` those as good, `x` those import rules reject.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  poplin routes
  poplin routes 10.77.0.64/26                       # and why the best is the best, and the others are not
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
    pub(crate) async fn run(self, door: &Door) -> Result<ExitCode, Problem> {
        let is_of_one = !self.prefix.is_empty();
        let request = ListRoutesRequest { prefix: self.prefix, neighbour: self.from };
        let answer = agent::statuses(door).await?.list_routes(request).await?.into_inner();
        print(&match self.output {
            Form::Text => table(&answer, is_of_one),
            Form::Json => json(&answer)?,
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

const COLUMNS: [&str; 8] = ["PREFIX", "FROM", "NEXT HOP", "PREF", "MED", "AS PATH", "COMMUNITIES", "CLUSTERS"];

/// Routes that were heard, each with its mark; and with why it is the best or is not, if that is asked.
pub(crate) fn table(answer: &ListRoutesResponse, with_reasons: bool) -> String {
    let reason = |text: &str| with_reasons.then(|| text.to_owned());
    let heading = [""].into_iter().chain(COLUMNS).map(str::to_owned).chain(reason("WHY")).collect();
    let marked = |route: &RouteStatus| {
        let cells = std::iter::once(mark(route).to_owned()).chain(row(route));
        cells.chain(reason(&route.reason)).collect::<Vec<_>>()
    };
    aligned(&std::iter::once(heading).chain(answer.routes.iter().map(marked)).collect::<Vec<_>>())
}

/// Routes that neighbours were told.
pub(crate) fn advertised_table(answer: &ListRoutesResponse) -> String {
    let heading = COLUMNS.map(|column| if column == "FROM" { "TO" } else { column }.to_owned()).to_vec();
    aligned(&std::iter::once(heading).chain(answer.routes.iter().map(row)).collect::<Vec<_>>())
}

fn row(route: &RouteStatus) -> Vec<String> {
    let or_none = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    let number = |number: Option<u32>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    vec![
        route.prefix.clone(),
        who(route),
        route.next_hop.clone(),
        number(route.local_pref),
        number(route.med),
        or_none(route.as_path.clone()),
        or_none(tags(route)),
        or_none(route.clusters.join(" ")),
    ]
}

/// `tor`, or `tor #2` for one of several paths.
fn who(route: &RouteStatus) -> String {
    let name = if route.name.is_empty() { &route.neighbour } else { &route.name };
    match route.path_id {
        0 => name.clone(),
        id => format!("{name} #{id}"),
    }
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

/// Its communities, and `otc:65000` if that system marked it as for customers only.
fn tags(route: &RouteStatus) -> String {
    let mark = route.only_to_customer.map(|asn| format!("otc:{asn}"));
    route.communities.iter().cloned().chain(mark).collect::<Vec<_>>().join(" ")
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
            only_to_customer: Some(65000),
            state: "best".to_owned(),
            ..RouteStatus::default()
        };

        let text = table(&ListRoutesResponse { routes: vec![route] }, false);

        let line = text.lines().nth(1).unwrap().split_whitespace().collect::<Vec<_>>();
        assert_eq!(
            line,
            ["*", "10.77.0.64/26", "192.0.2.2", "192.0.2.2", "100", "-", "-", "65000:1", "no-export", "otc:65000", "-"]
        );
    }
}
