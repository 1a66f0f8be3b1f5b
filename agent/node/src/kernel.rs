//! What the kernel holds that matters to one node, and the single steps that change it.
//!
//! In: nothing, these are values. The hands report [`KernelState`] and carry out [`Step`]s; the plan compares and orders.
//! Knows nothing of netlink. Words are those of ip-link(8), ip-route(8) and ip-neighbour(8).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipnet::IpNet;
use poplin_bgp::{Address, Zone};
use poplin_policy::delta::Change;
use poplin_policy::ruleset::Interface;

pub use poplin_policy::host::INTERFACE_PREFIX;

pub use crate::macvlan::{MacvlanMode, NewMacvlan};
pub use crate::next_hop::{Gateway, NextHop, NextHopId};
pub use crate::tunnel::{Device, DeviceState, Encapsulation, Vxlan};

/// Number of our routes in `rtm_protocol`: free in /etc/iproute2/rt_protos (80 and 186 are Calico's and BGP's).
pub const ROUTE_PROTOCOL: u8 = 143;

/// What stands in the place of a network namespace where the far end of a link is a file: whoever opens it by the tap's name is the far end, a
/// virtual machine most likely (linux Documentation/networking/tuntap.rst).
pub const TUN_DEVICE: &str = "/dev/net/tun";

/// A MAC address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl KernelState {
    /// Notes down a route of ours, in the place of any other to the same destination.
    pub fn put_route(&mut self, destination: IpNet, target: Target, source: Option<IpAddr>) {
        let (into, other) = match target {
            Target::Link(_) | Target::Endpoints(_) | Target::Blackhole => (&mut self.routes, &mut self.learned),
            Target::Gateways(_) | Target::Group(_) => (&mut self.learned, &mut self.routes),
        };
        other.remove(&destination);
        into.insert(destination, target);
        self.sources.remove(&destination);
        self.sources.extend(source.map(|source| (destination, source)));
    }

    /// Forgets a route of ours.
    pub fn drop_route(&mut self, destination: &IpNet) {
        self.routes.remove(destination);
        self.learned.remove(destination);
        self.sources.remove(destination);
    }

    /// The gateways of a group, if it and all its members stand.
    pub fn gateways_of(&self, group: NextHopId) -> Option<BTreeSet<Gateway>> {
        let single = |id: &NextHopId| match self.next_hops.get(id)? {
            NextHop::Single(gateway) => Some(*gateway),
            NextHop::Group(_) => None,
        };
        match self.next_hops.get(&group)? {
            NextHop::Group(members) => members.iter().map(single).collect(),
            NextHop::Single(_) => None,
        }
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, f] = self.0;
        write!(out, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
}

/// The kernel as last seen. Links, neighbours and local routes are ours alone; the underlay is what others wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelState {
    /// Host sides of our veths, and our taps, by name.
    pub links: BTreeMap<Interface, LinkState>,
    /// Routes of our protocol in the main table that end on this host, in a link or in the void, by destination.
    pub routes: BTreeMap<IpNet, Target>,
    /// Those that lead to other hosts; no destination is in both.
    pub learned: BTreeMap<IpNet, Target>,
    /// The address this host itself speaks under by such a route, where the route says so.
    pub sources: BTreeMap<IpNet, IpAddr>,
    /// Next hop objects of our protocol.
    pub next_hops: BTreeMap<NextHopId, NextHop>,
    /// Numbers among ours under which other programs have objects.
    pub foreign_next_hops: BTreeSet<NextHopId>,
    /// Whether this kernel has next hop objects: Linux 5.3 and later. Without, each route carries its gateways.
    pub has_next_hops: bool,
    /// Permanent neighbour entries on our links and that device.
    pub neighbours: BTreeMap<(Interface, IpAddr), Mac>,
    /// The device of our tunnels.
    pub tunnel: Option<DeviceState>,
    /// Where it sends what is for a MAC.
    pub fdb: BTreeMap<Mac, IpAddr>,
    /// Rules of ours: what comes from a range looks for hosts in the table of its encapsulation first.
    pub tunnel_rules: BTreeSet<(Encapsulation, IpNet)>,
    /// The routes of ours in those tables.
    pub tunnel_hosts: BTreeMap<(Encapsulation, IpAddr), Gateway>,
    /// Proxy neighbour entries of ours on interfaces of others, and whether the kernel answers by them: for IPv6 it has a switch.
    pub proxied: BTreeMap<(Interface, IpAddr), bool>,
    /// Addresses of ours on `lo`: the link-local gateway.
    pub gateways: BTreeSet<IpAddr>,
    /// Routes of the main table that others wrote: how next hops are reached.
    pub underlay: BTreeMap<IpNet, UnderlayRoute>,
    /// Addresses of the host itself outside `lo` and our links, with the interface they stand on.
    pub addresses: BTreeMap<IpAddr, String>,
    /// Every address of the host itself, on whatever link: what it may speak from.
    pub local: BTreeSet<IpAddr>,
    /// Interfaces that are not ours, with their indexes, whatever their state: it becomes another without a word of any route.
    pub interfaces: BTreeMap<Interface, u32>,
    /// Interfaces that are not ours and can carry packets now, with their indexes: where link-local neighbours may be.
    pub live: BTreeMap<Zone, u32>,
    /// MTU of interfaces that are not ours.
    pub mtus: BTreeMap<String, u32>,
    /// Interfaces that are lowered or without carrier, by index: no gateway is reached by them, and the kernel takes none
    /// (linux net/ipv4/nexthop.c, `rtm_to_nh_config`).
    pub dark: BTreeSet<u32>,
    /// Whether the host as a whole forwards no packets of some family it has.
    pub is_forwarding_off: bool,
}

