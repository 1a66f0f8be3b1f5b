//! Reads a table of ours back: the inverse of what is written.
//!
//! In: a [`Dump`], what the kernel says stands. Out: the ruleset that was written so, or the name of what none of ours can be.
//! A rule that cannot be read spoils its chain alone: what is read in its place differs from any rules we want, so the chain will be
//! written anew. What else cannot be read spoils the whole. What belongs to a single rule comes and goes with it, and is passed over.

mod dump;

mod chain;
mod element;
mod set;
mod steps;

mod expression;
mod rule;

mod data;

use std::collections::BTreeMap;
use std::sync::Arc;

use poplin_policy::ruleset::{Chain, Form, Map, Name, Rule, Ruleset, Set, Then, Verdict};

use super::counter::{self, NFTA_OBJ_NAME, NFTA_OBJ_TYPE};
use super::element::NFTA_SET_ELEM_LIST_SET;
use super::rule::{NFTA_RULE_CHAIN, NFTA_RULE_EXPRESSIONS};
use crate::kernel::socket::Refusal;
use crate::kernel::wire::{attribute, be32_at, text};
use set::{Leads, Shape};

pub use dump::Dump;

const NFTA_FLOWTABLE_NAME: u16 = 2;

/// Why our table could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The kernel would not tell.
    #[error("the table cannot be read")]
    Refused(#[from] Refusal),
    /// It changed while it was read, each time.
    #[error("nftables changed during each of {attempts} readings")]
    Restless {
        /// How often it was read.
        attempts: usize,
    },
    /// Something in it is none of ours.
    #[error("{what} {name} is none of ours")]
    Foreign {
        /// What kind of thing.
        what: &'static str,
        /// Its name, as far as it is a text.
        name: String,
    },
    /// The kernel counts other elements than it tells of: it was moving them about.
    #[error("of {counted} elements of set {name} the kernel told {told}")]
    Incomplete {
        /// The set's name.
        name: Name,
        /// How many elements it has.
        counted: usize,
        /// How many were heard of.
        told: usize,
    },
}

impl Dump {
    /// The ruleset that was written so. Where two are written alike, for some fields are the same octets, it is this one.
    pub fn ruleset(&self, wanted: &Ruleset) -> Result<Ruleset, ReadError> {
        let mut ruleset = Ruleset { chains: self.chains_alike(wanted)?, ..Ruleset::default() };
        self.read_sets(&mut ruleset)?;
        for object in told(&self.objects) {
            let name = named(object, NFTA_OBJ_NAME);
            let kind = attribute(object, NFTA_OBJ_TYPE).and_then(|kind| be32_at(kind, 0));
            let counter = Name::parse(name).filter(|_| kind == Some(counter::KIND));
            ruleset.counters.insert(counter.ok_or_else(|| foreign("object", name))?);
        }
        match told(&self.flowtables).next() {
            Some(flowtable) => Err(foreign("flowtable", named(flowtable, NFTA_FLOWTABLE_NAME))),
            None => Ok(ruleset),
        }
    }

    fn read_sets(&self, ruleset: &mut Ruleset) -> Result<(), ReadError> {
        let mut lists: BTreeMap<&str, Vec<&[u8]>> = BTreeMap::new();
        for list in told(&self.elements) {
            lists.entry(named(list, NFTA_SET_ELEM_LIST_SET)).or_default().push(list);
        }
        for set in told(&self.sets).filter(|set| !set::is_anonymous(set)) {
            let name = set::name(set);
            let shape = set::shape(set).ok_or_else(|| foreign("set", name))?;
            add_set(ruleset, shape, lists.get(name).map_or(&[], Vec::as_slice))?;
        }
        Ok(())
    }

    /// Its chains. One that is wanted so is the wanted one, and takes no memory of its own.
    fn chains_alike(&self, wanted: &Ruleset) -> Result<BTreeMap<Name, Arc<Chain>>, ReadError> {
        let mut chains = self.read_chains()?;
        for (name, chain) in &mut chains {
            let is_alike = |wanted: &&Arc<Chain>| {
                wanted == &chain || wanted.hook == chain.hook && rule::are_written_alike(&wanted.rules, &chain.rules)
            };
            if let Some(wanted) = wanted.chains.get(name).filter(is_alike) {
                *chain = Arc::clone(wanted);
            }
        }
        Ok(chains)
    }

    fn read_chains(&self) -> Result<BTreeMap<Name, Arc<Chain>>, ReadError> {
        let mut rules: BTreeMap<&str, Vec<Option<Rule>>> = BTreeMap::new();
        for one in told(&self.rules) {
            let read = attribute(one, NFTA_RULE_EXPRESSIONS).and_then(rule::rule);
            rules.entry(named(one, NFTA_RULE_CHAIN)).or_default().push(read);
        }
        let with_rules = |chain| {
            let (name, chain) = chain::chain(chain).ok_or_else(|| foreign("chain", chain::name(chain)))?;
            let rules: Option<Vec<Rule>> = rules.remove(name.as_str()).unwrap_or_default().into_iter().collect();
            let rules = rules.unwrap_or_else(|| unlike_any(&name));
            Ok((name, Arc::new(Chain { rules, ..chain })))
        };
        told(&self.chains).filter(|chain| !chain::is_anonymous(chain)).map(with_rules).collect()
    }
}

fn add_set(ruleset: &mut Ruleset, shape: Shape, lists: &[&[u8]]) -> Result<(), ReadError> {
    let no_element = || foreign("an element of set", shape.name.as_str());
    let found = element::Found::read(&shape, lists).ok_or_else(no_element)?;
    let told = found.count();
    let Shape { name, key, form, leads, count } = shape.clone();
    let is_short = |counted: &usize| form == Form::Hash && *counted != told;
    if let Some(counted) = count.filter(is_short) {
        return Err(ReadError::Incomplete { name, counted, told });
    }
    match leads {
        Leads::Nowhere => {
            ruleset.sets.insert(name, Arc::new(Set { key, form, elements: found.elements().collect() }));
        }
        Leads::ToIds
        | Leads::ToVerdicts
        | Leads::ToCounters
        | Leads::ToSockets4
        | Leads::ToSockets6
        | Leads::ToAddresses4
        | Leads::ToAddresses6 => {
            let elements = found.map(leads).ok_or_else(no_element)?;
            ruleset.maps.insert(name, Map { key, form, elements });
        }
    }
    Ok(())
}

/// Rules that no ruleset of ours has, for the kernel takes no chain that leads back to itself.
fn unlike_any(chain: &Name) -> Vec<Rule> {
    vec![Rule { matches: Vec::new(), counter: None, then: Then::Verdict(Verdict::Jump(chain.clone())) }]
}

/// The attributes of what was told.
fn told(messages: &[Vec<u8>]) -> impl Iterator<Item = &[u8]> {
    messages.iter().filter_map(|payload| payload.get(4..))
}

fn named(attributes: &[u8], kind: u16) -> &str {
    attribute(attributes, kind).and_then(text).unwrap_or_default()
}

fn foreign(what: &'static str, name: &str) -> ReadError {
    ReadError::Foreign { what, name: name.to_owned() }
}
