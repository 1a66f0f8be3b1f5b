//! The file of what this host knows: entries of the store by key, on redb, which checks every page when it is opened.
//!
//! In: what changed. Out: all of it, or nothing where it is damaged, of another layout, or of another store.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use poplin_node::debt::Debt;
use poplin_node::object::{Endpoint, ObjectKey};
use redb::{
    Builder, Database, ReadTransaction, ReadableDatabase, ReadableTable, Table, TableDefinition, WriteTransaction,
};

use super::{DebtFile, Pending, Recalled};
use crate::resource::{decode, key_of};
use crate::store::Entry;

/// The layout below. A file of another number is begun anew.
const FORMAT: i64 = 1;

/// `format`, `revision`, `cluster`, `shared`, and `at`, in seconds since 1970. An earlier version wrote no `shared`.
const META: TableDefinition<&str, i64> = TableDefinition::new("meta");
/// Where the store was asked, one row each.
const ENDPOINTS: TableDefinition<&str, ()> = TableDefinition::new("endpoints");
/// The boot of the kernel under which it was true, in one row.
const BOOT: TableDefinition<&str, ()> = TableDefinition::new("boot");
/// Key, to create revision, last revision, and value.
const ENTRIES: TableDefinition<&str, (i64, i64, &[u8])> = TableDefinition::new("entries");
/// Container and interface of who left and still stands in the store, as it was before that had a file of its own. Only read.
const OWED: TableDefinition<(&str, &str), ()> = TableDefinition::new("owed");
/// Key, to value, of what the store had forgotten.
const KEPT: TableDefinition<&str, &[u8]> = TableDefinition::new("kept");

/// Why a host cannot remember.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// The file cannot be opened, read or written.
    #[error("what this host knows of the store cannot be kept in {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: Box<redb::Error>,
    },
    /// The system has no thread left.
    #[error("no thread can be started to keep what this host knows of the store: {source}")]
    Thread {
        /// The cause.
        source: std::io::Error,
    },
}

/// Memory for pages: what a host knows is read once, and then only written.
const CACHE_OCTETS: usize = 4 << 20;

pub(super) struct File {
    path: PathBuf,
    /// Absent: it could not be opened, or was given up after a failure, after which redb takes no more.
    database: Option<Database>,
    endpoints: Vec<String>,
    boot: Option<String>,
}

impl File {
    /// The file of that path.
    pub(super) fn of(path: &Path, endpoints: &[String], boot: Option<&str>) -> Self {
        let (path, boot) = (path.to_owned(), boot.map(str::to_owned));
        Self { path, database: None, endpoints: endpoints.to_vec(), boot }
    }

    /// Opens the file, or begins it. What is in it is nothing where it belongs to another store.
    pub(super) fn read(&mut self) -> Result<Option<Recalled>, MemoryError> {
        let read = self.opened().and_then(|database| self.read_from(&database).map(|recalled| (recalled, database)));
        let outcome = match read {
            Ok((recalled, database)) => {
                self.database = Some(database);
                Ok(recalled)
            }
            Err(error) if is_unusable(&error) => self.put_aside(&error).map(|()| None),
            Err(error) => Err(error),
        };
        outcome.map_err(|source| self.failed(source))
    }

    fn opened(&self) -> Result<Database, redb::Error> {
        self.path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::OpenOptions::new().create(true).append(true).mode(0o600).open(&self.path)?;
        Ok(Builder::new().set_cache_size(CACHE_OCTETS).set_check_integrity_on_open(true).create(&self.path)?)
    }

    /// What nobody can use any more goes out of the way.
    fn put_aside(&mut self, error: &redb::Error) -> Result<(), redb::Error> {
        self.database = None;
        let (aside, what) = match error {
            redb::Error::UpgradeRequired(_) => (self.path.with_extension("old"), "of another version"),
            _ => (self.path.with_extension("damaged"), "damaged"),
        };
        let (path, aside_path) = (self.path.display(), aside.display());
        tracing::error!(
            "what this host knew of the store is {what} and not used: {error}; {path} is put aside as {aside_path}"
        );
        fs::rename(&self.path, &aside)?;
        self.database = Some(self.opened()?);
        Ok(())
    }

    fn failed(&self, source: redb::Error) -> MemoryError {
        MemoryError::File { path: self.path.clone(), source: Box::new(source) }
    }

