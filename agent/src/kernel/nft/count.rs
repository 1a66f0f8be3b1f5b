//! Reads the counters of our table.
//!
//! In: nothing. Out: what each chain has counted. Needs no ownership: anybody may read. Header: linux/netfilter/nf_tables.h,
//! `enum nft_counter_attributes`.

use std::collections::BTreeMap;
use std::io;

use netlink_sys::constants::NETLINK_NETFILTER;
use poplin_policy::ruleset::Name;

use super::super::socket::Conversation;
use super::super::wire::{attribute, attributes, be64_at, text};
use super::{batch, table};

const NFT_MSG_GETRULE: u8 = 7;

const NFTA_RULE_TABLE: u16 = 1;
const NFTA_RULE_CHAIN: u16 = 2;
const NFTA_RULE_EXPRESSIONS: u16 = 4;
const NFTA_EXPR_NAME: u16 = 1;
const NFTA_EXPR_DATA: u16 = 2;
const NFTA_COUNTER_BYTES: u16 = 1;
const NFTA_COUNTER_PACKETS: u16 = 2;

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Their octets, from the network header on.
    pub bytes: u64,
}

/// What the rules of each chain have counted together; chains without a counter are left out.
pub fn counts() -> io::Result<BTreeMap<Name, Count>> {
    let mut conversation = Conversation::open(NETLINK_NETFILTER)?;
    let head = [batch::NFPROTO_INET, 0, 0, 0];
    let kind = batch::message_type(NFT_MSG_GETRULE);
    let collect = |counts: &mut BTreeMap<Name, Count>, payload: &[u8]| {
        if let Some((chain, count)) = payload.get(head.len()..).and_then(rule) {
            let sum = counts.entry(chain).or_default();
            sum.packets += count.packets;
            sum.bytes += count.bytes;
        }
    };
    Ok(conversation.dump(kind, &head, table::put_name, collect)?)
}

/// A rule's chain and what its counter says; nothing if it is another's, or has none.
fn rule(body: &[u8]) -> Option<(Name, Count)> {
    if attribute(body, NFTA_RULE_TABLE).and_then(text) != Some(table::NAME) {
        return None;
    }
    let chain = Name::parse(attribute(body, NFTA_RULE_CHAIN).and_then(text)?)?;
    let expressions = attribute(body, NFTA_RULE_EXPRESSIONS)?;
    let is_counter = |expression: &&[u8]| attribute(expression, NFTA_EXPR_NAME).and_then(text) == Some("counter");
    let counter = attributes(expressions).map(|(_, expression)| expression).find(is_counter)?;
    let data = attribute(counter, NFTA_EXPR_DATA)?;
    let number = |kind| attribute(data, kind).and_then(|value| be64_at(value, 0));
    Some((chain, Count { packets: number(NFTA_COUNTER_PACKETS)?, bytes: number(NFTA_COUNTER_BYTES)? }))
}
