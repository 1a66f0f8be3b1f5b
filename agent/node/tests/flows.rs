//! Established flows when policy changes: which end, which do not notice, and when nobody looks.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use poplin_node::flows::{Flow, FlowHandle};
use poplin_node::kernel::{KernelState, LinkState, Mac, StepFailure, StepFailureKind, UnderlayRoute};
use poplin_node::name::{AttachmentId, EndpointName, FloatingName, HostName, PoolName};
use poplin_node::object::{Endpoint, ExistingFlows, Fabric, FloatingAddress, Host, Object, ObjectKey, Pool, Versioned};
use poplin_node::{Action, Event, Identity, Node};
use poplin_policy::host::{Doorway, HostEndpoint, WorkloadToHost};
use poplin_policy::label::Labels;
use poplin_policy::model::{Action as RuleAction, Hosts, Mode, Policy, Rule, Selection};
use poplin_policy::nat::Outgoing;
use poplin_policy::packet::{Packet, Transport};
use poplin_policy::ruleset::{Interface, SourceNat};
use poplin_policy::selector::Selector;

const WEB: &str = "10.77.0.1";
const DB: &str = "10.77.0.2";
const FAR: &str = "10.77.9.9";
const HOST: &str = "172.31.0.1";
const FLOATING: &str = "198.51.100.7";

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

/// A node that carries everything out at once, and what it asks about flows.
struct Room {
    node: Node,
    now: Instant,
    revision: i64,
    asked: Option<BTreeSet<IpAddr>>,
    readings: u32,
    known: Vec<Flow>,
    ended: Vec<FlowHandle>,
    /// The next batch fails at its first step.
    fail_next: bool,
    /// Batches are done when the test says so.
    is_held: bool,
}

impl Room {
    /// All flows of the beginning are read; with endpoints there are some to look at.
    fn with(objects: Vec<Object>) -> Self {
        let identity = Identity {
            host: HostName::new("h1"),
            labels: Labels::default(),
            addresses: BTreeSet::from([address(HOST)]),
            asn: None,
            router_id: None,
            machine: None,
            release: None,
        };
        let (node, now) = (Node::new(identity), Instant::now());
        let is_ruled = objects.iter().any(|object| matches!(object, Object::Policy(_)));
        let mut room = Self {
            node,
            now,
            revision: 1,
            asked: None,
            readings: 0,
            known: vec![],
            ended: vec![],
            fail_next: false,
            is_held: false,
        };
        room.tell(Event::KernelRead(kernel()));
        let objects = objects.into_iter().chain([Object::Host(me())]);
        let objects = objects.map(|value| Versioned { value, version: 1 }).collect();
        room.tell(Event::StoreRead { revision: 1, objects, unreadable: vec![] });
        if !is_ruled && room.asked.is_some() {
            room.flows(vec![]);
            room.readings = 0;
        }
        room
    }

    fn tell(&mut self, event: Event) {
        self.node.handle(self.now, event);
        while let Some(action) = self.node.next_action() {
            match action {
                Action::Apply(_) if self.is_held => {}
                Action::Apply(steps) => {
                    let failure =
                        |step| StepFailure { step, kind: StepFailureKind::Other, reason: "made so".to_owned() };
                    let failed = steps.into_iter().next().filter(|_| std::mem::take(&mut self.fail_next)).map(failure);
                    self.node.handle(self.now, Event::StepsDone(failed.map_or(Ok(()), Err)));
                }
                Action::ReadFlows(ends, _) => {
                    assert_eq!(self.asked.replace(ends), None);
                    self.readings += 1;
                }
                Action::EndFlows(flows) => self.ended.extend(flows),
                Action::Transact(_, transaction) => panic!("{transaction:?}"),
                Action::Answer(..)
                | Action::Discover(_)
                | Action::Owe(_)
                | Action::Keep { .. }
                | Action::ProtectCallers(_)
                | Action::AdvertiseNeighbours(_)
                | Action::ChangeNames(_)
                | Action::ReadStore
                | Action::OpenNameDoors(_)
                | Action::Probe(_)
                | Action::Bgp(_)
                | Action::Note(_) => {}
            }
        }
    }

