//! `poplin counters`: how often each rule settled, logged or passed on a flow on this host.

use std::process::ExitCode;

use poplin_proto::v1::{ListCountersRequest, ListCountersResponse, RuleCounter};

use crate::agent;
use crate::door::Door;
use crate::output::{json, print};
use crate::problem::Problem;
use crate::status::Form;
use crate::table::aligned;

/// List how often each rule settled, logged or passed on the first packet of a flow on this host. A staged rule tells what it would have
/// done; a flow that is passed on counts there, and again where it is settled.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  poplin counters
  poplin counters shop/db
  poplin counters -o json")]
pub(crate) struct Counters {
    /// Only this policy: name, or namespace/name.
    #[arg(default_value = "", hide_default_value = true)]
    policy: String,
    /// Only staged policies.
    #[arg(long)]
    staged: bool,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
}

impl Counters {
    pub(crate) async fn run(self, door: &Door) -> Result<ExitCode, Problem> {
        let request = ListCountersRequest { policy: self.policy };
        let mut answer = agent::policies(door).await?.list_counters(request).await?.into_inner();
        answer.counters.retain(|counter| counter.staged || !self.staged);
        print(&match self.output {
            Form::Text => table(&answer),
            Form::Json => json(&answer)?,
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

fn table(answer: &ListCountersResponse) -> String {
    let heading = ["TIER", "POLICY", "DIRECTION", "RULE", "ACTION", "FLOWS", "BYTES"].map(str::to_owned);
    let rows = answer.counters.iter().map(row);
    aligned(&std::iter::once(heading.to_vec()).chain(rows).collect::<Vec<_>>())
}

fn row(counter: &RuleCounter) -> Vec<String> {
    let or_end = |text: &str| if text.is_empty() { "(end of tier)".to_owned() } else { text.to_owned() };
    let action = match counter.staged {
        true => format!("would {}", counter.action),
        false => counter.action.clone(),
    };
    vec![
        counter.tier.clone(),
        or_end(&counter.policy),
        counter.direction.clone(),
        if counter.rule.is_empty() { "-".to_owned() } else { counter.rule.clone() },
        action,
        counter.packets.to_string(),
        counter.bytes.to_string(),
    ]
}
