//! Makes a world that tells something smaller, as long as it tells it still.
//!
//! In: worlds, and whether they tell it. Out: the same worlds without what is not needed for that: the reader has little to look at. One
//! thing is left out at a time, in all of the worlds at once, until nothing can be left out any more.

use std::collections::BTreeSet;
use std::net::IpAddr;

use poplin_policy::model::{Direction, Policy, QualifiedName, Rare, Rule, Rules};
use poplin_policy::world::World;

/// Something that can be left out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Policy(QualifiedName),
    Direction(QualifiedName, Direction),
    Rule(QualifiedName, Direction, usize),
    Match(QualifiedName, Direction, usize, Asked),
    Tier(String),
    AddressSet(QualifiedName),
    Namespace(String),
    Endpoint(String),
    Address(String, usize),
    HostEndpoint(String),
    HostPorts(IpAddr),
}

/// Something a rule asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Asked {
    Source,
    Destination,
    Ports,
    NotPorts,
    SourcePorts,
    NotSourcePorts,
    IpVersion,
    Log,
}

const ASKED: [Asked; 8] = [
    Asked::Source,
    Asked::Destination,
    Asked::Ports,
    Asked::NotPorts,
    Asked::SourcePorts,
    Asked::NotSourcePorts,
    Asked::IpVersion,
    Asked::Log,
];

/// The least that still tells it, by leaving out one thing after the other.
pub(crate) fn shrunk(mut worlds: Vec<World>, mut tells: impl FnMut(&[World]) -> bool) -> Vec<World> {
    loop {
        let before = worlds.clone();
        for part in parts(&worlds) {
            let fewer: Vec<World> = worlds.iter().map(|world| without(world, &part)).collect();
            if fewer != worlds && tells(&fewer) {
                worlds = fewer;
            }
        }
        if worlds == before {
            return worlds;
        }
    }
}

/// Great things first; of rules the last first, so that the places of those before stay what they are.
fn parts(worlds: &[World]) -> Vec<Part> {
    let of_world = |world: &World| {
        let named = world.policies.keys().cloned().map(Part::Policy);
        let named = named.chain(world.endpoints.keys().cloned().map(Part::Endpoint));
        let named = named.chain(world.host_endpoints.keys().cloned().map(Part::HostEndpoint));
        let named = named.chain(world.host_ports.keys().copied().map(Part::HostPorts));
        let named = named.chain(world.sets.keys().cloned().map(Part::AddressSet));
        let named = named.chain(world.namespaces.keys().cloned().map(Part::Namespace));
        let named = named.chain(world.tiers.keys().cloned().map(Part::Tier));
        named.chain(world.policies.values().flat_map(parts_of_policy)).chain(addresses(world)).collect::<Vec<_>>()
    };
    let mut seen = BTreeSet::new();
    worlds.iter().flat_map(of_world).filter(|part| seen.insert(part.clone())).collect()
}

fn parts_of_policy(policy: &Policy) -> Vec<Part> {
    let mut parts = Vec::new();
    for (direction, rules) in [(Direction::Ingress, &policy.ingress), (Direction::Egress, &policy.egress)] {
        let name = || policy.name.clone();
        parts.extend(rules.is_some().then(|| Part::Direction(name(), direction)));
        let count = rules.as_ref().map_or(0, |rules| rules.len());
        parts.extend((0..count).rev().map(|index| Part::Rule(name(), direction, index)));
        let asked = (0..count).flat_map(|index| ASKED.map(|asked| (index, asked)));
        parts.extend(asked.map(|(index, asked)| Part::Match(name(), direction, index, asked)));
    }
    parts
}

fn addresses(world: &World) -> impl Iterator<Item = Part> {
    let counts = world.endpoints.iter().map(|(name, endpoint)| (name, endpoint.addresses.len()));
    counts.flat_map(|(name, count)| (0..count).rev().map(|index| Part::Address(name.clone(), index)))
}

