//! Peers of a rule, as alternatives: at most two for each family.
//!
//! Endpoints stand in hash sets, which take a change in 5 µs and answer in 100 ns; prefixes stand in interval sets.
//! A selector that admits both therefore needs two alternatives. The second is there only while some address set has
//! labels it admits: address sets come by a person's hand and seldom, so the chain may change with them, while endpoints
//! come and go by the second and never touch a rule.

use super::condition::{Condition, member};
use super::family::Family;
use super::range::address_ranges;
use super::sets::Sets;
use crate::model::{Direction, Peers, Selection};
use crate::ruleset::{Element, Field, Match};
use crate::selector::Selector;
use ipnet::IpNet;

/// What a rule asks of the other end: any of these.
pub(super) fn conditions(peers: &Peers, direction: Direction, sets: &mut Sets<'_>) -> Vec<Condition> {
    if peers.is_anybody() {
        return vec![Condition::default()];
    }
    let of_family = |family| Family::alternatives(family, peers, direction, sets);
    Family::BOTH.into_iter().flat_map(of_family).collect()
}

impl Family {
    fn alternatives(self, peers: &Peers, direction: Direction, sets: &mut Sets<'_>) -> Vec<Condition> {
        let field = self.peer_field(direction);
        let Some(fixed) = self.fixed(peers, field, sets) else {
            return Vec::new();
        };
        let alternatives = match &peers.select {
            None => vec![Vec::new()],
            Some(select) => {
                let names = sets.selected(select, self);
                names.into_iter().map(|name| vec![member(vec![field], name)]).collect()
            }
        };
        let with_fixed = |selected: Vec<Match>| Condition::of_family(self, [selected, fixed.clone()].concat());
        alternatives.into_iter().map(with_fixed).collect()
    }

    /// What holds beside the selector; nothing if no address of this family can fit.
    fn fixed(self, peers: &Peers, field: Field, sets: &mut Sets<'_>) -> Option<Vec<Match>> {
        let mut matches = Vec::new();
        if !peers.nets.is_empty() {
            matches.push(self.in_nets(&peers.nets, false, field, sets)?);
        }
        matches.extend(self.in_nets(&peers.not_nets, true, field, sets));
        if let Some(select) = &peers.not_select {
            let names = sets.selected(select, self);
            matches.extend(names.into_iter().map(|set| Match::Member { fields: vec![field], set, negated: true }));
        }
        if peers.outside {
            let set = sets.endpoints(&Selection::anywhere(Selector::all()), self);
            matches.push(Match::Member { fields: vec![field], set, negated: true });
        }
        if !peers.sets.is_empty() {
            matches.push(member(vec![field], sets.named(&peers.sets, self)));
        }
        Some(matches)
    }

    /// One range is compared, several are looked up; nothing if no prefix is of this family.
    fn in_nets(self, nets: &[IpNet], negated: bool, field: Field, sets: &mut Sets<'_>) -> Option<Match> {
        let ranges = address_ranges(nets, self);
        match ranges.as_slice() {
            [] => None,
            [Element { low, high }] => {
                Some(Match::Range { field, low: low[0].clone(), high: high[0].clone(), negated })
            }
            _ => Some(Match::Member { fields: vec![field], set: sets.nets(ranges, self), negated }),
        }
    }
}
