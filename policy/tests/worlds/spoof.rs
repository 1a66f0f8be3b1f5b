//! What holds for every policy: spoofed sources, known flows, strangers' interfaces.

use poplin_policy::compile::compile;
use poplin_policy::host::WorkloadToHost;
use poplin_policy::packet::{Packet, TCP, UDP_LITE};
use poplin_policy::ruleset::{HookPoint, Interface, Ruleset};
use poplin_policy::walk::{ACK, ConntrackState, Outcome, Transit, walk};
use poplin_policy::world::World;
use proptest::prelude::*;

use crate::fleet::{at, interface_of, one_host, uplink};
use crate::packets::{packet, packets};
use crate::strategy::world;

fn compiled(world: &World) -> Ruleset {
    compile(world, &one_host(world, WorkloadToHost::Accept))
}

fn passes(rules: &Ruleset, transit: &Transit) -> bool {
    walk(rules, transit) == Outcome::Accept
}

fn neighbour_solicitation(source: &str) -> Packet {
    Packet::icmp(source.parse().unwrap(), "ff02::1:ff00:1".parse().unwrap(), 135, 0)
}

proptest! {
    #[test]
    fn an_endpoint_sends_from_its_own_addresses_only(world in world(), packets in packets()) {
        let rules = compiled(&world);

        for packet in &packets {
            for (name, endpoint) in &world.endpoints {
                let arriving = at(HookPoint::Prerouting, &interface_of(name), None, packet);
                prop_assert_eq!(passes(&rules, &arriving), endpoint.addresses.contains(&packet.source));
            }
        }
    }

    #[test]
    fn a_known_flow_passes_every_policy(world in world(), packet in packet()) {
        let rules = compiled(&world);

        for name in world.endpoints.keys() {
            for state in [ConntrackState::Established, ConntrackState::Related] {
                let forward = at(HookPoint::Forward, &uplink(), Some(&interface_of(name)), &packet);
                let input = at(HookPoint::Input, &interface_of(name), None, &packet);
                for transit in [forward, input] {
                    let known = Transit { state, ..transit };
                    prop_assert!(passes(&rules, &known));
                }
            }
        }
    }

    #[test]
    fn what_fits_no_flow_and_begins_none_is_dropped_at_our_interfaces_only(world in world(), packet in packet()) {
        let rules = compiled(&world);
        let first = at(HookPoint::Forward, &uplink(), Some(&uplink()), &packet);
        let middle = Transit { tcp_flags: ACK, ..first.clone() };
        let invalid = Transit { state: ConntrackState::Invalid, ..middle.clone() };

        prop_assert!(passes(&rules, &invalid));
        for name in world.endpoints.keys() {
            for (into, out) in [(interface_of(name), uplink()), (uplink(), interface_of(name))] {
                let ours = |transit: &Transit| Transit {
                    interface_in: Some(into.clone()),
                    interface_out: Some(out.clone()),
                    ..transit.clone()
                };
                // The kernel calls all UDP-Lite invalid, so policy is asked about each packet of it.
                let may_begin = packet.protocol() == UDP_LITE && passes(&rules, &ours(&first));
                prop_assert_eq!(passes(&rules, &ours(&invalid)), may_begin);
                prop_assert!(packet.protocol() != TCP || !passes(&rules, &ours(&middle)));
            }
        }
    }

    #[test]
    fn an_interface_of_ours_without_a_policy_passes_nothing(world in world(), packet in packet()) {
        let rules = compiled(&world);
        let stranger = Interface::new("pop-stranger").unwrap();

        for point in [HookPoint::Prerouting, HookPoint::Input] {
            prop_assert!(!passes(&rules, &at(point, &stranger, None, &packet)));
        }
        prop_assert!(!passes(&rules, &at(HookPoint::Forward, &stranger, Some(&uplink()), &packet)));
        prop_assert!(!passes(&rules, &at(HookPoint::Forward, &uplink(), Some(&stranger), &packet)));
    }

    #[test]
    fn neighbour_discovery_reaches_the_host_unless_a_router_forwarded_it(world in world()) {
        let rules = compiled(&world);

        for name in world.endpoints.keys() {
            for source in ["fe80::1", "::"] {
                let state = ConntrackState::Untracked;
                let fresh = at(HookPoint::Prerouting, &interface_of(name), None, &neighbour_solicitation(source));
                let fresh = Transit { hop_limit: 255, state, ..fresh };
                let further = Transit { hook: HookPoint::Input, ..fresh.clone() };
                let forwarded = Transit { hop_limit: 254, ..fresh.clone() };
                prop_assert!(passes(&rules, &fresh));
                prop_assert!(passes(&rules, &further));
                prop_assert!(!passes(&rules, &forwarded));
            }
        }
    }
}
