//! What must change to get from one ruleset to another, in an order one transaction can take.
//!
//! In: the ruleset that stands and the one that should. Out: changes. Knows nothing of netlink.
//! Order: what is referred to comes before what refers to it, and leaves after it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::reference::Reference;
use crate::ruleset::{Chain, Element, Hook, Map, MapElements, Name, Ruleset, Set};

/// One step of a transaction. Applied together, in order, or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Drops whatever our table holds, if it exists, and begins an empty one.
    Restart,
    /// Adds a set with its elements.
    AddSet(Name, Arc<Set>),
    /// Removes a set nothing refers to any more.
    RemoveSet(Name),
    /// Adds and removes single elements of a set that stays; removals first.
    AlterSet {
        /// Which set.
        name: Name,
        /// The set's description with no elements, for encoding them.
        shape: Box<Set>,
        /// No longer in it.
        removed: Vec<Element>,
        /// Now in it.
        added: Vec<Element>,
    },
    /// Adds a map without elements.
    AddMap(Name, Map),
    /// Removes a map nothing refers to any more.
    RemoveMap(Name),
    /// Removes `removed` and then adds `added`; an element whose value changes stands in both, with its old and its new value.
    AlterMap {
        /// Which map.
        name: Name,
        /// The map's description; its elements do not matter.
        shape: Box<Map>,
        /// Elements that leave.
        removed: MapElements,
        /// Elements that come.
        added: MapElements,
    },
    /// Adds a counter, which begins at nought.
    AddCounter(Name),
    /// Removes a counter nothing refers to any more.
    RemoveCounter(Name),
    /// Adds a chain without rules; a base chain where a hook is given.
    AddChain(Name, Option<Hook>),
    /// Replaces all rules of a chain that stands; the new rules are in `chain`.
    SetRules(Name, Arc<Chain>),
    /// Removes a chain nothing refers to any more; its rules go with it.
    RemoveChain(Name),
}

/// The changes from the old ruleset, or from whatever stands if it is not known, to the new one; none if they are equal.
///
/// ```text
/// counters, sets, maps, chains that come (empty) → rules of those chains → elements of those maps
///    → base chains that come (empty) → elements of sets that stay → rules of base chains that come, and of chains that stay
///    → elements of maps that stay and, down to none, leave
///    → rules of chains that leave (emptied) → chains, maps, sets, counters that leave
/// ```
/// Nothing leads to what the first line makes before the lines after it are carried out: see [`ahead`].
/// Where a thing of one name has another key, form or hook, everything begins anew: the kernel cannot change those, and
/// the compiler never asks it to.
pub fn between(old: Option<&Ruleset>, new: &Ruleset) -> Vec<Change> {
    between_with(old, new, Elements::default())
}

/// The same, where elements of maps that come, given without them, and changes of maps that stay, given not at all, are known already.
pub(crate) fn between_with(old: Option<&Ruleset>, new: &Ruleset, elements: Elements) -> Vec<Change> {
    let nothing = Ruleset::default();
    let (first, old) = match old {
        Some(old) if keeps_shapes(old, new) => (None, old),
        _ => (Some(Change::Restart), &nothing),
    };
    let mut changes = Vec::from_iter(first);
    changes.extend(coming(old, new));
    changes.extend(elements.coming);
    changes.extend(coming_bases(old, new));
    changes.extend(new.sets.iter().filter_map(|(name, set)| alter_set(name, old.sets.get(name)?, set)));
    changes.extend(changed(old, new).map(set_rules));
    changes.extend(elements.staying);
    changes.extend(altered_maps(old, new));
    changes.extend(leaving(old, new));
    changes
}

/// Changes of elements of maps that are known without comparing.
#[derive(Default)]
pub(crate) struct Elements {
    /// Of maps that come.
    pub coming: Vec<Change>,
    /// Of maps that stand and stay.
    pub staying: Vec<Change>,
}

/// So many changes, from the first on, make what nothing leads to before those after them are made. Made earlier, in transactions of their own,
/// they change no packet's way.
pub fn ahead<'c>(changes: &'c [Change]) -> usize {
    let (mut chains, mut maps) = (BTreeSet::new(), BTreeSet::new());
    let mut is_ahead = |change: &'c Change| match change {
        Change::AddCounter(_) | Change::AddSet(..) => true,
        Change::AddMap(name, _) => maps.insert(name),
        Change::AddChain(name, None) => chains.insert(name),
        Change::SetRules(name, _) => chains.contains(name),
        Change::AlterMap { name, .. } => maps.contains(name),
        _ => false,
    };
    changes.iter().position(|change| !is_ahead(change)).unwrap_or(changes.len())
}

