//! What the store holds, in the head's own words.
//!
//! In and out: values. The hands translate them from and to the wire contract and check them on the way, so that whatever
//! arrives here is sound. Knows nothing of keys, encodings or revisions beyond the version an object was read at.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use poplin_bgp::wire::{AddPaths, Family};
use poplin_bgp::{
    Address, Asn, Monitoring, Multipath, PrefixLimits, Protection, RESTART_TIME, RemoteAs, RoleConfig, Zone, bfd,
};
use poplin_policy::circle::Circle;
use poplin_policy::host::{Failsafe, HostEndpoint, WorkloadToHost};
use poplin_policy::label::Labels;
use poplin_policy::model::{AddressSet, NamedPort, Namespace, Policy, Profile, QualifiedName, Scope, Tier};
use poplin_policy::nat::{Outgoing, Published};
use poplin_policy::ruleset::Interface;
use poplin_policy::selector::Selector;

use crate::addresses::Addresses;
pub use crate::floating::FloatingAddress;
use crate::kernel::{Mac, TUN_DEVICE};
pub use crate::lineage::Lineage;
pub use crate::macvlan::Macvlan;
use crate::name::{
    AttachmentId, EndpointName, FloatingName, HostName, NetworkName, PeerName, PoolName, RouteMapName, ServiceName,
    StaticRouteName,
};
pub use crate::names::{Naming, Records};
use crate::prefix::{ordinal_of, size_of};
use crate::range::Ranges;
use crate::release::Release;
pub use crate::service::{HealthCheck, Service};
pub use crate::statics::StaticRoute;
use crate::tunnel::{Encapsulation, Vxlan};
use crate::{CONNECT_RETRY, HOLD_TIME, lineage};

/// Any object.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// A range of addresses.
    Pool(Pool),
    /// A part of a pool that one host holds.
    Block(Block),
    /// A host.
    Host(Host),
    /// An attached container interface.
    Endpoint(Endpoint),
    /// Rules.
    Policy(Policy),
    /// A rank of policies.
    Tier(Tier),
    /// Named prefixes.
    AddressSet(AddressSet),
    /// A BGP neighbour outside the fabric.
    Peer(Peer),
    /// Settings of the fabric.
    Fabric(Fabric),
    /// What policies know about a namespace.
    Namespace(Namespace),
    /// A host's own interface that policies govern.
    HostEndpoint(HostEndpoint),
    /// What is done with BGP routes.
    RouteMap(RouteMap),
    /// A network of container runtimes.
    Network(Network),
    /// Addresses that several endpoints serve.
    Service(Service),
    /// A route that people wrote.
    StaticRoute(StaticRoute),
    /// Labels for whoever names it.
    Profile(Profile),
    /// An address that leads to an endpoint and is not its own.
    FloatingAddress(FloatingAddress),
    /// Which fabric the store is of, and which of its histories it tells.
    Lineage(Lineage),
}

/// Which object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObjectKey {
    /// By name.
    Pool(PoolName),
    /// By its pool and prefix.
    Block(PoolName, IpNet),
    /// By name.
    Host(HostName),
    /// By name.
    Endpoint(EndpointName),
    /// By name.
    Policy(QualifiedName),
    /// By name.
    Tier(String),
    /// By name.
    AddressSet(QualifiedName),
    /// By name.
    Peer(PeerName),
    /// There is one.
    Fabric,
    /// By name.
    Namespace(String),
    /// By name.
    HostEndpoint(String),
    /// By name.
    RouteMap(RouteMapName),
    /// By name.
    Network(NetworkName),
    /// By name.
    Service(ServiceName),
    /// By name.
    StaticRoute(StaticRouteName),
    /// By name.
    Profile(String),
    /// By name.
    FloatingAddress(FloatingName),
    /// There is one.
    Lineage,
}

