//! However many tiers a packet may be passed through, rules lead through no more chains in a row than the kernel takes.

use poplin_policy::compile::compile;
use poplin_policy::depth::MOST_CHAINS;
use poplin_policy::host::WorkloadToHost;
use poplin_policy::world::World;
use proptest::prelude::*;

use crate::deep::deep;
use crate::fleet::guarded_host;
use crate::strategy::world;

fn depth(world: &World) -> usize {
    compile(world, &guarded_host(world, WorkloadToHost::Drop)).depth()
}

proptest! {
    #[test]
    fn no_way_through_the_rules_is_longer_than_the_kernel_takes(world in world()) {
        prop_assert!(depth(&world) <= MOST_CHAINS, "{} chains in a row", depth(&world));
    }
}

#[test]
fn twelve_tiers_are_no_deeper_than_three() {
    let [few, many] = [3, 12].map(|tiers| depth(&deep(tiers)));

    assert!(many <= few, "{many} chains in a row, not {few}");
    assert!(few <= MOST_CHAINS, "{few} chains in a row");
}
