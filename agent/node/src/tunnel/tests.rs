//! The device and its entries follow from hosts and pools.

use super::*;
use crate::kernel::UnderlayRoute;
use crate::name::PoolName;
use crate::object::{Object, Pool, Versioned};

fn host(name: &str, addresses: &[&str]) -> Host {
    Host { addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(), ..Host::bare(name) }
}

/// h1 is one's own; h2 is on its link, h3 behind a router.
fn fabric(own: &[&str], encapsulation: Encapsulation) -> (Mirror, Host) {
    let pool = Pool { encapsulation, ..Pool::open(PoolName::new("four"), "10.77.0.0/16".parse().unwrap(), 26) };
    let hosts =
        [host("h1", own), host("h2", &["192.0.2.2", "2001:db8::2"]), host("h3", &["198.51.100.3", "2001:db8:3::3"])];
    let all = hosts.iter().cloned().map(Object::Host).chain([Object::Pool(pool)]);
    let mut mirror = Mirror::default();
    mirror.change(1, all.map(|value| Versioned { value, version: 1 }).collect(), vec![], vec![]);
    let [me, ..] = hosts;
    (mirror, me)
}

fn kernel() -> KernelState {
    let mut kernel = KernelState::default();
    kernel.underlay.insert("192.0.2.0/24".parse().unwrap(), UnderlayRoute::OnLink(2));
    kernel.addresses.insert("192.0.2.1".parse().unwrap(), "eth0".to_owned());
    kernel.mtus.insert("eth0".to_owned(), 9000);
    kernel
}

fn standing(kernel: &mut KernelState, device: Device) {
    kernel.tunnel = Some(DeviceState { index: 7, device: Some(device), is_configured: true });
}

#[test]
fn where_no_pool_asks_nothing_stands() {
    let (mirror, me) = fabric(&["192.0.2.1"], Encapsulation::Never);

    assert_eq!(wanted(&mirror, &me, &kernel()), None);
    assert_eq!(ends(&mirror, &me.name, None), None);
    assert!(ends(&mirror, &me.name, Some(4789)).is_some(), "as long as a device stands it is guarded");
    assert_eq!(container_mtu_bytes(&mirror, &me, &["10.77.0.1".parse().unwrap()], 1500), 1500);
}

#[test]
fn every_other_host_is_known_by_the_mac_of_its_outer_address() {
    let (mirror, me) = fabric(&["192.0.2.1", "2001:db8::1"], Encapsulation::Always);

    let tunnel = wanted(&mirror, &me, &kernel()).unwrap();

    let mac = Mac([0x02, 0x76, 198, 51, 100, 3]);
    assert_eq!((tunnel.device.local, tunnel.device.mtu_bytes), (me.addresses.first().copied().unwrap(), 8950));
    assert_eq!(tunnel.fdb.get(&mac), Some(&"198.51.100.3".parse().unwrap()));
    assert_eq!(tunnel.neighbours.get(&"198.51.100.3".parse::<IpAddr>().unwrap()), Some(&mac));
    assert_eq!(tunnel.neighbours.get(&"fe80::76:c6ff:fe33:6403".parse::<IpAddr>().unwrap()), Some(&mac));
    assert_eq!((tunnel.fdb.len(), tunnel.neighbours.len()), (2, 4));
    assert!(tunnel.hosts.is_empty(), "nothing is led to a device that is not there");
}

#[test]
fn a_host_of_ipv6_alone_wraps_in_ipv6_what_is_for_others_of_its_kind() {
    let (mut mirror, me) = fabric(&["2001:db8::1"], Encapsulation::Always);
    let its_like = Object::Host(host("h4", &["2001:db8::4"]));
    mirror.change(2, vec![Versioned { value: its_like, version: 2 }], vec![], vec![]);

    let tunnel = wanted(&mirror, &me, &kernel()).unwrap();

    assert_eq!(tunnel.fdb.values().collect::<Vec<_>>(), [&"2001:db8::4".parse::<IpAddr>().unwrap()]);
    assert_eq!(tunnel.device.mtu_bytes, 1430);
    assert_eq!(container_mtu_bytes(&mirror, &me, &["10.77.0.1".parse().unwrap()], 1500), 1430);
    assert_eq!(container_mtu_bytes(&mirror, &me, &["10.99.0.1".parse().unwrap()], 1500), 1500);
}

#[test]
fn a_host_without_ipv6_is_given_nothing_of_it() {
    let (mirror, me) = fabric(&["192.0.2.1"], Encapsulation::Always);

    let tunnel = wanted(&mirror, &me, &kernel()).unwrap();

    assert!(tunnel.neighbours.keys().all(IpAddr::is_ipv4), "{:?}", tunnel.neighbours);
}

#[test]
fn a_range_with_a_host_in_it_is_not_wrapped() {
    let (mut mirror, me) = fabric(&["192.0.2.1"], Encapsulation::Always);
    let inside = Object::Host(host("h4", &["10.77.3.4"]));
    mirror.change(2, vec![Versioned { value: inside, version: 2 }], vec![], vec![]);

    assert_eq!(wanted(&mirror, &me, &kernel()), None);
}

#[test]
fn across_subnets_hosts_on_the_link_are_led_to_as_they_are() {
    let (mirror, me) = fabric(&["192.0.2.1"], Encapsulation::CrossSubnet);
    let mut kernel = kernel();
    let device = wanted(&mirror, &me, &kernel).unwrap().device;

    standing(&mut kernel, device);
    let tunnel = wanted(&mirror, &me, &kernel).unwrap();

    let hosts: Vec<String> = tunnel.hosts.keys().map(|(_, address)| address.to_string()).collect();
    assert_eq!(hosts, ["198.51.100.3"]);
}

#[test]
fn a_device_that_is_another_or_has_no_carrier_leads_nowhere() {
    let (mirror, me) = fabric(&["192.0.2.1"], Encapsulation::Always);
    let mut kernel = kernel();
    let device = wanted(&mirror, &me, &kernel).unwrap().device;
    let leads = |kernel: &KernelState| {
        let tunnel = wanted(&mirror, &me, kernel);
        Tunnels::of(&mirror, &me, tunnel.as_ref(), kernel).gateway("192.0.2.2".parse().unwrap()).is_some()
    };

    standing(&mut kernel, device);
    assert!(leads(&kernel));

    kernel.dark.insert(7);
    assert!(!leads(&kernel), "it is down");
    kernel.dark.clear();
    standing(&mut kernel, Device { vxlan: Vxlan { vni: 4, ..device.vxlan }, ..device });
    assert!(!leads(&kernel), "it is of another network");
    standing(&mut kernel, Device { mtu_bytes: 1400, ..device });
    assert!(leads(&kernel), "its MTU may be on its way");
}
