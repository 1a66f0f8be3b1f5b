//! `poplin status`: how this host is, on one screen.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use poplin_proto::v1::{
    BfdStatus, BlockStatus, FloatingStatus, GetStatusRequest, GetStatusResponse, NextHopStatus, PrefixCount,
    ServiceStatus, SessionStatus, StoreStatus, UnreadableObject,
};
use tokio::time::Instant;

use crate::agent;
use crate::door::Door;
use crate::output::{json, print};
use crate::problem::{Exit, Problem};
use crate::table::aligned;

/// How often `--wait` asks. Sessions need seconds to establish, one question costs the agent microseconds.
const PAUSE: Duration = Duration::from_millis(200);

/// Show how this host is: store, BGP sessions, blocks. Exits 7 if something is not as it should be.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  poplin status
  poplin status --wait 30 && ./deploy
  poplin status -o json | jq .sessions")]
pub(crate) struct Status {
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
    /// Wait up to so many seconds for the store and every BGP session.
    #[arg(long, value_name = "SECONDS")]
    wait: Option<u64>,
}

/// How a report, which is no object, is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Form {
    /// For people; may change.
    #[default]
    Text,
    /// For programs.
    Json,
}

impl Status {
    pub(crate) async fn run(self, door: &Door) -> Result<ExitCode, Problem> {
        let status = match self.wait {
            Some(seconds) => wait(door, Duration::from_secs(seconds)).await?,
            None => ask(door).await?,
        };
        print(&match self.output {
            Form::Text => rendered(&status),
            Form::Json => json(&status)?,
        })?;
        let complaints = complaints(&status);
        for complaint in &complaints {
            eprintln!("warning: {complaint}");
        }
        Ok(if complaints.is_empty() { ExitCode::SUCCESS } else { Exit::Unhealthy.into() })
    }
}

async fn ask(door: &Door) -> Result<GetStatusResponse, Problem> {
    Ok(agent::statuses(door).await?.get_status(GetStatusRequest {}).await?.into_inner())
}

