//! The pieces a path is made of beyond its own chain: chains and maps named by their content, shared by all paths that need them.
//!
//! In: lists and pieces. Out: the verdict that leads to them, and blueprints of the chains and maps on the way. A blueprint is a
//! value; [`Nodes`] counts who uses each and makes and ends what stands for it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::name::name_of;
use super::places::Places;
use super::question::Question;
use super::table::{Ground, Tables};
use crate::model::{Direction, Selection};
use crate::ruleset::{Chain, Map, Name, Rule, Verdict};
use crate::verdict::{By, RuleName};
use crate::world::World;

impl fmt::Display for Form {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Form::Outcome => "carries out what was settled and counted",
            Form::Count => "counts what settled, and who passed on before",
            Form::Few => "asks one by one: so few that a look-up would cost no less",
            Form::BothEnds => "asks one by one, because some rules ask for both ends, and a look-up knows one address",
            Form::Logging => "asks first whom rules that log and go on tell of, and whom tiers pass on by more rules than the look-up that settles can count",
            Form::Telling => "counts and tells of what a rule logs",
            Form::Mapped => "finds the rule by one look-up of the address",
            Form::Ports => "finds what holds for protocol and port",
            Form::SourcePorts => "finds what holds for the source port",
        })
    }
}

/// A chain, the maps of its own it looks into, and what they refer to. An outcome is a
/// counter, and a chain if more is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Blueprint {
    /// Rules of the chain; there is none without any.
    pub(super) rules: Vec<Rule>,
    /// Maps of its own.
    pub(super) maps: Vec<(Name, Map)>,
    pub(super) tables: BTreeSet<Question>,
    pub(super) below: BTreeSet<Name>,
    pub(super) form: Form,
    /// What its counter counts, if anybody asks.
    pub(super) counts: Option<Arc<Counted>>,
    /// The rule that logs under its name, if one does.
    pub(super) logs: Option<Arc<RuleName>>,
}

impl Blueprint {
    /// One that does nothing yet.
    pub(super) fn of(form: Form) -> Self {
        Self {
            rules: Vec::new(),
            maps: Vec::new(),
            tables: BTreeSet::new(),
            below: BTreeSet::new(),
            form,
            counts: None,
            logs: None,
        }
    }
}

/// What a counter counts: first packets of flows that something settled, or that a rule logged or passed on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Counted {
    /// Which way, seen from the governed endpoint.
    pub direction: Direction,
    /// What settled, logged or passed them.
    pub by: By,
    /// What it did with them, or would have done.
    pub effect: Effect,
    /// Whether nothing came of it: the policy is staged.
    pub is_staged: bool,
}

/// What becomes of a packet that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// It may pass.
    Allow,
    /// It is dropped.
    Deny,
    /// It is told of, and what comes after settles it.
    Log,
    /// The next tier is asked, and something there settles it.
    Pass,
}

impl fmt::Display for Effect {
    /// As actions of rules are written.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Effect::Allow => "allow",
            Effect::Deny => "deny",
            Effect::Log => "log",
            Effect::Pass => "pass",
        })
    }
}

/// What a chain does, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// Carries out what settled a packet.
    Outcome,
    /// Counts what settled a packet and who passed it on, where nothing else could.
    Count,
    /// Asks rules one by one: so few that a look-up would cost no less.
    Few,
    /// Asks rules one by one, because some of them ask for both ends: a look-up knows one address. At host endpoints only.
    BothEnds,
    /// Asks for some rules by themselves, because they log and go on, and, where the ways through its tiers are too many, once for each tier of which
    /// rules pass: what fits is counted on the way.
    Logging,
    /// Counts packets, tells of them, and goes back.
    Telling,
    /// Finds what settles by one look-up of the address.
    Mapped,
    /// Finds the list that holds for the port.
    Ports,
    /// Finds the list that holds for the port a packet comes from.
    SourcePorts,
}

impl Form {
    /// Whether a counter of the same name stands beside it.
    fn has_counter(self) -> bool {
        matches!(self, Form::Outcome | Form::Telling)
    }
}

/// Blueprints while a path is drawn.
#[derive(Clone, Debug)]
pub(super) struct Drawing<'w> {
    world: &'w World,
    sets: &'w Places,
    pub(super) blueprints: BTreeMap<Name, Blueprint>,
    /// The selections that were asked about, and whether some address set is selected.
    pub(super) places: BTreeMap<Selection, bool>,
}

impl<'w> Drawing<'w> {
    pub(super) fn new(world: &'w World, sets: &'w Places) -> Self {
        Self { world, sets, blueprints: BTreeMap::new(), places: BTreeMap::new() }
    }

    /// Whether some address set is selected.
    pub(super) fn selects_places(&mut self, selection: &Selection) -> bool {
        if let Some(selects) = self.places.get(selection) {
            return *selects;
        }
        let selects = !self.sets.selected(self.world, selection).is_empty();
        self.places.insert(selection.clone(), selects);
        selects
    }

