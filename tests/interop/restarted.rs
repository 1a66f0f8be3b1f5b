//! Traffic through a BIRD that is killed and starts again as after a restart (RFC 4724): nobody between notices.

use poplin_lab::{Bird, Lab, Pings, eventually, until};

use crate::beside::host_beside;

/// Behind BIRD, which announces the prefix of this address.
const BEYOND: &str = "198.51.100.1";

const CONFIGURATION: &str = "router id 172.31.0.1; log stderr all; graceful restart wait 10; protocol device {}
protocol kernel { graceful restart; ipv4 { export all; }; }
protocol static { ipv4; route 198.51.100.0/24 blackhole; }
protocol bgp fabric { connect delay time 1; connect retry time 1; error wait time 1, 1; graceful restart on;
  local 172.31.1.1 as 65001; neighbor 172.31.1.2 as 64601; ipv4 { import all; export all; next hop self; }; }";

#[test]
fn no_packet_is_lost_while_a_bird_is_killed_and_comes_back() {
    let lab = Lab::new();
    let mut bird = Bird::new(&lab, "tor");
    let host = host_beside(&lab, bird.namespace());
    bird.namespace().run("ip", &["address", "add", &format!("{BEYOND}/32"), "dev", "lo"]);
    host.namespace().run("ip", &["route", "del", "default"]); // nothing but what BIRD announces leads there
    host.apply(
        "{apiVersion: poplin.dev/v1, kind: Peer, metadata: {name: tor}, spec: {address: 172.31.1.1, asn: 65001}}",
    );
    let mut web = lab.container("web");
    host.attach(&mut web, &[]);
    bird.start_with(CONFIGURATION);
    let beyond = BEYOND.parse().expect("an address");
    until("packets pass", || web.reaches(beyond));
    let mut pings = Pings::start(lab.directory(), &web, beyond, 600);

    bird.stop();
    until("its routes are stale", || host.poplin(&["routes"]).contains("*s "));
    bird.start_again_with(CONFIGURATION);
    host.until_established(1);
    eventually("all is told again", || match host.poplin(&["routes"]) {
        routes if routes.contains("198.51.100.0/24") && !routes.contains("*s ") => Ok(()),
        routes => Err(format!("{routes}\n{}", bird.birdc("show protocols all fabric"))),
    });

    assert!(pings.are_running(), "all of that happened under way");
    assert_eq!(pings.lost(), 0, "{}", host.said());
}
