use poplin_policy::ruleset::Interface;
use poplin_proto::v1::Manifest;

use super::*;
use crate::read;

const EDGE: &str = "
apiVersion: poplin.dev/v1
kind: HostEndpoint
metadata: {name: edge, labels: {role: edge}}
spec: {host: h1, interface: eth0, addresses: [192.0.2.1]}
---
apiVersion: poplin.dev/v1
kind: Policy
metadata: {name: p}
spec: {subject: role == 'edge', hosts: local, ingress: [{action: allow, ports: [tcp/8080]}]}
";

/// Two uplinks of h1, one of which has a host endpoint of its own; and a host whose uplink is its own business.
const UPLINKS: &str = "
---
apiVersion: poplin.dev/v1
kind: HostEndpoint
metadata: {name: others, labels: {role: others}}
spec: {host: h1, interface: '*'}
---
apiVersion: poplin.dev/v1
kind: HostEndpoint
metadata: {name: far, labels: {role: edge}}
spec: {host: h2, interface: eth0}
---
apiVersion: poplin.dev/v1
kind: Policy
metadata: {name: through}
spec: {subject: role == 'edge', hosts: forward, ingress: [{name: sql, action: deny, ports: [tcp/5432]}, {action: allow}]}
";

#[test]
fn a_message_that_begins_no_flow_is_said_to_be_one() {
    for (traffic, is_told) in [("icmp/8", false), ("icmp/0", true), ("icmp/3/4", true), ("tcp/8080", false)] {
        let answer = asked(EDGE, &[], None, ("192.0.2.9", "192.0.2.1", traffic));

        let notes = answer.notes.iter().filter(|note| note.starts_with("this message answers or reports")).count();
        assert_eq!(notes, usize::from(is_told), "{traffic}: {:?}", answer.notes);
    }
}

/// Asks on h1.
fn told(source: &str, destination: &str, traffic: &str) -> (bool, Vec<String>) {
    let answer = asked(EDGE, &[], None, (source, destination, traffic));
    (answer.allowed, traces(&answer))
}

/// Asks on h1.
fn asked(
    documents: &str,
    more: &[String],
    course: Option<(Side, Side)>,
    (source, destination, traffic): (&str, &str, &str),
) -> ExplainResponse {
    let request = ExplainRequest {
        source: source.to_owned(),
        destination: destination.to_owned(),
        traffic: traffic.to_owned(),
        ..ExplainRequest::default()
    };
    let site = site(documents, more);
    let question = Question::of(&site, &request).unwrap();
    let course = course.map(|(source, destination)| Course {
        opened: question.packet,
        judged: question.packet,
        source,
        destination,
    });
    question.answer("h1", course.as_ref())
}

fn site(documents: &str, more: &[String]) -> Site {
    let text = [documents.to_owned()].iter().chain(more).cloned().collect::<Vec<_>>().join("\n---\n");
    Site::of(&read(&Manifest { name: "edge.yaml".to_owned(), text }).unwrap()).unwrap()
}

fn traces(answer: &ExplainResponse) -> Vec<String> {
    let by = |trace: &DirectionTrace| {
        if trace.interface.is_empty() { String::new() } else { format!(" by {}", trace.interface) }
    };
    let traces = answer.directions.iter();
    traces.map(|trace| format!("{} of {}{}: {}", trace.direction, trace.endpoint, by(trace), trace.reason)).collect()
}

/// An endpoint of a host.
fn endpoint(name: &str, host: &str, address: &str) -> String {
    format!(
        "{{apiVersion: poplin.dev/v1, kind: Endpoint, metadata: {{name: {name}, labels: {{app: {name}}}}}, \
         spec: {{host: {host}, addresses: [{address}]}}}}"
    )
}

fn interface(name: &str) -> Interface {
    Interface::new(name).unwrap()
}

fn far(interfaces: &[&str]) -> Side {
    Side::Far(interfaces.iter().map(|name| interface(name)).collect())
}

