//! The prefixes we originate.
//!
//! What others say about exactly one of them is kept, yet never used: nobody takes a block away from its host. What they say
//! about a part of one is used, and wins by its length: a container that left for another host, or an address another host
//! borrowed out of our block, is reached there.

use std::collections::BTreeSet;

use ipnet::IpNet;

/// The prefixes we originate.
#[derive(Debug, Default)]
pub(crate) struct Own {
    prefixes: BTreeSet<IpNet>,
}

impl Own {
    pub(crate) fn new(prefixes: BTreeSet<IpNet>) -> Self {
        Self { prefixes: prefixes.iter().map(IpNet::trunc).collect() }
    }

    pub(crate) fn prefixes(&self) -> &BTreeSet<IpNet> {
        &self.prefixes
    }

    /// Whether this is one of ours: what others say about it is never used.
    pub(crate) fn contains(&self, prefix: &IpNet) -> bool {
        self.prefixes.contains(prefix)
    }
}
