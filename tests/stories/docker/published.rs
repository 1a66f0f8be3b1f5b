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

/// The ports of the host that `poplin ports` lists for one of a container.
fn host_ports(host: &poplin_lab::Agent, container_port: u16) -> Vec<u16> {
    let printed = host.get(&["endpoints"]);
    let endpoints = printed.as_array().cloned().unwrap_or_else(|| vec![printed]);
    let published =
        endpoints.iter().flat_map(|endpoint| endpoint["spec"]["published"].as_array().cloned().unwrap_or_default());
    let texts: Vec<String> = published.filter_map(|text| text.as_str().map(str::to_owned)).collect();
    let pairs = texts.iter().filter_map(|text| text.strip_suffix("/tcp").unwrap_or(text).split_once(':'));
    let of_it = pairs.filter(|(_, port)| *port == container_port.to_string());
    of_it.filter_map(|(host, _)| host.parse().ok()).collect()
}

#[test]
fn a_port_that_nobody_names_is_one_that_is_free() {
    let Dockers { docker: [one, _], hosts: [host, other], .. } = &Dockers::start();
    one.make_network("shop", &[]);
    let run = |name: &str, more: &[&str]| {
        let arguments = ["run", "-d", "--name", name, "--network", "shop"];
        one.run(&[&arguments[..], more, &[poplin_lab::IMAGE], &SERVER].concat());
    };
    let address = host.status()["addresses"][0].as_str().and_then(|text| text.parse().ok()).expect("the host has one");
    let answers = |port: u16| other.namespace().connect(address, port).is_ok();

    run("any", &["-p", "80"]);
    let [any] = host_ports(host, 80)[..] else { panic!("{}", host.poplin(&["ports"])) };
    until("it is reached where poplin ports says", || answers(any));
    run("all", &["--expose", "80", "-P"]);
    let both = host_ports(host, 80);
    assert!(both.len() == 2 && both.iter().all(|port| *port >= 1024), "{both:?}");

    one.run(&["rm", "-f", "any", "all"]);
    let _busy = host.namespace().within(|| std::net::TcpListener::bind("0.0.0.0:8000")).expect("8000 is free");
    run("first", &["-p", "8000-8002:80"]);
    run("second", &["-p", "8000-8002:80"]);
    assert_eq!(host_ports(host, 80), [8001, 8002], "a process of the host has 8000");
    let third = ["run", "-d", "--network", "shop", "-p", "8000-8002:80", poplin_lab::IMAGE, "sleep", "9"];
    let third = told(&one.try_run(&third));
    assert!(third.contains("no port of this host of 8000-8002 is free"), "{third}");
    one.run(&["rm", "-f", "first"]);
    run("heir", &["-p", "8000-8002:80"]);
    until("what is free again is given again", || answers(8001));
}
