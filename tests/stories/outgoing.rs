//! What leaves the fabric from a pool that asks for it leaves under another source, and nothing else does.

use std::net::IpAddr;

use poplin_agent::kernel::Conntrack;
use poplin_lab::{Container, Fabric, Flow, Talk, Witness, both, until};
use poplin_policy::packet::UDP;

#[test]
fn who_has_no_way_back_is_reached_under_the_hosts_address() {
    let scene = Scene::new();
    let Scene { fabric, web, outside, .. } = &scene;
    let witness = Witness::on(outside.namespace(), 443);
    let sees = |address| witness.sees(web.namespace(), address, 443);
    assert_eq!(OUTSIDE.map(sees), [None, None], "without translation no answer comes back");

    fabric.hosts[0].apply(&pools("nat: {}"));

    until("it sees the host, by both families", || OUTSIDE.map(sees) == HOST.map(Some));
    assert!(OUTSIDE.into_iter().all(|address| web.reaches(address)), "pings too");
    fabric.hosts[0].apply(&pools(""));
    until("no answer comes back again", || OUTSIDE.map(sees) == [None, None]);
}

#[test]
fn datagrams_that_found_no_way_back_are_translated_once_their_pool_asks_for_it() {
    let scene = Scene::new();
    let talk = Talk::datagrams(&scene.web, &scene.outside, OUTSIDE[0], 53);
    let host = &scene.fabric.hosts[0];
    let flows =
        || host.namespace().within(|| Conntrack::open().and_then(|mut table| Ok(table.read(&[OUTSIDE[0]].into())?)));
    until("they are on their way", || {
        flows().is_ok_and(|flows| flows.iter().any(|flow| flow.opened.protocol() == UDP))
    });
    assert_eq!(talk.heard(), 0);

    host.apply(&pools("nat: {}"));

    talk.goes_on();
}

#[test]
fn inside_of_the_fabric_nothing_is_translated() {
    let scene = Scene::new();
    let Scene { fabric, web, outside, .. } = &scene;
    let db = fabric.container(2, "db");
    let neighbour = fabric.container(1, "neighbour");
    fabric.hosts[0].apply(&pools("nat: {}"));
    fabric.hosts[0].apply("{apiVersion: poplin.dev/v1, kind: FabricConfig, metadata: {name: default}, spec: {mesh: false, workloadToHost: accept}}");
    let witness = Witness::on(outside.namespace(), 443);
    until("the outside sees the host", || witness.sees(web.namespace(), OUTSIDE[0], 443) == Some(HOST[0]));
    until("db answers", || web.reaches(db.v4()) && web.reaches(db.v6()));

    let [own4, own6] = [web.v4(), web.v6()].map(Some);
    for to in [&db, &neighbour] {
        let witness = Witness::on(to.namespace(), 80);
        assert_eq!(witness.sees(web.namespace(), to.v4(), 80), own4);
        assert_eq!(witness.sees(web.namespace(), to.v6(), 80), own6);
    }
    let [own_host, other_host] = [0, 1].map(|number| Witness::on(fabric.hosts[number].namespace(), 80));
    until("its host hears it", || own_host.sees(web.namespace(), HOST[0], 80) == own4);
    assert_eq!(own_host.sees(web.namespace(), HOST[1], 80), own6);
    assert_eq!(other_host.sees(web.namespace(), "172.31.2.2".parse().unwrap(), 80), own4);
    assert_eq!(other_host.sees(web.namespace(), "fd31:2::2".parse().unwrap(), 80), own6);
}

#[test]
fn an_excluded_destination_sees_the_container_and_an_address_that_was_given_stands_for_it_elsewhere() {
    let scene = Scene::new();
    let Scene { fabric, web, outside, partner } = &scene;
    for (address, host) in GIVEN.into_iter().zip(HOST) {
        fabric.tor.namespace().run("ip", &["route", "add", address, "via", &host.to_string()]);
        fabric.hosts[0].ip(&format!("address add {address} dev lo"));
    }
    let [far, near] = [outside, partner].map(|machine| Witness::on(machine.namespace(), 443));
    let far = |address| far.sees(web.namespace(), address, 443);
    let near = |address| near.sees(web.namespace(), address, 443);
    fabric.hosts[0].apply(&pools("nat: {}"));
    until("both see the host", || OUTSIDE.map(far) == HOST.map(Some) && PARTNER.map(near) == HOST.map(Some));

    fabric.hosts[0].apply(
        &[
            pool("containers", "10.77.0.0/16", "nat: {mode: snat, address: 172.31.1.200, exclude: [198.51.100.0/24]}"),
            pool(
                "containers-v6",
                "'fd77::/48'",
                "nat: {mode: snat, address: 'fd31:1::200', exclude: ['2001:db8:1::/48']}",
            ),
        ]
        .concat(),
    );

    until("the outside sees what was given", || {
        OUTSIDE.map(far) == GIVEN.map(|address| Some(address.parse().unwrap()))
    });
    assert_eq!(PARTNER.map(near), [web.v4(), web.v6()].map(Some));
}

