//! The file of what this host knows: entries of the store by key, on redb, which checks every page when it is opened.
//!
//! In: what changed. Out: all of it, or nothing where it is damaged, of another layout, or of another store.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use poplin_node::name::AttachmentId;
use redb::{Builder, Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

use super::{Pending, Recalled};
use crate::store::Entry;

/// The layout below. A file of another number is begun anew.
const FORMAT: i64 = 1;

/// `format`, `revision`, `cluster`, and `at`, in seconds since 1970.
const META: TableDefinition<&str, i64> = TableDefinition::new("meta");
/// Where the store was asked, one row each.
const ENDPOINTS: TableDefinition<&str, ()> = TableDefinition::new("endpoints");
/// The boot of the kernel under which it was true, in one row.
const BOOT: TableDefinition<&str, ()> = TableDefinition::new("boot");
/// Key, to create revision, last revision, and value.
const ENTRIES: TableDefinition<&str, (i64, i64, &[u8])> = TableDefinition::new("entries");
/// Container and interface of who left and still stands in the store.
const OWED: TableDefinition<(&str, &str), ()> = TableDefinition::new("owed");

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

pub(super) struct File {
    path: PathBuf,
    database: Database,
    endpoints: Vec<String>,
    boot: Option<String>,
}

impl File {
    /// Opens the file, or begins it. What is in it is nothing where it belongs to another store.
    pub(super) fn open(
        path: &Path,
        endpoints: &[String],
        boot: Option<&str>,
    ) -> Result<(Self, Option<Recalled>), MemoryError> {
        let failed = |source: redb::Error| MemoryError::File { path: path.to_owned(), source: Box::new(source) };
        let boot = boot.map(str::to_owned);
        let file =
            |database| Self { path: path.to_owned(), database, endpoints: endpoints.to_vec(), boot: boot.clone() };
        let opened = database(path).map(file).and_then(|file| Ok((file.read()?, file)));
        match opened {
            Ok((recalled, file)) => Ok((file, recalled)),
            Err(error @ (redb::Error::DatabaseAlreadyOpen | redb::Error::Io(_))) if !is_damage(&error) => {
                Err(failed(error))
            }
            Err(damage) => {
                let aside = path.with_extension("damaged");
                tracing::error!(
                    "what an earlier life knew of the store is damaged and not used: {damage}; {} is put aside as {}",
                    path.display(),
                    aside.display()
                );
                fs::rename(path, &aside).map_err(|cause| failed(cause.into()))?;
                Ok((database(path).map(file).map_err(failed)?, None))
            }
        }
    }

    fn read(&self) -> Result<Option<Recalled>, redb::Error> {
        let transaction = self.database.begin_read()?;
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
        let mut owed = BTreeSet::new();
        for row in transaction.open_table(OWED)?.iter()? {
            let (key, _) = row?;
            let (container, interface) = key.value();
            owed.insert(AttachmentId { container: container.to_owned(), interface: interface.to_owned() });
        }
        let is_of_this_boot = match (transaction.open_table(BOOT), &self.boot) {
            (Ok(boots), Some(boot)) => boots.get(boot.as_str())?.is_some(),
            (Ok(_), None) | (Err(redb::TableError::TableDoesNotExist(_)), _) => false,
            (Err(error), _) => return Err(error.into()),
        };
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let cluster = number("cluster")?.map(i64::cast_unsigned);
        Ok(Some(Recalled { revision, cluster, is_of_this_boot, at, entries, owed }))
    }

    /// Writes what is pending, as one transaction.
    pub(super) fn write(&self, pending: &Pending) -> Result<(), MemoryError> {
        let done = || {
            let transaction = self.database.begin_write()?;
            self.put(&transaction, pending)?;
            transaction.commit()?;
            Ok(())
        };
        done().map_err(|source: redb::Error| MemoryError::File { path: self.path.clone(), source: Box::new(source) })
    }

    fn put(&self, transaction: &WriteTransaction, pending: &Pending) -> Result<(), redb::Error> {
        let mut entries = transaction.open_table(ENTRIES)?;
        if let Some(whole) = &pending.whole {
            self.begin(transaction, pending.cluster)?;
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
        let mut meta = transaction.open_table(META)?;
        if let Some(revision) = pending.revision {
            meta.insert("revision", revision)?;
            meta.insert("at", now())?;
        }
        let mut owed = transaction.open_table(OWED)?;
        if let Some(all) = &pending.owed {
            owed.retain(|_, ()| false)?;
            let keys = all.iter().map(|one| (one.container.as_str(), one.interface.as_str()));
            keys.into_iter().try_for_each(|key| owed.insert(key, ()).map(drop))?;
        }
        Ok(())
    }

    /// Notes down whose truth this is.
    fn begin(&self, transaction: &WriteTransaction, cluster: Option<u64>) -> Result<(), redb::Error> {
        let mut meta = transaction.open_table(META)?;
        meta.insert("format", FORMAT)?;
        match cluster {
            Some(cluster) => meta.insert("cluster", cluster.cast_signed())?,
            None => meta.remove("cluster")?,
        };
        drop(meta);
        let mut endpoints = transaction.open_table(ENDPOINTS)?;
        endpoints.retain(|_, ()| false)?;
        let mut boots = transaction.open_table(BOOT)?;
        boots.retain(|_, ()| false)?;
        self.boot.iter().try_for_each(|boot| boots.insert(boot.as_str(), ()).map(drop))?;
        self.endpoints.iter().try_for_each(|endpoint| endpoints.insert(endpoint.as_str(), ()).map(drop))?;
        Ok(())
    }
}

/// The file and its directory; only their owner may read them, as the store's values are not everybody's.
fn database(path: &Path) -> Result<Database, redb::Error> {
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    Ok(Builder::new().set_check_integrity_on_open(true).create(path)?)
}

/// Whether what the system says of a file tells of its content.
fn is_damage(error: &redb::Error) -> bool {
    use std::io::ErrorKind::{InvalidData, UnexpectedEof};
    matches!(error, redb::Error::Io(cause) if matches!(cause.kind(), InvalidData | UnexpectedEof))
}

fn now() -> i64 {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_secs()).unwrap_or(i64::MAX)
}
