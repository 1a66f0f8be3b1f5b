//! Reads the steps from a packet to a verdict by way of ids, by the registers their parts stand in.
//!
//! In: the expressions of a rule after those that open the steps. Out: the steps, or nothing. What is left out here is told by writing
//! them again; see [`rule`](super::rule).

use poplin_policy::ruleset::{Asks, AtPort, Dispatch, Field, Name, Origin};

use super::data;
use super::expression::Expression;
use super::rule::loaded_at;
use crate::kernel::nft::number::NFT_REG_VERDICT;
use crate::kernel::nft::steps::{FURTHER, ID, NEXT, SECOND_ID};

/// A dispatch.
pub(super) fn dispatch(all: &[Expression]) -> Option<Dispatch> {
    let mut ids = all.iter().filter_map(|expression| found_in(expression, ID));
    let from = origin(all, &fields_from(all, FURTHER), &mut ids)?;
    let joined = all.iter().filter_map(loaded_at).find(|(register, _)| *register == NEXT);
    let and = joined.map(|(_, field)| field).zip(ids.next());
    Some(Dispatch { from, and, counters: counters(all), verdicts: verdicts(all)? })
}

/// The steps at a port. What leads to the path is loaded first, and in its place, after that, the address that is asked for.
pub(super) fn at_port(all: &[Expression]) -> Option<AtPort> {
    let mut loaded = fields_from(all, FURTHER);
    let path = origin(all, &loaded[..loaded.len().min(1)], &mut all.iter().filter_map(|one| found_in(one, ID)))?;
    let mut found = all.iter().filter_map(|expression| found_in(expression, SECOND_ID));
    let asks = match (found.next(), found.next()) {
        (Some(questions), Some(owners)) => Some(Asks { questions, field: loaded.pop()?, owners }),
        (Some(_), None) => return None,
        (None, _) => None,
    };
    Some(AtPort { path, asks, counters: counters(all)?, verdicts: verdicts(all)? })
}

/// Whence the first id is.
fn origin(all: &[Expression], fields: &[Field], ids: &mut impl Iterator<Item = Name>) -> Option<Origin> {
    let constant = all.iter().find_map(|expression| match expression {
        Expression::Set { register: ID, value } => data::id(value),
        _ => None,
    });
    match constant {
        Some(id) => Some(Origin::Constant(id)),
        None => Some(Origin::Fields { fields: fields.to_vec(), ids: ids.next()? }),
    }
}

/// The fields that are loaded from a register on.
fn fields_from(all: &[Expression], first: u32) -> Vec<Field> {
    all.iter().filter_map(loaded_at).filter(|(register, _)| *register >= first).map(|(_, field)| field).collect()
}

fn counters(all: &[Expression]) -> Option<Name> {
    all.iter().find_map(|expression| match expression {
        Expression::CountByKey { counters, .. } => Some(counters.clone()),
        _ => None,
    })
}

fn verdicts(all: &[Expression]) -> Option<Name> {
    all.iter().find_map(|expression| found_in(expression, NFT_REG_VERDICT))
}

/// The map an expression looks something up in, if what it finds goes to this register.
fn found_in(expression: &Expression, register: u32) -> Option<Name> {
    match expression {
        Expression::LookUp { set, into, .. } if *into == Some(register) => Some(set.clone()),
        _ => None,
    }
}