/// Carries changes out on a value, as the kernel would on its table.
pub fn apply(ruleset: &mut Ruleset, changes: &[Change]) {
    for change in changes {
        step(ruleset, change.clone());
    }
}

/// Carries one change out. Panics where the kernel would refuse it.
fn step(ruleset: &mut Ruleset, change: Change) {
    match change {
        Change::Restart => *ruleset = Ruleset::default(),
        Change::AddSet(name, set) => add(&mut ruleset.sets, name, set),
        Change::AddMap(name, map) => add(&mut ruleset.maps, name, Map { elements: map.elements.none(), ..map }),
        Change::AddCounter(name) => assert!(ruleset.counters.insert(name), "a counter to add does not stand yet"),
        Change::RemoveCounter(name) => assert!(ruleset.counters.remove(&name), "a counter to remove stands"),
        Change::AddChain(name, hook) => add(&mut ruleset.chains, name, Arc::new(Chain { hook, rules: Vec::new() })),
        Change::RemoveSet(name) => remove(&mut ruleset.sets, &name),
        Change::RemoveMap(name) => remove(&mut ruleset.maps, &name),
        Change::RemoveChain(name) => remove(&mut ruleset.chains, &name),
        Change::SetRules(name, chain) => {
            let standing = standing(&mut ruleset.chains, &name);
            assert_eq!(standing.hook, chain.hook, "{name} keeps its hook");
            *standing = chain;
        }
        Change::AlterSet { name, removed, added, .. } => {
            let elements = &mut Arc::make_mut(standing(&mut ruleset.sets, &name)).elements;
            assert!(removed.iter().all(|element| elements.remove(element)), "an element to remove is in {name}");
            assert!(added.into_iter().all(|element| elements.insert(element)), "an element to add is not in {name}");
        }
        Change::AlterMap { name, removed, added, .. } => {
            standing(&mut ruleset.maps, &name).elements.exchange(&removed, added);
        }
    }
}

fn keeps_shapes(old: &Ruleset, new: &Ruleset) -> bool {
    let sets = both(&old.sets, &new.sets).all(|(_, old, new)| (&old.key, old.form) == (&new.key, new.form));
    let maps = both(&old.maps, &new.maps).all(|(_, old, new)| old.is_shaped_as(new));
    let chains = both(&old.chains, &new.chains).all(|(_, old, new)| old.hook == new.hook);
    sets && maps && chains
}

/// What nothing refers to yet, whole.
fn coming(old: &Ruleset, new: &Ruleset) -> Vec<Change> {
    let counters = new.counters.difference(&old.counters).map(|name| Change::AddCounter(name.clone()));
    let sets = only_right(&old.sets, &new.sets).map(|(name, set)| Change::AddSet(name.clone(), set.clone()));
    let maps = || only_right(&old.maps, &new.maps);
    let chains = || only_right(&old.chains, &new.chains).filter(|(_, chain)| chain.hook.is_none());
    let mut changes: Vec<Change> = counters.chain(sets).collect();
    changes.extend(maps().map(|(name, map)| Change::AddMap(name.clone(), map.emptied())));
    changes.extend(chains().map(add_chain));
    changes.extend(chains().filter(|(_, chain)| !chain.rules.is_empty()).map(set_rules));
    changes.extend(maps().filter_map(|(name, map)| fill_map(name, map)));
    changes
}

/// Chains that packets find by themselves, without their rules.
fn coming_bases<'a>(old: &'a Ruleset, new: &'a Ruleset) -> impl Iterator<Item = Change> + 'a {
    only_right(&old.chains, &new.chains).filter(|(_, chain)| chain.hook.is_some()).map(add_chain)
}

fn add_chain((name, chain): (&Name, &Arc<Chain>)) -> Change {
    Change::AddChain(name.clone(), chain.hook)
}

fn set_rules((name, chain): (&Name, &Arc<Chain>)) -> Change {
    Change::SetRules(name.clone(), chain.clone())
}

