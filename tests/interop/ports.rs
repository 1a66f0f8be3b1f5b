//! One host and one BIRD that speak BGP on other ports than 179, whoever of them calls.

use crate::beside::{V4, World};

const LISTENING: [&str; 2] = ["--bgp-listen", "0.0.0.0:1791"];
const PORTS: [u16; 2] = [1790, 1791];

#[test]
fn a_bird_on_another_port_is_called_there() {
    let world = World::with(&LISTENING);
    world.peer(V4, "port: 1790");

    world.bird_on(V4, PORTS, "passive on;");

    world.until_established();
}

#[test]
fn a_bird_calls_us_on_the_port_we_chose() {
    let world = World::with(&LISTENING);
    world.peer(V4, "port: 1790, passive: true");

    world.bird_on(V4, PORTS, "");

    world.until_established();
}