/// One of our links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkState {
    /// Kernel's index.
    pub index: u32,
    /// Administratively up.
    pub is_up: bool,
    /// MAC of the host's side.
    pub mac: Mac,
    /// MTU in octets.
    pub mtu_bytes: u32,
    /// Whether forwarding, strict source check and silence towards router advertisements are set on it as
    /// [`Step::ConfigureLink`] sets them.
    pub is_configured: bool,
    /// Whether packets of loopback addresses may pass it (`route_localnet`): those of the host itself to a published port.
    pub has_loopback: bool,
}

/// Where a route of ours leads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A container on this host.
    Link(Interface),
    /// Several containers on this host, or one, each by its own address on its link, for an address that is none of theirs alone.
    Endpoints(BTreeSet<Gateway>),
    /// Other hosts: one or several next hops of equal cost, all on-link. Those of IPv6 lead IPv4, too (RFC 8950).
    Gateways(BTreeSet<Gateway>),
    /// The same, by a group of next hops.
    Group(NextHopId),
    /// Nowhere: the rest of an own block.
    Blackhole,
}

/// A route somebody else wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnderlayRoute {
    /// The destination is on the link with this index itself.
    OnLink(u32),
    /// Through these next hops.
    Via(BTreeSet<Address>),
}

/// One change of the kernel. Carried out in the order given; each is idempotent: what already is so is no error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Forwarding on, for both families.
    EnableForwarding,
    /// Puts the link-local gateway on `lo`.
    AddGateway(IpAddr),
    /// Changes our nftables table in one transaction. There may be a hundred thousand elements in it; whoever passes it on shares it.
    ChangeRules(Arc<Vec<Change>>),
    /// Changes the rules of one endpoint in its container's namespace, in one transaction. If they were begun anew, its interface is opened after it.
    ChangeSandbox {
        /// What its table is called.
        interface: Interface,
        /// Where.
        netns: PathBuf,
        /// The changes.
        changes: Vec<Change>,
        /// The group of its interface.
        group: u32,
        /// Whom it then reaches.
        mode: MacvlanMode,
    },
    /// Takes an endpoint's interface out of its container's namespace, if it is still there, and then its rules.
    LeaveSandbox {
        /// What its table is called.
        interface: Interface,
        /// Where.
        netns: PathBuf,
        /// The group of its interface.
        group: u32,
        /// Whether no other endpoint of ours stays in that namespace: then the gateways on its `lo` go as well.
        is_last: bool,
    },
    /// Creates a veth pair with its far end in a namespace, or beside it, or takes over a tap. Fails if the host's side exists.
    CreateLink(NewLink),
    /// Sysctls of one link: forwarding on, rp_filter strict, accept_ra, accept_redirects and send_redirects off, proxy_arp off; and for IPv6 the
    /// link-local gateway address `fe80::1`, without duplicate detection.
    ConfigureLink(Interface),
    /// Lets packets of loopback addresses pass the link, or not (`route_localnet`). The rules see to it that only the host's own do.
    LetLoopbackPass {
        /// Which link.
        interface: Interface,
        /// Whether they may.
        is_open: bool,
    },
    /// Raises the link.
    RaiseLink(Interface),
    /// Removes the link, and with it its routes and neighbours.
    DeleteLink(Interface),
    /// A permanent neighbour entry.
    SetNeighbour {
        /// On which link.
        interface: Interface,
        /// Of which address.
        address: IpAddr,
        /// Where it is.
        mac: Mac,
    },
    /// Has the kernel answer on an uplink for an address behind it, at once (`NTF_PROXY`, and the switches of the uplink it takes).
    SetProxyNeighbour {
        /// On which interface, which is not ours.
        uplink: Interface,
        /// For which address.
        address: IpAddr,
    },
    /// Has it answer no more. The switches stay.
    RemoveProxyNeighbour {
        /// On which interface.
        uplink: Interface,
        /// For which address.
        address: IpAddr,
    },
    /// Makes the device of our tunnels, or has the standing one be so; raised, with forwarding on, a loose source check, and deaf to router
    /// advertisements.
    SetTunnel(Device),
    /// Removes it, with all entries on it and next hops by it.
    RemoveTunnel,
    /// Has it send what is for a MAC to a host.
    SetFdbEntry {
        /// Whose.
        mac: Mac,
        /// The outer address.
        remote: IpAddr,
    },
    /// Has it know nothing of a MAC.
    RemoveFdbEntry(Mac),
    /// Has what comes from a range look for hosts in the table of its encapsulation, before the main one.
    SetTunnelRule(Encapsulation, IpNet),
    /// Has it look there no more.
    RemoveTunnelRule(Encapsulation, IpNet),
    /// Leads such packets to a host through the tunnel.
    SetTunnelHost {
        /// In which table.
        encapsulation: Encapsulation,
        /// Which host.
        address: IpAddr,
        /// By which gateway on the device.
        gateway: Gateway,
    },
    /// Leads them so no more.
    RemoveTunnelHost {
        /// In which table.
        encapsulation: Encapsulation,
        /// Which host.
        address: IpAddr,
    },
    /// Removes a neighbour entry.
    RemoveNeighbour {
        /// On which link.
        interface: Interface,
        /// Of which address.
        address: IpAddr,
    },
    /// Makes a next hop object, or puts it in the place of the one with its number; all routes that point at it follow.
    SetNextHop {
        /// Its number.
        id: NextHopId,
        /// What it is; members of a group stand already.
        next_hop: NextHop,
    },
    /// Removes a next hop object. The kernel removes the routes that point at it, and takes it out of its groups.
    RemoveNextHop(NextHopId),
    /// Adds or replaces a route of ours in the main table.
    SetRoute {
        /// To where.
        destination: IpNet,
        /// Through what.
        target: Target,
        /// Under which address of its own this host speaks by it; absent = the kernel chooses.
        source: Option<IpAddr>,
    },
    /// Removes a route of ours.
    RemoveRoute(IpNet),
}

