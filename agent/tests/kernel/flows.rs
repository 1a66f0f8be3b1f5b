//! The table of flows: what is read of it, and that single entries end.

use std::collections::BTreeSet;
use std::net::{IpAddr, UdpSocket};

use poplin_agent::kernel::{Conntrack, Rules};
use poplin_node::flows::Flow;
use poplin_policy::packet::{Packet, Transport};
use poplin_policy::ruleset::{ConntrackStates, Match, Ruleset, Verdict};

use crate::lab::{Pair, forward, from_nothing, name, rule};

#[test]
fn flows_of_both_families_are_read_and_single_ones_end() {
    let pair = tracked();
    let sockets: Vec<UdpSocket> = ["10.9.0.1:9", "10.9.0.1:10", "[fd09::1]:9"].map(|to| talk(&pair, to)).into();
    assert!(pair.far.reaches("10.9.0.1"));

    let flows = read(&pair, "10.9.0.2");
    let flow = flow_to(&flows, 9);
    let source = sockets[0].local_addr().unwrap().port();
    assert_eq!(flow.opened, Packet::udp(address("10.9.0.2"), address("10.9.0.1"), (source, 9)));
    assert_eq!(flow.answered, Packet::udp(address("10.9.0.1"), address("10.9.0.2"), (9, source)));
    assert!(flows.iter().any(|flow| matches!(flow.opened.transport, Transport::Icmp { kind: 8, .. })), "{flows:?}");
    assert_eq!(read(&pair, "fd09::2").len(), 1);
    assert_eq!(read(&pair, "10.9.0.3"), vec![], "nobody asked for others");

    end(&pair, flow);

    let left = read(&pair, "10.9.0.2");
    assert_eq!(left.len() + 1, flows.len());
    assert!(left.iter().all(|one| one.handle != flow.handle));
    end(&pair, flow_to(&read(&pair, "fd09::2"), 9));
    assert_eq!(read(&pair, "fd09::2"), vec![]);
}

#[test]
fn a_flow_that_took_the_place_of_another_is_not_ended_for_it() {
    let pair = tracked();
    let _socket = talk(&pair, "10.9.0.1:9");
    let flows = read(&pair, "10.9.0.2");
    let flow = flow_to(&flows, 9);
    let mut former = flow.clone();
    *former.handle.0.last_mut().unwrap() ^= 1; // the number the kernel gave it stands last

    end(&pair, &former);
    assert_eq!(read(&pair, "10.9.0.2"), flows);

    end(&pair, flow);
    end(&pair, flow); // that it is gone is no error
    assert_eq!(read(&pair, "10.9.0.2"), vec![]);
}

/// A pair whose near side tracks flows: a rule asks for their state.
pub(crate) fn tracked() -> Pair {
    let pair = Pair::new();
    let states = ConntrackStates { established: true, ..ConntrackStates::default() };
    let asks = forward(vec![rule(vec![Match::Conntrack(states)], Verdict::Accept)]);
    let ruleset = Ruleset { chains: [(name("forward"), asks)].into(), ..Ruleset::default() };
    pair.near.within(|| Rules::open().unwrap().apply(&from_nothing(&ruleset)).unwrap());
    pair
}

fn talk(pair: &Pair, to: &str) -> UdpSocket {
    let from = if to.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
    pair.far.within(|| {
        let socket = UdpSocket::bind(from).unwrap();
        socket.connect(to).unwrap();
        socket.send(b"x").unwrap();
        socket
    })
}

fn read(pair: &Pair, end: &str) -> Vec<Flow> {
    let ends = BTreeSet::from([address(end)]);
    pair.near.within(|| Conntrack::open().unwrap().read(&ends).unwrap())
}

fn end(pair: &Pair, flow: &Flow) {
    pair.near.within(|| Conntrack::open().unwrap().end(&flow.handle).unwrap());
}

#[track_caller]
fn flow_to(flows: &[Flow], port: u16) -> &Flow {
    let is_to =
        |flow: &&Flow| matches!(flow.opened.transport, Transport::Ports { destination, .. } if destination == port);
    flows.iter().find(is_to).unwrap_or_else(|| panic!("{flows:?}"))
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}
