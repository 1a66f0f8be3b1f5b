//! The device of tunnels, as the kernel has it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use poplin_agent::kernel::Hands;
use poplin_node::groups::Due;
use poplin_node::kernel::{Device, Encapsulation, Gateway, KernelState, Mac, Step, Vxlan};
use poplin_node::plan::{Desired, GATEWAY_V4, plan};
use poplin_node::tunnel::Tunnel;

use crate::lab::Namespace;

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn tunnel(local: &str, remote: &str) -> Tunnel {
    let mac = Mac([2, 0x76, 0, 0, 0, 2]);
    let device =
        Device { vxlan: Vxlan::default(), local: address(local), mac: Mac([2, 0x76, 0, 0, 0, 1]), mtu_bytes: 1430 };
    Tunnel {
        device,
        fdb: BTreeMap::from([(mac, address(remote))]),
        neighbours: [address("192.0.2.2"), address("fe80::2")].map(|gateway| (gateway, mac)).into(),
        rules: ["10.77.0.0/16", "fd77::/48"].map(|from| (Encapsulation::Always, from.parse().unwrap())).into(),
        hosts: BTreeMap::new(),
    }
}

/// What is to be done for it, on a host that has the rest.
fn steps(tunnel: Option<&Tunnel>, seen: &KernelState) -> Vec<Step> {
    let mut seen = seen.clone();
    seen.gateways.insert(GATEWAY_V4);
    plan(&Desired { tunnel: tunnel.cloned().map(Arc::new), ..Desired::default() }, &Due::default(), &seen)
}

#[test]
fn what_was_made_reads_as_it_was_wanted_and_leaves_without_a_trace() {
    for (local, remote) in [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")] {
        Namespace::new().within(|| comes_and_goes(tunnel(local, remote)));
    }
}

fn comes_and_goes(mut tunnel: Tunnel) {
    let mut hands = Hands::open_routes().unwrap();
    let before = hands.read().unwrap();

    hands.apply(&steps(Some(&tunnel), &before)).unwrap();
    let index = hands.read().unwrap().tunnel.expect("it stands").index;
    let hosts = [("192.0.2.2", "192.0.2.2"), ("2001:db8::2", "fe80::2")].map(|(host, by)| {
        let gateway = Gateway { address: address(by), interface: Some(index) };
        ((Encapsulation::Always, address(host)), gateway)
    });
    tunnel.hosts = hosts.into();
    let more = steps(Some(&tunnel), &hands.read().unwrap());
    assert!(matches!(more[..], [Step::SetTunnelHost { .. }, Step::SetTunnelHost { .. }]), "{more:?}");
    hands.apply(&more).unwrap();

    let seen = hands.read().unwrap();
    assert_eq!(steps(Some(&tunnel), &seen), vec![]);
    assert_eq!(seen.tunnel.as_ref().and_then(|found| found.device), Some(tunnel.device));
    let resized = Tunnel { device: Device { mtu_bytes: 1400, ..tunnel.device }, ..tunnel.clone() };
    hands.apply(&steps(Some(&resized), &seen)).unwrap();
    let seen = hands.read().unwrap();
    assert_eq!(seen.tunnel.as_ref().map(|found| found.index), Some(index), "it is the same device");
    assert_eq!(steps(Some(&resized), &seen), vec![]);

    hands.apply(&steps(None, &seen)).unwrap();
    assert_eq!(hands.read().unwrap(), before);
}

#[test]
fn a_device_of_another_with_the_same_network_is_named() {
    let host = Namespace::new();
    host.ip("link add theirs type vxlan id 143 dstport 4789 nolearning");

    let failure = host.within(|| {
        let mut hands = Hands::open_routes().unwrap();
        let seen = hands.read().unwrap();
        hands.apply(&steps(Some(&tunnel("192.0.2.1", "192.0.2.2")), &seen)).unwrap_err()
    });

    assert!(failure.reason.contains("VNI 143") && failure.reason.contains("vxlan.vni"), "{}", failure.reason);
}