impl Object {
    /// Which object this is.
    pub fn key(&self) -> ObjectKey {
        match self {
            Object::Pool(pool) => ObjectKey::Pool(pool.name.clone()),
            Object::Block(block) => ObjectKey::Block(block.pool.clone(), block.cidr),
            Object::Host(host) => ObjectKey::Host(host.name.clone()),
            Object::Endpoint(endpoint) => ObjectKey::Endpoint(endpoint.name.clone()),
            Object::Policy(policy) => ObjectKey::Policy(policy.name.clone()),
            Object::Tier(tier) => ObjectKey::Tier(tier.name.clone()),
            Object::AddressSet(set) => ObjectKey::AddressSet(set.name.clone()),
            Object::Peer(peer) => ObjectKey::Peer(peer.name.clone()),
            Object::Fabric(_) => ObjectKey::Fabric,
            Object::Namespace(namespace) => ObjectKey::Namespace(namespace.name.clone()),
            Object::HostEndpoint(endpoint) => ObjectKey::HostEndpoint(endpoint.name.clone()),
            Object::RouteMap(map) => ObjectKey::RouteMap(map.name.clone()),
            Object::Network(network) => ObjectKey::Network(network.name.clone()),
            Object::Service(service) => ObjectKey::Service(service.name.clone()),
            Object::StaticRoute(route) => ObjectKey::StaticRoute(route.name.clone()),
            Object::Profile(profile) => ObjectKey::Profile(profile.name.clone()),
            Object::FloatingAddress(one) => ObjectKey::FloatingAddress(one.name.clone()),
            Object::Lineage(_) => ObjectKey::Lineage,
        }
    }
}

/// Looks into an object for one kind: `<&Pool>::try_from(&object)`.
macro_rules! kinds {
    ($($kind:ident),*) => {$(
        impl<'a> TryFrom<&'a Object> for &'a $kind {
            type Error = ();

            fn try_from(object: &'a Object) -> Result<Self, ()> {
                match object {
                    Object::$kind(found) => Ok(found),
                    _ => Err(()),
                }
            }
        }
    )*};
}
kinds!(
    Pool,
    Block,
    Host,
    Endpoint,
    Policy,
    Tier,
    AddressSet,
    Peer,
    Fabric,
    Namespace,
    HostEndpoint,
    RouteMap,
    Network,
    Service,
    StaticRoute,
    Profile,
    FloatingAddress,
    Lineage
);

/// An object and the revision of the store that wrote it.
#[derive(Clone, Debug, PartialEq)]
pub struct Versioned<T> {
    /// The object.
    pub value: T,
    /// The store's revision of its last write.
    pub version: i64,
}

/// A range of addresses that containers get.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// Its name.
    pub name: PoolName,
    /// The whole range. Pools never overlap.
    pub cidr: IpNet,
    /// Prefix length of its blocks; at least that of `cidr`.
    pub block_bits: u8,
    /// Hosts that may claim blocks.
    pub hosts: Selector,
    /// Where endpoints must live that get addresses of it.
    pub namespaces: Scope,
    /// Networks whose endpoints get addresses of it, and no others; absent = whoever, in a network or in none.
    pub networks: Option<Selector>,
    /// Whether new addresses are taken from it.
    pub is_enabled: bool,
    /// Whether it gives only to who asks for it or for one of its addresses.
    pub is_manual: bool,
    /// What of it nobody gets.
    pub reserved: Ranges,
    /// Whether hosts take addresses out of their own blocks only.
    pub is_strict: bool,
    /// How many blocks a host may hold; absent = any number.
    pub max_blocks: Option<u32>,
    /// How packets from its addresses leave the fabric, if not as they are.
    pub nat: Option<Outgoing>,
    /// Whether it is part of a LAN its hosts are on, where they answer for their containers. Then it has no `nat`.
    pub is_lan: bool,
    /// Which packets to its containers go through a tunnel between hosts. Never if it is of a LAN.
    pub encapsulation: Encapsulation,
}

impl Pool {
    /// One that gives all it has to whoever asks.
    pub fn open(name: PoolName, cidr: IpNet, block_bits: u8) -> Self {
        Self {
            name,
            cidr,
            block_bits,
            hosts: Selector::all(),
            namespaces: Scope::Anywhere,
            networks: None,
            is_enabled: true,
            is_manual: false,
            reserved: Ranges::default(),
            is_strict: false,
            max_blocks: None,
            nat: None,
            is_lan: false,
            encapsulation: Encapsulation::Never,
        }
    }
}

