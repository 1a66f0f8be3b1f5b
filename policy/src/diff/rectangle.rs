//! Joins pairs into few rectangles: these sources to those destinations.

use std::collections::{BTreeMap, BTreeSet};

/// Ordered pairs of classes.
pub(super) type Pairs = BTreeSet<(usize, usize)>;

/// Sources and destinations, each pair of which is one of the pairs.
type Rectangle = (Vec<usize>, Vec<usize>);

/// Disjoint rectangles that hold exactly the pairs. A class of one address alone has no pair with itself, and so it may
/// stand on both sides or not, whichever makes fewer rectangles.
pub(super) fn rectangles(pairs: &Pairs, is_alone: impl Fn(usize) -> bool) -> Vec<Rectangle> {
    let turned: Pairs = pairs.iter().map(|(source, destination)| (*destination, *source)).collect();
    let by_source = rows(pairs, &is_alone);
    let by_destination = rows(&turned, &is_alone);
    match by_source.len() <= by_destination.len() {
        true => by_source,
        false => by_destination.into_iter().map(|(destinations, sources)| (sources, destinations)).collect(),
    }
}

/// Rows with equal columns stand together.
fn rows(pairs: &Pairs, is_alone: impl Fn(usize) -> bool) -> Vec<Rectangle> {
    let mut columns: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for (row, column) in pairs {
        columns.entry(*row).or_default().insert(*column);
    }
    let widened = |row: usize, columns: &BTreeSet<usize>| {
        let mut wide = columns.clone();
        wide.extend(is_alone(row).then_some(row));
        wide
    };
    let mut wide_rows: BTreeMap<BTreeSet<usize>, usize> = BTreeMap::new();
    for (row, columns) in &columns {
        *wide_rows.entry(widened(*row, columns)).or_default() += 1;
    }
    let mut groups: BTreeMap<BTreeSet<usize>, Vec<usize>> = BTreeMap::new();
    for (row, columns) in &columns {
        let wide = widened(*row, columns);
        let key = if wide_rows[&wide] > 1 { wide } else { columns.clone() };
        groups.entry(key).or_default().push(*row);
    }
    groups.into_iter().map(|(columns, rows)| (rows, columns.into_iter().collect())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_to_all_is_one_rectangle_though_nobody_is_paired_with_itself() {
        let pairs = [(1, 2), (1, 3), (2, 1), (2, 3), (3, 1), (3, 2)].into();
        assert_eq!(rectangles(&pairs, |_| true), [(vec![1, 2, 3], vec![1, 2, 3])]);
    }

    #[test]
    fn the_side_that_makes_fewer_is_taken() {
        let pairs = [(1, 8), (2, 8), (2, 9), (3, 9)].into();
        assert_eq!(rectangles(&pairs, |_| true), [(vec![1, 2], vec![8]), (vec![2, 3], vec![9])]);
    }
}