    /// Writes what is pending, as one transaction. After a failure the file is opened anew.
    pub(super) fn write(&mut self, pending: &Pending) -> Result<(), MemoryError> {
        let outcome = self.try_to_write(pending);
        if let Err(error) = &outcome {
            self.database = None;
            if is_unusable(error) {
                let _ = self.put_aside(error); // what fails now fails again, and is told then
            }
        }
        outcome.map_err(|source| self.failed(source))
    }

    fn try_to_write(&mut self, pending: &Pending) -> Result<(), redb::Error> {
        if self.database.is_none() {
            self.database = Some(self.opened()?);
        }
        let Some(database) = &self.database else { return Ok(()) };
        let transaction = database.begin_write()?;
        self.put(&transaction, pending)?;
        transaction.commit()?;
        Ok(())
    }

    fn read_from(&self, database: &Database) -> Result<Option<Recalled>, redb::Error> {
        let transaction = database.begin_read()?;
        let meta = match transaction.open_table(META) {
            Ok(meta) => meta,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None), // it was never written
            Err(error) => return Err(error.into()),
        };
        let number = |name| meta.get(name).map(|found| found.map(|number| number.value()));
        if number("format")? != Some(FORMAT) {
            tracing::error!("{} is of another version of poplind, and is begun anew", self.path.display());
            return Ok(None);
        }
        let endpoints = transaction.open_table(ENDPOINTS)?;
        let is_ours = |endpoint: &String| endpoints.get(endpoint.as_str()).is_ok_and(|found| found.is_some());
        if !self.endpoints.iter().any(is_ours) {
            tracing::error!("{} tells of another store, and is not used", self.path.display());
            return Ok(None);
        }
        let Some(revision) = number("revision")? else { return Ok(None) };
        let seconds = u64::try_from(number("at")?.unwrap_or_default()).unwrap_or_default();
        let mut entries = Vec::new();
        for row in transaction.open_table(ENTRIES)?.iter()? {
            let (key, content) = row?;
            let (create_revision, mod_revision, value) = content.value();
            entries.push(Entry { key: key.value().to_owned(), value: value.to_vec(), create_revision, mod_revision });
        }
        let mut kept = Vec::new();
        match transaction.open_table(KEPT) {
            Ok(rows) => {
                for row in rows.iter()? {
                    let (key, value) = row?;
                    let (key, value) = (key.value().to_owned(), value.value().to_vec());
                    kept.push(Entry { key, value, create_revision: 0, mod_revision: 0 });
                }
            }
            Err(redb::TableError::TableDoesNotExist(_)) => {} // an earlier version wrote the file
            Err(error) => return Err(error.into()),
        }
        let owed = match DebtFile::beside(&self.path, &self.endpoints).stands() {
            true => BTreeSet::new(),
            false => owed_before(&transaction, &entries)?,
        };
        let is_of_this_boot = match (transaction.open_table(BOOT), &self.boot) {
            (Ok(boots), Some(boot)) => boots.get(boot.as_str())?.is_some(),
            (Ok(_), None) | (Err(redb::TableError::TableDoesNotExist(_)), _) => false,
            (Err(error), _) => return Err(error.into()),
        };
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let cluster = number("cluster")?.map(i64::cast_unsigned);
        let shared = number("shared")?.unwrap_or_default();
        Ok(Some(Recalled { revision, cluster, is_of_this_boot, at, entries, owed, kept, shared }))
    }

    fn put(&self, transaction: &WriteTransaction, pending: &Pending) -> Result<(), redb::Error> {
        let mut meta = transaction.open_table(META)?;
        if pending.whole.is_none() && meta.get("revision")?.is_none() {
            return Ok(()); // changes of what was never told whole say nothing
        }
        meta.insert("format", FORMAT)?;
        let mut entries = transaction.open_table(ENTRIES)?;
        if let Some(kept) = &pending.kept {
            keep(transaction, &entries, kept)?;
        }
        pending.shared.map(|shared| meta.insert("shared", shared).map(drop)).transpose()?;
        if let Some(whole) = &pending.whole {
            self.begin(transaction, &mut meta, pending.cluster)?;
            let mut gone = Vec::new();
            for row in entries.iter()? {
                let key = row?.0.value().to_owned();
                gone.extend(Some(key).filter(|key| !whole.contains_key(key)));
            }
            gone.iter().try_for_each(|key| entries.remove(key.as_str()).map(drop))?;
        }
        let whole = pending.whole.iter().flatten().filter(|(_, entry)| entry.is_some()); // of the rest, what was known stays
        for (key, entry) in whole.chain(&pending.changes) {
            match entry {
                None => drop(entries.remove(key.as_str())?),
                Some(Entry { value, create_revision, mod_revision, .. }) => {
                    let content = (*create_revision, *mod_revision, value.as_slice());
                    if entries.get(key.as_str())?.is_none_or(|known| known.value() != content) {
                        entries.insert(key.as_str(), content)?;
                    }
                }
            }
        }
        pending.revision.map(|revision| meta.insert("revision", revision).map(drop)).transpose()?;
        if pending.is_heard || pending.revision.is_some() {
            meta.insert("at", now())?;
        }
        Ok(())
    }

    /// Notes down whose truth this is.
    fn begin(
        &self,
        transaction: &WriteTransaction,
        meta: &mut Table<'_, &str, i64>,
        cluster: Option<u64>,
    ) -> Result<(), redb::Error> {
        match cluster {
            Some(cluster) => meta.insert("cluster", cluster.cast_signed())?,
            None => meta.remove("cluster")?,
        };
        let mut endpoints = transaction.open_table(ENDPOINTS)?;
        endpoints.retain(|_, ()| false)?;
        let mut boots = transaction.open_table(BOOT)?;
        boots.retain(|_, ()| false)?;
        self.boot.iter().try_for_each(|boot| boots.insert(boot.as_str(), ()).map(drop))?;
        self.endpoints.iter().try_for_each(|endpoint| endpoints.insert(endpoint.as_str(), ()).map(drop))?;
        Ok(())
    }
}