/// A veth pair to be made, or a tap to be taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLink {
    /// Name of the host's side.
    pub interface: Interface,
    /// MAC of the host's side.
    pub mac: Mac,
    /// Name of the container's side, in its namespace. Of a tap, the name under which whoever attaches has made it, and by which it goes on to be
    /// found.
    pub container_interface: String,
    /// MAC of the container's side.
    pub container_mac: Mac,
    /// Where the container's side goes. Empty: it stays in the host's own namespace. [`TUN_DEVICE`]: it is a tap.
    pub netns: PathBuf,
    /// Of both sides.
    pub mtu_bytes: u32,
    /// Next hop of the container for IPv6 beside `fe80::1`, where it is in a network.
    pub gateway_v6: Option<Ipv6Addr>,
    /// It is no pair: the container's side alone, on another interface, closed, and under the name of the host's side until its runtime takes it.
    pub macvlan: Option<NewMacvlan>,
}

impl NewLink {
    /// Whether it is a tap, and stands already.
    pub fn is_tap(&self) -> bool {
        self.netns == Path::new(TUN_DEVICE)
    }
}

/// A step that could not be done. Steps before it were done, those after it were not tried; but of routes that stand next to it in the
/// batch nobody knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepFailure {
    /// Which step.
    pub step: Step,
    /// What went wrong.
    pub kind: StepFailureKind,
    /// The cause, for people.
    pub reason: String,
}

/// What a plan must tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepFailureKind {
    /// The namespace path does not exist.
    NamespaceMissing,
    /// The path is no network namespace.
    NotANamespace,
    /// The interface name in the container is taken.
    InterfaceExists,
    /// Our table is not as we think; read it again and start over.
    RulesOutOfStep,
    /// Anything else: try again later.
    Other,
}

