//! The way from any ruleset to any other, and what it costs to change little.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use poplin_policy::compile::{Compiler, compile};
use poplin_policy::delta::{Change, ahead, apply, between};
use poplin_policy::host::WorkloadToHost;
use poplin_policy::model::{Endpoint, PortMatch, QualifiedName, Rare, Rule, Rules};
use poplin_policy::ruleset::{Name, Ruleset};
use poplin_policy::world::World;
use proptest::prelude::*;

use crate::fleet::{doorway_of, guarded_host, interface_of, one_host};
use crate::strategy::{endpoint_address, world};

fn compiled(world: &World) -> Ruleset {
    compile(world, &guarded_host(world, WorkloadToHost::Drop))
}

/// Carries the changes out one by one; the first that leaves a reference to nothing fails, and so does one ahead of the others that packets could notice.
fn carried_out(old: Ruleset, changes: &[Change]) -> Ruleset {
    let (ahead, _) = changes.split_at(ahead(changes));
    assert!(stands_in(&old, &carried_out_singly(old.clone(), ahead)), "{ahead:?}");
    carried_out_singly(old, changes)
}

/// Whether all that was is as it was, and packets come to nothing else.
fn stands_in(old: &Ruleset, new: &Ruleset) -> bool {
    let is_base = |name: &Name| new.chains[name].hook.is_some();
    old.sets.iter().all(|(name, set)| new.sets.get(name) == Some(set))
        && old.maps.iter().all(|(name, map)| new.maps.get(name) == Some(map))
        && old.chains.iter().all(|(name, chain)| new.chains.get(name) == Some(chain))
        && new.chains.keys().filter(|name| is_base(name)).all(|name| old.chains.contains_key(name))
}

fn carried_out_singly(old: Ruleset, changes: &[Change]) -> Ruleset {
    changes.iter().fold(old, |mut ruleset, change| {
        apply(&mut ruleset, std::slice::from_ref(change));
        assert_eq!(ruleset.dangling(), None, "after {change:?}");
        ruleset
    })
}

