//! How a store is behind each of its members, for people who look for what is wrong.
//!
//! In: a question to each. Out: how long the answer took, and what it says. Judges nothing.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::{Snapshot, StoreError};

/// A prefix without keys: reading it takes the whole way there and back, and nothing else.
pub(super) const NOTHING: &str = "/poplin/nothing/";

/// All that was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Examined {
    /// Each member, in the order they were configured.
    pub members: Vec<Member>,
    /// What we were given to be known by.
    pub files: Vec<CredentialFile>,
}

/// One member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// Where it is.
    pub location: String,
    /// Its version, if it is an etcd that answered.
    pub version: Option<String>,
    /// How long its answer took.
    pub latency: Duration,
    /// Its database: on disk, in use, allowed; zero where it does not say.
    pub octets: [u64; 3],
    /// What it complains of.
    pub alarms: Vec<String>,
    /// Why it did not answer.
    pub error: Option<String>,
}

/// A file somebody gave us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialFile {
    /// Where it stands.
    pub path: PathBuf,
    /// The setting that names it.
    pub setting: &'static str,
    /// Why we cannot read it.
    pub error: Option<String>,
}

/// A store that has one member.
pub(super) async fn alone(location: String, read: impl Future<Output = Result<Snapshot, StoreError>>) -> Examined {
    let began = Instant::now();
    let error = read.await.err().map(|error| error.story());
    let member = Member { location, latency: began.elapsed(), error, ..Member::default() };
    Examined { members: vec![member], files: Vec::new() }
}

/// Tries to read one.
pub(super) fn credential(setting: &'static str, path: PathBuf) -> CredentialFile {
    let error = std::fs::read(&path).err().map(|error| error.to_string());
    CredentialFile { path, setting, error }
}
