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
use crate::store::{Change, Entry, Followed, Part, Revision, Store, follow};

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
    let snapshot = store.select(&[Part::Key(path)]).await.map_err(|error| store_failure(&error))?;
    let entry = snapshot.entries.first().ok_or_else(|| not_found(kind, name))?;
    decode_resource(entry).map_err(|error| Failure::new(Code::DataLoss, "CORRUPT_VALUE", error.to_string()))
}

pub(super) async fn list(store: &dyn Store, request: &ListRequest) -> Result<ListResponse, Failure> {
    let prefix = kind_prefix(&request.kind).ok_or_else(|| unknown_kind(&request.kind))?;
    let selector = selector(&request.selector)?;
    let size = match usize::try_from(request.page_size).unwrap_or(LARGEST_PAGE) {
        0 => DEFAULT_PAGE,
        size => size.min(LARGEST_PAGE),
    };
    let before = request.page_token.as_str();
    let mut after = if before.is_empty() { String::new() } else { format!("{prefix}{before}") };
    let mut page = Page { size, ..Page::default() };
    loop {
        // One more than there is room for: whether there is another page. A selector may let few of them through.
        let next = Part::Next { under: prefix.clone(), after, most: LARGEST_PAGE + 1 };
        let read = store.select(&[next]).await.map_err(|error| store_failure(&error))?;
        page.revision = read.revision;
        let is_all = read.entries.len() <= LARGEST_PAGE;
        for entry in &read.entries {
            if !page.take(entry, &selector) {
                return Ok(page.response(true));
            }
        }
        match read.entries.last().filter(|_| !is_all) {
            Some(last) => after = last.key.clone(),
            None => return Ok(page.response(false)),
        }
    }
}

/// A page, as it fills.
#[derive(Default)]
struct Page {
    size: usize,
    octets: usize,
    resources: Vec<Resource>,
    unreadable: Vec<String>,
    /// What cannot be read behind the last of the resources: of this page only if no other comes.
    behind: Vec<String>,
    revision: Revision,
}

impl Page {
    /// Takes an entry in, unless it is not asked for; `false` if there is no room for it. One has room in any case.
    fn take(&mut self, entry: &Entry, selector: &Selector) -> bool {
        let Ok(resource) = decode_resource(entry) else {
            self.behind.push(entry.key.clone());
            return true;
        };
        if !admits(selector, &resource) {
            return true;
        }
        let has_room = self.resources.len() < self.size && self.octets < LARGEST_PAGE_OCTETS;
        if has_room {
            self.octets += resource.encoded_len();
            self.resources.push(resource);
            self.unreadable.append(&mut self.behind);
        }
        has_room
    }

    fn response(mut self, has_more: bool) -> ListResponse {
        if !has_more {
            self.unreadable.append(&mut self.behind);
        }
        let Self { resources, unreadable, revision, .. } = self;
        let last = resources.last().map(Resource::qualified_name);
        let next_page_token = last.filter(|_| has_more).unwrap_or_default();
        ListResponse { resources, next_page_token, revision, unreadable }
    }
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