/// What nothing refers to any more, once the chains among it that refer to each other, or to its maps, are emptied.
fn leaving(old: &Ruleset, new: &Ruleset) -> Vec<Change> {
    let chains: BTreeMap<&Name, &Arc<Chain>> = only_right(&new.chains, &old.chains).collect();
    let maps: BTreeSet<&Name> = only_right(&new.maps, &old.maps).map(|(name, _)| name).collect();
    let is_leaving = |reference| match reference {
        Reference::Chain(name) => chains.contains_key(name),
        Reference::Map(name) => maps.contains(name),
        Reference::Set(_) | Reference::Counter(_) => false,
    };
    let entangled = chains.iter().filter(|(_, chain)| chain.references().any(is_leaving));
    let emptied = entangled.map(|(name, chain)| Change::SetRules((*name).clone(), emptied(chain)));
    let mut changes: Vec<Change> = emptied.collect();
    changes.extend(maps.into_iter().map(|name| Change::RemoveMap(name.clone())));
    changes.extend(chains.into_keys().map(|name| Change::RemoveChain(name.clone())));
    changes.extend(only_right(&new.sets, &old.sets).map(|(name, _)| Change::RemoveSet(name.clone())));
    changes.extend(old.counters.difference(&new.counters).map(|name| Change::RemoveCounter(name.clone())));
    changes
}

fn alter_set(name: &Name, old: &Set, new: &Set) -> Option<Change> {
    let removed: Vec<Element> = old.elements.difference(&new.elements).cloned().collect();
    let added: Vec<Element> = new.elements.difference(&old.elements).cloned().collect();
    let shape = Box::new(new.emptied());
    let is_same = removed.is_empty() && added.is_empty();
    (!is_same).then(|| Change::AlterSet { name: name.clone(), shape, removed, added })
}

/// Elements of maps that stay and, down to none, leave.
fn altered_maps(old: &Ruleset, new: &Ruleset) -> Vec<Change> {
    let alter = |(name, map): (&Name, &Map)| match new.maps.get(name) {
        Some(after) => alter_map(name, map, &map.elements, &after.elements),
        None => alter_map(name, map, &map.elements, &map.elements.none()),
    };
    old.maps.iter().filter_map(alter).collect()
}

/// What comes into a map that comes. That may be a hundred thousand elements, which are copied once, and closer together than by a clone, which keeps
/// the gaps.
pub(crate) fn fill_map(name: &Name, map: &Map) -> Option<Change> {
    alter_map(name, map, &map.elements.none(), &map.elements)
}

/// What becomes of a map that stays.
pub(crate) fn alter_map(name: &Name, map: &Map, before: &MapElements, after: &MapElements) -> Option<Change> {
    let (removed, added) = (before.without(after), after.without(before));
    let is_same = removed.is_empty() && added.is_empty();
    (!is_same).then(|| Change::AlterMap { name: name.clone(), shape: map.emptied().into(), removed, added })
}

/// Chains whose rules change, and base chains that come with rules.
fn changed<'a>(old: &'a Ruleset, new: &'a Ruleset) -> impl Iterator<Item = (&'a Name, &'a Arc<Chain>)> {
    new.chains.iter().filter(|(name, chain)| match old.chains.get(name) {
        Some(old) => old != *chain,
        None => chain.hook.is_some() && !chain.rules.is_empty(),
    })
}

fn only_right<'a, T>(
    left: &'a BTreeMap<Name, T>,
    right: &'a BTreeMap<Name, T>,
) -> impl Iterator<Item = (&'a Name, &'a T)> {
    right.iter().filter(|(name, _)| !left.contains_key(name))
}

fn both<'a, T>(
    left: &'a BTreeMap<Name, T>,
    right: &'a BTreeMap<Name, T>,
) -> impl Iterator<Item = (&'a Name, &'a T, &'a T)> {
    left.iter().filter_map(|(name, old)| Some((name, old, right.get(name)?)))
}

fn emptied(chain: &Chain) -> Arc<Chain> {
    Arc::new(Chain { hook: chain.hook, rules: Vec::new() })
}

fn add<T>(things: &mut BTreeMap<Name, T>, name: Name, thing: T) {
    assert!(!things.contains_key(&name), "{name} does not stand yet");
    things.insert(name, thing);
}

fn remove<T>(things: &mut BTreeMap<Name, T>, name: &Name) {
    assert!(things.remove(name).is_some(), "{name} stands");
}

