//! The file of the embedded store: records in the order they happened, on redb.
//!
//! In: commits, leases, what to forget. Out: the core as it was. Each call is durable when it returns.
//! Knows nothing of watchers or tasks. Like etcd's own backend, a record's key is its revision.

use super::explain::explain;
use crate::store::core::{Commit, Core, Record, RecordId};
use crate::store::{LeaseId, Revision, StoreError};
use redb::{Builder, Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Pages of the file held in memory: room for the way to where the next records go. Read they are once, as the core holds all that lives; a
/// cache of redb's own size would hold it a second time.
const CACHE_OCTETS: usize = 4 << 20;

/// The layout below. A program refuses a file of any other number.
const FORMAT: u64 = 1;

/// `format`, and `compacted`: the last revision whose history is forgotten.
const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
/// Revision and operation, to: key, create revision, lease (0 for none), value (none for a delete).
const RECORDS: TableDefinition<(i64, u32), Content<'static>> = TableDefinition::new("records");
type Content<'a> = (&'a str, i64, i64, Option<&'a [u8]>);
/// Lease, to its whole time in milliseconds.
const LEASES: TableDefinition<i64, u64> = TableDefinition::new("leases");

pub(super) struct Log {
    path: PathBuf,
    database: Database,
}

impl Log {
    /// Opens the file and checks every page of it, or creates it; only its owner may read it.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        create(path).map_err(|error| explain(path, error.into()))?;
        let opened = Builder::new().set_cache_size(CACHE_OCTETS).set_check_integrity_on_open(true).create(path);
        let database = opened.map_err(|error| explain(path, error.into()))?;
        let log = Self { path: path.to_owned(), database };
        log.check_format()?;
        Ok(log)
    }

    fn check_format(&self) -> Result<(), StoreError> {
        let found = self.write(|transaction| {
            let mut meta = transaction.open_table(META)?;
            transaction.open_table(RECORDS)?;
            transaction.open_table(LEASES)?;
            let found = meta.get("format")?.map(|number| number.value());
            if found.is_none() {
                meta.insert("format", FORMAT)?;
            }
            Ok(found.unwrap_or(FORMAT))
        })?;
        let path = self.path.clone();
        if found == FORMAT { Ok(()) } else { Err(StoreError::Format { path, found, known: FORMAT }) }
    }

    /// Adds what one revision changed.
    pub(super) fn append(&self, commit: &Commit) -> Result<(), StoreError> {
        self.write(|transaction| put_records(transaction, commit))
    }

    /// Forgets these records, and that there was history up to and at a revision.
    pub(super) fn forget(&self, compacted: Revision, gone: &[RecordId]) -> Result<(), StoreError> {
        self.write(|transaction| {
            let mut meta = transaction.open_table(META)?;
            meta.insert("compacted", compacted.unsigned_abs())?;
            let mut records = transaction.open_table(RECORDS)?;
            gone.iter().try_for_each(|id| records.remove((id.revision, id.operation)).map(drop))?;
            Ok(())
        })
    }

    pub(super) fn open_lease(&self, lease: LeaseId, ttl: Duration) -> Result<(), StoreError> {
        let ttl_milliseconds = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        self.write(|transaction| {
            transaction.open_table(LEASES)?.insert(lease.0, ttl_milliseconds)?;
            Ok(())
        })
    }

    /// Closes a lease together with the deletes of its keys.
    pub(super) fn close_lease(&self, lease: LeaseId, deletes: Option<&Commit>) -> Result<(), StoreError> {
        self.write(|transaction| {
            transaction.open_table(LEASES)?.remove(lease.0)?;
            deletes.map_or(Ok(()), |commit| put_records(transaction, commit))
        })
    }

    fn write<T>(&self, work: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>) -> Result<T, StoreError> {
        let done = || {
            let transaction = self.database.begin_write()?;
            let result = work(&transaction)?;
            transaction.commit()?;
            Ok(result)
        };
        done().map_err(|error| explain(&self.path, error))
    }

    /// Builds the core from the whole file.
    pub(super) fn read(&self, now: Instant) -> Result<Core, StoreError> {
        let mut core = self.read_empty(now).map_err(|error| explain(&self.path, error))?;
        let commits = self.read_commits().map_err(|error| explain(&self.path, error))?;
        for commit in commits {
            self.check_order(&core, &commit)?;
            core.apply(Some(commit));
        }
        Ok(core)
    }

    /// The core with its leases, before any record.
    fn read_empty(&self, now: Instant) -> Result<Core, redb::Error> {
        let transaction = self.database.begin_read()?;
        let compacted = transaction.open_table(META)?.get("compacted")?.map_or(0, |number| number.value());
        let mut core = Core::resumed(i64::try_from(compacted).unwrap_or(i64::MAX));
        for lease in transaction.open_table(LEASES)?.iter()? {
            let (id, ttl_milliseconds) = lease?;
            core.open_lease(LeaseId(id.value()), Duration::from_millis(ttl_milliseconds.value()), now);
        }
        Ok(core)
    }

    fn read_commits(&self) -> Result<Vec<Commit>, redb::Error> {
        let records = self.database.begin_read()?.open_table(RECORDS)?;
        let mut commits: Vec<Commit> = Vec::new();
        for row in records.iter()? {
            let (id, content) = row?;
            let record = record_of(id.value(), content.value());
            match commits.last_mut() {
                Some(commit) if commit.revision == record.id.revision => commit.records.push(record),
                _ => commits.push(Commit { revision: record.id.revision, records: vec![record] }),
            }
        }
        Ok(commits)
    }

    /// History has no holes: after what is compacted, each revision follows the one before.
    fn check_order(&self, core: &Core, commit: &Commit) -> Result<(), StoreError> {
        let (before, after) = (core.revision(), commit.revision);
        if after <= core.compacted() || after == before + 1 {
            return Ok(());
        }
        let cause = format!("revision {after} follows revision {before}").into();
        Err(StoreError::Corrupt { path: self.path.clone(), cause })
    }
}

fn put_records(transaction: &WriteTransaction, commit: &Commit) -> Result<(), redb::Error> {
    let mut table = transaction.open_table(RECORDS)?;
    for Record { id, key, create_revision, lease, value } in &commit.records {
        let lease = lease.map_or(0, |lease| lease.0);
        table.insert((id.revision, id.operation), (key.as_str(), *create_revision, lease, value.as_deref()))?;
    }
    Ok(())
}

fn record_of((revision, operation): (i64, u32), content: Content) -> Record {
    let (key, create_revision, lease, value) = content;
    let lease = (lease != 0).then_some(LeaseId(lease));
    let id = RecordId { revision, operation };
    Record { id, key: key.to_owned(), create_revision, lease, value: value.map(<[u8]>::to_vec) }
}

/// Creates an empty file that only its owner may read, and its directory, unless they exist: it may hold secrets of neighbours.
fn create(path: &Path) -> std::io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.map_or(Ok(()), std::fs::create_dir_all)?;
    OpenOptions::new().create(true).append(true).mode(0o600).open(path).map(drop)
}
