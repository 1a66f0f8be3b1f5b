//! `docker network create -o ports=docker`: Docker publishes ports by its own gateway bridge and shows them; containers reach one another by the fabric.

use poplin_lab::{told, until};

use super::Dockers;

const SERVER: [&str; 3] = ["sh", "-c", "while true; do echo hi | nc -l -p 80; done"];

#[test]
fn docker_shows_the_ports_it_publishes_and_containers_talk_by_the_fabric() {
    let Dockers { docker: [one, two], hosts: [host, other], .. } = &Dockers::start();
    one.make_network("shop", &["-o", "ports=docker"]);
    two.until_network("shop");
    assert_eq!(two.inspect("shop")["Options"]["ports"], "docker", "every host has it so");
    one.run(
        &[&["run", "-d", "--name", "web", "--network", "shop", "-p", "8080:80", poplin_lab::IMAGE][..], &SERVER]
            .concat(),
    );
    two.sleeper("ci", &["--network", "shop", "--label", "app=ci"]);

    let shown = one.run(&["ps", "--format", "{{.Ports}}"]);
    assert!(shown.contains("0.0.0.0:8080->80/tcp"), "{shown}");
    assert!(!host.poplin(&["ports"]).contains("8080"), "it is none of ours");
    let at = host.status()["addresses"][0].as_str().and_then(|text| text.parse().ok()).expect("the host has one");
    until("the other host reaches it", || other.namespace().connect(at, 8080).is_ok());

    let address = one.address("web", "shop");
    until("a container of another host reaches its own address", || two.pings("ci", &address));
    let routes = one.run(&["exec", "web", "ip", "route"]);
    assert!(routes.contains("default via 172.") && routes.contains("169.254."), "{routes}");
    let gateway =
        routes.split_whitespace().find(|word| word.starts_with("169.254.")).expect("a gateway of the network");
    let asks = ["exec", "ci", "busybox", "nslookup", "web", gateway];
    until("names are asked for at the network's gateway", || told(&two.try_run(&asks)).contains(&address));
    host.apply(KEEP_OUT);
    until("and comes there by its own, which policy knows", || !two.pings("ci", &address));

    one.run(&["rm", "-f", "web"]);
    until("the port is free again", || other.namespace().connect(at, 8080).is_err());
}

const KEEP_OUT: &str = "
apiVersion: poplin.dev/v1
kind: Policy
metadata: {name: no-ci}
spec: {subject: all(), ingress: [{action: deny, from: {select: app == 'ci'}}, {action: allow}]}
";

#[test]
fn nobody_comes_to_another_network_by_the_bridge_and_one_mode_is_not_taken_for_the_other() {
    let Dockers { docker: [one, _], hosts: [host, _], .. } = &Dockers::start();
    one.make_network("shop", &["-o", "ports=docker"]);
    one.make_network("bank", &[]);
    one.sleeper("web", &["--network", "shop"]);
    one.sleeper("vault", &["--network", "bank"]);
    let vault = one.address("vault", "bank");
    until("its host reaches it, as anybody from outside", || {
        host.namespace()
            .command("ping")
            .args(["-c1", "-W1", &vault])
            .output()
            .is_ok_and(|output| output.status.success())
    });

    assert!(!one.pings("web", &vault), "by Docker's bridge it would come from outside");
    let rule = "--delete POPLIN -i docker_gwbridge -o pop+ -m conntrack --ctstate NEW -j DROP";
    until("it does where nobody keeps it apart", || {
        // The agent's own look of each minute may lay it again in between.
        let _ = host.namespace().command("iptables").args(rule.split(' ')).output();
        one.pings("web", &vault)
    });
    one.run(&["network", "disconnect", "shop", "web"]);
    one.run(&["network", "connect", "shop", "web"]);
    until("who joins finds it kept apart again", || !one.pings("web", &vault));
    one.run(&["network", "connect", "bank", "web"]);
    until("who joins it is let in", || one.pings("web", &vault));

    let other = [
        "network",
        "create",
        "-d",
        "poplin",
        "--ipam-driver",
        "poplin",
        "-o",
        "network=shop",
        "-o",
        "ports=routed",
        "x",
    ];
    let refused = told(&one.try_run(&other));
    assert!(refused.contains("network shop of the fabric stands with ports=docker"), "{refused}");
    let misspelt = ["network", "create", "-d", "poplin", "--ipam-driver", "poplin", "-o", "ports=bridge", "y"];
    let refused = told(&one.try_run(&misspelt));
    assert!(refused.contains("\"bridge\" is neither routed nor docker"), "{refused}");
}