fn standing<'a, T>(things: &'a mut BTreeMap<Name, T>, name: &Name) -> &'a mut T {
    things.get_mut(name).unwrap_or_else(|| panic!("{name} stands"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ruleset::{Atom, Datatype, Form, Rule, Then, Verdict};

    fn name(text: &str) -> Name {
        Name::new(text)
    }

    fn by_id(verdicts: &[(u64, Verdict)]) -> MapElements {
        let element = |(id, verdict): &(u64, Verdict)| (Element::exactly([Atom::Id(*id)]), verdict.clone());
        MapElements::Verdicts(verdicts.iter().map(element).collect())
    }

    fn with_map(verdicts: &[(u64, Verdict)]) -> Ruleset {
        let elements = by_id(verdicts);
        let mut ruleset = Ruleset::default();
        ruleset.maps.insert(name("m"), Map { key: vec![Datatype::Id], form: Form::Hash, elements });
        for chain in ["c", "d"] {
            ruleset.chains.insert(name(chain), Chain { hook: None, rules: Vec::new() }.into());
        }
        ruleset
    }

    fn with_set(form: Form) -> Ruleset {
        let elements = [Element::exactly([Atom::Port(80)])].into();
        let set = Set { key: vec![Datatype::Port], form, elements };
        Ruleset { sets: [(name("s"), set.into())].into(), ..Ruleset::default() }
    }

    #[test]
    fn an_element_with_another_verdict_stands_in_both_lists() {
        let old = with_map(&[(1, Verdict::Goto(name("c"))), (2, Verdict::Drop)]);
        let new = with_map(&[(1, Verdict::Goto(name("d"))), (2, Verdict::Drop)]);

        let changes = between(Some(&old), &new);

        let one = |target: &str| by_id(&[(1, Verdict::Goto(name(target)))]);
        let shape = new.maps[&name("m")].emptied();
        assert_eq!(
            changes,
            [Change::AlterMap { name: name("m"), shape: shape.into(), removed: one("c"), added: one("d") }]
        );
    }

    #[test]
    fn a_set_of_another_form_under_the_same_name_begins_everything_anew() {
        let (old, new) = (with_set(Form::Hash), with_set(Form::Interval));

        let changes = between(Some(&old), &new);

        assert_eq!(changes, between(None, &new));
        assert_eq!(changes[0], Change::Restart);
    }

    #[test]
    fn what_comes_is_made_whole_ahead_of_what_leads_to_it() {
        let old = with_map(&[(1, Verdict::Goto(name("c")))]);
        let mut new = with_map(&[(1, Verdict::Goto(name("e")))]);
        let rule = Rule { matches: Vec::new(), counter: None, then: Then::Verdict(Verdict::Accept) };
        let shape = Map { elements: by_id(&[]), ..new.maps[&name("m")].clone() };
        let elements = by_id(&[(2, Verdict::Goto(name("d")))]);
        new.chains.insert(name("e"), Chain { hook: None, rules: vec![rule] }.into());
        new.maps.insert(name("n"), Map { elements: elements.clone(), ..shape.clone() });

        let changes = between(Some(&old), &new);
        let (early, late) = changes.split_at(ahead(&changes));

        let removed = by_id(&[]);
        assert_eq!(
            early,
            [
                Change::AddMap(name("n"), shape.clone()),
                Change::AddChain(name("e"), None),
                Change::SetRules(name("e"), new.chains[&name("e")].clone()),
                Change::AlterMap { name: name("n"), shape: shape.into(), removed, added: elements },
            ]
        );
        assert!(matches!(late, [Change::AlterMap { name: which, .. }] if *which == name("m")), "{late:?}");
    }

    #[test]
    fn chains_that_leave_together_are_emptied_first_where_they_refer_to_each_other() {
        let mut old = with_map(&[]);
        let goto = Rule { matches: Vec::new(), counter: None, then: Then::Verdict(Verdict::Goto(name("c"))) };
        old.chains.insert(name("d"), Chain { hook: None, rules: vec![goto] }.into());

        let changes = between(Some(&old), &Ruleset::default());

        assert_eq!(
            changes,
            [
                Change::SetRules(name("d"), Chain { hook: None, rules: Vec::new() }.into()),
                Change::RemoveMap(name("m")),
                Change::RemoveChain(name("c")),
                Change::RemoveChain(name("d")),
            ]
        );
    }
}
