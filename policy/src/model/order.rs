//! Where a tier or policy stands among its siblings.

use std::cmp::Ordering;

use thiserror::Error;

/// A place in a row: lower comes first. An absent order stands after every present one; ties go by name.
/// Fractions are welcome, so that something always fits between two neighbours.
#[derive(Clone, Copy, Debug)]
pub struct Order(f64);

/// The number was NaN, which stands nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("an order must be a number")]
pub struct NotAnOrder;

impl Order {
    /// The number.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Order {
    type Error = NotAnOrder;

    fn try_from(number: f64) -> Result<Self, NotAnOrder> {
        // Adding zero turns -0.0 into 0.0, which people write alike.
        if number.is_nan() { Err(NotAnOrder) } else { Ok(Self(number + 0.0)) }
    }
}

impl Ord for Order {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Order {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Order {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Order {}

impl Order {
    /// The key things are sorted by: absent orders last, ties by name.
    pub(crate) fn standing<N>(order: Option<Self>, name: N) -> (bool, Option<Self>, N) {
        (order.is_none(), order, name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lower_comes_first_absent_last_ties_by_name() {
        let order = |number: f64| Some(Order::try_from(number).unwrap());
        let mut row =
            [(None, "a"), (order(2.0), "b"), (order(-0.0), "d"), (order(0.0), "c"), (order(f64::INFINITY), "e")];

        row.sort_by(|left, right| Order::standing(left.0, left.1).cmp(&Order::standing(right.0, right.1)));

        assert_eq!(row.map(|(_, name)| name), ["c", "d", "b", "e", "a"]);
    }

    #[test]
    fn what_is_no_number_is_no_order() {
        assert_eq!(Order::try_from(f64::NAN), Err(NotAnOrder));
    }
}
