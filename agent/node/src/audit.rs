//! What must hold between pools, blocks, endpoints and hosts, and everything that does not.
//!
//! In: all objects, and what the host that looks knows of itself. Out: faults, each with its name, its words, and what to try. Whether one
//! can be mended is another question.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use crate::name::{AttachmentId, EndpointName, HostName, PoolName};
use crate::network::overlap;
use crate::object::{Block, Endpoint, Object, ObjectKey, Pool};
use crate::prefix::{address_at, size_of};
use crate::status::Contested;

/// All objects.
pub type Standing = BTreeMap<ObjectKey, Object>;

/// What a host knows of itself, and no store can.
#[derive(Clone, Debug, PartialEq)]
pub struct Truth {
    /// Which host.
    pub host: HostName,
    /// Its endpoints of which nothing is left in its kernel, and that no request is about.
    pub unwired: BTreeSet<EndpointName>,
    /// Addresses that its kernel leads somewhere each by itself, to a container or to another host.
    pub led: BTreeSet<IpAddr>,
    /// What requests under way are about.
    pub busy: BTreeSet<AttachmentId>,
    /// Addresses that rest.
    pub resting: BTreeSet<IpAddr>,
    /// Its endpoints that are closed off, as the store forgot them and what they had is another's by now.
    pub contested: Vec<Contested>,
}

/// Something that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Fault {
    /// An address is taken by an attachment that no endpoint has.
    #[error("{address} is taken by {holder}, and there is no such endpoint (block {cidr} of host {host})")]
    Leaked {
        /// The address.
        address: IpAddr,
        /// Who took it.
        holder: AttachmentId,
        /// Its pool.
        pool: PoolName,
        /// Its block.
        cidr: IpNet,
        /// Who holds the block.
        host: HostName,
    },
    /// An endpoint has an address that is free for all the blocks know.
    #[error("endpoint {endpoint} on host {host} has {address}, and no block knows that it is taken")]
    Untaken {
        /// The endpoint.
        endpoint: EndpointName,
        /// Where it is.
        host: HostName,
        /// The address.
        address: IpAddr,
    },
    /// An endpoint has an address that is taken by somebody else.
    #[error("endpoint {endpoint} on host {host} has {address}, which is taken by {holder}")]
    TakenByOther {
        /// The endpoint.
        endpoint: EndpointName,
        /// Where it is.
        host: HostName,
        /// The address.
        address: IpAddr,
        /// Who took it.
        holder: AttachmentId,
    },
    /// Two endpoints have one address.
    #[error("{address} is that of endpoint {one} on host {host} and of endpoint {other} on host {other_host}")]
    Shared {
        /// The address.
        address: IpAddr,
        /// An endpoint.
        one: EndpointName,
        /// Where it is.
        host: HostName,
        /// Another endpoint.
        other: EndpointName,
        /// Where that is.
        other_host: HostName,
    },
    /// Something is held by a host that is not there.
    #[error("host {host} is not there, and holds {blocks} blocks and {endpoints} endpoints")]
    NoHost {
        /// The name of the host.
        host: HostName,
        /// How many blocks.
        blocks: usize,
        /// How many endpoints.
        endpoints: usize,
    },
    /// A block is none of its pool's.
    #[error("block {cidr} of host {host} is none of pool {pool}, or that is gone")]
    NoPool {
        /// The pool it names.
        pool: PoolName,
        /// The block.
        cidr: IpNet,
        /// Who holds it.
        host: HostName,
    },
    /// Two blocks share addresses.
    #[error("block {one} of host {host} and block {other} of host {other_host} share addresses")]
    Overlap {
        /// A block.
        one: IpNet,
        /// Who holds it.
        host: HostName,
        /// Another block.
        other: IpNet,
        /// Who holds that.
        other_host: HostName,
    },
    /// A block says of an address two things at once, or speaks of one it does not have.
    #[error("block {cidr} of host {host} contradicts itself about its address number {ordinal}")]
    Muddled {
        /// Its pool.
        pool: PoolName,
        /// The block.
        cidr: IpNet,
        /// Who holds it.
        host: HostName,
        /// The ordinal of the address.
        ordinal: u32,
    },
    /// An endpoint of the host that looks has no interface any more.
    #[error("endpoint {endpoint} on this host has no interface {interface} any more: its container is gone")]
    Unwired {
        /// The endpoint.
        endpoint: EndpointName,
        /// The interface it had.
        interface: String,
    },
}

