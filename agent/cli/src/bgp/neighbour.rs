//! `poplin bgp neighbor`: all there is to know of one session.

use std::process::ExitCode;

use poplin_proto::v1::{GetNeighbourRequest, GetNeighbourResponse, LastNotification, MessageCounts};

use crate::agent;
use crate::door::Door;
use crate::output::{json, print};
use crate::problem::Problem;
use crate::status::{Form, sessions_table, span};
use crate::table::aligned;

/// Show all of one session: what both sides can do, timers, messages each way, the last notifications.
#[derive(Debug, clap::Args)]
#[command(alias = "neighbour")]
pub(crate) struct Neighbour {
    /// Address, or name of the peer or host.
    #[arg(value_name = "PEER")]
    neighbour: String,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
}

impl Neighbour {
    pub(crate) async fn run(self, door: &Door) -> Result<ExitCode, Problem> {
        let request = GetNeighbourRequest { neighbour: self.neighbour };
        let answer = agent::bgp(door).await?.get_neighbour(request).await?.into_inner();
        print(&match self.output {
            Form::Text => rendered(&answer),
            Form::Json => json(&answer)?,
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

fn rendered(answer: &GetNeighbourResponse) -> String {
    let mut text = sessions_table(&answer.session.iter().cloned().collect::<Vec<_>>());
    text.push('\n');
    text.push_str(&aligned(&facts(answer)));
    text.push('\n');
    text.push_str(&aligned(&messages(answer)));
    text
}

/// A line each, without those there is nothing to say of.
fn facts(answer: &GetNeighbourResponse) -> Vec<Vec<String>> {
    let (ours, theirs) = (&answer.our_capabilities, &answer.their_capabilities);
    let both: Vec<_> = ours.iter().filter(|one| theirs.contains(one)).cloned().collect();
    let only = |these: &[String]| these.iter().filter(|one| !both.contains(one)).cloned().collect::<Vec<_>>();
    let lines = [
        ("router id", answer.router_id.clone()),
        ("our address", answer.local_address.clone()),
        ("next hops we tell", answer.families.join("; ")),
        ("both can", both.join("; ")),
        ("only we can", only(ours).join("; ")),
        ("only it can", only(theirs).join("; ")),
        ("hold time", hold(answer)),
        ("next keepalive", due(answer.keepalive_seconds_left)),
        ("waits to be taken", waiting(answer)),
        ("next dial", due(answer.dial_seconds_left)),
        ("stale routes go", due(answer.stale_seconds_left)),
        ("established", times(answer.times_established)),
        ("flawed updates", if answer.updates_flawed == 0 { String::new() } else { answer.updates_flawed.to_string() }),
        ("last notification sent", last(answer.last_sent.as_ref())),
        ("last notification received", last(answer.last_received.as_ref())),
    ];
    let told = lines.into_iter().filter(|(_, text)| !text.is_empty());
    told.map(|(what, text)| vec![what.to_owned(), text]).collect()
}

fn hold(answer: &GetNeighbourResponse) -> String {
    let left = answer.hold_seconds_left.map(|left| format!(", {left}s left")).unwrap_or_default();
    match answer.hold_seconds {
        0 => format!("{}s proposed{left}", answer.hold_seconds_proposed),
        agreed => format!("{agreed}s of {}s proposed{left}", answer.hold_seconds_proposed),
    }
}

fn due(left: Option<u64>) -> String {
    left.map(|left| format!("in {left}s")).unwrap_or_default()
}

/// `1050000 octets, 12 prefixes to be told after them, 470s left`.
fn waiting(answer: &GetNeighbourResponse) -> String {
    let octets = (answer.waiting_octets > 0).then(|| format!("{} octets", answer.waiting_octets));
    let late = (answer.late_prefixes > 0).then(|| format!("{} prefixes to be told after them", answer.late_prefixes));
    let left = answer.send_seconds_left.map(|left| format!("{left}s left"));
    octets.into_iter().chain(late).chain(left).collect::<Vec<_>>().join(", ")
}

fn times(count: u64) -> String {
    match count {
        0 => "never".to_owned(),
        1 => "once".to_owned(),
        count => format!("{count} times"),
    }
}

fn last(last: Option<&LastNotification>) -> String {
    last.map(|last| format!("{}, {} ago", last.text, span(last.seconds_ago))).unwrap_or_else(|| "none".to_owned())
}

fn messages(answer: &GetNeighbourResponse) -> Vec<Vec<String>> {
    let heading = ["MESSAGES", "OPEN", "UPDATE", "NOTIFICATION", "KEEPALIVE", "ROUTE-REFRESH"].map(str::to_owned);
    let row = |side: &str, counts: Option<&MessageCounts>| {
        let MessageCounts { opens, updates, notifications, keepalives, refreshes } =
            counts.copied().unwrap_or_default();
        let numbers = [opens, updates, notifications, keepalives, refreshes].map(|number| number.to_string());
        std::iter::once(side.to_owned()).chain(numbers).collect()
    };
    vec![heading.to_vec(), row("sent", answer.sent.as_ref()), row("received", answer.received.as_ref())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_both_can_is_told_once() {
        let text = str::to_owned;
        let answer = GetNeighbourResponse {
            our_capabilities: vec![text("IPv4 unicast"), text("route refresh"), text("four-octet AS 1")],
            their_capabilities: vec![text("IPv4 unicast"), text("four-octet AS 2")],
            hold_seconds_proposed: 90,
            hold_seconds: 30,
            hold_seconds_left: Some(29),
            times_established: 1,
            ..GetNeighbourResponse::default()
        };

        let expected = "\
both can                    IPv4 unicast
only we can                 route refresh; four-octet AS 1
only it can                 four-octet AS 2
hold time                   30s of 90s proposed, 29s left
established                 once
last notification sent      none
last notification received  none
";
        assert_eq!(aligned(&facts(&answer)), expected);
    }
}
