//! Namespaces have other labels than they had, and selections that look at those admit others.
//!
//! In: a namespace's labels. Out: the selections that admit other classes now. Only classes of those who live there are asked, and only
//! by selections that say something else of it than they did.

use super::super::ids::Ids;
use super::super::slab::Id;
use super::{Likeness, Population};
use crate::label::Labels;

/// A selection that admits other classes than it did, and the classes.
pub(in crate::compile) type Readmitted = (Id, Vec<Id>);

impl Population {
    /// A namespace has other labels than it had. Tells which selections admit other classes now.
    pub(in crate::compile) fn set_namespace(&mut self, name: &str, labels: Option<Labels>) -> Vec<Readmitted> {
        let before = match labels {
            Some(labels) => self.namespaces.insert(name.to_owned(), labels),
            None => self.namespaces.remove(name),
        };
        let Some(classes) = self.by_namespace.get(name).cloned() else { return Vec::new() };
        let is_in = |id: &Id, labels| self.asked[*id].selection.scope.has(Some(name), labels);
        let after = self.namespaces.get(name);
        let differs = |id: &&Id| is_in(id, before.as_ref()) != is_in(id, after);
        let asked: Vec<Id> = self.by_scope.iter().filter(differs).copied().collect();
        let readmitted = asked.into_iter().map(|id| (id, self.ask_again(id, &classes)));
        readmitted.filter(|(_, classes)| !classes.is_empty()).collect()
    }

    /// Asks a selection about these classes once more, and tells about which it says something else.
    fn ask_again(&mut self, id: Id, classes: &Ids) -> Vec<Id> {
        let mut changed = Vec::new();
        for class in classes.iter() {
            let is_admitted = self.admits(&self.asked[id].selection, &self.classes[class].likeness);
            let was_admitted = self.asked[id].classes.contains(&class);
            match is_admitted {
                true => {
                    self.classes[class].admitted.insert(id);
                    self.asked[id].classes.insert(class);
                }
                false => {
                    self.classes[class].admitted.remove(id);
                    self.asked[id].classes.remove(&class);
                }
            }
            changed.extend((is_admitted != was_admitted).then_some(class));
        }
        changed
    }

    /// Those of a class live in its namespace.
    pub(super) fn enter_namespace(&mut self, Likeness { namespace, .. }: &Likeness, class: Id) {
        if let Some(name) = namespace {
            self.by_namespace.entry(name.clone()).or_default().insert(class);
        }
    }

    /// There is no such class any more.
    pub(super) fn leave_namespace(&mut self, Likeness { namespace, .. }: &Likeness, class: Id) {
        let Some(name) = namespace else { return };
        let Some(classes) = self.by_namespace.get_mut(name) else { return };
        classes.remove(class);
        if classes.is_empty() {
            self.by_namespace.remove(name);
        }
    }
}
