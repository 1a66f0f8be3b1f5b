//! Follows changes of a host's table with the part of it that one sandbox has, without cutting it out anew.
//!
//! In: what the changes touched. Out: what of it is to be done in the sandbox, or that the part has to be cut anew: where another chain, map or set
//! belongs to it than did. Most changes are elements, of those who come and go, and of most of them a sandbox has no part.

use std::collections::BTreeMap;

use super::Cut;
use super::touched::{Moved, Moves, Touched};
use crate::delta::{Change, apply};
use crate::ruleset::{MapElements, Name, Value};

impl Cut {
    /// Becomes what it would be if it were cut out of the table as that is after the changes; tells the way there, mostly none.
    /// Absent: that cannot be told without cutting it anew, and it stays as it was.
    pub fn follow(&mut self, touched: &Touched) -> Option<Vec<Change>> {
        if self.is_reshaped(touched) {
            return None;
        }
        let sets = touched.sets.iter().filter(|(name, _)| self.rules.sets.contains_key(*name));
        let mut changes: Vec<Change> = sets.map(|(_, change)| change.clone()).collect();
        let mut led_to: BTreeMap<u64, isize> = BTreeMap::new();
        for (name, moves) in touched.maps.iter().filter(|(name, _)| self.rules.maps.contains_key(*name)) {
            changes.extend(self.own_moves(name, moves, &mut led_to)?);
        }
        let count = |id: &u64, by: &isize| self.ids.get(id)?.checked_add_signed(*by).filter(|count| *count > 0);
        let counts: Option<Vec<(u64, usize)>> = led_to.iter().map(|(id, by)| Some((*id, count(id, by)?))).collect();
        self.ids.extend(counts?);
        apply(&mut self.rules, &changes);
        Some(changes)
    }

    /// Whether another chain, map or set may belong to it than did.
    fn is_reshaped(&self, touched: &Touched) -> bool {
        let rules = &self.rules;
        let is_chain = |name: &Name| rules.chains.get(name).is_some_and(|chain| chain.hook.is_none());
        let is_thing = |name: &Name| {
            rules.sets.contains_key(name) || rules.maps.contains_key(name) || rules.counters.contains(name)
        };
        touched.is_restart
            || self.is_dangling
            || touched.interfaces.contains(&self.interface)
            || touched.chains.iter().any(is_chain)
            || touched.things.iter().any(is_thing)
    }

    /// What of a map's changes is its own; absent where more follows from it than elements.
    fn own_moves(&self, name: &Name, moves: &Moves, led_to: &mut BTreeMap<u64, isize>) -> Option<Option<Change>> {
        let none = moves.shape.elements.none();
        let (mut removed, mut added) = (none.clone(), none);
        for Moved { element, value, has_come } in moves.own(|id| self.ids.contains_key(&id)) {
            match value {
                Value::Id(id) => *led_to.entry(*id).or_default() += if *has_come { 1 } else { -1 },
                Value::Verdict(verdict) if verdict.target().is_none() => {}
                Value::Verdict(_) | Value::Counter(_) => return None,
            }
            let side: &mut MapElements = if *has_come { &mut added } else { &mut removed };
            side.set(element.clone(), Some(value.clone()));
        }
        let is_same = removed.is_empty() && added.is_empty();
        Some((!is_same).then(|| Change::AlterMap {
            name: name.clone(),
            shape: Box::new(moves.shape.clone()),
            removed,
            added,
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{Sandbox, base};
    use super::*;
    use crate::delta::between;
    use crate::ruleset::{
        Atom, Chain, Datatype, Dispatch, Element, Field, Form, Interface, Map, Origin, Rule, Ruleset, Then, Verdict,
    };

    /// Who comes from one of these addresses is known by 9, and that is let in.
    fn whole(last: &[u8]) -> Ruleset {
        let (ids, verdicts) = (Name::new("who"), Name::new("what"));
        let known = |last: &u8| (Element::exactly([Atom::Id(5), Atom::Address4([10, 0, 0, *last].into())]), 9);
        let key = vec![Datatype::Id, Datatype::Address4];
        let who = Map { key, form: Form::Hash, elements: MapElements::Ids(last.iter().map(known).collect()) };
        let elements = MapElements::Verdicts([(Element::exactly([Atom::Id(9)]), Verdict::Accept)].into());
        let what = Map { key: vec![Datatype::Id], form: Form::Hash, elements };
        let and = Some((Field::Source4, ids.clone()));
        let steps = Dispatch { from: Origin::Constant(5), and, counters: None, verdicts: verdicts.clone() };
        let rule = Rule { matches: Vec::new(), counter: None, then: Then::Dispatch(Box::new(steps)) };
        let chain = |rules| Arc::new(Chain { hook: None, rules });
        Ruleset {
            maps: [(ids, who), (verdicts, what)].into(),
            chains: [(base::to_workload(), chain(vec![rule])), (base::from_workload(), chain(Vec::new()))].into(),
            ..Ruleset::default()
        }
    }

    #[test]
    fn a_part_is_cut_anew_when_the_last_that_leads_to_something_goes() {
        let whose = Sandbox { interface: Interface::new("pop1").unwrap(), group: 7, addresses: Vec::new() };
        let turn = |from: &[u8], to: &[u8]| {
            let mut cut = Cut::of(&whole(from), &whose);
            let touched = Touched::of(&between(Some(&whole(from)), &whole(to)));
            (cut.follow(&touched).map(|changes| changes.len()), cut == Cut::of(&whole(to), &whose))
        };

        assert_eq!(turn(&[1, 2], &[2]), (Some(1), true));
        assert_eq!(turn(&[2], &[1, 2]), (Some(1), true));
        assert_eq!(turn(&[2], &[3]), (Some(1), true));
        assert_eq!(turn(&[2], &[]), (None, false), "what is let in by 9 leaves with it");
        assert_eq!(turn(&[], &[2]), (None, false), "and comes with it");
    }
}
