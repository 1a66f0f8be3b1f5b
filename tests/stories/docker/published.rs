//! `docker run -p`: a port of the host leads to the container, which sees who asks.

use poplin_lab::{told, until};

use super::Dockers;

const SERVER: [&str; 3] = ["sh", "-c", "while true; do echo hi | nc -l -p 80; done"];

#[test]
fn a_published_port_leads_to_its_container_until_that_is_gone() {
    let Dockers { docker: [one, _], hosts: [host, other], .. } = &Dockers::start();
    one.make_network("shop", &[]);
    let run = |name: &str| {
        let arguments = ["run", "-d", "--name", name, "--network", "shop", "-p", "8080:80", poplin_lab::IMAGE];
        one.try_run(&[&arguments[..], &SERVER].concat())
    };
    let address = host.status()["addresses"][0].as_str().and_then(|text| text.parse().ok()).expect("the host has one");
    let answers = || other.namespace().connect(address, 8080).is_ok();
    assert!(!answers(), "nothing is published yet");

    let web = run("web");
    assert!(web.status.success(), "{}", told(&web));
    until("the other host reaches it", answers);
    assert!(host.poplin(&["ports"]).contains("8080"), "{}", host.poplin(&["ports"]));

    let twin = told(&run("twin"));
    assert!(twin.contains("8080:80/tcp cannot be published"), "{twin}");
    let any = told(&one.try_run(&["run", "-d", "--network", "shop", "-p", "80", poplin_lab::IMAGE, "sleep", "9"]));
    assert!(any.contains("say at which: -p 8080:80"), "{any}");

    one.run(&["rm", "-f", "web", "twin"]);
    until("the port is free again", || !answers());
    let heir = run("heir");
    assert!(heir.status.success(), "{}", told(&heir));
    until("and leads to the next", answers);
}

#[test]
fn a_container_of_two_networks_publishes_its_port_once_and_keeps_it() {
    let Dockers { docker: [one, _], hosts: [host, other], .. } = &Dockers::start();
    one.make_network("front", &[]);
    one.make_network("back", &[]);
    let address = host.status()["addresses"][0].as_str().and_then(|text| text.parse().ok()).expect("the host has one");
    let answers = || other.namespace().connect(address, 8080).is_ok();
    let arguments = ["run", "-d", "--name", "web", "--network", "front", "-p", "8080:80", poplin_lab::IMAGE];
    one.run(&[&arguments[..], &SERVER].concat());
    until("the other host reaches it", answers);

    one.run(&["network", "connect", "back", "web"]);
    until("it is reached in two networks", answers);
    one.run(&["restart", "-t0", "web"]);

    until("and after a restart", answers);
    one.run(&["network", "disconnect", "back", "web"]);
    until("and in one again", answers);
}