#[test]
fn a_host_endpoint_has_its_say_about_what_goes_to_its_addresses() {
    let input = |told: &str| vec![format!("input of edge: {told}")];

    assert_eq!(told("198.51.100.1", "edge", "tcp/8080"), (true, input("default/p/1: allowed")));
    assert_eq!(told("198.51.100.1", "192.0.2.1", "tcp/22"), (true, input("failsafe port: allowed")));
    assert_eq!(told("198.51.100.1", "edge", "tcp/80"), (false, input("end of tier default: denied")));
    let output = vec!["output of edge: no policy governs: denied".to_owned()];
    assert_eq!(told("edge", "198.51.100.1", "tcp/80"), (false, output));
}

#[test]
fn what_is_forwarded_meets_the_host_endpoint_of_the_interface_it_comes_by() {
    let manifest = format!("{EDGE}{UPLINKS}");
    let web = endpoint("web", "h1", "10.77.0.1");
    let from = |door: &str| {
        let course = (far(&[door]), Side::Link(interface("popweb")));
        asked(&manifest, std::slice::from_ref(&web), Some(course), ("198.51.100.1", "web", "tcp/5432"))
    };

    let denied = "forward-in of edge by eth0: default/through/sql: denied";
    assert_eq!(traces(&from("eth0")), ["ingress of web: no policy governs: allowed", denied]);
    assert!(!from("eth0").allowed);
    assert!(from("eth1").allowed, "{:?}", from("eth1"));
}

#[test]
fn what_a_rule_before_translation_allows_is_not_asked_again() {
    let front = "
---
apiVersion: poplin.dev/v1
kind: Policy
metadata: {name: front}
spec: {subject: role == 'edge', hosts: preDNAT, ingress: [{action: allow, ports: [tcp/5432]}]}
";
    let manifest = format!("{EDGE}{UPLINKS}{front}");
    let web = endpoint("web", "h1", "10.77.0.1");
    let course = (far(&["eth0"]), Side::Link(interface("popweb")));

    let answer = asked(&manifest, &[web], Some(course), ("198.51.100.1", "web", "tcp/5432"));

    let front = "pre-dnat of edge by eth0: default/front/1: allowed, not asked again";
    assert_eq!(traces(&answer), [front, "ingress of web: no policy governs: allowed"]);
    assert!(answer.allowed);
}

#[test]
fn of_two_ways_of_equal_cost_both_are_told() {
    let manifest = format!("{EDGE}{UPLINKS}");
    let course = Some((far(&["eth0", "eth1"]), Side::Host));

    let answer = asked(&manifest, &[], course, ("198.51.100.1", "192.0.2.1", "tcp/8080"));

    let told = ["input of edge by eth0: default/p/1: allowed", "input of others by eth1: no policy governs: denied"];
    assert_eq!((answer.allowed, traces(&answer)), (false, told.map(str::to_owned).to_vec()));
    assert_eq!(
        answer.notes,
        ["routes of h1 of equal cost lead there, and each flow meets edge by eth0 or others by eth1"]
    );
}

#[test]
fn what_staged_policies_would_change_is_told_and_nothing_else_of_them() {
    let staged = "
---
apiVersion: poplin.dev/v1
kind: Policy
metadata: {name: later}
spec: {subject: role == 'edge', hosts: local, mode: stage, order: 1, ingress: [
  {name: web, action: deny, ports: [tcp/8080]}, {name: ssh, action: deny, ports: [tcp/22]}, {name: dns, action: allow, ports: [udp/53]}]}
";
    let notes = |traffic| asked(&format!("{EDGE}{staged}"), &[], None, ("192.0.2.9", "192.0.2.1", traffic)).notes;
    let once = "once all staged policies are promoted this is";

    assert_eq!(notes("tcp/8080"), [format!("{once} denied: input of edge: default/later/web: denied")]);
    assert_eq!(notes("udp/53"), [format!("{once} allowed: input of edge: default/later/dns: allowed")]);
    assert!(notes("tcp/1234").is_empty(), "denied before and after");
}

