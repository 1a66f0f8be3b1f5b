//! The sets that rules refer to, made when first referred to and shared from then on.
//!
//! A set of fixed content is named by its content; a set whose members come and go is named by what its members are
//! chosen by, so that it stays while they change.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::family::{Family, address_atom};
use super::name::Essence;
use super::range::address_ranges;
use crate::host::Host;
use crate::label::Labels;
use crate::model::{AddressSet, Endpoint, QualifiedName, Selection};
use crate::ruleset::{Atom, Datatype, Element, Form, Name, Set};
use crate::world::World;

/// Name of the set of (interface, address) pairs that are no spoof.
pub(super) fn sources_name(family: Family) -> Name {
    Name::new(format!("sources{}", family.digit()))
}

/// All sets of one ruleset, and what they are filled from.
pub(super) struct Sets<'w> {
    world: &'w World,
    /// Endpoints with equal labels are asked about once.
    classes: BTreeMap<(&'w Labels, &'w Option<String>), Vec<&'w Endpoint>>,
    /// Addresses of the endpoints each selector admits; a selector is asked once.
    admitted: BTreeMap<Selection, Vec<IpAddr>>,
    made: BTreeMap<Name, Set>,
}

impl<'w> Sets<'w> {
    pub(super) fn of(world: &'w World) -> Self {
        let mut classes: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for endpoint in world.endpoints.values() {
            classes.entry((&endpoint.labels, &endpoint.namespace)).or_default().push(endpoint);
        }
        Self { world, classes, admitted: BTreeMap::new(), made: BTreeMap::new() }
    }

    /// The sets that together hold what a selector admits: endpoints, and prefixes where an address set is admitted.
    pub(super) fn selected(&mut self, selector: &Selection, family: Family) -> Vec<Name> {
        let world = self.world;
        let endpoints = self.endpoints(selector, family);
        let admitted: Vec<_> = world.sets.values().filter(|set| world.selects_set(selector, set)).collect();
        if admitted.is_empty() {
            return vec![endpoints];
        }
        let prefixes = Essence::new().with(&selector.to_string()).name(&format!("labelled{}", family.digit()));
        self.make(prefixes.clone(), || addresses(family, Form::Interval, nets_of(admitted, family)));
        vec![endpoints, prefixes]
    }

    /// The set of the endpoints a selection admits.
    pub(super) fn endpoints(&mut self, selector: &Selection, family: Family) -> Name {
        let endpoints = Essence::new().with(&selector.to_string()).name(&format!("select{}", family.digit()));
        if !self.made.contains_key(&endpoints) {
            let members = self.endpoint_addresses(selector, family);
            self.made.insert(endpoints.clone(), addresses(family, Form::Hash, members));
        }
        endpoints
    }

    /// The prefixes of address sets by their names.
    pub(super) fn named(&mut self, names: &[QualifiedName], family: Family) -> Name {
        let world = self.world;
        let names: BTreeSet<&QualifiedName> = names.iter().collect();
        let essence = names.iter().fold(Essence::new(), |essence, name| essence.with(&name.to_string()));
        let name = essence.name(&format!("named{}", family.digit()));
        let existing = names.into_iter().filter_map(|name| world.sets.get(name));
        self.make(name.clone(), || addresses(family, Form::Interval, nets_of(existing, family)));
        name
    }

    /// A fixed set of address ranges.
    pub(super) fn nets(&mut self, ranges: Vec<Element>, family: Family) -> Name {
        let name = essence_of(&ranges).name(&format!("nets{}", family.digit()));
        self.make(name.clone(), || addresses(family, Form::Interval, ranges));
        name
    }

    /// A fixed set of ports: a hash set if there are no true ranges.
    pub(super) fn ports(&mut self, ranges: BTreeSet<Element>) -> Name {
        let is_plain = ranges.iter().all(|range| range.low == range.high);
        let form = if is_plain { Form::Hash } else { Form::Interval };
        let name = essence_of(&ranges).name("ports");
        self.make(name.clone(), || Set { key: vec![Datatype::Port], form, elements: ranges });
        name
    }

    /// The pairs of interface and source address that local endpoints may use.
    pub(super) fn add_sources(&mut self, world: &World, host: &Host) {
        let mut elements: [BTreeSet<Element>; 2] = Default::default();
        for (name, interface) in &host.interfaces {
            for address in world.endpoints.get(name).into_iter().flat_map(|endpoint| &endpoint.addresses) {
                let key = vec![Atom::Interface(interface.clone()), address_atom(*address)];
                elements[usize::from(address.is_ipv6())].insert(Element::exactly(key));
            }
        }
        for (family, elements) in Family::BOTH.into_iter().zip(elements) {
            let key = vec![Datatype::Interface, family.datatype()];
            self.made.insert(sources_name(family), Set { key, form: Form::Hash, elements });
        }
    }

    pub(super) fn into_made(self) -> BTreeMap<Name, Set> {
        self.made
    }

    fn make(&mut self, name: Name, set: impl FnOnce() -> Set) {
        self.made.entry(name).or_insert_with(set);
    }

    fn endpoint_addresses(&mut self, selector: &Selection, family: Family) -> Vec<Element> {
        let world = self.world;
        if !self.admitted.contains_key(selector) {
            let classes = self.classes.values().filter(|class| world.selects_endpoint(selector, class[0]));
            let addresses = classes.flatten().flat_map(|endpoint| &endpoint.addresses);
            self.admitted.insert(selector.clone(), addresses.copied().collect());
        }
        let of_family = self.admitted[selector].iter().filter(|address| Family::of(**address) == family);
        of_family.map(|address| Element::exactly(vec![address_atom(*address)])).collect()
    }
}

fn addresses(family: Family, form: Form, elements: Vec<Element>) -> Set {
    Set { key: vec![family.datatype()], form, elements: elements.into_iter().collect() }
}

fn nets_of<'w>(sets: impl IntoIterator<Item = &'w AddressSet>, family: Family) -> Vec<Element> {
    address_ranges(sets.into_iter().flat_map(|set| &set.nets), family)
}

fn essence_of<'a>(ranges: impl IntoIterator<Item = &'a Element>) -> Essence {
    ranges.into_iter().fold(Essence::new(), |essence, range| essence.with(&crate::render::element(range)))
}
