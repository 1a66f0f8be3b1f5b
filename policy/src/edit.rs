//! A ruleset that is edited in place, and remembers how what was touched had been.
//!
//! In: edits. Out: the changes since they were last taken, at the cost of what was touched and not of what stands.
//! The order of the changes is that of [`delta`](crate::delta), which is asked about the touched parts alone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::{iter, mem};

use crate::delta::{Change, Elements, alter_map, between, between_with, fill_map};
use crate::ruleset::{Atom, Chain, Element, Map, Name, Ruleset, Set, Value, Verdict};
use crate::walk::Book;

/// A ruleset, what was done to it since changes were last taken, and since each mark.
#[derive(Clone, Debug, Default)]
pub struct Edited {
    now: Ruleset,
    pending: Touched,
    marks: BTreeMap<u64, Touched>,
    next_mark: u64,
}

/// A moment that is remembered until it is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(u64);

/// How what was touched had been.
#[derive(Clone, Debug, Default)]
struct Touched {
    chains: BTreeMap<Name, Option<Arc<Chain>>>,
    sets: BTreeMap<Name, Was<Arc<Set>, bool>>,
    maps: BTreeMap<Name, Was<Map, Altered>>,
    counters: BTreeMap<Name, bool>,
}

/// How a set or map had been.
#[derive(Clone, Debug)]
enum Was<T, V> {
    /// It was this as a whole, or it was not.
    Whole(Option<T>),
    /// It stood, and these of its elements were so.
    Elements(BTreeMap<Element, V>),
}

/// Of so many elements of a map it is remembered how each was, and of up to half of them all. Beyond that the map is remembered as it was: one that grew
/// by a hundred thousand was small.
const FEW: usize = 16;

/// What an element of a map led to, and what it leads to: to look for it once more among a hundred thousand costs as much as all else.
#[derive(Clone, Debug)]
struct Altered {
    had: Option<Value>,
    has: Option<Value>,
}

impl Edited {
    /// The ruleset as it is now.
    pub fn ruleset(&self) -> &Ruleset {
        &self.now
    }

    /// The ruleset, and no memory of what was.
    pub fn into_ruleset(self) -> Ruleset {
        self.now
    }

    /// Whether nothing was touched since changes were last taken.
    pub fn is_untouched(&self) -> bool {
        let Touched { chains, sets, maps, counters } = &self.pending;
        chains.is_empty() && sets.is_empty() && maps.is_empty() && counters.is_empty()
    }

    /// Remembers how things are now, at the cost of what is touched from now on.
    pub fn mark(&mut self) -> Mark {
        self.next_mark += 1;
        self.marks.insert(self.next_mark, Touched::default());
        Mark(self.next_mark)
    }

    /// Nobody asks any more how things were then.
    pub fn forget(&mut self, Mark(number): Mark) {
        self.marks.remove(&number);
    }

