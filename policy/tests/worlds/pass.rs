//! Verdict, explanation and compiled rules agree.

use poplin_policy::compile::compile;
use poplin_policy::explain::explain;
use poplin_policy::host::{Host, WorkloadToHost};
use poplin_policy::model::{Direction, Endpoint};
use poplin_policy::packet::{Packet, Transport};
use poplin_policy::ruleset::HookPoint;
use poplin_policy::verdict::{By, direction_verdict, verdict};
use poplin_policy::walk::{Outcome, walk};
use poplin_policy::world::World;
use proptest::prelude::*;

use crate::fleet::{Fleet, at, interface_of, one_host};
use crate::naming::met;
use crate::packets::packets;
use crate::strategy::world;

fn never_leaves(world: &World, packet: &Packet) -> bool {
    verdict(world, packet).egress.is_some_and(|ruling| ruling.by == By::Itself)
}

proptest! {
    #[test]
    fn a_packet_is_delivered_where_the_verdict_allows_it(
        (world, packets) in met(),
        spread in proptest::array::uniform6(0..3usize),
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

#[test]
fn a_host_that_serves_names_is_asked_for_them_and_for_nothing_else() {
    let mut world = World::default();
    let addresses = vec!["10.77.0.1".parse().unwrap(), "fd77::1".parse().unwrap()];
    world.endpoints.insert("web".to_owned(), Endpoint { addresses, ..Endpoint::default() });
    let mut host = one_host(&world, WorkloadToHost::Drop);
    let passes = |host: &Host, point, from: &str, to: &str, port| {
        let packet = Packet::udp(from.parse().unwrap(), to.parse().unwrap(), (49152, port));
        walk(&compile(&world, host), &at(point, &interface_of("web"), None, &packet)) == Outcome::Accept
    };
    host.settings.serves_names = false;
    let ways = [("10.77.0.1", "169.254.1.1"), ("fd77::1", "fe80::1"), ("fe80::7", "fe80::1:2801")];
    assert!(ways.iter().all(|(from, to)| !passes(&host, HookPoint::Input, from, to, 53)));

    host.settings.serves_names = true;

    for (from, to) in ways {
        assert!(
            passes(&host, HookPoint::Prerouting, from, to, 53) && passes(&host, HookPoint::Input, from, to, 53),
            "{to}"
        );
        assert!(!passes(&host, HookPoint::Input, from, to, 54), "{to}");
    }
    assert!(!passes(&host, HookPoint::Input, "10.77.0.1", "172.31.0.1", 53), "that address may be another server's");
    assert!(!passes(&host, HookPoint::Prerouting, "fe80::7", "fd77::2", 53), "from its link nobody asks farther off");
    assert!(!passes(&host, HookPoint::Prerouting, "10.77.0.2", "169.254.1.1", 53), "nor by another's address");
}
