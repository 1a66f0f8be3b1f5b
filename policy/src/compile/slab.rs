//! Things numbered as they come; a number is given out again once its thing is gone.

use std::ops::{Index, IndexMut};

/// The number of a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Id(u32);

impl Id {
    fn at(index: usize) -> Self {
        Self(u32::try_from(index).expect("there are fewer than four billion things of a kind"))
    }

    fn index(self) -> usize {
        self.0 as usize
    }
}

/// Numbered things.
#[derive(Clone, Debug)]
pub(super) struct Slab<T> {
    things: Vec<Option<T>>,
    free: Vec<Id>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { things: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    /// The number the next thing gets.
    pub(super) fn next(&self) -> Id {
        self.free.last().copied().unwrap_or_else(|| Id::at(self.things.len()))
    }

    pub(super) fn insert(&mut self, thing: T) -> Id {
        let id = self.next();
        match self.free.pop() {
            Some(id) => self.things[id.index()] = Some(thing),
            None => self.things.push(Some(thing)),
        }
        id
    }

    pub(super) fn remove(&mut self, id: Id) -> T {
        self.free.push(id);
        self.things[id.index()].take().expect("a number stands for a thing until it is removed")
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Id, &T)> {
        self.things.iter().enumerate().filter_map(|(index, thing)| Some((Id::at(index), thing.as_ref()?)))
    }
}

impl<T> Index<Id> for Slab<T> {
    type Output = T;

    fn index(&self, id: Id) -> &T {
        self.things[id.index()].as_ref().expect("a number stands for a thing until it is removed")
    }
}

impl<T> IndexMut<Id> for Slab<T> {
    fn index_mut(&mut self, id: Id) -> &mut T {
        self.things[id.index()].as_mut().expect("a number stands for a thing until it is removed")
    }
}
