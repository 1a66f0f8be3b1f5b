//! Names outside of the fabric: the host's resolvers know them, and not everybody may ask.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use hickory_proto::rr::RecordType;
use poplin_lab::until;

use super::{GATEWAY, ask, ask_by_tcp, ask_from, gateway, resolver, two_hosts};

#[test]
fn other_names_are_asked_for_outside_once_and_by_containers_only() {
    let fabric = two_hosts(&["--dns-upstream", "127.0.0.1"]);
    let host = &fabric.hosts[0];
    let asked = resolver(host.namespace());
    let [mut web, mut db] = ["web", "db"].map(|name| fabric.lab.container(name));
    host.attach(&mut web, &[]);
    host.attach_with(&mut db, &["--network", "shop"]);

    let is_found = |said: Option<super::Said>| said.is_some_and(|said| said.is(&["192.0.2.7"]));
    until("the resolver is asked", || is_found(ask(&web, GATEWAY, "example.com")));
    assert!(is_found(ask(&web, GATEWAY, "EXAMPLE.com")) && is_found(ask(&db, &gateway(host, "shop"), "example.com")));
    assert!(is_found(ask_by_tcp(&web, GATEWAY, "example.com").ok()));
    assert_eq!(asked.load(Ordering::SeqCst), 1, "then the answer is remembered");

    let outside = fabric.tor.namespace();
    outside.run("ip", &["route", "add", GATEWAY, "via", "172.30.0.1"]);
    let server = SocketAddr::new(GATEWAY.parse().expect("it is an address"), 53);
    assert_eq!(ask_from(outside, server, "example.com", RecordType::A), None, "who is no container gets no answer");
}

#[test]
fn an_internal_network_has_its_names_and_none_of_the_outside_also_with_ipv6_alone() {
    let fabric = two_hosts(&["--dns-upstream", "127.0.0.1"]);
    let [h1, h2] = &fabric.hosts[..] else { panic!("there are two") };
    let asked = resolver(h1.namespace());
    h1.apply("{apiVersion: poplin.dev/v1, kind: Network, metadata: {name: closed}, spec: {internal: true}}");
    h1.apply(
        "{apiVersion: poplin.dev/v1, kind: Network, metadata: {name: sixes}, spec: {internal: true, subnets: [ipv6]}}",
    );
    let [mut four, mut four2, mut six, mut six2] =
        ["four", "four2", "six", "six2"].map(|name| fabric.lab.container(name));
    h1.attach_with(&mut four, &["--network", "closed"]);
    h2.attach_with(&mut four2, &["--network", "closed"]);
    h1.attach_with(&mut six, &["--network", "sixes"]);
    h2.attach_with(&mut six2, &["--network", "sixes"]);

    let closed = gateway(h1, "closed");
    until("a name is found", || super::leads_to(ask(&four, &closed, "four2"), &four2));
    assert!(ask(&four, &closed, "example.com").expect("it answers").is_nobody());
    let index = h1.get(&["network", "sixes"])["spec"]["index"].as_u64().expect("it has a number");
    let link = six.namespace().run("cat", &["/sys/class/net/eth0/ifindex"]);
    let server = format!("[fe80::1:{index:x}%{}]:53", link.trim()).parse().expect("it is an address of a link");
    let by_six = |name: &str| ask_from(six.namespace(), server, name, RecordType::AAAA);
    let address = six2.v6().to_string();
    until("a name is found by IPv6", || by_six("six2").is_some_and(|said| said.is(&[&address])));
    assert!(by_six("example.com").expect("it answers").is_nobody());
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}
