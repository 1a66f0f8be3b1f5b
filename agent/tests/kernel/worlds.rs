//! Random worlds in a real kernel: it takes every compiled table and every change, and ends where the change said.

#[path = "../../../policy/tests/worlds/deep.rs"]
#[allow(dead_code, unreachable_pub)]
mod deep;
#[path = "../../../policy/tests/worlds/fleet.rs"]
#[allow(dead_code, unreachable_pub)]
mod fleet;
#[path = "../../../policy/tests/worlds/strategy.rs"]
#[allow(dead_code, unreachable_pub)]
mod strategy;

use poplin_agent::kernel::Rules;
use poplin_policy::compile::compile;
use poplin_policy::delta::between;
use poplin_policy::host::WorkloadToHost;
use poplin_policy::ruleset::Ruleset;
use poplin_policy::world::World;
use proptest::prelude::*;

use crate::lab::{Namespace, eventually};
use deep::deep;
use fleet::guarded_host;
use strategy::world;

proptest! {
    // A tenth of a second each, most of it for the namespace.
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_kernel_follows_from_any_world_to_any_other(old in world(), new in world()) {
        let (old, new) = (compiled(&old), compiled(&new));
        let host = Namespace::new();

        let (changed, read) = host.within(|| {
            let mut rules = Rules::open().unwrap();
            rules.apply(&between(None, &old)).unwrap();
            rules.apply(&between(Some(&old), &new)).unwrap();
            (host.table(), rules.read(&new).unwrap())
        });
        // A program that another test is just starting holds the table's owner open until it runs.
        assert!(eventually(|| host.try_run("nft", "delete table inet poplin").status.success()));
        let anew = host.within(|| {
            let mut rules = Rules::open().unwrap();
            rules.apply(&between(None, &new)).unwrap();
            host.table()
        });

        prop_assert_eq!(blocks(&changed), blocks(&anew));
        prop_assert_eq!(read, new);
    }

    #[test]
    fn a_successor_makes_of_any_world_any_other_and_keeps_the_table(old in world(), new in world()) {
        let (old, new) = (compiled(&old), compiled(&new));
        let host = Namespace::new();
        host.within(|| Rules::open().unwrap().apply(&between(None, &old)).unwrap());
        let table = handle(&host);

        let read = host.within(|| {
            let mut successor = Rules::open().unwrap();
            successor.apply(&between(None, &new)).unwrap();
            successor.read(&new).unwrap()
        });

        prop_assert_eq!(read, new);
        prop_assert_eq!(handle(&host), table);
    }
}

#[test]
fn the_kernel_takes_a_dozen_tiers_that_log_and_pass() {
    let rules = compiled(&deep(12));
    let host = Namespace::new();

    host.within(|| Rules::open().unwrap().apply(&between(None, &rules))).unwrap();

    let read = host.within(|| Rules::open().unwrap().read(&rules).unwrap());
    assert!(read == rules, "what stands is what was written");
}

fn compiled(world: &World) -> Ruleset {
    compile(world, &guarded_host(world, WorkloadToHost::Drop))
}

/// The number of the table, which a table begun anew has not.
fn handle(host: &Namespace) -> String {
    let output = host.try_run("nft", "-a list table inet poplin");
    let listing = String::from_utf8_lossy(&output.stdout);
    listing.split_once("# handle ").and_then(|(_, rest)| rest.split_whitespace().next()).unwrap().to_owned()
}

/// What a table holds, without the order in which it came to be, and so without closing braces.
fn blocks(table: &str) -> Vec<String> {
    let mut blocks: Vec<_> =
        table.split("\n\n").map(|block| block.trim_end_matches(['}', '\t', '\n']).to_owned()).collect();
    blocks.sort();
    blocks
}
