//! Tunnels between hosts, for pools whose addresses the network between them does not route: VXLAN (RFC 7348).
//!
//! In: pools, hosts, the kernel as last seen. Out: the one device that should stand with what it knows of the other hosts, and the gateway on it by
//! which a next hop is reached. A host's MAC on it follows from the address others reach the host by, so that nobody has to tell it, learn it
//! or ask for it: two entries a host, none a container. A prefix goes through the tunnel if its pool asks for it and BGP's next hop is a host of
//! the fabric; what a router says it leads to itself goes to that router as it is.

mod source;
mod ways;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;
use poplin_policy::host::TUNNEL_DEVICE;
use poplin_policy::nat::{Ends, Published};
use poplin_policy::ruleset::Interface;

use crate::kernel::{Gateway, KernelState, Mac};
use crate::mirror::Mirror;
use crate::name::HostName;
use crate::object::Host;
use crate::stable::hash64;
use crate::underlay::{on_link, uplink_mtu_bytes};

pub use source::Sources;
pub use ways::{Tunnelling, Tunnels};

/// The port RFC 7348 §5 assigns.
pub const VXLAN_PORT: u16 = 4789;

/// The network identifier by default: the number of our routes, below those that Docker Swarm (4096 and on) and Calico (4096) use, and not flannel's 1.
pub const VNI: u32 = 143;

/// Of an uplink nobody knows.
const DEFAULT_MTU_BYTES: u32 = 1500;

/// The least that IPv6 takes (RFC 8200 §5); a device with less has none.
const LEAST_MTU_BYTES: u32 = 1280;

/// Which packets to containers on other hosts are wrapped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Encapsulation {
    /// None: the network routes the pool.
    #[default]
    Never,
    /// Those to hosts that are not on a link of this one.
    CrossSubnet,
    /// All.
    Always,
}

impl Encapsulation {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Never, Self::CrossSubnet, Self::Always];

    /// Whether what goes to a host with this address is wrapped.
    pub fn wraps(self, host: IpAddr, kernel: &KernelState) -> bool {
        match self {
            Self::Never => false,
            Self::CrossSubnet => on_link(kernel, host).is_none(),
            Self::Always => true,
        }
    }
}

/// How packets are wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vxlan {
    /// The network identifier, 24 bits.
    pub vni: u32,
    /// The UDP port hosts receive at.
    pub port: u16,
}

impl Default for Vxlan {
    fn default() -> Self {
        Self { vni: VNI, port: VXLAN_PORT }
    }
}

/// The device, as it is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// How it wraps.
    pub vxlan: Vxlan,
    /// From where: this host's address towards the others.
    pub local: IpAddr,
    /// What those send to who mean this host.
    pub mac: Mac,
    /// What fits into a packet of the uplink.
    pub mtu_bytes: u32,
}

impl Device {
    /// The name of every such device.
    pub fn interface() -> Interface {
        Interface::new(TUNNEL_DEVICE).expect("it is a name the kernel takes")
    }

    /// Whether it can become the other without being made anew: the kernel changes neither identifier nor port of a device
    /// (linux drivers/net/vxlan, `vxlan_nl2conf`).
    pub fn is_like(&self, other: &Self) -> bool {
        (self.vxlan, self.local, self.mac) == (other.vxlan, other.local, other.mac)
    }
}

/// The device as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceState {
    /// Kernel's index; 0 = it was just made, and not read yet.
    pub index: u32,
    /// What it is; absent = somebody else made it so.
    pub device: Option<Device>,
    /// Whether it is up, forwards, and takes packets of hosts that are reached by another link.
    pub is_configured: bool,
}

/// What should stand.
#[derive(Clone, Debug, PartialEq)]
pub struct Tunnel {
    /// The device.
    pub device: Device,
    /// Where each MAC is: the outer address (forwarding database of the device).
    pub fdb: BTreeMap<Mac, IpAddr>,
    /// The MAC of each gateway.
    pub neighbours: BTreeMap<IpAddr, Mac>,
    /// Ranges whose containers find hosts by a table of their own, of those that are wrapped alike: a network that does not route their addresses
    /// takes nothing from them either.
    pub rules: BTreeSet<(Encapsulation, IpNet)>,
    /// What is in those tables: the hosts that are reached through the tunnel. None while the device does not stand as it should.
    pub hosts: BTreeMap<(Encapsulation, IpAddr), Gateway>,
}

