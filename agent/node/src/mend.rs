//! What of an audit's findings a host may mend, and how an address is released.
//!
//! In: all objects, the host's truth, faults. Out: blocks as they should be, and endpoints to be cleared away. A host frees only what it
//! holds itself, what no endpoint has anywhere, and what its kernel leads nowhere: an address that somebody may use stays taken.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::audit::{Fault, Ledger, Standing, Truth, contradictions};
use crate::name::{AttachmentId, EndpointName, HostName};
use crate::object::{Block, Endpoint, Object, ObjectKey, Pool};
use crate::prefix::{block_of, ordinal_of};
use crate::removal::Step;
use crate::resize::unclaimed;

/// Blocks in one transaction; etcd takes 128 operations.
const BLOCKS_AT_ONCE: usize = 100;

/// What will be done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mending {
    /// What is mended by it, in words.
    pub of: BTreeMap<Fault, String>,
    /// Endpoints of this host to be detached, if nothing is left of them when it comes to that.
    pub remains: BTreeSet<EndpointName>,
    /// The transactions. Each is written only if all it touches is as it was given.
    pub steps: Vec<Step>,
}

/// Plans what is safe.
pub fn mending(faults: &BTreeSet<Fault>, standing: &Standing, truth: &Truth) -> Mending {
    let mut bench = Bench { standing, truth, ledger: Ledger::of(standing), blocks: BTreeMap::new() };
    let mut mending = Mending::default();
    for fault in faults {
        let Some(words) = bench.mend(fault) else { continue };
        if let Fault::Unwired { endpoint, .. } = fault {
            mending.remains.insert(endpoint.clone());
        }
        mending.of.insert(fault.clone(), words);
    }
    mending.steps = bench.steps();
    mending
}

/// Blocks in the course of being mended.
struct Bench<'s> {
    standing: &'s Standing,
    truth: &'s Truth,
    ledger: Ledger<'s>,
    /// As they will be; nothing = given back.
    blocks: BTreeMap<ObjectKey, Option<Block>>,
}

