//! Things numbered as they come; a number is given out again once its thing is gone.

use std::ops::{Index, IndexMut};

/// The number of a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Id(usize);

/// Numbered things.
#[derive(Clone, Debug)]
pub(super) struct Slab<T> {
    things: Vec<Option<T>>,
    free: Vec<usize>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { things: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    pub(super) fn insert(&mut self, thing: T) -> Id {
        match self.free.pop() {
            Some(index) => {
                self.things[index] = Some(thing);
                Id(index)
            }
            None => {
                self.things.push(Some(thing));
                Id(self.things.len() - 1)
            }
        }
    }

    pub(super) fn remove(&mut self, Id(index): Id) -> T {
        self.free.push(index);
        self.things[index].take().expect("a number stands for a thing until it is removed")
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Id, &T)> {
        self.things.iter().enumerate().filter_map(|(index, thing)| Some((Id(index), thing.as_ref()?)))
    }
}

impl<T> Index<Id> for Slab<T> {
    type Output = T;

    fn index(&self, Id(index): Id) -> &T {
        self.things[index].as_ref().expect("a number stands for a thing until it is removed")
    }
}

impl<T> IndexMut<Id> for Slab<T> {
    fn index_mut(&mut self, Id(index): Id) -> &mut T {
        self.things[index].as_mut().expect("a number stands for a thing until it is removed")
    }
}
