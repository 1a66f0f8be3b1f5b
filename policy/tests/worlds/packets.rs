//! Random packets, biased to hit: between endpoints, or an endpoint and addresses that prefixes speak of, near the ports
//! of rules.

use std::net::IpAddr;

use poplin_policy::packet::{ICMP, ICMP6, Packet, Transport};
use proptest::prelude::*;
use proptest::sample::select;

use crate::strategy::{ENDPOINTS, endpoint_address};

const OUTSIDE: [[&str; 4]; 2] = [
    ["10.0.0.200", "192.0.2.1", "192.0.2.200", "203.0.113.9"],
    ["fd00::c8", "2001:db8::1", "2001:db8:8000::1", "2600::9"],
];

/// Packets between any two addresses of one family.
pub(crate) fn packets() -> impl Strategy<Value = Vec<Packet>> {
    proptest::collection::vec(packet(), 24)
}

pub(crate) fn packet() -> impl Strategy<Value = Packet> {
    any::<bool>()
        .prop_flat_map(|is_v6| (address(is_v6), address(is_v6), transport(is_v6)))
        .prop_map(|(source, destination, transport)| Packet { source, destination, transport })
}

fn address(is_v6: bool) -> impl Strategy<Value = IpAddr> {
    let endpoint = (1..=ENDPOINTS).prop_map(move |number| endpoint_address(number, is_v6));
    let outside = select(&OUTSIDE[usize::from(is_v6)][..]).prop_map(|text| text.parse().unwrap());
    prop_oneof![4 => endpoint, 1 => outside]
}

fn transport(is_v6: bool) -> impl Strategy<Value = Transport> {
    let port = || select(vec![0, 53, 79, 80, 81, 90, 443, 1000, 1024, 8000, 8004, 8005, 8010, 8020, 8021, 65535]);
    let ported = (select(vec![6, 6, 6, 17, 132, 136]), port(), port());
    let ported = ported.prop_map(|(protocol, source, destination)| Transport::Ports { protocol, source, destination });
    let usual = if is_v6 { ICMP6 } else { ICMP };
    // Either ICMP may be carried over the other family, where rules for messages must not see it.
    let icmp = (select(vec![usual, usual, ICMP, ICMP6]), select(vec![0, 8, 128, 129]), 0..2u8);
    let icmp = icmp.prop_map(|(protocol, kind, code)| Transport::Icmp { protocol, kind, code });
    prop_oneof![6 => ported, 2 => icmp, 1 => select(vec![47, 50]).prop_map(Transport::Other)]
}
