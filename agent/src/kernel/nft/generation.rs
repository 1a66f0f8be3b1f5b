//! Hears whether somebody else changed our table.
//!
//! In: notifications of the nftables group. Out: yes, when a transaction is complete that touched our table and was not ours.
//! Knows nothing of what changed. Rules: linux net/netfilter/nf_tables_api.c, `nf_tables_commit`: what changed is told first, thing by
//! thing, then `NFT_MSG_NEWGEN` ends it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::wire::Message;
use super::batch::{NFNL_SUBSYS_NFTABLES, message_type};
use super::table;

pub(super) const NFT_MSG_NEWGEN: u8 = 15;

/// One listener's memory: what the transaction being told has touched.
pub(in super::super) struct Listener {
    own_port: u32,
    is_owned: Arc<AtomicBool>,
    is_touched: bool,
}

impl Listener {
    /// Listens for others than the socket with this port.
    pub(super) fn new(own_port: u32, is_owned: Arc<AtomicBool>) -> Self {
        Self { own_port, is_owned, is_touched: false }
    }

    /// Hears one notification; true if our table has just been changed by somebody else.
    pub(in super::super) fn hear(&mut self, message: Message<'_>) -> bool {
        if message.kind == message_type(NFT_MSG_NEWGEN) {
            return std::mem::take(&mut self.is_touched) && message.port != self.own_port;
        }
        self.is_touched |=
            message.kind.to_be_bytes()[0] == NFNL_SUBSYS_NFTABLES && table::ours(message.payload).is_some();
        false
    }

    /// Whether somebody else's change may be among notifications that were lost. In an owned table there is none, and what is lost
    /// is the echo of our own writing: taking that for news, and writing everything anew, would never end.
    pub(in super::super) fn may_have_missed(&self) -> bool {
        !self.is_owned.load(Ordering::Relaxed)
    }
}