proptest! {
    #[test]
    fn the_changes_lead_from_any_world_to_any_other(old in world(), new in world()) {
        let (old, new) = (compiled(&old), compiled(&new));
        let changes = between(Some(&old), &new);

        prop_assert!(!changes.contains(&Change::Restart));
        prop_assert_eq!(carried_out(old, &changes), new);
    }

    #[test]
    fn what_stands_unknown_is_restarted(old in world(), new in world()) {
        let (old, new) = (compiled(&old), compiled(&new));
        let changes = between(None, &new);

        prop_assert_eq!(&changes[0], &Change::Restart);
        prop_assert_eq!(carried_out(old, &changes), new);
    }

    #[test]
    fn nothing_changes_between_equals(world in world()) {
        let rules = compiled(&world);

        prop_assert_eq!(rules.dangling(), None);
        prop_assert_eq!(between(Some(&rules), &compiled(&world)), []);
    }

    #[test]
    fn an_endpoint_like_another_changes_elements_only(mut old in world()) {
        // Where a rule asks for the governed endpoint's own address, another address may make another path.
        for policy in old.policies.values_mut() {
            for rule in policy.ingress.iter_mut().flatten() {
                rule.destination = Rare::default();
            }
            for rule in policy.egress.iter_mut().flatten() {
                rule.source = Rare::default();
            }
        }
        let Some(like) = old.endpoints.values().next() else { return Ok(()) };
        let addresses = vec![endpoint_address(100, false), endpoint_address(100, true)];
        let mut new = old.clone();
        new.endpoints.insert("e100".to_owned(), Endpoint { addresses, ..like.clone() });

        let changes = between(Some(&compiled(&old)), &compiled(&new));

        let is_element = |change: &Change| matches!(change, Change::AlterSet { .. } | Change::AlterMap { .. });
        prop_assert!(changes.iter().all(is_element), "{changes:?}");
    }

    #[test]
    fn an_edited_policy_renames_no_path(mut old in world()) {
        let Some(policy) = old.policies.values_mut().next() else { return Ok(()) };
        let before = policy.clone();
        policy.ingress = policy.ingress.take().map(|_| Rules::default());
        let new = compiled(&old);
        old.policies.insert(before.name.clone(), before);

        let changes = between(Some(&compiled(&old)), &new);

        let is_path = |name: &Name| name.as_str().starts_with("ingress") || name.as_str().starts_with("egress");
        let renames = |change: &Change| {
            matches!(change, Change::AddChain(name, _) | Change::RemoveChain(name) if is_path(name))
        };
        // Where rules ask something of the endpoint itself, the answers are part of the name.
        let asks = |rule: &Rule| {
            let named = rule.ports.iter().chain(rule.not_ports.iter()).any(is_named);
            !rule.destination.is_anybody() || named
        };
        let asks_of_itself = old.policies.values().flat_map(|policy| policy.ingress.iter().flatten()).any(asks);
        prop_assert!(asks_of_itself || !changes.iter().any(renames), "{changes:?}");
    }

    #[test]
    fn whatever_road_leads_to_a_world_the_rules_are_those_of_a_fresh_start(
        worlds in proptest::collection::vec(world(), 2..4),
        order in proptest::collection::vec(any::<u8>(), 40),
    ) {
        let mut compiler = Compiler::new(one_host(&World::default(), WorkloadToHost::Drop).settings);
        let mut kernel = Ruleset::default();
        let mut stands = World::default();
        for next in &worlds {
            let mut steps = steps(&stands, next);
            // Any order will do; and now and then the kernel is told, so that batches are of every size.
            for pick in order.iter().cycle() {
                if steps.is_empty() {
                    break;
                }
                take(&mut compiler, next, steps.remove(usize::from(*pick) % steps.len()));
                if pick % 3 == 0 {
                    let changes = compiler.take_changes();
                    kernel = carried_out(kernel, &changes);
                }
            }
            kernel = carried_out(kernel, &compiler.take_changes());
            stands = next.clone();

            prop_assert_eq!(&kernel, compiler.ruleset());
            prop_assert_eq!(compiler.ruleset(), &compiled(next));
        }
    }

    #[test]
    fn one_thing_that_changes_leaves_the_rules_of_a_fresh_start(
        old in world(),
        new in world(),
        turns in proptest::collection::vec((any::<u8>(), 0..11_usize), 8),
    ) {
        let mut stands = old;
        let mut compiler = Compiler::of(&stands, &guarded_host(&stands, WorkloadToHost::Drop));
        let mut kernel = carried_out(Ruleset::default(), &compiler.take_changes());
        for (which, what) in turns {
            let before = stands.clone();
            turn(&mut stands, &new, what, which.into());
            // Whose interface is told of again is looked at in any case.
            let is_news = |step: &Step| match step {
                Step::Interface(name) => before.endpoints.contains_key(name) != stands.endpoints.contains_key(name),
                _ => true,
            };
            let told = steps(&before, &stands).into_iter().filter(is_news);
            told.for_each(|step| take(&mut compiler, &stands, step));
            kernel = carried_out(kernel, &compiler.take_changes());

            prop_assert_eq!(&kernel, &compiled(&stands), "after {}", what);
        }
    }
}

/// Makes one thing, or one side of one thing, what it is in another world.
pub(crate) fn turn(world: &mut World, new: &World, what: usize, which: usize) {
    match what {
        0 => one(&mut world.sets, &new.sets, which, |known, wanted| known.nets.clone_from(&wanted.nets)),
        1 => one(&mut world.sets, &new.sets, which, |known, wanted| known.labels.clone_from(&wanted.labels)),
        2 => one(&mut world.endpoints, &new.endpoints, which, |known, wanted| known.ports.clone_from(&wanted.ports)),
        3 => one(&mut world.endpoints, &new.endpoints, which, |known, wanted| known.labels.clone_from(&wanted.labels)),
        4 => one(&mut world.namespaces, &new.namespaces, which, Clone::clone_from),
        5 => one(&mut world.policies, &new.policies, which, Clone::clone_from),
        6 => one(&mut world.host_endpoints, &new.host_endpoints, which, Clone::clone_from),
        9 => one(&mut world.host_ports, &new.host_ports, which, Clone::clone_from),
        7 => one(&mut world.tiers, &new.tiers, which, Clone::clone_from),
        8 => one(&mut world.policies, &new.policies, which, |known, wanted| known.subject.clone_from(&wanted.subject)),
        _ => one(&mut world.policies, &new.policies, which, |known, wanted| known.hosts = wanted.hosts),
    }
}

