//! Reads what a chain is: its name, and where it is hooked.
//!
//! In: the attributes of one chain. Out: the chain without rules, or nothing if none of ours is so. Knows nothing of rules.

use poplin_policy::ruleset::{BasePolicy, Chain, Hook, HookKind, HookPoint, Name};

use crate::kernel::nft::chain::{
    NFTA_CHAIN_HOOK, NFTA_CHAIN_NAME, NFTA_CHAIN_POLICY, NFTA_CHAIN_TYPE, NFTA_HOOK_HOOKNUM, NFTA_HOOK_PRIORITY,
    hook_number, kind_name, policy_number,
};
use crate::kernel::wire::{attribute, attributes, be32_at, text};

const NFTA_CHAIN_FLAGS: u16 = 10;
const NFT_CHAIN_BASE: u32 = 0x1;
/// The chain is a rule's own, and comes and goes with it.
const NFT_CHAIN_BINDING: u32 = 0x4;

/// Whether the chain is not the table's but one rule's.
pub(super) fn is_anonymous(attributes: &[u8]) -> bool {
    flags(attributes) & NFT_CHAIN_BINDING != 0
}

/// Its name, whatever it is.
pub(super) fn name(attributes: &[u8]) -> &str {
    attribute(attributes, NFTA_CHAIN_NAME).and_then(text).unwrap_or_default()
}

/// What a chain of ours is.
pub(super) fn chain(attributes: &[u8]) -> Option<(Name, Chain)> {
    let name = Name::parse(name(attributes)).filter(|_| flags(attributes) & !NFT_CHAIN_BASE == 0)?;
    let hook = match attribute(attributes, NFTA_CHAIN_HOOK) {
        Some(place) => Some(hook(attributes, place)?),
        None => None,
    };
    Some((name, Chain { hook, rules: Vec::new() }))
}

fn hook(chain: &[u8], place: &[u8]) -> Option<Hook> {
    let number = |attributes, kind| attribute(attributes, kind).and_then(|value| be32_at(value, 0));
    let is_known = attributes(place).all(|(kind, _)| [NFTA_HOOK_HOOKNUM, NFTA_HOOK_PRIORITY].contains(&kind));
    let kind = attribute(chain, NFTA_CHAIN_TYPE).and_then(text)?;
    let point = number(place, NFTA_HOOK_HOOKNUM).filter(|_| is_known)?;
    let policy = number(chain, NFTA_CHAIN_POLICY)?;
    Some(Hook {
        kind: KINDS.into_iter().find(|known| kind_name(*known) == kind)?,
        point: POINTS.into_iter().find(|known| hook_number(*known) == point)?,
        priority: number(place, NFTA_HOOK_PRIORITY)?.cast_signed(),
        policy: POLICIES.into_iter().find(|known| policy_number(*known) == policy)?,
    })
}

const KINDS: [HookKind; 2] = [HookKind::Filter, HookKind::Nat];
const POINTS: [HookPoint; 5] =
    [HookPoint::Prerouting, HookPoint::Input, HookPoint::Forward, HookPoint::Output, HookPoint::Postrouting];
const POLICIES: [BasePolicy; 2] = [BasePolicy::Accept, BasePolicy::Drop];

fn flags(attributes: &[u8]) -> u32 {
    attribute(attributes, NFTA_CHAIN_FLAGS).and_then(|value| be32_at(value, 0)).unwrap_or(0)
}
