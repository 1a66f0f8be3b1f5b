//! The way from any ruleset to any other, and what it costs to change little.

use poplin_policy::compile::compile;
use poplin_policy::delta::{Change, apply, between};
use poplin_policy::host::WorkloadToHost;
use poplin_policy::model::Endpoint;
use poplin_policy::ruleset::Ruleset;
use poplin_policy::world::World;
use proptest::prelude::*;

use crate::fleet::one_host;
use crate::strategy::{endpoint_address, world};

fn compiled(world: &World) -> Ruleset {
    compile(world, &one_host(world, WorkloadToHost::Drop))
}

/// Carries the changes out one by one; the first that leaves a reference to nothing fails.
fn carried_out(old: Ruleset, changes: &[Change]) -> Ruleset {
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
    fn an_endpoint_like_another_changes_elements_only(old in world()) {
        let Some(like) = old.endpoints.values().next() else { return Ok(()) };
        let addresses = vec![endpoint_address(100, false), endpoint_address(100, true)];
        let mut new = old.clone();
        new.endpoints.insert("e100".to_owned(), Endpoint { addresses, ..like.clone() });

        let changes = between(Some(&compiled(&old)), &compiled(&new));

        let is_element = |change: &Change| matches!(change, Change::AlterSet { .. } | Change::AlterMap { .. });
        prop_assert!(changes.iter().all(is_element), "{changes:?}");
    }

    #[test]
    fn an_edited_policy_renames_nothing_it_does_not_have_to(mut old in world()) {
        let Some(policy) = old.policies.values_mut().next() else { return Ok(()) };
        let before = policy.clone();
        policy.ingress = policy.ingress.take().map(|_| Vec::new());
        let new = compiled(&old);
        old.policies.insert(before.name.clone(), before);

        let changes = between(Some(&compiled(&old)), &new);

        let is_chain_or_map = |change: &Change| {
            matches!(change, Change::AlterMap { .. } | Change::AddChain(..) | Change::RemoveChain(_))
        };
        prop_assert!(!changes.iter().any(is_chain_or_map), "{changes:?}");
    }
}
