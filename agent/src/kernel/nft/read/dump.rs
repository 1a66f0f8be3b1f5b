//! Asks the kernel for everything in our table, and believes it only if nothing changed meanwhile.
//!
//! In: a socket. Out: the messages, as they came. Knows nothing of what they say, but for the names of sets, which are asked for one by one.
//! Rules: linux net/netfilter/nf_tables_api.c. Each commit moves the generation, whosoever it is; a dump of one kind is whole only if
//! it did not move, and dumps of several kinds fit together only then. Chains the kernel tells of whatever table they are in.

use super::{ReadError, set};
use crate::kernel::nft::batch::{NFPROTO_INET, message_type};
use crate::kernel::nft::counter::NFT_MSG_GETOBJ;
use crate::kernel::nft::element::NFTA_SET_ELEM_LIST_SET;
use crate::kernel::nft::generation::NFT_MSG_NEWGEN;
use crate::kernel::nft::table;
use crate::kernel::socket::{Conversation, Refusal};
use crate::kernel::wire::{Writer, attribute, be32_at};

const NFT_MSG_GETCHAIN: u8 = 4;
const NFT_MSG_GETRULE: u8 = 7;
const NFT_MSG_GETSET: u8 = 10;
const NFT_MSG_GETSETELEM: u8 = 13;
const NFT_MSG_GETGEN: u8 = 16;
const NFT_MSG_GETFLOWTABLE: u8 = 23;
const NFTA_GEN_ID: u16 = 1;

/// How often it is tried to read everything between two commits of others.
const ATTEMPTS: usize = 5;

/// `struct nfgenmsg` of every question.
const HEAD: [u8; 4] = [NFPROTO_INET, 0, 0, 0];

/// The messages that tell of a table of ours, each from its `struct nfgenmsg` on, in the order they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dump {
    /// Sets and maps.
    pub sets: Vec<Vec<u8>>,
    /// Lists of elements, which name their sets.
    pub elements: Vec<Vec<u8>>,
    /// Chains.
    pub chains: Vec<Vec<u8>>,
    /// Rules, which name their chains.
    pub rules: Vec<Vec<u8>>,
    /// Counters, and whatever other objects there are.
    pub objects: Vec<Vec<u8>>,
    /// Flowtables; none is ours.
    pub flowtables: Vec<Vec<u8>>,
}

impl Dump {
    /// What stands, and what `read` makes of it, at one moment.
    pub(in crate::kernel::nft) fn take<T>(
        conversation: &mut Conversation,
        table: &str,
        read: impl Fn(Self) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        let mut outcome = Err(ReadError::Restless { attempts: ATTEMPTS });
        for _ in 0..ATTEMPTS {
            let before = generation(conversation)?;
            let dump = Self::take_once(conversation, table);
            let is_steady = generation(conversation)? == before;
            match dump.map_err(ReadError::from).and_then(&read) {
                _ if !is_steady => {}
                Err(incomplete @ ReadError::Incomplete { .. }) => outcome = Err(incomplete),
                settled => return settled,
            }
        }
        outcome
    }

    fn take_once(conversation: &mut Conversation, table: &str) -> Result<Self, Refusal> {
        let mut ask = |kind, more: &dyn Fn(&mut Writer)| ask(conversation, table, kind, more);
        let mut dump = Self {
            sets: ask(NFT_MSG_GETSET, &|_| {})?,
            elements: Vec::new(),
            chains: ask(NFT_MSG_GETCHAIN, &|_| {})?,
            rules: ask(NFT_MSG_GETRULE, &|_| {})?,
            objects: ask(NFT_MSG_GETOBJ, &|_| {})?,
            flowtables: ask(NFT_MSG_GETFLOWTABLE, &|_| {})?,
        };
        for attributes in dump.sets.iter().filter_map(|set| table::within(table, set)) {
            dump.elements.extend(ask(NFT_MSG_GETSETELEM, &|out| {
                out.put_text(NFTA_SET_ELEM_LIST_SET, set::name(attributes));
            })?);
        }
        Ok(dump)
    }
}

fn ask(
    conversation: &mut Conversation,
    table: &str,
    kind: u8,
    more: impl Fn(&mut Writer),
) -> Result<Vec<Vec<u8>>, Refusal> {
    let put = |out: &mut Writer| {
        table::put_name(out, table);
        more(out);
    };
    conversation.dump(message_type(kind), &HEAD, put, |messages: &mut Vec<Vec<u8>>, payload| {
        if table::within(table, payload).is_some() {
            messages.push(payload.to_vec());
        }
    })
}

/// The number of the last commit.
fn generation(conversation: &mut Conversation) -> Result<u32, Refusal> {
    let mut generation = None;
    conversation.get(
        message_type(NFT_MSG_GETGEN),
        &HEAD,
        |_| {},
        |message| {
            if message.kind == message_type(NFT_MSG_NEWGEN) {
                let attributes = message.payload.get(HEAD.len()..);
                generation = attributes.and_then(|all| attribute(all, NFTA_GEN_ID)).and_then(|id| be32_at(id, 0));
            }
        },
    )?;
    let unsaid = || Refusal { errno: rustix::io::Errno::PROTO, explanation: Some("no generation is told".into()) };
    generation.ok_or_else(unsaid)
}
