//! Writes our nftables table: every change of a delta, in one transaction.
//!
//! In: [`Change`]s. Out: they all stand, or none does and the first that failed is named. Knows nothing of policies.
//! Spoken over netlink directly, one element costs 5 to 90 µs where running `nft` costs 3 to 45 ms.
//! Everything is written over one socket held for life, because the kernel knows the table's owner by its socket.

mod batch;

mod chain;
mod counter;
mod element;
mod set;
mod table;

mod expression;
mod rule;
mod steps;
mod translation;

mod data;
mod number;

mod generation;
mod guard;
mod mend;
mod read;

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use std::{io, iter};

use netlink_sys::constants::NETLINK_NETFILTER;
use poplin_node::kernel::StepFailureKind;
use poplin_policy::delta::{self, Change};
use rustix::io::Errno;

use super::Trouble;
use super::socket::{Conversation, Refusal};
use super::wire::Writer;
use batch::{Batch, Outcome};
use table::Standing;

pub use counter::{Count, counts};
pub(super) use generation::Listener;
pub use read::{Dump, ReadError};

/// Bound on one transaction: a full table of 100,000 elements is 5 MB, so this is room for millions. It is a bound, not a reservation.
const SEND_OCTETS: usize = 512 << 20;
/// Room for answers: one of about 64 octets for each message that fails.
const RECEIVE_OCTETS: usize = 32 << 20;

/// How long a table owned by another socket is asked for again. A killed agent's sockets are closed by its exit, which may still run
/// when its successor starts.
const ADOPTION_PATIENCE: Duration = Duration::from_secs(1);
const ADOPTION_PAUSE: Duration = Duration::from_millis(10);

/// How safe the table is from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// No table of ours stands that could be owned; the first restart makes one.
    Unknown,
    /// The kernel refuses everybody else, and keeps the table when we die.
    Owned,
    /// The kernel is older than 6.9, or the operator wants it so: anybody may change the table, and we are told when they do.
    Open,
}

/// Why rules could not be written.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// No netlink socket for nftables, or no nftables at its end.
    #[error("cannot talk to nftables")]
    Socket(#[source] io::Error),
    /// Another process holds the table.
    #[error("table inet {} is owned by another process (netlink port {port})", table::NAME)]
    Taken {
        /// Port of the owner's socket; often its process id.
        port: u32,
    },
    /// The kernel asks for a capability that this process does not have here.
    #[error(
        "may not write nftables: that asks for CAP_NET_ADMIN in the network namespace; run poplind as root or by its systemd unit"
    )]
    Powerless,
    /// One change was refused, and so none was made.
    #[error("change {number} of {count} ({what}) was refused")]
    Refused {
        /// Which change, from 1.
        number: usize,
        /// How many there were.
        count: usize,
        /// What it would have done.
        what: String,
        /// Why not.
        #[source]
        refusal: Refusal,
    },
    /// The transaction was refused as a whole.
    #[error("the transaction of {count} changes was refused")]
    RefusedAsAWhole {
        /// How many changes there were.
        count: usize,
        /// Why not.
        #[source]
        refusal: Refusal,
    },
    /// The transaction is larger than the socket takes.
    #[error("a transaction of {octets} octets is more than the socket takes")]
    TooLarge {
        /// Length of the transaction.
        octets: usize,
    },
    /// What nothing leads to stands already, and the rest does not.
    #[error("changes up to {stands} are made, and nothing leads to them yet")]
    Begun {
        /// The last change that was made, from 1.
        stands: usize,
        /// What became of the rest.
        #[source]
        cause: Box<RulesError>,
    },
    /// Sent, and nothing came back.
    #[error("the kernel did not say whether it took the transaction")]
    Unanswered,
}

/// Our table, seen from the socket that may write it.
pub struct Rules {
    /// What it is called.
    table: String,
    conversation: Conversation,
    ownership: Ownership,
    /// The same for listeners, which must not take the echo of our own writing for others' hands.
    is_owned: Arc<AtomicBool>,
}

