//! Packets of anybody's making: none is the end of us, and what is read is written alike.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use poplin_bgp::bfd::{Event, Monitor, PACKET_OCTETS, Packet, Path};
use proptest::prelude::*;

use crate::wire::{address, millis, settings};

/// Octets that look like a packet more often than chance would have it.
fn nearly_a_packet() -> impl Strategy<Value = Vec<u8>> {
    let body = prop::collection::vec(any::<u8>(), 0..40);
    (prop::bool::weighted(0.9), 0_u8..32, any::<u8>(), any::<u8>(), prop::bool::weighted(0.9), body).prop_map(
        |(is_version_1, diagnostic, flags, multiplier, is_exact, body)| {
            let length = if is_exact { PACKET_OCTETS } else { body.len() };
            let first = if is_version_1 { 0x20 | diagnostic } else { diagnostic << 3 };
            let head = [first, flags & 0b1111_1010, multiplier, u8::try_from(length).unwrap()];
            head.into_iter().chain(body).collect()
        },
    )
}

proptest! {
    #[test]
    fn any_octets_are_read_or_refused(octets in prop_oneof![prop::collection::vec(any::<u8>(), 0..60), nearly_a_packet()]) {
        if let Ok(packet) = Packet::decode(&octets) {
            prop_assert_eq!(Packet::decode(&packet.encode()), Ok(packet));
        }
    }

    #[test]
    fn any_octets_leave_a_monitor_in_order(seed: u64, packets in prop::collection::vec(nearly_a_packet(), 1..60)) {
        let mut now = Instant::now();
        let mut monitor = Monitor::new(seed);
        monitor.handle(now, Event::Watch(BTreeMap::from([(address(1), settings(millis(50), 3))])));
        for octets in packets {
            now += Duration::from_millis(7);
            monitor.handle(now, Event::Received { from: address(1), path: Path::Direct, octets });
            monitor.handle(now, Event::Tick);
            let sent = std::iter::from_fn(|| monitor.next_action()).count();
            prop_assert!(sent <= 6, "one packet moves few things: {sent}");
            prop_assert!(monitor.next_deadline().is_none_or(|at| at > now));
        }
    }
}