impl Fault {
    /// Stable name for programs.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Leaked { .. } => "LEAKED",
            Self::Untaken { .. } => "UNTAKEN",
            Self::TakenByOther { .. } => "TAKEN_BY_OTHER",
            Self::Shared { .. } => "SHARED",
            Self::NoHost { .. } => "NO_HOST",
            Self::NoPool { .. } => "NO_POOL",
            Self::Overlap { .. } => "OVERLAP",
            Self::Muddled { .. } => "MUDDLED",
            Self::Unwired { .. } => "UNWIRED",
        }
    }

    /// Whether addresses are lost by it, or not guarded.
    pub fn is_leak(&self) -> bool {
        match self {
            Self::Leaked { .. }
            | Self::Untaken { .. }
            | Self::TakenByOther { .. }
            | Self::Shared { .. }
            | Self::NoHost { .. }
            | Self::Unwired { .. } => true,
            Self::NoPool { .. } | Self::Overlap { .. } | Self::Muddled { .. } => false,
        }
    }

    /// What a person may try where nothing is mended.
    pub fn advice(&self) -> String {
        let there = |host: &HostName| format!("on host {host}: poplin ipam check --fix");
        match self {
            Self::Leaked { host, .. } => {
                format!("{}; if it is still led to somewhere, see `poplin routes` for whither", there(host))
            }
            Self::Untaken { host, .. } | Self::NoPool { host, .. } | Self::Muddled { host, .. } => there(host),
            Self::TakenByOther { endpoint, host, .. } => {
                format!("on host {host}: poplin detach {endpoint}, then attach it again")
            }
            Self::Shared { one, other, .. } => {
                format!("poplin detach {one}, or {other}, on its host, then attach it again")
            }
            Self::NoHost { host, .. } => format!("if it does not run for good: poplin host remove {host}"),
            Self::Overlap { .. } => {
                "detach the endpoints of one of them; its host gives it back once it is empty".to_owned()
            }
            Self::Unwired { endpoint, .. } => format!("poplin ipam check --fix, or poplin detach {endpoint}"),
        }
    }
}

/// Everything that does not hold, in the order of its names. Without a truth only the store is looked at.
pub fn faults(standing: &Standing, truth: Option<&Truth>) -> BTreeSet<Fault> {
    let ledger = Ledger::of(standing);
    let of_blocks = ledger.blocks.iter().flat_map(|block| ledger.block_faults(standing, block));
    let of_endpoints = ledger.endpoints.iter().flat_map(|endpoint| ledger.endpoint_faults(endpoint, truth));
    of_blocks.chain(of_endpoints).chain(ledger.overlaps()).chain(ledger.homeless(standing)).collect()
}

/// Blocks and endpoints, and who has which address for all they say.
pub(crate) struct Ledger<'s> {
    blocks: Vec<&'s Block>,
    endpoints: Vec<&'s Endpoint>,
    /// By address; the first by name.
    pub(crate) had: BTreeMap<IpAddr, Vec<&'s Endpoint>>,
    /// By address, who has taken it in a block.
    taken: BTreeMap<IpAddr, Vec<&'s AttachmentId>>,
    /// Of all endpoints.
    attachments: BTreeSet<&'s AttachmentId>,
}

impl<'s> Ledger<'s> {
    pub(crate) fn of(standing: &'s Standing) -> Self {
        let endpoints: Vec<&Endpoint> = standing.values().filter_map(|object| object.try_into().ok()).collect();
        let mut had: BTreeMap<IpAddr, Vec<&Endpoint>> = BTreeMap::new();
        for endpoint in &endpoints {
            endpoint.addresses.iter().for_each(|address| had.entry(*address).or_default().push(endpoint));
        }
        let attachments = endpoints.iter().map(|endpoint| &endpoint.attachment).collect();
        let blocks: Vec<&Block> = standing.values().filter_map(|object| object.try_into().ok()).collect();
        let mut taken: BTreeMap<IpAddr, Vec<&AttachmentId>> = BTreeMap::new();
        for block in &blocks {
            let its = block.taken.iter().filter(|(ordinal, _)| **ordinal < size_of(block.cidr));
            for (ordinal, holder) in its {
                taken.entry(address_at(block.cidr, *ordinal)).or_default().push(holder);
            }
        }
        Self { blocks, endpoints, had, taken, attachments }
    }

    /// Whether an endpoint has this attachment.
    pub(crate) fn is_known(&self, attachment: &AttachmentId) -> bool {
        self.attachments.contains(attachment)
    }

    /// Who has an address.
    pub(crate) fn havers(&self, address: IpAddr) -> &[&'s Endpoint] {
        self.had.get(&address).map(Vec::as_slice).unwrap_or_default()
    }