    fn put(&mut self, object: Object) {
        self.revision += 1;
        let puts = vec![Versioned { value: object, version: self.revision }];
        self.tell(Event::StoreChanged { revision: self.revision, puts, unreadable: vec![], deletes: vec![] });
    }

    fn delete(&mut self, key: ObjectKey) {
        self.revision += 1;
        self.tell(Event::StoreChanged {
            revision: self.revision,
            puts: vec![],
            unreadable: vec![],
            deletes: vec![key],
        });
    }

    /// The flows asked for are these.
    #[track_caller]
    fn flows(&mut self, mut flows: Vec<Flow>) {
        self.asked.take().expect("the flows are asked for");
        for (number, flow) in (0..).zip(&mut flows) {
            flow.handle = FlowHandle(vec![number]);
        }
        self.known.clone_from(&flows);
        let later = flows.split_off(flows.len() / 2);
        self.tell(Event::FlowsRead(flows));
        self.tell(Event::FlowsRead(later));
        self.tell(Event::FlowsDone(Ok(())));
    }

    /// The steps that are held are done.
    fn steps_done(&mut self) {
        self.tell(Event::StepsDone(Ok(())));
    }

    /// The same, which takes so long that a rest follows.
    #[track_caller]
    fn rest_after(&mut self, flows: Vec<Flow>) {
        self.now += millis(10);
        self.flows(flows);
    }

    /// The longest rest is over.
    fn have_rested(&mut self) {
        self.now += millis(200);
        self.tell(Event::Tick);
    }

