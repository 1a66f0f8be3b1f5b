//! Gathers messages of one transaction, and tells which of them failed.
//!
//! In: messages, each on behalf of one change. Out: pieces for one `sendmsg`, and, from the answers, success or the first
//! refusal with the change it belongs to. Knows nothing of what the messages say.
//! Rules: linux net/netfilter/nfnetlink.c, `nfnetlink_rcv_batch`: all messages between begin and end are tried, each failure is
//! answered, and if there was none they are committed together. An acknowledgement is asked of the last message only: it is
//! sent whether or not the others failed, and kernels before 6.10 do not acknowledge the end of a batch.

use super::super::socket::{Answer, Refusal, answer};
use super::super::wire::{Message, NLM_F_ACK, NLM_F_REQUEST, Writer};
use super::table;

/// `NFNL_SUBSYS_NFTABLES` (linux/netfilter/nfnetlink.h): the upper octet of every message type.
pub(super) const NFNL_SUBSYS_NFTABLES: u8 = 10;
const NFNL_MSG_BATCH_BEGIN: u16 = 0x10;
const NFNL_MSG_BATCH_END: u16 = 0x11;

/// `NFPROTO_INET` (linux/netfilter.h): the family of our table, both IPv4 and IPv6.
pub(super) const NFPROTO_INET: u8 = 1;

/// A piece is full with this many octets: a whole table is tens of megabytes, and one buffer for all of it would be copied each time it
/// has to grow, with twice the room. Buffers grow by doubling, and with the longest message, of less than 64 KiB, this one stays within
/// 1 MiB. A datagram has at most 1,024 pieces (linux/uio.h, `UIO_MAXIOV`), which is more than the socket takes.
const PIECE_OCTETS: usize = (1 << 20) - (64 << 10);

/// With so many full pieces a batch is large: a transaction of its own is worth less memory.
const LARGE_PIECES: usize = 4;

/// A transaction being written.
pub(super) struct Batch {
    /// The table all of it is about.
    table: String,
    /// Pieces that are full.
    full: Vec<Writer>,
    /// The one that is written; the last message of all is in it.
    out: Writer,
    first: u32,
    next: u32,
    last_start: usize,
    /// The change each message serves, from the first message on.
    owners: Vec<usize>,
    current: usize,
}

/// What the kernel made of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All of it stands.
    Committed,
    /// None of it does; because of this change, or of the whole if it is none.
    Refused(Option<usize>, Refusal),
    /// The kernel did not say.
    Unanswered,
}

impl Batch {
    /// Begins a batch about one table, whose messages are numbered from `first` on.
    pub(super) fn begin(table: &str, first: u32) -> Self {
        let mut out = Writer::default();
        out.message(NFNL_MSG_BATCH_BEGIN, NLM_F_REQUEST, first, &subsystem_head(), |_| {});
        Self {
            table: table.to_owned(),
            full: Vec::new(),
            out,
            first,
            next: first.wrapping_add(1),
            last_start: 0,
            owners: Vec::new(),
            current: 0,
        }
    }

    /// The messages that follow serve this change.
    pub(super) fn serve(&mut self, change: usize) {
        self.current = change;
    }

    /// Adds a message: `NFT_MSG_*` and `NLM_F_*` (linux/netfilter/nf_tables.h, linux/netlink.h). Its first attribute is the table's name.
    pub(super) fn add(&mut self, kind: u8, flags: u16, attributes: impl FnOnce(&mut Writer)) {
        if self.out.octets().len() >= PIECE_OCTETS {
            self.full.push(std::mem::take(&mut self.out));
        }
        self.last_start = self.out.octets().len();
        self.out.message(message_type(kind), NLM_F_REQUEST | flags, self.next, &[NFPROTO_INET, 0, 0, 0], |out| {
            table::put_name(out, &self.table);
            attributes(out);
        });
        self.next = self.next.wrapping_add(1);
        self.owners.push(self.current);
    }

    /// A number no other message of this batch will carry; new sets want one.
    pub(super) fn unique(&self) -> u32 {
        self.next
    }

    /// Whether there is nothing to commit.
    pub(super) fn is_empty(&self) -> bool {
        self.owners.is_empty()
    }

    /// Whether it is large enough to be sent before the next change, if it may be.
    pub(super) fn is_large(&self) -> bool {
        self.full.len() >= LARGE_PIECES
    }

    /// Ends the batch: what to send, in order and as one.
    pub(super) fn end(&mut self) -> impl Iterator<Item = &Writer> {
        self.out.add_flags(self.last_start, NLM_F_ACK);
        self.out.message(NFNL_MSG_BATCH_END, NLM_F_REQUEST, self.next, &subsystem_head(), |_| {});
        self.full.iter().chain([&self.out])
    }

    /// How many sequence numbers the batch took.
    pub(super) fn sequence_count(&self) -> u32 {
        self.next.wrapping_sub(self.first).wrapping_add(1)
    }

    /// Takes one answer into account.
    pub(super) fn hear(&self, outcome: &mut Outcome, message: Message<'_>) {
        let offset = message.sequence.wrapping_sub(self.first);
        let (Some(answer), true) = (answer(message), offset < self.sequence_count()) else { return };
        match (&outcome, answer) {
            (Outcome::Refused(Some(_), _), _) => {}
            (Outcome::Unanswered, Answer::Done) => *outcome = Outcome::Committed,
            (_, Answer::Done) => {}
            (Outcome::Refused(None, _), Answer::Refused(_)) if offset == 0 => {}
            (_, Answer::Refused(why)) => *outcome = Outcome::Refused(self.owner(offset), why),
        }
    }

    /// The change a message serves, by its place in the batch; begin and end serve none.
    fn owner(&self, offset: u32) -> Option<usize> {
        self.owners.get((offset as usize).checked_sub(1)?).copied()
    }
}

/// `nlmsg_type` of an nftables message.
pub(super) fn message_type(kind: u8) -> u16 {
    u16::from_be_bytes([NFNL_SUBSYS_NFTABLES, kind])
}

/// `struct nfgenmsg` of begin and end: no family, and the subsystem in network order.
fn subsystem_head() -> [u8; 4] {
    [0, 0, 0, NFNL_SUBSYS_NFTABLES]
}
