//! The rules of one endpoint where its interface itself is: in its container's network namespace, which no packet of it leaves by way of the host.
//!
//! In: the table of a host, in which the endpoint is local by some interface. Out: a table for the namespace, with the endpoint's paths and nothing
//! of anybody else's. Its interface has whatever name the runtime gives it there, so it is told by its group; other interfaces of the container are
//! let alone.
//!
//! ```text
//! input ── not of the group ── accept, established ── accept, what routers say of routes ── drop, discovery ── accept
//!    ├─ to an address of another interface ── drop
//!    └─ to-workload ── the endpoint's path, as in the host's table, its ingress
//! output ── not of the group ── accept, established ── accept, discovery ── accept, spoofed? ── drop
//!    └─ from-workload ── its egress
//! forward ── of the group ── drop: an endpoint is no router
//! ```

mod follow;
mod touched;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

pub use self::touched::Touched;
use self::touched::id;
use super::base;
use super::condition::{equals, is_of, look_up, member, when};
use super::family::address_atom;
use crate::model::IpVersion;
use crate::packet::ICMP6;
use crate::place::Place;
use crate::reference::Reference;
use crate::ruleset::{
    AtPort, Atom, Chain, Element, Field, Form, HookPoint, Interface, Map, MapElements, Match, Name, Origin, Rule,
    Ruleset, Set, Then, Verdict,
};

/// Whose sandbox it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sandbox {
    /// By which interface the endpoint is local in the host's table.
    pub interface: Interface,
    /// The group of its interface in the namespace; never 0, in which all others are.
    pub group: u32,
    /// What it may send from.
    pub addresses: Vec<IpAddr>,
}

/// The part of a host's table that holds for one endpoint, as a table for its sandbox. An endpoint the table does not know passes nothing.
pub fn in_sandbox(whole: &Ruleset, sandbox: &Sandbox) -> Ruleset {
    Cut::of(whole, sandbox).rules
}

/// Such a part, and what it takes to know which changes of the host's table concern it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    rules: Ruleset,
    interface: Interface,
    /// Ids that its packets can come to: how many rules and elements of it lead to each.
    ids: BTreeMap<u64, usize>,
    /// Whether it refers to something that does not stand.
    is_dangling: bool,
}

impl Cut {
    /// Cuts it out.
    pub fn of(whole: &Ruleset, sandbox: &Sandbox) -> Self {
        let rules = grown(whole, sandbox);
        let led_to = rules.maps.values().filter_map(|map| match &map.elements {
            MapElements::Ids(ids) => Some(ids.values().copied()),
            _ => None,
        });
        let constants = rules.chains.values().flat_map(|chain| &chain.rules).filter_map(constant);
        let mut ids = BTreeMap::from([(AtPort::UNASKED, 1)]);
        led_to.flatten().chain(constants).for_each(|id| *ids.entry(id).or_default() += 1);
        let (interface, is_dangling) = (sandbox.interface.clone(), rules.dangling().is_some());
        Self { rules, interface, ids, is_dangling }
    }

    /// The table for the sandbox.
    pub fn rules(&self) -> &Ruleset {
        &self.rules
    }
}

fn grown(whole: &Ruleset, sandbox: &Sandbox) -> Ruleset {
    let mut part = Part {
        whole,
        sandbox,
        ids: BTreeSet::from([AtPort::UNASKED]),
        taken: BTreeMap::new(),
        ruleset: Ruleset::default(),
    };
    for (name, point, rules) in base_chains(sandbox) {
        part.ruleset.chains.insert(Name::new(name), base::base(point, base::FILTER, rules).into());
    }
    for family in IpVersion::BOTH {
        part.ruleset.sets.insert(own_name(family), own(family, &sandbox.addresses).into());
    }
    while part.grows() {}
    part.ruleset
}

