//! Keeps what is said again and again once in memory.
//!
//! In: attributes, and words about routes. Out: the same, shared with whoever said the same before, be it in another update or another neighbour.
//! Whether two are one is never asked by anybody else: sharing saves memory and changes no answer.
//!
//! Found by a hash of 64 bits, in a tree rather than a hash table: nobody outside can make it slow by what he says. Of two with one hash the later
//! takes the place, and only sharing is lost.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    hash::{Hash, Hasher},
    sync::Arc,
};

use crate::wire::Attributes;

use super::Word;

/// What is held in the table, each once.
#[derive(Debug, Default)]
pub(crate) struct Said {
    attributes: Shared<Attributes>,
    words: Shared<Word>,
    /// How much has happened since it was last tidied, in updates and prefixes that went.
    changes: usize,
}

/// Values by their hash.
#[derive(Debug)]
struct Shared<T> {
    known: BTreeMap<u64, Arc<T>>,
}

/// Below so many there is nothing to gain by tidying.
const FEW: usize = 1024;

impl Said {
    pub(crate) fn attributes(&mut self, attributes: Attributes) -> Arc<Attributes> {
        self.attributes.share(attributes)
    }

    /// Its parts are shared already.
    pub(crate) fn word(&mut self, word: Word) -> Arc<Word> {
        self.words.share(word)
    }

    /// An update came, by which so many prefixes went. As many look-ups follow as there were changes before, so each costs its share.
    pub(crate) fn changed(&mut self, gone: usize) {
        self.changes += 1 + gone;
        if self.changes > FEW.max(self.words.known.len()) {
            self.tidy();
        }
    }

    /// Lets go of what nobody holds any more.
    pub(crate) fn tidy(&mut self) {
        self.changes = 0;
        self.words.tidy(); // they hold attributes
        self.attributes.tidy();
    }
}

impl<T: Hash + PartialEq> Shared<T> {
    fn share(&mut self, value: T) -> Arc<T> {
        let mut hasher = Mixer::default();
        value.hash(&mut hasher);
        let hash = hasher.finish();
        match self.known.entry(hash) {
            Entry::Vacant(place) => Arc::clone(place.insert(Arc::new(value))),
            Entry::Occupied(known) if **known.get() == value => Arc::clone(known.get()),
            Entry::Occupied(mut other) => {
                other.insert(Arc::new(value));
                Arc::clone(other.get())
            }
        }
    }

    fn tidy(&mut self) {
        self.known.retain(|_, value| Arc::strong_count(value) > 1);
    }
}

/// A hash that costs a few instructions for each number: much is hashed, and a bad one costs no more than sharing.
#[derive(Debug, Default)]
struct Mixer(u64);

impl Mixer {
    fn mix(&mut self, number: u64) {
        // Odd, and without a pattern: the golden ratio's first 64 bits.
        const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(FACTOR);
    }
}

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, octets: &[u8]) {
        let (whole, rest) = octets.as_chunks::<8>();
        whole.iter().for_each(|one| self.mix(u64::from_le_bytes(*one)));
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        if !rest.is_empty() {
            self.mix(u64::from_le_bytes(last));
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.mix(number.into());
    }

    fn write_u32(&mut self, number: u32) {
        self.mix(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        self.mix(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.mix(number as u64);
    }

    fn write_isize(&mut self, number: isize) {
        self.mix(number as u64);
    }
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self { known: BTreeMap::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Asn,
        wire::{AsPath, Origin},
    };

    fn through(asn: u32) -> Attributes {
        Attributes::new(Origin::Igp, AsPath::through([Asn(asn)]))
    }

    #[test]
    fn equal_attributes_are_one_and_others_are_not() {
        let mut said = Said::default();

        let (first, again, other) =
            (said.attributes(through(1)), said.attributes(through(1)), said.attributes(through(2)));

        assert!(Arc::ptr_eq(&first, &again) && !Arc::ptr_eq(&first, &other));
    }

    #[test]
    fn what_nobody_holds_any_more_goes_and_what_somebody_holds_stays() {
        let mut said = Said::default();
        let held = said.attributes(through(0));
        (1..=5000).for_each(|asn| drop(said.attributes(through(asn))));

        said.changed(FEW);

        assert_eq!(said.attributes.known.len(), 1);
        assert!(Arc::ptr_eq(&held, &said.attributes(through(0))));
    }
}
