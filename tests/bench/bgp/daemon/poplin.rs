//! Ours: the speaker and the agent's own hands for connections, in a runtime like the agent's; no store, no rules, no kernel.
//!
//! This bench starts itself again for it, so that its memory is its own.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use poplin_agent::alarm::Alarm;
use poplin_agent::peers::Peers;
use poplin_bgp::wire::Family;
use poplin_bgp::{
    Asn, Event, Exchange, NeighbourConfig, PrefixLimits, PrefixRange, Protection, RESTART_TIME, RouteChange,
    RouteCondition, RouteMap, RouteRule, RouteRules, Speaker, SpeakerConfig, Verdict,
};
use poplin_lab::Process;
use tokio::sync::mpsc;

use super::Task;
use crate::bed::{ASN, Bed, HOLD_SECS, US};
use crate::load::MARKS;

/// As many as the agent's.
const QUEUE: usize = 1024;

pub(super) fn start(bed: &Bed, task: Task) -> Process {
    let program = std::env::current_exe().expect("a program has a path").display().to_string();
    let (receivers, only_marks) = (task.receivers.to_string(), task.only_marks.to_string());
    bed.spawn("poplin.log", &program, &["speak", &receivers, &only_marks])
}

/// What the other process does, until it is killed.
pub(crate) fn speak(task: Task) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime starts");
    runtime.block_on(runtime.spawn(converse(task))).expect("it converses until it is killed");
}

async fn converse(task: Task) {
    let (events, mut inbox) = mpsc::channel(QUEUE);
    let mut peers = Peers::start(&[([0, 0, 0, 0], 179).into()], BTreeSet::new(), events).await;
    let config = SpeakerConfig { asn: Asn(ASN), router_id: US };
    let mut speaker = Speaker::new(config);
    let neighbours = task.neighbours().map(|address| neighbour(address.into(), task)).collect();
    speaker.handle(Instant::now(), Event::Reconfigure { config, neighbours });
    let mut alarm = Alarm::default();
    loop {
        while let Some(action) = speaker.next_action() {
            peers.act(action);
        }
        alarm.set(speaker.next_deadline());
        let event = tokio::select! {
            Some(event) = inbox.recv() => event,
            () = alarm.ring() => poplin_node::Event::Bgp(Event::Tick),
        };
        let poplin_node::Event::Bgp(event) = event else { continue };
        if let Event::ConnectionClosed { connection, .. } = &event {
            peers.forget(*connection);
        }
        speaker.handle(Instant::now(), event);
    }
}

fn neighbour(address: std::net::IpAddr, task: Task) -> NeighbourConfig {
    let export = if task.only_marks { RouteRules::Map(Arc::new(marks())) } else { RouteRules::Open };
    NeighbourConfig {
        address: address.into(),
        port: 179,
        asn: Asn(ASN).into(),
        hold_time: Duration::from_secs(HOLD_SECS.into()),
        keepalive: None,
        send_hold: None,
        connect_retry: Duration::from_secs(2),
        restart: RESTART_TIME,
        passive: true,
        families: Family::ALL.into(),
        extended_next_hop: None,
        next_hop_v4: None,
        next_hop_v6: None,
        bfd: None,
        add_paths: Default::default(),
        extended_messages: true,
        role: None,
        long_lived: None,
        gentle: false,
        exchange: Exchange { client_of: Some(US), export, ..Exchange::default() },
        protection: Protection::default(),
        limits: PrefixLimits::default(),
        shutdown: None,
    }
}

fn marks() -> RouteMap {
    let prefixes = PrefixRange::new(IpNet::V4(MARKS), 24, 32).into_iter().collect();
    let when = RouteCondition { prefixes, ..RouteCondition::default() };
    let rule = RouteRule { when, verdict: Verdict::Accept, change: RouteChange::default() };
    RouteMap { rules: vec![rule], otherwise: Verdict::Reject }
}
