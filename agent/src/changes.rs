//! The feed of best-path changes: what the head tells while somebody watches.
//!
//! In: changes, in the head's words. Out: the same in the wire's form, to whoever watches. Nobody is waited for: of what is not read in
//! time the oldest makes room, and the reader is told how much.

use std::time::SystemTime;

use poplin_bgp::{BestChange, Way};
use poplin_node::Node;
use poplin_proto::v1;
use tokio::sync::broadcast;

/// How many changes wait for a slow reader: a neighbour with a thousand blocks that goes and comes back, and some 200 octets each.
const WAITING: usize = 4096;

/// Tells changes to whoever watches.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Absent while nobody watches: what may wait for a reader takes a megabyte.
    watchers: Option<broadcast::Sender<v1::RouteChange>>,
}

impl Changes {
    pub(crate) fn watch(&mut self) -> broadcast::Receiver<v1::RouteChange> {
        self.watchers.get_or_insert_with(|| broadcast::Sender::new(WAITING)).subscribe()
    }

    /// Tells whoever watches; tells whether anybody did.
    pub(crate) fn tell(&mut self, node: &Node, change: &BestChange) -> bool {
        self.watchers.take_if(|watchers| watchers.receiver_count() == 0);
        let Some(watchers) = &self.watchers else { return false };
        let _ = watchers.send(written(node, change)); // the last watcher may just have gone
        true
    }
}

fn written(node: &Node, change: &BestChange) -> v1::RouteChange {
    let (before, before_name) = whose(node, change.before.as_ref());
    let (after, after_name) = whose(node, change.after.as_ref());
    let said = change.after.as_ref().and_then(|way| match way {
        Way::Own => None,
        Way::Heard { attributes, .. } => Some(attributes),
    });
    v1::RouteChange {
        time: now(),
        prefix: change.prefix.to_string(),
        before,
        before_name,
        after,
        after_name,
        next_hops: change.next_hops.iter().map(ToString::to_string).collect(),
        as_path: said.map(|said| said.path.to_string()).unwrap_or_default(),
        local_pref: said.and_then(|said| said.local_pref),
        reason: change.step.map(|step| step.to_string()).unwrap_or_default(),
        lost: 0,
    }
}

/// Address and name.
fn whose(node: &Node, way: Option<&Way>) -> (String, String) {
    match way {
        None => Default::default(),
        Some(Way::Own) => ("self".to_owned(), String::new()),
        Some(Way::Heard { neighbour, .. }) => (neighbour.to_string(), node.name_of(*neighbour)),
    }
}

/// Nanoseconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
