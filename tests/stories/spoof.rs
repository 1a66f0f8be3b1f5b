//! A container sends as itself only, and opens nothing on its own host unless it may.

use poplin_lab::{Agent, Container, Fabric, Lab, Namespace, until};

#[test]
fn a_packet_from_anothers_address_does_not_get_through() {
    let lab = Lab::new();
    let host = lab.host();
    let [web, db, eve] = ["web", "db", "eve"].map(|name| attached(&lab, &host, name));
    assert!(eve.reaches(db.v4()), "as herself she is answered");
    let arrived = counting(db.namespace(), &format!("ip saddr {}", web.v4()));

    eve.namespace().run("ip", &["address", "add", &format!("{}/32", web.v4()), "dev", "eth0"]);
    eve.namespace().output("ping", &["-n", "-c3", "-i0.01", "-W1", "-I", &web.v4().to_string(), &db.v4().to_string()]);

    assert_eq!(arrived(), 0, "nothing arrives under web's address");
    assert!(web.reaches(db.v4()), "web itself is heard");
    assert_eq!(arrived(), 1);
}

#[test]
fn a_packet_from_nobodys_address_does_not_get_through_either() {
    let fabric = Fabric::under_a_tor(2);
    let (eve, db) = (fabric.container(1, "eve"), fabric.container(2, "db"));
    until("db answers", || eve.reaches(db.v4()) && eve.reaches(db.v6()));
    let forged = ["192.0.2.7", "fd77:dead::7"];
    let arrived = counting(fabric.tor.namespace(), "ip saddr 192.0.2.7");
    let arrived_6 = counting(fabric.tor.namespace(), "ip6 saddr fd77:dead::7");

    for (source, to) in forged.iter().zip([db.v4(), db.v6()]) {
        let bits = if to.is_ipv4() { 32 } else { 128 };
        let address = format!("{source}/{bits}");
        let mut arguments = vec!["address", "add", &address, "dev", "eth0"];
        arguments.extend(to.is_ipv6().then_some("nodad"));
        eve.namespace().run("ip", &arguments);
        eve.namespace().output("ping", &["-n", "-c3", "-i0.01", "-W1", "-I", source, &to.to_string()]);
    }

    assert_eq!((arrived(), arrived_6()), (0, 0), "nothing leaves the host");
    assert!(eve.reaches(db.v4()) && eve.reaches(db.v6()), "as herself she is still answered");
}

#[test]
fn a_container_may_ping_its_host_and_open_nothing_on_it() {
    let fabric = Fabric::under_a_tor(1);
    let (web, host) = (fabric.container(1, "web"), &fabric.hosts[0]);
    let _ssh = host.namespace().listen(22);
    let addresses = ["172.31.1.2", "fd31:1::2", "169.254.1.1"].map(|address| address.parse().expect("an address"));

    for address in addresses {
        assert!(web.reaches(address), "{address} answers a ping");
        assert!(!web.connects(address, 22), "{address} is closed");
        assert!(!web.connects(address, 179), "BGP at {address} is closed");
    }

    host.apply(
        "{apiVersion: poplin.dev/v1, kind: FabricConfig, metadata: {name: default}, spec: {mesh: false, workloadToHost: accept}}",
    );

    until("the host is open", || addresses.iter().all(|address| web.connects(*address, 22)));
}

#[test]
fn a_host_reaches_its_own_containers_unless_a_policy_says_no() {
    let fabric = Fabric::under_a_tor(1);
    let (db, host) = (fabric.container(1, "db"), &fabric.hosts[0]);
    let _port = db.listen(5432);
    let asks = |address| host.namespace().connect(address, 5432).is_ok();
    assert!(asks(db.v4()) && asks(db.v6()), "health checks come from the host");
}

fn attached(lab: &Lab, host: &Agent, name: &str) -> Container {
    let mut container = lab.container(name);
    host.attach(&mut container, &[]);
    container
}

/// Counts packets that match and arrive in a namespace.
pub(crate) fn counting<'a>(namespace: &'a Namespace, what: &str) -> impl Fn() -> u64 + 'a {
    let table = format!("t{}", what.chars().filter(char::is_ascii_alphanumeric).collect::<String>());
    namespace.run("nft", &[&format!("add table inet {table}")]);
    namespace.run("nft", &[&format!("add chain inet {table} in {{ type filter hook prerouting priority -400; }}")]);
    namespace.run("nft", &[&format!("add rule inet {table} in {what} counter")]);
    move || {
        let listed = namespace.run("nft", &["list table inet", &table].join(" ").split(' ').collect::<Vec<_>>());
        let mut words = listed.split_whitespace().skip_while(|word| *word != "packets").skip(1);
        words.next().and_then(|count| count.parse().ok()).expect("a counter counts packets")
    }
}