impl Bench<'_> {
    /// Mends one fault on the bench, and says what that does; nothing: it is not safe from here.
    fn mend(&mut self, fault: &Fault) -> Option<String> {
        match fault {
            Fault::Leaked { address, holder, pool, cidr, host } => {
                let is_used = self.truth.led.contains(address) || self.truth.busy.contains(holder);
                let key = ObjectKey::Block(pool.clone(), *cidr);
                let mut block = self.block(&key).filter(|_| *host == self.truth.host && !is_used)?;
                block.release(ordinal_of(*cidr, *address), holder, None).then_some(())?;
                self.put(block);
                Some(format!("{address} is freed"))
            }
            Fault::Untaken { endpoint, address, .. } | Fault::TakenByOther { endpoint, address, .. } => {
                let endpoint = self.own(endpoint)?;
                let block = self.taken_by(endpoint, *address)?;
                let words = format!("{address} is taken for endpoint {} in block {}", endpoint.name, block.cidr);
                self.put(block);
                Some(words)
            }
            Fault::NoPool { pool, cidr, host } => {
                let key = ObjectKey::Block(pool.clone(), *cidr);
                let block = self.block(&key).filter(|_| *host == self.truth.host)?;
                (block.taken.is_empty() && block.kept.is_empty()).then_some(())?;
                self.blocks.insert(key, None);
                Some(format!("block {cidr} is given back, as it is empty"))
            }
            Fault::Muddled { pool, cidr, host, ordinal } => {
                let key = ObjectKey::Block(pool.clone(), *cidr);
                let block = self.block(&key).filter(|_| *host == self.truth.host)?;
                self.put(disentangled(block));
                Some(format!("block {cidr} says one thing of its address number {ordinal}"))
            }
            Fault::Unwired { endpoint, .. } => {
                Some(format!("endpoint {endpoint} is detached, its addresses are freed"))
            }
            Fault::Shared { .. } | Fault::NoHost { .. } | Fault::Overlap { .. } => None,
        }
    }

    fn block(&self, key: &ObjectKey) -> Option<Block> {
        let standing = || self.standing.get(key).and_then(|object| <&Block>::try_from(object).ok()).cloned();
        self.blocks.get(key).cloned().unwrap_or_else(standing)
    }

    fn put(&mut self, block: Block) {
        self.blocks.insert(ObjectKey::Block(block.pool.clone(), block.cidr), Some(block));
    }

    /// An endpoint of this host that is really there, is not being detached, and shares nothing.
    fn own(&self, name: &EndpointName) -> Option<&'_ Endpoint> {
        let object = self.standing.get(&ObjectKey::Endpoint(name.clone()))?;
        let endpoint = <&Endpoint>::try_from(object).ok()?;
        let is_alone = endpoint.addresses.iter().all(|address| self.ledger.havers(*address).len() == 1);
        let is_there = endpoint.host == self.truth.host && !self.truth.unwired.contains(name);
        let is_staying = !self.truth.busy.contains(&endpoint.attachment);
        (is_there && is_staying && is_alone).then_some(endpoint)
    }

    /// The block of an address, claimed if need be, with the address taken; nothing if somebody else is known to have it.
    fn taken_by(&self, endpoint: &Endpoint, address: IpAddr) -> Option<Block> {
        let known = self.ledger.block_of(address).map(|block| ObjectKey::Block(block.pool.clone(), block.cidr));
        let mut block = match known {
            Some(key) => self.block(&key)?,
            None => self.unclaimed(address)?,
        };
        let ordinal = ordinal_of(block.cidr, address);
        let is_known = |holder: &AttachmentId| self.truth.busy.contains(holder) || self.ledger.is_known(holder);
        if block.taken.get(&ordinal).is_some_and(is_known) {
            return None;
        }
        block.taken.insert(ordinal, endpoint.attachment.clone());
        block.kept.remove(&ordinal);
        block.freed.retain(|other| *other != ordinal);
        Some(block)
    }

    fn unclaimed(&self, address: IpAddr) -> Option<Block> {
        let mut pools = self.standing.values().filter_map(|object| <&Pool>::try_from(object).ok());
        let pool = pools.find(|pool| pool.cidr.contains(&address))?;
        let blocks = self.standing.values().filter_map(|object| <&Block>::try_from(object).ok());
        let cidr = unclaimed(pool, block_of(pool.cidr, pool.block_bits, address), blocks)?;
        let key = ObjectKey::Block(pool.name.clone(), cidr);
        let new = || Block::empty(pool.name.clone(), cidr, self.truth.host.clone());
        Some(self.block(&key).unwrap_or_else(new))
    }

    fn steps(self) -> Vec<Step> {
        let changed: Vec<_> = self.blocks.into_iter().collect();
        let step = |some: &[(ObjectKey, Option<Block>)]| Step {
            puts: some.iter().filter_map(|(_, block)| block.clone()).map(Object::Block).collect(),
            deletes: some.iter().filter(|(_, block)| block.is_none()).map(|(key, _)| key.clone()).collect(),
        };
        changed.chunks(BLOCKS_AT_ONCE).map(step).collect()
    }
}

/// Taken goes before kept, and kept before freed: what somebody may have is not given to another.
fn disentangled(mut block: Block) -> Block {
    for ordinal in contradictions(&block) {
        block.freed.retain(|other| *other != ordinal);
        if block.taken.contains_key(&ordinal) {
            block.kept.remove(&ordinal);
        }
        if ordinal >= crate::prefix::size_of(block.cidr) {
            block.taken.remove(&ordinal);
            block.kept.remove(&ordinal);
        }
    }
    block
}

