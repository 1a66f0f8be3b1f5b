//! Names go where containers of one network are, and nowhere else.

use std::net::SocketAddr;

use hickory_proto::rr::RecordType;
use poplin_lab::until;

use super::{GATEWAY, ask, ask_by_tcp, ask_from, gateway, leads_to, two_hosts};

#[test]
fn names_lead_across_hosts_within_a_network_until_their_holders_leave() {
    let fabric = two_hosts(&[]);
    let [h1, h2] = &fabric.hosts[..] else { panic!("there are two") };
    let [mut web, mut db, mut vault] = ["web", "db", "vault"].map(|name| fabric.lab.container(name));
    h1.attach_with(&mut web, &["--network", "shop"]);
    h2.attach_with(&mut db, &["--network", "shop", "--alias", "Sql_Store"]);
    h2.attach_with(&mut vault, &["--network", "bank"]);
    let shop = gateway(h1, "shop");

    until("a name leads to the other host", || leads_to(ask(&web, &shop, "db"), &db));
    for name in ["db.shop", "DB.poplin.internal", "db.shop.poplin.internal", "sql_store"] {
        assert!(leads_to(ask(&web, &shop, name), &db), "{name}");
        assert!(leads_to(ask(&web, GATEWAY, name), &db), "the gateway of the others knows who asks, too: {name}");
    }
    assert!(ask_by_tcp(&web, &shop, "db").expect("it answers").is(&[&db.v4().to_string()]));
    assert!(ask(&web, &shop, "printer").expect("it answers").is(&["192.0.2.99"]));
    let server = SocketAddr::new(shop.parse().expect("it is an address"), 53);
    let six = |name: &str| ask_from(web.namespace(), server, name, RecordType::AAAA).expect("it answers");
    assert!(six("db").is(&[&db.v6().to_string()]), "{:?}", six("db"));
    assert!(six("printer").is(&["2001:db8::99"]), "{:?}", six("printer"));
    let reverse = |address: &str| {
        let mut octets: Vec<&str> = address.split('.').collect();
        octets.reverse();
        ask_from(web.namespace(), server, &format!("{}.in-addr.arpa", octets.join(".")), RecordType::PTR)
    };
    assert!(reverse(&db.v4().to_string()).expect("it answers").is(&["db.shop.poplin.internal."]));
    assert!(reverse("192.0.2.99").expect("it answers").is(&["printer.shop.poplin.internal."]));
    assert!(reverse(&vault.v4().to_string()).expect("it answers").is_nobody());
    assert!(ask(&web, &shop, "vault.bank.poplin.internal").expect("it answers").is_nobody());
    assert!(leads_to(ask(&vault, &gateway(h2, "bank"), "vault"), &vault));

    h2.poplin(&["detach", "db"]);

    let is_gone = || ask(&web, &shop, "db.shop.poplin.internal").is_some_and(|said| said.is_nobody());
    until("the name is gone with its holder", is_gone);
}

#[test]
fn who_is_in_no_network_finds_all_who_are_in_none_by_their_namespace() {
    let fabric = two_hosts(&[]);
    let [h1, h2] = &fabric.hosts[..] else { panic!("there are two") };
    let [mut web, mut db, mut inner] = ["web", "db", "inner"].map(|name| fabric.lab.container(name));
    h1.attach(&mut web, &[]);
    h2.attach_with(&mut db, &["--namespace", "blue"]);
    h2.attach_with(&mut inner, &["--network", "shop"]);

    until("the name leads to the other host", || leads_to(ask(&web, GATEWAY, "db.blue"), &db));
    assert!(leads_to(ask(&db, GATEWAY, "web"), &web), "who lives in a namespace finds those who live in none");
    assert!(ask(&web, GATEWAY, "inner.shop.poplin.internal").expect("it answers").is_nobody());
}

#[test]
fn a_service_is_found_by_name_in_every_network() {
    let fabric = two_hosts(&[]);
    let [h1, h2] = &fabric.hosts[..] else { panic!("there are two") };
    let [mut web, mut inner] = ["web", "inner"].map(|name| fabric.lab.container(name));
    h1.attach(&mut web, &[]);
    h2.attach_with(&mut inner, &["--network", "shop"]);

    h1.apply(API);

    for (container, gateway) in [(&web, GATEWAY.to_owned()), (&inner, gateway(h2, "shop"))] {
        until("it leads to the service", || {
            ask(container, &gateway, "api").is_some_and(|said| said.is(&["198.51.100.7"]))
        });
        assert!(ask(container, &gateway, "api.poplin.internal").expect("it answers").is(&["198.51.100.7"]));
    }
}

const API: &str = "{apiVersion: poplin.dev/v1, kind: Service, metadata: {name: api}, spec: {addresses: [198.51.100.7], endpoints: app == 'api'}}";

#[test]
fn an_agent_that_comes_back_answers_again_and_several_of_a_name_take_turns() {
    let mut fabric = two_hosts(&[]);
    let [mut web, mut one, mut two] = ["web", "one", "two"].map(|name| fabric.lab.container(name));
    fabric.hosts[0].attach_with(&mut web, &["--network", "shop"]);
    fabric.hosts[0].attach_with(&mut one, &["--network", "shop", "--alias", "db"]);
    fabric.hosts[1].attach_with(&mut two, &["--network", "shop", "--alias", "db"]);
    let shop = gateway(&fabric.hosts[0], "shop");
    let mut both = [one.v4().to_string(), two.v4().to_string()];
    both.sort();
    let has_both = || ask(&web, &shop, "db").is_some_and(|said| said.is(&[&both[0], &both[1]]));
    until("the name leads to both", has_both);

    fabric.hosts[0].kill();
    assert_eq!(ask(&web, &shop, "db"), None);
    fabric.hosts[0].start();

    until("the agent answers again", has_both);
}
