//! What was seen, before anybody says what it means. What could not be looked at is absent, and named in `unseen`.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use poplin_proto::v1::{
    AddressFinding, CredentialFile, EndpointSpec, ExamineStoreResponse, FabricConfigSpec, GetStatusResponse, PoolUse,
};
use serde_json::Value;

use super::finding::Unseen;

/// One look around.
#[derive(Clone, Debug, Default)]
pub(super) struct Reading {
    /// Seconds since 1970 on this host.
    pub(super) now: u64,
    /// What the agent says, or why it says nothing and what to try.
    pub(super) agent: Option<Result<Told, (String, String)>>,
    pub(super) switches: Switches,
    pub(super) links: BTreeMap<String, Link>,
    pub(super) addresses: Vec<OwnAddress>,
    /// The addresses others reach this host by.
    pub(super) known_by: Vec<IpAddr>,
    pub(super) routes: Vec<Route>,
    /// What stands in nftables; absent = it could not be asked.
    pub(super) rules: Option<Rules>,
    /// What `iptables-legacy -S` says, if that kind of rules is in use.
    pub(super) legacy_rules: Option<String>,
    pub(super) certificates: Vec<Certificate>,
    /// Ways to others that were probed.
    pub(super) ways: Vec<Way>,
    /// The tunnels that were probed: how large a packet may be before it is wrapped.
    pub(super) tunnels: Vec<Way>,
    /// Who else answers for an address of ours: address, interface, its MAC.
    pub(super) rivals: Vec<(Ipv4Addr, String, String)>,
    /// Whether the port answers of each neighbour without a session.
    pub(super) doors: BTreeMap<String, Door>,
    /// Stores that the configuration names, when there is no agent to ask: endpoint, and why it cannot be reached.
    pub(super) stores: Vec<(String, Option<String>)>,
    /// Space of the embedded store: path, free octets, all.
    pub(super) space: Option<(String, u64, u64)>,
    /// Whether systemd-networkd runs and removes routes it did not make.
    pub(super) networkd_removes_routes: bool,
    pub(super) unseen: Vec<Unseen>,
}

/// What the agent told.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    pub(super) status: GetStatusResponse,
    pub(super) store: ExamineStoreResponse,
    pub(super) fabric: FabricConfigSpec,
    pub(super) pools: Vec<PoolUse>,
    /// Endpoints of this host, by name.
    pub(super) endpoints: BTreeMap<String, EndpointSpec>,
    /// The policies that speak of UDP-Lite, as namespace/name or name.
    pub(super) udplite_policies: Vec<String>,
    /// IPv4 addresses of the other hosts, by name.
    pub(super) hosts: BTreeMap<String, Ipv4Addr>,
    /// What `poplin ipam check` finds.
    pub(super) addresses: Vec<AddressFinding>,
}

/// What a pool says whose packets are wrapped wherever they go.
const ALWAYS: &str = "always";

/// How tunnels wrap if nobody says otherwise: the identifier, and where they receive (RFC 7348 §5).
const VNI: u32 = 143;
const VXLAN_PORT: u16 = 4789;

impl Told {
    /// What the tunnels of some pool add to a packet of a container, in octets: 50 by IPv4, 70 by IPv6 (RFC 7348 §5).
    pub(super) fn wrapping_octets(&self) -> u32 {
        let by_v6 = !self.status.addresses.is_empty() && self.status.addresses.iter().all(|one| one.contains(':'));
        match self.pools.iter().any(|pool| !pool.encapsulation.is_empty()) {
            true if by_v6 => 70,
            true => 50,
            false => 0,
        }
    }

    /// Whether packets of containers are wrapped even to hosts on a link of this one.
    pub(super) fn always_wraps(&self) -> bool {
        self.pools.iter().any(|pool| pool.encapsulation == ALWAYS)
    }

    /// Where tunnels receive.
    pub(super) fn vxlan_port(&self) -> u16 {
        let declared = self.fabric.vxlan.as_ref().and_then(|vxlan| vxlan.port);
        declared.and_then(|port| port.try_into().ok()).unwrap_or(VXLAN_PORT)
    }

    /// Their network identifier.
    pub(super) fn vni(&self) -> u32 {
        self.fabric.vxlan.as_ref().and_then(|vxlan| vxlan.vni).unwrap_or(VNI)
    }
}

