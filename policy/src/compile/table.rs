//! What rules look up: sets and maps whose content follows who is there and what address sets hold.
//!
//! In: what is to be looked up, and changes of endpoints. Out: edits of single elements. A table is named by what it is asked, so it
//! keeps its name while its members come and go, and everybody who asks the same shares it. Whose an address is, all lists look up in
//! one map for each family, by list and address: the kernel takes longer for each set the more there are, and no longer for each element.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::Bound;

use smallvec::SmallVec;

use super::family::{address_atom, bits_of};
use super::ids::Ids;
use super::lookup::{Lookup, labelled, named};
use super::mention::Mentions;
use super::name::Hashed;
use super::places::Places;
use super::population::{Move, Population};
use super::question::Question;
use super::range::element;
use super::slab::{Id, Slab};
use super::way::Way;
use crate::edit::Edited;
use crate::label::Labels;
use crate::model::{IpVersion, NamedPort, QualifiedName};
use crate::ruleset::{Atom, Datatype, Element, Form, Map, MapElements, Name, Set};
use crate::world::World;

/// Name of a family's map from lists and endpoints' addresses to what settles them.
pub(super) fn who_name(family: IpVersion) -> Name {
    Name::new(format!("who{}", family.digit()))
}

/// A family's map from lists and endpoints' addresses to what settles them, empty.
pub(super) fn nobody(family: IpVersion) -> Map {
    Map { key: vec![Datatype::Id, family.datatype()], form: Form::Hash, elements: MapElements::Ids(BTreeMap::new()) }
}

#[derive(Clone, Debug)]
struct Table {
    name: Name,
    question: Question,
    uses: usize,
    /// The selections it rests on.
    asked: Vec<Id>,
    lookup: Option<Lookup>,
}

/// All tables.
#[derive(Clone, Debug, Default)]
pub(super) struct Tables {
    /// Each in memory of its own: room for the next of them is made by doubling.
    tables: Slab<Box<Table>>,
    by_name: Hashed<Name, Id>,
    /// The tables that rest on a selection.
    by_selection: Hashed<Id, Numbers>,
    /// The tables that ask for a named port.
    by_port: BTreeMap<NamedPort, Numbers>,
    /// The tables that ask about address sets.
    mentions: Mentions<Id>,
    /// Those that do not hold what they would if they were filled now.
    stale: BTreeSet<Id>,
}

/// Numbers of tables.
type Numbers = SmallVec<[Id; 4]>;

/// What tables are filled from, and where they stand.
pub(super) struct Ground<'a> {
    pub(super) world: &'a World,
    pub(super) places: &'a Places,
    pub(super) population: &'a mut Population,
    pub(super) edited: &'a mut Edited,
}

impl Tables {
    /// Somebody looks something up: the table stands from now on.
    pub(super) fn acquire(&mut self, question: &Question, ground: &mut Ground<'_>) {
        let name = question.name();
        if let Some(number) = self.by_name.get(&name) {
            self.tables[*number].uses += 1;
            return;
        }
        let asked = question.selections().iter().map(|selection| ground.population.ask(selection)).collect();
        let mut table = Table { name: name.clone(), question: question.clone(), uses: 1, asked, lookup: None };
        table.prepare(ground);
        table.fill(ground);
        let number = self.tables.insert(Box::new(table));
        self.index(number, |numbers| numbers.push(number));
        self.mention(number, true);
        self.by_name.insert(name, number);
    }

    /// One less looks it up.
    pub(super) fn release(&mut self, name: &Name, ground: &mut Ground<'_>) {
        let number = self.by_name[name];
        self.tables[number].uses -= 1;
        if self.tables[number].uses > 0 {
            return;
        }
        self.index(number, |numbers| numbers.retain(|other| *other != number));
        self.mention(number, false);
        self.stale.remove(&number);
        self.by_name.remove(name);
        let table = self.tables.remove(number);
        for id in &table.asked {
            ground.population.forget(*id);
        }
        match &table.question {
            Question::Who(id, shape) => set_part(*id, shape.family, &BTreeMap::new(), ground.edited),
            Question::Where(_) => ground.edited.set_map(name, None),
            _ => ground.edited.set_set(name, None),
        }
    }

