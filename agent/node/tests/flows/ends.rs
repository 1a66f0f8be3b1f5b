//! Which flows end when rules change, and which do not.

use poplin_node::Event;
use poplin_node::flows::Flow;
use poplin_node::kernel::{KernelState, LinkState, Mac};
use poplin_node::name::EndpointName;
use poplin_node::object::{ExistingFlows, Fabric, Object, ObjectKey};
use poplin_policy::host::WorkloadToHost;
use poplin_policy::model::{Action as RuleAction, Hosts, Rule};
use poplin_policy::packet::Packet;
use poplin_policy::ruleset::Interface;

use super::room::*;

#[test]
fn a_flow_that_policy_comes_to_deny_ends_and_no_other() {
    let mut room = Room::with(vec![endpoint("web", WEB), endpoint("db", DB)]);
    let (doomed, spared) = (tcp(WEB, DB, 5432), tcp(WEB, DB, 22));
    let elsewhere = tcp(FAR, "10.77.9.8", 5432);

    room.put(db_for_ports("tcp/22"));
    room.flows(vec![doomed.clone(), spared, elsewhere, tcp(DB, WEB, 5432)]);

    assert_eq!(room.ended(), vec![doomed]);
}

#[test]
fn datagrams_that_go_to_the_host_end_once_their_port_is_published_and_connections_do_not() {
    let mut room = Room::with(vec![endpoint("web", WEB)]);
    let (missing, elsewhere) = (udp(FAR, HOST, 53), udp(FAR, HOST, 54));

    room.put(publishing(endpoint("db", DB), &["53:5353/udp", "80:80/tcp"]));
    room.flows(vec![missing.clone(), elsewhere, udp(FAR, "192.0.2.77", 53), udp(HOST, FAR, 53), tcp(FAR, HOST, 80)]);

    assert_eq!(room.ended(), vec![missing]);
}

#[test]
fn what_needs_no_connection_ends_once_its_pool_is_translated() {
    let mut room = Room::with(vec![endpoint("web", WEB)]);
    let outside = "192.0.2.77";
    let (datagrams, pings) = (udp(WEB, outside, 53), flow(Packet::icmp(address(WEB), address(outside), 8, 0)));
    let translated =
        Flow { answered: Packet { destination: address(HOST), ..datagrams.answered }, ..datagrams.clone() };

    room.put(Object::Pool(masquerading("10.77.0.0/24")));
    let others =
        [translated, udp(WEB, "10.77.0.9", 53), udp(WEB, HOST, 53), udp(outside, WEB, 53), tcp(WEB, outside, 80)];
    room.flows([vec![datagrams.clone(), pings.clone()], others.to_vec()].concat());

    assert_eq!(room.ended(), vec![datagrams, pings]);
}

#[test]
fn who_had_a_floating_address_is_spoken_to_by_it_no_more() {
    let mut room = Room::with(vec![endpoint("web", WEB), endpoint("db", DB), floating(Some("web"))]);
    let (coming, going) = (led(tcp(FAR, FLOATING, 80), WEB), leaving(tcp(WEB, "192.0.2.77", 443)));
    let (pings, own) = (led(flow(Packet::icmp(address(FAR), address(FLOATING), 8, 0)), WEB), tcp(FAR, WEB, 80));

    room.put(floating(Some("db")));
    room.flows(vec![coming.clone(), going.clone(), pings.clone(), own.clone()]);
    assert_eq!(room.ended(), vec![coming, going, pings]);

    room.put(floating(None));
    let newer = led(tcp(FAR, FLOATING, 80), DB);
    room.flows(vec![newer.clone(), own]);
    assert_eq!(room.ended(), vec![newer]);
}

#[test]
fn what_another_program_translates_is_left_alone() {
    let mut room = Room::with(vec![endpoint("web", WEB), floating(None)]);

    room.put(floating(Some("web")));
    room.flows(vec![led(tcp(FAR, "198.51.100.99", 80), WEB), leaving(tcp(WEB, "192.0.2.77", 443))]);

    assert_eq!(room.ended(), vec![]);
}

#[test]
fn a_flow_from_far_away_ends_at_its_destination() {
    let mut room = Room::with(vec![endpoint("db", DB)]);

    room.put(db_for_nobody());
    room.flows(vec![tcp(FAR, DB, 5432), tcp(DB, FAR, 5432)]);

    assert_eq!(room.ended(), vec![tcp(FAR, DB, 5432)]);
}

