//! `docker run -p`: a port of the host leads to the container, which sees who asks.

use std::process::Command;

use poplin_lab::{IMAGE, Process, told, until};

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

/// Sends each datagram back; the image has nothing that could.
const ECHO: &str = "use IO::Socket::INET; my $s = IO::Socket::INET->new(LocalPort => 53, Proto => 'udp') or die; \
    while ($s->recv(my $d, 99)) { $s->send($d) }";

#[test]
fn a_client_is_seen_as_itself_a_datagram_finds_its_way_and_what_is_published_at_localhost_stays_there() {
    let Dockers { docker: [one, _], hosts: [host, other], lab, .. } = &Dockers::start();
    one.make_network("shop", &[]);
    let ports = ["-p", "8080:80", "-p", "127.0.0.1:8081:80", "-p", "5353:53/udp"];
    let serve = [IMAGE, "nc", "-ll", "-p", "80", "-e", "cat", "/proc/net/tcp", "/proc/net/tcp6"];
    one.run(&[&["run", "-d", "--init", "--name", "web", "--network", "shop"][..], &ports, &serve].concat());
    let mut echo = Command::new("nsenter");
    echo.args(["--target", &one.inspect("web")["State"]["Pid"].to_string(), "--net", "perl", "-e", ECHO]);
    let _echo = Process::spawn(echo, lab.directory().join("echo.log"));
    let at = host.status()["addresses"][0].as_str().map(str::to_owned).expect("the host has one");
    let from = other.status()["addresses"][0].as_str().map(str::to_owned).expect("so has the other");

    let dials = |client: &poplin_lab::Agent, to: &str, port: u16| {
        let address = to.parse().expect("an address");
        client.namespace().connect(address, port).is_ok()
    };
    until("the other host reaches it", || dials(other, &at, 8080));
    assert!(dials(host, "127.0.0.1", 8081) && dials(host, &at, 8080), "and its own, by localhost and by its address");
    assert!(!dials(other, &at, 8081), "what is at localhost is not the other host's");
    let ask = format!("exec 3<>/dev/tcp/{at}/8080; timeout 2 cat <&3");
    let seen = String::from_utf8_lossy(&other.namespace().output("bash", &["-c", &ask]).stdout).into_owned();
    assert!(seen.contains(&little_endian(&from)), "{from} is not among {seen}");
    let datagram = format!("exec 3<>/dev/udp/{at}/5353; echo hi >&3; timeout 2 head -n1 <&3");
    until("a datagram is answered", || other.namespace().output("bash", &["-c", &datagram]).stdout == b"hi\n");
}

/// An IPv4 address as /proc/net/tcp has it.
fn little_endian(address: &str) -> String {
    let octets = address.parse::<std::net::Ipv4Addr>().expect("an IPv4 address").octets();
    octets.iter().rev().map(|octet| format!("{octet:02X}")).collect()
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
