//! What this host keeps beyond its life: what it knew of the store, and what it owes it.
//!
//! In: news of the store, what is owed. Out: events that an earlier life is the cause of. It decides only whether what was written down may be
//! true here: of this boot, and of this store.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::SystemTime;

use poplin_node::Event;
use poplin_node::debt::Debt;
use tokio::sync::mpsc;

use crate::hear;
use crate::memory::{self, Complaints, DebtFile, Memory, Owed, Recalled};
use crate::store::Followed;

/// What outlasts this process. A host whose store is never away keeps nothing.
#[derive(Default)]
pub(crate) struct Past {
    /// Absent: nothing is remembered for a later life.
    memory: Option<Memory>,
    /// What an earlier life knew, until the store has answered or is found not to.
    recalled: Option<Recalled>,
    debts: Option<DebtFile>,
    /// To which cluster debts are owed, if that is known.
    cluster: Option<u64>,
    /// Whether debts were found that are none here: then the file is to be written anew.
    is_void: bool,
    /// Whether rules of an earlier life stood when this one began.
    rules_stand: bool,
    complaints: Complaints,
}

impl Past {
    /// Opens both files; tells what is owed. A host that cannot remember lives all the same, until it has to start while the store is away.
    pub(crate) fn remember(
        path: &Path,
        endpoints: &[String],
        complaints: Complaints,
        rules_stand: bool,
    ) -> (Self, Option<BTreeSet<Debt>>) {
        let file = DebtFile::beside(path, endpoints);
        let Owed { debts: owed, cluster, is_void } = file.read();
        let opened = Memory::open(path, endpoints, memory::boot().as_deref(), complaints.clone());
        let (memory, recalled) = match opened {
            Ok((memory, recalled)) => (Some(memory), recalled),
            Err(error) => {
                tracing::error!("{error}; should the agent start while the store is away, it waits for the store");
                complaints.note("memory", Some(error.to_string()));
                (None, None)
            }
        };
        let cluster = cluster.or(recalled.as_ref().and_then(|recalled| recalled.cluster));
        let owed = recalled.iter().flat_map(|recalled| &recalled.owed).cloned().chain(owed).collect();
        (Self { memory, recalled, debts: Some(file), cluster, is_void, rules_stand, complaints }, Some(owed))
    }

    /// When an earlier life last heard the store.
    pub(crate) fn known_at(&self) -> Option<SystemTime> {
        self.recalled.as_ref().map(|recalled| recalled.at)
    }

    /// News of the store, for a later life.
    pub(crate) fn hear(&self, news: Followed, cluster: Option<u64>, is_unreadable: impl Fn(&str) -> bool) {
        if let Some(memory) = &self.memory {
            memory.hear(news, cluster, is_unreadable);
        }
    }

    /// What the store forgot, and this host goes by all the same, is this from now on.
    pub(crate) fn keep(&self, kept: Vec<(String, Option<Vec<u8>>)>, shared: i64) {
        if let Some(memory) = &self.memory {
            memory.keep(kept, shared);
        }
    }

    /// What is to be told before news of the store: with the first, what an earlier life knew; and whether the store is another one.
    pub(crate) fn before(&mut self, news: &Event, cluster: Option<u64>) -> Vec<Event> {
        let known = self.recalled.take().and_then(|recalled| self.known(&recalled, news));
        let is_read = matches!(news, Event::StoreRead { .. });
        let is_other = is_read && self.cluster.zip(cluster).is_some_and(|(then, now)| then != now);
        if is_other {
            tracing::error!("the store is another cluster than it was");
        }
        let is_void = is_read && std::mem::take(&mut self.is_void);
        self.cluster = cluster.filter(|_| is_read).or(self.cluster);
        let replaced = is_void.then_some(Event::StoreReplaced);
        let another = is_other.then_some(Event::StoreIsAnother);
        replaced.into_iter().chain(another).chain(known).collect()
    }

    /// It takes the store's place if that does not answer, and is compared with what it says if it does.
    fn known(&self, recalled: &Recalled, news: &Event) -> Option<Event> {
        let revision = recalled.revision;
        match news {
            Event::StoreLost { .. } if !recalled.is_of_this_boot => {
                tracing::warn!(
                    "the store does not answer, and what is known of it is of an earlier boot, whose links and rules are gone; this host waits"
                );
                None
            }
            Event::StoreLost { .. } => {
                tracing::warn!(
                    "the store does not answer; this host goes on by what it knew of it at revision {revision}"
                );
                Some(hear::recalled(recalled, self.rules_stand))
            }
            _ => Some(hear::remembered(recalled)),
        }
    }

    /// Has debts written down, beside the loop: a disk may be slow.
    pub(crate) fn owe(&self, debts: BTreeSet<Debt>, events: mpsc::Sender<Event>) {
        let (file, cluster, complaints) = (self.debts.clone(), self.cluster, self.complaints.clone());
        tokio::task::spawn_blocking(move || {
            let written = match file {
                Some(file) => {
                    file.write(&debts, cluster).map_err(|error| format!("{}: {error}", file.path().display()))
                }
                None => Err("this host keeps no file of who left".to_owned()),
            };
            complaints
                .note("debts", written.clone().err().map(|error| format!("who leaves cannot be kept in {error}")));
            let _ = events.blocking_send(Event::DebtsWritten(written)); // nobody is left to be told
        });
    }
}