#[test]
fn policy_looks_at_addresses_after_the_destination_is_translated() {
    let mut room = Room::with(vec![endpoint("db", DB)]);
    let (service, back) = (address("192.0.2.1"), address(HOST));
    let translated = Flow {
        opened: Packet::tcp(address(FAR), service, (40000, 80)),
        answered: Packet::tcp(address(DB), back, (5432, 61000)),
        ..tcp(FAR, DB, 5432)
    };

    room.put(db_for_ports("tcp/80"));
    room.flows(vec![translated.clone()]);

    assert_eq!(room.ended(), vec![translated]);
}

#[test]
fn what_the_host_opened_or_another_flow_announced_never_ends() {
    let mut room = Room::with(vec![endpoint("db", DB)]);
    let related = Flow { is_related: true, ..tcp(FAR, DB, 20) };
    let by_the_host = [tcp(HOST, DB, 5432), tcp("169.254.1.1", DB, 5432), tcp("10.255.0.1", DB, 5432)];

    room.put(db_for_nobody());
    room.flows(by_the_host.into_iter().chain([related]).collect());

    assert_eq!(room.ended(), vec![]);
}

#[test]
fn what_was_denied_before_is_left_as_it_is() {
    let mut room = Room::with(vec![endpoint("db", DB), db_for_nobody()]);
    room.flows(vec![]);

    room.put(db_for_ports("tcp/22"));
    room.flows(vec![tcp(FAR, DB, 5432)]);

    assert_eq!(room.ended(), vec![], "it was kept once, or it would not be here");
}

#[test]
fn after_a_start_nobody_knows_what_was_allowed_and_whatever_is_denied_ends() {
    let mut room = Room::with(vec![endpoint("db", DB), db_for_ports("tcp/22")]);

    room.flows(vec![tcp(FAR, DB, 5432), tcp(FAR, DB, 22)]);

    assert_eq!(room.ended(), vec![tcp(FAR, DB, 5432)]);
}

#[test]
fn what_the_host_receives_or_sends_ends_when_its_host_endpoint_comes_to_deny_it() {
    let mut room = Room::with(vec![edge("up0")]);
    room.put(at_edge(Hosts::Local, &["tcp/80", "tcp/81"]));
    room.flows(vec![]);

    room.put(at_edge(Hosts::Local, &["tcp/81"]));
    let (received, sent) = (tcp(FAR, HOST, 80), tcp(HOST, FAR, 80));
    let spared = [tcp(FAR, HOST, 81), tcp(HOST, FAR, 81), tcp(FAR, HOST, 22), tcp(HOST, "127.0.0.1", 80)];
    room.flows([vec![received.clone(), sent.clone()], spared.to_vec()].concat());

    assert_eq!(room.ended(), vec![received, sent]);
}

#[test]
fn what_a_host_endpoint_comes_to_deny_ends_only_where_its_interface_leads() {
    let mut room = Room::with(vec![edge("up1"), endpoint("db", DB)]);

    room.put(at_edge(Hosts::Forward, &["tcp/22"]));
    let (behind, beside) = (tcp("198.51.100.9", DB, 5432), tcp(FAR, DB, 5432));
    room.flows(vec![behind.clone(), beside, tcp("198.51.100.9", DB, 22), tcp("198.51.100.9", HOST, 22)]);

    assert_eq!(room.ended(), vec![behind]);
}

#[test]
fn a_policy_before_translation_ends_what_was_dialled_and_is_denied_now() {
    let mut room = Room::with(vec![edge("up0"), endpoint("db", DB)]);
    let translated = Flow { opened: Packet::tcp(address(FAR), address(HOST), (40000, 8080)), ..tcp(FAR, DB, 80) };

    let deny = Rule { ports: vec!["tcp/8080".parse().unwrap()], ..Rule::any("1", RuleAction::Deny) };
    room.put(for_edge(Hosts::PreDnat, vec![deny]));
    room.flows(vec![translated.clone(), tcp(FAR, DB, 80)]);

    assert_eq!(room.ended(), vec![translated]);
}