/// A part of a pool that one host holds, with the addresses taken from it. The unit of compare-and-swap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its pool.
    pub pool: PoolName,
    /// Its prefix.
    pub cidr: IpNet,
    /// Who announces it and takes addresses from it.
    pub host: HostName,
    /// Ordinal of each taken address (0 = the first of the block) and whose it is.
    pub taken: BTreeMap<u32, AttachmentId>,
    /// Ordinals that were given back, the first one first: for a while they go to nobody else.
    pub freed: Vec<u32>,
    /// Ordinals that wait for the endpoint of that name to come back.
    pub kept: BTreeMap<u32, EndpointName>,
}

/// How many addresses a block has at least of which some are its host's alone: of a few, each is worth more to whoever needs one.
const SMALLEST_WITH_RESERVE: u32 = 16;

impl Block {
    /// One that nothing was taken of.
    pub fn empty(pool: PoolName, cidr: IpNet, host: HostName) -> Self {
        Self { pool, cidr, host, taken: BTreeMap::new(), freed: Vec::new(), kept: BTreeMap::new() }
    }

    /// Where an address stands in it, if it does.
    pub fn ordinal_of(&self, address: IpAddr) -> Option<u32> {
        self.cidr.contains(&address).then(|| ordinal_of(self.cidr, address))
    }

    /// Whether its host alone gives an address of it, and so may do that also while the store is away: the last eighth, of blocks of 16 and more.
    pub fn is_reserve(&self, ordinal: u32) -> bool {
        let size = size_of(self.cidr);
        size >= SMALLEST_WITH_RESERVE && ordinal >= size - size / 8
    }

    /// Gives an address back that this attachment has; kept for an endpoint that is to have it again, if one is named.
    pub fn release(&mut self, ordinal: u32, holder: &AttachmentId, keeper: Option<&EndpointName>) -> bool {
        if self.taken.get(&ordinal) != Some(holder) {
            return false;
        }
        self.taken.remove(&ordinal);
        self.freed.retain(|other| *other != ordinal);
        match keeper {
            Some(name) => drop(self.kept.insert(ordinal, name.clone())),
            None => self.freed.push(ordinal),
        }
        true
    }
}

/// A network of container runtimes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Its name.
    pub name: NetworkName,
    /// Who belongs together by default.
    pub circle: Circle,
    /// Where its addresses are; nobody else gets any there.
    pub subnets: BTreeSet<IpNet>,
    /// Where addresses are that nobody asked for by name; none of a family = anywhere in the subnets.
    pub ranges: BTreeSet<IpNet>,
    /// Addresses nobody gets.
    pub reserved: BTreeSet<IpAddr>,
    /// Of its endpoints; absent = the fabric's.
    pub mtu_bytes: Option<u32>,
    /// Its number in the fabric.
    pub index: u16,
    /// Names its endpoints may ask for beside those of one another.
    pub records: Records,
    /// How its endpoints are on a LAN, if they are there and not behind their hosts.
    pub macvlan: Option<Macvlan>,
}

/// One host of the fabric.
#[derive(Clone, Debug, PartialEq)]
pub struct Host {
    /// Its name.
    pub name: HostName,
    /// What pools and peers select it by.
    pub labels: Labels,
    /// Where other hosts and ToR switches reach it; at most one of each family.
    pub addresses: BTreeSet<IpAddr>,
    /// Its own AS; absent = the fabric's.
    pub asn: Option<Asn>,
    /// BGP identifier.
    pub router_id: Ipv4Addr,
    /// Whether a person wants traffic that others can take to go to them.
    pub is_draining: bool,
    /// The history of the store to which its agent has told all it knew; absent = none. Nobody else writes it.
    pub told: Option<lineage::Id>,
    /// Which machine bears this name; absent = its agent told none.
    pub machine: Option<lineage::Id>,
    /// Which agent last wrote it down; absent = one that did not tell.
    pub release: Option<Release>,
}

