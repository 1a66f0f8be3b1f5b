//! What a container runtime or a person asks of this host, and the answers.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use poplin_policy::label::Labels;
use poplin_policy::model::NamedPort;
use poplin_policy::nat::Published;

use crate::kernel::Mac;
use crate::macvlan::Macvlan;
use crate::name::{AttachmentId, EndpointName, HostName, NetworkName, PoolName};
use crate::names::Resolver;
use crate::node::NameConflict;
use crate::object::Endpoint;
use crate::release::Outdated;

/// Numbers a request, so that its answer finds its way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// The wish to join a namespace to the fabric.
#[derive(Clone, Debug, PartialEq)]
pub struct Attach {
    /// Who asks. Asking again for the same gives the same answer.
    pub attachment: AttachmentId,
    /// Name wanted for the endpoint; absent = made of host, container and interface.
    pub name: Option<EndpointName>,
    /// Names it would like if none is wanted, the best first; the first that is nobody's.
    pub preferred: Vec<EndpointName>,
    /// What policies select it by.
    pub labels: Labels,
    /// Where it shall live, if in a namespace.
    pub namespace: Option<String>,
    /// Profiles whose labels it shall inherit, by name, the first one first.
    pub profiles: Vec<String>,
    /// What rules call some of its ports.
    pub ports: Vec<NamedPort>,
    /// Ports of this host that shall lead to it. None overlaps another.
    pub published: Vec<Published>,
    /// Path of the network namespace. Empty: the far end stays in the host's own, where the runtime takes it from.
    /// [`TUN_DEVICE`](crate::kernel::TUN_DEVICE): it is a tap, made already under the name that the attachment gives the interface.
    pub netns: PathBuf,
    /// Addresses wanted; at most one a family, a family not named gets any.
    pub addresses: BTreeSet<IpAddr>,
    /// Whether these are all: a family not named gets none.
    pub has_all_addresses: bool,
    /// MAC wanted for the container's side; absent = one made of who asks.
    pub mac: Option<Mac>,
    /// The network it joins; it then lives in the namespace of that name.
    pub network: Option<NetworkName>,
    /// Pools its addresses shall be of; a family of which none is named gets of any.
    pub pools: BTreeSet<PoolName>,
    /// Whether its addresses shall be kept for the endpoint of that name when it goes, and those be given that are.
    pub is_sticky: bool,
    /// When it asks, in seconds since 1970; absent = nobody says.
    pub at: Option<u64>,
    /// Names it shall answer to beside its own, in lower case.
    pub aliases: BTreeSet<String>,
}

/// The wish that an endpoint be known better than when it was attached: a runtime tells late who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renew {
    /// Who was attached. Nothing is made of one who is not.
    pub attachment: AttachmentId,
    /// Names wanted for it: the first that is nobody else's.
    pub names: Vec<EndpointName>,
    /// What policies select it by, over what it has.
    pub labels: Labels,
    /// Ports of this host that lead to it from now on; absent = as before.
    pub published: Option<Vec<Published>>,
    /// Names it answers to, beside those it has.
    pub aliases: BTreeSet<String>,
    /// The container it is an interface of; absent = as before.
    pub container: Option<String>,
    /// Path of the namespace its interface is about to be put in, which may begin later; absent = as before.
    pub netns: Option<PathBuf>,
}

/// The wish to know an address before anybody is there to have it: a runtime asks for it first, and says later what it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Of which family.
    pub is_v6: bool,
    /// Of which network; absent = of none.
    pub network: Option<NetworkName>,
}

/// The wish to leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Detach {
    /// By who attached.
    Attachment(AttachmentId),
    /// By the endpoint's name.
    Endpoint(EndpointName),
    /// By the endpoint's name, if nothing of it is left in the kernel.
    Remains(EndpointName),
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Policy and routes are in place; the container's side waits to be addressed and raised.
    Attached(Attached),
    /// Nothing is left of it. Absent: there was nothing.
    Detached(Option<Endpoint>),
    /// This address is nobody else's for a while.
    Held(IpAddr),
    /// It cannot be; nothing is left half done.
    Refused(Refusal),
}

/// What the container's side needs to know.
#[derive(Clone, Debug, PartialEq)]
pub struct Attached {
    /// The endpoint as stored.
    pub endpoint: Endpoint,
    /// The revision that stored it.
    pub version: i64,
    /// Link-local next hops, one for each family the endpoint has.
    pub gateways: BTreeSet<IpAddr>,
    /// MAC of the host's side.
    pub gateway_mac: Mac,
    /// Addresses of services it is to answer to.
    pub lent: BTreeSet<IpAddr>,
    /// Where it may ask for names, and which domains short ones are looked for in; absent = nowhere.
    pub resolver: Option<Resolver>,
    /// Where the network's other endpoints are: reached by the gateway, whatever else the container is connected to.
    pub subnets: BTreeSet<IpNet>,
    /// What the container's side is called in the host's namespace, if the runtime is to take it from there.
    pub waiting: Option<String>,
    /// How it is on a LAN, if it is: then the routers there are its next hops.
    pub lan: Option<Macvlan>,
}

