//! What a packet meets on its way: the endpoints at its ends, and the host endpoints of the host it comes to.
//!
//! Every endpoint lives on one host, `h1`, and everybody outside is behind its [`UPLINK`].

use std::net::IpAddr;

use poplin_policy::gate::{Lane, host_verdicts};
use poplin_policy::host::{Doorway, Failsafe, HostEndpoint, WorkloadToHost};
use poplin_policy::packet::Packet;
use poplin_policy::verdict::verdict;
use poplin_policy::world::World;

/// What documents call the host.
const NAME: &str = "h1";

/// The interface that leads outside.
pub(crate) const UPLINK: &str = "eth0";

/// The host's own addresses.
pub(crate) const HOST: [&str; 2] = ["172.31.0.2", "fd31::2"];

/// Where an end of a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Host,
    Workload,
    Outside,
}

pub(crate) fn side(world: &World, address: IpAddr) -> Side {
    match world.endpoint_of(address) {
        Some(_) => Side::Workload,
        None if HOST.iter().any(|own| own.parse() == Ok(address)) => Side::Host,
        None => Side::Outside,
    }
}

/// The host endpoints of the host.
pub(crate) fn own(all: Vec<HostEndpoint>) -> Vec<HostEndpoint> {
    all.into_iter().filter(|endpoint| endpoint.host == NAME).collect()
}

/// Whether the first packet of a flow arrives, by the plain definition; `gates` are the host's.
pub(crate) fn is_allowed(world: &World, gates: &[HostEndpoint], packet: &Packet) -> bool {
    let ends = verdict(world, packet).allowed;
    let by_uplink = |lanes: &[Lane]| passes(world, at_uplink(gates), lanes, packet);
    match (side(world, packet.source), side(world, packet.destination)) {
        (Side::Workload, Side::Workload) => ends,
        (Side::Workload, Side::Outside) => ends && by_uplink(&[Lane::ForwardOut]),
        (Side::Outside, Side::Workload) => ends && by_uplink(&Lane::FORWARDED),
        (Side::Outside, Side::Outside) => by_uplink(&Lane::FORWARDED) && by_uplink(&[Lane::ForwardOut]),
        (Side::Outside, Side::Host) => by_uplink(&Lane::RECEIVED),
        (Side::Host, Side::Outside) => by_uplink(&Lane::SENT),
        (Side::Workload, Side::Host) => {
            let may_open = WorkloadToHost::Drop.verdict(false, packet).is_allowed();
            ends && may_open && passes(world, stands(gates, &Doorway::Every), &[Lane::Input], packet)
        }
        (Side::Host, Side::Workload | Side::Host) => true,
    }
}

fn passes(world: &World, gate: Option<&HostEndpoint>, lanes: &[Lane], packet: &Packet) -> bool {
    let said = gate.map(|gate| host_verdicts(world, &Failsafe::default(), &gate.name, lanes, packet));
    said.unwrap_or_default().iter().all(|ruling| ruling.allowed)
}

fn at_uplink(gates: &[HostEndpoint]) -> Option<&HostEndpoint> {
    let named = gates.iter().find(|gate| matches!(&gate.doorway, Doorway::Named(name) if name.as_str() == UPLINK));
    named.or_else(|| stands(gates, &Doorway::Every))
}

fn stands<'g>(gates: &'g [HostEndpoint], doorway: &Doorway) -> Option<&'g HostEndpoint> {
    gates.iter().find(|gate| gate.doorway == *doorway)
}
