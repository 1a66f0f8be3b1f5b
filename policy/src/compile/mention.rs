//! Who asks about address sets: by their names, or by labels they may have.
//!
//! In: what is asked, and by whom. Out: for a set that comes, changes or goes those it may concern, and for a namespace whose labels
//! become others those who ask about what lives there; nobody else is looked at. Knows nothing of what the sets hold.

use std::collections::{BTreeMap, BTreeSet};

use super::few::Few;
use super::pairs::Pairs;
use super::slab::{Id, Slab};
use crate::label::Labels;
use crate::model::{QualifiedName, Scope, Selection};

/// What is asked, by name and by selection.
#[derive(Clone, Debug)]
pub(super) struct Mentions<W> {
    by_name: BTreeMap<QualifiedName, Few<W, ()>>,
    selections: Slab<Mentioned<W>>,
    ids: BTreeMap<Selection, Id>,
    /// Selections by a pair of key and value they cannot do without.
    pairs: Pairs,
    /// Selections that name no such pair.
    by_nothing: BTreeSet<Id>,
    /// Selections that look at labels of namespaces.
    by_namespaces: BTreeSet<Id>,
}

/// A selection, and who asks about it.
#[derive(Clone, Debug)]
struct Mentioned<W> {
    selection: Selection,
    by: Few<W, ()>,
}

impl<W> Default for Mentions<W> {
    fn default() -> Self {
        Self {
            by_name: BTreeMap::new(),
            selections: Slab::default(),
            ids: BTreeMap::new(),
            pairs: Pairs::default(),
            by_nothing: BTreeSet::new(),
            by_namespaces: BTreeSet::new(),
        }
    }
}

impl<W: Clone + Ord> Mentions<W> {
    /// Somebody asks about a set by its name, or does not any more.
    pub(super) fn name(&mut self, set: &QualifiedName, who: &W, asks: bool) {
        if asks {
            self.by_name.entry(set.clone()).or_default().insert(who.clone(), ());
        } else if let Some(by) = self.by_name.get_mut(set) {
            by.remove(who);
            if by.is_empty() {
                self.by_name.remove(set);
            }
        }
    }

    /// Somebody asks about the sets of a selection, or does not any more.
    pub(super) fn select(&mut self, selection: &Selection, who: &W, asks: bool) {
        match (self.ids.get(selection).copied(), asks) {
            (Some(id), true) => _ = self.selections[id].by.insert(who.clone(), ()),
            (None, true) => self.begin(selection, who),
            (Some(id), false) => {
                self.selections[id].by.remove(who);
                if self.selections[id].by.is_empty() {
                    self.end(id);
                }
            }
            (None, false) => {}
        }
    }

    fn begin(&mut self, selection: &Selection, who: &W) {
        let mut by = Few::default();
        by.insert(who.clone(), ());
        let id = self.selections.insert(Mentioned { selection: selection.clone(), by });
        self.ids.insert(selection.clone(), id);
        match selection.labels.required() {
            None => _ = self.by_nothing.insert(id),
            Some(pairs) => {
                pairs.into_iter().for_each(|(key, value)| self.pairs.change(key, value, |pair| pair.askers.insert(id)));
            }
        }
        if let Scope::Namespaces(_) = selection.scope {
            self.by_namespaces.insert(id);
        }
    }

    fn end(&mut self, id: Id) {
        let Mentioned { selection, .. } = self.selections.remove(id);
        self.ids.remove(&selection);
        self.by_nothing.remove(&id);
        self.by_namespaces.remove(&id);
        for (key, value) in selection.labels.required().into_iter().flatten() {
            self.pairs.change(key, value, |pair| pair.askers.remove(id));
        }
    }

