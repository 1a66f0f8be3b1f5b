//! How many paths each neighbour has in the table, by family.
//!
//! Paths come in long runs from one neighbour: where it stands is remembered, and searched for only when another one speaks.

use crate::{Address, wire::Family};

/// The count of each neighbour that has any.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// By neighbour: those of IPv4, then those of IPv6.
    counts: Vec<(Address, [usize; 2])>,
    /// Where the one asked for last stands.
    last: usize,
}

impl Counts {
    pub(super) fn get(&self, neighbour: Address, family: Family) -> usize {
        self.position(neighbour).map_or(0, |position| self.counts[position].1[place(family)])
    }

    /// One path more.
    pub(super) fn more(&mut self, neighbour: Address, family: Family) {
        self.last = self.position(neighbour).unwrap_or_else(|position| {
            self.counts.insert(position, (neighbour, [0; 2]));
            position
        });
        self.counts[self.last].1[place(family)] += 1;
    }

    /// One path less; a neighbour without any is not counted.
    pub(super) fn less(&mut self, neighbour: Address, family: Family) {
        let Ok(position) = self.position(neighbour) else { return };
        let counts = &mut self.counts[position].1;
        counts[place(family)] = counts[place(family)].saturating_sub(1);
        if *counts == [0; 2] {
            self.counts.remove(position);
        }
    }

    fn position(&self, neighbour: Address) -> Result<usize, usize> {
        match self.counts.get(self.last) {
            Some((last, _)) if *last == neighbour => Ok(self.last),
            Some(_) | None => self.counts.binary_search_by_key(&neighbour, |(neighbour, _)| *neighbour),
        }
    }
}

fn place(family: Family) -> usize {
    match family {
        Family::Ipv4 => 0,
        Family::Ipv6 => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_counted_apart_in_whatever_order_they_speak() {
        let [one, two, three] = ["192.0.2.1", "192.0.2.2", "2001:db8::3"].map(|text| text.parse::<Address>().unwrap());
        let mut counts = Counts::default();
        for neighbour in [two, two, three, one, two] {
            counts.more(neighbour, Family::Ipv4);
        }
        counts.more(one, Family::Ipv6);
        counts.less(three, Family::Ipv4);
        counts.less(three, Family::Ipv4);
        counts.less(two, Family::Ipv4);
        counts.less(two, Family::Ipv6);

        let of = |neighbour| Family::ALL.map(|family| counts.get(neighbour, family));
        assert_eq!([one, two, three].map(of), [[1, 1], [2, 0], [0, 0]]);
    }
}