    fn index(&mut self, number: Id, note: impl Fn(&mut Numbers)) {
        let table = &self.tables[number];
        if !table.follows_endpoints() {
            return;
        }
        for id in &table.asked {
            let numbers = self.by_selection.entry(*id).or_default();
            note(numbers);
            if numbers.is_empty() {
                self.by_selection.remove(id);
            }
        }
        for port in table.ports() {
            let numbers = self.by_port.entry(port.clone()).or_default();
            note(numbers);
            if numbers.is_empty() {
                self.by_port.remove(&port);
            }
        }
    }

    fn mention(&mut self, number: Id, asks: bool) {
        let (names, selections) = self.tables[number].question.sets();
        names.into_iter().for_each(|name| self.mentions.name(name, &number, asks));
        selections.into_iter().for_each(|selection| self.mentions.select(selection, &number, asks));
    }

    /// Addresses have other owners, or owners of another class.
    pub(super) fn follow(&self, moves: &[Move], population: &Population, edited: &mut Edited) {
        for one in moves {
            let family = IpVersion::of(one.address);
            for number in self.concerned(one, population) {
                let table = &self.tables[number];
                if table.question.family() == family {
                    table.follow(one, population, edited);
                }
            }
        }
    }

    fn concerned(&self, one: &Move, population: &Population) -> Numbers {
        if one.before == one.after {
            return Numbers::new();
        }
        let nothing = Ids::default();
        let admitted = |class: Option<Id>| class.map_or(&nothing, |class| population.admitted(class));
        let ports = |class: Option<Id>| class.map_or(&[][..], |class| population.class_ports(class));
        let selections = admitted(one.before).apart(admitted(one.after));
        let by_selection = selections.filter_map(|id| self.by_selection.get(&id)).flatten();
        let by_port =
            ports(one.before).iter().chain(ports(one.after)).filter_map(|port| self.by_port.get(port)).flatten();
        let mut numbers: Numbers = by_selection.chain(by_port).copied().collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// Selections admit others than they did: what rests on them is to be filled anew.
    pub(super) fn spoil_selections(&mut self, selections: impl Iterator<Item = Id>) {
        for id in selections {
            self.stale.extend(self.by_selection.get(&id).into_iter().flatten());
        }
    }

    /// An address set comes, changes or goes, or is within other scopes than it was: what asks about it is to be filled anew.
    pub(super) fn spoil_set(&mut self, set: &QualifiedName, labels: &[&Labels], declared: Option<&Labels>) {
        self.stale.extend(self.mentions.of_set(set, labels, declared));
    }

    /// Whether some table is to be filled anew.
    pub(super) fn is_spoiled(&self) -> bool {
        !self.stale.is_empty()
    }

    /// Fills what is to be filled anew. Tells how many tables that are.
    pub(super) fn settle(&mut self, ground: &mut Ground<'_>) -> usize {
        let stale = std::mem::take(&mut self.stale);
        for number in &stale {
            let table = &mut self.tables[*number];
            table.prepare(ground);
            table.fill(ground);
        }
        stale.len()
    }
}

impl Table {
    fn prepare(&mut self, ground: &Ground<'_>) {
        if let Question::Who(_, shape) | Question::Where(shape) = &self.question {
            self.lookup = Some(Lookup::new(shape, ground.world, ground.places, ground.population));
        }
    }

    fn lookup(&self) -> &Lookup {
        self.lookup.as_ref().expect("a list is made ready before it is asked")
    }

    /// Whether an endpoint that comes or goes can change what is in it.
    fn follows_endpoints(&self) -> bool {
        matches!(self.question, Question::Endpoints(..) | Question::Ports(..) | Question::Who(..))
    }

    fn ports(&self) -> BTreeSet<NamedPort> {
        match (&self.question, &self.lookup) {
            (Question::Ports(port, _), _) => BTreeSet::from([port.clone()]),
            (_, Some(lookup)) => lookup.ports(),
            _ => BTreeSet::new(),
        }
    }

