//! `docker run` waits until the switch has the route, where the fabric asks for it.

use poplin_lab::{IMAGE, told, until};

use super::{Dockers, endpoints};

/// Each address is announced by itself, and so new to the switch.
const WAITING: &str = "
{apiVersion: poplin.dev/v1, kind: Pool, metadata: {name: single}, spec: {cidr: 10.98.0.0/24, blockSize: 32}}
---
{apiVersion: poplin.dev/v1, kind: FabricConfig, metadata: {name: default}, spec: {mesh: false, readiness: {peers: any, timeoutSeconds: 5}}}
";

#[test]
fn a_container_that_no_switch_knows_does_not_start_and_one_that_it_knows_does() {
    let Dockers { docker: [one, two], hosts: [host, _], tor, .. } = &Dockers::start();
    host.apply(WAITING);
    one.make_network("shop", &["--subnet", "10.98.0.0/28"]);
    two.until_network("shop");
    two.sleeper("db", &["--network", "shop"]);
    let db = two.address("db", "shop");

    // The store is where the switch is, so only the way of BGP is cut.
    let cut = "table inet cut { chain in { type filter hook input priority -310; iifname h1 tcp dport 179 drop; iifname h1 tcp sport 179 drop; }; }";
    tor.namespace().run("nft", &[cut]);
    let refused = one.try_run(&["run", "--rm", "--network", "shop", IMAGE, "true"]);
    let refused = told(&refused);
    assert!(
        refused.contains("was not acknowledged within 5 s: tor-h1 (172.31.1.1) has not acknowledged it"),
        "{refused}"
    );
    assert_eq!((endpoints(host), host.links()), (vec!["db.shop".to_owned()], vec![]));

    tor.namespace().run("nft", &["delete table inet cut"]);
    until("its first packet is answered", || {
        one.try_run(&["run", "--rm", "--network", "shop", IMAGE, "ping", "-c1", "-W1", &db]).status.success()
    });
}