#[test]
fn what_only_another_host_can_know_is_said_to_be_asked_there() {
    let manifest = format!("{EDGE}{UPLINKS}");
    let db = endpoint("db", "h2", "10.77.1.1");

    let answer = asked(&manifest, &[db], Some((far(&["eth1"]), far(&["eth0"]))), ("198.51.100.1", "db", "tcp/80"));

    assert_eq!((answer.allowed, answer.unsettled, answer.directions.len()), (true, true, 1), "{answer:?}");
    let note = "h2 asks its own host endpoint, far, by the interface the packet takes: ask `poplin explain` there";
    assert_eq!(answer.notes, [note]);
}

#[test]
fn what_workloads_may_open_to_their_own_host_is_asked_after_their_egress() {
    let web = endpoint("web", "h1", "10.77.0.1");
    let to_host = |destination: &str, traffic: &str| {
        let course = (Side::Link(interface("popweb")), Side::Host);
        let answer = asked(EDGE, std::slice::from_ref(&web), Some(course), ("web", destination, traffic));
        (answer.allowed, traces(&answer).pop().unwrap())
    };

    let denied = "to-host of web: workloads may not open this to their own host (workloadToHost is drop): denied";
    assert_eq!(to_host("169.254.1.1", "tcp/22"), (false, denied.to_owned()));
    assert_eq!(to_host("192.0.2.1", "tcp/22"), (false, denied.to_owned()));
    assert!(to_host("169.254.1.1", "udp/53").0);
    assert!(to_host("192.0.2.1", "icmp/8").0);
}

#[test]
fn what_a_host_itself_sends_to_its_own_workloads_passes_whatever_their_policy_says() {
    let closed = "
apiVersion: poplin.dev/v1
kind: Policy
metadata: {name: web}
spec: {subject: app == 'web', ingress: []}
";
    let web = endpoint("web", "h1", "10.77.0.1");
    let from = |source: Side| {
        let course = (source, Side::Link(interface("popweb")));
        asked(closed, std::slice::from_ref(&web), Some(course), ("192.0.2.1", "web", "tcp/80")).allowed
    };

    assert!(from(Side::Host));
    assert!(!from(far(&["eth0"])));
}

fn host(name: &str, address: &str) -> String {
    format!("{{apiVersion: poplin.dev/v1, kind: Host, metadata: {{name: {name}}}, spec: {{addresses: [{address}]}}}}")
}

#[test]
fn a_hosts_name_stands_for_its_addresses() {
    let hosts = [host("h1", "192.0.2.1"), host("web", "192.0.2.9"), endpoint("web", "h1", "10.77.0.1")];

    let answer = |ends: (&str, &str)| asked(EDGE, &hosts, None, (ends.0, ends.1, "tcp/22"));

    let to_host = answer(("198.51.100.7", "h1"));
    assert_eq!((to_host.destination_address.as_str(), to_host.allowed), ("192.0.2.1", true));
    assert_eq!(traces(&to_host), ["input of edge: failsafe port: allowed"]);
    assert_eq!(answer(("h1", "198.51.100.7")).source_address, "192.0.2.1");
    assert_eq!(answer(("web", "h1")).source_address, "10.77.0.1", "an endpoint has its name before a host");
}

#[test]
fn a_name_of_nobody_is_answered_with_the_nearest_of_all() {
    let refused = |source: &str, more: &[String]| {
        let (source, destination) = (source.to_owned(), "192.0.2.9".to_owned());
        let traffic = "tcp/22".to_owned();
        let request = ExplainRequest { source, destination, traffic, ..ExplainRequest::default() };
        Question::of(&site(EDGE, more), &request).err().unwrap()
    };

    let near = refused("rack-1-h", &[host("rack-1-h1", "192.0.2.1")]);
    let none = refused("nobody", &[]);

    assert_eq!(near.message, "\"rack-1-h\" is no endpoint, no host, no host endpoint and no address");
    assert_eq!(near.advice.as_deref(), Some("did you mean rack-1-h1?"));
    assert!(none.advice.unwrap().contains("`poplin get hosts`"));
}
