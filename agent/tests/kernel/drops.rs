//! What the rules tell of dropped packets, heard by the listener.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use poplin_agent::kernel::{DropListener, Heard, Rules};
use poplin_policy::model::Direction;
use poplin_policy::packet::{Packet, Transport, UDP};
use poplin_policy::place::{LOGS_PER_SECOND, Place};
use poplin_policy::ruleset::{
    Atom, BasePolicy, Chain, Field, Hook, HookKind, HookPoint, Match, Rule, Ruleset, Then, Verdict,
};

use crate::lab::{Namespace, Pair, eventually, from_nothing, interface, name, rule};

#[test]
fn a_dropped_packet_is_told_with_its_ends_and_its_interface() {
    let pair = telling(Place::Spoof);

    for (to, from) in [("10.9.0.1:9", "10.9.0.2"), ("[fd09::1]:9", "fd09::2")] {
        let heard = listening(&pair, || send(&pair, to, 1), 1);
        let [dropped] = heard.dropped.as_slice() else { panic!("{heard:?}") };
        assert_eq!((dropped.place, dropped.hook), (Place::Spoof, Some(HookPoint::Input)));
        assert_eq!((&dropped.interface_in, &dropped.interface_out), (&Some(interface("near0")), &None));
        let Packet { source, destination, transport } = dropped.packet;
        let to: SocketAddr = to.parse().unwrap();
        assert_eq!((source, destination), (from.parse().unwrap(), to.ip()));
        assert!(matches!(transport, Transport::Ports { protocol: UDP, destination: 9, .. }), "{transport:?}");
    }
}

#[test]
fn of_a_flood_so_many_a_second_are_told() {
    let pair = telling(Place::Denied(Direction::Egress));
    let burst = usize::try_from(LOGS_PER_SECOND).unwrap();

    let heard = listening(&pair, || send(&pair, "10.9.0.1:9", 20_000), burst);

    assert!(heard.dropped.len() < 10 * burst, "{}", heard.dropped.len());
    assert_eq!(heard.lost, 0, "what exceeds the rate is not lost, it was never told");
}

#[test]
fn there_is_one_listener_in_a_namespace() {
    let (host, other) = (Namespace::new(), Namespace::new());
    let runtime = runtime();
    let open = |host: &Namespace| {
        host.within(|| {
            let _entered = runtime.enter();
            DropListener::open()
        })
    };

    let first = open(&host).unwrap();
    let refused = open(&host).err().unwrap().to_string();
    assert!(refused.contains("another program listens to group 1430"), "{refused}");
    open(&other).unwrap();
    drop(first);

    assert!(eventually(|| open(&host).is_ok()), "its place is free again");
}

/// A pair whose near side tells of what it drops, which is every UDP packet.
fn telling(place: Place) -> Pair {
    let pair = Pair::new();
    let hook = Hook { kind: HookKind::Filter, point: HookPoint::Input, priority: 0, policy: BasePolicy::Accept };
    let udp = Match::Range { field: Field::Protocol, low: Atom::Octet(UDP), high: Atom::Octet(UDP), negated: false };
    let told = Rule { matches: vec![udp.clone()], counter: None, then: Then::Log(place.log()) };
    let input = Chain { hook: Some(hook), rules: vec![told, rule(vec![udp], Verdict::Drop)] };
    let ruleset = Ruleset { chains: [(name("input"), input.into())].into(), ..Ruleset::default() };
    pair.near.within(|| Rules::open().unwrap().apply(&from_nothing(&ruleset)).unwrap());
    pair
}

/// What is heard from the beginning of the work until so many drops are heard.
fn listening(pair: &Pair, work: impl FnOnce() + Send, enough: usize) -> Heard {
    pair.near.within(|| {
        runtime().block_on(async {
            let mut listener = DropListener::open().unwrap();
            work();
            let mut all = Heard::default();
            while all.dropped.len() < enough {
                let next = tokio::time::timeout(Duration::from_secs(5), listener.next());
                let heard = next.await.unwrap_or_else(|_| panic!("no more after {} drops", all.dropped.len())).unwrap();
                all.dropped.extend(heard.dropped);
                all.lost += heard.lost;
            }
            all
        })
    })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn send(pair: &Pair, to: &str, count: usize) {
    let from = if to.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
    pair.far.within(|| {
        let socket = UdpSocket::bind(from).unwrap();
        (0..count).for_each(|_| drop(socket.send_to(b"x", to)));
    });
}
