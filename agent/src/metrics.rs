//! The figures of this host, in the text format of Prometheus.
//!
//! In: the host as the head sees it, what its rules counted and dropped, and each BGP session from inside. Out: text. Names and units follow Prometheus' own rules: base units,
//! `_total` for what only grows; `promtool check metrics` finds nothing. What a neighbour may cause without bound is no label.

pub mod door;
mod policy;
mod text;

use std::time::Instant;

use poplin_bgp::wire::{Family, Notification};
use poplin_bgp::{Address, FamilyCount, NeighbourDetail, Record, Refused, SessionState, Tally};
use poplin_node::status::{Session, Status};
use poplin_proto::v1::RuleCounter;

use crate::drops::Heard;
use text::{Kind, Text};

/// One session with all its figures.
#[derive(Clone, Debug)]
pub struct Figures {
    /// As `status` shows it.
    pub session: Session,
    /// From inside.
    pub detail: NeighbourDetail,
    /// How many of its prefixes import rules let pass.
    pub accepted: FamilyCount,
}

/// Labels that every figure of a session has.
struct Who {
    name: String,
    address: Address,
    asn: u32,
}

impl Who {
    fn labels<'a>(&'a self, more: &[(&'static str, &'a str)]) -> Vec<(&'static str, String)> {
        let own = [("peer", self.name.clone()), ("address", self.address.to_string()), ("asn", self.asn.to_string())];
        own.into_iter().chain(more.iter().map(|(label, value)| (*label, (*value).to_owned()))).collect()
    }
}

/// All figures. `rules`: what they counted, and what was heard of drops; absent = the node has no containers.
pub fn written(
    now: Instant,
    host: &Status,
    sessions: &[Figures],
    is_forgetful: bool,
    rules: Option<(&[RuleCounter], &Heard)>,
) -> String {
    let mut text = Text::default();
    about_host(&mut text, host);
    if let Some((counters, drops)) = rules {
        policy::about_counters(&mut text, counters);
        policy::about_drops(&mut text, drops);
    }
    let help = "Whether what this host knows of the store, or who left, cannot be kept on its disk.";
    text.family("poplin_store_memory_failing", Kind::Gauge, help);
    text.sample(&[], u64::from(is_forgetful));
    let sessions: Vec<(Who, &Figures)> = sessions.iter().map(|one| (who(&one.session), one)).collect();
    about_state(&mut text, &sessions);
    about_prefixes(&mut text, &sessions);
    about_messages(&mut text, &sessions);
    about_notifications(&mut text, now, &sessions);
    about_bfd(&mut text, &sessions);
    text.finish()
}

fn who(session: &Session) -> Who {
    Who { name: session.name.clone(), address: session.address, asn: session.asn.map_or(0, |asn| asn.0) }
}

