//! What two ends agree on, and how they change it.

use std::time::Duration;

use crate::wire::{Wire, millis, settings};

fn gaps(wire: &Wire, end: usize, since: Duration) -> Vec<Duration> {
    let regular = wire.log.iter().filter(|seen| seen.from == end && !seen.packet.is_final);
    let times: Vec<_> = regular.map(|seen| seen.at).filter(|at| *at >= wire.began + since).collect();
    times.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

#[test]
fn section_6_8_2_the_slower_wish_counts() {
    let mut wire = Wire::between(1, settings(millis(100), 3), settings(millis(400), 5));

    wire.pass(millis(20_000));

    assert_eq!([0, 1].map(|end| wire.view(end).transmit_interval), [millis(400); 2]);
    assert_eq!(wire.view(0).detection_time, millis(2_000), "the other end may miss to send five times 400 ms");
    assert_eq!(wire.view(1).detection_time, millis(1_200));
}

#[test]
fn section_6_8_7_packets_come_between_three_quarters_and_the_whole_of_the_interval() {
    let mut wire = Wire::between(2, settings(millis(300), 3), settings(millis(300), 3));

    wire.pass(millis(60_000));

    let gaps = gaps(&wire, 0, millis(2_000));
    assert!(gaps.len() > 190);
    assert!(gaps.iter().all(|gap| (millis(225)..=millis(300)).contains(gap)), "{gaps:?}");
    assert!(gaps.iter().max() > gaps.iter().min(), "they are not all alike");
}

#[test]
fn section_6_5_a_poll_ends_with_its_answer() {
    let mut wire = Wire::between(3, settings(millis(300), 3), settings(millis(300), 3));

    wire.pass(millis(10_000));

    let later = wire.log.iter().filter(|seen| seen.at > wire.began + millis(3_000));
    assert!(
        wire.log.iter().any(|seen| seen.packet.is_poll),
        "coming up changes the times, and changes are asked about"
    );
    assert!(later.clone().all(|seen| !seen.packet.is_poll && !seen.packet.is_final));
    assert!(wire.log.iter().all(|seen| !(seen.packet.is_poll && seen.packet.is_final)), "never both in one packet");
}

#[test]
fn section_6_8_3_slower_sending_waits_until_the_other_end_knows() {
    let mut wire = Wire::between(4, settings(millis(100), 3), settings(millis(100), 3));
    wire.pass(millis(5_000));
    wire.loses = Box::new(|_| true);

    wire.change(0, settings(millis(2_000), 3));
    wire.pass(millis(250));
    assert_eq!(wire.view(0).transmit_interval, millis(100), "no answer came");

    wire.loses = Box::new(|_| false);
    wire.pass(millis(500));

    assert_eq!(wire.view(0).transmit_interval, millis(2_000));
    assert_eq!(wire.view(1).detection_time, millis(6_000));
    assert_eq!(wire.falls(), 0);
}

#[test]
fn changes_in_the_midst_of_changes_do_not_make_it_flap() {
    let mut wire = Wire::between(5, settings(millis(100), 3), settings(millis(100), 3));
    wire.pass(millis(3_000));

    for interval in [2_000, 50, 900, 10, 300, 1_000, 100] {
        wire.change(0, settings(millis(interval), 3));
        wire.pass(millis(1));
        wire.change(1, settings(millis(interval / 2), 4));
        wire.pass(millis(interval));
    }
    wire.pass(millis(10_000));

    assert!(wire.are_up());
    assert_eq!(wire.falls(), 0);
    assert_eq!(wire.view(0).transmit_interval, millis(100));
}
