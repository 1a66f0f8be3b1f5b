//! Reading objects: one, a page, or everything and then every change.

use std::collections::BTreeMap;
use std::sync::Arc;

use poplin_manifest::field::labels;
use poplin_policy::label::Labels;
use poplin_policy::selector::Selector;
use poplin_proto::v1::watch_response::Change as Kind;
use poplin_proto::v1::{ListRequest, ListResponse, Resource, WatchRequest, WatchResponse};
use poplin_proto::{Failure, UnknownKind};
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use crate::resource::{decode_resource, kind_prefix, path_of_name};
use crate::store::{Change, Followed, Store, follow};

use super::store_failure;

/// Objects in a page nobody chose a size for.
const DEFAULT_PAGE: usize = 500;

/// Objects in the largest page: at about 1 KiB each it stays below gRPC's 4 MiB a message.
const LARGEST_PAGE: usize = 2000;

/// Octets of a page, beside its last object: below gRPC's 4 MiB a message with an address set of 100,000 prefixes among them.
const LARGEST_PAGE_OCTETS: usize = 2 << 20;

/// Changes a watcher may lag behind before it has to wait for itself.
const WATCH_BUFFER: usize = 256;

pub(super) async fn get(store: &dyn Store, kind: &str, name: &str) -> Result<Resource, Failure> {
    let path = path_of_name(kind, name).ok_or_else(|| unknown_kind(kind))?;
    let snapshot = store.snapshot(&path).await.map_err(|error| store_failure(&error))?;
    let entry = snapshot.entries.iter().find(|entry| entry.key == path).ok_or_else(|| not_found(kind, name))?;
    decode_resource(entry).map_err(|error| Failure::new(Code::DataLoss, "CORRUPT_VALUE", error.to_string()))
}

pub(super) async fn list(store: &dyn Store, request: &ListRequest) -> Result<ListResponse, Failure> {
    let prefix = kind_prefix(&request.kind).ok_or_else(|| unknown_kind(&request.kind))?;
    let selector = selector(&request.selector)?;
    let size = match usize::try_from(request.page_size).unwrap_or(LARGEST_PAGE) {
        0 => DEFAULT_PAGE,
        size => size.min(LARGEST_PAGE),
    };
    let snapshot = store.snapshot(&prefix).await.map_err(|error| store_failure(&error))?;
    let damaged =
        snapshot.entries.iter().filter(|entry| request.page_token.is_empty() && decode_resource(entry).is_err());
    let unreadable = damaged.map(|entry| entry.key.clone()).collect();
    let rest = snapshot.entries.iter().filter(|entry| entry.key[prefix.len()..] > *request.page_token);
    let readable = rest.filter_map(|entry| decode_resource(entry).ok());
    let mut resources: Vec<Resource> = readable.filter(|one| admits(&selector, one)).take(size + 1).collect();
    let most = size.min(how_many_fit(&resources));
    let has_more = resources.len() > most;
    resources.truncate(most);
    let last = resources.last().map(Resource::qualified_name);
    let next_page_token = last.filter(|_| has_more).unwrap_or_default();
    Ok(ListResponse { resources, next_page_token, revision: snapshot.revision, unreadable })
}

/// How many objects go in one page, for their octets; one does in any case.
fn how_many_fit(resources: &[Resource]) -> usize {
    let mut octets = 0;
    let is_room = |resource: &&Resource| {
        let before = octets;
        octets += resource.encoded_len();
        before < LARGEST_PAGE_OCTETS
    };
    resources.iter().take_while(is_room).count().max(1)
}

/// Everything, then SYNCED, then changes. After a break in the store the difference is told, as if nothing had happened.
pub(super) fn watch(
    store: Arc<dyn Store>,
    request: WatchRequest,
) -> Result<ReceiverStream<Result<WatchResponse, Status>>, Failure> {
    let prefix = kind_prefix(&request.kind).ok_or_else(|| unknown_kind(&request.kind))?;
    let selector = selector(&request.selector)?;
    let (sender, receiver) = mpsc::channel(WATCH_BUFFER);
    tokio::spawn(async move {
        let mut followed = follow(store, prefix);
        let mut watcher = Watcher { selector, known: BTreeMap::new(), is_synced: false };
        while let Some(news) = followed.recv().await {
            for response in watcher.tell(news) {
                if sender.send(Ok(response)).await.is_err() {
                    return;
                }
            }
        }
    });
    Ok(ReceiverStream::new(receiver))
}

/// What one watcher has been told.
struct Watcher {
    selector: Selector,
    known: BTreeMap<String, Resource>,
    is_synced: bool,
}

impl Watcher {
    fn tell(&mut self, news: Followed) -> Vec<WatchResponse> {
        match news {
            Followed::Lost { .. } => Vec::new(),
            Followed::Changes(batch) => {
                batch.changes.into_iter().filter_map(|change| self.change(batch.revision, change)).collect()
            }
            Followed::Snapshot(snapshot) => {
                let revision = snapshot.revision;
                let gone = self.known.keys().filter(|key| !snapshot.entries.iter().any(|entry| entry.key == **key));
                let gone: Vec<Change> = gone.map(|key| Change::Deleted { key: key.clone(), revision }).collect();
                let all = gone.into_iter().chain(snapshot.entries.into_iter().map(Change::Put));
                let mut told: Vec<WatchResponse> = all.filter_map(|change| self.change(revision, change)).collect();
                if !std::mem::replace(&mut self.is_synced, true) {
                    told.push(response(Kind::Synced, None, revision));
                }
                told
            }
        }
    }

    fn change(&mut self, revision: i64, change: Change) -> Option<WatchResponse> {
        let key = change.key().to_owned();
        let now = match &change {
            Change::Put(entry) => decode_resource(entry).ok().filter(|resource| admits(&self.selector, resource)),
            Change::Deleted { .. } => None,
        };
        match now {
            Some(resource) if self.known.get(&key) == Some(&resource) => None,
            Some(resource) => {
                self.known.insert(key, resource.clone());
                Some(response(Kind::Put, Some(resource), revision))
            }
            None => self.known.remove(&key).map(|resource| response(Kind::Deleted, Some(resource), revision)),
        }
    }
}

fn response(change: Kind, resource: Option<Resource>, revision: i64) -> WatchResponse {
    WatchResponse { change: change.into(), resource, revision }
}

fn admits(selector: &Selector, resource: &Resource) -> bool {
    let none = BTreeMap::new();
    let written = resource.metadata().map_or(&none, |metadata| &metadata.labels);
    labels("metadata.labels", written).is_ok_and(|labels: Labels| selector.admits(&labels))
}

fn selector(text: &str) -> Result<Selector, Failure> {
    Selector::parse(text).map_err(|error| {
        Failure::new(Code::InvalidArgument, "BAD_SELECTOR", format!("selector {text:?}: {error}"))
            .field("selector")
            .advice("a selector looks like: app == 'web' && tier in {'front', 'back'}")
    })
}

pub(super) fn unknown_kind(kind: &str) -> Failure {
    Failure::new(Code::InvalidArgument, "UNKNOWN_KIND", UnknownKind { kind: kind.to_owned() }.to_string()).field("kind")
}

pub(super) fn not_found(kind: &str, name: &str) -> Failure {
    let list = kind.to_ascii_lowercase();
    Failure::new(Code::NotFound, "NOT_FOUND", format!("there is no {kind} named {name:?}"))
        .advice(format!("see what there is: `poplin get {list}`"))
}