impl Rules {
    /// Opens the socket, and takes over the table a former agent left behind.
    pub fn open() -> Result<Self, RulesError> {
        Self::open_called(table::NAME)
    }

    /// The same of a table of another name, in a namespace that is not the host's: nobody listens there, and its counters tell nobody anything.
    pub(super) fn open_called(table: &str) -> Result<Self, RulesError> {
        let conversation = Conversation::open(NETLINK_NETFILTER).map_err(RulesError::Socket)?;
        conversation.widen(SEND_OCTETS, RECEIVE_OCTETS).map_err(RulesError::Socket)?;
        let (table, is_owned) = (table.to_owned(), Arc::default());
        let mut rules = Self { table, conversation, ownership: Ownership::Unknown, is_owned };
        rules.adopt()?;
        Ok(rules)
    }

    /// The same, and leaves the table open to others. One that has an owner is ours until it is begun anew, for its flags cannot be taken off.
    pub fn open_shared() -> Result<Self, RulesError> {
        let mut rules = Self::open()?;
        rules.ownership = Ownership::Open;
        rules.is_owned.store(false, Ordering::Relaxed);
        Ok(rules)
    }

    /// Whether others are kept away from the table.
    pub fn ownership(&self) -> Ownership {
        self.ownership
    }

    /// Whether a table of ours stands.
    pub fn stand(&mut self) -> Result<bool, RulesError> {
        Ok(self.standing()?.is_some())
    }

    /// Ears for what others do to the table.
    pub(super) fn listener(&self) -> Listener {
        Listener::new(self.conversation.port(), Arc::clone(&self.is_owned))
    }

    fn become_owner(&mut self) {
        self.ownership = Ownership::Owned;
        self.is_owned.store(true, Ordering::Relaxed);
    }

    /// Makes all changes in one transaction. Packets meet the old rules or the new ones, never a mixture. Changes that begin with a
    /// restart say all that is to stand; what stands so already is kept.
    pub fn apply(&mut self, changes: &[Change]) -> Result<(), RulesError> {
        match changes.first() {
            Some(Change::Restart) => self.load(changes),
            Some(_) | None => self.write(changes),
        }
    }

    /// Begins the table anew. Where the kernel knows no owners, an open one may stand, to be kept as far as may be.
    fn begin(&mut self, changes: &[Change]) -> Result<(), RulesError> {
        match self.write_guarded(changes) {
            Err(RulesError::Refused { number, refusal, .. })
                if refusal.errno == Errno::OPNOTSUPP
                    && self.ownership == Ownership::Unknown
                    && changes[number - 1] == Change::Restart =>
            {
                self.ownership = Ownership::Open;
                self.load(changes)
            }
            outcome => outcome,
        }
    }

    fn flags(&self) -> u32 {
        match self.ownership {
            Ownership::Unknown | Ownership::Owned => table::OWNED,
            Ownership::Open => 0,
        }
    }

    fn write(&mut self, changes: &[Change]) -> Result<(), RulesError> {
        self.write_to(&self.table.clone(), self.flags(), changes)?;
        if self.ownership == Ownership::Unknown && changes.contains(&Change::Restart) {
            self.become_owner();
        }
        Ok(())
    }

    /// What nothing leads to before the rest is made may be made earlier, in parts: then less of it is in memory at once.
    fn write_to(&mut self, table: &str, table_flags: u32, changes: &[Change]) -> Result<(), RulesError> {
        let ahead = delta::ahead(changes);
        let mut batch = Batch::begin(table, self.conversation.take_sequence(1));
        let mut stands = 0;
        for (index, change) in changes.iter().enumerate() {
            batch.serve(index);
            encode(&mut batch, change, table_flags);
            if index < ahead && batch.is_large() {
                self.settle(batch, changes).map_err(|error| error.after(stands))?;
                stands = index + 1;
                batch = Batch::begin(table, self.conversation.take_sequence(1));
            }
        }
        self.settle(batch, changes).map_err(|error| error.after(stands))
    }