/// What should stand on this host; nothing if no pool asks for it, or the host has no address yet.
pub fn wanted(mirror: &Mirror, me: &Host, kernel: &KernelState) -> Option<Tunnel> {
    let local = is_used(mirror).then(|| outer(me))??;
    let mtu_bytes = inner_mtu_bytes(uplink_bytes(me, kernel).unwrap_or(DEFAULT_MTU_BYTES), local);
    let device = Device { vxlan: mirror.fabric().vxlan, local, mac: mac_of(local), mtu_bytes };
    let has_family = |range: &IpNet| me.addresses.iter().any(|own| own.is_ipv6() == matches!(range, IpNet::V6(_)));
    let rules: BTreeSet<_> = wrapped(mirror).filter(|(_, range)| has_family(range)).collect();
    let (mut fdb, mut neighbours) = (BTreeMap::new(), BTreeMap::new());
    for (remote, host) in others(mirror, me, local) {
        let mac = mac_of(remote);
        fdb.insert(mac, remote);
        neighbours.extend(reachable(me, host).map(|address| (gateway_of(*address, mac), mac)));
    }
    let mut tunnel = Tunnel { device, fdb, neighbours, rules, hosts: BTreeMap::new() };
    if let Some(index) = tunnel.index(kernel) {
        let all = gateways(mirror, me, local, index);
        let asked: BTreeSet<Encapsulation> = tunnel.rules.iter().map(|(encapsulation, _)| *encapsulation).collect();
        let hosts =
            asked.into_iter().flat_map(|one| all.iter().map(move |(address, gateway)| ((one, *address), *gateway)));
        tunnel.hosts = hosts.filter(|((one, address), _)| one.wraps(*address, kernel)).collect();
    }
    Some(tunnel)
}

/// The ranges that are wrapped. One that has a host's address in it is not: what the host sends itself would be taken for a container's, that which is wrapped
/// first of all.
fn wrapped(mirror: &Mirror) -> impl Iterator<Item = (Encapsulation, IpNet)> {
    let wrapped = mirror.pools().filter(|pool| pool.encapsulation != Encapsulation::Never);
    let has_host = |cidr: &IpNet| mirror.hosts().any(|host| host.addresses.iter().any(|one| cidr.contains(one)));
    wrapped.filter(move |pool| !has_host(&pool.cidr)).map(|pool| (pool.encapsulation, pool.cidr))
}

/// The ends of all hosts' tunnels; nothing if no pool asks for any and no device stands, which receives at this port.
pub fn ends(mirror: &Mirror, me: &HostName, standing: Option<u16>) -> Option<Ends> {
    let asked = is_used(mirror).then(|| mirror.fabric().vxlan.port);
    let ports: BTreeSet<u16> = asked.into_iter().chain(standing).collect();
    let addresses = || mirror.hosts().filter_map(outer).collect();
    (!ports.is_empty()).then(|| Ends { own: mirror.host(me).and_then(outer), ports, addresses: addresses() })
}

/// Where this host receives what is wrapped, in the words of who publishes ports; nothing if no pool asks for it. Whatever a container were to have of it
/// would be dropped, or be another host's tunnel.
pub fn door(mirror: &Mirror, me: &HostName) -> Option<Published> {
    let local = is_used(mirror).then(|| mirror.host(me).and_then(outer))??;
    let port = mirror.fabric().vxlan.port;
    format!("{}:{port}/udp", SocketAddr::new(local, port)).parse().ok()
}

fn is_used(mirror: &Mirror) -> bool {
    wrapped(mirror).next().is_some()
}

/// The other hosts, with the addresses they receive at: those that do so by the family of this host's own.
fn others<'m>(mirror: &'m Mirror, me: &'m Host, local: IpAddr) -> impl Iterator<Item = (IpAddr, &'m Host)> {
    let remote = move |host: &Host| outer(host).filter(|one| one.is_ipv6() == local.is_ipv6());
    mirror.hosts().filter(|host| host.name != me.name).filter_map(move |host| Some((remote(host)?, host)))
}

/// The addresses of another host of families this one has, too: without IPv6 the kernel takes no entry of it.
fn reachable<'h>(me: &'h Host, host: &'h Host) -> impl Iterator<Item = &'h IpAddr> {
    host.addresses.iter().filter(|one| me.addresses.iter().any(|own| own.is_ipv6() == one.is_ipv6()))
}

