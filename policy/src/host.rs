//! What one host adds to the world: its own endpoints' interfaces and its host endpoints, and how it treats what comes to itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::label::Labels;
use crate::model::{AddressSet, Direction, NamedPort, PortProtocol, Profile, QualifiedName, inherited};
use crate::nat::Edge;
use crate::packet::{ICMP, ICMP6, Packet, TCP, Transport, UDP};
use crate::ruleset::Interface;

/// How the names of all interfaces of ours begin on every host, and nobody else's.
pub const INTERFACE_PREFIX: &str = "pop";

/// What the device of tunnels between hosts is called on every host; not as our links are, which have policy on them.
pub const TUNNEL_DEVICE: &str = "vxlan.poplin";

/// One host, as the compiler sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Local endpoints by name, and the host side of each one's link. An endpoint the world does not know gets no
    /// policy, and so its interface passes nothing.
    pub interfaces: BTreeMap<String, Interface>,
    /// Host endpoints of this host by name, and where each stands.
    pub host_endpoints: BTreeMap<String, Doorway>,
    /// What is inside of the fabric, and under which source packets leave it.
    pub edge: Edge,
    /// How the host treats its endpoints.
    pub settings: Settings,
}

/// What holds for all endpoints of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How the names of all our interfaces on this host begin, and nobody else's; 1 to 14 octets.
    pub interface_prefix: String,
    /// What endpoints may open to the host itself.
    pub workload_to_host: WorkloadToHost,
    /// Whether they may ask it for names whatever else they may open to it: at its link-local addresses, UDP and TCP, port 53.
    pub serves_names: bool,
    /// What no policy of a host endpoint can close.
    pub failsafe: Failsafe,
}

/// Which of a host's own interfaces a host endpoint stands for. Were there two for one, the first by name counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Doorway {
    /// This one.
    Named(Interface),
    /// Every one that is neither ours nor lo and that no other host endpoint names.
    Every,
}

/// One of a host's own interfaces, or all of them, as people declare it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostEndpoint {
    /// Unique in the fabric.
    pub name: String,
    /// What policies that speak for hosts select it by, and, by its addresses, rules of all policies: its own labels, and, once it is
    /// an [heir](HostEndpoint::heir), those of its profiles.
    pub labels: Labels,
    /// Profiles whose labels it inherits, by name, the first one first.
    pub profiles: Vec<String>,
    /// The host's name.
    pub host: String,
    /// Which interface.
    pub doorway: Doorway,
    /// What it is selected by in rules of others.
    pub addresses: BTreeSet<IpAddr>,
    /// What rules call some of the ports at its addresses, theirs and those of its own policies; without addresses no rule knows them.
    pub ports: Vec<NamedPort>,
}

impl HostEndpoint {
    /// The same with all that it inherits, as endpoints do; `profile` finds declarations, of which some may be missing.
    pub fn heir<'p>(&self, profile: impl Fn(&str) -> Option<&'p Profile> + Clone) -> Self {
        let profiles = self.profiles.iter().map(|name| (name.as_str(), profile(name)));
        Self { labels: inherited(&self.labels, profiles, None), ..self.clone() }
    }

    /// Its addresses as what stands at the other end of rules: an address set with its labels, under a name nobody can declare.
    pub fn as_other_end(&self) -> AddressSet {
        let nets = self.addresses.iter().copied().map(IpNet::from).collect();
        AddressSet { name: Self::other_end(&self.name), labels: self.labels.clone(), nets }
    }

    /// The name of that address set.
    pub fn other_end(name: &str) -> QualifiedName {
        QualifiedName::global(format!("host endpoint {name}"))
    }
}

/// Ports of a host that stay open at its host endpoints, so that nobody locks himself out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failsafe {
    /// Ports of the host itself.
    pub inbound: BTreeSet<(PortProtocol, u16)>,
    /// Ports of others, which the host itself opens.
    pub outbound: BTreeSet<(PortProtocol, u16)>,
}

