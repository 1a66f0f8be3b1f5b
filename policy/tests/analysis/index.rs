//! The index against the plain definitions.

use poplin_policy::explain::explain;
use poplin_policy::index::Index;
use poplin_policy::verdict::verdict;
use proptest::prelude::*;

use crate::packets::packets;
use crate::strategy::world;

proptest! {
    #[test]
    fn an_index_says_what_the_plain_definitions_say(world in world(), packets in packets()) {
        let index = Index::of(&world);

        for packet in &packets {
            prop_assert_eq!(index.verdict(packet), verdict(&world, packet), "{}", packet);
            prop_assert_eq!(index.explain(packet), explain(&world, packet), "{}", packet);
        }
    }
}