#[test]
fn of_what_was_picked_up_in_mid_stream_nobody_knows_who_opened_it_and_host_endpoints_leave_it() {
    let mut room = Room::with(vec![edge("up0")]);
    room.put(at_edge(Hosts::Local, &["tcp/80", "tcp/40000"]));
    room.flows(vec![]);
    let picked_up = Flow { is_picked_up: true, ..tcp(HOST, FAR, 40000) };

    room.put(at_edge(Hosts::Local, &["tcp/80"]));
    room.flows(vec![picked_up]);

    assert_eq!(room.ended(), vec![]);
}

#[test]
fn an_answer_of_the_host_does_not_bring_a_connection_back() {
    let mut room = Room::with(vec![edge("up0")]);
    room.put(at_edge(Hosts::Local, &["tcp/80", "tcp/81"]));
    room.flows(vec![]);
    let denied = tcp(FAR, HOST, 80);
    let back = Flow { opened: denied.answered, answered: denied.opened, is_picked_up: true, ..denied.clone() };

    room.put(at_edge(Hosts::Local, &["tcp/81"]));
    room.flows(vec![denied.clone()]);
    assert_eq!(room.ended(), vec![denied]);
    room.flows(vec![back.clone()]);

    assert_eq!(room.ended(), vec![back]);
}

#[test]
fn after_a_start_what_a_host_endpoint_denies_goes_on() {
    let mut room = Room::with(vec![edge("up0"), at_edge(Hosts::Local, &["tcp/80"])]);

    room.flows(vec![tcp(FAR, HOST, 81)]);

    assert_eq!(room.ended(), vec![], "nobody knows whether it was let in by a policy");
}

#[test]
fn newcomers_and_hosts_without_endpoints_have_no_flows_to_look_at() {
    let mut room = Room::with(vec![]);
    assert_eq!(room.asked, None, "nobody is here");

    room.put(db_for_nobody());
    room.put(endpoint("db", DB));
    room.put(endpoint("web", WEB));

    assert_eq!(room.asked, None, "whoever comes has no flows");
}

#[test]
fn an_endpoint_that_leaves_takes_its_flows_along() {
    let mut room = Room::with(vec![endpoint("db", DB), endpoint("web", WEB)]);

    room.delete(ObjectKey::Endpoint(EndpointName::new("db")));
    room.flows(vec![udp(FAR, DB, 53), udp(FAR, WEB, 53)]);

    assert_eq!(room.ended(), vec![udp(FAR, DB, 53)], "its address may be somebody else's soon");
}

#[test]
fn flows_are_read_once_whoever_detached_may_have_had_his_answer() {
    let mut room = Room::with(vec![endpoint("db", DB), endpoint("web", WEB)]);
    let mac = Mac([2, 0, 0, 0, 0, 1]);
    let link = LinkState { index: 7, is_up: true, mac, mtu_bytes: 1500, is_configured: true, has_loopback: false };
    let links = [(Interface::new("popdb").unwrap(), link)].into();
    room.tell(Event::KernelRead(KernelState { links, ..kernel() }));

    room.delete(ObjectKey::Endpoint(EndpointName::new("db")));
    assert_eq!(room.asked, None, "the link has just gone");
    room.now = room.node.next_deadline().expect("something is to be done");
    room.tell(Event::Tick);

    room.flows(vec![udp(FAR, DB, 53), udp(FAR, WEB, 53)]);
    assert_eq!(room.ended(), vec![udp(FAR, DB, 53)]);
}

#[test]
fn the_fabric_may_wish_to_keep_them() {
    let keep = Fabric { existing_flows: ExistingFlows::Keep, ..Fabric::default() };
    let mut room = Room::with(vec![endpoint("db", DB), Object::Fabric(keep)]);

    room.put(db_for_nobody());

    assert_eq!(room.asked, None);
}

#[test]
fn what_may_be_opened_to_the_host_itself_is_rechecked_too() {
    let open = Fabric { workload_to_host: WorkloadToHost::Accept, ..Fabric::default() };
    let mut room = Room::with(vec![endpoint("db", DB), Object::Fabric(open)]);

    room.put(Object::Fabric(Fabric::default()));
    room.flows(vec![tcp(DB, HOST, 22), tcp(DB, FAR, 22)]);

    assert_eq!(room.ended(), vec![tcp(DB, HOST, 22)]);
}
