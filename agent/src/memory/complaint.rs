//! Why this host cannot remember at the moment, for whoever looks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What fails, by what it is of. Cheap to clone; all clones tell the same.
#[derive(Clone, Debug, Default)]
pub struct Complaints(Arc<Mutex<BTreeMap<&'static str, String>>>);

impl Complaints {
    /// How the last try with one of its files ended. Tells whether that is news.
    pub(crate) fn note(&self, of: &'static str, complaint: Option<String>) -> bool {
        let mut all = self.all();
        let is_news = all.contains_key(of) != complaint.is_some();
        match complaint {
            Some(complaint) => drop(all.insert(of, complaint)),
            None => drop(all.remove(of)),
        }
        is_news
    }

    /// All that fails, in one line; empty = nothing does.
    pub fn text(&self) -> String {
        self.all().values().cloned().collect::<Vec<_>>().join("; ")
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<&'static str, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
