//! Verdict, explanation and compiled rules agree.

use poplin_policy::compile::compile;
use poplin_policy::explain::explain;
use poplin_policy::host::WorkloadToHost;
use poplin_policy::model::Direction;
use poplin_policy::packet::{Packet, Transport};
use poplin_policy::ruleset::HookPoint;
use poplin_policy::verdict::{By, direction_verdict, verdict};
use poplin_policy::walk::{Outcome, walk};
use poplin_policy::world::World;
use proptest::prelude::*;

use crate::fleet::{Fleet, at, interface_of, one_host};
use crate::packets::packets;
use crate::strategy::world;

fn never_leaves(world: &World, packet: &Packet) -> bool {
    verdict(world, packet).egress.is_some_and(|ruling| ruling.by == By::Itself)
}

proptest! {
    #[test]
    fn a_packet_is_delivered_where_the_verdict_allows_it(
        world in world(),
        spread in proptest::array::uniform6(0..3usize),
        packets in packets(),
    ) {
        let fleet = Fleet::of(&world, &spread);

        for packet in packets.iter().filter(|packet| !never_leaves(&world, packet)) {
            let decision = verdict(&world, packet);
            prop_assert_eq!(fleet.delivers(&world, packet), decision.allowed, "{}\n{:?}", packet, decision);
        }
    }

    #[test]
    fn the_explanation_tells_what_the_verdict_says(world in world(), packets in packets()) {
        for packet in &packets {
            let (decision, story) = (verdict(&world, packet), explain(&world, packet));

            prop_assert_eq!(story.allowed, decision.allowed);
            prop_assert_eq!(story.egress.map(|account| account.ruling), decision.egress);
            prop_assert_eq!(story.ingress.map(|account| account.ruling), decision.ingress);
        }
    }

    #[test]
    fn what_a_workload_opens_to_its_host_meets_its_egress_policy_first(
        world in world(),
        packets in packets(),
        opens in any::<bool>(),
    ) {
        let host = one_host(&world, if opens { WorkloadToHost::Accept } else { WorkloadToHost::Drop });
        let rules = compile(&world, &host);

        for packet in &packets {
            let Some((name, _)) = world.endpoint_of(packet.source) else { continue };
            let allowed = direction_verdict(&world, name, Direction::Egress, packet).is_some_and(|ruling| ruling.allowed);
            let is_echo = matches!(
                (packet.source.is_ipv4(), packet.transport),
                (true, Transport::Icmp { protocol: 1, kind: 8, .. }) | (false, Transport::Icmp { protocol: 58, kind: 128, .. })
            );

            let outcome = walk(&rules, &at(HookPoint::Input, &interface_of(name), None, packet));

            prop_assert_eq!(outcome == Outcome::Accept, allowed && (opens || is_echo), "{}", packet);
        }
    }
}
