//! Reads parts of the keys from etcd in pages, all at one revision.

use super::explain::{About, is_too_long};
use super::{Etcd, kv};
use crate::store::{Entry, Part, Revision, Snapshot, StoreError};
use etcd_client::{Client, Error, GetOptions, GetResponse, KeyValue};
use futures_util::future::try_join_all;
use std::pin::Pin;
use std::sync::atomic::Ordering;

type Answer<T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send>>;

/// Keys in a page. A page of 512-byte values takes etcd 3 ms, so that others are served in between.
const PAGE: i64 = 1_000;

/// How often a read begins anew when etcd forgets its revision under its hands; each time takes well under etcd's five minutes
/// between compactions.
const ATTEMPTS: usize = 3;

/// What is still to be read.
struct Rest {
    from: Vec<u8>,
    to: Vec<u8>,
    /// Zero for the first page: whatever is newest.
    revision: Revision,
    page: i64,
}

impl Etcd {
    pub(super) async fn read(&self, parts: &[Part]) -> Result<Snapshot, StoreError> {
        for _ in 1..ATTEMPTS {
            match self.read_once(parts).await {
                Err(StoreError::Compacted { .. }) => continue,
                result => return result,
            }
        }
        self.read_once(parts).await
    }

    /// The first part is read as it stands, and says at which revision all the others are, side by side.
    async fn read_once(&self, parts: &[Part]) -> Result<Snapshot, StoreError> {
        let Some((first, others)) = parts.split_first() else {
            return Ok(Snapshot { revision: self.agreed_revision().await?, entries: Vec::new() });
        };
        let Snapshot { revision, mut entries } = self.read_part(first, 0).await?;
        if others.is_empty() {
            return Ok(Snapshot { revision, entries });
        }
        let others = try_join_all(others.iter().map(|part| self.read_part(part, revision))).await?;
        entries.extend(others.into_iter().flat_map(|read| read.entries));
        Ok(Snapshot::gathered(revision, entries))
    }

    /// One part, at a revision; at zero, as it stands.
    async fn read_part(&self, part: &Part, revision: Revision) -> Result<Snapshot, StoreError> {
        let (from, to) = range_of(part);
        let most = most_of(part);
        let mut rest = Rest { from, to, revision, page: PAGE.min(i64::try_from(most).unwrap_or(PAGE)) };
        let mut entries = Vec::new();
        loop {
            let page = self.read_page(&mut rest).await?;
            self.cluster.store(page.header().map_or(0, |header| header.cluster_id()), Ordering::Relaxed);
            entries.extend(page.kvs().iter().map(entry));
            if !rest.shrink(&page) || entries.len() >= most {
                entries.truncate(most);
                return Ok(Snapshot { revision: rest.revision, entries });
            }
        }
    }

    /// One page; a smaller one if its values are too large to be taken at once.
    async fn read_page(&self, rest: &mut Rest) -> Result<GetResponse, StoreError> {
        let about = About { revision: rest.revision, ..About::default() };
        loop {
            match self.members.ask(rest.question()).await {
                Err(failure) if is_too_long(&failure) && rest.page > 1 => rest.page /= 10,
                answer => return answer.map_err(|failure| failure.explain(self.title(), about)),
            }
        }
    }

    /// Where the cluster stands, by agreement of its members.
    pub(super) async fn agreed_revision(&self) -> Result<Revision, StoreError> {
        let counted = || Some(GetOptions::new().with_count_only());
        let question = |client: Client| async move { kv(&client).get("/", counted()).await };
        let answer = self.answer(About::default(), question).await?;
        Ok(answer.header().map_or(0, |header| header.revision()))
    }
}

impl Rest {
    fn options(&self) -> GetOptions {
        GetOptions::new().with_range(self.to.clone()).with_revision(self.revision).with_limit(self.page)
    }

    fn question(&self) -> impl Fn(Client) -> Answer<GetResponse> {
        let (from, options) = (self.from.clone(), self.options());
        move |client| {
            let (from, options) = (from.clone(), options.clone());
            Box::pin(async move { kv(&client).get(from, Some(options)).await })
        }
    }

    /// Takes a page off, and says whether there is more.
    fn shrink(&mut self, page: &GetResponse) -> bool {
        if self.revision == 0 {
            self.revision = page.header().map_or(0, |header| header.revision());
        }
        let Some(last) = page.kvs().last().filter(|_| page.more()) else { return false };
        self.from = [last.key(), b"\0"].concat();
        true
    }
}

/// The first key of a part, and the first after it.
fn range_of(part: &Part) -> (Vec<u8>, Vec<u8>) {
    match part {
        Part::Key(key) => (key.as_bytes().to_vec(), [key.as_bytes(), b"\0"].concat()),
        Part::Under(prefix) => range_under(prefix),
        Part::Next { under, after, .. } => {
            let (from, to) = range_under(under);
            (if after < under { from } else { [after.as_bytes(), b"\0"].concat() }, to)
        }
    }
}

/// How many of its keys are asked for.
fn most_of(part: &Part) -> usize {
    match part {
        Part::Next { most, .. } => *most,
        Part::Key(_) | Part::Under(_) => usize::MAX,
    }
}

/// The first key of a prefix, and the first after it; two zero octets mean every key (etcd's `rpc.proto`).
/// UTF-8 has no octet 255, so the last one can always be raised.
pub(super) fn range_under(prefix: &str) -> (Vec<u8>, Vec<u8>) {
    let mut end = prefix.as_bytes().to_vec();
    match end.last_mut() {
        Some(last) => *last += 1,
        None => return (vec![0], vec![0]),
    }
    (prefix.as_bytes().to_vec(), end)
}

/// A foreign key that is no UTF-8 is shown as well as can be; ours always are.
pub(super) fn key_of(pair: &KeyValue) -> String {
    String::from_utf8_lossy(pair.key()).into_owned()
}

pub(super) fn entry(pair: &KeyValue) -> Entry {
    let (create_revision, mod_revision) = (pair.create_revision(), pair.mod_revision());
    Entry { key: key_of(pair), value: pair.value().to_vec(), create_revision, mod_revision }
}