    /// Draws a chain, unless one of that name is drawn already.
    pub(super) fn draw(&mut self, name: Name, blueprint: impl FnOnce(&mut Self) -> Blueprint) -> Verdict {
        if !self.blueprints.contains_key(&name) {
            let drawn = blueprint(self);
            self.blueprints.insert(name.clone(), drawn);
        }
        Verdict::Goto(name)
    }

    /// A name for a chain: what it is made from.
    pub(super) fn name(kind: &str, essence: &impl std::hash::Hash) -> Name {
        name_of(kind, essence)
    }
}

#[derive(Clone, Debug)]
struct Node {
    uses: usize,
    form: Form,
    /// What it refers to; most refer to nothing.
    refers: Option<Box<Refers>>,
    counts: Option<Arc<Counted>>,
    logs: Option<Arc<RuleName>>,
}

/// What a chain refers to, and goes with it if nothing else does.
#[derive(Clone, Debug)]
struct Refers {
    tables: Box<[Name]>,
    below: Box<[Name]>,
    maps: Box<[Name]>,
}

impl Refers {
    fn of(blueprint: &Blueprint) -> Option<Box<Self>> {
        let Blueprint { tables, below, maps, .. } = blueprint;
        let is_something = !(tables.is_empty() && below.is_empty() && maps.is_empty());
        is_something.then(|| {
            let tables = tables.iter().map(Question::name).collect();
            let below = below.iter().cloned().collect();
            Box::new(Self { tables, below, maps: maps.iter().map(|(name, _)| name.clone()).collect() })
        })
    }
}

/// Everything that stands for blueprints.
#[derive(Clone, Debug, Default)]
pub(super) struct Nodes {
    nodes: BTreeMap<Name, Node>,
    /// How many of them look a source port up.
    source_ports: usize,
}

impl Nodes {
    /// One more refers to a chain; it is made if it does not stand, with all below it.
    pub(super) fn acquire(
        &mut self,
        name: &Name,
        drawn: &BTreeMap<Name, Blueprint>,
        tables: &mut Tables,
        ground: &mut Ground<'_>,
    ) {
        if let Some(node) = self.nodes.get_mut(name) {
            node.uses += 1;
            return;
        }
        let blueprint = &drawn[name];
        for below in &blueprint.below {
            self.acquire(below, drawn, tables, ground);
        }
        for question in &blueprint.tables {
            tables.acquire(question, ground);
        }
        if blueprint.form.has_counter() {
            ground.edited.set_counter(name, true);
        }
        if !blueprint.rules.is_empty() {
            ground.edited.set_chain(name, Some(Chain { hook: None, rules: blueprint.rules.clone() }));
        }
        for (map_name, map) in &blueprint.maps {
            ground.edited.set_map(map_name, Some(map.clone()));
        }
        let node = Node {
            uses: 1,
            form: blueprint.form,
            refers: Refers::of(blueprint),
            counts: blueprint.counts.clone(),
            logs: blueprint.logs.clone(),
        };
        self.source_ports += usize::from(node.form == Form::SourcePorts);
        self.nodes.insert(name.clone(), node);
    }

    /// One less refers to a chain; it goes with the last.
    pub(super) fn release(&mut self, name: &Name, tables: &mut Tables, ground: &mut Ground<'_>) {
        let node = self.nodes.get_mut(name).expect("a chain that is released stands");
        node.uses -= 1;
        if node.uses > 0 {
            return;
        }
        let node = self.nodes.remove(name).expect("a chain that is released stands");
        self.source_ports -= usize::from(node.form == Form::SourcePorts);
        ground.edited.set_chain(name, None);
        if node.form.has_counter() {
            ground.edited.set_counter(name, false);
        }
        let Some(refers) = node.refers else { return };
        for map in &refers.maps {
            ground.edited.set_map(map, None);
        }
        for table in &refers.tables {
            tables.release(table, ground);
        }
        for below in &refers.below {
            self.release(below, tables, ground);
        }
    }

    /// Whether some chain looks a source port up.
    pub(super) fn look_at_source_ports(&self) -> bool {
        self.source_ports > 0
    }

    /// What a chain does.
    pub(super) fn form(&self, name: &Name) -> Option<Form> {
        self.nodes.get(name).map(|node| node.form)
    }

    /// What a chain counts.
    pub(super) fn counts(&self, name: &Name) -> Option<&Counted> {
        self.nodes.get(name)?.counts.as_deref()
    }

    /// The rule that logs under a name.
    pub(super) fn logs(&self, name: &Name) -> Option<&RuleName> {
        self.nodes.get(name)?.logs.as_deref()
    }

    /// What each chain that counts counts.
    pub(super) fn counted(&self) -> impl Iterator<Item = (&Name, &Counted)> {
        self.nodes.iter().filter_map(|(name, node)| Some((name, node.counts.as_deref()?)))
    }
}