fn without(world: &World, part: &Part) -> World {
    let mut world = world.clone();
    match part {
        Part::Policy(name) => drop(world.policies.remove(name)),
        Part::Tier(name) => drop(world.tiers.remove(name)),
        Part::AddressSet(name) => drop(world.sets.remove(name)),
        Part::Namespace(name) => drop(world.namespaces.remove(name)),
        Part::Endpoint(name) => drop(world.endpoints.remove(name)),
        Part::HostEndpoint(name) => drop(world.host_endpoints.remove(name)),
        Part::HostPorts(address) => drop(world.host_ports.remove(address)),
        Part::Address(name, index) => {
            let endpoint = world.endpoints.get_mut(name).filter(|endpoint| *index < endpoint.addresses.len());
            endpoint.into_iter().for_each(|endpoint| _ = endpoint.addresses.remove(*index));
        }
        Part::Direction(name, direction) => {
            world.policies.get_mut(name).into_iter().for_each(|policy| *rules(policy, *direction) = None);
        }
        Part::Rule(name, direction, index) => {
            let rules = world.policies.get_mut(name).and_then(|policy| rules(policy, *direction).as_mut());
            let rules = rules.filter(|rules| *index < rules.len());
            rules.into_iter().for_each(|rules| *rules = [&rules[..*index], &rules[index + 1..]].concat().into());
        }
        Part::Match(name, direction, index, asked) => {
            let rules = world.policies.get_mut(name).and_then(|policy| rules(policy, *direction).as_mut());
            rules.and_then(|rules| rules.get_mut(*index)).into_iter().for_each(|rule| asked.leave_out(rule));
        }
    }
    world
}

fn rules(policy: &mut Policy, direction: Direction) -> &mut Option<Rules> {
    match direction {
        Direction::Ingress => &mut policy.ingress,
        Direction::Egress => &mut policy.egress,
    }
}

impl Asked {
    fn leave_out(self, rule: &mut Rule) {
        match self {
            Asked::Source => rule.source = Rare::default(),
            Asked::Destination => rule.destination = Rare::default(),
            Asked::Ports => rule.ports.clear(),
            Asked::NotPorts => rule.not_ports.clear(),
            Asked::SourcePorts => rule.source_ports.clear(),
            Asked::NotSourcePorts => rule.not_source_ports.clear(),
            Asked::IpVersion => rule.ip_version = None,
            Asked::Log => rule.log = false,
        }
    }
}

#[cfg(test)]
mod tests {
    use poplin_policy::model::{Action, Endpoint, Hosts, Mode, Selection};
    use poplin_policy::selector::Selector;

    use super::*;

    #[test]
    fn what_is_not_needed_is_left_out_and_what_is_stays() {
        let rule =
            |name: &str, ports: &str| Rule { ports: vec![ports.parse().unwrap()], ..Rule::any(name, Action::Deny) };
        let policy = |name: &str| Policy {
            name: name.into(),
            tier: "default".to_owned(),
            order: None,
            mode: Mode::Enforce,
            subject: Selection::anywhere(Selector::all()),
            hosts: Hosts::Never,
            ingress: Some(vec![rule("1", "tcp/80"), rule("2", "udp"), rule("3", "tcp/81")].into()),
            egress: Some(Vec::new().into()),
        };
        let world = World {
            policies: ["p", "q"].map(|name| (name.into(), policy(name))).into(),
            endpoints: ["e1", "e2"].map(|name| (name.to_owned(), Endpoint::default())).into(),
            ..World::default()
        };
        let needs_udp = |worlds: &[World]| {
            let rules = worlds[0].policies.get(&"q".into()).and_then(|policy| policy.ingress.as_ref());
            worlds[0].endpoints.contains_key("e2")
                && rules.is_some_and(|rules| rules.iter().any(|rule| rule.name == "2"))
        };

        let [least] = shrunk(vec![world], needs_udp).try_into().unwrap();

        assert_eq!(least.endpoints.keys().collect::<Vec<_>>(), ["e2"]);
        let [(name, policy)] = Vec::from_iter(&least.policies).try_into().unwrap();
        assert_eq!((name, &policy.egress), (&"q".into(), &None));
        assert_eq!(policy.ingress, Some(vec![Rule::any("2", Action::Deny)].into()));
    }
}
