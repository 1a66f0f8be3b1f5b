//! A BIRD stays away for longer than a restart takes, and a speaker alone and another BIRD make the best of it (RFC 9494).

use poplin_lab::{Agent, Bird, Lab, eventually, until};

/// A BIRD that announces one prefix to the speaker, is back within a second, or may stay away for 600 more.
fn client(number: u8) -> String {
    format!(
        "router id 192.0.2.1{number};\nprotocol device {{}}\n\
         protocol static foreign {{ ipv4; route 10.{number}.0.0/16 blackhole; }}\n\
         protocol bgp speaker {{ connect delay time 1; local 192.0.2.1{number} as 64512; neighbor 192.0.2.1 as 64512;\n\
         graceful restart on; graceful restart time 1; long lived graceful restart on; long lived stale time 600;\n\
         ipv4 {{ import all; export where proto = \"foreign\"; next hop self; }}; }}"
    )
}

const SPEAKER: &str = r#"
asn = 64512
routerId = "192.0.2.1"
addresses = ["192.0.2.1"]
[peers.bird1]
address = "192.0.2.11"
asn = 64512
reflectorClient = true
longLivedSeconds = 300
[peers.bird2]
address = "192.0.2.12"
asn = 64512
reflectorClient = true
longLivedSeconds = 300
"#;

#[test]
fn a_bird_that_stays_away_is_the_last_choice_until_it_is_back() {
    let lab = Lab::new();
    let mut birds = [1, 2].map(|number| Bird::new(&lab, &format!("bird{number}")));
    let namespace = lab.namespace("speaker");
    let _segment = lab.segment("192.0.2", &[(&namespace, 1), (birds[0].namespace(), 11), (birds[1].namespace(), 12)]);
    let mut speaker = Agent::speaker(&lab, namespace, "speaker", SPEAKER);
    speaker.start();
    (1..).zip(&mut birds).for_each(|(number, bird)| bird.start_with(&client(number)));
    speaker.until_established(2);
    let marked = |speaker: &Agent| speaker.poplin(&["routes", "10.1.0.0/16"]).contains("llgr-stale");
    let told = |bird: &Bird| bird.birdc("show route all 10.1.0.0/16");
    until("bird2 has the prefix of bird1", || told(&birds[1]).contains("192.0.2.11"));
    let known = birds[1].birdc("show protocols all speaker");
    assert!(known.matches("Long-lived graceful restart").count() == 2, "both ends speak of it: {known}");
    assert!(known.contains("LL stale time: 300"), "{known}");
    assert!(!marked(&speaker));

    birds[0].stop();

    until("its routes are the last choice", || marked(&speaker));
    eventually("bird2 is told of it", || {
        let route = told(&birds[1]);
        let is_told = route.contains("192.0.2.11") && route.contains("(65535,6)");
        if is_told { Ok(()) } else { Err(route) }
    });
    assert!(speaker.said().contains("kept as the last choice for 300 s"), "{}", speaker.said());

    birds[0].start_with(&client(1));
    until("it is back, and as before", || {
        let route = told(&birds[1]);
        !marked(&speaker) && route.contains("192.0.2.11") && !route.contains("(65535,6)")
    });
}

#[test]
fn birds_keep_what_a_speaker_said_that_died() {
    let lab = Lab::new();
    let mut birds = [1, 2].map(|number| Bird::new(&lab, &format!("bird{number}")));
    let namespace = lab.namespace("speaker");
    let _segment = lab.segment("192.0.2", &[(&namespace, 1), (birds[0].namespace(), 11), (birds[1].namespace(), 12)]);
    let mut speaker = Agent::speaker(&lab, namespace, "speaker", SPEAKER);
    speaker.start();
    (1..).zip(&mut birds).for_each(|(number, bird)| bird.start_with(&client(number)));
    until("bird2 has the prefix of bird1", || birds[1].birdc("show route all 10.1.0.0/16").contains("192.0.2.11"));

    speaker.kill();

    until("bird2 has noticed", || !birds[1].birdc("show protocols").contains("Established"));
    assert!(birds[1].birdc("show route all 10.1.0.0/16").contains("192.0.2.11"), "and keeps the route");
    speaker.start();
    speaker.until_established(2);
    until("and it is told again", || birds[1].birdc("show route all 10.1.0.0/16").contains("192.0.2.11"));
}