    /// Those whom a set concerns that has one of these labels, or had; `declared` are the labels of its namespace, if it has any.
    pub(super) fn of_set(&self, set: &QualifiedName, labels: &[&Labels], declared: Option<&Labels>) -> BTreeSet<W> {
        let mut concerned: BTreeSet<W> = self.by_name.get(set).into_iter().flat_map(Few::keys).cloned().collect();
        for labels in labels {
            let pairs = labels.iter().filter_map(|(key, value)| self.pairs.of(key, value));
            let by_pair = pairs.flat_map(|pair| pair.askers.iter());
            for id in self.by_nothing.iter().copied().chain(by_pair) {
                let Mentioned { selection, by } = &self.selections[id];
                if selection.scope.has(set.namespace(), declared) && selection.labels.admits(labels) {
                    concerned.extend(by.keys().cloned());
                }
            }
        }
        concerned
    }

    /// The selections that a namespace with these labels is within and with those is not, or the other way round, each with who asks
    /// about it.
    pub(super) fn of_namespace<'m>(
        &'m self,
        name: &'m str,
        before: Option<&'m Labels>,
        after: Option<&'m Labels>,
    ) -> impl Iterator<Item = (&'m Selection, &'m Few<W, ()>)> {
        let looking = self.by_namespaces.iter().map(|id| &self.selections[*id]);
        let differing = looking.filter(move |Mentioned { selection: Selection { scope, .. }, .. }| {
            scope.has(Some(name), before) != scope.has(Some(name), after)
        });
        differing.map(|Mentioned { selection, by }| (selection, by))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selector::Selector;

    fn labels(text: &str) -> Labels {
        Labels::try_from_pairs(text.split(',').filter_map(|pair| pair.split_once('='))).unwrap()
    }

    fn select(text: &str, scope: Scope) -> Selection {
        Selection { labels: Selector::parse(text).unwrap(), scope }
    }

    #[test]
    fn a_set_concerns_who_names_it_and_whose_selection_its_labels_fit() {
        let mut mentions = Mentions::default();
        let office = QualifiedName::within("shop", "office");
        mentions.name(&office, &"by name", true);
        mentions.name(&QualifiedName::global("office"), &"another of that name", true);
        mentions.select(&select("site == 'here'", Scope::Anywhere), &"by label", true);
        mentions.select(&select("site != 'there'", Scope::Anywhere), &"by what it lacks", true);
        mentions.select(&select("site == 'here'", Scope::Namespace("bank".to_owned())), &"elsewhere", true);
        let none = Labels::default();
        let ask = |mentions: &Mentions<&'static str>, before: &Labels, after: &Labels| {
            mentions.of_set(&office, &[before, after], None).into_iter().collect::<Vec<_>>()
        };

        assert_eq!(ask(&mentions, &none, &labels("site=here")), ["by label", "by name", "by what it lacks"]);
        assert_eq!(ask(&mentions, &labels("site=there"), &labels("site=there")), ["by name"]);

        mentions.name(&office, &"by name", false);
        mentions.select(&select("site == 'here'", Scope::Anywhere), &"by label", false);
        mentions.select(&select("site != 'there'", Scope::Anywhere), &"by what it lacks", false);
        assert_eq!(ask(&mentions, &none, &labels("site=here")), Vec::<&str>::new());
    }

    #[test]
    fn a_namespace_concerns_who_asks_for_a_label_it_gets_or_loses() {
        let mut mentions = Mentions::default();
        for (tier, who) in [("front", 1), ("back", 2)] {
            let scope = Scope::Namespaces(Selector::parse(&format!("tier == '{tier}'")).unwrap());
            mentions.select(&select("all()", scope), &who, true);
        }
        let [front, back] = ["tier=front", "tier=back"].map(labels);
        let ask = |before: Option<&Labels>, after: Option<&Labels>| {
            mentions.of_namespace("shop", before, after).flat_map(|(_, by)| by.keys()).copied().collect::<Vec<_>>()
        };

        assert_eq!(ask(None, Some(&front)), [1]);
        assert_eq!(ask(Some(&front), Some(&back)), [1, 2]);
        assert_eq!(ask(Some(&front), Some(&front)), Vec::<i32>::new());
    }
}
