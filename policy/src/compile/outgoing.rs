//! What leaves the fabric goes under another address, where its pool asks for it.
//!
//! In: all pools, and where hosts are. Out: one base chain; without a pool that asks there is none. The last step of a packet's way: policy
//! and whoever else looks before has seen its own source. A pool more is an element more: pools that ask for the same share a chain, named by
//! what it does. There are few pools, so each change looks at all of them.
//!
//! ```text
//! outgoing ── to the inside ── accept
//!    └─ source ── outgoing4-… ── excluded ── accept
//!                     └─ masquerade, or snat
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::Compiler;
use super::condition::{look_up, member, when};
use super::floating;
use super::name::name_of;
use super::part::{Part, Standing};
use super::range::{address_ranges, element};
use crate::model::{Direction, IpVersion};
use crate::nat::{Edge, Outgoing, Pool};
use crate::ruleset::{
    BasePolicy, Chain, Element, Form, Hook, HookKind, HookPoint, Map, MapElements, Name, Rule, Set, Then, Verdict,
};

/// Priority of source translation, `srcnat` (linux/netfilter_ipv4.h, `NF_IP_PRI_NAT_SRC`).
pub(super) const SOURCE_NAT: i32 = 100;

/// What is known of the edge, and what stands because of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Border {
    pub(super) edge: Edge,
    /// What stands because of pools.
    outgoing: Standing,
    /// What stands because something is published.
    pub(super) published: Standing,
    /// What stands because there are tunnels.
    pub(super) tunnel: Standing,
    /// What stands because floating addresses lead here.
    pub(super) floating: Standing,
}

impl Compiler {
    /// A pool comes, changes or goes.
    pub fn set_pool(&mut self, name: &str, pool: Option<Pool>) {
        let Border { edge, outgoing, floating, .. } = &mut self.border;
        if edge.pools.get(name) != pool.as_ref() {
            put(&mut edge.pools, name, pool);
            outgoing.put(part(edge), &mut self.edited);
            floating.put(floating::part(edge), &mut self.edited);
        }
    }

    /// Addresses of the fabric outside of its pools come, change or go: those others reach a host by, under its name, a service's, or a floating one.
    pub fn set_fabric_addresses(&mut self, name: &str, addresses: Option<BTreeSet<IpAddr>>) {
        let Border { edge, outgoing, floating, .. } = &mut self.border;
        if edge.hosts.get(name) != addresses.as_ref() {
            put(&mut edge.hosts, name, addresses);
            outgoing.put(part(edge), &mut self.edited);
            floating.put(floating::part(edge), &mut self.edited);
        }
    }
}

fn put<T>(all: &mut BTreeMap<String, T>, name: &str, thing: Option<T>) {
    match thing {
        Some(thing) => drop(all.insert(name.to_owned(), thing)),
        None => drop(all.remove(name)),
    }
}

fn part(edge: &Edge) -> Part {
    let mut part = Part::default();
    let mut rules = Vec::new();
    for family in IpVersion::BOTH {
        let asking = asking(edge, family);
        if asking.is_empty() {
            continue;
        }
        rules.extend(base_rules(family));
        part.sets.insert(inside_name(family), interval_set(&inside(edge), family));
        part.maps.insert(ways_name(family), ways(&asking, family));
        asking.iter().for_each(|(_, outgoing)| add_way(&mut part, family, outgoing));
    }
    if !rules.is_empty() {
        let hook = Hook {
            kind: HookKind::Nat,
            point: HookPoint::Postrouting,
            priority: SOURCE_NAT,
            policy: BasePolicy::Accept,
        };
        part.chains.insert(Name::new("outgoing"), Chain { hook: Some(hook), rules });
    }
    part
}

/// The ranges that ask to be translated. Of two that overlap, which no store of ours holds for long, the first by name counts.
fn asking(edge: &Edge, family: IpVersion) -> Vec<(IpNet, &Outgoing)> {
    let mut asking: Vec<(IpNet, &Outgoing)> = Vec::new();
    for pool in edge.pools.values().filter(|pool| IpVersion::of(pool.cidr.network()) == family) {
        let overlaps = |(other, _): &(IpNet, _)| other.contains(&pool.cidr) || pool.cidr.contains(other);
        let outgoing = pool.outgoing.as_ref().filter(|_| !asking.iter().any(overlaps));
        asking.extend(outgoing.map(|outgoing| (pool.cidr, outgoing)));
    }
    asking
}

pub(super) fn inside(edge: &Edge) -> Vec<IpNet> {
    let hosts = edge.hosts.values().flatten().copied().map(IpNet::from);
    edge.pools.values().map(|pool| pool.cidr).chain(hosts).collect()
}

fn base_rules(family: IpVersion) -> [Rule; 2] {
    let (source, destination) = (family.peer_field(Direction::Ingress), family.peer_field(Direction::Egress));
    let to_inside = vec![family.is_it(), member(vec![destination], inside_name(family), false)];
    let way = Then::Lookup { fields: vec![source], map: ways_name(family) };
    [when(to_inside, Verdict::Accept), look_up(vec![family.is_it()], way)]
}

fn ways(asking: &[(IpNet, &Outgoing)], family: IpVersion) -> Map {
    let way =
        |(cidr, outgoing): &(IpNet, &Outgoing)| (ranges([cidr], family), Verdict::Goto(way_name(family, outgoing)));
    let elements =
        asking.iter().map(way).flat_map(|(all, verdict)| all.into_iter().map(move |one| (one, verdict.clone())));
    Map { key: vec![family.datatype()], form: Form::Interval, elements: MapElements::Verdicts(elements.collect()) }
}

/// The chain that does what some pools ask for.
fn add_way(part: &mut Part, family: IpVersion, outgoing: &Outgoing) {
    let name = way_name(family, outgoing);
    let mut rules = Vec::new();
    if !outgoing.exclude.is_empty() {
        let destination = family.peer_field(Direction::Egress);
        part.sets.insert(name.clone(), interval_set(&outgoing.exclude, family));
        rules.push(when(vec![member(vec![destination], name.clone(), false)], Verdict::Accept));
    }
    rules.push(look_up(Vec::new(), Then::SourceNat(outgoing.source)));
    part.chains.insert(name, Chain { hook: None, rules });
}

pub(super) fn interval_set<'a>(nets: impl IntoIterator<Item = &'a IpNet>, family: IpVersion) -> Set {
    Set { key: vec![family.datatype()], form: Form::Interval, elements: ranges(nets, family).into_iter().collect() }
}

fn ranges<'a>(nets: impl IntoIterator<Item = &'a IpNet>, family: IpVersion) -> Vec<Element> {
    address_ranges(nets, family).iter().map(|range| element(range, family)).collect()
}

fn inside_name(family: IpVersion) -> Name {
    Name::new(format!("inside{}", family.digit()))
}

fn ways_name(family: IpVersion) -> Name {
    Name::new(format!("outgoing{}", family.digit()))
}

fn way_name(family: IpVersion, outgoing: &Outgoing) -> Name {
    name_of(&format!("outgoing{}", family.digit()), outgoing)
}