impl Step {
    /// Whether it is about tunnels.
    pub fn is_of_tunnels(&self) -> bool {
        match self {
            Step::SetTunnel(_)
            | Step::RemoveTunnel
            | Step::SetFdbEntry { .. }
            | Step::RemoveFdbEntry(_)
            | Step::SetTunnelRule(..)
            | Step::RemoveTunnelRule(..)
            | Step::SetTunnelHost { .. }
            | Step::RemoveTunnelHost { .. } => true,
            Step::SetNeighbour { interface, .. } | Step::RemoveNeighbour { interface, .. } => {
                *interface == Device::interface()
            }
            Step::EnableForwarding
            | Step::AddGateway(_)
            | Step::ChangeRules(_)
            | Step::ChangeSandbox { .. }
            | Step::LeaveSandbox { .. }
            | Step::CreateLink(_)
            | Step::ConfigureLink(_)
            | Step::LetLoopbackPass { .. }
            | Step::RaiseLink(_)
            | Step::DeleteLink(_)
            | Step::SetProxyNeighbour { .. }
            | Step::RemoveProxyNeighbour { .. }
            | Step::SetNextHop { .. }
            | Step::RemoveNextHop(_)
            | Step::SetRoute { .. }
            | Step::RemoveRoute(_) => false,
        }
    }

    /// The step in a few words, for logs.
    pub fn describe(&self) -> String {
        match self {
            Step::EnableForwarding => "to forward packets".to_owned(),
            Step::AddGateway(address) => format!("address {address} on lo"),
            Step::ChangeRules(changes) => format!("{} changes of our table", changes.len()),
            Step::ChangeSandbox { netns, changes, .. } => {
                format!("{} changes of the rules in {}", changes.len(), netns.display())
            }
            Step::LeaveSandbox { interface, netns, .. } => format!("removal of {interface} from {}", netns.display()),
            Step::CreateLink(NewLink { interface, macvlan: Some(macvlan), .. }) => {
                format!("macvlan {interface} on {}", macvlan.parent)
            }
            Step::CreateLink(new) if new.is_tap() => format!("tap {} as {}", new.container_interface, new.interface),
            Step::CreateLink(new) => format!("link {} into {}", new.interface, new.netns.display()),
            Step::ConfigureLink(interface) => format!("sysctls of {interface}"),
            Step::LetLoopbackPass { interface, is_open: true } => format!("loopback packets over {interface}"),
            Step::LetLoopbackPass { interface, is_open: false } => format!("no loopback packets over {interface}"),
            Step::RaiseLink(interface) => format!("raising {interface}"),
            Step::DeleteLink(interface) => format!("removal of {interface}"),
            Step::SetNeighbour { interface, address, .. } => format!("neighbour {address} on {interface}"),
            Step::SetProxyNeighbour { uplink, address } => format!("to answer for {address} on {uplink}"),
            Step::RemoveProxyNeighbour { uplink, address } => format!("to answer no more for {address} on {uplink}"),
            Step::SetTunnel(device) => format!("tunnel device of VNI {} from {}", device.vxlan.vni, device.local),
            Step::RemoveTunnel => "removal of the tunnel device".to_owned(),
            Step::SetFdbEntry { mac, remote } => format!("forwarding of {mac} to {remote}"),
            Step::RemoveFdbEntry(mac) => format!("removal of the forwarding of {mac}"),
            Step::SetTunnelRule(_, from) => format!("rule for {from}"),
            Step::RemoveTunnelRule(_, from) => format!("removal of the rule for {from}"),
            Step::SetTunnelHost { address, .. } => format!("route of containers to host {address}"),
            Step::RemoveTunnelHost { address, .. } => format!("removal of the route of containers to host {address}"),
            Step::RemoveNeighbour { interface, address } => format!("removal of neighbour {address} on {interface}"),
            Step::SetNextHop { id, next_hop: NextHop::Single(gateway) } => format!("next hop {id} by {gateway}"),
            Step::SetNextHop { id, next_hop: NextHop::Group(members) } => {
                format!("group {id} of {} next hops", members.len())
            }
            Step::RemoveNextHop(id) => format!("removal of next hop {id}"),
            Step::SetRoute { destination, .. } => format!("route {destination}"),
            Step::RemoveRoute(destination) => format!("removal of route {destination}"),
        }
    }
}