/// Writes down what the store forgot, before it is gone from among the entries.
fn keep(
    transaction: &WriteTransaction,
    entries: &impl ReadableTable<&'static str, (i64, i64, &'static [u8])>,
    kept: &[(String, Option<Vec<u8>>)],
) -> Result<(), redb::Error> {
    let mut table = transaction.open_table(KEPT)?;
    let keys: BTreeSet<&str> = kept.iter().map(|(key, _)| key.as_str()).collect();
    table.retain(|key, _| keys.contains(key))?;
    for (key, value) in kept {
        let is_there = table.get(key.as_str())?.is_some();
        let written = || Ok::<_, redb::Error>(entries.get(key.as_str())?.map(|entry| entry.value().2.to_vec()));
        let value = match value {
            Some(value) => Some(value.clone()),
            None if is_there => None,
            None => written()?,
        };
        if let Some(value) = value {
            table.insert(key.as_str(), value.as_slice())?;
        }
    }
    Ok(())
}

/// Whether the content of a file is of no use any more. A disk that is full, read-only or gone says nothing of that.
fn is_unusable(error: &redb::Error) -> bool {
    use std::io::ErrorKind::{InvalidData, UnexpectedEof};
    match error {
        redb::Error::Io(cause) => matches!(cause.kind(), InvalidData | UnexpectedEof),
        redb::Error::Corrupted(_)
        | redb::Error::RepairAborted
        | redb::Error::UpgradeRequired(_)
        | redb::Error::TableTypeMismatch { .. }
        | redb::Error::TableIsMultimap(_)
        | redb::Error::TypeDefinitionChanged { .. } => true,
        _ => false,
    }
}

/// Who left, as it was noted down before there was a file for it. The entry tells which endpoint that was.
fn owed_before(transaction: &ReadTransaction, entries: &[Entry]) -> Result<BTreeSet<Debt>, redb::Error> {
    let owed = match transaction.open_table(OWED) {
        Ok(owed) => owed,
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(BTreeSet::new()),
        Err(error) => return Err(error.into()),
    };
    let mut keys = BTreeSet::new();
    for row in owed.iter()? {
        let (key, _) = row?;
        let (container, interface) = key.value();
        keys.insert((container.to_owned(), interface.to_owned()));
    }
    let endpoints =
        entries.iter().filter(|entry| !keys.is_empty() && matches!(key_of(&entry.key), Some(ObjectKey::Endpoint(_))));
    let debts = endpoints.filter_map(|entry| {
        let object = decode(entry)?.ok()?;
        let endpoint = <&Endpoint>::try_from(&object.value).ok()?;
        let attachment = endpoint.attachment.clone();
        let is_owed = keys.contains(&(attachment.container.clone(), attachment.interface.clone()));
        is_owed.then(|| Debt { attachment, endpoint: endpoint.name.clone(), version: object.version })
    });
    Ok(debts.collect())
}

fn now() -> i64 {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_secs()).unwrap_or(i64::MAX)
}