/// Numbers in /proc; absent = there is no such file.
#[derive(Clone, Debug, Default)]
pub(super) struct Switches {
    /// Such as `6.1.0-13-amd64`.
    pub(super) release: String,
    pub(super) forwarding4: Option<u64>,
    pub(super) forwarding6: Option<u64>,
    pub(super) disable_ipv6: Option<u64>,
    /// The greater of `all` and the interface's own, by interface (Documentation/networking/ip-sysctl.rst, `rp_filter`).
    pub(super) rp_filter: BTreeMap<String, u64>,
    /// Whether connection tracking looks at checksums: 1 or 0.
    pub(super) conntrack_checksum: Option<u64>,
    /// Flows the kernel follows, and how many it may.
    pub(super) flows: Option<(u64, u64)>,
    /// Neighbours in the table of each family, and how many there may be.
    pub(super) neighbours: BTreeMap<&'static str, (u64, u64)>,
}

/// One interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Link {
    /// Whether somebody raised it, and whether it has a carrier.
    pub(super) is_up: bool,
    pub(super) has_carrier: bool,
    pub(super) mtu: u32,
}

/// One address of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OwnAddress {
    pub(super) address: IpAddr,
    pub(super) interface: String,
    /// The kernel found that somebody else has it (RFC 4862 §5.4).
    pub(super) is_duplicate: bool,
}

/// One route of the main table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) prefix: IpNet,
    pub(super) interface: String,
    pub(super) metric: u32,
    /// By which router; absent = on the link itself.
    pub(super) gateway: Option<IpAddr>,
}

/// What `nft -j` says.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    /// Objects of `list chains`.
    pub(super) chains: Vec<Value>,
    /// Rules of tables that others hooked where our packets pass, as `list table` gives them.
    pub(super) rules: Vec<Value>,
}

/// A file with certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Certificate {
    pub(super) setting: String,
    pub(super) path: String,
    pub(super) content: Result<Held, String>,
}

/// What a credential file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// Of each certificate, whose it is, and from when to when it counts, in seconds since 1970.
    Certificates(Vec<(String, i64, i64)>),
    /// A secret, and its mode.
    Secret(u32),
}

/// A way to another machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) name: String,
    pub(super) address: Option<Ipv4Addr>,
    /// What a container's packet may be, and the largest that came through; absent = not even a small one was answered.
    pub(super) wanted: u32,
    pub(super) passed: Option<u32>,
    /// How far its clock is ahead of ours.
    pub(super) ahead_milliseconds: Option<i64>,
}

/// What became of a call at port 179.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Door {
    Open,
    Refused,
    Silent,
    NoWay(String),
}

impl Reading {
    /// What the agent told, if it did.
    pub(super) fn told(&self) -> Option<&Told> {
        self.agent.as_ref().and_then(|told| told.as_ref().ok())
    }

    /// Files the agent uses, or that its configuration names. Of those of its API it does not tell.
    pub(super) fn files(told: Option<&Told>, configured: Vec<CredentialFile>) -> Vec<CredentialFile> {
        let Some(told) = told else { return configured };
        let of_api = configured.into_iter().filter(|file| file.setting.starts_with("api."));
        told.store.files.iter().cloned().chain(of_api).collect()
    }

    /// Whether an address is on a link of this host.
    pub(super) fn is_near(&self, address: IpAddr) -> bool {
        let leads_there = self.routes.iter().filter(|route| route.prefix.contains(&address));
        leads_there.max_by_key(|route| route.prefix.prefix_len()).is_some_and(|route| route.gateway.is_none())
    }

    /// Interfaces that lead out: with a route by a gateway, no container's, and not the device of tunnels.
    pub(super) fn uplinks(&self) -> Vec<&str> {
        let leading_out = self.routes.iter().filter(|route| route.gateway.is_some() && !is_ours(&route.interface));
        let leading_out = leading_out.filter(|route| route.interface != poplin_policy::host::TUNNEL_DEVICE);
        let mut uplinks: Vec<&str> = leading_out.map(|route| route.interface.as_str()).collect();
        uplinks.sort_unstable();
        uplinks.dedup();
        uplinks
    }
}

/// What links of containers begin with.
pub(super) const PREFIX: &str = poplin_policy::host::INTERFACE_PREFIX;

/// Whether an interface is a container's.
pub(super) fn is_ours(interface: &str) -> bool {
    interface.starts_with(PREFIX)
}
