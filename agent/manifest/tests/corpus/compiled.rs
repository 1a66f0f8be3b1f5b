//! The rules compiled for one host that has every endpoint, and a packet's way through them.

use std::collections::BTreeMap;

use poplin_policy::compile::compile;
use poplin_policy::host::{Failsafe, Host, Settings, WorkloadToHost};
use poplin_policy::nat::Edge;
use poplin_policy::packet::Packet;
use poplin_policy::ruleset::{HookPoint, Interface, Ruleset};
use poplin_policy::walk::{ConntrackState, Outcome, SYN, Transit, walk};
use poplin_policy::world::World;

pub(crate) struct Machine(Ruleset);

impl Machine {
    pub(crate) fn of(world: &World) -> Self {
        let interfaces = world.endpoints.keys().map(|name| (name.clone(), interface_of(name))).collect();
        let host = Host {
            interfaces,
            settings: Settings {
                interface_prefix: "pop".to_owned(),
                workload_to_host: WorkloadToHost::Drop,
                serves_names: false,
                failsafe: Failsafe::default(),
            },
            host_endpoints: BTreeMap::new(),
            edge: Edge::default(),
        };
        Self(compile(world, &host))
    }

    /// Whether the first packet of a flow arrives.
    pub(crate) fn delivers(&self, world: &World, packet: &Packet) -> bool {
        let interface = |end: std::net::IpAddr| {
            world.endpoint_of(end).map_or_else(|| Interface::new("eth0").unwrap(), |(name, _)| interface_of(name))
        };
        let transit = |hook, out| Transit {
            hook,
            interface_in: Some(interface(packet.source)),
            interface_out: out,
            packet: *packet,
            hop_limit: 64,
            tcp_flags: SYN,
            state: ConntrackState::New,
            mark: 0,
        };
        let arriving = transit(HookPoint::Prerouting, None);
        let passing = transit(HookPoint::Forward, Some(interface(packet.destination)));
        [arriving, passing].iter().all(|transit| walk(&self.0, transit) == Outcome::Accept)
    }
}

fn interface_of(endpoint: &str) -> Interface {
    Interface::new(format!("pop-{endpoint}")).unwrap()
}
