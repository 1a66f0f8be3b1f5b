//! The rules compiled for one host that has every endpoint, and a packet's way through them.

use std::net::IpAddr;

use poplin_policy::compile::compile;
use poplin_policy::host::{Failsafe, Host, HostEndpoint, Settings, WorkloadToHost};
use poplin_policy::nat::Edge;
use poplin_policy::packet::Packet;
use poplin_policy::ruleset::{HookPoint, Interface, Ruleset};
use poplin_policy::walk::{ConntrackState, Outcome, SYN, Transit, journey};
use poplin_policy::world::World;

use crate::way::{Side, UPLINK, side};

/// Priority of connection tracking (linux/netfilter_ipv4.h, `NF_IP_PRI_CONNTRACK`).
const TRACKING: i32 = -200;

pub(crate) struct Machine(Ruleset);

impl Machine {
    pub(crate) fn of(world: &World, gates: Vec<HostEndpoint>) -> Self {
        let interfaces = world.endpoints.keys().map(|name| (name.clone(), interface_of(name))).collect();
        let host = Host {
            interfaces,
            settings: Settings {
                interface_prefix: "pop".to_owned(),
                workload_to_host: WorkloadToHost::Drop,
                serves_names: false,
                failsafe: Failsafe::default(),
            },
            host_endpoints: gates.into_iter().map(|gate| (gate.name, gate.doorway)).collect(),
            edge: Edge::default(),
        };
        Self(compile(world, &host))
    }

    /// Whether the first packet of a flow arrives.
    pub(crate) fn delivers(&self, world: &World, packet: &Packet) -> bool {
        let interface = |end: IpAddr| match side(world, end) {
            Side::Host => None,
            Side::Workload => world.endpoint_of(end).map(|(name, _)| interface_of(name)),
            Side::Outside => Interface::new(UPLINK),
        };
        let (into, out) = (interface(packet.source), interface(packet.destination));
        let hooks: &[HookPoint] = match (&into, &out) {
            (Some(_), Some(_)) => &[HookPoint::Prerouting, HookPoint::Forward],
            (Some(_), None) => &[HookPoint::Prerouting, HookPoint::Input],
            (None, _) => &[HookPoint::Output],
        };
        let mut transit = Transit {
            group: 0,
            hook: HookPoint::Prerouting,
            interface_in: into,
            interface_out: out,
            packet: *packet,
            hop_limit: 64,
            tcp_flags: SYN,
            state: ConntrackState::New,
            mark: 0,
        };
        let halves: [fn(i32) -> bool; 2] = [|priority| priority < TRACKING, |priority| priority > TRACKING];
        for (hook, half) in hooks.iter().flat_map(|hook| halves.map(|half| (*hook, half))) {
            transit.hook = hook;
            let journey = journey(&self.0, &transit, half);
            if journey.outcome == Outcome::Drop {
                return false;
            }
            transit.mark = journey.mark;
            if journey.is_untracked {
                transit.state = ConntrackState::Untracked;
            }
        }
        true
    }
}

fn interface_of(endpoint: &str) -> Interface {
    Interface::new(format!("pop-{endpoint}")).unwrap()
}