/// One attached container interface.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// Its name.
    pub name: EndpointName,
    /// What policies select it by, beside what it inherits.
    pub labels: Labels,
    /// Where it lives, if it lives in a namespace.
    pub namespace: Option<String>,
    /// Profiles whose labels it inherits, by name, the first one first.
    pub profiles: Vec<String>,
    /// What rules call some of its ports.
    pub ports: Vec<NamedPort>,
    /// Ports of its host that lead to it. None overlaps another.
    pub published: Vec<Published>,
    /// Where it is.
    pub host: HostName,
    /// Who attached it.
    pub attachment: AttachmentId,
    /// At most one of each family.
    pub addresses: Addresses,
    /// Host side of its veth pair, or its tap.
    pub interface: Interface,
    /// MAC of the container's side.
    pub mac: Mac,
    /// The namespace it was attached in. Empty: the runtime took the far end out of the host's own.
    /// [`TUN_DEVICE`](crate::kernel::TUN_DEVICE): it has a tap.
    pub netns: PathBuf,
    /// Of both sides.
    pub mtu_bytes: u32,
    /// The network it was attached by.
    pub network: Option<NetworkName>,
    /// Whether its addresses are kept for it when it goes.
    pub is_sticky: bool,
    /// When it was attached, in seconds since 1970; absent = nobody said.
    pub since: Option<u64>,
    /// Names it answers to beside its own, in lower case.
    pub aliases: BTreeSet<String>,
    /// The container it is an interface of, where its attachment does not tell.
    pub container: Option<String>,
    /// The interface of its host that its own is a macvlan on; absent = it has a link to its host.
    pub parent: Option<Interface>,
}

impl Endpoint {
    /// Whether its own interface is in its container, so that its rules stand there: once its runtime has said where that is.
    pub fn is_in_a_sandbox(&self) -> bool {
        self.parent.is_some() && self.is_in_a_namespace()
    }

    /// Whether its far end is in a namespace of its own that can be named, and not taken from the host's, or a file.
    pub fn is_in_a_namespace(&self) -> bool {
        !self.netns.as_os_str().is_empty() && self.netns != Path::new(TUN_DEVICE)
    }

    /// Who is to have its addresses again when it is gone.
    pub fn keeper(&self) -> Option<&EndpointName> {
        Some(&self.name).filter(|_| self.is_sticky)
    }
}

/// A BGP neighbour that is not a host of the fabric.
#[derive(Clone, Debug, PartialEq)]
pub struct Peer {
    /// Its name.
    pub name: PeerName,
    /// Where it is.
    pub place: Place,
    /// The TCP port it listens on.
    pub port: u16,
    /// Its AS.
    pub asn: PeerAs,
    /// Hosts that peer with it.
    pub hosts: Selector,
    /// How long things may take with it.
    pub timers: Timers,
    /// How the way to it is watched, if it is.
    pub bfd: Option<Bfd>,
    /// Which of its routes are taken, and which it is told.
    pub maps: RouteMaps,
    /// Whether routes are reflected for it.
    pub is_client: bool,
    /// Whether routes of others are passed on to it, and its own to others.
    pub is_transit: bool,
    /// Whether more than one path to a prefix is exchanged with it.
    pub add_paths: AddPaths,
    /// Whether messages may be longer than 4,096 octets, if it can read them.
    pub extended_messages: bool,
    /// Whether IPv4 prefixes go over routers of IPv6; absent = as the speaker has it.
    pub extended_next_hop: Option<bool>,
    /// What hosts are to it, if it is in another AS.
    pub role: Option<RoleConfig>,
    /// How many paths to a prefix it is told at most.
    pub paths: usize,
    /// What keeps strangers off the connections to it.
    pub protection: Protection,
    /// How many prefixes it may announce.
    pub limits: PrefixLimits,
    /// Present: there is to be no session with it, and it is told so in these words.
    pub shutdown: Option<String>,
    /// Whether it is never dialled.
    pub is_passive: bool,
    /// The families of routes that are exchanged.
    pub families: BTreeSet<Family>,
    /// How long its routes stay as a last choice when it is away for longer than a restart takes.
    pub long_lived: Option<Duration>,
    /// Whether its routes outlive the end of a session by a NOTIFICATION.
    pub is_gentle: bool,
}

