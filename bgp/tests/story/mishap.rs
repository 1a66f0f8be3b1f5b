//! What befalls many speakers at random times.

use proptest::{collection::vec, prelude::*};

/// What befalls them at one time; numbers are taken modulo.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mishap {
    /// Nothing passes over a session from now on, and nobody is told.
    Silence(usize),
    /// A connection breaks.
    Reset(usize),
    /// A speaker dies and begins anew; its neighbours are told, or are not.
    Death(usize, bool),
    /// Nothing passes between some and the others; who they are the number says.
    Partition(usize),
    /// All sessions that are silent pass again what was sent.
    Mended,
}

/// Years that each end in rest: what befalls them, and how many seconds pass after each.
pub(crate) type Years = Vec<Vec<(Mishap, u64)>>;

/// Some years, in which partitions of these numbers are so likely.
pub(crate) fn years(weight: u32, partitions: std::ops::Range<usize>) -> impl Strategy<Value = Years> {
    let whom = || any::<u16>().prop_map(usize::from);
    let mishap = prop_oneof![
        4 => whom().prop_map(Mishap::Silence),
        2 => whom().prop_map(Mishap::Reset),
        2 => (whom(), any::<bool>()).prop_map(|(whom, are_told)| Mishap::Death(whom, are_told)),
        weight => partitions.prop_map(Mishap::Partition),
        1 => Just(Mishap::Mended),
    ];
    vec(vec((mishap, prop_oneof![Just(0), 0u64..40, 80u64..120]), 1..6), 1..4)
}
