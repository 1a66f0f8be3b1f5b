//! A container's runtime goes on when BIRD has the route to it, and is refused in time where it has not.

use std::time::{Duration, Instant};

use poplin_lab::{Agent, Container, told, until};
use serde_json::{Value, json};

use crate::beside::{V4, World};
use crate::changed::counts;

/// Each address is announced by itself, and so new to everybody.
const POOL: &str = "{apiVersion: poplin.dev/v1, kind: Pool, metadata: {name: single}, spec: {cidr: 10.99.0.0/24, blockSize: 32, manual: true}}";

/// Longer than BIRD takes to take a route, and to be dialled again.
const TIMEOUT: Duration = Duration::from_secs(6);

/// Shorter than that.
const OUTAGE: Duration = Duration::from_secs(1);

fn world() -> World {
    let world = World::new();
    world.host.apply(&format!(
        "{POOL}\n---\n{{apiVersion: poplin.dev/v1, kind: FabricConfig, metadata: {{name: default}}, \
         spec: {{readiness: {{peers: all, timeoutSeconds: {}}}}}}}",
        TIMEOUT.as_secs()
    ));
    world.peer(V4, "");
    world.bird(V4, "");
    world.until_established();
    world
}

/// Its runtime asks for an address of the pool; the answer comes within what was promised.
fn add(host: &Agent, container: &Container) -> Result<Value, String> {
    let begin = Instant::now();
    let output = host.cni_with("ADD", container, &json!({"pools": ["single"]}));
    assert!(begin.elapsed() < TIMEOUT + Duration::from_secs(10), "{}", told(&output));
    let answer = serde_json::from_slice(&output.stdout).expect("JSON");
    if output.status.success() { Ok(answer) } else { Err(format!("{answer}")) }
}

fn has_route(world: &World, answer: &Value) -> bool {
    let address = answer["ips"][0]["address"].as_str().expect("an address");
    world.tor.borrow().learned().contains(address)
}

#[test]
fn a_container_is_answered_for_when_bird_has_its_route() {
    let world = world();

    let first = add(&world.host, &world.lab.container("first")).expect("BIRD listens");
    until("BIRD has read what its kernel had acknowledged", || has_route(&world, &first));

    // What is sent meanwhile is lost, and sent again once the way is mended.
    let begin = Instant::now();
    let answer = {
        let (tor, second) = (world.tor.borrow(), world.lab.container("second"));
        let router = tor.namespace();
        router.cut();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(OUTAGE);
                router.mend();
            });
            add(&world.host, &second).expect("the way is mended in time")
        })
    };

    assert!(begin.elapsed() >= OUTAGE, "it was answered while nobody could hear of it");
    until("BIRD has it", || has_route(&world, &answer));
}

#[test]
fn a_container_that_nobody_can_know_is_refused_in_time_and_nothing_is_left_of_it() {
    let world = world();
    let container = world.lab.container("web");
    let before = counts(&world.host, "router");

    // Everything on the way is lost, and nobody has noticed yet: the session stands.
    world.tor.borrow().namespace().cut();
    let error = add(&world.host, &container).expect_err("nobody acknowledges anything");
    let expected = "was not acknowledged within 6 s: router (172.31.1.1) has not acknowledged it";
    assert!(error.contains(expected) && error.contains("\"code\":11"), "{error}");
    let endpoints = world.host.poplin(&["get", "endpoints"]);
    assert!(!endpoints.contains("10.99."), "{endpoints}");
    assert_eq!(world.host.links(), Vec::<String>::new());
    assert!(world.host.poplin(&["ipam", "check"]).ends_with("0 wrong\n"));

    world.tor.borrow().namespace().mend();
    let answer = add(&world.host, &container).expect("the way is mended");
    until("BIRD has it", || has_route(&world, &answer));
    assert_eq!(counts(&world.host, "router"), before, "it is the same session");
}

#[test]
fn without_a_session_the_refusal_says_why_there_is_none() {
    let world = world();
    world.tor.borrow_mut().stop();
    until("it is noticed", || world.session()["state"] != "Established");

    let error = add(&world.host, &world.lab.container("web")).expect_err("BIRD is gone");

    assert!(error.contains("router (172.31.1.1) is ") && error.contains("code\":11"), "{error}");
    world.bird(V4, "");
    let answer = add(&world.host, &world.lab.container("db")).expect("the session comes back within the time");
    until("BIRD has it", || has_route(&world, &answer));
}
