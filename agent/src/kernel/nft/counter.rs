//! Makes, ends and reads the counters of our table; for the kernel they are objects.
//!
//! In: names. Out: messages, and what each counter has counted. Reading needs no ownership: anybody may.
//! Header: linux/netfilter/nf_tables.h, `enum nft_object_attributes`, `enum nft_counter_attributes`.

use std::collections::BTreeMap;
use std::io;

use netlink_sys::constants::NETLINK_NETFILTER;
use poplin_policy::ruleset::Name;

use super::super::socket::Conversation;
use super::super::wire::{NLM_F_CREATE, NLM_F_EXCL, Writer, attribute, be64_at, text};
use super::batch::{self, Batch};
use super::number::{NFTA_COUNTER_BYTES, NFTA_COUNTER_PACKETS};
use super::table;

const NFT_MSG_NEWOBJ: u8 = 18;
pub(super) const NFT_MSG_GETOBJ: u8 = 19;
const NFT_MSG_DELOBJ: u8 = 20;

pub(super) const NFTA_OBJ_NAME: u16 = 2;
pub(super) const NFTA_OBJ_TYPE: u16 = 3;
const NFTA_OBJ_DATA: u16 = 4;

/// `NFT_OBJECT_COUNTER`.
pub(super) const KIND: u32 = 1;

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Their octets, from the network header on.
    pub bytes: u64,
}

/// Makes a counter that begins at nought.
pub(super) fn add(batch: &mut Batch, name: &Name) {
    batch.add(NFT_MSG_NEWOBJ, NLM_F_CREATE | NLM_F_EXCL, |out| {
        put_identity(out, name);
        out.nest(NFTA_OBJ_DATA, |_| {});
    });
}

/// Ends a counter.
pub(super) fn remove(batch: &mut Batch, name: &Name) {
    batch.add(NFT_MSG_DELOBJ, 0, |out| put_identity(out, name));
}

fn put_identity(out: &mut Writer, name: &Name) {
    out.put_text(NFTA_OBJ_NAME, name.as_str());
    out.put_be32(NFTA_OBJ_TYPE, KIND);
}

/// What each counter has counted; nothing where no table of ours stands.
pub fn counts() -> io::Result<BTreeMap<Name, Count>> {
    let mut conversation = Conversation::open(NETLINK_NETFILTER)?;
    let head = [batch::NFPROTO_INET, 0, 0, 0];
    let kind = batch::message_type(NFT_MSG_GETOBJ);
    let collect = |counts: &mut BTreeMap<Name, Count>, payload: &[u8]| {
        counts.extend(table::ours(payload).and_then(counter));
    };
    let put = |out: &mut Writer| {
        table::put_our_name(out);
        out.put_be32(NFTA_OBJ_TYPE, KIND);
    };
    Ok(conversation.dump(kind, &head, put, collect)?)
}

/// A counter's name and what it says.
fn counter(body: &[u8]) -> Option<(Name, Count)> {
    let name = Name::parse(attribute(body, NFTA_OBJ_NAME).and_then(text)?)?;
    let data = attribute(body, NFTA_OBJ_DATA)?;
    let number = |kind| attribute(data, kind).and_then(|value| be64_at(value, 0));
    Some((name, Count { packets: number(NFTA_COUNTER_PACKETS)?, bytes: number(NFTA_COUNTER_BYTES)? }))
}
