//! Sets and maps with nothing in them, what two maps' elements have apart, and how one becomes the other.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use crate::ruleset::{Element, Map, MapElements, Set, Value};

impl Set {
    /// The same set with nothing in it.
    pub fn emptied(&self) -> Self {
        Self { key: self.key.clone(), form: self.form, elements: BTreeSet::new() }
    }
}

impl Map {
    /// The same map with nothing in it.
    pub fn emptied(&self) -> Self {
        Self { key: self.key.clone(), form: self.form, elements: self.elements.none() }
    }

    /// Whether one can become the other by elements alone.
    pub fn is_shaped_as(&self, other: &Self) -> bool {
        let kind = |map: &Self| mem::discriminant(&map.elements);
        (&self.key, self.form, kind(self)) == (&other.key, other.form, kind(other))
    }
}

impl MapElements {
    /// No elements, of the same kind.
    pub fn none(&self) -> Self {
        match self {
            MapElements::Ids(_) => MapElements::Ids(BTreeMap::new()),
            MapElements::Verdicts(_) => MapElements::Verdicts(BTreeMap::new()),
            MapElements::Counters(_) => MapElements::Counters(BTreeMap::new()),
            MapElements::Sockets4(_) => MapElements::Sockets4(BTreeMap::new()),
            MapElements::Sockets6(_) => MapElements::Sockets6(BTreeMap::new()),
            MapElements::Addresses4(_) => MapElements::Addresses4(BTreeMap::new()),
            MapElements::Addresses6(_) => MapElements::Addresses6(BTreeMap::new()),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            MapElements::Ids(all) => all.len(),
            MapElements::Verdicts(all) => all.len(),
            MapElements::Counters(all) => all.len(),
            MapElements::Sockets4(all) => all.len(),
            MapElements::Sockets6(all) => all.len(),
            MapElements::Addresses4(all) => all.len(),
            MapElements::Addresses6(all) => all.len(),
        }
    }

    /// Makes a key lead to something, or to nothing. Tells what it led to.
    pub(crate) fn set(&mut self, key: Element, value: Option<Value>) -> Option<Value> {
        match (self, value) {
            (MapElements::Ids(ids), Some(Value::Id(id))) => ids.insert(key, id).map(Value::Id),
            (MapElements::Ids(ids), None) => ids.remove(&key).map(Value::Id),
            (MapElements::Counters(all), Some(Value::Counter(name))) => all.insert(key, name).map(Value::Counter),
            (MapElements::Counters(all), None) => all.remove(&key).map(Value::Counter),
            (MapElements::Verdicts(all), Some(Value::Verdict(to))) => all.insert(key, to).map(Value::Verdict),
            (MapElements::Verdicts(all), None) => all.remove(&key).map(Value::Verdict),
            _ => panic!("a map holds one kind of values"),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements that the other, of the same kind, has not, or has with another value.
    pub fn without(&self, other: &Self) -> Self {
        match (self, other) {
            (MapElements::Ids(all), MapElements::Ids(other)) => MapElements::Ids(difference(all, other)),
            (MapElements::Verdicts(all), MapElements::Verdicts(other)) => MapElements::Verdicts(difference(all, other)),
            (MapElements::Counters(all), MapElements::Counters(other)) => MapElements::Counters(difference(all, other)),
            (MapElements::Sockets4(all), MapElements::Sockets4(other)) => MapElements::Sockets4(difference(all, other)),
            (MapElements::Sockets6(all), MapElements::Sockets6(other)) => MapElements::Sockets6(difference(all, other)),
            (MapElements::Addresses4(all), MapElements::Addresses4(other)) => {
                MapElements::Addresses4(difference(all, other))
            }
            (MapElements::Addresses6(all), MapElements::Addresses6(other)) => {
                MapElements::Addresses6(difference(all, other))
            }
            _ => panic!("maps of two kinds have nothing to compare"),
        }
    }

    /// Removes elements that are there and then adds some that are not, all of the same kind.
    pub(crate) fn exchange(&mut self, removed: &Self, added: Self) {
        match (self, removed, added) {
            (MapElements::Ids(all), MapElements::Ids(removed), MapElements::Ids(added)) => {
                exchange(all, removed, added)
            }
            (MapElements::Verdicts(all), MapElements::Verdicts(removed), MapElements::Verdicts(added)) => {
                exchange(all, removed, added);
            }
            (MapElements::Counters(all), MapElements::Counters(removed), MapElements::Counters(added)) => {
                exchange(all, removed, added);
            }
            (MapElements::Sockets4(all), MapElements::Sockets4(removed), MapElements::Sockets4(added)) => {
                exchange(all, removed, added);
            }
            (MapElements::Sockets6(all), MapElements::Sockets6(removed), MapElements::Sockets6(added)) => {
                exchange(all, removed, added);
            }
            (MapElements::Addresses4(all), MapElements::Addresses4(removed), MapElements::Addresses4(added)) => {
                exchange(all, removed, added);
            }
            (MapElements::Addresses6(all), MapElements::Addresses6(removed), MapElements::Addresses6(added)) => {
                exchange(all, removed, added);
            }
            _ => panic!("maps of two kinds have nothing to exchange"),
        }
    }
}

fn difference<K: Ord + Clone, V: PartialEq + Clone>(all: &BTreeMap<K, V>, other: &BTreeMap<K, V>) -> BTreeMap<K, V> {
    let only = all.iter().filter(|(key, value)| other.get(key) != Some(value));
    only.map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn exchange<K: Ord, V: PartialEq>(all: &mut BTreeMap<K, V>, removed: &BTreeMap<K, V>, added: BTreeMap<K, V>) {
    for (key, value) in removed {
        assert!(all.remove(key).as_ref() == Some(value), "an element to remove is there, with its value");
    }
    for (key, value) in added {
        assert!(all.insert(key, value).is_none(), "an element to add is not there yet");
    }
}
