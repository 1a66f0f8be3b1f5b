//! Many speakers, all joined, in any order of events.

use std::{collections::BTreeMap, time::Duration};

use proptest::{collection::btree_set, prelude::*};

use crate::world::{World, address, net};

/// What befalls one of the hosts, and perhaps its neighbour to the right.
#[derive(Clone, Copy, Debug)]
enum Mishap {
    Nothing,
    /// Nothing passes between the two until something else befalls somebody.
    Severed,
    /// Their connection breaks.
    Broken,
    /// The host's speaker is killed and begins anew; the others are told, or are not.
    Killed(bool),
    /// Their hold time is changed on one side.
    Reconfigured,
}

type Change = (usize, Vec<u8>, u64, Mishap);

fn change() -> impl Strategy<Value = Change> {
    let mishap = prop_oneof![
        Just(Mishap::Nothing),
        Just(Mishap::Severed),
        Just(Mishap::Broken),
        any::<bool>().prop_map(Mishap::Killed),
        Just(Mishap::Reconfigured),
    ];
    let blocks = btree_set(0u8..16, 0..5).prop_map(Vec::from_iter);
    (0usize..7, blocks, prop_oneof![Just(0), 0u64..40, 80u64..120], mishap)
}

fn befall(world: &mut World, host: usize, mishap: Mishap) {
    let right = (host + 1) % world.hosts.len();
    world.mend();
    match mishap {
        Mishap::Nothing => {}
        Mishap::Severed => world.sever(host, right),
        Mishap::Broken => world.break_pipe(host, right),
        Mishap::Killed(are_told) => {
            world.kill(host, are_told);
            world.revive(host);
        }
        Mishap::Reconfigured => {
            world.hosts[host].neighbours[0].hold_time += Duration::from_secs(1);
            world.configure(host);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_mesh_converges_whatever_the_order(
        seed in any::<u64>(),
        asns in prop_oneof![Just(vec![64512]), Just((64601..64608).collect::<Vec<u32>>())],
        hosts in 2usize..7,
        changes in prop::collection::vec(change(), 0..12),
    ) {
        let asns: Vec<u32> = asns.into_iter().cycle().take(hosts).collect();
        let mut world = World::of(&asns, seed);
        world.acquaint_all();
        let mut own = BTreeMap::new();
        for (host, blocks, seconds, mishap) in changes {
            let host = host % hosts;
            let prefixes: Vec<_> = blocks.iter().map(|block| format!("10.{host}.{block}.0/26")).collect();
            world.originate(host, &prefixes.iter().map(String::as_str).collect::<Vec<_>>());
            own.insert(host, prefixes);
            befall(&mut world, host, mishap);
            world.pass(Duration::from_secs(seconds));
        }
        world.mend();
        world.pass(Duration::from_secs(300));

        for host in 0..hosts {
            let others = own.iter().filter(|(other, _)| **other != host);
            let expected: BTreeMap<_, _> = others
                .flat_map(|(&other, prefixes)| prefixes.iter().map(move |prefix| (net(prefix), vec![address(other)])))
                .collect();
            prop_assert_eq!(&world.hosts[host].routes, &expected);
        }
    }
}