fn base_chains(sandbox: &Sandbox) -> [(&'static str, HookPoint, Vec<Rule>); 3] {
    let group = |field, negated| Match::Group { field, group: sandbox.group, negated };
    let begin = |field| {
        let first = when(vec![group(field, true)], Verdict::Accept);
        vec![first, when(vec![base::known_flows()], Verdict::Accept)]
    };
    let link = base::needed_by_the_link;
    let jump = |to: Name| vec![when(Vec::new(), Verdict::Jump(to))];
    let input = [begin(Field::InterfaceIn), routers(), link(), strays(), jump(base::to_workload())].concat();
    let output = [begin(Field::InterfaceOut), link(), spoofs(), jump(base::from_workload())].concat();
    let forward = [Field::InterfaceIn, Field::InterfaceOut].map(|field| when(vec![group(field, false)], Verdict::Drop));
    [
        ("input", HookPoint::Input, input),
        ("forward", HookPoint::Forward, forward.to_vec()),
        ("output", HookPoint::Output, output),
    ]
}

/// Router advertisements and redirects (RFC 4861 §4.2, §4.5). Whoever is on the LAN can send them, and Linux would take routes and addresses from them,
/// also where a container has no IPv6 at all; its routes are those of its network. What was routed is none: the kernel looks at the hop limit, too.
const OF_ROUTERS: [u8; 2] = [134, 137];

/// Hop limit of what was not routed (RFC 4861 §6.1.2, §8.1).
const UNROUTED: u8 = 255;

/// What routers say of routes is dropped, without a word: they say it every few minutes.
fn routers() -> Vec<Rule> {
    let dropped = |kind| {
        let mut matches = is_of(IpVersion::V6, ICMP6);
        matches.extend([equals(Field::IcmpType, Atom::Octet(kind)), equals(Field::HopLimit6, Atom::Octet(UNROUTED))]);
        when(matches, Verdict::Drop)
    };
    OF_ROUTERS.map(dropped).to_vec()
}

/// What comes by its interface to an address of the container that is another interface's is dropped: Linux takes it all the same, and what that one
/// may be sent is said by other rules than these. Broadcast and multicast are nobody's own; an address of its link is in no set, and on no other link.
fn strays() -> Vec<Rule> {
    let of_family = |(family, field): (IpVersion, Field)| {
        let on_link = |field| {
            let (low, high) = base::LINK_LOCAL;
            Match::Range { field, low: Atom::Address6(low), high: Atom::Address6(high), negated: true }
        };
        let is_on_link = (family == IpVersion::V6).then(|| on_link(field));
        let is_stray = [Match::ToHost { negated: false }, member(vec![field], own_name(family), true)];
        when([family.is_it()].into_iter().chain(is_on_link).chain(is_stray).collect(), Verdict::Drop)
    };
    [(IpVersion::V4, Field::Destination4), (IpVersion::V6, Field::Destination6)].map(of_family).to_vec()
}

/// What is not sent from an address of its own is dropped.
fn spoofs() -> Vec<Rule> {
    let of_family = |(family, field): (IpVersion, Field)| {
        let matches = vec![family.is_it(), member(vec![field], own_name(family), true)];
        [look_up(matches.clone(), Then::Log(Place::Spoof.log())), when(matches, Verdict::Drop)]
    };
    [(IpVersion::V4, Field::Source4), (IpVersion::V6, Field::Source6)].into_iter().flat_map(of_family).collect()
}

fn own_name(family: IpVersion) -> Name {
    Name::new(format!("own{}", family.digit()))
}

fn own(family: IpVersion, addresses: &[IpAddr]) -> Set {
    let of_family = addresses.iter().filter(|address| IpVersion::of(**address) == family);
    let elements = of_family.map(|address| Element::exactly([address_atom(*address)])).collect();
    Set { key: vec![family.datatype()], form: Form::Hash, elements }
}

/// What was found so far to hold for the endpoint.
struct Part<'r> {
    whole: &'r Ruleset,
    sandbox: &'r Sandbox,
    /// Ids that its packets can come to; elements of other paths and questions are left out.
    ids: BTreeSet<u64>,
    /// How many ids were known when a map's elements were last looked for: with the same there are no others.
    taken: BTreeMap<&'r Name, usize>,
    ruleset: Ruleset,
}

impl<'r> Part<'r> {
    /// Takes in what is referred to by what is in it. Whether there was anything.
    fn grows(&mut self) -> bool {
        let before = self.size();
        let rules = self.ruleset.chains.values().flat_map(|chain| &chain.rules);
        self.ids.extend(rules.filter_map(constant));
        let whole = self.whole;
        let mentioned: BTreeSet<_> = self.ruleset.references().filter_map(|one| whole.standing(one)).collect();
        mentioned.into_iter().for_each(|reference| self.take(reference));
        self.size() != before
    }

