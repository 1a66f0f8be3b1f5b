//! One container in several networks, which come and go while it runs.

use poplin_lab::{Docker, until};

use super::Dockers;

#[test]
fn a_container_joins_and_leaves_networks_while_it_runs() {
    let Dockers { docker: [one, two], .. } = &Dockers::start();
    for name in ["front", "back"] {
        one.make_network(name, &[]);
        two.until_network(name);
    }
    one.sleeper("proxy", &["--network", "front"]);
    two.sleeper("client", &["--network", "front"]);
    two.sleeper("db", &["--network", "back"]);
    let (client, db) = (two.address("client", "front"), two.address("db", "back"));
    until("one network is reached", || one.pings("proxy", &client));
    assert!(!one.pings("proxy", &db), "the other is not");

    one.run(&["network", "connect", "back", "proxy"]);
    until("both are, each by its own link", || one.pings("proxy", &client) && one.pings("proxy", &db));
    assert_eq!(gateways(one, "proxy"), 2, "{}", one.run(&["exec", "proxy", "ip", "route"]));

    one.run(&["network", "disconnect", "front", "proxy"]);
    until("one was left, and the default route goes by the other", || {
        one.pings("proxy", &db) && one.run(&["exec", "proxy", "ip", "route"]).contains("default via")
    });
    assert_eq!(gateways(one, "proxy"), 1);

    one.run(&["network", "connect", "front", "proxy"]);
    until("and back", || one.pings("proxy", &client) && one.pings("proxy", &db));
    one.run(&["restart", "--time", "0", "proxy"]);
    until("a restart brings both", || one.pings("proxy", &client) && one.pings("proxy", &db));
}

#[test]
fn a_container_in_two_networks_reaches_each_by_both_families() {
    let Dockers { docker: [one, two], hosts: [host, _], .. } = &Dockers::start();
    host.apply("{apiVersion: poplin.dev/v1, kind: Pool, metadata: {name: containers-v6}, spec: {cidr: 'fd77::/48'}}");
    for name in ["front", "back"] {
        one.make_network(name, &["--ipv6"]);
        two.until_network(name);
    }
    one.sleeper("proxy", &["--network", "front"]);
    one.run(&["network", "connect", "back", "proxy"]);
    two.sleeper("client", &["--network", "front"]);
    two.sleeper("db", &["--network", "back"]);

    for (container, network) in [("client", "front"), ("db", "back")] {
        let (v4, v6) = (two.address(container, network), two.address_v6(container, network));
        assert!(v6.starts_with("fd77:"), "{v6}");
        until("it is reached by IPv4", || one.pings("proxy", &v4));
        until("and by IPv6", || one.pings("proxy", &v6));
    }
}

/// Gateways a container has a link to.
fn gateways(docker: &Docker, container: &str) -> usize {
    docker.run(&["exec", container, "ip", "route"]).lines().filter(|line| line.starts_with("169.254.")).count()
}