/// Why a request cannot be met.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The endpoint name belongs to another attachment.
    #[error("endpoint {name} is already attached, as {attachment} on host {host}")]
    NameTaken {
        /// The name asked for.
        name: EndpointName,
        /// Who has it.
        attachment: AttachmentId,
        /// Where.
        host: HostName,
    },
    /// The same container and interface are attached on another host.
    #[error("{attachment} is attached on host {host}, not here")]
    AttachedElsewhere {
        /// Who.
        attachment: AttachmentId,
        /// Where.
        host: HostName,
    },
    /// The same container and interface are attached with another namespace.
    #[error("{attachment} is already attached in {netns}")]
    OtherNamespace {
        /// Who.
        attachment: AttachmentId,
        /// Where it was attached.
        netns: PathBuf,
    },
    /// The network does not exist.
    #[error("there is no network {network}")]
    NoNetwork {
        /// The name asked for.
        network: NetworkName,
    },
    /// The network's containers are on a LAN, and this host has no interface there.
    #[error("host {host} has no interface {parent}, the parent of network {network}")]
    NoParent {
        /// The network.
        network: NetworkName,
        /// Its parent.
        parent: String,
        /// This host.
        host: HostName,
    },
    /// The network's containers have interfaces of their own on a LAN, which this way of attaching gives to nobody.
    #[error("network {network} has mode macvlan, which Docker's containers alone can be in")]
    MacvlanForDocker {
        /// The network.
        network: NetworkName,
    },
    /// No pool is enabled for this host.
    #[error("no enabled pool admits host {host}{home}")]
    NoPool {
        /// This host.
        host: HostName,
        /// Where who asks lives, in words; empty = in no namespace.
        home: String,
    },
    /// A pool that was asked for does not admit who asks.
    #[error("pool {pool} gives no address: {reason}")]
    PoolRefuses {
        /// The pool asked for.
        pool: PoolName,
        /// Why.
        reason: &'static str,
    },
    /// This host may claim no more blocks, and those it holds are full.
    #[error("host {host} may hold {most} blocks of pool {pool} and no more, and there is no other address for it")]
    TooManyBlocks {
        /// The last pool that was tried.
        pool: PoolName,
        /// This host.
        host: HostName,
        /// How many.
        most: u32,
    },
    /// No pool has an address left for this host.
    #[error(
        "pool {pool} is full: all {blocks} blocks of {cidr} are claimed and no address is left in those this host may use"
    )]
    PoolFull {
        /// The last pool that was tried.
        pool: PoolName,
        /// Its range.
        cidr: IpNet,
        /// How many blocks it has.
        blocks: u128,
    },
    /// A wanted address lies in no pool.
    #[error("address {address} lies in no pool that is enabled for host {host}")]
    AddressOutsidePools {
        /// The address asked for.
        address: IpAddr,
        /// This host.
        host: HostName,
    },
    /// A wanted address belongs to somebody.
    #[error("address {address} is taken by {holder}")]
    AddressTaken {
        /// The address asked for.
        address: IpAddr,
        /// Who has it.
        holder: AttachmentId,
    },
    /// A wanted address is nobody's ever.
    #[error("address {address} is reserved in pool {pool}")]
    AddressReserved {
        /// The address asked for.
        address: IpAddr,
        /// Its pool.
        pool: PoolName,
    },
    /// A wanted address waits for an endpoint to come back.
    #[error("address {address} is kept for endpoint {endpoint}")]
    AddressKept {
        /// The address asked for.
        address: IpAddr,
        /// For whom.
        endpoint: EndpointName,
    },
    /// A wanted address is in another host's block, and its pool is strict.
    #[error("address {address} is in a block of host {host}, and pool {pool} has strictAffinity")]
    AddressOfOtherHost {
        /// The address asked for.
        address: IpAddr,
        /// Who holds the block.
        host: HostName,
        /// Its pool.
        pool: PoolName,
    },
    /// A wanted address is one that its host gives by itself while the store is away.
    #[error(
        "address {address} is one of the last in a block of host {host}, which gives those by itself while the store is away"
    )]
    AddressInReserve {
        /// The address asked for.
        address: IpAddr,
        /// Who holds the block.
        host: HostName,
    },
    /// Two keepers cannot be told apart.
    #[error("{attachment} cannot be sticky: it has no name")]
    StickyWithoutName {
        /// Who asks.
        attachment: AttachmentId,
    },
    /// An endpoint that was to be cleared away is alive.
    #[error("endpoint {name} is not gone: its interface {interface} is there")]
    StillWired {
        /// Which.
        name: EndpointName,
        /// The interface.
        interface: String,
    },
    /// A port to be published leads to somebody else already.
    #[error("{wanted} cannot be published: endpoint {holder} publishes {held} on this host")]
    PortTaken {
        /// What was asked for.
        wanted: Published,
        /// What is in its way.
        held: Published,
        /// Whose that is.
        holder: EndpointName,
    },
    /// A port to be published is the one at which this host receives what is wrapped for its containers.
    #[error("{wanted} cannot be published: the fabric's tunnels receive at {door} (vxlan.port)")]
    PortOfTunnels {
        /// What was asked for.
        wanted: Published,
        /// Where they do.
        door: Published,
    },
    /// A port is to be published for clients of a family the endpoint has no address of.
    #[error("{wanted} cannot be published: {attachment} has no address of that family")]
    PortLeadsNowhere {
        /// What was asked for.
        wanted: Published,
        /// Who.
        attachment: AttachmentId,
    },
    /// Two addresses of one family were asked for.
    #[error("addresses {first} and {second} are of one family; an interface has one address of each")]
    TwoAddressesOfOneFamily {
        /// One.
        first: IpAddr,
        /// The other.
        second: IpAddr,
    },
    /// The namespace path leads nowhere.
    #[error("network namespace {netns} does not exist: {reason}")]
    NamespaceMissing {
        /// The path asked for.
        netns: PathBuf,
        /// The cause.
        reason: String,
    },
    /// The interface name is taken in the container.
    #[error("the container already has an interface named {interface}")]
    InterfaceExists {
        /// The name asked for.
        interface: String,
    },
    /// The kernel refused a step.
    #[error("the kernel refused to wire {attachment}: {reason}")]
    Wiring {
        /// Who.
        attachment: AttachmentId,
        /// The cause.
        reason: String,
    },
    /// No BGP neighbour has the route that who joins was to wait for.
    #[error("the route to {route} was not acknowledged within {} s: {reason}", waited.as_secs())]
    NotAcknowledged {
        /// The prefix that is announced, and holds him.
        route: IpNet,
        /// How long it was waited for.
        waited: Duration,
        /// Of each neighbour that might have, why it has not.
        reason: String,
    },
    /// The endpoint belongs to another host.
    #[error("endpoint {name} is attached on host {host}; detach it there")]
    DetachElsewhere {
        /// Which.
        name: EndpointName,
        /// Where.
        host: HostName,
    },
    /// The same attachment has a request under way.
    #[error("another request for {attachment} is under way")]
    Busy {
        /// Who.
        attachment: AttachmentId,
    },
    /// What stands in the way cannot be read.
    #[error("{what} cannot be read in the store")]
    Unreadable {
        /// The object.
        what: String,
    },
    /// What stands in the store is not whole yet.
    #[error("an import is under way")]
    ImportUnderWay,
    /// The store forgot, and it is not known yet which addresses are taken.
    #[error("the store forgot, and host {} has still to tell it which addresses are taken", words(hosts))]
    StoreForgot {
        /// Who has still to tell; never empty.
        hosts: BTreeSet<HostName>,
    },
    /// This agent may not write in the store.
    #[error("this would write in the store: {0}")]
    ReadOnly(Outdated),
    /// The store was never read, or is gone.
    #[error("the store cannot be reached: {reason}")]
    StoreUnreachable {
        /// The cause.
        reason: String,
    },
    /// This host may do nothing under its name.
    #[error("{0}")]
    NameConflict(NameConflict),
}

