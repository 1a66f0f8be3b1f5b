//! What can go wrong between the agent and its store, and what a person may try.

use super::{Rejected, Revision};
use crate::schema::Feature;
use poplin_node::release::Outdated;
use std::error::Error as _;
use std::path::PathBuf;
use thiserror::Error;

/// What a lower layer said; kept as the error's source.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a store did not do what was asked.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Nobody answers there, or not in time. Nothing was changed.
    #[error("the store at {location} cannot be reached")]
    Unreachable {
        /// Where it was looked for.
        location: String,
        /// What the connection said.
        #[source]
        cause: Cause,
    },
    /// The configured location cannot be one.
    #[error("{location} is no place for a store")]
    BadLocation {
        /// As configured.
        location: String,
        /// What is wrong with it.
        #[source]
        cause: Cause,
    },
    /// The answer to a transaction did not come: it may have been done or not.
    #[error("the store at {location} did not say whether the transaction was done")]
    OutcomeUnknown {
        /// Where it was sent.
        location: String,
        /// What the connection said.
        #[source]
        cause: Cause,
    },
    /// The watch's connection ended.
    #[error("the watch on {location} ended")]
    WatchEnded {
        /// Where it was watched.
        location: String,
        /// What the connection or the server said.
        #[source]
        cause: Cause,
    },
    /// The changes asked for are forgotten: take a new snapshot.
    #[error("revision {asked} is compacted, the store keeps what came after {compacted}")]
    Compacted {
        /// The revision after which changes were asked for.
        asked: Revision,
        /// The last revision that is forgotten.
        compacted: Revision,
    },
    /// The store stands before a revision already seen: somebody restored a backup, or began anew. Take a new snapshot.
    #[error("the store went back: it stands at revision {now}, and {seen} was seen before")]
    WentBack {
        /// The revision seen before.
        seen: Revision,
        /// Where the store stands.
        now: Revision,
    },
    /// What was asked can never be done.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// The store has no room left. A transaction under way may have been done; after mending, a restart tells.
    #[error("the store at {location} is full")]
    Full {
        /// Where it is.
        location: String,
        /// What the disk or the server said.
        #[source]
        cause: Cause,
    },
    /// The store does not let us in.
    #[error("the store at {location} refuses us")]
    Denied {
        /// Where it is.
        location: String,
        /// What the server said.
        #[source]
        cause: Cause,
    },
    /// The file is not what we wrote.
    #[error("the store file {} is damaged", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        cause: Cause,
    },
    /// The file was written by another version of Poplin.
    #[error("the store file {} has format {found}, this program knows format {known}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The format it has.
        found: u64,
        /// The format we write.
        known: u64,
    },
    /// Another process holds the file.
    #[error("the store file {} is in use by another process", path.display())]
    AlreadyOpen {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be read or written. A transaction under way may have been done; after mending, a restart tells.
    #[error("the store file {} cannot be used", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: Cause,
    },
    /// The store is for agents that know a later schema.
    #[error(transparent)]
    Outdated(#[from] Outdated),
    /// Some of those who may write could not read it.
    #[error("{key} has {}, which is of schema {}, and the store is for agents from schema {least} on", feature.field, feature.schema)]
    Ahead {
        /// The key that was to be written.
        key: String,
        /// What of its value came later.
        feature: Feature,
        /// From which schema on agents may write.
        least: u32,
    },
    /// The server answered something that etcd v3 never answers.
    #[error("the store at {location} gave an answer we do not understand")]
    Protocol {
        /// Where it is.
        location: String,
        /// What was odd.
        #[source]
        cause: Cause,
    },
}

impl StoreError {
    /// What a person may try, as a sentence of its own.
    pub fn advice(&self) -> Option<&'static str> {
        Some(match self {
            StoreError::Unreachable { .. } | StoreError::WatchEnded { .. } => {
                "is etcd running, and do its endpoints stand in the agent's configuration? try `etcdctl --endpoints=… endpoint health`; attached containers keep their routes meanwhile"
            }
            StoreError::OutcomeUnknown { .. } => {
                "the agent reads again before it retries; if this repeats, look at etcd's disk and leader"
            }
            StoreError::BadLocation { .. } => {
                "write endpoints as http://ADDRESS:2379, or the path of a file for a single host"
            }
            StoreError::Full { .. } => {
                "free space on its disk and restart poplind; or compact and defragment etcd and clear its alarm (`etcdctl alarm disarm`), after which it goes on by itself"
            }
            StoreError::Denied { .. } => {
                "look at the user, the password and the certificate in the agent's configuration"
            }
            StoreError::Corrupt { .. } => {
                "move the file away and start poplind again: it begins with an empty store; restore from an export if there is one"
            }
            StoreError::Format { .. } => "start the version of poplind that wrote it, or move the file away",
            StoreError::AlreadyOpen { .. } => {
                "is another poplind running? `fuser` with the file's path names the process"
            }
            StoreError::File { .. } => {
                "look at the disk and at the owner and mode of the file and its directory; then restart poplind"
            }
            StoreError::Outdated(_) => Outdated::ADVICE,
            StoreError::Ahead { .. } => {
                "once all hosts have an agent that knows it, raise it: `poplin store schema --raise`; see `poplin store schema` for who has not"
            }
            StoreError::Compacted { .. }
            | StoreError::WentBack { .. }
            | StoreError::Rejected(_)
            | StoreError::Protocol { .. } => return None,
        })
    }

    /// The whole story in one line, cause by cause, for a log or a status page.
    pub fn story(&self) -> String {
        let mut story = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            story = format!("{story}: {error}");
            cause = error.source();
        }
        story
    }
}
