//! When flows are read, and by which rules what came between two readings is judged.

use std::time::Duration;

use poplin_node::Event;
use poplin_node::flows::Flow;
use poplin_node::object::{ObjectKey, Versioned};
use poplin_policy::model::Hosts;
use poplin_policy::packet::Packet;

use super::room::*;

#[test]
fn changes_during_a_reading_are_judged_by_the_oldest_rules_no_flow_was_judged_by() {
    let mut room = Room::with(vec![endpoint("db", DB)]);

    room.put(db_for_ports("tcp/22 tcp/80"));
    room.put(db_for_ports("tcp/22"));
    assert_eq!(room.readings, 1, "one at a time");
    room.flows(vec![tcp(FAR, DB, 5432), tcp(FAR, DB, 80), tcp(FAR, DB, 22)]);
    assert_eq!(room.ended(), vec![tcp(FAR, DB, 5432), tcp(FAR, DB, 80)]);

    assert_eq!(room.readings, 2, "flows may have come between the reading and the second change");
    let late = Flow { opened: Packet::tcp(address(FAR), address(DB), (1, 80)), ..tcp(FAR, DB, 80) };
    room.flows(vec![late.clone(), tcp(FAR, DB, 22)]);
    assert_eq!(room.ended(), vec![late]);
    assert_eq!(room.asked, None);
}

#[test]
fn what_was_let_in_between_two_readings_ends() {
    let mut room = Room::with(vec![endpoint("db", DB), db_for_ports("tcp/22")]);
    room.rest_after(vec![]);

    room.put(db_for_ports("tcp/22 tcp/5432"));
    room.put(db_for_ports("tcp/22"));
    room.have_rested();
    room.flows(vec![tcp(FAR, DB, 5432), tcp(FAR, DB, 80), tcp(FAR, DB, 22)]);
    assert_eq!(room.ended(), vec![tcp(FAR, DB, 5432)], "80 was denied all the time: it was kept once");

    room.have_rested();
    room.put(db_for_nobody());
    room.flows(vec![tcp(FAR, DB, 5432)]);
    assert_eq!(room.ended(), vec![], "what has been judged is judged by newer rules alone");
}

#[test]
fn what_a_host_endpoint_let_in_between_two_readings_ends() {
    let mut room = Room::with(vec![edge("up0")]);
    room.put(at_edge(Hosts::Local, &["tcp/81"]));
    room.rest_after(vec![]);

    room.put(at_edge(Hosts::Local, &["tcp/80", "tcp/81"]));
    room.put(at_edge(Hosts::Local, &["tcp/81"]));
    room.have_rested();
    room.flows(vec![tcp(FAR, HOST, 80), tcp(FAR, HOST, 81), tcp(FAR, HOST, 82)]);

    assert_eq!(room.ended(), vec![tcp(FAR, HOST, 80)]);
}

#[test]
fn what_was_let_in_after_a_reading_while_stricter_rules_were_under_way_ends() {
    let mut room = Room::with(vec![endpoint("db", DB), db_for_nobody()]);
    room.flows(vec![]);
    room.is_held = true;
    room.put(db_for_ports("tcp/22 tcp/5432"));
    room.put(db_for_ports("tcp/22"));

    room.steps_done();
    room.flows(vec![]);
    room.is_held = false;
    room.steps_done();
    room.have_rested();
    room.flows(vec![tcp(FAR, DB, 5432), tcp(FAR, DB, 80)]);

    assert_eq!(room.ended(), vec![tcp(FAR, DB, 5432)]);
}

#[test]
fn of_more_changes_between_two_readings_than_are_remembered_each_may_have_let_in_what_is_denied() {
    let mut room = Room::with(vec![endpoint("db", DB), db_for_nobody()]);
    room.rest_after(vec![]);

    for port in 1..=30 {
        room.put(db_for_ports(&format!("tcp/{port}")));
    }
    room.put(db_for_ports("tcp/22"));
    room.have_rested();
    let doomed = vec![tcp(FAR, DB, 1), tcp(FAR, DB, 20), tcp(FAR, DB, 30)];
    room.flows(doomed.iter().cloned().chain([tcp(FAR, DB, 22)]).collect());

    assert_eq!(room.ended(), doomed);
}

#[test]
fn newcomers_during_a_reading_ask_for_no_other() {
    let mut room = Room::with(vec![endpoint("db", DB)]);

    room.put(db_for_nobody());
    room.put(endpoint("web", WEB));
    room.flows(vec![tcp(FAR, DB, 5432)]);

    assert_eq!((room.ended().len(), room.readings), (1, 1));
}

