//! Routes by groups of next hops: a dead gateway is one message, however many routes it takes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use netlink_sys::constants::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use poplin_agent::kernel::{Changed, Hands};
use poplin_node::groups::Groups;
use poplin_node::kernel::{Gateway, KernelState, NextHop, Step, Target};
use poplin_node::plan::{Desired, GATEWAY_V4, advance, plan};
use poplin_node::routing::Gateways;

use crate::lab::{Namespace, eventually};

const ROUTES: u32 = 5_000;

/// linux/rtnetlink.h and linux/nexthop.h.
const RTM_NEWROUTE: u16 = 24;
const RTM_NEWNEXTHOP: u16 = 104;
const RTNLGRP_IPV4_ROUTE: u32 = 7;
const RTNLGRP_NEXTHOP: u32 = 32;

/// A host between two routers, and the part of the agent that keeps routes.
struct Host {
    hands: Hands,
    groups: Groups,
    seen: KernelState,
}

impl Host {
    fn new() -> Self {
        let mut hands = Hands::open_routes().unwrap();
        let seen = hands.read().unwrap();
        let mut groups = Groups::default();
        groups.adopt(&seen);
        Self { hands, groups, seen }
    }

    /// Leads all prefixes by these gateways, and tells what that took.
    fn lead(&mut self, gateways: &Gateways) -> Vec<Step> {
        self.groups.follow(prefixes().map(|prefix| (prefix, Some(gateways.clone()))).collect(), true);
        self.bring_up_to_date()
    }

    /// The kernel is read, and what is not as it should be is mended.
    fn mend(&mut self) -> Vec<Step> {
        self.seen = self.hands.read().unwrap();
        self.groups.doubt();
        self.bring_up_to_date()
    }

    fn bring_up_to_date(&mut self) -> Vec<Step> {
        self.seen.gateways.insert(GATEWAY_V4);
        let mut done = Vec::new();
        loop {
            let due = self.groups.take_due(&self.seen, 1_000);
            let steps = plan(&Desired::default(), &due, &self.seen);
            self.hands.apply(&steps).unwrap();
            steps.iter().for_each(|step| advance(&mut self.seen, step));
            done.extend(steps);
            if due.is_last {
                return done;
            }
        }
    }

    /// By which gateways every prefix is led, as the kernel has it.
    fn led(&mut self) -> Option<BTreeSet<Gateway>> {
        let state = self.hands.read().unwrap();
        let targets: BTreeSet<_> = state.learned.values().collect();
        assert!(state.learned.len() == ROUTES as usize || state.learned.is_empty(), "{}", state.learned.len());
        match Vec::from_iter(targets)[..] {
            [] => None,
            [Target::Group(id)] => state.gateways_of(*id),
            ref other => panic!("all are led alike: {other:?}"),
        }
    }
}

fn prefixes() -> impl Iterator<Item = IpNet> {
    (0..ROUTES).map(|number| IpNet::new(IpAddr::V4((0x6440_0000 + number).into()), 32).unwrap())
}

/// A host with two uplinks.
fn namespace() -> Namespace {
    let host = Namespace::new();
    for number in [1, 2] {
        host.add_interface(&format!("up{number}"));
        host.ip(&format!("addr add 10.0.{number}.1/24 dev up{number}"));
    }
    // Without it the kernel tells of each route again when its group changes (Documentation/networking/ip-sysctl.rst).
    host.try_run("sysctl", "-qw net.ipv4.nexthop_compat_mode=0");
    host
}

/// The gateways on these uplinks.
fn by(host: &Namespace, numbers: &[u8]) -> Gateways {
    let gateway = |number: &u8| Gateway {
        address: format!("10.0.{number}.2").parse().unwrap(),
        interface: Some(host.index(&format!("up{number}"))),
    };
    numbers.iter().map(gateway).collect::<BTreeSet<_>>().into()
}

fn is_route(step: &Step) -> bool {
    matches!(step, Step::SetRoute { .. } | Step::RemoveRoute(_))
}

/// What the kernel tells of routes and next hops, as `ip monitor` hears it.
struct Monitor(Socket);

impl Monitor {
    fn new() -> Self {
        let mut socket = Socket::new(NETLINK_ROUTE).unwrap();
        socket.bind(&SocketAddr::new(0, 0)).unwrap();
        socket.set_non_blocking(true).unwrap();
        rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, 64 << 20).unwrap();
        for group in [RTNLGRP_IPV4_ROUTE, RTNLGRP_NEXTHOP] {
            socket.add_membership(group).unwrap();
        }
        Self(socket)
    }

    /// How many messages of each kind waited.
    fn heard(&self) -> BTreeMap<u16, usize> {
        let mut heard = BTreeMap::new();
        let mut datagram = Vec::with_capacity(1 << 16);
        while self.0.recv(&mut datagram, 0).is_ok() {
            *heard.entry(u16::from_ne_bytes([datagram[4], datagram[5]])).or_default() += 1;
            datagram.clear();
        }
        heard
    }
}