fn about_host(text: &mut Text, host: &Status) {
    text.family("poplin_build_info", Kind::Gauge, "Which version runs; always 1.");
    text.sample(&[("version", env!("CARGO_PKG_VERSION").to_owned()), ("host", host.host.to_string())], 1);
    text.family("poplin_store_connected", Kind::Gauge, "Whether the store is in reach.");
    text.sample(&[], u64::from(host.store_error.is_none()));
    text.family(
        "poplin_kernel_failing",
        Kind::Gauge,
        "Whether the kernel refused the last step and it is tried again.",
    );
    text.sample(&[], u64::from(host.kernel_error.is_some()));
    let help = "Whether the host lives from what an earlier life knew of the store.";
    text.family("poplin_store_from_memory", Kind::Gauge, help);
    text.sample(&[], u64::from(host.is_recalled));
    let help = "Whether the host writes nothing in the store, as its agent knows no schema that may.";
    text.family("poplin_store_read_only", Kind::Gauge, help);
    text.sample(&[], u64::from(host.read_only.is_some()));
    let help = "Endpoints that left while the store was away, and that it is still to be told of.";
    text.family("poplin_store_owed", Kind::Gauge, help);
    text.sample(&[], host.owed as u64);
    text.family(
        "poplin_store_unreadable",
        Kind::Gauge,
        "Objects of the store that cannot be read, by whether their last good form is in force.",
    );
    for known in [true, false] {
        let count = host.unreadable.iter().filter(|(_, is_known)| *is_known == known).count();
        text.sample(&[("last_good", known.to_string())], count as u64);
    }
    text.family("poplin_endpoints", Kind::Gauge, "Endpoints attached to this host.");
    text.sample(&[], host.endpoints as u64);
    text.family("poplin_policies", Kind::Gauge, "Policies of the fabric.");
    text.sample(&[], host.policies as u64);
    text.family("poplin_routes_learned", Kind::Gauge, "Prefixes learned by BGP that are in use.");
    text.sample(&[], host.routes_learned as u64);
    text.family("poplin_routing_problems", Kind::Gauge, "Declarations about BGP that cannot be meant so.");
    text.sample(&[], host.routing_problems.len() as u64);
    text.family("poplin_block_addresses", Kind::Gauge, "Addresses of each block of this host.");
    for block in &host.blocks {
        text.sample(&[("block", block.cidr.to_string()), ("pool", block.pool.to_string())], block.size.into());
    }
    text.family("poplin_block_addresses_taken", Kind::Gauge, "Addresses of each block of this host that are taken.");
    for block in &host.blocks {
        text.sample(&[("block", block.cidr.to_string()), ("pool", block.pool.to_string())], block.taken as u64);
    }
}

/// Every state, in the words of RFC 4271 §8.2.2.
const STATES: [SessionState; 6] = [
    SessionState::Idle,
    SessionState::Connect,
    SessionState::Active,
    SessionState::OpenSent,
    SessionState::OpenConfirm,
    SessionState::Established,
];

fn about_state(text: &mut Text, sessions: &[(Who, &Figures)]) {
    text.family("poplin_bgp_peer_up", Kind::Gauge, "Whether the session is established.");
    for (who, one) in sessions {
        text.sample(&who.labels(&[]), u64::from(one.detail.view.state == SessionState::Established));
    }
    text.family("poplin_bgp_peer_state", Kind::Gauge, "1 for the state the session is in, 0 for the others.");
    for (who, one) in sessions {
        for state in STATES {
            text.sample(&who.labels(&[("state", &format!("{state:?}"))]), u64::from(one.detail.view.state == state));
        }
    }
    text.family(
        "poplin_bgp_peer_state_duration_seconds",
        Kind::Gauge,
        "For how long the session has been in its state.",
    );
    for (who, one) in sessions {
        text.sample(&who.labels(&[]), one.session.in_state.as_secs());
    }
    text.family("poplin_bgp_peer_shut_down", Kind::Gauge, "Whether a person wants no session.");
    for (who, one) in sessions {
        text.sample(&who.labels(&[]), u64::from(one.session.is_shut_down));
    }
    text.family("poplin_bgp_peer_sessions_total", Kind::Counter, "How often a session was established.");
    for (who, one) in sessions {
        text.sample(&who.labels(&[]), one.detail.record.established);
    }
    text.family("poplin_bgp_peer_flaps_total", Kind::Counter, "How often an established session ended.");
    for (who, one) in sessions {
        let is_up = one.detail.view.state == SessionState::Established;
        text.sample(&who.labels(&[]), one.detail.record.established.saturating_sub(is_up.into()));
    }
}

