use std::collections::BTreeMap;

use super::*;
use crate::kernel::{NextHopId, UnderlayRoute};

#[test]
fn the_longest_prefix_says_which_interface_leads_there() {
    let kernel = two_uplinks();
    let leading = |to: &str| names(Doors::of(&kernel).leading_to(to.parse().unwrap()));

    assert_eq!(leading("192.0.2.7"), ["up0"], "it is on the link");
    assert_eq!(leading("203.0.113.9"), ["up0", "up1"], "the default route has two ways of equal cost");
    assert_eq!(leading("10.77.1.5"), ["up1"], "BGP knows better than the default route");
    assert_eq!(leading("2001:db8::1"), [""; 0], "no route of IPv6 is known");
}

#[test]
fn loopback_and_our_own_links_are_no_doorways() {
    assert_eq!(names(Doors::of(&two_uplinks()).all()), ["up0", "up1"]);
}

fn names(doors: BTreeSet<Interface>) -> Vec<String> {
    doors.iter().map(ToString::to_string).collect()
}

fn two_uplinks() -> KernelState {
    let interfaces = [("lo", 1), ("up0", 2), ("up1", 3)].map(|(name, index)| (Interface::new(name).unwrap(), index));
    let gateways = ["192.0.2.1", "198.51.100.1"].map(|gateway| gateway.parse().unwrap());
    let underlay = [
        ("192.0.2.0/24", UnderlayRoute::OnLink(2)),
        ("198.51.100.0/24", UnderlayRoute::OnLink(3)),
        ("0.0.0.0/0", UnderlayRoute::Via(gateways.into())),
    ];
    let to_other_host = Gateway { address: "198.51.100.1".parse().unwrap(), interface: Some(3) };
    KernelState {
        interfaces: interfaces.into(),
        underlay: underlay.map(|(prefix, route)| (prefix.parse().unwrap(), route)).into(),
        learned: BTreeMap::from([("10.77.1.0/26".parse().unwrap(), Target::Gateways([to_other_host].into()))]),
        next_hops: BTreeMap::<NextHopId, _>::new(),
        ..KernelState::default()
    }
}
