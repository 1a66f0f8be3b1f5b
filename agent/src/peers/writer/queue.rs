//! What waits to be written over one connection.
//!
//! In: pieces, in order, which may wait for others too. Out: the next octets for one write, however the pieces are cut. Nothing is copied: a piece
//! goes when its last octet is taken here.

use std::collections::VecDeque;
use std::io::IoSlice;

use poplin_bgp::Octets;

/// So many pieces are written at once. One holds what a neighbour said in one reading: a few are more than a socket takes, and
/// of small ones so many are a segment or two.
const PIECES: usize = 64;

/// Pieces of octets, of which the first may be taken in part.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pieces: VecDeque<Octets>,
    /// How many leading octets of the first are taken.
    taken: usize,
    left: usize,
}

impl Queue {
    /// Puts octets after all others.
    pub(super) fn put(&mut self, piece: Octets) {
        if !piece.is_empty() {
            self.left += piece.len();
            self.pieces.push_back(piece);
        }
    }

    /// How many octets wait.
    pub(super) fn left(&self) -> usize {
        self.left
    }

    /// What is to be written next; empty if nothing waits.
    pub(super) fn next(&self) -> Vec<IoSlice<'_>> {
        let mut next: Vec<_> = self.pieces.iter().take(PIECES).map(|piece| IoSlice::new(piece)).collect();
        if let Some(first) = next.first_mut() {
            first.advance(self.taken);
        }
        next
    }

    /// So many octets of that were written. No room is kept when nothing waits: there may be many of us.
    pub(super) fn took(&mut self, count: usize) {
        self.left = self.left.saturating_sub(count);
        self.taken += count;
        while let Some(octets) = self.pieces.front().map(|piece| piece.len())
            && octets <= self.taken
        {
            self.taken -= octets;
            self.pieces.pop_front();
        }
        if self.pieces.is_empty() {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octets(range: std::ops::Range<u16>) -> Vec<u8> {
        range.map(|number| u8::try_from(number % 251).expect("less than 251")).collect()
    }

    /// Pieces of these sizes, and all of them in a row.
    fn queue(sizes: &[u16]) -> (Queue, Vec<u8>) {
        let mut queue = Queue::default();
        let mut end = 0;
        for size in sizes {
            queue.put(octets(end..end + size).into());
            end += size;
        }
        (queue, octets(0..end))
    }

    /// What is written when never more than so many octets are taken at once.
    fn written(queue: &mut Queue, most: usize) -> Vec<u8> {
        let mut written = Vec::new();
        while queue.left() > 0 {
            let next: Vec<u8> = queue.next().iter().flat_map(|slice| slice.iter().copied()).take(most).collect();
            assert!(!next.is_empty(), "{} octets wait", queue.left());
            queue.took(next.len());
            written.extend(next);
        }
        written
    }

    #[test]
    fn short_writes_cut_pieces_anywhere_and_lose_nothing() {
        for most in 1..20 {
            let (mut queue, all) = queue(&[1, 7, 0, 3, 12, 1, 1, 5]);

            assert_eq!(written(&mut queue, most), all, "{most} at once");
            assert!(queue.next().is_empty());
        }
    }

    #[test]
    fn more_pieces_than_are_written_at_once_go_in_order() {
        let (mut queue, all) = queue(&[3; 3 * PIECES + 1]);

        assert_eq!(queue.next().len(), PIECES);
        assert_eq!(written(&mut queue, usize::MAX), all);
    }

    #[test]
    fn a_piece_is_let_go_when_its_last_octet_is_taken() {
        let shared = Octets::from(octets(0..10));
        let (mut one, mut other) = (Queue::default(), Queue::default());
        one.put(shared.clone());
        other.put(shared.clone());

        one.took(10);
        other.took(9);

        assert!(one.pieces.is_empty());
        assert!(other.pieces[0].is_shared_with(&shared));
        assert_eq!((one.left(), other.left()), (0, 1));
    }
}
