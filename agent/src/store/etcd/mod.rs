//! The store of a fleet: an etcd v3 cluster, through `etcd-client`.
//!
//! In: endpoints. Out: a [`Store`]. Knows nothing of retries: whoever asks decides, and [`follow`](super::follow()) does for watches.
//! Asks for nothing newer than etcd 3.4: Range, Txn, Compact, Watch, Lease.

mod access;
mod ask;
mod examine;
mod explain;
mod feed;
mod members;
mod read;

pub use access::{Credentials, IdentityFiles, User};
pub use members::ANSWER_TIME;

use super::{Cause, Examined, LeaseId, Outcome, Part, Revision, Snapshot, Store, StoreError, Transaction, Watch};
use async_trait::async_trait;
use etcd_client::{Client, Error, KvClient};
use explain::About;
use members::Members;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The largest answer taken: a page of a thousand values, or a watch that catches up. gRPC's own bound of 4 MiB fits 8,000 small keys.
const MOST_ANSWER_BYTES: usize = 64 << 20;

/// A connection to an etcd cluster. It mends itself: the same value serves through restarts of the servers.
pub struct Etcd {
    endpoints: Vec<String>,
    members: Members,
    /// Which cluster was read last; 0 = none yet.
    cluster: AtomicU64,
}

impl Etcd {
    /// Prepares the connections without waiting for them; the first question tells whether anybody answers.
    pub async fn connect(endpoints: &[String], credentials: Credentials) -> Result<Self, StoreError> {
        if endpoints.is_empty() {
            return Err(bad_location("", "no endpoint is given"));
        }
        let whole = endpoints.iter().map(|endpoint| whole_endpoint(endpoint, credentials.need_tls()));
        let endpoints = whole.collect::<Result<Vec<_>, _>>()?;
        let members = Members::of(&endpoints, credentials).await;
        let members = members.map_err(|(endpoint, error)| bad_location(&endpoint, error))?;
        Ok(Self { endpoints, members, cluster: AtomicU64::new(0) })
    }

    /// What messages call it.
    fn title(&self) -> String {
        format!("etcd {}", self.endpoints.join(", "))
    }

    /// Asks, and puts into words why there was no answer.
    async fn answer<T, F>(&self, about: About, question: impl Fn(Client) -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Error>>,
    {
        self.members.ask(question).await.map_err(|failure| failure.explain(self.title(), about))
    }
}

fn kv(client: &Client) -> KvClient {
    client.kv_client().max_decoding_message_size(MOST_ANSWER_BYTES)
}

/// The endpoint with its scheme.
fn whole_endpoint(endpoint: &str, needs_tls: bool) -> Result<String, StoreError> {
    match (endpoint.split_once("://"), needs_tls) {
        (None, true) => Ok(format!("https://{endpoint}")),
        (None, false) => Ok(format!("http://{endpoint}")),
        (Some(("http", _)), true) => {
            Err(bad_location(endpoint, "certificates are given, and http has none; write https"))
        }
        (Some(("http" | "https", _)), _) => Ok(endpoint.to_owned()),
        (Some((scheme, _)), _) => Err(bad_location(endpoint, format!("unknown scheme {scheme}; write http or https"))),
    }
}

fn bad_location(endpoint: &str, cause: impl Into<Cause>) -> StoreError {
    StoreError::BadLocation { location: format!("etcd endpoint {endpoint:?}"), cause: cause.into() }
}

#[async_trait]
impl Store for Etcd {
    fn kind(&self) -> &'static str {
        "etcd"
    }

    fn location(&self) -> String {
        self.endpoints.join(", ")
    }

    async fn snapshot(&self, prefix: &str) -> Result<Snapshot, StoreError> {
        self.select(&[Part::Under(prefix.to_owned())]).await
    }

    async fn select(&self, parts: &[Part]) -> Result<Snapshot, StoreError> {
        self.read(parts).await
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Watch, StoreError> {
        self.feed(prefix, after).await.map(Watch::new)
    }

    async fn transact(&self, transaction: Transaction) -> Result<Outcome, StoreError> {
        self.ask(transaction).await
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        let seconds = i64::try_from(ttl.as_millis().div_ceil(1_000)).unwrap_or(i64::MAX);
        let question = |client: Client| async move { client.lease_client().grant(seconds, None).await };
        let granted = self.answer(About::default(), question).await?;
        Ok(LeaseId(granted.id()))
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError> {
        let about = About { lease: Some(lease), ..About::default() };
        let question = |client: Client| async move { client.lease_client().keep_alive(lease.0).await };
        self.answer(about, question).await.map(drop)
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        let about = About { lease: Some(lease), ..About::default() };
        let question = |client: Client| async move { client.lease_client().revoke(lease.0).await };
        self.answer(about, question).await.map(drop)
    }

    async fn compact(&self, at: Revision) -> Result<(), StoreError> {
        let about = About { revision: at, ..About::default() };
        match self.answer(about, |client: Client| async move { kv(&client).compact(at, None).await }).await {
            Err(StoreError::Compacted { .. }) => Ok(()),
            compacted => compacted.map(drop),
        }
    }

    fn cluster(&self) -> Option<u64> {
        Some(self.cluster.load(Ordering::Relaxed)).filter(|cluster| *cluster != 0)
    }

    async fn examine(&self) -> Examined {
        self.examined().await
    }
}
