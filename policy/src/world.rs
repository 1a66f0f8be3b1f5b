//! Everything a verdict depends on: what was declared, and who is there.
//!
//! Values by name, plus the orders and look-ups that give them meaning. Knows nothing of hosts, rules of a kernel or packets.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::model::{AddressSet, DEFAULT_TIER, Endpoint, Order, Policy, Tier, standing};
use crate::selector::Selector;

/// The whole fabric, as policy sees it. Each map's key is the name of what it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct World {
    /// Declared tiers; [`DEFAULT_TIER`] exists even if it is not here.
    pub tiers: BTreeMap<String, Tier>,
    /// Policies.
    pub policies: BTreeMap<String, Policy>,
    /// Address sets.
    pub sets: BTreeMap<String, AddressSet>,
    /// Endpoints of all hosts. An address belongs to one endpoint; were it two, the first by name counts.
    pub endpoints: BTreeMap<String, Endpoint>,
}

/// A tier with its policies, in the order they are asked.
#[derive(Clone, Debug)]
pub struct Rank<'w> {
    /// The tier.
    pub tier: Cow<'w, Tier>,
    /// All policies that stand in it.
    pub policies: Vec<&'w Policy>,
}

impl World {
    /// All tiers in the order they are asked, each with its policies in theirs.
    pub fn ranks(&self) -> Vec<Rank<'_>> {
        let mut ranks: BTreeMap<&str, Rank<'_>> = BTreeMap::new();
        let policies_tiers = self.policies.values().map(|policy| policy.tier.as_str());
        for name in self.tiers.keys().map(String::as_str).chain(policies_tiers).chain([DEFAULT_TIER]) {
            ranks.entry(name).or_insert_with(|| Rank { tier: self.tier(name), policies: Vec::new() });
        }
        for policy in self.policies.values() {
            ranks.entry(&policy.tier).and_modify(|rank| rank.policies.push(policy));
        }
        let mut ranks: Vec<_> = ranks.into_values().collect();
        ranks.sort_by(|left, right| tier_standing(left).cmp(&tier_standing(right)));
        for rank in &mut ranks {
            rank.policies.sort_by_key(|policy| standing(policy.order, &policy.name));
        }
        ranks
    }

    /// A tier, as declared or as it is without a declaration.
    pub fn tier<'w>(&'w self, name: &str) -> Cow<'w, Tier> {
        match self.tiers.get(name) {
            Some(tier) => Cow::Borrowed(tier),
            None => Cow::Owned(Tier::undeclared(name)),
        }
    }

    /// The endpoint an address belongs to.
    pub fn endpoint_of(&self, address: IpAddr) -> Option<(&str, &Endpoint)> {
        let mut endpoints = self.endpoints.iter().map(|(name, endpoint)| (name.as_str(), endpoint));
        endpoints.find(|(_, endpoint)| endpoint.addresses.contains(&address))
    }

    /// Whether an address is that of an endpoint, or lies in an address set, that the selector admits.
    pub fn selects(&self, selector: &Selector, address: IpAddr) -> bool {
        let is_address = |endpoint: &Endpoint| endpoint.addresses.contains(&address);
        self.endpoints.values().any(|endpoint| is_address(endpoint) && selector.admits(&endpoint.labels))
            || self.sets.values().any(|set| set.contains(address) && selector.admits(&set.labels))
    }
}

fn tier_standing<'a>(rank: &'a Rank<'_>) -> (bool, Option<Order>, &'a str) {
    standing(rank.tier.order, &rank.tier.name)
}
