//! A few hosts that share a world's endpoints, and the journey of a packet through the hosts it meets.

use std::collections::BTreeMap;

use poplin_policy::compile::compile;
use poplin_policy::host::{Doorway, Failsafe, Host, Settings, WorkloadToHost};
use poplin_policy::nat::Edge;
use poplin_policy::packet::Packet;
use poplin_policy::ruleset::{HookPoint, Interface, Ruleset};
use poplin_policy::walk::{ConntrackState, Outcome, SYN, Transit, walk};
use poplin_policy::world::World;

/// Hosts with their compiled rules.
pub(crate) struct Fleet {
    hosts: Vec<(Host, Ruleset)>,
}

impl Fleet {
    /// Spreads the endpoints over hosts; `spread` says on which the next one lives.
    pub(crate) fn of(world: &World, spread: &[usize; 6]) -> Self {
        let count = spread.iter().max().map_or(1, |last| last + 1);
        let mut interfaces = vec![BTreeMap::new(); count];
        for (name, host) in world.endpoints.keys().zip(spread) {
            interfaces[*host].insert(name.clone(), interface_of(name));
        }
        let hosts = interfaces.into_iter().map(|interfaces| host(interfaces, WorkloadToHost::Drop));
        Self { hosts: hosts.map(|host| (host.clone(), compile(world, &host))).collect() }
    }

    /// Whether the first packet of a flow arrives: through the source's host, then through the destination's.
    pub(crate) fn delivers(&self, world: &World, packet: &Packet) -> bool {
        let source = world.endpoint_of(packet.source).map(|(name, _)| name);
        let destination = world.endpoint_of(packet.destination).map(|(name, _)| name);
        let home = |name: Option<&str>| {
            self.hosts.iter().position(|(host, _)| host.interfaces.contains_key(name.unwrap_or("")))
        };
        match (home(source), home(destination)) {
            (Some(near), Some(far)) if near == far => self.forwards(near, source, destination, packet),
            (Some(near), Some(far)) => {
                self.forwards(near, source, None, packet) && self.forwards(far, None, destination, packet)
            }
            (Some(near), None) => self.forwards(near, source, None, packet),
            (None, Some(far)) => self.forwards(far, None, destination, packet),
            (None, None) => self.forwards(0, None, None, packet),
        }
    }

    fn forwards(&self, host: usize, source: Option<&str>, destination: Option<&str>, packet: &Packet) -> bool {
        let rules = &self.hosts[host].1;
        let into = source.map_or_else(uplink, interface_of);
        let out = destination.map_or_else(uplink, interface_of);
        let arriving = at(HookPoint::Prerouting, &into, None, packet);
        let passing = at(HookPoint::Forward, &into, Some(&out), packet);
        [arriving, passing].iter().all(|transit| walk(rules, transit) == Outcome::Accept)
    }
}

pub(crate) fn host(interfaces: BTreeMap<String, Interface>, workload_to_host: WorkloadToHost) -> Host {
    let settings = Settings {
        interface_prefix: "pop".to_owned(),
        workload_to_host,
        serves_names: true,
        failsafe: Failsafe::default(),
    };
    Host { interfaces, host_endpoints: BTreeMap::new(), edge: Edge::default(), settings }
}

/// All endpoints on one host.
pub(crate) fn one_host(world: &World, workload_to_host: WorkloadToHost) -> Host {
    host(world.endpoints.keys().map(|name| (name.clone(), interface_of(name))).collect(), workload_to_host)
}

/// The same, with the world's host endpoints: `any` stands for every interface, each other for the one of its name.
pub(crate) fn guarded_host(world: &World, workload_to_host: WorkloadToHost) -> Host {
    let doorways = world.host_endpoints.keys().map(|name| (name.clone(), doorway_of(name)));
    Host { host_endpoints: doorways.collect(), ..one_host(world, workload_to_host) }
}

pub(crate) fn doorway_of(host_endpoint: &str) -> Doorway {
    match host_endpoint {
        "any" => Doorway::Every,
        name => Doorway::Named(Interface::new(name).unwrap()),
    }
}

pub(crate) fn interface_of(endpoint: &str) -> Interface {
    Interface::new(format!("pop-{endpoint}")).unwrap()
}

pub(crate) fn uplink() -> Interface {
    Interface::new("eth0").unwrap()
}

/// The first packet of a flow at a hook.
pub(crate) fn at(hook: HookPoint, into: &Interface, out: Option<&Interface>, packet: &Packet) -> Transit {
    Transit {
        group: 0,
        hook,
        interface_in: Some(into.clone()),
        interface_out: out.cloned(),
        packet: *packet,
        hop_limit: 64,
        tcp_flags: SYN,
        state: ConntrackState::New,
        mark: 0,
    }
}
