//! A speaker alone among BIRDs, as the examples show it: `examples/reflector` as it stands there, and `examples/speaker`.

use poplin_lab::{Agent, Bird, Lab, eventually, programs, until};

const REFLECTOR: &str = include_str!("../../examples/reflector/reflector.toml");
const README: &str = include_str!("../../README.md");
const CLIENT: &str = include_str!("../../examples/reflector/bird.conf");

/// The client of the example, or the same for rack2.
fn client(rack: u8) -> String {
    CLIENT.replace("192.0.2.11", &format!("192.0.2.1{rack}")).replace("10.1.0.0/16", &format!("10.{rack}.0.0/16"))
}

#[test]
fn the_reflector_of_the_example_reflects_for_two_birds() {
    let lab = Lab::new();
    let mut birds = [1, 2].map(|rack| Bird::new(&lab, &format!("rack{rack}")));
    let namespace = lab.namespace("rr1");
    let _segment = lab.segment("192.0.2", &[(&namespace, 1), (birds[0].namespace(), 11), (birds[1].namespace(), 12)]);
    let mut reflector = Agent::speaker(&lab, namespace, "rr1", REFLECTOR);
    reflector.start();
    (1..).zip(&mut birds).for_each(|(rack, bird)| bird.start_with(&client(rack)));
    reflector.until_established(2);

    for (bird, other) in birds.iter().zip([2, 1]) {
        eventually("each client has the other's prefix", || {
            let route = bird.birdc(&format!("show route all 10.{other}.0.0/16"));
            let wanted = [
                format!("BGP.next_hop: 192.0.2.1{other}"),
                format!("BGP.originator_id: 192.0.2.1{other}"),
                "BGP.cluster_list: 192.0.2.1".to_owned(),
                "BGP.community: (64512,1)".to_owned(),
            ];
            if wanted.iter().all(|line| route.contains(line)) { Ok(()) } else { Err(route) }
        });
    }
    let status = reflector.poplin(&["status"]);
    assert!(status.contains("store file") && status.contains("rack1") && status.contains("rack2"), "{status}");
    until("the way to rack2 is watched", || {
        let session = &reflector.status()["sessions"][1];
        session["name"] == "rack2" && session["bfd"]["state"] == "Up"
    });
    let routes = reflector.poplin(&["routes"]);
    assert!(routes.contains("10.1.0.0/16") && routes.contains("rack2"), "{routes}");
    assert_eq!(reflector.routes(), Vec::<String>::new(), "nobody asked for routes in the kernel");
    assert_eq!(reflector.namespace().run("nft", &["list", "tables"]), "", "nor for rules");
}

#[test]
fn a_speaker_reads_its_file_again_and_puts_routes_into_the_kernel_where_asked() {
    let lab = Lab::new();
    let mut birds = [1, 2].map(|rack| Bird::new(&lab, &format!("rack{rack}")));
    let namespace = lab.namespace("rr1");
    let _segment = lab.segment("192.0.2", &[(&namespace, 1), (birds[0].namespace(), 11), (birds[1].namespace(), 12)]);
    let installing = REFLECTOR.replace("# kernelRoutes = true", "kernelRoutes = true");
    let mut reflector = Agent::speaker(&lab, namespace, "rr1", &installing);
    reflector.start();
    (1..).zip(&mut birds).for_each(|(rack, bird)| bird.start_with(&client(rack)));
    let has = |reflector: &Agent, prefix: &str| reflector.routes().iter().any(|line| line.starts_with(prefix));
    until("learned routes stand in the kernel", || ["10.1", "10.2"].iter().all(|prefix| has(&reflector, prefix)));

    reflector.reconfigure(&installing.replace("10.0.0.0/8 le 32", "10.2.0.0/16"));
    until("what the new file rejects is gone", || !has(&reflector, "10.1") && has(&reflector, "10.2"));
    until("also for the clients", || !birds[1].birdc("show route").contains("10.1.0.0/16 unicast"));

    reflector.reconfigure("asn = 64512\nrouterId = 1");
    until("an unsound file is told of", || reflector.said().contains("what was read before stays in force"));
    reflector.until_established(2);
    let refused = reflector
        .try_apply("{apiVersion: poplin.dev/v1, kind: Peer, metadata: {name: x}, spec: {address: 192.0.2.9, asn: 1}}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("rr1.toml"), "who declares is told of the file");

    reflector.reconfigure(&installing);
    until("what it accepts is back", || has(&reflector, "10.1"));
    reflector.kill();
    assert!(has(&reflector, "10.1") && has(&reflector, "10.2"), "death is harmless");
    reflector.start();
    reflector.until_established(2);
    assert!(has(&reflector, "10.1") && has(&reflector, "10.2"), "the next life adopts its routes");
}

#[test]
fn birds_that_nobody_named_call_from_a_prefix_and_are_forgotten_when_they_are_gone() {
    let lab = Lab::new();
    let mut birds = [1, 2].map(|rack| Bird::new(&lab, &format!("rack{rack}")));
    let namespace = lab.namespace("rr1");
    let _segment = lab.segment("192.0.2", &[(&namespace, 1), (birds[0].namespace(), 11), (birds[1].namespace(), 12)]);
    let mut reflector = Agent::speaker(&lab, namespace, "rr1", pasted());
    reflector.start();
    (1..).zip(&mut birds).for_each(|(rack, bird)| bird.start_with(&client(rack)));

    reflector.until_established(2);
    for (bird, other) in birds.iter().zip([2, 1]) {
        until("each has the other's prefix", || bird.learned().contains(&format!("10.{other}.0.0/16")));
    }
    let status = reflector.poplin(&["status"]);
    assert!(status.contains("racks@192.0.2.11") && status.contains("racks@192.0.2.12"), "{status}");
    reflector.kill();
    reflector.start();
    reflector.until_established(2);
    assert!(birds[0].learned().contains("10.2.0.0/16"), "a restart costs nobody a route");

    birds[1].birdc("disable reflector");
    until("it is forgotten", || !reflector.poplin(&["status"]).contains("racks@192.0.2.12"));
    until("and its prefix is gone", || !birds[0].learned().contains("10.2.0.0/16"));
}

/// The file that the README has one paste.
fn pasted() -> &'static str {
    let (_, rest) = README.split_once("cat > rr1.toml <<'END'\n").expect("the README shows how to start a reflector");
    rest.split_once("END\n").expect("the file ends").0
}

#[test]
fn the_speaker_of_the_example_learns_from_a_bird() {
    let lab = Lab::new();
    let mut bird = Bird::new(&lab, "rack1");
    let namespace = lab.namespace("speaker");
    let _segment = lab.segment("192.0.2", &[(&namespace, 1), (bird.namespace(), 11)]);
    bird.start_with(&client(1));
    let log = lab.directory().join("speaker.log");
    let arguments = ["64512", "192.0.2.1", "192.0.2.1", "179", "192.0.2.11", "179", "64512", "10.9.0.0/16"];
    let speaker = namespace.spawn(log, programs().join("poplin-speaker"), &arguments);

    until("the speaker would install what BIRD says", || {
        speaker.said().contains("install 10.1.0.0/16 via [192.0.2.11]")
    });
    until("BIRD has what the speaker says", || bird.learned().contains("10.9.0.0/16"));
}
