//! Where a path begins: protocol and port are looked up, and lead to the list that holds for them.
//!
//! In: the pieces of both families. Out: one chain, or two. Ports that stand alone are found together with protocol and family in one
//! hash look-up; a protocol with ranges has a chain of its own that looks its port up among them.

use std::collections::{BTreeMap, BTreeSet};

use super::condition::{look_up, when};
use super::draw::{by_port, list, piece};
use super::node::{Blueprint, Drawing, Form};
use super::traffic::{Pieces, has_messages, has_ports};
use crate::model::IpVersion;
use crate::ruleset::{
    Atom, Datatype, Element, Field, Form as SetForm, Map, MapElements, MapKey, Name, Rule, Then, Verdict,
};

/// What is looked up at the beginning of a path.
#[derive(Default)]
struct Front {
    /// Family, protocol, port.
    exact: BTreeMap<Element, Verdict>,
    /// Family, protocol.
    protocols: BTreeMap<Element, Verdict>,
    others: BTreeMap<IpVersion, Verdict>,
}

/// The chain a path begins with; `name` is its own.
pub(super) fn front(name: &Name, families: &BTreeMap<IpVersion, Pieces>, drawing: &mut Drawing) -> Blueprint {
    let mut front = Front::default();
    for (family, pieces) in families {
        front.add(*family, pieces, drawing);
    }
    if front.exact.is_empty() {
        return front.by_protocol(name);
    }
    let after = Drawing::name("protocols", &(&front.protocols, &front.others));
    let rest = front.by_protocol(&after);
    let rest = drawing.draw(after, |_| rest);
    front.by_exact_port(name, rest)
}

impl Front {
    fn add(&mut self, family: IpVersion, pieces: &Pieces, drawing: &mut Drawing) {
        self.others.insert(family, list(&pieces.others, drawing));
        for (protocol, ranges) in &pieces.protocols {
            let of_protocol = vec![family.atom(), Atom::Octet(*protocol)];
            let targets: Vec<_> = ranges.iter().map(|(range, one)| (*range, piece(one, drawing))).collect();
            let usual = usual(&targets);
            let is_usual = |target: &Verdict| *target == usual;
            let all_alone = targets.iter().all(|((low, high), target)| is_usual(target) || low == high);
            if targets.len() == 1 || (has_ports(*protocol) && all_alone) {
                for ((port, _), target) in targets.into_iter().filter(|(_, target)| !is_usual(target)) {
                    let key = [of_protocol.clone(), vec![Atom::Port(port)]].concat();
                    self.exact.insert(Element::exactly(key), target);
                }
                self.protocols.insert(Element::exactly(of_protocol), usual);
            } else {
                let field = if has_messages(*protocol) { Field::IcmpMessage } else { Field::DestinationPort };
                self.protocols.insert(Element::exactly(of_protocol), by_port(field, targets, drawing));
            }
        }
    }

    fn by_exact_port(&self, name: &Name, rest: Verdict) -> Blueprint {
        let fields = vec![Field::Family, Field::Protocol, Field::DestinationPort];
        // Its name is another than that of the map the chain might have without such ports, for its key is another.
        let exact = Name::new(format!("x-{name}"));
        let found = look_up(Vec::new(), Then::Lookup { fields, map: exact.clone() });
        let below = targets(self.exact.values().chain([&rest]));
        let key = [Datatype::Octet, Datatype::Octet, Datatype::Port];
        Blueprint {
            rules: vec![found, when(Vec::new(), rest)],
            map: Some((exact, map(&key, &self.exact))),
            tables: BTreeSet::new(),
            below,
            form: Form::Ports,
            counts: None,
        }
    }

    fn by_protocol(&self, name: &Name) -> Blueprint {
        let fields = vec![Field::Family, Field::Protocol];
        let mut rules = Vec::new();
        if !self.protocols.is_empty() {
            rules.push(look_up(Vec::new(), Then::Lookup { fields, map: name.clone() }));
        }
        rules.extend(self.rules_for_others());
        Blueprint {
            rules,
            map: (!self.protocols.is_empty()).then(|| (name.clone(), map(&[Datatype::Octet; 2], &self.protocols))),
            tables: BTreeSet::new(),
            below: targets(self.protocols.values().chain(self.others.values())),
            form: Form::Ports,
            counts: None,
        }
    }

    fn rules_for_others(&self) -> Vec<Rule> {
        let (four, six) = (&self.others[&IpVersion::V4], &self.others[&IpVersion::V6]);
        let last = when(Vec::new(), six.clone());
        if four == six { vec![last] } else { vec![when(vec![IpVersion::V4.is_it()], four.clone()), last] }
    }
}

/// What holds on most ports.
fn usual(targets: &[((u16, u16), Verdict)]) -> Verdict {
    let mut ports: BTreeMap<&Verdict, u32> = BTreeMap::new();
    for ((low, high), target) in targets {
        *ports.entry(target).or_default() += u32::from(high - low) + 1;
    }
    let most = ports.into_iter().max_by_key(|(_, count)| *count);
    most.map(|(target, _)| target.clone()).expect("ranges cover every port")
}

fn targets<'a>(verdicts: impl Iterator<Item = &'a Verdict>) -> BTreeSet<Name> {
    verdicts.filter_map(|verdict| verdict.target().cloned()).collect()
}

fn map(key: &[Datatype], elements: &BTreeMap<Element, Verdict>) -> Map {
    let key = key.iter().map(|datatype| MapKey::Field(*datatype)).collect();
    Map { key, form: SetForm::Hash, elements: MapElements::Verdicts(elements.clone()) }
}
