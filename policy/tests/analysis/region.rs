//! Regions against the verdict, packet by packet.

use poplin_policy::packet::Packet;
use poplin_policy::region::Atlas;
use poplin_policy::verdict::verdict;
use proptest::prelude::*;

use crate::naming::met;
use crate::packets::packets;
use crate::strategy::world;

fn goes_somewhere(packet: &&Packet) -> bool {
    packet.source != packet.destination
}

proptest! {
    #[test]
    fn the_region_of_a_packet_has_its_decision_and_its_deciders((world, packets) in met()) {
        let atlas = Atlas::of(&[&world]);

        for packet in packets.iter().filter(goes_somewhere) {
            let decision = verdict(&world, packet);
            let region = atlas.region_of(0, packet).unwrap();

            prop_assert_eq!(region.allowed, decision.allowed, "{}\n{:?}", packet, decision);
            prop_assert_eq!(region.egress, decision.egress.map(|ruling| ruling.by), "{}", packet);
            prop_assert_eq!(region.ingress, decision.ingress.map(|ruling| ruling.by), "{}", packet);
        }
    }

    #[test]
    fn regions_are_disjoint_and_leave_no_traffic_out(world in world(), packets in packets()) {
        let atlas = Atlas::of(&[&world]);
        let regions = atlas.regions(0);

        for packet in packets.iter().filter(goes_somewhere) {
            let classes = atlas.classes_of(packet).unwrap();
            let holds = |region: &&poplin_policy::region::Region| {
                region.version == poplin_policy::model::IpVersion::of(packet.source)
                    && (region.source, region.destination) == classes
                    && region.traffic.contains(packet.transport)
            };
            let is_ours = world.endpoint_of(packet.source).or(world.endpoint_of(packet.destination)).is_some();

            prop_assert_eq!(regions.iter().filter(holds).count(), usize::from(is_ours), "{}", packet);
        }
    }
}
