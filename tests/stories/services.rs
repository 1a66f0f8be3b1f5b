//! Addresses that several endpoints serve: announced where one is healthy, withdrawn where none is or a person drains the host.

use std::net::IpAddr;

use poplin_lab::{Agent, Container, Fabric, Pings, Witness, eventually, told, until};
use serde_json::json;

const DNS: &str = "
apiVersion: poplin.dev/v1
kind: Service
metadata: {name: dns, labels: {service: dns}}
spec:
  addresses: [198.51.100.7, 'fd77:100::7']
  endpoints: app == 'dns'
  health: {port: 53, intervalMilliseconds: 100, timeoutMilliseconds: 200, failures: 2}
";

fn addresses() -> [IpAddr; 2] {
    ["198.51.100.7", "fd77:100::7"].map(|text| text.parse().expect("it is an address"))
}

/// A container that is to serve.
fn server(fabric: &Fabric, host: usize, name: &str) -> Container {
    let mut server = fabric.lab.container(name);
    fabric.hosts[host - 1].cni_add(&mut server, &json!({"app": "dns"}));
    server
}

/// By which hosts the ToR has it that the service is reached.
fn announcers(fabric: &Fabric) -> Vec<String> {
    let said = fabric.tor.ask("show route for 198.51.100.7/32 all");
    let hosts = (1..=fabric.hosts.len()).map(|number| format!("h{number}"));
    hosts.filter(|host| said.contains(&format!("[{host} "))).collect()
}

#[track_caller]
fn until_announced_by(fabric: &Fabric, hosts: &[&str]) {
    eventually("the ToR knows who serves", || {
        let announcers = announcers(fabric);
        if announcers == hosts { Ok(()) } else { Err(format!("{announcers:?} in place of {hosts:?}")) }
    });
}

fn all_connect(client: &Container) -> bool {
    addresses().into_iter().all(|address| client.connects(address, 53))
}

#[test]
fn a_service_is_where_somebody_healthy_is_and_moves_when_he_is_not() {
    let fabric = Fabric::under_a_tor(2);
    fabric.hosts[0].apply(DNS);
    let (first, second) = (server(&fabric, 1, "dns-1"), server(&fabric, 2, "dns-2"));
    let client = fabric.container(2, "web");
    assert_eq!(announcers(&fabric), Vec::<String>::new(), "nobody listens yet");

    let _first = first.listen(53);
    until_announced_by(&fabric, &["h1"]);
    until("who asks reaches the other host", || all_connect(&client));

    let near = second.listen(53);
    until_announced_by(&fabric, &["h1", "h2"]);
    eventually("the nearest serves", || {
        let routes = fabric.hosts[1].routes();
        let is_here = |route: &String| route.starts_with("198.51.100.7 ") && route.contains(" dev pop");
        if routes.iter().any(is_here) && all_connect(&client) { Ok(()) } else { Err(format!("{routes:?}")) }
    });

    drop(near);
    until_announced_by(&fabric, &["h1"]);
    until("the other serves again", || all_connect(&client));
    let member = &fabric.hosts[1].status()["services"][0]["members"][0];
    assert_eq!(member["healthy"], false, "{member}");
    assert!(member["complaint"].as_str().is_some_and(|complaint| complaint.contains("refused")), "{member}");
}

#[test]
fn a_drained_host_leaves_services_to_others_until_it_is_drained_no_more() {
    let fabric = Fabric::under_a_tor(2);
    fabric.hosts[0].apply(DNS);
    let (first, second) = (server(&fabric, 1, "dns-1"), server(&fabric, 2, "dns-2"));
    let _listeners = [first.listen(53), second.listen(53)];
    until_announced_by(&fabric, &["h1", "h2"]);

    assert_eq!(fabric.hosts[1].poplin(&["host", "drain", "h1"]), "host h1 drains\n");
    until_announced_by(&fabric, &["h2"]);
    assert!(second.reaches(first.v4()), "its containers are reached as before");
    assert_eq!(fabric.hosts[0].status()["draining"], true);

    assert_eq!(fabric.hosts[1].poplin(&["host", "undrain", "h1"]), "host h1 drains no more\n");
    until_announced_by(&fabric, &["h1", "h2"]);
}