impl Refusal {
    /// Something on this host is not there any more, or not there yet.
    pub(crate) fn gone(attachment: &AttachmentId) -> Self {
        Refusal::Wiring { attachment: attachment.clone(), reason: "it did not stay as it was made".to_owned() }
    }

    /// What to try.
    pub fn advice(&self) -> &'static str {
        match self {
            Refusal::NameTaken { .. } => "choose another name, or detach that one first: `poplin detach NAME`",
            Refusal::AttachedElsewhere { .. } | Refusal::DetachElsewhere { .. } => "run the command on that host",
            Refusal::OtherNamespace { .. } => "detach it first, or use another container id",
            Refusal::NoNetwork { .. } => "see `poplin get networks`",
            Refusal::NoParent { .. } => "see `ip link`; the interface has one name on all hosts whose containers join",
            Refusal::MacvlanForDocker { .. } => {
                "attach it to another network; addresses of a LAN are also had of a pool with `lan`"
            }
            Refusal::NoPool { .. } => {
                "apply a Pool whose selectors admit it and which is not manual, or ask for a pool; see `poplin get pools`"
            }
            Refusal::PoolRefuses { .. } => "ask for another pool, or change that one; see `poplin get pools`",
            Refusal::TooManyBlocks { .. } => {
                "raise maxBlocksPerHost of the pool, or add another; see `poplin ipam show`"
            }
            Refusal::PoolFull { .. } => "add a pool, or see `poplin ipam show` for who has it and `poplin ipam leaks`",
            Refusal::AddressOutsidePools { .. } => "see `poplin get pools` for what may be asked for",
            Refusal::AddressTaken { .. } => "ask for another address, or for none to get any",
            Refusal::AddressReserved { .. } => "ask for another address, or take it out of `reserved` of the pool",
            Refusal::AddressKept { .. } => "ask for another address, or end that: `poplin ipam release ADDRESS`",
            Refusal::AddressOfOtherHost { .. } | Refusal::AddressInReserve { .. } => {
                "attach it on that host, or ask for another address"
            }
            Refusal::StickyWithoutName { .. } => "name the endpoint: its addresses are kept under that name",
            Refusal::StillWired { .. } => "detach it: `poplin detach NAME`",
            Refusal::PortTaken { .. } => "publish another port, or detach that endpoint first; see `poplin ports`",
            Refusal::PortOfTunnels { .. } => {
                "publish another port, or at another address of this host, or give FabricConfig another vxlan.port"
            }
            Refusal::PortLeadsNowhere { .. } => {
                "publish it at an address of the other family, or add a pool of this one"
            }
            Refusal::TwoAddressesOfOneFamily { .. } => "ask for one address of each family",
            Refusal::NamespaceMissing { .. } => "see `ip netns list`; the path must be that of a network namespace",
            Refusal::InterfaceExists { .. } => "choose another interface name, or remove that interface",
            Refusal::Wiring { .. } => "see the agent's log; the address was given back",
            Refusal::NotAcknowledged { .. } => {
                "see `poplin bgp summary`; `spec.readiness` of FabricConfig says who is waited for, and how long"
            }
            Refusal::Busy { .. } => "wait for it, then ask again",
            Refusal::ImportUnderWay => {
                "try again; if the import was cut short, give `poplin import` the same file again"
            }
            Refusal::StoreForgot { .. } => {
                "start the agent there, or, if that host is gone for good, `poplin host remove HOST --gone`; then try again"
            }
            Refusal::Unreadable { .. } => "see `poplin status` for what is wrong with it, and mend or delete it",
            Refusal::ReadOnly(_) => Outdated::ADVICE,
            Refusal::NameConflict(_) => "see `poplin status` for what to do",
            Refusal::StoreUnreachable { .. } => "see `poplin status`; running containers are not affected",
        }
    }

    /// Whether something is missing that somebody may have declared a moment ago.
    pub fn is_a_lack(&self) -> bool {
        match self {
            Refusal::NoNetwork { .. }
            | Refusal::NoPool { .. }
            | Refusal::PoolFull { .. }
            | Refusal::PoolRefuses { .. }
            | Refusal::TooManyBlocks { .. }
            | Refusal::AddressOutsidePools { .. } => true,
            Refusal::NameTaken { .. }
            | Refusal::AttachedElsewhere { .. }
            | Refusal::OtherNamespace { .. }
            | Refusal::AddressTaken { .. }
            | Refusal::AddressReserved { .. }
            | Refusal::AddressKept { .. }
            | Refusal::AddressOfOtherHost { .. }
            | Refusal::AddressInReserve { .. }
            | Refusal::StickyWithoutName { .. }
            | Refusal::StillWired { .. }
            | Refusal::NoParent { .. }
            | Refusal::MacvlanForDocker { .. }
            | Refusal::PortTaken { .. }
            | Refusal::PortOfTunnels { .. }
            | Refusal::PortLeadsNowhere { .. }
            | Refusal::TwoAddressesOfOneFamily { .. }
            | Refusal::NamespaceMissing { .. }
            | Refusal::InterfaceExists { .. }
            | Refusal::Wiring { .. }
            | Refusal::NotAcknowledged { .. }
            | Refusal::DetachElsewhere { .. }
            | Refusal::Busy { .. }
            | Refusal::ImportUnderWay
            | Refusal::ReadOnly(_)
            | Refusal::NameConflict(_)
            | Refusal::StoreForgot { .. }
            | Refusal::Unreadable { .. }
            | Refusal::StoreUnreachable { .. } => false,
        }
    }
}

/// Names in one sentence: the first few, and how many more.
fn words(hosts: &BTreeSet<HostName>) -> String {
    const SHOWN: usize = 3;
    let shown: Vec<&str> = hosts.iter().take(SHOWN).map(HostName::as_str).collect();
    match hosts.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
