//! One host and one BIRD whose connections are protected: signed by a password, and heard only from near.

use poplin_lab::until;

use crate::beside::{V4, V6, World};

#[test]
fn sessions_are_signed_in_either_family_whoever_calls() {
    for ends in [V4, V6] {
        for bird_calls in ["", "passive on;"] {
            let world = World::new();
            world.password("secret\n");
            world.peer(ends, "passwordFile: FILE");

            world.bird(ends, &format!("password \"secret\"; {bird_calls}"));

            world.until_established();
        }
    }
}

#[test]
fn a_host_that_only_listens_accepts_signed_calls() {
    let world = World::new();
    world.password("secret\n");
    world.peer(V4, "passwordFile: FILE, port: 1179");

    world.bird(V4, "password \"secret\";");

    world.until_established();
}

#[test]
fn another_password_is_told_and_the_right_one_mends_it_without_a_word_to_us() {
    let world = World::new();
    world.password("another");
    world.peer(V4, "passwordFile: FILE");

    world.bird(V4, "password \"secret\";");

    world.until_told(&["no answer within 5s", "keeps silent", "segments came signed with another password"]);
    let text = String::from_utf8(world.host.try_poplin(&["status"]).stderr).unwrap();
    assert!(text.contains("BGP session with router (172.31.1.1) is") && text.contains("keeps silent"), "{text}");
    assert!(!text.contains("secret") && !text.contains("another\n"), "{text}");
    world.password("secret");
    world.until_established();
}

#[test]
fn a_neighbour_that_signs_is_no_neighbour_for_a_host_that_does_not_and_the_other_way_round() {
    let world = World::new();
    world.password("secret");
    world.peer(V4, "");
    world.bird(V4, "password \"secret\";");
    world.until_told(&["signed segments came from neighbours without a passwordFile"]);

    world.peer(V4, "passwordFile: FILE");
    world.until_established();

    world.bird(V4, ""); // at once, so that an older dial of ours is still under way
    until("the session is gone", || world.session()["state"] != "Established");
    world.until_told(&["segments came without a signature"]);
    world.peer(V4, "");
    world.until_established();
}

#[test]
fn without_its_password_file_there_is_no_session_and_that_is_told() {
    let world = World::new();
    world.peer(V4, "passwordFile: FILE");

    world.bird(V4, "");

    world.until_told(&["cannot read the password file", "No such file"]);
    until("BIRD's calls are refused", || world.host.said().contains("refused a connection of 172.31.1.1"));
    assert_ne!(world.session()["state"], "Established");
    world.password("");
    world.until_told(&["is 0 octets long; 1 to 80 are allowed"]);
}

#[test]
fn neighbours_of_one_link_hear_each_other_and_nobody_from_afar() {
    for ends in [V4, V6] {
        let world = World::new();
        world.peer(ends, "ttlSecurityHops: 1");

        world.bird(ends, "ttl security on;");

        world.until_established();
    }
}

#[test]
fn a_neighbour_whose_packets_seem_to_come_from_afar_is_told() {
    let world = World::new();
    world.peer(V4, "ttlSecurityHops: 1");

    world.bird(V4, ""); // to a neighbour on the link BIRD sends with a hop limit of 1

    world.until_told(&["within 5s", "one more than 1 hops away is not heard", "packets came from farther"]);
    world.peer(V4, "");
    world.bird(V4, ""); // its half-dead connections would hold it up
    world.until_established();
}

#[test]
fn who_calls_from_a_prefix_is_let_in_by_its_password_and_a_new_one_counts_soon() {
    for ends in [V4, V6] {
        let world = World::new();
        world.password("secret");
        let range = if ends == V4 { "172.31.1.0/24" } else { "fd31:1::/64" };
        world.host.apply(&format!(
            "{{apiVersion: poplin.dev/v1, kind: Peer, metadata: {{name: router}}, \
             spec: {{addressRange: '{range}', asn: 65001, passwordFile: {}, ttlSecurityHops: 1}}}}",
            world.file().display()
        ));

        world.bird(ends, "ttl security on;");
        until("an unsigned call is dropped", || {
            let status = world.tor.borrow().birdc("show protocols all fabric");
            status.contains("Connect") || status.contains("Active")
        });
        assert!(world.host.status()["sessions"].as_array().is_none_or(Vec::is_empty));

        world.bird(ends, "ttl security on; password \"secret\";");
        world.until_established();

        world.password("another");
        world.bird(ends, "ttl security on; password \"another\";");
        until("the session is gone", || world.session()["state"] != "Established");
        world.until_established();
    }
}
