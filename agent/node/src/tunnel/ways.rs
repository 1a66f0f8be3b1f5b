//! What is found of tunnels, and by what: anew where something of that has changed.
//!
//! In: pools, hosts, the kernel as last seen. Out: what should stand, and by which gateways prefixes are led into it. There may be a thousand hosts, and
//! both are asked for at every turn.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::kernel::{DeviceState, Gateway, KernelState, UnderlayRoute};
use crate::mirror::Mirror;
use crate::name::HostName;
use crate::object::Host;

use super::{Encapsulation, Tunnel, Vxlan, gateways, is_dark, is_used, uplink_bytes, wanted, wrapped};

/// What was found last, and by what.
#[derive(Debug, Default)]
pub struct Tunnelling {
    ground: Option<Ground>,
    tunnel: Option<Arc<Tunnel>>,
    tunnels: Tunnels,
}

/// What tunnels depend on.
#[derive(Debug)]
struct Ground {
    me: HostName,
    hosts: Vec<(HostName, BTreeSet<IpAddr>)>,
    wrapped: Vec<(Encapsulation, IpNet)>,
    vxlan: Vxlan,
    device: Option<DeviceState>,
    is_dark: bool,
    underlay: BTreeMap<IpNet, UnderlayRoute>,
    uplink_bytes: Option<u32>,
}

impl Tunnelling {
    /// Follows what has changed.
    pub fn follow(&mut self, mirror: &Mirror, me: &Host, kernel: &KernelState) {
        if !is_used(mirror) {
            return *self = Self::default();
        }
        if !self.ground.as_ref().is_some_and(|ground| ground.is_of(mirror, me, kernel)) {
            let tunnel = wanted(mirror, me, kernel);
            self.tunnels = Tunnels::of(mirror, me, tunnel.as_ref(), kernel);
            self.tunnel = tunnel.map(Arc::new);
            self.ground = Some(Ground::of(mirror, me, kernel));
        }
    }

    /// What should stand.
    pub fn tunnel(&self) -> Option<Arc<Tunnel>> {
        self.tunnel.clone()
    }

    /// Where prefixes are led by it.
    pub fn tunnels(&self) -> &Tunnels {
        &self.tunnels
    }
}

impl Ground {
    fn of(mirror: &Mirror, me: &Host, kernel: &KernelState) -> Self {
        Self {
            me: me.name.clone(),
            hosts: mirror.hosts().map(|host| (host.name.clone(), host.addresses.clone())).collect(),
            wrapped: wrapped(mirror).collect(),
            vxlan: mirror.fabric().vxlan,
            device: kernel.tunnel.clone(),
            is_dark: is_dark(kernel),
            underlay: kernel.underlay.clone(),
            uplink_bytes: uplink_bytes(me, kernel),
        }
    }

    fn is_of(&self, mirror: &Mirror, me: &Host, kernel: &KernelState) -> bool {
        let hosts = || mirror.hosts().map(|host| (&host.name, &host.addresses));
        self.me == me.name
            && self.vxlan == mirror.fabric().vxlan
            && self.device == kernel.tunnel
            && self.is_dark == is_dark(kernel)
            && self.uplink_bytes == uplink_bytes(me, kernel)
            && self.underlay == kernel.underlay
            && self.wrapped.iter().copied().eq(wrapped(mirror))
            && self.hosts.iter().map(|(name, addresses)| (name, addresses)).eq(hosts())
    }
}

/// Which prefixes go through the tunnel, and by which gateways.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tunnels {
    pools: BTreeSet<(Encapsulation, IpNet)>,
    /// By next hop; none while the device does not stand as it should.
    gateways: BTreeMap<IpAddr, Gateway>,
}

impl Tunnels {
    /// Those of this host, of which `tunnel` is what should stand.
    pub fn of(mirror: &Mirror, me: &Host, tunnel: Option<&Tunnel>, kernel: &KernelState) -> Self {
        let Some(tunnel) = tunnel else { return Self::default() };
        let index = tunnel.index(kernel);
        let gateways = index.map(|index| gateways(mirror, me, tunnel.device.local, index)).unwrap_or_default();
        Self { pools: tunnel.rules.clone(), gateways }
    }

    /// Whether the same prefixes are asked for.
    pub fn is_for_the_same(&self, other: &Self) -> bool {
        self.pools == other.pools
    }

    /// What is asked for a prefix.
    pub fn encapsulation_of(&self, prefix: &IpNet) -> Encapsulation {
        let pool = self.pools.iter().find(|(_, cidr)| cidr.contains(prefix));
        pool.map(|(encapsulation, _)| *encapsulation).unwrap_or_default()
    }

    /// Where in the tunnel a next hop is, if it is the end of one.
    pub fn gateway(&self, next_hop: IpAddr) -> Option<Gateway> {
        self.gateways.get(&next_hop).copied()
    }
}

#[cfg(test)]
impl Tunnels {
    /// Made up.
    pub fn sample(pools: BTreeSet<(Encapsulation, IpNet)>, gateways: BTreeMap<IpAddr, Gateway>) -> Self {
        Self { pools, gateways }
    }
}
