//! Sets of small numbers, a bit each: which rules an end satisfies, which intervals a list of prefixes covers.
//!
//! All sets that are compared or joined are over the same range of numbers.

/// A set of numbers below a size that was given when it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Bits(Vec<u64>);

impl Bits {
    /// No number below `size`.
    pub(crate) fn none(size: usize) -> Self {
        Self(vec![0; size.div_ceil(64)])
    }

    /// Those numbers below `size` that the question admits.
    pub(crate) fn where_(size: usize, mut admits: impl FnMut(usize) -> bool) -> Self {
        let mut bits = Self::none(size);
        for number in (0..size).filter(|number| admits(*number)) {
            bits.insert(number);
        }
        bits
    }

    pub(crate) fn insert(&mut self, number: usize) {
        self.0[number / 64] |= 1 << (number % 64);
    }

    pub(crate) fn contains(&self, number: usize) -> bool {
        self.0[number / 64] >> (number % 64) & 1 == 1
    }

    /// Takes the other's numbers out.
    pub(crate) fn remove_all(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(word, less)| *word &= !less);
    }

    /// Keeps only the other's numbers.
    pub(crate) fn keep(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(word, kept)| *word &= kept);
    }

    /// The numbers of both, in order, without making a set of them.
    pub(crate) fn both<'b>(&'b self, other: &'b Self) -> impl Iterator<Item = usize> + 'b {
        let words = self.0.iter().zip(&other.0).enumerate();
        words.flat_map(|(place, (left, right))| numbers_of(place, left & right))
    }

    /// Its numbers, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().enumerate().flat_map(|(place, word)| numbers_of(place, *word))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }
}

fn numbers_of(place: usize, mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let next = (word != 0).then(|| word.trailing_zeros() as usize)?;
        word &= word - 1;
        Some(place * 64 + next)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_in_order_across_words() {
        let bits = Bits::where_(200, |number| [3, 63, 64, 199].contains(&number));
        let even = Bits::where_(200, |number| number % 2 == 0);

        assert_eq!(bits.iter().collect::<Vec<_>>(), [3, 63, 64, 199]);
        assert_eq!(bits.both(&even).collect::<Vec<_>>(), [64]);
    }
}
