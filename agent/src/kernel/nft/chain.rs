//! Makes and ends chains.
//!
//! In: a chain's name and hook. Out: messages. Knows nothing of rules.
//! Header: linux/netfilter/nf_tables.h, `enum nft_chain_attributes`, `enum nft_hook_attributes`.

use poplin_policy::ruleset::{BasePolicy, Hook, HookKind, HookPoint, Name};

use super::super::wire::{NLM_F_CREATE, NLM_F_EXCL, Writer};
use super::batch::Batch;

const NFT_MSG_NEWCHAIN: u8 = 3;
const NFT_MSG_DELCHAIN: u8 = 5;

pub(super) const NFTA_CHAIN_NAME: u16 = 3;
pub(super) const NFTA_CHAIN_HOOK: u16 = 4;
pub(super) const NFTA_CHAIN_POLICY: u16 = 5;
pub(super) const NFTA_CHAIN_TYPE: u16 = 7;

pub(super) const NFTA_HOOK_HOOKNUM: u16 = 1;
pub(super) const NFTA_HOOK_PRIORITY: u16 = 2;

/// Makes a chain without rules.
pub(super) fn add(batch: &mut Batch, name: &Name, hook: Option<&Hook>) {
    batch.add(NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_EXCL, |out| {
        put_identity(out, name);
        if let Some(hook) = hook {
            put_hook(out, hook);
        }
    });
}

/// Ends a chain and its rules.
pub(super) fn remove(batch: &mut Batch, name: &Name) {
    batch.add(NFT_MSG_DELCHAIN, 0, |out| put_identity(out, name));
}

fn put_identity(out: &mut Writer, name: &Name) {
    out.put_text(NFTA_CHAIN_NAME, name.as_str());
}

fn put_hook(out: &mut Writer, hook: &Hook) {
    out.nest(NFTA_CHAIN_HOOK, |out| {
        out.put_be32(NFTA_HOOK_HOOKNUM, hook_number(hook.point));
        out.put_be32(NFTA_HOOK_PRIORITY, hook.priority.cast_unsigned());
    });
    out.put_be32(NFTA_CHAIN_POLICY, policy_number(hook.policy));
    out.put_text(NFTA_CHAIN_TYPE, kind_name(hook.kind));
}

/// net/netfilter/nf_tables_chain_*.c; `nat` for `inet` since Linux 5.2.
pub(super) fn kind_name(kind: HookKind) -> &'static str {
    match kind {
        HookKind::Filter => "filter",
        HookKind::Nat => "nat",
    }
}

/// `enum nf_inet_hooks` (linux/netfilter.h).
pub(super) fn hook_number(point: HookPoint) -> u32 {
    match point {
        HookPoint::Prerouting => 0,
        HookPoint::Input => 1,
        HookPoint::Forward => 2,
        HookPoint::Output => 3,
        HookPoint::Postrouting => 4,
    }
}

/// `NF_DROP`, `NF_ACCEPT` (linux/netfilter.h).
pub(super) fn policy_number(policy: BasePolicy) -> u32 {
    match policy {
        BasePolicy::Drop => 0,
        BasePolicy::Accept => 1,
    }
}