/// Which AS a BGP neighbour is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerAs {
    /// This one.
    Is(Asn),
    /// That of the host that peers with it.
    Internal,
    /// Any but that of the host that peers with it.
    External,
}

impl PeerAs {
    /// What a host of this AS has to expect.
    pub fn seen_from(self, ours: Asn) -> RemoteAs {
        match self {
            Self::Is(asn) => RemoteAs::Is(asn),
            Self::Internal => RemoteAs::Is(ours),
            Self::External => RemoteAs::External,
        }
    }
}

/// How long things may take with a BGP neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// How long it may be silent.
    pub hold: Duration,
    /// How long we may be; absent = a third of the hold time agreed on.
    pub keepalive: Option<Duration>,
    /// How long to wait before it is dialled again.
    pub connect_retry: Duration,
    /// How long it may take nothing of what waits for it; absent = as the speaker has it.
    pub send_hold: Option<Duration>,
    /// How long either may be away without losing its routes.
    pub restart: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        Self { hold: HOLD_TIME, keepalive: None, connect_retry: CONNECT_RETRY, send_hold: None, restart: RESTART_TIME }
    }
}

/// Where a BGP neighbour is that is not a host of the fabric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// At this address.
    At(Address),
    /// On this link of ours, which is his and ours alone; it shows its address itself.
    On(Zone),
    /// Somewhere in this prefix, which so many may call from at once; it shows where when it calls.
    Within(IpNet, usize),
}

/// How the way to a BGP neighbour is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bfd {
    /// The time between two packets, in both directions.
    pub interval: Duration,
    /// How many packets in a row may be missed.
    pub multiplier: u8,
    /// Whether routers may stand in between; absent = as the routes show.
    pub is_multihop: Option<bool>,
    /// Whether there is no session before BFD is up.
    pub is_strict: bool,
}

impl Default for Bfd {
    fn default() -> Self {
        Self { interval: bfd::INTERVAL, multiplier: bfd::MULTIPLIER, is_multihop: None, is_strict: false }
    }
}

/// What is done with BGP routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteMap {
    /// Its name.
    pub name: RouteMapName,
    /// Its rules, shared by all neighbours that name it.
    pub rules: Arc<poplin_bgp::RouteMap>,
}

/// Which route maps hold with a neighbour; absent = everything passes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteMaps {
    /// For what is taken.
    pub import: Option<RouteMapName>,
    /// For what is told.
    pub export: Option<RouteMapName>,
}

impl RouteMaps {
    /// Those that are named, each with the word for its direction.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &RouteMapName)> {
        let import = self.import.iter().map(|name| ("import", name));
        import.chain(self.export.iter().map(|name| ("export", name)))
    }
}

/// How long routes of hosts, or those they reflect, outlive them by default: time for a person to come and start reflectors again. Longer
/// holds on to what is wrong for longer, should the network change meanwhile.
pub const LONG_LIVED: Duration = Duration::from_secs(3600);

/// How hosts exchange routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routing {
    /// Hosts that reflect for the others of their AS; absent = none do.
    pub reflectors: Option<Selector>,
    /// The cluster they share; absent = each is one of its own.
    pub cluster: Option<Ipv4Addr>,
    /// What passes between hosts.
    pub mesh: RouteMaps,
    /// How long routes of another host stay as a last choice when it is away for longer than a restart takes.
    pub long_lived: Option<Duration>,
    /// Whether nothing passes with a peer in another AS that names no route map (RFC 8212).
    pub is_closed_outside: bool,
    /// How the ways to one prefix share its traffic.
    pub multipath: Multipath,
    /// Who is told of sessions and routes by BMP.
    pub stations: BTreeMap<SocketAddr, Monitoring>,
    /// How long things may take between hosts.
    pub timers: Timers,
    /// What keeps strangers off the connections between them.
    pub protection: Protection,
}