impl Failsafe {
    /// No port stays open.
    pub fn none() -> Self {
        Self { inbound: BTreeSet::new(), outbound: BTreeSet::new() }
    }

    /// The ports of a direction.
    pub fn ports(&self, direction: Direction) -> &BTreeSet<(PortProtocol, u16)> {
        match direction {
            Direction::Ingress => &self.inbound,
            Direction::Egress => &self.outbound,
        }
    }
}

impl Default for Failsafe {
    /// Those Calico has (felix/docs/config-params.md, FailsafeInboundHostPorts): ssh, BGP, etcd, Typha, Kubernetes' API, etcd's old
    /// ports; DHCP and DNS. And those of BFD (RFC 5881 §4, RFC 5883 §5), without which BGP sessions end.
    fn default() -> Self {
        let tcp = |ports: &[u16]| ports.iter().map(|port| (PortProtocol::Tcp, *port)).collect::<BTreeSet<_>>();
        let udp = |ports: &[u16]| ports.iter().map(|port| (PortProtocol::Udp, *port)).collect::<BTreeSet<_>>();
        let both = tcp(&[179, 2379, 2380, 5473, 6443, 6666, 6667]);
        Self {
            inbound: both.iter().chain(&tcp(&[22])).chain(&udp(&[68, 3784, 4784])).copied().collect(),
            outbound: both.iter().chain(&udp(&[53, 67, 3784, 4784])).copied().collect(),
        }
    }
}

/// What endpoints may open to their own host, after their egress policy allowed it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WorkloadToHost {
    /// Everything.
    Accept,
    /// ICMP and ICMPv6 echo requests only, and names where the host serves them.
    #[default]
    Drop,
}

/// What becomes of a packet that an endpoint sends to its own host, once its egress policy allowed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToHost {
    /// Everything may be opened.
    Anything,
    /// It asks for an echo.
    Echo,
    /// It asks for names, which the host serves.
    Names,
    /// It goes to a loopback address, which is nobody else's.
    Loopback,
    /// Workloads may not open it.
    Denied,
}

impl WorkloadToHost {
    /// Asks about a packet: the plain definition of what is compiled.
    pub fn verdict(self, serves_names: bool, packet: &Packet) -> ToHost {
        match packet.destination {
            IpAddr::V4(address) if address.is_loopback() => return ToHost::Loopback,
            IpAddr::V4(_) | IpAddr::V6(_) => {}
        }
        let echo_request = if packet.destination.is_ipv4() { (ICMP, 8) } else { (ICMP6, 128) };
        match (self, packet.transport) {
            (WorkloadToHost::Accept, _) => ToHost::Anything,
            (WorkloadToHost::Drop, Transport::Icmp { protocol, kind, .. }) if (protocol, kind) == echo_request => {
                ToHost::Echo
            }
            (WorkloadToHost::Drop, Transport::Ports { protocol: TCP | UDP, destination: 53, .. })
                if serves_names && is_link_local(packet.destination) =>
            {
                ToHost::Names
            }
            (WorkloadToHost::Drop, Transport::Icmp { .. } | Transport::Ports { .. } | Transport::Other(_)) => {
                ToHost::Denied
            }
        }
    }
}

/// Whether an address means whoever is at the other end of the link.
pub fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

impl ToHost {
    /// Whether it may pass.
    pub fn is_allowed(self) -> bool {
        match self {
            ToHost::Anything | ToHost::Echo | ToHost::Names => true,
            ToHost::Loopback | ToHost::Denied => false,
        }
    }
}

impl fmt::Display for ToHost {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            ToHost::Anything => "workloadToHost is accept: allowed",
            ToHost::Echo => "workloads may ask their host for echoes: allowed",
            ToHost::Names => "workloads may ask their host for names: allowed",
            ToHost::Loopback => "a loopback address is the host's own: denied",
            ToHost::Denied => "workloads may not open this to their own host (workloadToHost is drop): denied",
        })
    }
}