#[test]
fn a_dead_gateway_is_one_message_and_no_route_is_written() {
    let host = namespace();
    let (both, second) = (by(&host, &[1, 2]), by(&host, &[2]));
    host.within(|| {
        let mut world = Host::new();
        let monitor = Monitor::new();
        world.lead(&both);
        assert_eq!(world.led(), Some((*both).clone()));
        assert_eq!(monitor.heard(), [(RTM_NEWROUTE, ROUTES as usize), (RTM_NEWNEXTHOP, 3)].into());

        let steps = world.lead(&second);

        assert!(matches!(steps[..], [Step::SetNextHop { next_hop: NextHop::Group(_), .. }, Step::RemoveNextHop(_)]));
        assert_eq!(monitor.heard().get(&RTM_NEWROUTE), None);
        assert_eq!(world.led(), Some((*second).clone()));
    });
}

#[test]
fn a_new_life_takes_over_groups_and_writes_nothing() {
    let host = namespace();
    let both = by(&host, &[1, 2]);
    host.within(|| {
        Host::new().lead(&both);
        let monitor = Monitor::new();

        let steps = Host::new().lead(&both);

        assert_eq!(steps, []);
        assert!(monitor.heard().is_empty());
    });
}

#[test]
fn next_hops_of_others_are_left_alone() {
    let host = namespace();
    host.ip("nexthop add id 7 via 10.0.1.9 dev up1");
    host.ip("nexthop add id 2399141888 via 10.0.1.8 dev up1"); // the first number we would take
    host.ip("nexthop add id 2399141890 group 2399141888");
    let both = by(&host, &[1, 2]);
    host.within(|| {
        let mut world = Host::new();
        world.lead(&both);
        assert_eq!(world.led(), Some((*both).clone()));
        assert_eq!(Host::new().lead(&both), [], "a later life finds nothing to do");
        world.groups.follow(prefixes().map(|prefix| (prefix, None)).collect(), true);
        world.bring_up_to_date();
        assert_eq!(world.led(), None);
    });

    let left = host.ip("nexthop");

    let theirs = ["id 7 via 10.0.1.9", "id 2399141888 via 10.0.1.8", "id 2399141890 group 2399141888"];
    assert!(left.lines().count() == 3 && theirs.iter().all(|one| left.contains(one)), "{left}");
}

#[test]
fn what_another_hand_removes_is_heard_of_and_put_back() {
    let host = namespace();
    let both = by(&host, &[1, 2]);
    host.within(|| {
        runtime().block_on(async {
            let mut world = Host::new();
            let mut words = world.hands.watch().unwrap();
            world.lead(&both);
            let group = *world.seen.next_hops.keys().next().unwrap();
            for deed in ["nexthop flush".to_owned(), format!("nexthop del id {group}")] {
                while tokio::time::timeout(Duration::from_millis(300), words.recv()).await.is_ok() {}

                host.ip(&deed);

                let word = tokio::time::timeout(Duration::from_secs(1), words.recv()).await;
                assert_eq!(word.unwrap(), Some(Changed::State), "{deed}");
                let began = Instant::now();
                assert!(!world.mend().is_empty(), "{deed}");
                assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
                assert_eq!(world.led(), Some((*both).clone()), "{deed}");
                assert_eq!(world.mend(), []);
            }
        });
    });
}

#[test]
fn a_link_that_goes_takes_its_gateway_along_and_brings_it_back() {
    for (down, up) in [("up1 down", "up1 up"), ("up1x down", "up1x up")] {
        let host = namespace();
        let (both, second) = (by(&host, &[1, 2]), by(&host, &[2]));
        host.within(|| {
            let mut world = Host::new();
            world.lead(&both);
            let index = host.index("up1");

            host.ip(&format!("link set {down}"));
            assert!(eventually(|| world.hands.read().unwrap().dark.contains(&index)));
            assert!(eventually(|| world.led() == Some((*second).clone())), "the kernel shrinks the group by itself");
            world.seen = world.hands.read().unwrap();
            world.groups.doubt();
            let steps = world.lead(&second);
            assert!(!steps.iter().any(is_route), "{steps:?}");

            host.ip(&format!("link set {up}"));
            assert!(eventually(|| !world.hands.read().unwrap().dark.contains(&index)));
            world.seen = world.hands.read().unwrap();
            world.groups.doubt();
            let steps = world.lead(&both);
            assert!(!steps.iter().any(is_route), "{steps:?}");
            assert_eq!(world.led(), Some((*both).clone()));
        });
    }
}

/// Everything in this thread, which alone lives in the namespace.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}