    /// The ruleset as it was at a mark that is not forgotten.
    pub fn at(&self, Mark(number): Mark) -> Past<'_> {
        Past { now: &self.now, touched: &self.marks[&number] }
    }

    /// The changes since the last time, in an order one transaction can take; none if all edits undid each other.
    pub fn take(&mut self) -> Vec<Change> {
        let (mut old, mut new) = (Ruleset::default(), Ruleset::default());
        let Touched { chains, sets, maps, counters } = mem::take(&mut self.pending);
        for (name, stood) in counters {
            new.counters.extend(self.now.counters.get(&name).cloned());
            old.counters.extend(stood.then_some(name));
        }
        for (name, was) in chains {
            new.chains.extend(self.now.chains.get(&name).map(|chain| (name.clone(), chain.clone())));
            old.chains.extend(was.map(|chain| (name, chain)));
        }
        self.compare_sets(sets, &mut old, &mut new);
        let elements = self.compare_maps(maps, &mut old, &mut new);
        let changes = between_with(Some(&old), &new, elements);
        // A thing of one name whose key or form became another begins everything anew, and so all of it must be told.
        if changes.contains(&Change::Restart) { between(None, &self.now) } else { changes }
    }

    /// Sets as they were and as they are: whole, or the touched elements alone.
    fn compare_sets(&self, touched: BTreeMap<Name, Was<Arc<Set>, bool>>, old: &mut Ruleset, new: &mut Ruleset) {
        for (name, was) in touched {
            let (before, after) = match was {
                Was::Whole(was) => (was, self.now.sets.get(&name).cloned()),
                Was::Elements(was) => parts_of_set(&self.now.sets[&name], was),
            };
            old.sets.extend(before.map(|set| (name.clone(), set)));
            new.sets.extend(after.map(|set| (name, set)));
        }
    }

    /// Maps as they were and as they are, and the changes of elements that are known without comparing.
    fn compare_maps(
        &self,
        touched: BTreeMap<Name, Was<Map, Altered>>,
        old: &mut Ruleset,
        new: &mut Ruleset,
    ) -> Elements {
        let mut elements = Elements::default();
        for (name, was) in touched {
            match was {
                Was::Whole(None) => {
                    let Some(now) = self.now.maps.get(&name) else { continue };
                    elements.coming.extend(fill_map(&name, now));
                    new.maps.insert(name, now.emptied());
                }
                Was::Whole(Some(was)) => match self.now.maps.get(&name) {
                    Some(now) if now.is_shaped_as(&was) => {
                        elements.staying.extend(alter_map(&name, now, &was.elements, &now.elements));
                    }
                    now => {
                        new.maps.extend(now.map(|now| (name.clone(), now.clone())));
                        old.maps.insert(name, was);
                    }
                },
                Was::Elements(was) => elements.staying.extend(alter_touched(&name, &self.now.maps[&name], was)),
            }
        }
        elements
    }

    fn remember(&mut self, note: impl Fn(&mut Touched)) {
        note(&mut self.pending);
        self.marks.values_mut().for_each(note);
    }

    /// Makes a chain be so, or not be.
    pub fn set_chain(&mut self, name: &Name, chain: Option<Chain>) {
        if self.now.chains.get(name).map(Arc::as_ref) == chain.as_ref() {
            return;
        }
        let was = replace(&mut self.now.chains, name, chain.map(Arc::new));
        self.remember(|touched| {
            touched.chains.entry(name.clone()).or_insert_with(|| was.clone());
        });
    }

    /// Makes a set be so, or not be.
    pub fn set_set(&mut self, name: &Name, set: Option<Set>) {
        if self.now.sets.get(name).map(Arc::as_ref) == set.as_ref() {
            return;
        }
        let was = replace(&mut self.now.sets, name, set.map(Arc::new));
        self.remember(|touched| {
            let first = match touched.sets.remove(name) {
                None => was.clone(),
                Some(Was::Whole(first)) => first,
                Some(Was::Elements(elements)) => was.clone().map(|set| elements.into_iter().fold(set, restore_in_set)),
            };
            touched.sets.insert(name.clone(), Was::Whole(first));
        });
    }

    /// Makes a map be so, or not be.
    pub fn set_map(&mut self, name: &Name, map: Option<Map>) {
        if self.now.maps.get(name) == map.as_ref() {
            return;
        }
        let was = replace(&mut self.now.maps, name, map);
        self.remember(|touched| {
            let first = match touched.maps.remove(name) {
                None => was.clone(),
                Some(Was::Whole(first)) => first,
                Some(Was::Elements(elements)) => was.clone().map(|map| elements.into_iter().fold(map, restore_in_map)),
            };
            touched.maps.insert(name.clone(), Was::Whole(first));
        });
    }

    /// Makes an element be in a set that stands, or not be.
    pub fn set_element(&mut self, name: &Name, element: Element, is_in: bool) {
        let set = self.now.sets.get_mut(name).expect("elements are set in sets that stand");
        let set = Arc::make_mut(set);
        let had = if is_in { !set.elements.insert(element.clone()) } else { set.elements.remove(&element) };
        if had == is_in {
            return;
        }
        self.remember(|touched| {
            let was = touched.sets.entry(name.clone()).or_insert_with(|| Was::Elements(BTreeMap::new()));
            if let Was::Elements(was) = was {
                was.entry(element.clone()).or_insert(had);
            }
        });
    }

    /// Makes an element of a map of ids that stands lead to an id, or to nothing.
    pub fn set_id(&mut self, name: &Name, element: Element, id: Option<u64>) {
        self.set_value(name, element, id.map(Value::Id));
    }

    /// Makes an element of a map of counters that stands lead to a counter, or to nothing.
    pub fn set_counted(&mut self, name: &Name, element: Element, counter: Option<Name>) {
        self.set_value(name, element, counter.map(Value::Counter));
    }

    /// Makes an element of a map of verdicts that stands lead to a verdict, or to nothing. The map is to be looked at by element only.
    pub fn set_verdict(&mut self, name: &Name, element: Element, verdict: Option<Verdict>) {
        self.set_value(name, element, verdict.map(Value::Verdict));
    }

    fn set_value(&mut self, name: &Name, element: Element, value: Option<Value>) {
        let map = self.now.maps.get_mut(name).expect("elements are set in maps that stand");
        let had = map.elements.set(element.clone(), value.clone());
        if had == value {
            return;
        }
        for touched in iter::once(&mut self.pending).chain(self.marks.values_mut()) {
            let was = touched.maps.entry(name.clone()).or_insert_with(|| Was::Elements(BTreeMap::new()));
            was.alter(&element, had.as_ref(), value.as_ref(), map);
        }
    }

    /// Makes a counter be, or not be.
    pub fn set_counter(&mut self, name: &Name, stands: bool) {
        let stood = if stands { !self.now.counters.insert(name.clone()) } else { self.now.counters.remove(name) };
        if stood != stands {
            self.remember(|touched| _ = touched.counters.entry(name.clone()).or_insert(stood));
        }
    }
}

