//! Reads rules: what their expressions do together.
//!
//! In: the list of a rule's expressions. Out: the rule that is written so, or nothing. Knows nothing of how an expression is laid out.
//! A rule is guessed from what its expressions look like, and written again: only if that comes out the same, registers and all, it
//! is the rule. So the writer alone knows how a rule is written.

use poplin_policy::ruleset::{
    Atom, ConntrackStates, Counter, Datatype, Field, Log, Match, Name, Rule, SourceNat, Then,
};

use super::data;
use super::expression::{self, Expression};
use super::steps::{at_port, dispatch};
use crate::kernel::nft::data::octets_of;
use crate::kernel::nft::expression::{Place, place};
use crate::kernel::nft::number::{NFT_META_IIFGROUP, NFT_META_MARK, NFT_META_OIFGROUP, NFT_REG_VERDICT};
use crate::kernel::nft::rule::put_expressions;
use crate::kernel::nft::steps::{ID_KEY, NEXT};
use crate::kernel::nft::translation::{RTN_LOCAL, family_number};
use crate::kernel::wire::{Writer, attributes};

/// The kernel takes no more in one rule (net/netfilter/nf_tables_api.c, `NFT_RULE_MAXEXPRS`).
const MAX_EXPRESSIONS: usize = 128;

/// The rule whose expressions these are.
pub(super) fn rule(list: &[u8]) -> Option<Rule> {
    let given = expressions(list)?;
    let rule = guess(&given)?;
    (expressions(&written(&rule)).as_ref() == Some(&given)).then_some(rule)
}

/// Whether two lists of rules are written alike. Some fields are the same octets by two names.
pub(super) fn are_written_alike(one: &[Rule], other: &[Rule]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| written(one) == written(other))
}

fn written(rule: &Rule) -> Vec<u8> {
    let mut out = Writer::default();
    put_expressions(&mut out, rule);
    out.octets().to_vec()
}

fn expressions(list: &[u8]) -> Option<Vec<Expression>> {
    let all = attributes(list).take(MAX_EXPRESSIONS + 1);
    let all = all.map(|(_, element)| expression::expression(element)).collect::<Option<Vec<_>>>()?;
    (all.len() <= MAX_EXPRESSIONS).then_some(all)
}

fn guess(mut rest: &[Expression]) -> Option<Rule> {
    let mut matches = Vec::new();
    while let Some((condition, after)) = condition(rest) {
        matches.push(condition);
        rest = after;
    }
    let (counter, rest) = match rest {
        [Expression::Count, rest @ ..] => (Some(Counter::Own), rest),
        [Expression::CountBy(name), rest @ ..] => (Some(Counter::Named(name.clone())), rest),
        _ => (None, rest),
    };
    Some(Rule { matches, counter, then: then(rest)? })
}

/// The match that stands first, and what follows it.
fn condition(all: &[Expression]) -> Option<(Match, &[Expression])> {
    if let [
        Expression::LoadConntrackState { .. },
        Expression::Mask { mask, .. },
        Expression::Compare { .. },
        rest @ ..,
    ] = all
    {
        return Some((Match::Conntrack(states(mask)?), rest));
    }
    if let [first, Expression::Mask { mask, .. }, Expression::Compare { negated, .. }, rest @ ..] = all
        && is_mark(first)
    {
        return Some((Match::Mark { bit: number(mask)?, negated: !negated }, rest));
    }
    if let [Expression::Load { place: Place::Meta(key), .. }, Expression::Compare { value, negated, .. }, rest @ ..] =
        all
        && let Some(field) = grouped(*key)
    {
        return Some((Match::Group { field, group: number(value)?, negated: *negated }, rest));
    }
    if let [Expression::LoadAddressType { .. }, Expression::Compare { value, negated, .. }, rest @ ..] = all {
        return (value == &RTN_LOCAL).then_some((Match::ToHost { negated: *negated }, rest));
    }
    let (fields, rest) = loaded(all);
    match (&fields[..], rest) {
        ([field], [Expression::Compare { value, negated, .. }, rest @ ..]) => {
            Some((equality(*field, value, *negated)?, rest))
        }
        ([field], [Expression::Range { low, high, negated, .. }, rest @ ..]) => {
            let (low, high) = (atom(*field, low)?, atom(*field, high)?);
            Some((Match::Range { field: *field, low, high, negated: *negated }, rest))
        }
        ([field], [Expression::Mask { mask, .. }, Expression::Compare { value, negated, .. }, rest @ ..]) => {
            let (&[mask], &[value]) = (&mask[..], &value[..]) else { return None };
            Some((Match::Bits { field: *field, mask, value, negated: *negated }, rest))
        }
        ([_, ..], [Expression::LookUp { set, into: None, negated, .. }, rest @ ..]) => {
            Some((Match::Member { fields, set: set.clone(), negated: *negated }, rest))
        }
        _ => None,
    }
}

/// A name cut short is compared by its beginning.
fn equality(field: Field, value: &[u8], negated: bool) -> Option<Match> {
    if field.datatype() == Datatype::Interface && value.len() < octets_of(Datatype::Interface) {
        let prefix = str::from_utf8(value).ok()?.to_owned();
        return Some(Match::InterfacePrefix { field, prefix, negated });
    }
    let value = atom(field, value)?;
    Some(Match::Range { field, low: value.clone(), high: value, negated })
}