/// An agent that is not there yet is waited for too.
async fn wait(door: &Door, patience: Duration) -> Result<GetStatusResponse, Problem> {
    let end = Instant::now() + patience;
    loop {
        let missing = match tokio::time::timeout_at(end, ask(door)).await {
            Ok(Ok(status)) if complaints(&status).is_empty() => return Ok(status),
            Ok(Ok(status)) => Problem::new(Exit::TimedOut, complaints(&status).join("; ")),
            Ok(Err(problem)) if problem.exit() == Exit::Unreachable => problem,
            Ok(Err(problem)) => return Err(problem),
            Err(_) => Problem::new(Exit::TimedOut, "the agent does not answer"),
        };
        if Instant::now() + PAUSE >= end {
            return Err(Problem::new(Exit::TimedOut, format!("not ready after {} s", patience.as_secs())).and(missing));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// What keeps the host from being well, one sentence each.
fn complaints(status: &GetStatusResponse) -> Vec<String> {
    let mut complaints = Vec::new();
    match &status.store {
        Some(store) if store.connected && store.error.is_empty() => {}
        Some(store) if store.connected => complaints.push(format!("the store takes nothing: {}", store.error)),
        Some(store) if store.error.is_empty() => complaints.push("the store is not connected".to_owned()),
        Some(store) => complaints.push(format!("the store is not connected: {}", store.error)),
        None => complaints.push("there is no store yet".to_owned()),
    }
    complaints.extend(status.store.as_ref().and_then(read_only));
    complaints.extend(status.store.as_ref().and_then(from_memory));
    complaints.extend(status.store.iter().flat_map(forgotten));
    complaints.extend(status.store.as_ref().and_then(forgetful));
    complaints.extend(status.store.as_ref().and_then(awaited));
    complaints.extend(status.store.as_ref().and_then(half_imported));
    complaints.extend(status.unreadable.iter().map(unread));
    if !status.name_conflict.is_empty() {
        complaints.push(format!("this host does nothing: {}", status.name_conflict));
    }
    if !status.kernel_error.is_empty() {
        complaints.push(format!("the kernel refuses: {}", status.kernel_error));
    }
    complaints.extend(status.routing_problems.iter().cloned());
    let idle = status.sessions.iter().filter(|session| !is_established(session) && !session.shut_down);
    complaints.extend(idle.map(|session| match session.last_error.as_str() {
        "" => format!("BGP session with {} is {}", neighbour(session), session.state),
        reason => format!("BGP session with {} is {}: {reason}", neighbour(session), session.state),
    }));
    complaints.extend(status.sessions.iter().flat_map(excesses));
    complaints
}

/// Why a host writes nothing though its store answers.
pub(crate) fn read_only(store: &StoreStatus) -> Option<String> {
    let reason = &store.read_only;
    (!reason.is_empty()).then(|| {
        format!(
            "this host writes nothing in the store, and goes on with what it has: {reason}; start a poplind here that knows it, or see `poplin store schema`"
        )
    })
}

/// What a host lives from whose store has not answered yet.
pub(crate) fn from_memory(store: &StoreStatus) -> Option<String> {
    let StoreStatus { revision, memory_age_seconds, .. } = store;
    let age = span(*memory_age_seconds);
    store
        .from_memory
        .then(|| format!("this host lives from what it knew of the store {age} ago, at revision {revision}"))
}

/// How many keys of what a store forgot are named.
const NAMED: usize = 5;

/// What a store forgot that was restored or emptied.
pub(crate) fn forgotten(store: &StoreStatus) -> Vec<String> {
    let named: Vec<&str> = store.forgotten.iter().take(NAMED).map(String::as_str).collect();
    let more = if store.forgotten.len() > NAMED { ", …" } else { "" };
    let count = store.forgotten.len();
    let all = (count > 0).then(|| {
        let keys = named.join(", ");
        format!("the store forgot {count} objects that stay in force as last known, until they are applied or imported: {keys}{more}")
    });
    let contested = store.contested.iter().map(|one| format!("{one}; it is closed off until that has left"));
    all.into_iter().chain(contested).collect()
}

/// What keeps everybody from being attached after a store forgot.
pub(crate) fn awaited(store: &StoreStatus) -> Option<String> {
    let named: Vec<&str> = store.awaited.iter().take(NAMED).map(String::as_str).collect();
    let more = if store.awaited.len() > NAMED { ", …" } else { "" };
    let hosts = named.join(", ");
    (!named.is_empty()).then(|| {
        format!(
            "the store forgot, and nobody is attached until it is told again what these hosts knew: {hosts}{more}; of one that is gone for good see \
             `poplin host remove`, and `poplin store accept` waits for none"
        )
    })
}

/// What keeps everybody from being attached while an import is under way.
pub(crate) fn half_imported(store: &StoreStatus) -> Option<String> {
    let text = "an import is under way, or was cut short: nobody is attached until it is over";
    store.importing.then(|| text.to_owned())
}

/// What keeps a host from remembering.
pub(crate) fn forgetful(store: &StoreStatus) -> Option<String> {
    let error = &store.memory_error;
    (!error.is_empty()).then(|| format!("this host cannot write down what it knows of the store: {error}"))
}

/// What cannot be read of the store, and what that means.
pub(crate) fn unread(object: &UnreadableObject) -> String {
    let UnreadableObject { key, reason, last_good_in_force, .. } = object;
    let meanwhile = match last_good_in_force {
        true => "its last good form stays in force",
        false if closes(key) => "this host never knew a good form of it, and keeps closed what it may have closed",
        false => "this host never knew a good form of it",
    };
    format!("the value of {key} cannot be read: {reason}; {meanwhile}")
}

/// Whether a host closes what an object of that key could have closed, as long as it knows no good form of it.
fn closes(key: &str) -> bool {
    let kinds = ["policy", "tier", "addressset", "namespace", "network"];
    let kind = key.split_once("/c/").and_then(|(_, rest)| rest.split('/').next());
    kind.is_some_and(|kind| kinds.contains(&kind))
}

/// Families of which a neighbour announces more than it may, and is only warned of.
pub(crate) fn excesses(session: &SessionStatus) -> impl Iterator<Item = String> {
    let excessive = session.prefix_limits.iter().filter(|count| count.received > count.limit);
    excessive.map(|count| {
        let PrefixCount { family, received, limit } = count;
        format!("{} announces {received} {family} prefixes, and {limit} are allowed", neighbour(session))
    })
}

pub(crate) fn is_established(session: &SessionStatus) -> bool {
    session.state == "Established"
}

pub(crate) fn neighbour(session: &SessionStatus) -> String {
    match session.name.as_str() {
        "" => session.address.clone(),
        name => format!("{name} ({})", session.address),
    }
}

fn rendered(status: &GetStatusResponse) -> String {
    let mut text = format!(
        "host {}  {}  AS {}  router id {}  poplind {}\n",
        status.host,
        status.addresses.join(" "),
        status.asn,
        status.router_id,
        status.version
    );
    if status.draining {
        text.push_str("a person drains this host: services go to others (poplin host undrain)\n");
    }
    text.push_str(&store_line(&status.store.clone().unwrap_or_default()));
    let _ = writeln!(
        text,
        "endpoints {}  policies {}  routes learned {}",
        status.endpoints, status.policies, status.routes_learned
    );
    if !status.sessions.is_empty() {
        text.push('\n');
        text.push_str(&sessions_table(&status.sessions));
    }
    if !status.floating.is_empty() {
        text.push('\n');
        text.push_str(&floating_table(&status.floating));
    }
    if !status.services.is_empty() {
        text.push('\n');
        text.push_str(&services_table(&status.services));
    }
    if !status.static_next_hops.is_empty() {
        text.push('\n');
        text.push_str(&next_hops_table(&status.static_next_hops));
    }
    if !status.blocks.is_empty() {
        text.push('\n');
        text.push_str(&blocks_table(&status.blocks));
    }
    text
}

fn store_line(store: &StoreStatus) -> String {
    let connected = if store.connected { "connected" } else { "not connected" };
    let age = span(store.memory_age_seconds);
    let memory = if store.from_memory { format!(", from this host's memory of {age} ago") } else { String::new() };
    let owed = if store.owed == 0 { String::new() } else { format!("  {} who left still to be told", store.owed) };
    let untold =
        if store.untold == 0 { String::new() } else { format!("  {} who joined still to be told", store.untold) };
    let schema = schema_words(store);
    let StoreStatus { kind, location, revision, .. } = store;
    format!("store {kind} {location}  {connected}  revision {revision}{schema}{memory}{owed}{untold}\n")
}

/// From which schema on agents may write, and what this one knows where that is another.
fn schema_words(store: &StoreStatus) -> String {
    match (store.min_writer, store.schema) {
        (0, _) => String::new(),
        (least, known) if least == known => format!("  schema {least}"),
        (least, known) => format!("  schema {least}, this agent knows {known}"),
    }
}

pub(crate) fn sessions_table(sessions: &[SessionStatus]) -> String {
    let titles =
        ["BGP NEIGHBOUR", "ADDRESS", "AS", "STATE", "SINCE", "IPV4 IN/OUT", "IPV6 IN/OUT", "BFD", "LAST ERROR"];
    let mut rows = vec![cells(titles)];
    rows.extend(sessions.iter().map(|session| {
        cells([
            session.name.as_str(),
            &session.address,
            &asn(session.asn),
            if session.shut_down { "shut down" } else { &session.state },
            &span(session.seconds_in_state),
            &in_out(session, "IPv4"),
            &in_out(session, "IPv6"),
            &session.bfd.as_ref().map_or_else(|| "-".to_owned(), bfd),
            &session.last_error,
        ])
    }));
    let mut text = aligned(&rows);
    text.extend(sessions.iter().filter_map(pending));
    text.extend(sessions.iter().filter_map(held).map(|line| line + "\n"));
    text
}

/// By what a session is down that an order ended, and what brings it back; what its neighbour was told is the last error.
pub(crate) fn held(session: &SessionStatus) -> Option<String> {
    let who = called(session);
    let until = format!("until poplin bgp start {who}, or until the agent restarts");
    session.held_down.then(|| format!("{who}: shut down by poplin bgp shutdown {until}"))
}

/// How a person calls it.
fn called(session: &SessionStatus) -> &str {
    if session.name.is_empty() { &session.address } else { &session.name }
}

/// What waits for the next session, and how to have it at once.
fn pending(session: &SessionStatus) -> Option<String> {
    let who = called(session);
    let settings = session.pending.join(", ");
    let has_some = !session.pending.is_empty();
    has_some.then(|| format!("{who}: changed for the next session: {settings} (poplin bgp clear {who} begins one)\n"))
}

/// One that is not known before the neighbour says it is nothing.
fn asn(asn: u32) -> String {
    if asn == 0 { "-".to_owned() } else { asn.to_string() }
}

/// How many came and went of a family; of those that came, how many may, if that is limited.
fn in_out(session: &SessionStatus, family: &str) -> String {
    let (received, sent) = match family {
        "IPv6" => (session.prefixes_received_v6, session.prefixes_sent_v6),
        _ => (
            session.prefixes_received.saturating_sub(session.prefixes_received_v6),
            session.prefixes_sent.saturating_sub(session.prefixes_sent_v6),
        ),
    };
    match session.prefix_limits.iter().find(|count| count.family == family) {
        Some(count) => format!("{received} of {}/{sent}", count.limit),
        None => format!("{received}/{sent}"),
    }
}

/// What was agreed on while it is up; else why it went down.
fn bfd(bfd: &BfdStatus) -> String {
    let reason = [&bfd.diagnostic, &bfd.remote_diagnostic].into_iter().find(|text| !text.is_empty());
    match (bfd.state.as_str(), reason) {
        ("Up", _) => format!("Up {} ms, {} ms", bfd.interval_milliseconds, bfd.detection_milliseconds),
        (state, Some(reason)) => format!("{state}: {reason}"),
        (state, None) => state.to_owned(),
    }
}

fn next_hops_table(next_hops: &[NextHopStatus]) -> String {
    let mut rows = vec![cells(["STATIC ROUTE", "NEXT HOP", "USED", "BFD"])];
    rows.extend(next_hops.iter().map(|one| {
        let watched = one.bfd.as_ref().map_or_else(|| "-".to_owned(), bfd);
        cells([one.route.as_str(), &one.address, if one.used { "yes" } else { "no" }, &watched])
    }));
    aligned(&rows)
}

/// A line an endpoint.
fn floating_table(floating: &[FloatingStatus]) -> String {
    let mut rows = vec![cells(["FLOATING", "ENDPOINT", "LEADS TO", "ANNOUNCED"])];
    rows.extend(floating.iter().map(|one| {
        let leads_to = if one.leads_to.is_empty() { "no address of its family" } else { &one.leads_to };
        let announced = if one.announced { "yes" } else { "no" };
        cells([one.address.as_str(), &one.endpoint, leads_to, announced])
    }));
    aligned(&rows)
}

fn services_table(services: &[ServiceStatus]) -> String {
    let mut rows = vec![cells(["SERVICE", "ADDRESSES", "ANNOUNCED", "ENDPOINT", "HEALTH"])];
    let members = services.iter().flat_map(|service| service.members.iter().map(move |member| (service, member)));
    rows.extend(members.map(|(service, member)| {
        let health = match (member.healthy, member.complaint.as_str()) {
            (true, "") => "healthy".to_owned(),
            (false, "") => "not probed yet".to_owned(),
            (true, complaint) => format!("healthy, but {complaint}"),
            (false, complaint) => format!("unhealthy: {complaint}"),
        };
        let announced = if service.announced { "yes" } else { "no" };
        cells([service.name.as_str(), &service.addresses.join(" "), announced, &member.endpoint, &health])
    }));
    aligned(&rows)
}

fn blocks_table(blocks: &[BlockStatus]) -> String {
    let mut rows = vec![cells(["BLOCK", "POOL", "TAKEN"])];
    rows.extend(
        blocks
            .iter()
            .map(|block| cells([block.cidr.as_str(), &block.pool, &format!("{} of {}", block.taken, block.size)])),
    );
    aligned(&rows)
}

fn cells<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

/// The two largest units: `3d4h`, `5m07s`, `12s`.
pub(crate) fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m{:02}s", seconds % 60),
        (0, hours, minutes) => format!("{hours}h{:02}m", minutes % 60),
        (days, hours, _) => format!("{days}d{}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_name_two_units() {
        assert_eq!([0, 59, 67, 3660, 90061].map(span), ["0s", "59s", "1m07s", "1h01m", "1d1h"]);
    }

    #[test]
    fn bfd_tells_its_times_while_it_is_up_and_else_why_it_is_not() {
        let up = BfdStatus {
            state: "Up".to_owned(),
            interval_milliseconds: 300,
            detection_milliseconds: 900,
            diagnostic: "path down".to_owned(),
            ..BfdStatus::default()
        };
        assert_eq!(bfd(&up), "Up 300 ms, 900 ms");
        assert_eq!(bfd(&BfdStatus { state: "Down".to_owned(), ..up }), "Down: path down");
        assert_eq!(bfd(&BfdStatus { state: "Down".to_owned(), ..BfdStatus::default() }), "Down");
    }

    #[test]
    fn an_idle_session_and_a_lost_store_are_complained_of() {
        let session = SessionStatus { name: "tor".to_owned(), state: "Active".to_owned(), ..SessionStatus::default() };
        let store = StoreStatus { error: "timeout".to_owned(), ..StoreStatus::default() };
        let status = GetStatusResponse { store: Some(store), sessions: vec![session], ..GetStatusResponse::default() };

        let expected = ["the store is not connected: timeout", "BGP session with tor () is Active"];
        assert_eq!(complaints(&status), expected);
    }
}