/// A ruleset as it was.
#[derive(Clone, Copy)]
pub struct Past<'a> {
    now: &'a Ruleset,
    touched: &'a Touched,
}

impl<'a> Book for Past<'a> {
    fn chains(&self) -> Vec<&Chain> {
        let untouched = self.now.chains.iter().filter(|(name, _)| !self.touched.chains.contains_key(name));
        untouched.map(|(_, chain)| chain).chain(self.touched.chains.values().flatten()).map(Arc::as_ref).collect()
    }

    fn chain(&self, name: &Name) -> Option<&Chain> {
        match self.touched.chains.get(name) {
            Some(was) => was.as_deref(),
            None => self.now.chains.get(name).map(Arc::as_ref),
        }
    }

    fn has(&self, name: &Name, key: &[Atom]) -> Option<bool> {
        match self.touched.sets.get(name) {
            None => self.now.has(name, key),
            Some(Was::Whole(was)) => was.as_ref().map(|set| set.has(key)),
            Some(Was::Elements(was)) => match was.get(&Element::exactly(key.iter().cloned())) {
                Some(was_in) => Some(*was_in),
                None => self.now.has(name, key),
            },
        }
    }

    fn value(&self, name: &Name, key: &[Atom]) -> Option<Option<Value>> {
        match self.touched.maps.get(name) {
            None => self.now.value(name, key),
            Some(Was::Whole(was)) => was.as_ref().map(|map| map.value(key)),
            Some(Was::Elements(was)) => match was.get(&Element::exactly(key.iter().cloned())) {
                Some(altered) => Some(altered.had.clone()),
                None => self.now.value(name, key),
            },
        }
    }

    fn verdicts(&self, name: &Name) -> Option<&Map> {
        match self.touched.maps.get(name) {
            Some(Was::Whole(was)) => was.as_ref(),
            None | Some(Was::Elements(_)) => self.now.maps.get(name),
        }
    }
}

impl Was<Map, Altered> {
    /// An element became another, and the map is this since.
    fn alter(&mut self, element: &Element, had: Option<&Value>, has: Option<&Value>, now: &Map) {
        let Was::Elements(elements) = self else { return };
        let first = || Altered { had: had.cloned(), has: None };
        elements.entry(element.clone()).or_insert_with(first).has = has.cloned();
        if elements.len() > FEW.max(now.elements.len() / 2) {
            *self = Was::Whole(Some(mem::take(elements).into_iter().fold(now.clone(), restore_in_map)));
        }
    }
}

/// The touched elements alone: as they were, and as they are.
fn parts_of_set(now: &Set, was: BTreeMap<Element, bool>) -> (Option<Arc<Set>>, Option<Arc<Set>>) {
    let part = |elements| Some(Arc::new(Set { key: now.key.clone(), form: now.form, elements }));
    let after = was.keys().filter(|element| now.elements.contains(element)).cloned().collect();
    let before = was.into_iter().filter_map(|(element, was_in)| was_in.then_some(element)).collect();
    (part(before), part(after))
}

