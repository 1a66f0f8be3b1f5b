//! Routes that people wrote, over two BIRDs that answer BFD: one whose way is down is not used.

use poplin_lab::{Agent, Bird, Lab, eventually, until};
use serde_json::Value;

use crate::beside::host_beside;

const ROUTE: &str = "
apiVersion: poplin.dev/v1
kind: StaticRoute
metadata: {name: out}
spec: {prefixes: [198.51.100.0/24], nextHops: [172.31.1.1, 172.32.1.1], bfd: {intervalMilliseconds: 100}}
";

/// A host with a link to each of two routers.
struct World {
    host: Agent,
    routers: [Bird; 2],
    _lab: Lab,
}

impl World {
    fn new() -> Self {
        let lab = Lab::new();
        let routers = ["r1", "r2"].map(|name| Bird::new(&lab, name));
        let host = host_beside(&lab, routers[0].namespace());
        host.namespace().join("second", &["172.32.1.2/24"], routers[1].namespace(), "h1", &["172.32.1.1/24"]);
        Self { host, routers, _lab: lab }
    }

    fn watching() -> Self {
        let mut world = Self::new();
        world.answer(0);
        world.answer(1);
        world.host.apply(ROUTE);
        world.until_used(&["172.31.1.1", "172.32.1.1"]);
        world.until_told("both ways are up", |one| one["bfd"]["state"] == "Up");
        world
    }

    /// Has a router speak BFD.
    fn answer(&mut self, router: usize) {
        let host = ["172.31.1.2", "172.32.1.2"][router];
        let protocols =
            format!("protocol bfd {{ interface \"*\" {{ interval 100 ms; }}; neighbor {host} dev \"h1\"; }}");
        self.routers[router].start(&format!("192.0.2.{}", router + 1), &protocols);
    }

    /// Waits until the kernel leads there by these and no others.
    #[track_caller]
    fn until_used(&self, next_hops: &[&str]) {
        eventually("the kernel leads there", || {
            let routes = self.host.routes();
            let route = routes.iter().find(|route| route.starts_with("198.51.100.0/24 ")).cloned().unwrap_or_default();
            let all =
                ["172.31.1.1", "172.32.1.1"].into_iter().filter(|next_hop| route.contains(&format!("via {next_hop} ")));
            if all.collect::<Vec<_>>() == next_hops { Ok(()) } else { Err(format!("{next_hops:?}: {routes:?}")) }
        });
    }

    #[track_caller]
    fn until_told(&self, what: &str, is_so: impl Fn(&Value) -> bool) {
        eventually(what, || {
            let told = self.host.status()["staticNextHops"].clone();
            let is_fine = told.as_array().is_some_and(|all| all.len() == 2 && all.iter().all(&is_so));
            if is_fine { Ok(()) } else { Err(told.to_string()) }
        });
    }
}

#[test]
fn a_next_hop_that_is_cut_off_is_not_used_until_it_is_back() {
    let world = World::watching();

    world.routers[0].namespace().cut();

    world.until_used(&["172.32.1.1"]);
    world.until_told("the status tells which", |one| {
        let is_down = one["address"] == "172.31.1.1";
        (one["used"] == !is_down) && (one["bfd"]["state"] == "Up") != is_down
    });
    world.routers[0].namespace().mend();
    world.until_used(&["172.31.1.1", "172.32.1.1"]);
}

#[test]
fn a_route_outlives_the_agent_and_goes_with_its_object() {
    let mut world = World::watching();

    world.host.kill();
    world.until_used(&["172.31.1.1", "172.32.1.1"]);
    world.host.start();

    world.until_told("both ways are up again", |one| one["bfd"]["state"] == "Up" && one["used"] == true);
    world.until_used(&["172.31.1.1", "172.32.1.1"]);
    world.host.poplin(&["delete", "staticroute", "out"]);
    world.until_used(&[]);
}

#[test]
fn a_router_that_says_nothing_is_used_unless_we_are_strict() {
    let mut world = World::new();

    world.host.apply(ROUTE);
    world.until_used(&["172.31.1.1", "172.32.1.1"]);
    world.host.apply(&ROUTE.replace("intervalMilliseconds: 100", "intervalMilliseconds: 100, strict: true"));
    world.until_used(&[]);

    world.answer(1);
    world.until_used(&["172.32.1.1"]);
    assert!(world.host.poplin(&["status"]).contains("STATIC ROUTE"));
}

#[test]
fn what_bgp_teaches_counts_where_nothing_written_leads() {
    let mut world = World::new();
    let bgp = "protocol static { ipv4; route 198.51.100.0/24 blackhole; }\n\
               protocol bgp fabric { direct; connect delay time 1; local 172.32.1.1 as 65001; neighbor 172.32.1.2 as 64601;\n\
               ipv4 { import all; export all; next hop self; }; }";
    world.routers[1].start("192.0.2.2", bgp);
    world.host.apply(
        "{apiVersion: poplin.dev/v1, kind: Peer, metadata: {name: r2}, spec: {address: 172.32.1.1, asn: 65001}}",
    );
    world.until_used(&["172.32.1.1"]);

    world.host.apply(&ROUTE.replace(", 172.32.1.1", ""));
    world.until_used(&["172.31.1.1"]);

    world.host.ip("link set uplink down");
    world.until_used(&["172.32.1.1"]);
    world.host.ip("link set uplink up");
    until("what is written counts again", || world.host.routes().iter().any(|route| route.contains("via 172.31.1.1 ")));
}