#[test]
fn a_change_that_comes_and_goes_during_a_reading_ends_nothing() {
    let mut room = Room::with(vec![endpoint("db", DB)]);

    room.put(db_for_nobody());
    room.delete(ObjectKey::Policy("db".into()));
    room.flows(vec![tcp(FAR, DB, 5432)]);

    assert_eq!(room.ended(), vec![]);
}

#[test]
fn an_answer_that_was_under_way_does_not_bring_a_datagram_flow_back() {
    let mut room = Room::with(vec![endpoint("db", DB)]);
    let flow = udp(FAR, DB, 53);
    let returned = Flow { opened: flow.answered, answered: flow.opened, ..flow.clone() };

    room.put(db_for_nobody());
    room.flows(vec![flow.clone()]);
    assert_eq!(room.ended(), vec![flow]);
    room.flows(vec![returned.clone(), udp(DB, FAR, 53)]);

    assert_eq!(room.ended(), vec![returned], "and what db opens by itself is not taken for it");
}

#[test]
fn a_server_that_never_stops_is_not_chased_for_ever() {
    let mut room = Room::with(vec![endpoint("db", DB)]);
    let mut flow = udp(FAR, DB, 53);

    room.put(db_for_nobody());
    for _ in 0..20 {
        if room.asked.is_some() {
            room.flows(vec![flow.clone()]);
            flow = Flow { opened: flow.answered, answered: flow.opened, ..flow };
        }
    }

    assert!(room.readings < 10, "{} readings", room.readings);
    assert_eq!(room.asked, None);
}

#[test]
fn after_a_reading_the_next_waits_four_times_as_long_as_that_took_and_never_long() {
    for (took, rest) in [(10, 40), (5_000, 200)].map(|pair: (u64, u64)| (millis(pair.0), millis(pair.1))) {
        let mut room = Room::with(vec![endpoint("db", DB)]);
        room.put(db_for_nobody());
        room.now += took;
        room.flows(vec![]);

        room.put(db_for_ports("tcp/22"));
        room.put(db_for_nobody());
        assert_eq!(room.asked, None, "it rests");
        room.now += rest - millis(1);
        room.tell(Event::Tick);
        assert_eq!(room.asked, None, "it rests still");
        room.now += millis(1);
        room.tell(Event::Tick);

        assert!(room.asked.is_some());
    }
}

#[test]
fn flows_that_cannot_be_read_are_read_a_second_later() {
    let mut room = Room::with(vec![endpoint("db", DB)]);
    room.put(db_for_nobody());

    room.asked = None;
    room.tell(Event::FlowsDone(Err("no buffer space".to_owned())));
    assert_eq!(room.asked, None);
    room.now += Duration::from_secs(1);
    room.tell(Event::Tick);

    assert!(room.asked.is_some());
}

#[test]
fn flows_that_come_while_nobody_knows_the_hosts_addresses_are_read_again() {
    let mut room = Room::with(vec![endpoint("db", DB)]);
    room.put(db_for_nobody());
    room.fail_next = true;
    room.put(endpoint("web", WEB));

    room.flows(vec![tcp(HOST, DB, 22), tcp(FAR, DB, 22)]);
    assert_eq!(room.ended(), vec![]);
    room.tell(Event::KernelRead(kernel()));
    room.now += Duration::from_secs(1);
    room.tell(Event::Tick); // what failed is tried again, and the rules are in force
    room.flows(vec![tcp(HOST, DB, 22), tcp(FAR, DB, 22)]);

    assert_eq!(room.ended(), vec![tcp(FAR, DB, 22)]);
}

#[test]
fn rules_are_in_force_once_the_kernel_has_taken_them() {
    let mut room = Room::with(vec![endpoint("db", DB)]);
    assert!(room.node.are_rules_in_force());

    let puts = vec![Versioned { value: db_for_nobody(), version: 2 }];
    room.node.handle(room.now, Event::StoreChanged { revision: 2, puts, unreadable: vec![], deletes: vec![] });
    assert!(!room.node.are_rules_in_force(), "they are on their way");
    room.fail_next = true;
    room.tell(Event::Tick);
    assert!(!room.node.are_rules_in_force(), "the kernel refused them");
    room.tell(Event::KernelRead(kernel()));
    room.now += Duration::from_secs(1);
    room.tell(Event::Tick);
    assert!(room.node.are_rules_in_force());
}
