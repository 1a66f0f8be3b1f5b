//! What rules look up: sets and maps whose content follows who is there and what address sets hold.
//!
//! In: what is to be looked up, and changes of endpoints. Out: edits of single elements. A table is named by what it is asked, so it
//! keeps its name while its members come and go, and everybody who asks the same shares it.

use std::collections::{BTreeMap, BTreeSet};

use super::family::{address_atom, bits_of};
use super::list::{List, OPEN};
use super::lookup::{Lookup, everybody, labelled, named};
use super::name::name_of;
use super::population::{Move, Population};
use super::range::element;
use super::slab::Id;
use crate::edit::Edited;
use crate::model::{IpVersion, NamedPort, QualifiedName, Selection};
use crate::ruleset::{Element, Form, Map, MapElements, MapKey, Name, Set};
use crate::world::World;

/// What a table answers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Question {
    /// Is it the address of an endpoint that is selected?
    Endpoints(Selection, IpVersion),
    /// Is it the address of an endpoint with this port?
    Ports(NamedPort, IpVersion),
    /// Does an address set that is selected hold it?
    Labelled(Selection, IpVersion),
    /// Does one of these address sets hold it?
    Named(Vec<QualifiedName>, IpVersion),
    /// Does one of these ranges hold it?
    Ranges(Vec<(u128, u128)>, IpVersion),
    /// Which entry settles it, where that is because of whose it is?
    Who(List),
    /// Which entry settles it, where that is because of where it lies?
    Where(List),
}

impl Question {
    /// The table's name.
    pub(super) fn name(&self) -> Name {
        let (kind, family) = match self {
            Question::Endpoints(_, family) => ("select", family),
            Question::Ports(_, family) => ("port", family),
            Question::Labelled(_, family) => ("labelled", family),
            Question::Named(_, family) => ("named", family),
            Question::Ranges(_, family) => ("nets", family),
            Question::Who(list) => ("who", &list.family),
            Question::Where(list) => ("where", &list.family),
        };
        name_of(&format!("{kind}{}", family.digit()), self)
    }

    fn family(&self) -> IpVersion {
        match self {
            Question::Endpoints(_, family)
            | Question::Ports(_, family)
            | Question::Labelled(_, family)
            | Question::Named(_, family)
            | Question::Ranges(_, family) => *family,
            Question::Who(list) | Question::Where(list) => list.family,
        }
    }

    /// The selections it rests on.
    fn selections(&self) -> BTreeSet<Selection> {
        match self {
            Question::Endpoints(selection, _) => BTreeSet::from([selection.clone()]),
            Question::Who(list) | Question::Where(list) => selections_of(list),
            Question::Ports(..) | Question::Labelled(..) | Question::Named(..) | Question::Ranges(..) => {
                BTreeSet::new()
            }
        }
    }

    /// Whether address sets can change the answer.
    fn looks_at_sets(&self) -> bool {
        match self {
            Question::Endpoints(..) | Question::Ports(..) | Question::Ranges(..) => false,
            Question::Labelled(..) | Question::Named(..) => true,
            Question::Who(list) | Question::Where(list) => list.entries.iter().any(|entry| {
                let who = &entry.who.peer;
                who.select.is_some() || who.not_select.is_some() || !who.sets.is_empty()
            }),
        }
    }
}

/// The selections entries of a list ask about.
fn selections_of(list: &List) -> BTreeSet<Selection> {
    let of_entries = list.entries.iter().flat_map(|entry| {
        let who = &entry.who.peer;
        let outside = who.outside.then(everybody);
        who.select.iter().chain(&who.not_select).cloned().chain(outside).collect::<Vec<_>>()
    });
    of_entries.collect()
}

#[derive(Clone, Debug)]
struct Table {
    question: Question,
    uses: usize,
    asked: BTreeMap<Selection, Id>,
    lookup: Option<Lookup>,
}

/// All tables.
#[derive(Clone, Debug, Default)]
pub(super) struct Tables {
    tables: BTreeMap<Name, Table>,
    /// The tables that rest on a selection.
    by_selection: BTreeMap<Id, BTreeSet<Name>>,
    /// The tables that ask for a named port.
    by_port: BTreeMap<NamedPort, BTreeSet<Name>>,
}

/// What tables are filled from, and where they stand.
pub(super) struct Ground<'a> {
    pub(super) world: &'a World,
    pub(super) population: &'a mut Population,
    pub(super) edited: &'a mut Edited,
}

