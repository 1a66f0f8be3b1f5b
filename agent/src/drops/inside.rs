//! Listens in the namespaces of containers whose rules stand there: what those rules tell is told there alone, not on the host.
//!
//! In: where such rules stand. Out: a listener in each of these namespaces, that feeds as the host's own does. Each is a socket, and is gone with the rules.
//! Whoever may change a container's rules may tell whatever he likes there, as often as he likes: so each is heard at a bounded pace.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use poplin_policy::ruleset::Interface;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Feeding, PAUSE};
use crate::kernel::{DropListener, Inside};

/// Between two packets of one container that are heard; what comes faster is counted as lost. Rules tell of no more than a few each second.
const PACE: Duration = Duration::from_millis(5);

/// A namespace that is listened to.
struct Ear {
    groups: BTreeMap<Interface, u32>,
    listening: JoinHandle<()>,
}

/// Listens wherever rules stand, for as long as there may be some.
pub(crate) async fn listen(mut standing: watch::Receiver<Inside>, feeding: Feeding) {
    let mut ears: BTreeMap<PathBuf, Ear> = BTreeMap::new();
    loop {
        let wanted = standing.borrow_and_update().clone();
        let is_right =
            |netns: &PathBuf, ear: &Ear| wanted.get(netns) == Some(&ear.groups) && !ear.listening.is_finished();
        for (_, ear) in ears.extract_if(.., |netns, ear| !is_right(netns, ear)) {
            ear.listening.abort();
            let _ = ear.listening.await; // until then it has the group
        }
        for (netns, groups) in &wanted {
            if !ears.contains_key(netns) {
                ears.extend(opened(netns, groups, &feeding).map(|ear| (netns.clone(), ear)));
            }
        }
        let is_whole = ears.len() == wanted.len();
        tokio::select! {
            changed = standing.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(PAUSE), if !is_whole => {}
        }
    }
}

fn opened(netns: &Path, groups: &BTreeMap<Interface, u32>, feeding: &Feeding) -> Option<Ear> {
    let listener = DropListener::open_inside(netns, groups);
    let complain = |error: &_| tracing::debug!("drops in {} cannot be listened to: {error}", netns.display());
    let listener = listener.inspect_err(complain).ok()?;
    let feeding = feeding.clone();
    let listening = tokio::spawn(async move {
        let error = feeding.hear(listener, Some(PACE)).await;
        tracing::debug!("a container's drops are listened to no more: {error}");
    });
    Some(Ear { groups: groups.clone(), listening })
}