    fn fill(&self, ground: &mut Ground<'_>) {
        let (name, family) = (&self.name, self.question.family());
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
                ground.edited.set_set(name, ranges(labelled(ground.world, ground.places, selection, family)));
            }
            Question::Named(names, _) => ground.edited.set_set(name, ranges(named(ground.world, names, family))),
            Question::Ranges(bounds, _) => {
                ground.edited.set_set(name, ranges(bounds.iter().map(|(low, high)| *low..=*high).collect()));
            }
            Question::Who(id, _) => {
                let members = self.members(ground.population).collect();
                set_part(*id, family, &members, ground.edited);
            }
            Question::Where(shape) => {
                let intervals = self.lookup().intervals(family, &shape.way_of_strangers());
                let ids = intervals.iter().map(|(range, way)| (element(range, family), way.answer(shape.is_apart)));
                let elements = MapElements::Ids(ids.collect());
                let map = Map { key: vec![family.datatype()], form: Form::Interval, elements };
                ground.edited.set_map(name, Some(map));
            }
        }
    }

    /// Every endpoint's address that is in it, and what it leads to.
    fn members<'a>(&'a self, population: &'a Population) -> impl Iterator<Item = (Element, u64)> + 'a {
        let classes = self.possible_classes(population).into_iter();
        let addresses =
            classes.flat_map(|class| population.class_addresses(class).map(move |address| (class, address)));
        let of_family = addresses.filter(|(_, address)| IpVersion::of(*address) == self.question.family());
        of_family.filter_map(|(class, address)| {
            let bits = bits_of(address);
            let id = self.answer(bits, Some(class), self.stranger(bits, population).as_ref(), population)?;
            Some((self.key(address), id))
        })
    }

    /// The classes whose endpoints can be in it.
    fn possible_classes(&self, population: &Population) -> BTreeSet<Id> {
        if !self.ports().is_empty() {
            return population.all_classes().collect();
        }
        self.asked.iter().flat_map(|id| population.classes(*id)).copied().collect()
    }

    fn follow(&self, one: &Move, population: &Population, edited: &mut Edited) {
        let bits = bits_of(one.address);
        let element = self.key(one.address);
        let stranger = self.stranger(bits, population);
        let [was, is] = [one.before, one.after].map(|class| self.answer(bits, class, stranger.as_ref(), population));
        match self.question {
            _ if was == is => {}
            Question::Who(..) => edited.set_id(&who_name(self.question.family()), element, is),
            _ => edited.set_element(&self.name, element, is.is_some()),
        }
    }

    /// Where an address is looked up.
    fn key(&self, address: IpAddr) -> Element {
        let list = match self.question {
            Question::Who(id, _) => Some(Atom::Id(id)),
            _ => None,
        };
        Element::exactly(list.into_iter().chain([address_atom(address)]))
    }

    /// The way of an address that is no endpoint's, if it is entries that are asked.
    fn stranger(&self, bits: u128, population: &Population) -> Option<Way> {
        self.lookup.as_ref().map(|lookup| lookup.way(population.someone(bits, None)))
    }

    /// What an endpoint's address leads to; nothing if it is not in the table.
    fn answer(&self, bits: u128, class: Option<Id>, stranger: Option<&Way>, population: &Population) -> Option<u64> {
        let class_id = class?;
        match &self.question {
            Question::Endpoints(selection, _) => {
                population.admitted(class_id).contains(population.asked(selection)).then_some(0)
            }
            Question::Ports(port, _) => population.class_ports(class_id).contains(port).then_some(0),
            Question::Who(_, shape) => {
                let way = self.lookup().way(population.someone(bits, class));
                (Some(&way) != stranger).then(|| way.answer(shape.is_apart))
            }
            Question::Labelled(..) | Question::Named(..) | Question::Ranges(..) | Question::Where(_) => None,
        }
    }
}

/// Makes this all that a list looks up in its family's map.
fn set_part(list: u64, family: IpVersion, members: &BTreeMap<Element, u64>, edited: &mut Edited) {
    let map = who_name(family);
    let MapElements::Ids(all) = &edited.ruleset().maps[&map].elements else { panic!("{map} holds ids") };
    let begins = |id| Element::exactly([Atom::Id(id)]);
    let until = list.checked_add(1).map_or(Bound::Unbounded, |next| Bound::Excluded(begins(next)));
    let former = all.range((Bound::Included(begins(list)), until)).map(|(element, _)| element);
    let leaving: Vec<Element> = former.filter(|element| !members.contains_key(*element)).cloned().collect();
    for element in leaving {
        edited.set_id(&map, element, None);
    }
    for (element, id) in members {
        edited.set_id(&map, element.clone(), Some(*id));
    }
}
