//! Networks of Docker between hosts whose network routes no container.

use poplin_lab::{Docker, IMAGE, Lab, told, until};

/// The routers take nothing from containers.
const SOURCE_CHECK: &str =
    "table inet check { chain forward { type filter hook forward priority 0; ip saddr 10.99.0.0/16 counter drop; }; }";

#[test]
fn a_network_made_with_encap_reaches_the_other_host_through_a_tunnel() {
    let lab = Lab::new();
    let mut tor = lab.tor();
    tor.start_etcd();
    tor.namespace().run("nft", &[SOURCE_CHECK]);
    let [(mut one, first), (mut two, second)] = [1, 2].map(|number| {
        let host = tor.host(&lab, number);
        let docker = Docker::new(&lab, &host);
        let arguments = docker.arguments();
        (docker, host.with(&arguments.iter().map(String::as_str).collect::<Vec<_>>()))
    });
    let mut hosts = [first, second];
    hosts.iter_mut().for_each(|host| host.start());
    hosts[0].apply("{apiVersion: poplin.dev/v1, kind: Pool, metadata: {name: containers}, spec: {cidr: 10.77.0.0/16}}");
    hosts.iter().for_each(|host| host.until_established(1));
    one.start();
    two.start();

    one.make_network("far", &["--subnet", "10.99.0.0/24", "-o", "encap=cross-subnet"]);
    two.until_network("far");
    one.sleeper("web", &["--network", "far"]);
    two.sleeper("db", &["--network", "far"]);

    until("they talk", || one.pings("web", &two.address("db", "far")));
    let mtu = one.run(&["exec", "web", "cat", "/sys/class/net/eth0/mtu"]);
    assert_eq!(mtu.trim(), "1450");
    let refused =
        told(&two.try_run(&["run", "--detach", "--network", "far", "--publish", "4789:53/udp", IMAGE, "sleep", "9"]));
    assert!(refused.contains("4789:53/udp cannot be published: the fabric's tunnels receive at"), "{refused}");
    let pools = hosts[1].poplin(&["get", "pools", "-o", "wide"]);
    assert!(pools.lines().any(|line| line.starts_with("far ") && line.contains("crossSubnet")), "{pools}");
    for (more, why) in [
        (
            ["--subnet", "10.77.9.0/24", "-o", "encap=always"],
            "pool containers (10.77.0.0/16) has encapsulation never, not always",
        ),
        (["--subnet", "10.98.0.0/24", "-o", "encap=vxlan"], "\"vxlan\" is neither never, cross-subnet nor always"),
    ] {
        let create = ["network", "create", "-d", "poplin", "--ipam-driver", "poplin"];
        let refused = told(&one.try_run(&[&create[..], &more, &["other"]].concat()));
        assert!(refused.contains(why), "{refused}");
    }
    assert!(!hosts[0].poplin(&["get", "networks"]).contains("other"));
}