impl Default for Routing {
    fn default() -> Self {
        Self {
            reflectors: None,
            cluster: None,
            mesh: RouteMaps::default(),
            long_lived: Some(LONG_LIVED),
            is_closed_outside: false,
            multipath: Multipath::default(),
            stations: BTreeMap::new(),
            timers: Timers::default(),
            protection: Protection::default(),
        }
    }
}

#[cfg(test)]
impl Host {
    /// One that says nothing but its name.
    pub(crate) fn bare(name: impl Into<std::sync::Arc<str>>) -> Self {
        Self {
            name: HostName::new(name),
            labels: Labels::default(),
            addresses: BTreeSet::new(),
            asn: None,
            router_id: std::net::Ipv4Addr::LOCALHOST,
            is_draining: false,
            told: None,
            machine: None,
            release: None,
        }
    }
}

/// Settings of the whole fabric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fabric {
    /// AS of hosts that do not name their own.
    pub asn: Asn,
    /// Whether every host peers with every other.
    pub is_meshed: bool,
    /// How hosts watch the ways to one another, if they do.
    pub bfd: Option<Bfd>,
    /// MTU of container interfaces; absent = the uplink's.
    pub mtu_bytes: Option<u32>,
    /// How packets are wrapped where pools ask for it.
    pub vxlan: Vxlan,
    /// What workloads may open to their own host.
    pub workload_to_host: WorkloadToHost,
    /// What becomes of established flows that policy comes to deny.
    pub existing_flows: ExistingFlows,
    /// What no policy of a host endpoint closes.
    pub failsafe: Failsafe,
    /// How hosts exchange routes.
    pub routing: Routing,
    /// How long an address that was given back goes to nobody else.
    pub cooldown: Duration,
    /// How containers find one another by name.
    pub naming: Naming,
    /// What who joins waits for beside his own host.
    pub readiness: Readiness,
}

/// What who joins waits for beside his own host, before his runtime goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// Which BGP neighbours are to have acknowledged the route to him.
    pub peers: AwaitedPeers,
    /// How long that may take.
    pub timeout: Duration,
}

/// Which BGP neighbours are waited for, of the peers somebody declared for a host, or, where nobody did, of the hosts it peers with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AwaitedPeers {
    /// Nobody.
    #[default]
    Nobody,
    /// One, whoever it is.
    Any,
    /// All with whom there is a session, and one at least.
    All,
}

impl Readiness {
    /// The longest timeout. With what store and kernel may take before it, and taking back after it, it is what Docker's door waits for, 28 s; CNI's callers give up
    /// after 30.
    pub const LONGEST: Duration = Duration::from_secs(15);
}

impl Default for Readiness {
    /// A session that is being made anew stands within 5 s, the time between two dials.
    fn default() -> Self {
        Self { peers: AwaitedPeers::Nobody, timeout: Duration::from_secs(10) }
    }
}

/// What becomes of established flows that policy comes to deny.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExistingFlows {
    /// They end.
    #[default]
    Recheck,
    /// They go on until one of their ends ends them.
    Keep,
}

impl Default for Fabric {
    /// What holds while nobody has declared otherwise. 64512 is the first private AS (RFC 6996 §5).
    fn default() -> Self {
        Self {
            asn: Asn(64512),
            is_meshed: true,
            bfd: Some(Bfd::default()),
            mtu_bytes: None,
            vxlan: Vxlan::default(),
            workload_to_host: WorkloadToHost::Drop,
            existing_flows: ExistingFlows::Recheck,
            failsafe: Failsafe::default(),
            routing: Routing::default(),
            cooldown: COOLDOWN,
            naming: Naming::default(),
            readiness: Readiness::default(),
        }
    }
}

/// How long an address that was given back goes to nobody else by default: as long as Linux remembers a TCP connection that is over
/// (include/net/tcp.h, `TCP_TIMEWAIT_LEN`), and longer than most names and neighbours are believed. Longer makes hosts with many short-lived
/// containers claim more blocks.
pub const COOLDOWN: Duration = Duration::from_secs(60);