/// What becomes of an address that shall be released.
#[derive(Clone, Debug, PartialEq)]
pub enum Release {
    /// It is free already.
    Nothing,
    /// This is written, and then it is: in words.
    Write(Step, String),
    /// This endpoint is detached, of which nothing is left.
    Detach(EndpointName),
}

/// Why an address is not released.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Kept {
    /// An endpoint has it.
    #[error("endpoint {endpoint} on host {host} has {address}")]
    InUse {
        /// The address.
        address: IpAddr,
        /// The endpoint.
        endpoint: EndpointName,
        /// Where it is.
        host: HostName,
        /// Whether that host is written down.
        is_host_known: bool,
    },
    /// Another host holds the block it leaked in.
    #[error(
        "{address} is taken by {holder} in a block of host {host}, and only that host can know that nobody uses it"
    )]
    OfOtherHost {
        /// The address.
        address: IpAddr,
        /// Who took it.
        holder: AttachmentId,
        /// Who holds the block.
        host: HostName,
        /// Whether that host is written down.
        is_host_known: bool,
    },
    /// The kernel or a request says that it is used.
    #[error("{address} is taken by {holder}, and in use: this host leads packets to it, or is at work on it")]
    Led {
        /// The address.
        address: IpAddr,
        /// Who took it.
        holder: AttachmentId,
    },
}

impl Kept {
    /// What to try.
    pub fn advice(&self) -> String {
        match self {
            Self::InUse { host, is_host_known: false, .. } | Self::OfOtherHost { host, is_host_known: false, .. } => {
                format!("if that host does not run for good: poplin host remove {host}")
            }
            Self::InUse { endpoint, host, .. } => format!(
                "detach it on host {host}: poplin detach {endpoint}; if the host is gone for good: poplin host remove {host}"
            ),
            Self::OfOtherHost { address, host, .. } => format!(
                "run it there: poplin ipam release {address}; if the host is gone for good: poplin host remove {host}"
            ),
            Self::Led { .. } => "see `poplin routes` for whither; ask again once nothing leads there".to_owned(),
        }
    }
}

/// Plans how an address is released, or says who has it.
pub fn release(standing: &Standing, truth: &Truth, address: IpAddr) -> Result<Release, Kept> {
    let ledger = Ledger::of(standing);
    let is_host_known = |host: &HostName| standing.contains_key(&ObjectKey::Host(host.clone()));
    if let Some(endpoint) = ledger.havers(address).first() {
        let (name, host) = (endpoint.name.clone(), endpoint.host.clone());
        if host == truth.host && truth.unwired.contains(&name) {
            return Ok(Release::Detach(name));
        }
        let is_host_known = is_host_known(&host);
        return Err(Kept::InUse { address, endpoint: name, host, is_host_known });
    }
    let Some(block) = ledger.block_of(address) else { return Ok(Release::Nothing) };
    let mut left = block.clone();
    let ordinal = ordinal_of(block.cidr, address);
    let words = match (block.taken.get(&ordinal), block.kept.get(&ordinal)) {
        (Some(holder), _) => {
            let (holder, host) = (holder.clone(), block.host.clone());
            if host != truth.host {
                let is_host_known = is_host_known(&host);
                return Err(Kept::OfOtherHost { address, holder, host, is_host_known });
            }
            if truth.led.contains(&address) || truth.busy.contains(&holder) {
                return Err(Kept::Led { address, holder });
            }
            left.release(ordinal, &holder, None);
            format!("{address} was taken by {holder}, of which there is no endpoint, and is free")
        }
        (None, Some(name)) => {
            left.kept.remove(&ordinal);
            format!("{address} is not kept for endpoint {name} any more")
        }
        (None, None) if block.freed.contains(&ordinal) => {
            left.freed.retain(|other| *other != ordinal);
            format!("{address} rests no more")
        }
        (None, None) => return Ok(Release::Nothing),
    };
    Ok(Release::Write(Step { puts: vec![Object::Block(left)], deletes: Vec::new() }, words))
}
