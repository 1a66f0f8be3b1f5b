//! `poplin explain`: whether one may talk to another, and which rule says so.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use poplin_proto::v1::{DirectionTrace, ExplainRequest, ExplainResponse, SkippedRule};

use crate::agent;
use crate::offline::Offline;
use crate::output::{json, print};
use crate::problem::{Exit, Problem};
use crate::status::Form;

/// Say whether SRC may open PROTO/PORT to DST, and why. Exits 0 if allowed, 1 if denied.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  poplin explain web db tcp/5432
  poplin explain 10.77.0.5 192.0.2.53 udp/53 -o json
  poplin explain web db icmp/8
  poplin explain web db tcp/5432 --offline -f policies/ --topology endpoints.yaml
  poplin explain --offline -f policies/ --topology endpoints.yaml --batch flows.jsonl")]
pub(crate) struct Explain {
    /// Endpoint or address that opens the conversation.
    #[arg(value_name = "SRC", required_unless_present = "batch", default_value = "", hide_default_value = true)]
    source: String,
    /// Endpoint or address it is opened to.
    #[arg(value_name = "DST", required_unless_present = "batch", default_value = "", hide_default_value = true)]
    destination: String,
    /// Protocol, and its port or ICMP type: tcp/5432, udp/53, icmp/8, sctp, 47.
    #[arg(value_name = "PROTO/PORT", required_unless_present = "batch", default_value = "", hide_default_value = true)]
    traffic: String,
    /// Source port of tcp and udp; absent = 49152.
    #[arg(long, default_value_t = 0, hide_default_value = true, value_name = "PORT")]
    source_port: u16,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
    #[command(flatten)]
    offline: Offline,
}

impl Explain {
    pub(crate) async fn run(self, socket: &Path) -> Result<ExitCode, Problem> {
        let request = ExplainRequest {
            source: self.source.clone(),
            destination: self.destination.clone(),
            traffic: self.traffic.clone(),
            source_port: self.source_port.into(),
        };
        if self.offline.is_batch() {
            return self.offline.answer_batch();
        }
        let answer = match self.offline.is_asked() {
            true => self.offline.answer(&request)?,
            false => agent::policies(socket).await?.explain(request).await?.into_inner(),
        };
        print(&match self.output {
            Form::Text => self.rendered(&answer),
            Form::Json => json(&answer)?,
        })?;
        Ok(if answer.allowed { ExitCode::SUCCESS } else { Exit::Failed.into() })
    }

    fn rendered(&self, answer: &ExplainResponse) -> String {
        let source = with_address(&self.source, &answer.source_address);
        let destination = with_address(&self.destination, &answer.destination_address);
        let mut text = format!("{}: {source} -> {destination} {}\n", word(answer.allowed), self.traffic);
        for trace in &answer.directions {
            text.push_str(&direction(trace));
        }
        text
    }
}

fn with_address(name: &str, address: &str) -> String {
    if address.is_empty() || name == address { name.to_owned() } else { format!("{name} ({address})") }
}

fn word(allowed: bool) -> &'static str {
    if allowed { "allowed" } else { "denied" }
}

/// The deciding sentence first, then the rules that were looked at before it, in order.
fn direction(trace: &DirectionTrace) -> String {
    let reason = if trace.reason.is_empty() { word(trace.allowed) } else { &trace.reason };
    let mut text = format!("  {} of {}: {reason}\n", trace.direction, trace.endpoint);
    for skipped in &trace.skipped {
        let _ = writeln!(text, "    skipped {}: {}", place(skipped), skipped.reason);
    }
    text
}

fn place(skipped: &SkippedRule) -> String {
    let parts = [("tier", &skipped.tier), ("policy", &skipped.policy), ("rule", &skipped.rule)];
    let named = parts.iter().filter(|(_, name)| !name.is_empty()).map(|(part, name)| format!("{part} {name}"));
    named.collect::<Vec<_>>().join(" ")
}