/// The address a host's packets are wrapped under: that of IPv4, which comes first, or of IPv6 where it has no other.
fn outer(host: &Host) -> Option<IpAddr> {
    host.addresses.first().copied()
}

fn uplink_bytes(me: &Host, kernel: &KernelState) -> Option<u32> {
    uplink_mtu_bytes(kernel, &BTreeSet::from([outer(me)?]))
}

/// What a packet may have before it is wrapped: Ethernet, VXLAN, UDP and IP take 50 octets, or 70 by IPv6 (RFC 7348 §5).
pub fn inner_mtu_bytes(uplink_bytes: u32, local: IpAddr) -> u32 {
    let overhead_bytes = if local.is_ipv6() { 70 } else { 50 };
    uplink_bytes.saturating_sub(overhead_bytes).max(LEAST_MTU_BYTES)
}

/// The MTU of who gets these addresses, where nobody has said another: what fits into the tunnel if some of it goes there.
pub fn container_mtu_bytes(mirror: &Mirror, me: &Host, addresses: &[IpAddr], uplink_bytes: u32) -> u32 {
    let is_wrapped = |address: &IpAddr| encapsulation_of(mirror, *address) != Encapsulation::Never;
    match outer(me).filter(|_| mirror.fabric().mtu_bytes.is_none() && addresses.iter().any(is_wrapped)) {
        Some(local) => inner_mtu_bytes(uplink_bytes, local),
        None => uplink_bytes,
    }
}

fn encapsulation_of(mirror: &Mirror, address: IpAddr) -> Encapsulation {
    mirror.pools().find(|pool| pool.cidr.contains(&address)).map(|pool| pool.encapsulation).unwrap_or_default()
}

/// A host's MAC on the device, locally administered (IEEE 802 §8.2.2).
fn mac_of(outer: IpAddr) -> Mac {
    let octets = match outer {
        IpAddr::V4(address) => address.octets(),
        IpAddr::V6(address) => {
            let [.., a, b, c, d] = hash64(&["vxlan", &address.to_string()]).to_be_bytes();
            [a, b, c, d]
        }
    };
    let [a, b, c, d] = octets;
    Mac([0x02, b'v', a, b, c, d])
}

/// Where on the device a next hop is: under its own address, or, for IPv6, under the link-local one of its MAC (RFC 4291, appendix A). The kernel takes no
/// gateway of IPv6 on one link that a route has on another (linux net/ipv6/route.c, `ip6_route_check_nh_onlink`).
fn gateway_of(next_hop: IpAddr, Mac([a, b, c, d, e, f]): Mac) -> IpAddr {
    let half = |high: u8, low: u8| u16::from_be_bytes([high, low]);
    match next_hop {
        IpAddr::V4(_) => next_hop,
        IpAddr::V6(_) => {
            Ipv6Addr::new(0xfe80, 0, 0, 0, half(a ^ 0x02, b), half(c, 0xff), half(0xfe, d), half(e, f)).into()
        }
    }
}

impl Tunnel {
    /// The index of its device, if packets can be led to it.
    fn index(&self, kernel: &KernelState) -> Option<u32> {
        let is_it = |state: &&DeviceState| state.device.is_some_and(|device| device.is_like(&self.device));
        let standing = kernel.tunnel.as_ref().filter(is_it).filter(|state| state.index > 0 && state.is_configured)?;
        (!is_dark(kernel)).then_some(standing.index)
    }
}

/// Whether the device has no carrier.
fn is_dark(kernel: &KernelState) -> bool {
    kernel.tunnel.as_ref().is_some_and(|standing| kernel.dark.contains(&standing.index))
}

fn gateways(mirror: &Mirror, me: &Host, local: IpAddr, index: u32) -> BTreeMap<IpAddr, Gateway> {
    let of_host = |(remote, host): (IpAddr, &Host)| {
        let gateway = |address: &IpAddr| {
            (*address, Gateway { address: gateway_of(*address, mac_of(remote)), interface: Some(index) })
        };
        reachable(me, host).map(gateway).collect::<Vec<_>>()
    };
    others(mirror, me, local).flat_map(of_host).collect()
}