    /// The block an address lies in.
    pub(crate) fn block_of(&self, address: IpAddr) -> Option<&'s Block> {
        self.blocks.iter().find(|block| block.cidr.contains(&address)).copied()
    }

    fn block_faults(&self, standing: &Standing, block: &Block) -> Vec<Fault> {
        let (pool, cidr, host) = (block.pool.clone(), block.cidr, block.host.clone());
        let size = size_of(cidr);
        let leaked = |(ordinal, holder): (&u32, &AttachmentId)| Fault::Leaked {
            address: address_at(cidr, *ordinal),
            holder: holder.clone(),
            pool: pool.clone(),
            cidr,
            host: host.clone(),
        };
        let is_leaked =
            |(ordinal, _): &(&u32, _)| **ordinal < size && self.havers(address_at(cidr, **ordinal)).is_empty();
        let mut faults: Vec<Fault> = block.taken.iter().filter(is_leaked).map(leaked).collect();
        let muddled = |ordinal: u32| Fault::Muddled { pool: pool.clone(), cidr, host: host.clone(), ordinal };
        faults.extend(contradictions(block).into_iter().map(muddled));
        // While the size of its blocks changes a pool is disabled.
        let is_its =
            |pool: &Pool| pool.cidr.contains(&cidr) && (pool.block_bits == cidr.prefix_len() || !pool.is_enabled);
        let found = standing.get(&ObjectKey::Pool(pool.clone())).and_then(|object| <&Pool>::try_from(object).ok());
        if !found.is_some_and(is_its) {
            faults.push(Fault::NoPool { pool: pool.clone(), cidr, host: host.clone() });
        }
        faults
    }

    fn endpoint_faults(&self, endpoint: &Endpoint, truth: Option<&Truth>) -> Vec<Fault> {
        let mut faults: Vec<Fault> =
            endpoint.addresses.iter().filter_map(|address| self.untaken(endpoint, *address)).collect();
        for address in &endpoint.addresses {
            let twin = self.havers(*address).first().filter(|first| first.name != endpoint.name);
            faults.extend(twin.map(|first| Fault::Shared {
                address: *address,
                one: first.name.clone(),
                host: first.host.clone(),
                other: endpoint.name.clone(),
                other_host: endpoint.host.clone(),
            }));
        }
        let is_unwired = |truth: &Truth| truth.host == endpoint.host && truth.unwired.contains(&endpoint.name);
        if truth.is_some_and(is_unwired) {
            let interface = endpoint.interface.to_string();
            faults.push(Fault::Unwired { endpoint: endpoint.name.clone(), interface });
        }
        faults
    }

    /// What is wrong if an endpoint's address is not taken by it. Of several that share it, only one can have taken it.
    fn untaken(&self, endpoint: &Endpoint, address: IpAddr) -> Option<Fault> {
        let (name, host) = (endpoint.name.clone(), endpoint.host.clone());
        let holders = self.taken.get(&address).map(Vec::as_slice).unwrap_or_default();
        if holders.contains(&&endpoint.attachment) {
            return None;
        }
        Some(match holders.first() {
            Some(holder) => Fault::TakenByOther { endpoint: name, host, address, holder: (*holder).clone() },
            None => Fault::Untaken { endpoint: name, host, address },
        })
    }

    /// Blocks that share addresses. In the order of their addresses one that contains another comes right before it, or before others that it contains.
    fn overlaps(&self) -> Vec<Fault> {
        let mut sorted = self.blocks.clone();
        sorted.sort_by_key(|block| (block.cidr.network(), block.cidr.prefix_len()));
        let mut faults = Vec::new();
        let mut widest: Option<&Block> = None;
        for block in sorted {
            match widest.filter(|wide| overlap(&wide.cidr, &block.cidr)) {
                Some(wide) => faults.push(Fault::Overlap {
                    one: wide.cidr,
                    host: wide.host.clone(),
                    other: block.cidr,
                    other_host: block.host.clone(),
                }),
                None => widest = Some(block),
            }
        }
        faults
    }

    /// What is held by hosts that are not there.
    fn homeless(&self, standing: &Standing) -> Vec<Fault> {
        let mut held: BTreeMap<&HostName, (usize, usize)> = BTreeMap::new();
        self.blocks.iter().for_each(|block| held.entry(&block.host).or_default().0 += 1);
        self.endpoints.iter().for_each(|endpoint| held.entry(&endpoint.host).or_default().1 += 1);
        let is_gone = |(host, _): &(&HostName, _)| !standing.contains_key(&ObjectKey::Host((*host).clone()));
        let fault =
            |(host, (blocks, endpoints)): (&HostName, _)| Fault::NoHost { host: host.clone(), blocks, endpoints };
        held.into_iter().filter(is_gone).map(fault).collect()
    }
}

/// Ordinals of which a block says what cannot be.
pub(crate) fn contradictions(block: &Block) -> BTreeSet<u32> {
    let size = size_of(block.cidr);
    let told = block.taken.keys().chain(block.kept.keys()).chain(&block.freed).copied();
    let outside = told.filter(|ordinal| *ordinal >= size);
    let twice = block.freed.iter().copied();
    let twice = twice.filter(|ordinal| block.taken.contains_key(ordinal) || block.kept.contains_key(ordinal));
    let kept = block.kept.keys().copied().filter(|ordinal| block.taken.contains_key(ordinal));
    outside.chain(twice).chain(kept).collect()
}