#[test]
fn a_service_loses_nothing_when_the_agent_dies() {
    let mut fabric = Fabric::under_a_tor(2);
    fabric.hosts[0].apply(DNS);
    let server = server(&fabric, 1, "dns-1");
    let _listener = server.listen(53);
    let client = fabric.container(2, "web");
    until("the service is reached", || all_connect(&client) && addresses().iter().all(|one| client.reaches(*one)));
    let pings = addresses().map(|address| Pings::start(fabric.lab.directory(), &client, address, 400));

    fabric.hosts[0].kill();
    fabric.hosts[0].start();
    fabric.hosts[0].until_established(1);

    assert_eq!(pings.map(Pings::lost), [0, 0]);
    until_announced_by(&fabric, &["h1"]);
}

#[test]
fn endpoints_of_one_host_share_a_service_and_policy_holds_for_it() {
    let fabric = Fabric::meshed(1);
    let host = &fabric.hosts[0];
    host.apply(DNS);
    let servers = [server(&fabric, 1, "dns-1"), server(&fabric, 1, "dns-2")];
    let client = fabric.container(1, "web");
    let [one, other] = servers.each_ref().map(|server| server.listen(53));
    until("both are led to", || is_led_to(host, 2) && all_connect(&client));

    drop(one);
    until("one of them is enough", || is_led_to(host, 1));
    assert!((0..20).all(|_| all_connect(&client)), "nobody is led to who does not answer");

    host.apply(&egress("service == 'dns'"));
    until("who may speak to the service does", || all_connect(&client));
    host.apply(&egress("service == 'ntp'"));
    until("who may not does not", || !addresses().into_iter().any(|address| client.connects(address, 53)));
    host.apply(&egress("service == 'dns'"));
    until("who may again does", || all_connect(&client));
    host.apply(
        "{apiVersion: poplin.dev/v1, kind: Policy, metadata: {name: dns}, spec: {subject: app == 'dns', ingress: []}}",
    );
    until("the server's own policy counts, too", || !all_connect(&client));
    drop(other);
}

fn is_led_to(host: &Agent, count: usize) -> bool {
    let routes = host.routes();
    let ways = |address: &str| {
        let route = routes.iter().find(|route| route.starts_with(&format!("{address} ")))?;
        Some(route.matches(" dev pop").count())
    };
    addresses().iter().all(|address| ways(&address.to_string()) == Some(count))
}

fn egress(to: &str) -> String {
    format!(
        "apiVersion: poplin.dev/v1\nkind: Policy\nmetadata: {{name: to-service}}\n\
         spec: {{subject: app == 'web', egress: [{{action: allow, to: {{select: \"{to}\"}}}}]}}\n"
    )
}

#[test]
fn an_address_has_one_meaning() {
    let fabric = Fabric::meshed(1);
    let host = &fabric.hosts[0];
    host.apply(DNS);
    let refusal = |text: &str| {
        let output = host.try_apply(text);
        assert!(!output.status.success(), "{text}");
        told(&output)
    };

    let in_pool = refusal(&DNS.replace("198.51.100.7", "10.77.3.4"));
    let twice = refusal(&DNS.replace("name: dns", "name: other"));
    let of_the_host = refusal(&DNS.replace("198.51.100.7", "172.30.0.1"));
    let pool = "{apiVersion: poplin.dev/v1, kind: Pool, metadata: {name: wide}, spec: {cidr: 198.51.100.0/24}}";

    assert!(in_pool.contains("10.77.3.4 lies in pool containers (10.77.0.0/16)"), "{in_pool}");
    assert!(twice.contains("198.51.100.7 is of service dns already"), "{twice}");
    assert!(of_the_host.contains("is of host h1, which answers there itself"), "{of_the_host}");
    assert!(refusal(pool).contains("198.51.100.0/24 holds 198.51.100.7, which is of service dns"));
}

#[test]
fn a_service_sees_who_asks_although_the_pool_is_translated_outside() {
    let fabric = Fabric::meshed(2);
    let host = &fabric.hosts[0];
    host.apply(DNS);
    host.apply(
        "{apiVersion: poplin.dev/v1, kind: Pool, metadata: {name: containers}, spec: {cidr: 10.77.0.0/16, nat: {}}}",
    );
    let server = server(&fabric, 1, "dns-1");
    let witness = Witness::on(server.namespace(), 53);
    let client = fabric.container(2, "web");

    eventually("the service is reached", || match witness.sees(client.namespace(), addresses()[0], 53) {
        Some(seen) if seen == client.v4() => Ok(()),
        seen => Err(format!("{seen:?}")),
    });
}