    /// Makes the changes a batch is of.
    fn settle(&mut self, batch: Batch, changes: &[Change]) -> Result<(), RulesError> {
        let count = changes.len();
        match self.commit(batch)? {
            Outcome::Committed => Ok(()),
            Outcome::Refused(Some(index), refusal) => {
                Err(RulesError::Refused { number: index + 1, count, what: describe(&changes[index]), refusal })
            }
            Outcome::Refused(None, refusal) => Err(RulesError::RefusedAsAWhole { count, refusal }),
            Outcome::Unanswered => Err(RulesError::Unanswered),
        }
    }

    fn commit(&mut self, mut batch: Batch) -> Result<Outcome, RulesError> {
        if batch.is_empty() {
            return Ok(Outcome::Committed);
        }
        let pieces: Vec<&Writer> = batch.end().collect();
        self.conversation.send_all(&pieces).map_err(|error| match Errno::from_io_error(&error) {
            Some(Errno::MSGSIZE) => {
                RulesError::TooLarge { octets: pieces.iter().map(|piece| piece.octets().len()).sum() }
            }
            _ => RulesError::Socket(error),
        })?;
        self.conversation.take_sequence(batch.sequence_count() - 1);
        let mut outcome = Outcome::Unanswered;
        self.conversation.drain(|message| batch.hear(&mut outcome, message)).map_err(RulesError::Socket)?;
        Ok(outcome)
    }

    /// Becomes the owner of an orphaned table of ours, which keeps its rules.
    fn adopt(&mut self) -> Result<(), RulesError> {
        let deadline = Instant::now() + ADOPTION_PATIENCE;
        while let Some(standing) = self.standing()?.filter(|standing| standing.is_adoptable()) {
            let mut batch = Batch::begin(&self.table, self.conversation.take_sequence(1));
            table::adopt(&mut batch);
            match self.commit(batch)? {
                Outcome::Committed => {
                    self.become_owner();
                    return Ok(());
                }
                Outcome::Refused(_, refusal) if refusal.errno == Errno::PERM => {
                    if Instant::now() > deadline {
                        // A table whose owner is gone has none: then it is not for an owner's sake that we may not.
                        return Err(standing.owner.map_or(RulesError::Powerless, |port| RulesError::Taken { port }));
                    }
                    thread::sleep(ADOPTION_PAUSE);
                }
                Outcome::Refused(_, refusal) => return Err(RulesError::RefusedAsAWhole { count: 1, refusal }),
                Outcome::Unanswered => return Err(RulesError::Unanswered),
            }
        }
        Ok(())
    }

    /// Ends the table with all that is in it.
    pub(super) fn end(&mut self) -> Result<(), RulesError> {
        if self.standing()?.is_none() {
            return Ok(());
        }
        let mut batch = Batch::begin(&self.table, self.conversation.take_sequence(1));
        table::remove(&mut batch);
        match self.commit(batch)? {
            Outcome::Committed => Ok(()),
            Outcome::Refused(_, refusal) => Err(RulesError::RefusedAsAWhole { count: 1, refusal }),
            Outcome::Unanswered => Err(RulesError::Unanswered),
        }
    }

    /// The table as it stands, if it does.
    fn standing(&mut self) -> Result<Option<Standing>, RulesError> {
        let kind = batch::message_type(table::NFT_MSG_GETTABLE);
        let mut standing = None;
        let put_name = |out: &mut Writer| table::put_name(out, &self.table);
        let answer = self.conversation.get(kind, &[batch::NFPROTO_INET, 0, 0, 0], put_name, |message| {
            if message.kind == batch::message_type(table::NFT_MSG_NEWTABLE) {
                standing = Standing::parse(message.payload);
            }
        });
        match answer {
            Ok(()) => Ok(standing),
            Err(refusal) if refusal.errno == Errno::NOENT => Ok(None),
            // To read as much as to write (net/netfilter/nfnetlink.c): of an owner's sake nothing is refused here.
            Err(refusal) if refusal.errno == Errno::PERM => Err(RulesError::Powerless),
            Err(refusal) => Err(RulesError::Socket(refusal.into())),
        }
    }
}