impl Tables {
    /// Somebody looks something up: the table stands from now on.
    pub(super) fn acquire(&mut self, question: &Question, ground: &mut Ground<'_>) {
        let name = question.name();
        if let Some(table) = self.tables.get_mut(&name) {
            table.uses += 1;
            return;
        }
        let asked: BTreeMap<Selection, Id> = question
            .selections()
            .into_iter()
            .map(|selection| (selection.clone(), ground.population.ask(&selection)))
            .collect();
        let mut table = Table { question: question.clone(), uses: 1, asked, lookup: None };
        table.prepare(ground.world);
        self.index(&name, &table, |names, name| {
            names.insert(name.clone());
        });
        table.fill(&name, ground);
        self.tables.insert(name, table);
    }

    /// One less looks it up.
    pub(super) fn release(&mut self, name: &Name, ground: &mut Ground<'_>) {
        let table = self.tables.get_mut(name).expect("a table that is released stands");
        table.uses -= 1;
        if table.uses > 0 {
            return;
        }
        let table = self.tables.remove(name).expect("a table that is released stands");
        self.index(name, &table, |names, name| {
            names.remove(name);
        });
        for id in table.asked.into_values() {
            ground.population.forget(id);
        }
        ground.edited.set_set(name, None);
        ground.edited.set_map(name, None);
    }

    fn index(&mut self, name: &Name, table: &Table, note: impl Fn(&mut BTreeSet<Name>, &Name)) {
        if !table.follows_endpoints() {
            return;
        }
        for id in table.asked.values() {
            let names = self.by_selection.entry(*id).or_default();
            note(names, name);
            if names.is_empty() {
                self.by_selection.remove(id);
            }
        }
        for port in table.ports() {
            let names = self.by_port.entry(port.clone()).or_default();
            note(names, name);
            if names.is_empty() {
                self.by_port.remove(&port);
            }
        }
    }

    /// Addresses have other owners, or owners of another class.
    pub(super) fn follow(&self, moves: &[Move], population: &Population, edited: &mut Edited) {
        for one in moves {
            let family = IpVersion::of(one.address);
            for name in self.concerned(one, population) {
                let table = &self.tables[&name];
                if table.question.family() == family {
                    table.follow(&name, one, population, edited);
                }
            }
        }
    }

    fn concerned(&self, one: &Move, population: &Population) -> BTreeSet<Name> {
        if one.before == one.after {
            return BTreeSet::new();
        }
        let nothing = BTreeSet::new();
        let admitted = |class: Option<Id>| class.map_or(&nothing, |class| population.admitted(class));
        let ports = |class: Option<Id>| class.map_or(&[][..], |class| population.class_ports(class));
        let selections = admitted(one.before).symmetric_difference(admitted(one.after));
        let by_selection = selections.filter_map(|id| self.by_selection.get(id)).flatten();
        let by_port =
            ports(one.before).iter().chain(ports(one.after)).filter_map(|port| self.by_port.get(port)).flatten();
        by_selection.chain(by_port).cloned().collect()
    }

    /// Selections admit others than they did.
    pub(super) fn refill(&mut self, selections: &[Id], ground: &mut Ground<'_>) {
        let names = selections.iter().filter_map(|id| self.by_selection.get(id)).flatten();
        for name in names.collect::<BTreeSet<_>>() {
            self.tables[name].fill(name, ground);
        }
    }

    /// Address sets are others than they were.
    pub(super) fn follow_sets(&mut self, ground: &mut Ground<'_>) {
        for (name, table) in self.tables.iter_mut().filter(|(_, table)| table.question.looks_at_sets()) {
            table.prepare(ground.world);
            table.fill(name, ground);
        }
    }
}

impl Table {
    fn prepare(&mut self, world: &World) {
        if let Question::Who(list) | Question::Where(list) = &self.question {
            self.lookup = Some(Lookup::new(list, world, &self.asked));
        }
    }

    /// Whether an endpoint that comes or goes can change what is in it.
    fn follows_endpoints(&self) -> bool {
        matches!(self.question, Question::Endpoints(..) | Question::Ports(..) | Question::Who(_))
    }

