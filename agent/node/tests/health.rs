//! Who is healthy, by what probes told.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use poplin_node::health::{Health, Turn};
use poplin_node::service::{HealthCheck, Probe};

fn probe() -> Probe {
    let second = Duration::from_secs(1);
    let check = HealthCheck { port: 53, http_path: None, interval: second, timeout: second, failures: 3, successes: 2 };
    Probe { address: "10.77.0.1".parse().unwrap(), check }
}

fn watching(is_believed: bool) -> (Health, Instant) {
    let (mut health, now) = (Health::default(), Instant::now());
    health.want(now, &BTreeMap::from([(probe(), is_believed)]));
    (health, now)
}

fn hear(health: &mut Health, now: Instant, outcomes: &[bool]) -> Vec<Option<Turn>> {
    let outcome = |is_ok: &bool| if *is_ok { Ok(()) } else { Err("refused".to_owned()) };
    outcomes.iter().map(|is_ok| health.probed(now, &probe(), outcome(is_ok))).collect()
}

#[test]
fn a_newcomer_is_probed_at_once_and_is_healthy_after_enough_successes_in_a_row() {
    let (mut health, now) = watching(false);

    assert_eq!(health.take_due(now), [probe()]);
    assert_eq!(hear(&mut health, now, &[true, false, true]), [None, None, None]);
    assert!(!health.is_healthy(&probe()));
    assert_eq!(hear(&mut health, now, &[true]), [Some(Turn::Healthy)]);
    assert!(health.is_healthy(&probe()));
}

#[test]
fn a_blip_is_forgiven_and_failures_in_a_row_are_not() {
    let (mut health, now) = watching(true);

    assert_eq!(hear(&mut health, now, &[false, false, true, false, false]), [const { None }; 5]);
    assert!(health.is_healthy(&probe()));
    assert_eq!(hear(&mut health, now, &[false]), [Some(Turn::Unhealthy("refused".to_owned()))]);
    assert!(!health.is_healthy(&probe()));
    assert_eq!(health.complaint(&probe()), Some("refused"));
}

#[test]
fn the_next_probe_comes_an_interval_after_the_last_one_ended() {
    let (mut health, now) = watching(false);
    health.take_due(now);
    assert_eq!(health.next_deadline(), None);

    let later = now + Duration::from_millis(700);
    hear(&mut health, later, &[true]);

    assert_eq!(health.take_due(now + Duration::from_secs(1)), []);
    assert_eq!(health.next_deadline(), Some(later + Duration::from_secs(1)));
}

#[test]
fn an_answer_nobody_waits_for_any_more_changes_nothing() {
    let (mut health, now) = watching(true);
    health.want(now, &BTreeMap::new());

    assert_eq!(hear(&mut health, now, &[true]), [None]);
    assert!(!health.is_healthy(&probe()));
}