fn encode(batch: &mut Batch, change: &Change, table_flags: u32) {
    match change {
        Change::Restart => table::restart(batch, table_flags),
        Change::AddSet(name, set) => {
            set::add(batch, name, set);
            element::add(batch, name, set, &set.elements);
        }
        Change::RemoveSet(name) | Change::RemoveMap(name) => set::remove(batch, name),
        Change::AlterSet { name, shape, removed, added } => {
            element::remove(batch, name, shape, removed);
            element::add(batch, name, shape, added);
        }
        Change::AddMap(name, map) => set::add_map(batch, name, map),
        Change::AlterMap { name, shape, removed, added } => {
            element::remove_from_map(batch, name, shape.form, removed);
            element::add_to_map(batch, name, shape.form, added);
        }
        Change::AddCounter(name) => counter::add(batch, name),
        Change::RemoveCounter(name) => counter::remove(batch, name),
        Change::AddChain(name, hook) => chain::add(batch, name, hook.as_ref()),
        Change::SetRules(name, chain) => rule::replace_all(batch, name, chain),
        Change::RemoveChain(name) => chain::remove(batch, name),
    }
}

/// A change in a few words, for whoever reads the error.
fn describe(change: &Change) -> String {
    match change {
        Change::Restart => format!("restart table inet {}", table::NAME),
        Change::AddSet(name, _) => format!("add set {name}"),
        Change::RemoveSet(name) => format!("remove set {name}"),
        Change::AlterSet { name, .. } => format!("alter set {name}"),
        Change::AddMap(name, _) => format!("add map {name}"),
        Change::RemoveMap(name) => format!("remove map {name}"),
        Change::AlterMap { name, .. } => format!("alter map {name}"),
        Change::AddCounter(name) => format!("add counter {name}"),
        Change::RemoveCounter(name) => format!("remove counter {name}"),
        Change::AddChain(name, _) => format!("add chain {name}"),
        Change::SetRules(name, _) => format!("set rules of chain {name}"),
        Change::RemoveChain(name) => format!("remove chain {name}"),
    }
}

impl RulesError {
    /// The same, where so many changes were made before.
    fn after(self, stands: usize) -> Self {
        match stands {
            0 => self,
            _ => Self::Begun { stands, cause: self.into() },
        }
    }

    fn kind(&self) -> StepFailureKind {
        match self {
            RulesError::Refused { refusal, .. } | RulesError::RefusedAsAWhole { refusal, .. } => kind_of(refusal),
            // What stands is not what it was, or is not known.
            RulesError::Begun { .. } | RulesError::Unanswered => StepFailureKind::RulesOutOfStep,
            RulesError::Socket(_) | RulesError::Powerless | RulesError::Taken { .. } | RulesError::TooLarge { .. } => {
                StepFailureKind::Other
            }
        }
    }
}

impl From<RulesError> for Trouble {
    fn from(error: RulesError) -> Self {
        let causes = iter::successors(error.source(), |cause| (*cause).source());
        let reason = causes.fold(error.to_string(), |reason, cause| format!("{reason}: {cause}"));
        Self { kind: error.kind(), reason }
    }
}

/// Something is missing, there already, or still referred to: the table is not what the change was made from.
fn kind_of(refusal: &Refusal) -> StepFailureKind {
    match refusal.errno {
        Errno::NOENT | Errno::EXIST | Errno::BUSY => StepFailureKind::RulesOutOfStep,
        _ => StepFailureKind::Other,
    }
}