/// What becomes of the touched elements of a map that stays; as many, and copied once.
fn alter_touched(name: &Name, now: &Map, was: BTreeMap<Element, Altered>) -> Option<Change> {
    let shape = now.emptied();
    let (mut removed, mut added) = (shape.elements.none(), shape.elements.none());
    for (element, Altered { had, has }) in was {
        if had != has {
            if had.is_some() {
                removed.set(element.clone(), had);
            }
            if has.is_some() {
                added.set(element, has);
            }
        }
    }
    let is_same = removed.is_empty() && added.is_empty();
    (!is_same).then(|| Change::AlterMap { name: name.clone(), shape: shape.into(), removed, added })
}

fn restore_in_set(mut set: Arc<Set>, (element, was_in): (Element, bool)) -> Arc<Set> {
    let elements = &mut Arc::make_mut(&mut set).elements;
    if was_in {
        elements.insert(element);
    } else {
        elements.remove(&element);
    }
    set
}

fn restore_in_map(mut map: Map, (element, altered): (Element, Altered)) -> Map {
    map.elements.set(element, altered.had);
    map
}

fn replace<T>(all: &mut BTreeMap<Name, T>, name: &Name, thing: Option<T>) -> Option<T> {
    match thing {
        Some(thing) => all.insert(name.clone(), thing),
        None => all.remove(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delta::apply;
    use crate::ruleset::{Atom, Datatype, Form, MapElements};

    fn name() -> Name {
        Name::new("s")
    }

    fn port(number: u16) -> Element {
        Element::exactly([Atom::Port(number)])
    }

    fn set(ports: &[u16]) -> Set {
        let elements = ports.iter().map(|number| port(*number)).collect();
        Set { key: vec![Datatype::Port], form: Form::Hash, elements }
    }

    #[test]
    fn only_what_differs_in_the_end_is_a_change() {
        let mut edited = Edited::default();
        edited.set_set(&name(), Some(set(&[1, 2])));
        let mut kernel = Ruleset::default();
        apply(&mut kernel, &edited.take());

        edited.set_element(&name(), port(1), false);
        edited.set_element(&name(), port(3), true);
        edited.set_element(&name(), port(1), true);

        let changes = edited.take();
        assert!(
            matches!(&changes[..], [Change::AlterSet { removed, added, .. }] if removed.is_empty() && added.len() == 1)
        );
        apply(&mut kernel, &changes);
        assert_eq!(&kernel, edited.ruleset());
        assert_eq!(edited.take(), []);
    }

    #[test]
    fn a_map_most_of_which_is_touched_changes_and_is_remembered_as_one_of_which_little_is() {
        let ids = |count: u16| MapElements::Ids((0..count).map(|id| (port(1 + id), id.into())).collect());
        let map = |elements| Map { key: vec![Datatype::Port], form: Form::Hash, elements };
        let mut edited = Edited::default();
        edited.set_map(&name(), Some(map(ids(10))));
        let mut kernel = Ruleset::default();
        apply(&mut kernel, &edited.take());
        let mark = edited.mark();

        for id in 10..500 {
            edited.set_id(&name(), port(1 + id), Some(id.into()));
        }
        edited.set_id(&name(), port(1), None);
        edited.set_id(&name(), port(2), Some(7));

        let at_port = |past: &Past<'_>, number| past.value(&name(), &[Atom::Port(number)]);
        let past = edited.at(mark);
        assert_eq!(
            [1, 2, 300].map(|number| at_port(&past, number)),
            [Some(0), Some(1), None].map(|id| Some(id.map(Value::Id)))
        );
        let changes = edited.take();
        assert!(
            matches!(&changes[..], [Change::AlterMap { removed, added, .. }] if (removed.len(), added.len()) == (2, 491))
        );
        apply(&mut kernel, &changes);
        assert_eq!(&kernel, edited.ruleset());
    }

    #[test]
    fn a_set_that_was_touched_and_then_left_leaves_as_it_had_been() {
        let mut edited = Edited::default();
        edited.set_set(&name(), Some(set(&[1])));
        let mut kernel = Ruleset::default();
        apply(&mut kernel, &edited.take());

        edited.set_element(&name(), port(2), true);
        edited.set_set(&name(), None);
        edited.set_set(&name(), Some(set(&[1, 2])));
        apply(&mut kernel, &edited.take());

        assert_eq!(&kernel, edited.ruleset());
    }
}
