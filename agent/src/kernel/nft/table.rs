//! Makes, takes over and ends our table.
//!
//! In: what to do. Out: messages. Knows nothing of what the table holds.
//! Rules: linux net/netfilter/nf_tables_api.c, `nf_tables_newtable` and `nf_tables_updtable`; header linux/netfilter/nf_tables.h.

use super::super::wire::{self, NLM_F_CREATE, Writer};
use super::batch::{Batch, NFPROTO_INET};

/// Our one table.
pub(super) const NAME: &str = "poplin";
/// What stands beside it while it is begun anew.
pub(super) const GUARD: &str = "poplin-guard";

pub(super) const NFT_MSG_NEWTABLE: u8 = 0;
pub(super) const NFT_MSG_GETTABLE: u8 = 1;
const NFT_MSG_DELTABLE: u8 = 2;

const NFTA_TABLE_NAME: u16 = 1;
const NFTA_TABLE_FLAGS: u16 = 2;
const NFTA_TABLE_OWNER: u16 = 7;

/// Nobody but the socket that made the table may change it.
const NFT_TABLE_F_OWNER: u32 = 0x2;
/// It stays when that socket is closed (Linux 6.9).
const NFT_TABLE_F_PERSIST: u32 = 0x4;

/// The flags of our table. Never the one without the other: an owned table that does not persist vanishes with the agent,
/// and with it every policy.
pub(super) const OWNED: u32 = NFT_TABLE_F_OWNER | NFT_TABLE_F_PERSIST;
/// The flags of a guard, which is to vanish with the agent.
pub(super) const PASSING: u32 = NFT_TABLE_F_OWNER;

/// A table as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    flags: u32,
    /// Port of the owner's socket.
    pub(super) owner: Option<u32>,
}

impl Standing {
    /// Reads the payload of a `NFT_MSG_NEWTABLE`.
    pub(super) fn parse(payload: &[u8]) -> Option<Self> {
        let attributes = payload.get(4..)?;
        let number = |kind| wire::attribute(attributes, kind).and_then(|value| wire::be32_at(value, 0));
        Some(Self { flags: number(NFTA_TABLE_FLAGS).unwrap_or(0), owner: number(NFTA_TABLE_OWNER) })
    }

    /// Whether its flags are just these; a table can be dormant.
    pub(super) fn has_flags(self, flags: u32) -> bool {
        self.flags == flags
    }

    /// Whether it was owned once, so that it can be taken over. A table made without the flag can never get it.
    pub(super) fn is_adoptable(self) -> bool {
        self.flags & NFT_TABLE_F_PERSIST != 0
    }
}

/// The attributes of a thing that is told of, if it is in our table.
pub(super) fn ours(payload: &[u8]) -> Option<&[u8]> {
    within(NAME, payload)
}

/// The same of the table of a name. Every kind of thing names its table in its first attribute.
pub(super) fn within<'p>(name: &str, payload: &'p [u8]) -> Option<&'p [u8]> {
    let attributes = payload.get(4..).filter(|_| payload.first() == Some(&NFPROTO_INET))?;
    let table = wire::attribute(attributes, NFTA_TABLE_NAME).and_then(wire::text)?;
    (table == name).then_some(attributes)
}

/// Names a table, as every message must in its first attribute.
pub(super) fn put_name(out: &mut Writer, table: &str) {
    out.put_text(NFTA_TABLE_NAME, table);
}

/// Names our table.
pub(super) fn put_our_name(out: &mut Writer) {
    put_name(out, NAME);
}

/// Becomes the owner of an orphaned table, or makes one.
pub(super) fn adopt(batch: &mut Batch) {
    add(batch, OWNED);
}

/// Ends the table, if there is one, and begins an empty one. The first message sees to it that there is one to end
/// (`NFT_MSG_DESTROYTABLE` would do, from Linux 6.3 on).
pub(super) fn restart(batch: &mut Batch, flags: u32) {
    batch.add(NFT_MSG_NEWTABLE, NLM_F_CREATE, |_| {});
    remove(batch);
    add(batch, flags);
}

/// Ends the table with all that is in it.
pub(super) fn remove(batch: &mut Batch) {
    batch.add(NFT_MSG_DELTABLE, 0, |_| {});
}

fn add(batch: &mut Batch, flags: u32) {
    batch.add(NFT_MSG_NEWTABLE, NLM_F_CREATE, |out| out.put_be32(NFTA_TABLE_FLAGS, flags));
}
