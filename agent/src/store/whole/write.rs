//! Writes what may be larger than a transaction.
//!
//! In: a transaction of any size. Out: it is done as a whole, or not at all, whoever dies meanwhile. Before the decision nothing counts, and what was
//! written down is cleared away once the lease of its call is over; after it all counts, and whoever comes next carries it over.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::journal::{self, Decided, MARK, Piece};
use super::{Whole, may_be_large, parts};
use crate::resource::ROOT;
use crate::store::bounds::{MOST_OPERATIONS, MOST_WHOLE_BYTES};
use crate::store::{Compare, Entry, Operation, Outcome, Rejected, StoreError, Transaction};

/// How long pieces may take to be written. What an answer may take ends sooner.
const GATHERING: Duration = Duration::from_secs(120);

/// How long pieces that were written may be used by another try.
const FRESH: Duration = Duration::from_secs(60);

/// Pieces of a change that are written, and not decided.
pub(super) struct Gathered {
    id: String,
    pieces: Vec<Piece>,
    began: Instant,
}

impl Gathered {
    fn decided(&self) -> Decided {
        Decided { id: self.id.clone(), pieces: self.pieces.len(), done: 0 }
    }

    fn call(&self) -> String {
        journal::call_key(&self.id)
    }
}

impl Whole {
    pub(super) async fn write(&self, transaction: Transaction) -> Result<Outcome, StoreError> {
        let transaction = self.with_parts(transaction).await?;
        match transaction.check_guarded() {
            Ok(()) => self.write_at_once(transaction).await,
            Err(Rejected::TooMany { .. } | Rejected::TooLarge { .. })
                if transaction.operations.iter().any(|operation| may_wait(operation.key())) =>
            {
                self.write_in_pieces(transaction).await
            }
            Err(rejected) => Err(rejected.into()),
        }
    }

    /// If it is refused, that may be for a decided change that waits to be carried over: then whoever asks again finds it done.
    async fn write_at_once(&self, transaction: Transaction) -> Result<Outcome, StoreError> {
        let outcome = self.raw.transact(transaction).await?;
        if let Outcome::Refused { .. } = &outcome {
            let _ = self.settle().await; // what fails now is done by whoever comes next
        }
        Ok(outcome)
    }

    /// The same transaction with large values in parts, and without parts that are of no more use.
    async fn with_parts(&self, transaction: Transaction) -> Result<Transaction, StoreError> {
        let is_large = |operation: &Operation| match operation {
            Operation::Put { key, value, .. } => {
                may_be_large(key) && (value.len() > parts::LONGEST_VALUE || self.in_parts().contains(key))
            }
            Operation::Delete(key) => self.in_parts().contains(key),
        };
        if !transaction.operations.iter().any(is_large) {
            return Ok(transaction);
        }
        let compared: BTreeSet<String> = transaction.compared_keys().into_iter().map(str::to_owned).collect();
        let mut whole = Transaction { compares: transaction.compares, operations: Vec::new() };
        for operation in transaction.operations {
            if !is_large(&operation) {
                whole.operations.push(operation);
                continue;
            }
            let (standing, compare) = self.standing_parts(operation.key()).await?;
            whole.compares.extend(Some(compare).filter(|compare| !compared.contains(compare.key())));
            whole.operations.extend(self.in_its_parts(operation, &standing)?);
        }
        Ok(whole)
    }

    /// The parts of a key as they stand, and what holds as long as they do.
    async fn standing_parts(&self, key: &str) -> Result<(BTreeSet<String>, Compare), StoreError> {
        let head = self.raw.snapshot(key).await?;
        let parts = self.raw.snapshot(&parts::prefix_of(key)).await?.entries;
        Ok((parts.into_iter().map(|entry| entry.key).collect(), unchanged(key, head.entry(key))))
    }

    fn in_its_parts(&self, operation: Operation, standing: &BTreeSet<String>) -> Result<Vec<Operation>, StoreError> {
        match operation {
            Operation::Put { key, value, .. } if value.len() > parts::LONGEST_VALUE => {
                let found = value.len();
                let text = String::from_utf8(value).map_err(|_| Rejected::TooLarge { found, largest: key.clone() })?; // only text is cut
                self.in_parts().insert(key.clone());
                Ok(parts::put(&key, &text, standing))
            }
            short => {
                let rest = standing.iter().cloned().map(Operation::Delete);
                Ok(std::iter::once(short).chain(rest).collect())
            }
        }
    }

    async fn write_in_pieces(&self, transaction: Transaction) -> Result<Outcome, StoreError> {
        transaction.check_whole()?;
        let (carried, at_once): (Vec<_>, Vec<_>) =
            transaction.operations.into_iter().partition(|operation| may_wait(operation.key()));
        check_decision(transaction.compares.len(), at_once.len())?;
        let mark = self.settle().await?;
        let gathered = self.gather(journal::pieces(carried)).await?;
        let call = gathered.call();
        let mut decision = Transaction { compares: transaction.compares, operations: at_once };
        decision.compares.extend([mark, Compare::Present(call.clone())]);
        decision.operations.extend([gathered.decided().put(), Operation::Delete(call)]);
        match self.raw.transact(decision).await {
            Ok(committed @ Outcome::Committed { .. }) => {
                self.carry_over().await;
                Ok(committed)
            }
            Ok(refused @ Outcome::Refused { .. }) => {
                self.put_by(Some(gathered));
                Ok(refused)
            }
            Err(error) => Err(error), // it may be decided: if so it is carried over, else the call's lease ends
        }
    }