/// Changes what is in both; what is in one of them only comes, or goes.
fn one<K: Ord + Clone, V: Clone>(
    all: &mut BTreeMap<K, V>,
    new: &BTreeMap<K, V>,
    which: usize,
    change: impl FnOnce(&mut V, &V),
) {
    let names: BTreeSet<K> = all.keys().chain(new.keys()).cloned().collect();
    let Some(name) = names.into_iter().nth(which % 7) else { return };
    match (all.get_mut(&name), new.get(&name)) {
        (Some(known), Some(wanted)) => change(known, wanted),
        (Some(_), None) => drop(all.remove(&name)),
        (None, Some(wanted)) => drop(all.insert(name, wanted.clone())),
        (None, None) => {}
    }
}

/// Something that may differ between two worlds.
pub(crate) enum Step {
    Tier(String),
    Policy(QualifiedName),
    AddressSet(QualifiedName),
    Namespace(String),
    Endpoint(String),
    Interface(String),
    HostEndpoint(String),
    HostPorts(IpAddr),
    Doorway(String),
}

/// Everything that is in either world.
pub(crate) fn steps(old: &World, new: &World) -> Vec<Step> {
    let mut steps = Vec::new();
    let both = |old: &World, new: &World| [old.clone(), new.clone()];
    for world in both(old, new) {
        steps.extend(world.tiers.into_keys().map(Step::Tier));
        steps.extend(world.policies.into_keys().map(Step::Policy));
        steps.extend(world.sets.into_keys().map(Step::AddressSet));
        steps.extend(world.namespaces.into_keys().map(Step::Namespace));
        steps.extend(world.endpoints.keys().cloned().map(Step::Interface));
        steps.extend(world.endpoints.into_keys().map(Step::Endpoint));
        steps.extend(world.host_ports.into_keys().map(Step::HostPorts));
        steps.extend(world.host_endpoints.keys().cloned().map(Step::Doorway));
        steps.extend(world.host_endpoints.into_keys().map(Step::HostEndpoint));
    }
    steps
}

pub(crate) fn take(compiler: &mut Compiler, world: &World, step: Step) {
    match step {
        Step::Tier(name) => compiler.set_tier(&name, world.tiers.get(&name).cloned()),
        Step::Policy(name) => compiler.set_policy(&name, world.policies.get(&name).cloned()),
        Step::AddressSet(name) => compiler.set_address_set(&name, world.sets.get(&name).cloned()),
        Step::Namespace(name) => compiler.set_namespace(&name, world.namespaces.get(&name).cloned()),
        Step::Endpoint(name) => compiler.set_endpoint(&name, world.endpoints.get(&name)),
        Step::HostEndpoint(name) => {
            compiler.set_host_endpoint(&name, world.host_endpoints.get(&name).cloned());
        }
        Step::HostPorts(address) => {
            compiler.set_host_ports(address, world.host_ports.get(&address).map(Vec::as_slice).unwrap_or_default());
        }
        Step::Doorway(name) => {
            compiler.set_doorway(&name, world.host_endpoints.contains_key(&name).then(|| doorway_of(&name)));
        }
        Step::Interface(name) => {
            compiler.set_interface(&name, world.endpoints.contains_key(&name).then(|| interface_of(&name)));
        }
    }
}

fn is_named(port: &PortMatch) -> bool {
    matches!(port, PortMatch::Named { .. })
}