    fn ports(&self) -> BTreeSet<NamedPort> {
        match (&self.question, &self.lookup) {
            (Question::Ports(port, _), _) => BTreeSet::from([port.clone()]),
            (_, Some(lookup)) => lookup.ports(),
            _ => BTreeSet::new(),
        }
    }

    fn fill(&self, name: &Name, ground: &mut Ground<'_>) {
        let family = self.question.family();
        let set = |form, elements| Some(Set { key: vec![family.datatype()], form, elements });
        let ranges = |ranges: Vec<std::ops::RangeInclusive<u128>>| {
            set(Form::Interval, ranges.iter().map(|range| element(range, family)).collect())
        };
        match &self.question {
            Question::Endpoints(..) | Question::Ports(..) => {
                let members = self.members(ground.population).map(|(element, _)| element).collect();
                ground.edited.set_set(name, set(Form::Hash, members));
            }
            Question::Labelled(selection, _) => {
                ground.edited.set_set(name, ranges(labelled(ground.world, selection, family)));
            }
            Question::Named(names, _) => ground.edited.set_set(name, ranges(named(ground.world, names, family))),
            Question::Ranges(bounds, _) => {
                ground.edited.set_set(name, ranges(bounds.iter().map(|(low, high)| *low..=*high).collect()));
            }
            Question::Who(_) => {
                let ids = self.members(ground.population).collect();
                ground.edited.set_map(name, Some(self.map(Form::Hash, ids)));
            }
            Question::Where(_) => {
                let lookup = self.lookup.as_ref().expect("a list is made ready before it is asked");
                let ids = lookup.intervals(family, self.settles_strangers());
                let ids = ids.into_iter().map(|(range, id)| (element(&range, family), id)).collect();
                ground.edited.set_map(name, Some(self.map(Form::Interval, ids)));
            }
        }
    }

    fn settles_strangers(&self) -> u32 {
        match &self.question {
            Question::Who(list) | Question::Where(list) => list.settles_strangers(),
            _ => OPEN,
        }
    }

    fn map(&self, form: Form, ids: BTreeMap<Element, u32>) -> Map {
        let key = vec![MapKey::Field(self.question.family().datatype())];
        Map { key, form, elements: MapElements::Ids(ids) }
    }

    /// Every endpoint's address that is in it, and what it leads to.
    fn members<'a>(&'a self, population: &'a Population) -> impl Iterator<Item = (Element, u32)> + 'a {
        let classes = self.possible_classes(population).into_iter();
        let addresses =
            classes.flat_map(|class| population.class_addresses(class).map(move |address| (class, address)));
        let of_family = addresses.filter(|(_, address)| IpVersion::of(*address) == self.question.family());
        of_family.filter_map(|(class, address)| {
            let id = self.answer(bits_of(address), Some(class), population)?;
            Some((Element::exactly(vec![address_atom(address)]), id))
        })
    }

    /// The classes whose endpoints can be in it.
    fn possible_classes(&self, population: &Population) -> BTreeSet<Id> {
        if !self.ports().is_empty() {
            return population.all_classes().collect();
        }
        self.asked.values().flat_map(|id| population.classes(*id)).copied().collect()
    }

    fn follow(&self, name: &Name, one: &Move, population: &Population, edited: &mut Edited) {
        let bits = bits_of(one.address);
        let element = Element::exactly(vec![address_atom(one.address)]);
        let (was, is) = (self.answer(bits, one.before, population), self.answer(bits, one.after, population));
        match self.question {
            _ if was == is => {}
            Question::Who(_) => edited.set_id(name, element, is),
            _ => edited.set_element(name, element, is.is_some()),
        }
    }

    /// What an endpoint's address leads to; nothing if it is not in the table.
    fn answer(&self, bits: u128, class: Option<Id>, population: &Population) -> Option<u32> {
        let class_id = class?;
        match &self.question {
            Question::Endpoints(selection, _) => {
                population.admitted(class_id).contains(&self.asked[selection]).then_some(0)
            }
            Question::Ports(port, _) => population.class_ports(class_id).contains(port).then_some(0),
            Question::Who(_) => {
                let lookup = self.lookup.as_ref().expect("a list is made ready before it is asked");
                let settled = lookup.settle(population.someone(bits, class));
                let as_stranger = lookup.settle(population.someone(bits, None));
                (settled != as_stranger).then_some(settled)
            }
            Question::Labelled(..) | Question::Named(..) | Question::Ranges(..) | Question::Where(_) => None,
        }
    }
}