#[test]
fn policy_is_asked_about_the_containers_own_address() {
    let scene = Scene::new();
    let Scene { fabric, web, outside, .. } = &scene;
    let host = &fabric.hosts[0];
    host.apply(&pools("nat: {}"));
    let witness = Witness::on(outside.namespace(), 443);
    let _other = outside.listen(444);
    until("the outside sees the host", || witness.sees(web.namespace(), OUTSIDE[0], 443) == Some(HOST[0]));

    host.apply(&format!("{{apiVersion: poplin.dev/v1, kind: HostEndpoint, metadata: {{name: edge, labels: {{role: edge}}}}, spec: {{host: h1, interface: uplink}}}}
---
{{apiVersion: poplin.dev/v1, kind: Policy, metadata: {{name: edge}}, spec: {{subject: role == 'edge', hosts: forward, egress: [
  {{action: allow, from: {{nets: [{}/32]}}, ports: [tcp/443]}}]}}}}
", web.v4()));

    until("what no rule allows does not leave", || !web.connects(OUTSIDE[0], 444));
    assert_eq!(witness.sees(web.namespace(), OUTSIDE[0], 443), Some(HOST[0]), "the rule knows the container");
}

#[test]
fn a_flow_to_the_outside_outlives_the_agent_and_new_ones_begin_without_it() {
    let mut scene = Scene::new();
    scene.fabric.hosts[0].apply(&pools("nat: {}"));
    let Scene { fabric, web, outside, .. } = &mut scene;
    until("the outside answers", || OUTSIDE.into_iter().all(|address| web.reaches(address)));
    let flows = OUTSIDE.map(|address| Flow::open(web, outside, address, if address.is_ipv4() { 443 } else { 444 }));
    let witness = Witness::on(outside.namespace(), 80);

    fabric.hosts[0].kill();
    flows.iter().for_each(Flow::goes_on);
    assert_eq!(witness.sees(web.namespace(), OUTSIDE[0], 80), Some(HOST[0]));
    fabric.hosts[0].start();
    fabric.hosts[0].until_established(1);

    assert_eq!(witness.sees(web.namespace(), OUTSIDE[1], 80), Some(HOST[1]));
    flows.iter().for_each(Flow::goes_on);
    flows.into_iter().for_each(|flow| flow.end().expect("the TCP flow never breaks"));
}

#[test]
fn a_wish_that_cannot_be_is_refused_with_what_to_try() {
    let fabric = Fabric::meshed(1);

    let refused =
        fabric.hosts[0].try_apply(&pool("containers", "10.77.0.0/16", "nat: {mode: snat, exclude: ['fd00::/8']}"));

    let told = poplin_lab::told(&refused);
    assert!(told.contains("spec.nat.address: snat wants an address"), "{told}");
    assert!(told.contains("spec.nat.exclude[0]: fd00::/8 is of IPv6"), "{told}");
}

const OUTSIDE: [IpAddr; 2] = both([192, 0, 2, 2], [0x2001, 0xdb8, 0, 0, 0, 0, 0, 2]);
const PARTNER: [IpAddr; 2] = both([198, 51, 100, 2], [0x2001, 0xdb8, 1, 0, 0, 0, 0, 2]);
/// The uplink of h1.
const HOST: [IpAddr; 2] = both([172, 31, 1, 2], [0xfd31, 1, 0, 0, 0, 0, 0, 2]);
/// Addresses of h1 as well.
const GIVEN: [&str; 2] = ["172.31.1.200", "fd31:1::200"];

/// Two hosts under a ToR with a container on the first, and two machines outside: one that knows the way to hosts only, and one that knows all.
struct Scene {
    web: Container,
    outside: Container,
    partner: Container,
    fabric: Fabric,
}

impl Scene {
    fn new() -> Self {
        let fabric = Fabric::under_a_tor(2);
        let web = fabric.container(1, "web");
        let outside = fabric.machine("outside", OUTSIDE, ["172.31.0.0/16", "fd31::/16"]);
        let partner = fabric.machine("partner", PARTNER, ["default", "default"]);
        until("web reaches the partner", || PARTNER.into_iter().all(|address| web.reaches(address)));
        Self { web, outside, partner, fabric }
    }
}

fn pools(nat: &str) -> String {
    pool("containers", "10.77.0.0/16", nat) + &pool("containers-v6", "'fd77::/48'", nat)
}

fn pool(name: &str, cidr: &str, nat: &str) -> String {
    let more = if nat.is_empty() { String::new() } else { format!(", {nat}") };
    format!(
        "---\n{{apiVersion: poplin.dev/v1, kind: Pool, metadata: {{name: {name}}}, spec: {{cidr: {cidr}{more}}}}}\n"
    )
}
