//! `poplin explain`: whether one may talk to another, and which rule says so.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use poplin_proto::v1::{
    CompiledChain, DirectionTrace, Drop, ExplainRequest, ExplainResponse, SkippedRule, WatchDropsRequest,
};
use tokio::time::timeout;

use crate::agent;
use crate::door::Door;
use crate::drops::written;
use crate::offline::Offline;
use crate::output::{json, print};
use crate::problem::{Exit, Problem};
use crate::status::Form;

/// Say whether SRC may open PROTO/PORT to DST, and why. Exits 0 if allowed, 1 if denied, 2 if the question makes no sense.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  poplin explain web db tcp/5432
  poplin explain 10.77.0.5 192.0.2.53 udp/53 -o json
  poplin explain web db icmp/8
  poplin explain web db 47
  poplin explain web db tcp/5432 --live
  poplin explain web db tcp/5432 --compiled
  poplin explain web db tcp/5432 --offline -f policies/ --topology endpoints.yaml
  poplin explain --offline -f policies/ --topology endpoints.yaml --batch flows.jsonl")]
pub(crate) struct Explain {
    /// Endpoint, host, host endpoint or address that opens the conversation.
    #[arg(value_name = "SRC", required_unless_present = "batch", default_value = "", hide_default_value = true)]
    source: String,
    /// Endpoint, host, host endpoint or address it is opened to.
    #[arg(value_name = "DST", required_unless_present = "batch", default_value = "", hide_default_value = true)]
    destination: String,
    /// Protocol, and its port or ICMP type: tcp/5432, udp/53, sctp/3868, icmp/8; one without ports by its number: 47.
    #[arg(value_name = "PROTO/PORT", required_unless_present = "batch", default_value = "", hide_default_value = true)]
    traffic: String,
    /// Source port of tcp and udp; absent = 49152.
    #[arg(long, default_value_t = 0, hide_default_value = true, value_name = "PORT")]
    source_port: u16,
    /// Tell of a packet that this host really dropped, one just now or the next to come.
    #[arg(long, conflicts_with = "offline")]
    live: bool,
    /// Tell too which chains the packet goes through on this host, and where rules are asked one by one, why.
    #[arg(long, conflicts_with_all = ["live", "offline"])]
    compiled: bool,
    /// How many seconds --live waits.
    #[arg(long, default_value_t = 10, value_name = "SECONDS", requires = "live")]
    wait: u64,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
    #[command(flatten)]
    offline: Offline,
}

/// How old a drop may be to answer `--live`: whoever asks has just seen it fail.
const RECENT: Duration = Duration::from_secs(60);

impl Explain {
    pub(crate) async fn run(self, door: &Door) -> Result<ExitCode, Problem> {
        let request = ExplainRequest {
            source: self.source.clone(),
            destination: self.destination.clone(),
            traffic: self.traffic.clone(),
            source_port: self.source_port.into(),
            compiled: self.compiled,
        };
        if self.offline.is_batch() {
            return self.offline.answer_batch();
        }
        let answer = match self.offline.is_asked() {
            true => self.offline.answer(&request)?,
            false => agent::policies(door).await?.explain(request).await.map_err(refused)?.into_inner(),
        };
        if self.live {
            return self.of_a_real_packet(door, &answer).await;
        }
        print(&match self.output {
            Form::Text => self.rendered(&answer),
            Form::Json => json(&answer)?,
        })?;
        Ok(match (answer.allowed, answer.unsettled) {
            (true, false) => ExitCode::SUCCESS,
            (true, true) => Exit::Unsettled.into(),
            (false, _) => Exit::Failed.into(),
        })
    }

    /// The newest of the recent drops, or the first to come.
    async fn of_a_real_packet(&self, door: &Door, told: &ExplainResponse) -> Result<ExitCode, Problem> {
        let mut logged = None;
        let drop = match self.dropped(door, false, &mut logged).await? {
            Some(drop) => drop,
            None => {
                let next = self.dropped(door, true, &mut logged);
                match timeout(Duration::from_secs(self.wait), next).await {
                    Ok(outcome) => {
                        outcome?.ok_or_else(|| Problem::new(Exit::Unreachable, "the agent ended the feed"))?
                    }
                    Err(_) => return Err(self.nothing_dropped(told, logged.as_ref())),
                }
            }
        };
        print(&written(&drop, self.output)?)?;
        Ok(Exit::Failed.into())
    }