    /// Writes pieces down, unless they stand from the last try.
    async fn gather(&self, pieces: Vec<Piece>) -> Result<Gathered, StoreError> {
        let former = self.put_by(None);
        if let Some(former) = former {
            if former.pieces == pieces && former.began.elapsed() < FRESH {
                return Ok(former);
            }
            self.discard(&former).await;
        }
        let lease = self.raw.grant(GATHERING).await?;
        let revision = self.raw.snapshot(MARK).await?.revision;
        let gathered = Gathered { id: format!("{revision}-{:x}", lease.0), pieces, began: Instant::now() };
        let call = gathered.call();
        let called = Operation::Put { key: call.clone(), value: Vec::new(), lease: Some(lease) };
        self.raw.transact(Transaction::of([called]).when(Compare::Absent(call.clone()))).await?;
        for (number, piece) in gathered.pieces.iter().enumerate() {
            let put = piece.put_at(journal::piece_key(&gathered.id, number));
            self.raw.transact(Transaction::of([put]).when(Compare::Present(call.clone()))).await?; // refused: the decision will be, too
        }
        Ok(gathered)
    }

    /// What was put by before.
    fn put_by(&self, gathered: Option<Gathered>) -> Option<Gathered> {
        let mut place = self.gathered.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        std::mem::replace(&mut *place, gathered)
    }

    /// Takes pieces away that nobody will decide. What fails here is done by [`Whole::keep`] later.
    async fn discard(&self, gathered: &Gathered) {
        let pieces = (0..gathered.pieces.len()).map(|number| journal::piece_key(&gathered.id, number));
        let keys: Vec<String> = std::iter::once(gathered.call()).chain(pieces).collect();
        for some in keys.chunks(MOST_AT_ONCE) {
            let operations: Vec<Operation> = some.iter().cloned().map(Operation::Delete).collect();
            if self.raw.transact(Transaction::of(operations)).await.is_err() {
                return;
            }
        }
    }

    /// Carries over what was decided a moment ago. The change is made by now, whatever becomes of this.
    async fn carry_over(&self) {
        if let Err(error) = self.settle().await {
            tracing::warn!("a large change is decided and not carried over yet: {}", error.story());
        }
    }

    /// Carries over what is decided, and says what holds until something else is.
    pub(super) async fn settle(&self) -> Result<Compare, StoreError> {
        loop {
            let marks = self.raw.snapshot(MARK).await?;
            let stands = unchanged(MARK, marks.entry(MARK));
            match marks.entry(MARK).map(|mark| Decided::read(&mark.value)).filter(|decided| !decided.is_over()) {
                None => return Ok(stands),
                Some(decided) => self.carry(decided, stands).await?,
            }
        }
    }

    /// Carries piece after piece, until all are or somebody else does.
    async fn carry(&self, mut decided: Decided, mut stands: Compare) -> Result<(), StoreError> {
        while let Some(key) = decided.waiting().next() {
            let found = self.raw.snapshot(&key).await?;
            let piece = found.entry(&key).and_then(|entry| Piece::read(&entry.value)).unwrap_or_default();
            let next = decided.advanced();
            let mut operations: Vec<Operation> = piece.operations().collect();
            operations.extend([Operation::Delete(key), next.put()]);
            match self.raw.transact(Transaction { compares: vec![stands.clone()], operations }).await? {
                Outcome::Refused { .. } => return Ok(()),
                Outcome::Committed { revision } => {
                    stands = Compare::Unchanged { key: MARK.to_owned(), mod_revision: revision };
                    decided = next;
                }
            }
        }
        Ok(())
    }
}

/// How many keys are deleted at once.
pub(super) const MOST_AT_ONCE: usize = 100;

/// What holds as long as an entry is as it was read.
pub(super) fn unchanged(key: &str, entry: Option<&Entry>) -> Compare {
    let key = key.to_owned();
    match entry {
        None => Compare::Absent(key),
        Some(entry) => Compare::Unchanged { key, mod_revision: entry.mod_revision },
    }
}

/// Whether a key is written only by those who compare the fence of declarations, or is a part: then it may be carried over after the decision. Pools
/// are not: agents that claim blocks compare their pool alone.
fn may_wait(key: &str) -> bool {
    let declared = |rest: &str| rest.starts_with("c/") && !rest.starts_with("c/pool/");
    key.strip_prefix(ROOT).is_some_and(|rest| declared(rest) || rest.starts_with("x/"))
}

/// Mark and call go with the decision, and a compare of who may write.
fn check_decision(compares: usize, operations: usize) -> Result<(), Rejected> {
    let found = (compares + 1).max(operations) + 2;
    if found > MOST_OPERATIONS { Err(Rejected::TooMany { found }) } else { Ok(()) }
}

impl Transaction {
    /// The bounds of what is written in pieces.
    fn check_whole(&self) -> Result<(), Rejected> {
        self.check_keys()?;
        let found = self.operations.iter().map(Operation::size_bytes).sum();
        if found > MOST_WHOLE_BYTES { Err(Rejected::TooMuch { found }) } else { Ok(()) }
    }
}
