//! One BGP session, as it is shown.
//!
//! In: what the head knows of it, and the time. Out: a message of the contract, moments turned into seconds from now.

use std::time::{Duration, Instant};

use poplin_bgp::wire::Notification;
use poplin_bgp::{NeighbourDetail, Record, Tally, Times};
use poplin_node::status::Session;
use poplin_proto::v1::{GetNeighbourResponse, LastNotification, MessageCounts};

use super::status;

pub(super) fn written(now: Instant, session: Session, detail: NeighbourDetail) -> GetNeighbourResponse {
    let NeighbourDetail { record, ours, theirs, times, router_id, local, families, .. } = detail;
    let Times { hold_proposed, hold, hold_until, keepalive_at, send_until, dial_at, stale_until } = times;
    let Record { sent, received, flawed, refused: _, established, last_sent, last_received } = record;
    let left = |moment: Option<Instant>| moment.map(|moment| moment.saturating_duration_since(now).as_secs());
    GetNeighbourResponse {
        session: Some(status::session(session)),
        router_id: router_id.map(|id| id.to_string()).unwrap_or_default(),
        local_address: local.map(|local| local.to_string()).unwrap_or_default(),
        families: families.iter().map(|(family, next_hop)| format!("{family} {next_hop}")).collect(),
        our_capabilities: ours.iter().map(ToString::to_string).collect(),
        their_capabilities: theirs.iter().map(ToString::to_string).collect(),
        hold_seconds_proposed: seconds(hold_proposed),
        hold_seconds: hold.map(seconds).unwrap_or_default(),
        hold_seconds_left: left(hold_until),
        keepalive_seconds_left: left(keepalive_at),
        dial_seconds_left: left(dial_at),
        stale_seconds_left: left(stale_until),
        sent: Some(counts(sent)),
        received: Some(counts(received)),
        updates_flawed: flawed,
        times_established: established,
        last_sent: last_sent.map(|(at, error)| last(now, at, &error)),
        waiting_octets: detail.waiting_octets as u64,
        late_prefixes: detail.late_prefixes as u64,
        send_seconds_left: left(send_until),
        last_received: last_received.map(|(at, error)| last(now, at, &error)),
    }
}

fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}

fn counts(tally: Tally) -> MessageCounts {
    let Tally { opens, updates, notifications, keepalives, refreshes } = tally;
    MessageCounts { opens, updates, notifications, keepalives, refreshes }
}

fn last(now: Instant, at: Instant, error: &Notification) -> LastNotification {
    LastNotification {
        code: error.fault.0.into(),
        subcode: error.fault.1.into(),
        text: error.to_string(),
        seconds_ago: now.saturating_duration_since(at).as_secs(),
    }
}