    /// The last recent drop of this traffic, or the first of those that follow. What was only logged went on, and is no answer; the last such
    /// packet is left in `logged`.
    async fn dropped(&self, door: &Door, follow: bool, logged: &mut Option<Drop>) -> Result<Option<Drop>, Problem> {
        let request = WatchDropsRequest {
            source: self.source.clone(),
            destination: self.destination.clone(),
            traffic: self.traffic.clone(),
            since: moment_ago(RECENT),
            follow,
            ..WatchDropsRequest::default()
        };
        let mut drops = agent::policies(door).await?.watch_drops(request).await?.into_inner();
        let mut last = None;
        while let Some(drop) = drops.message().await? {
            if drop.logged {
                *logged = Some(drop);
                continue;
            }
            last = Some(drop);
            if follow {
                break;
            }
        }
        Ok(last)
    }

    fn nothing_dropped(&self, told: &ExplainResponse, logged: Option<&Drop>) -> Problem {
        let Self { source, destination, traffic, wait, .. } = self;
        let mut message =
            format!("this host dropped no packet from {source} to {destination} {traffic} within {wait} s");
        if let Some(logged) = logged {
            let _ = write!(
                message,
                ", but saw one that went on ({} of {}: {})",
                logged.direction, logged.endpoint, logged.reason
            );
        }
        let advice = match told.allowed {
            true => "policy allows it; if it does not arrive, look at routes and at the far end",
            false => "policy denies it; send a packet meanwhile, or ask at the host of the other end",
        };
        Problem::new(Exit::TimedOut, message).advice(advice)
    }

    fn rendered(&self, answer: &ExplainResponse) -> String {
        let source = with_address(&self.source, &answer.source_address);
        let destination = with_address(&self.destination, &answer.destination_address);
        let verdict = if answer.unsettled { "allowed as far as is known here" } else { word(answer.allowed) };
        let mut text = format!("{verdict}: {source} -> {destination} {}\n", self.traffic);
        for trace in &answer.directions {
            text.push_str(&direction(trace));
        }
        if answer.directions.is_empty() {
            text.push_str(match answer.unsettled {
                true => "  nobody is asked here\n",
                false => "  nobody is asked: neither end is an endpoint, nor a host with a host endpoint\n",
            });
        }
        for note in &answer.notes {
            let _ = writeln!(text, "  note: {note}");
        }
        if self.compiled {
            text.push_str(&chains(&answer.chains));
        }
        text
    }
}

/// A question that makes no sense is misuse; 1 would mean that it was answered by no.
fn refused(status: tonic::Status) -> Problem {
    let is_misuse = status.code() == tonic::Code::InvalidArgument;
    let problem = Problem::from(status);
    if is_misuse { problem.exiting(Exit::Usage) } else { problem }
}

/// The way through this host's table, chain by chain.
fn chains(chains: &[CompiledChain]) -> String {
    if chains.is_empty() {
        return "the packet meets no rules on this host\n".to_owned();
    }
    let mut text = "on this host:\n".to_owned();
    for chain in chains {
        let form = if chain.form.is_empty() { String::new() } else { format!(" ({})", chain.form) };
        let _ = writeln!(text, "  {}{form}", chain.name);
        for rule in &chain.rules {
            let _ = writeln!(text, "      {rule}");
        }
    }
    text
}

/// Nanoseconds since 1970.
fn moment_ago(span: Duration) -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.saturating_sub(span).as_nanos()).unwrap_or(i64::MAX)
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
    let by = if trace.interface.is_empty() { String::new() } else { format!(" by {}", trace.interface) };
    let mut text = format!("  {} of {}{by}: {reason}\n", trace.direction, trace.endpoint);
    for skipped in &trace.skipped {
        let heard = if skipped.matched { "asked" } else { "skipped" };
        let _ = writeln!(text, "    {heard} {}: {}", place(skipped), skipped.reason);
    }
    text
}

fn place(skipped: &SkippedRule) -> String {
    let parts = [("tier", &skipped.tier), ("policy", &skipped.policy), ("rule", &skipped.rule)];
    let named = parts.iter().filter(|(_, name)| !name.is_empty()).map(|(part, name)| format!("{part} {name}"));
    named.collect::<Vec<_>>().join(" ")
}