    /// What was ended of the flows last read.
    fn ended(&mut self) -> Vec<Flow> {
        let ended = std::mem::take(&mut self.ended);
        let known = self.known.iter().filter(|flow| ended.contains(&flow.handle));
        known.map(|flow| Flow { handle: FlowHandle(vec![]), ..flow.clone() }).collect()
    }
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn kernel() -> KernelState {
    let mut kernel = KernelState::default();
    kernel.addresses.insert(address(HOST), "up".to_owned());
    kernel.interfaces =
        [("lo", 1), ("up0", 2), ("up1", 3)].map(|(name, index)| (Interface::new(name).unwrap(), index)).into();
    let ways = [("0.0.0.0/0", UnderlayRoute::OnLink(2)), ("198.51.100.0/24", UnderlayRoute::OnLink(3))];
    kernel.underlay = ways.map(|(prefix, way)| (prefix.parse().unwrap(), way)).into();
    kernel.local = [HOST, "10.255.0.1", "169.254.1.1"].map(address).into();
    kernel
}

fn me() -> Host {
    Host {
        name: HostName::new("h1"),
        labels: Labels::default(),
        addresses: BTreeSet::from([address(HOST)]),
        asn: None,
        router_id: HOST.parse().unwrap(),
        is_draining: false,
        told: None,
        machine: None,
        release: None,
    }
}

fn endpoint(name: &str, at: &str) -> Object {
    Object::Endpoint(Endpoint {
        name: EndpointName::new(name),
        labels: Labels::try_from_pairs([("app", name)]).unwrap(),
        host: HostName::new("h1"),
        attachment: AttachmentId { container: name.to_owned(), interface: "eth0".to_owned() },
        addresses: [address(at)].into(),
        interface: Interface::new(format!("pop{name}")).unwrap(),
        mac: Mac([2, 0, 0, 0, 0, 1]),
        namespace: None,
        ports: Vec::new(),
        published: Vec::new(),
        netns: format!("/run/netns/{name}").into(),
        mtu_bytes: 1500,
        network: None,
        is_sticky: false,
        profiles: Vec::new(),
        since: None,
        aliases: BTreeSet::new(),
        container: None,
        parent: None,
    })
}

/// A host endpoint of this host.
fn edge(interface: &str) -> Object {
    Object::HostEndpoint(HostEndpoint {
        name: "edge".to_owned(),
        labels: Labels::try_from_pairs([("role", "edge")]).unwrap(),
        profiles: Vec::new(),
        host: "h1".to_owned(),
        doorway: Doorway::Named(Interface::new(interface).unwrap()),
        addresses: BTreeSet::new(),
        ports: Vec::new(),
    })
}

/// A policy of the host endpoint that allows ports in both directions.
fn at_edge(hosts: Hosts, ports: &[&str]) -> Object {
    let rule =
        Rule { ports: ports.iter().map(|port| port.parse().unwrap()).collect(), ..Rule::any("1", RuleAction::Allow) };
    for_edge(hosts, vec![rule])
}

fn for_edge(hosts: Hosts, rules: Vec<Rule>) -> Object {
    let egress = (hosts != Hosts::PreDnat).then(|| rules.clone().into());
    Object::Policy(Policy {
        name: "edge".into(),
        mode: Mode::Enforce,
        hosts,
        tier: "default".to_owned(),
        order: None,
        subject: Selection::anywhere(Selector::parse("role == 'edge'").unwrap()),
        ingress: Some(rules.into()),
        egress,
    })
}

fn masquerading(cidr: &str) -> Pool {
    Pool {
        nat: Some(Outgoing { source: SourceNat::Masquerade, exclude: Vec::new() }),
        ..Pool::open(PoolName::new("four"), cidr.parse().unwrap(), 26)
    }
}

fn publishing(object: Object, ports: &[&str]) -> Object {
    let Object::Endpoint(endpoint) = object else { panic!("endpoints publish") };
    Object::Endpoint(Endpoint { published: ports.iter().map(|port| port.parse().unwrap()).collect(), ..endpoint })
}

/// The floating address, led to somebody or to nobody.
fn floating(endpoint: Option<&str>) -> Object {
    Object::FloatingAddress(FloatingAddress {
        name: FloatingName::new("front"),
        address: address(FLOATING),
        endpoint: endpoint.map(EndpointName::new),
        is_until_detached: false,
        labels: Default::default(),
        annotations: Default::default(),
    })
}

/// A flow that comes by a translated address.
fn led(flow: Flow, to: &str) -> Flow {
    Flow { answered: Packet { source: address(to), ..flow.answered }, ..flow }
}

/// A flow that goes out under the floating address.
fn leaving(flow: Flow) -> Flow {
    Flow { answered: Packet { destination: address(FLOATING), ..flow.answered }, ..flow }
}

/// To db one may open these ports only.
fn db_for_ports(ports: &str) -> Object {
    let ports = ports.split(' ').map(|port| port.parse().unwrap()).collect();
    db_for(vec![Rule { ports, ..Rule::any("1", RuleAction::Allow) }])
}

fn db_for_nobody() -> Object {
    db_for(vec![])
}

fn db_for(rules: Vec<Rule>) -> Object {
    Object::Policy(Policy {
        name: "db".into(),
        mode: Mode::Enforce,
        hosts: Hosts::Never,
        tier: "default".to_owned(),
        order: None,
        subject: Selection::anywhere(Selector::parse("app == 'db'").unwrap()),
        ingress: Some(rules.into()),
        egress: None,
    })
}

fn tcp(from: &str, to: &str, port: u16) -> Flow {
    flow(Packet::tcp(address(from), address(to), (40000, port)))
}

fn udp(from: &str, to: &str, port: u16) -> Flow {
    flow(Packet::udp(address(from), address(to), (40000, port)))
}

/// A flow nobody translates.
fn flow(opened: Packet) -> Flow {
    let transport = match opened.transport {
        Transport::Ports { protocol, source, destination } => {
            Transport::Ports { protocol, source: destination, destination: source }
        }
        other => other,
    };
    let answered = Packet { source: opened.destination, destination: opened.source, transport };
    Flow { opened, answered, is_related: false, is_picked_up: false, handle: FlowHandle(vec![]) }
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}