fn atom(field: Field, octets: &[u8]) -> Option<Atom> {
    data::atom(field.datatype(), octets)
}

/// Of which interface the group is loaded.
fn grouped(key: u32) -> Option<Field> {
    match key {
        NFT_META_IIFGROUP => Some(Field::InterfaceIn),
        NFT_META_OIFGROUP => Some(Field::InterfaceOut),
        _ => None,
    }
}

fn is_mark(expression: &Expression) -> bool {
    matches!(expression, Expression::Load { place: Place::Meta(NFT_META_MARK), .. })
}

/// Four octets in host order.
fn number(octets: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(octets.try_into().ok()?))
}

fn states(mask: &[u8]) -> Option<ConntrackStates> {
    let bits = number(mask)?;
    let has = |bit: u32| bits & 1 << bit != 0;
    Some(ConntrackStates { invalid: has(0), established: has(1), related: has(2), new: has(3), untracked: has(6) })
}

fn then(rest: &[Expression]) -> Option<Then> {
    match rest {
        [Expression::Verdict(verdict)] => Some(Then::Verdict(verdict.clone())),
        [] => Some(Then::Continue),
        [Expression::Notrack] => Some(Then::Notrack),
        [first, Expression::Mask { mask, flipped, .. }, Expression::SetMark { .. }] if is_mark(first) => {
            Some(Then::Mark { bit: !number(mask)?, is_set: number(flipped)? != 0 })
        }
        [Expression::Masquerade] => Some(Then::SourceNat(SourceNat::Masquerade)),
        [Expression::Set { value, .. }, Expression::SourceNat { .. }] => {
            Some(Then::SourceNat(SourceNat::To(data::address(value)?)))
        }
        [Expression::Limit { per_second }, Expression::Log(log)] => {
            let (group, prefix) = (log.group, log.prefix.clone());
            Some(Then::Log(Log { group, prefix, per_second: *per_second }))
        }
        [
            Expression::Load { register: ID_KEY, .. },
            Expression::Set { .. },
            Expression::Load { register: NEXT, .. },
            Expression::Set { .. },
            rest @ ..,
        ] => at_port(rest).map(Box::new).map(Then::AtPort),
        [Expression::Load { register: ID_KEY, .. }, Expression::Set { .. }, rest @ ..] => {
            dispatch(rest).map(Box::new).map(Then::Dispatch)
        }
        _ => look_up(rest),
    }
}

fn look_up(all: &[Expression]) -> Option<Then> {
    match loaded(all) {
        (fields, [Expression::LookUp { set, into: Some(NFT_REG_VERDICT), .. }]) => {
            Some(Then::Lookup { fields, map: set.clone() })
        }
        (fields, [Expression::LookUp { set, into: Some(_), .. }, Expression::DestinationNat { family, .. }]) => {
            Some(Then::DestinationNat { fields, map: set.clone(), is_v6: *family == family_number(true) })
        }
        (fields, [Expression::LookUp { set, into: Some(_), .. }, exchange]) => exchanged(&fields, set, exchange),
        _ => None,
    }
}

/// The address that is looked up is the one that is exchanged: of its family, and at its end.
fn exchanged(fields: &[Field], map: &Name, exchange: &Expression) -> Option<Then> {
    let [field] = fields else { return None };
    let is_source = matches!(field, Field::Source4 | Field::Source6);
    let is_destination = matches!(field, Field::Destination4 | Field::Destination6);
    let wanted = family_number(field.datatype() == Datatype::Address6);
    let is_ours = match exchange {
        Expression::SourceNat { family, .. } => is_source && *family == wanted,
        Expression::DestinationAddress { family, .. } => is_destination && *family == wanted,
        _ => false,
    };
    is_ours.then(|| Then::Exchange { field: *field, map: map.clone() })
}

/// The fields that are loaded first, and what follows. A dispatch, which opens with a load as well, is none of them.
fn loaded(all: &[Expression]) -> (Vec<Field>, &[Expression]) {
    let fields: Vec<Field> = all.iter().map_while(loaded_at).map(|(_, field)| field).collect();
    let rest = &all[fields.len()..];
    (fields, rest)
}

pub(super) fn loaded_at(expression: &Expression) -> Option<(u32, Field)> {
    let Expression::Load { place: found, octets, register } = expression else { return None };
    let is_it =
        |field: &Field| place(*field) == *found && octets.is_none_or(|octets| octets == octets_of(field.datatype()));
    Some((*register, FIELDS.into_iter().find(is_it)?))
}

/// Of two fields that are the same octets, the first is read.
const FIELDS: [Field; 15] = [
    Field::InterfaceIn,
    Field::InterfaceOut,
    Field::Family,
    Field::Protocol,
    Field::Source4,
    Field::Destination4,
    Field::Source6,
    Field::Destination6,
    Field::HopLimit6,
    Field::SourcePort,
    Field::DestinationPort,
    Field::IcmpMessage,
    Field::IcmpType,
    Field::IcmpCode,
    Field::TcpFlags,
];
