//! A watch on etcd: one stream, cut into one batch for each revision.
//!
//! In: responses, some with several revisions. Out: batches in order, or the first thing that is wrong; it never resumes by itself.

use super::explain::About;
use super::members::{ANSWER_TIME, Failure};
use super::read::{entry, key_of, range_under};
use super::{Etcd, MOST_ANSWER_BYTES};
use crate::store::watch::Feed;
use crate::store::{Batch, Change, Revision, StoreError};
use async_trait::async_trait;
use etcd_client::{Client, Event, KeyValue, WatchOptions, WatchResponse, WatchStream};
use std::collections::VecDeque;

pub(super) struct Stream {
    location: String,
    stream: WatchStream,
    /// Everything up to here was told, or waits in `ready`.
    last: Revision,
    /// Where the member said it stands; it may be a little behind `last` at first, when another member answered the snapshot.
    stands: Revision,
    ready: VecDeque<Batch>,
}

impl Etcd {
    /// Opens the stream and waits for etcd to say where it stands: of a revision to come it would stay silent for ever.
    pub(super) async fn feed(&self, prefix: &str, after: Revision) -> Result<Stream, StoreError> {
        let mut stream = self.open_stream(prefix, after).await?;
        match tokio::time::timeout(ANSWER_TIME, stream.receive()).await {
            Ok(created) => created?,
            Err(_) => return Err(Failure::Silence.explain(self.title(), About::default())),
        }
        self.check_reached(stream.stands, after).await?;
        Ok(stream)
    }

    async fn open_stream(&self, prefix: &str, after: Revision) -> Result<Stream, StoreError> {
        let (from, to) = range_under(prefix);
        let options = WatchOptions::new().with_range(to).with_start_revision(after + 1).with_progress_notify();
        let (from, options) = (&from, &options);
        let question = |client: Client| async move {
            let mut watches = client.watch_client().max_decoding_message_size(MOST_ANSWER_BYTES);
            watches.watch(from.as_slice(), Some(options.clone())).await
        };
        let about = About { revision: after, ..About::default() };
        let stream = self.answer(about, question).await?;
        Ok(Stream { location: self.title(), stream, last: after, stands: 0, ready: VecDeque::new() })
    }

    /// A member that stands before `after` may only lag. Whether the cluster went back is known by those who agree on reads.
    async fn check_reached(&self, stands: Revision, after: Revision) -> Result<(), StoreError> {
        let now = if stands < after { self.agreed_revision().await? } else { stands };
        if now < after { Err(StoreError::WentBack { seen: after, now }) } else { Ok(()) }
    }
}

#[async_trait]
impl Feed for Stream {
    async fn next(&mut self) -> Result<Batch, StoreError> {
        loop {
            match self.ready.pop_front() {
                Some(batch) => return Ok(batch),
                None => self.receive().await?,
            }
        }
    }
}

impl Stream {
    async fn receive(&mut self) -> Result<(), StoreError> {
        match self.stream.message().await {
            Ok(Some(response)) => self.take(&response),
            Ok(None) => Err(self.ended("the server closed the stream")),
            Err(error) => Err(self.failure(&Failure::Told(error))),
        }
    }

    fn take(&mut self, response: &WatchResponse) -> Result<(), StoreError> {
        self.check_alive(response)?;
        self.check_order(response)?;
        let batches = batches(response.events());
        self.last = batches.back().map_or(self.last, |batch| batch.revision);
        self.ready.extend(batches);
        Ok(())
    }

    fn check_alive(&self, response: &WatchResponse) -> Result<(), StoreError> {
        match (response.canceled(), response.compact_revision()) {
            (false, _) => Ok(()),
            (true, 0) => Err(self.ended(&format!("the server cancelled it {}", response.cancel_reason()))),
            (true, compacted) => Err(StoreError::Compacted { asked: self.last, compacted }),
        }
    }

    /// A member never goes back while it lives. A revision told twice was torn apart, or repeated.
    fn check_order(&mut self, response: &WatchResponse) -> Result<(), StoreError> {
        let now = response.header().map_or(0, |header| header.revision());
        let seen = std::mem::replace(&mut self.stands, now);
        if now < seen {
            return Err(StoreError::WentBack { seen, now });
        }
        match response.events().iter().filter_map(Event::kv).map(KeyValue::mod_revision).find(|it| *it <= self.last) {
            Some(again) => Err(self.odd(format!("revision {again} came after revision {}", self.last))),
            None => Ok(()),
        }
    }

    fn failure(&self, failure: &Failure) -> StoreError {
        let about = About { revision: self.last, ..About::default() };
        match failure.explain(self.location.clone(), about) {
            StoreError::Unreachable { location, cause } => StoreError::WatchEnded { location, cause },
            other => other,
        }
    }

    fn ended(&self, why: &str) -> StoreError {
        StoreError::WatchEnded { location: self.location.clone(), cause: why.into() }
    }

    fn odd(&self, what: String) -> StoreError {
        StoreError::Protocol { location: self.location.clone(), cause: what.into() }
    }
}

fn batches(events: &[Event]) -> VecDeque<Batch> {
    let mut batches: VecDeque<Batch> = VecDeque::new();
    for change in events.iter().filter_map(Event::kv).map(change) {
        match batches.back_mut() {
            Some(batch) if batch.revision == change.revision() => batch.changes.push(change),
            _ => batches.push_back(Batch { revision: change.revision(), changes: vec![change] }),
        }
    }
    batches
}

/// Version 0 marks a delete (etcd's `kv.proto`). `Event::event_type` would say so too, but it panics on a type it does not know.
fn change(pair: &KeyValue) -> Change {
    match pair.version() {
        0 => Change::Deleted { key: key_of(pair), revision: pair.mod_revision() },
        _ => Change::Put(entry(pair)),
    }
}