fn about_prefixes(text: &mut Text, sessions: &[(Who, &Figures)]) {
    text.family("poplin_bgp_peer_prefixes_received", Kind::Gauge, "Prefixes of the peer that are held.");
    both(text, sessions, |one| one.session.prefixes_received);
    text.family("poplin_bgp_peer_prefixes_accepted", Kind::Gauge, "Prefixes of the peer that import rules let pass.");
    both(text, sessions, |one| one.accepted);
    text.family("poplin_bgp_peer_prefixes_sent", Kind::Gauge, "Prefixes the peer has been told.");
    both(text, sessions, |one| one.session.prefixes_sent);
    text.family(
        "poplin_bgp_peer_prefixes_limit",
        Kind::Gauge,
        "Prefixes the peer may announce, where that is limited.",
    );
    for (who, one) in sessions {
        for (family, (_, limit)) in &one.session.limits {
            text.sample(&who.labels(&[("family", word(*family))]), *limit as u64);
        }
    }
    let help = "Prefixes of the peer that were turned away, each as often as it came.";
    text.family("poplin_bgp_peer_prefixes_refused_total", Kind::Counter, help);
    for (who, one) in sessions {
        let Refused { by_rules, looped, reflected, other } = one.detail.record.refused;
        for (reason, count) in [("rules", by_rules), ("loop", looped), ("reflected", reflected), ("other", other)] {
            text.sample(&who.labels(&[("reason", reason)]), count);
        }
    }
}

fn both(text: &mut Text, sessions: &[(Who, &Figures)], count: impl Fn(&Figures) -> FamilyCount) {
    for (who, one) in sessions {
        let FamilyCount { ipv4, ipv6 } = count(one);
        text.sample(&who.labels(&[("family", word(Family::Ipv4))]), ipv4 as u64);
        text.sample(&who.labels(&[("family", word(Family::Ipv6))]), ipv6 as u64);
    }
}

fn word(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "ipv4",
        Family::Ipv6 => "ipv6",
    }
}

fn about_messages(text: &mut Text, sessions: &[(Who, &Figures)]) {
    text.family("poplin_bgp_peer_messages_sent_total", Kind::Counter, "Messages sent to the peer.");
    by_kind(text, sessions, |record| record.sent);
    text.family("poplin_bgp_peer_messages_received_total", Kind::Counter, "Messages the peer sent.");
    by_kind(text, sessions, |record| record.received);
    let help = "UPDATEs of the peer with a flaw that the session survived (RFC 7606).";
    text.family("poplin_bgp_peer_updates_flawed_total", Kind::Counter, help);
    for (who, one) in sessions {
        text.sample(&who.labels(&[]), one.detail.record.flawed);
    }
}

fn by_kind(text: &mut Text, sessions: &[(Who, &Figures)], tally: impl Fn(&Record) -> Tally) {
    for (who, one) in sessions {
        let Tally { opens, updates, notifications, keepalives, refreshes } = tally(&one.detail.record);
        let kinds = [("open", opens), ("update", updates), ("notification", notifications), ("keepalive", keepalives)];
        for (kind, count) in kinds.into_iter().chain([("refresh", refreshes)]) {
            text.sample(&who.labels(&[("type", kind)]), count);
        }
    }
}

fn about_notifications(text: &mut Text, now: Instant, sessions: &[(Who, &Figures)]) {
    let help = "How long ago the last NOTIFICATION passed, by who sent it and its code and subcode.";
    text.family("poplin_bgp_peer_last_notification_age_seconds", Kind::Gauge, help);
    for (who, one) in sessions {
        let Record { last_sent, last_received, .. } = &one.detail.record;
        for (from, last) in [("us", last_sent), ("peer", last_received)] {
            if let Some((at, error)) = last {
                let (code, subcode) = numbers(error);
                let labels = who.labels(&[("from", from), ("code", &code), ("subcode", &subcode)]);
                text.sample(&labels, now.saturating_duration_since(*at).as_secs());
            }
        }
    }
}

fn numbers(error: &Notification) -> (String, String) {
    (error.fault.0.to_string(), error.fault.1.to_string())
}

fn about_bfd(text: &mut Text, sessions: &[(Who, &Figures)]) {
    text.family("poplin_bgp_peer_bfd_up", Kind::Gauge, "Whether BFD sees the peer, where it is asked.");
    for (who, one) in sessions {
        if let Some(watched) = &one.session.bfd {
            text.sample(&who.labels(&[]), u64::from(watched.view.state == poplin_bgp::bfd::State::Up));
        }
    }
}