    /// Grows with every step, until there is none.
    fn size(&self) -> [usize; 5] {
        let Ruleset { chains, maps, sets, counters } = &self.ruleset;
        let elements = maps.values().map(|map| map.elements.len()).sum();
        [chains.len(), elements, sets.len(), counters.len(), self.ids.len()]
    }

    fn take(&mut self, reference: Reference<'r>) {
        match reference {
            Reference::Chain(name) => {
                if let (false, Some(chain)) = (self.ruleset.chains.contains_key(name), self.whole.chains.get(name)) {
                    let rules = chain.rules.iter().filter_map(|rule| self.settled(rule)).collect();
                    self.ruleset.chains.insert(name.clone(), Chain { hook: None, rules }.into());
                }
            }
            Reference::Map(name) => {
                let known = self.ids.len();
                if let (true, Some(map)) = (self.taken.insert(name, known) != Some(known), self.whole.maps.get(name)) {
                    let elements = self.own_elements(&map.elements);
                    if let MapElements::Ids(ids) = &elements {
                        self.ids.extend(ids.values());
                    }
                    self.ruleset.maps.insert(name.clone(), Map { key: map.key.clone(), form: map.form, elements });
                }
            }
            Reference::Set(name) => {
                if let (false, Some(set)) = (self.ruleset.sets.contains_key(name), self.whole.sets.get(name)) {
                    self.ruleset.sets.insert(name.clone(), set.clone());
                }
            }
            Reference::Counter(name) => _ = self.ruleset.counters.insert(name.clone()),
        }
    }

    /// Which path is taken is no question where one endpoint alone comes; a rule that finds none for it does nothing.
    fn settled(&self, rule: &Rule) -> Option<Rule> {
        let mut rule = rule.clone();
        let origin = match &mut rule.then {
            Then::Dispatch(dispatch) => &mut dispatch.from,
            Then::AtPort(at_port) => &mut at_port.path,
            _ => return Some(rule),
        };
        let Origin::Fields { fields, ids } = &*origin else { return Some(rule) };
        if !matches!(fields[..], [Field::InterfaceIn | Field::InterfaceOut]) {
            return Some(rule);
        }
        let MapElements::Ids(paths) = &self.whole.maps.get(ids)?.elements else { return None };
        *origin = Origin::Constant(*paths.get(&Element::exactly([Atom::Interface(self.sandbox.interface.clone())]))?);
        Some(rule)
    }

    fn own_elements(&self, all: &MapElements) -> MapElements {
        match all {
            MapElements::Ids(all) => MapElements::Ids(self.own(all)),
            MapElements::Verdicts(all) => MapElements::Verdicts(self.own(all)),
            MapElements::Counters(all) => MapElements::Counters(self.own(all)),
            MapElements::Sockets4(_)
            | MapElements::Sockets6(_)
            | MapElements::Addresses4(_)
            | MapElements::Addresses6(_) => all.clone(),
        }
    }

    fn own<V: Clone>(&self, all: &BTreeMap<Element, V>) -> BTreeMap<Element, V> {
        let is_own = |(key, _): &(&Element, &V)| key.low.atoms().filter_map(id).all(|id| self.ids.contains(&id));
        let copied = |(key, value): (&Element, &V)| (key.clone(), value.clone());
        let begins_with_id = all.keys().next().is_some_and(|key| key.low.atoms().next().and_then(id).is_some());
        match begins_with_id {
            true => self.ids.iter().flat_map(|id| beginning(all, *id)).filter(is_own).map(copied).collect(),
            false => all.iter().filter(is_own).map(copied).collect(),
        }
    }
}

/// Where the keys of a map begin with an id, its own are found without looking at others'.
fn beginning<V>(all: &BTreeMap<Element, V>, first: u64) -> impl Iterator<Item = (&Element, &V)> {
    let begins = move |(key, _): &(&Element, &V)| key.low.atoms().next().and_then(id) == Some(first);
    all.range(Element::exactly([Atom::Id(first)])..).take_while(begins)
}

/// The id that a rule begins with, if it is always the same.
fn constant(rule: &Rule) -> Option<u64> {
    let origin = match &rule.then {
        Then::Dispatch(dispatch) => &dispatch.from,
        Then::AtPort(at_port) => &at_port.path,
        _ => return None,
    };
    match origin {
        Origin::Constant(id) => Some(*id),
        Origin::Fields { .. } => None,
    }
}
