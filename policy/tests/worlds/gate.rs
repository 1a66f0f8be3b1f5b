//! What the plain definition says of a host endpoint is what is compiled, in every lane and at every kind of interface.

use std::net::IpAddr;

use poplin_policy::compile::{Compiler, Effect, HOST_ENDPOINTS, compile};
use poplin_policy::explain::{Step, explain_at_host};
use poplin_policy::gate::{Lane, host_verdict, host_verdicts};
use poplin_policy::host::{Failsafe, Host, WorkloadToHost};
use poplin_policy::model::{Direction, PortProtocol};
use poplin_policy::packet::{Packet, Transport};
use poplin_policy::ruleset::{HookPoint, Interface, Ruleset};
use poplin_policy::verdict::{By, direction_verdict};
use poplin_policy::walk::{ACK, ConntrackState, Journey, Outcome, SYN, Transit, journey, trail};
use poplin_policy::world::World;
use proptest::prelude::*;

use crate::fleet::{guarded_host, interface_of, one_host, uplink};
use crate::naming::met;
use crate::packets::{packet, packets};
use crate::strategy::world;

/// Interfaces of a host: two that a host endpoint may name, and one that none does.
const INTERFACES: [&str; 3] = ["eth0", "lan", "wan"];

/// What was sent from outside of every workload, as far as it is at a host's interface.
fn sent(lane: Lane, interface: &Interface, packet: &Packet, state: ConntrackState) -> Transit {
    let (hook, into, out) = match lane {
        Lane::UntrackedIn | Lane::PreDnat => (HookPoint::Prerouting, Some(interface), None),
        Lane::Input => (HookPoint::Input, Some(interface), None),
        Lane::ForwardIn => (HookPoint::Forward, Some(interface), None),
        Lane::ForwardOut => (HookPoint::Forward, None, Some(interface)),
        Lane::UntrackedOut | Lane::Output => (HookPoint::Output, None, Some(interface)),
    };
    // What is forwarded has two interfaces; the other is a workload's, which no host endpoint is asked about.
    let other = (hook == HookPoint::Forward).then(|| interface_of("e1"));
    Transit {
        group: 0,
        hook,
        interface_in: into.cloned().or_else(|| other.clone()),
        interface_out: out.cloned().or(other),
        packet: *packet,
        hop_limit: 64,
        tcp_flags: SYN,
        state,
        mark: 0,
    }
}

/// Its way through the chains of one lane.
fn through(rules: &Ruleset, lane: Lane, transit: &Transit) -> Journey {
    journey(rules, transit, |priority| match lane {
        Lane::UntrackedIn | Lane::UntrackedOut => priority == -300,
        Lane::PreDnat => priority == -101,
        Lane::Input | Lane::Output | Lane::ForwardIn | Lane::ForwardOut => priority >= HOST_ENDPOINTS,
    })
}

/// The bit of the mark that is ours.
const SPARED: u32 = 0x1000_0000;

/// Whether a packet with this mark comes in by one interface and gets to the host itself, or out by the other; and the mark it has then.
fn arrival(rules: &Ruleset, into: &str, out: Option<&str>, packet: &Packet, mark: u32) -> (bool, u32) {
    let into = Interface::new(into).unwrap();
    let arriving = Transit { mark, ..sent(Lane::UntrackedIn, &into, packet, ConntrackState::New) };
    // Tracking looks at it between the two chains there.
    let raw = journey(rules, &arriving, |priority| priority < -200);
    let state = if raw.is_untracked { ConntrackState::Untracked } else { ConntrackState::New };
    let translating =
        journey(rules, &Transit { state, mark: raw.mark, ..arriving.clone() }, |priority| priority > -200);
    let hook = if out.is_some() { HookPoint::Forward } else { HookPoint::Input };
    let interface_out = out.map(|out| Interface::new(out).unwrap());
    let further = journey(rules, &Transit { hook, interface_out, state, mark: translating.mark, ..arriving }, |_| true);
    let passes = [raw, translating, further.clone()].iter().all(|journey| journey.outcome == Outcome::Accept);
    (passes, further.mark)
}

/// Who speaks for an interface: the host endpoint that names it, or the one of every interface.
fn speaker<'w>(world: &'w World, interface: &str) -> Option<&'w str> {
    let known = |name: &str| world.host_endpoints.get_key_value(name).map(|(name, _)| name.as_str());
    known(interface).or_else(|| known("any"))
}

fn failsafe() -> Failsafe {
    // Ports that packets of these worlds have.
    let mut failsafe = Failsafe::default();
    failsafe.inbound.insert((PortProtocol::Tcp, 443));
    failsafe
}

fn guarded(world: &World) -> Host {
    let host = guarded_host(world, WorkloadToHost::Accept);
    Host { settings: poplin_policy::host::Settings { failsafe: failsafe(), ..host.settings }, ..host }
}

proptest! {
    // Twice the usual number, which `PROPTEST_CASES` changes.
    #![proptest_config(ProptestConfig::with_cases(2 * ProptestConfig::default().cases))]

    #[test]
    fn a_host_endpoint_lets_pass_what_its_verdict_allows((world, packets) in met()) {
        let rules = compile(&world, &guarded(&world));

        for (packet, lane) in packets.iter().flat_map(|packet| Lane::ALL.map(|lane| (packet, lane))) {
            for interface in INTERFACES {
                let transit = sent(lane, &Interface::new(interface).unwrap(), packet, ConntrackState::New);
                let said = speaker(&world, interface)
                    .map(|name| host_verdict(&world, &failsafe(), name, lane, packet).unwrap());

                let Journey { outcome, is_untracked, mark, .. } = through(&rules, lane, &transit);

                let (allowed, settled) = said.as_ref().map_or((true, false), |said| (said.allowed, said.is_settled));
                prop_assert_eq!(outcome == Outcome::Accept, allowed, "{} {} {:?}", packet, interface, said);
                let is_settled = if lane.is_untracked() { is_untracked } else { mark != 0 };
                prop_assert!(!allowed || is_settled == settled, "{} {} {:?}", packet, interface, said);
            }
        }
    }

    #[test]
    fn what_comes_in_meets_lane_after_lane_until_one_settles_it_and_the_other_side_asks_all_the_same(
        world in world(),
        packets in packets(),
        mark: u32,
    ) {
        let rules = compile(&world, &guarded(&world));
        let allowed = |name: Option<&str>, lanes: &[Lane], packet: &Packet| {
            let said = name.map(|name| host_verdicts(&world, &failsafe(), name, lanes, packet)).unwrap_or_default();
            said.iter().all(|ruling| ruling.allowed)
        };

        for packet in &packets {
            for (into, out) in INTERFACES.iter().flat_map(|into| [None, Some("lan"), Some("wan")].map(|out| (*into, out))) {
                let (name, exit) = (speaker(&world, into), out.and_then(|out| speaker(&world, out)));
                let lanes = if out.is_some() { Lane::FORWARDED } else { Lane::RECEIVED };

                let (passes, left) = arrival(&rules, into, out, packet, mark);

                let expected = allowed(name, &lanes, packet) && allowed(exit, &[Lane::ForwardOut], packet);
                prop_assert_eq!(passes, expected, "{} from {} to {:?}", packet, into, out);
                prop_assert!(!passes || left == mark || left == mark & !SPARED, "only one bit is ours: {:#x}", left);
            }
        }
    }

    #[test]
    fn the_explanation_tells_what_the_host_endpoints_verdict_says(world in world(), packets in packets()) {
        for (packet, lane) in packets.iter().flat_map(|packet| Lane::ALL.map(|lane| (packet, lane))) {
            for name in world.host_endpoints.keys() {
                let story = explain_at_host(&world, &failsafe(), name, lane, packet).unwrap();

                prop_assert_eq!(Some(story.ruling), host_verdict(&world, &failsafe(), name, lane, packet));
            }
        }
    }

    #[test]
    fn rules_that_pass_at_a_host_endpoint_count_what_they_pass(world in world(), packets in packets()) {
        let compiler = Compiler::of(&world, &guarded(&world));

        for (packet, interface) in packets.iter().flat_map(|packet| INTERFACES.map(|interface| (packet, interface))) {
            let Some(name) = speaker(&world, interface) else { continue };
            let story = explain_at_host(&world, &failsafe(), name, Lane::Input, packet).unwrap();
            let transit = sent(Lane::Input, &Interface::new(interface).unwrap(), packet, ConntrackState::New);

            let (_, trail) = trail(compiler.ruleset(), &transit);

            let counted = trail.iter().filter_map(|name| compiler.counts(name));
            let passed = counted.filter(|counted| counted.effect == Effect::Pass && !counted.is_staged);
            let passed: Vec<By> = passed.map(|counted| counted.by.clone()).collect();
            let told = story.steps.into_iter().filter_map(|step| match step {
                Step::Passed { rule } => Some(By::Rule(rule)),
                Step::Skipped { .. } | Step::Logged { .. } | Step::TierPassed { .. } => None,
            });
            prop_assert_eq!(passed, told.collect::<Vec<_>>(), "{} {}", packet, interface);
        }
    }

    #[test]
    fn known_flows_lo_and_neighbours_pass_every_tracked_lane(world in world(), packet in packet()) {
        let rules = compile(&world, &guarded(&world));
        let solicitation = Packet::icmp("fe80::1".parse().unwrap(), "ff02::1:ff00:1".parse().unwrap(), 135, 0);
        let lo = Interface::new("lo").unwrap();

        for lane in Lane::ALL {
            let passes = |transit: &Transit| through(&rules, lane, transit).outcome == Outcome::Accept;
            if !matches!(lane, Lane::ForwardIn | Lane::ForwardOut) {
                prop_assert!(passes(&sent(lane, &lo, &packet, ConntrackState::New)));
                let near = Transit { hop_limit: 255, ..sent(lane, &uplink(), &solicitation, ConntrackState::Untracked) };
                prop_assert!(passes(&near));
            }
            if !lane.is_untracked() {
                // What goes untracked is asked, packet by packet, by the interface it leaves by.
                let untracked = (lane != Lane::ForwardOut).then_some(ConntrackState::Untracked);
                for state in [ConntrackState::Established, ConntrackState::Related].into_iter().chain(untracked) {
                    prop_assert!(passes(&sent(lane, &uplink(), &packet, state)));
                }
            }
        }
    }

    #[test]
    fn what_is_from_the_middle_of_a_stream_passes_only_where_nobody_is_asked(world in world(), packets in packets()) {
        let rules = compile(&world, &guarded(&world));
        let failsafe = failsafe();

        for packet in &packets {
            let Transport::Ports { protocol: 6, source, destination } = packet.transport else { continue };
            let has = |ports: &std::collections::BTreeSet<_>, port| ports.contains(&(PortProtocol::Tcp, port));
            for (lane, interface) in INTERFACES.into_iter().flat_map(|interface| {
                [(Lane::Input, interface), (Lane::Output, interface)]
            }) {
                let transit = sent(lane, &Interface::new(interface).unwrap(), packet, ConntrackState::New);
                let is_open = match lane {
                    Lane::Input => has(&failsafe.inbound, destination),
                    _ => has(&failsafe.outbound, destination) || has(&failsafe.inbound, source),
                };

                let passes = is_open || speaker(&world, interface).is_none();
                for mark in [0, SPARED] {
                    let Journey { outcome, .. } = through(&rules, lane, &Transit { tcp_flags: ACK, mark, ..transit.clone() });

                    prop_assert_eq!(outcome == Outcome::Accept, passes, "{} {} {} {:#x}", packet, lane, interface, mark);
                }
            }
        }
    }

    #[test]
    fn what_a_workload_sends_to_its_host_meets_the_host_endpoint_of_every_interface(
        world in world(),
        packets in packets(),
    ) {
        let rules = compile(&world, &guarded(&world));

        for packet in &packets {
            let Some((name, _)) = world.endpoint_of(packet.source) else { continue };
            let egress = direction_verdict(&world, name, Direction::Egress, packet).unwrap().allowed;
            let every = host_verdict(&world, &failsafe(), "any", Lane::Input, packet);
            let transit = sent(Lane::Input, &interface_of(name), packet, ConntrackState::New);

            let Journey { outcome, .. } = journey(&rules, &transit, |_| true);

            prop_assert_eq!(outcome == Outcome::Accept, egress && every.is_none_or(|ruling| ruling.allowed));
        }
    }

    #[test]
    fn what_a_workload_may_open_to_its_host_is_what_is_compiled(world in world(), packets in packets(), opens: bool) {
        let workload_to_host = if opens { WorkloadToHost::Accept } else { WorkloadToHost::Drop };
        let rules = compile(&world, &one_host(&world, workload_to_host));
        let to_host = |packet: &Packet| match packet.source {
            IpAddr::V4(_) => [[169, 254, 1, 1], [172, 31, 1, 2], [127, 0, 0, 1]].map(IpAddr::from),
            IpAddr::V6(_) => ["fe80::1", "fd31:1::2", "fdff::1"].map(|address| address.parse().unwrap()),
        };

        for packet in packets.iter().flat_map(|packet| {
            to_host(packet).map(|destination| Packet { destination, ..*packet })
        }) {
            let Some((name, _)) = world.endpoint_of(packet.source) else { continue };
            let asked = match packet.transport {
                Transport::Ports { protocol, source, .. } => Transport::Ports { protocol, source, destination: 53 },
                other => other,
            };
            for packet in [packet, Packet { transport: asked, ..packet }] {
                let egress = direction_verdict(&world, name, Direction::Egress, &packet).unwrap().allowed;
                let said = workload_to_host.verdict(true, &packet);
                let transit = sent(Lane::Input, &interface_of(name), &packet, ConntrackState::New);

                let Journey { outcome, .. } = journey(&rules, &transit, |_| true);

                prop_assert_eq!(outcome == Outcome::Accept, egress && said.is_allowed(), "{} {}", packet, said);
            }
        }
    }

    #[test]
    fn a_host_without_host_endpoints_has_no_chain_for_them(world in world()) {
        let bare = World { host_endpoints: Default::default(), ..world.clone() };

        let rules = compile(&world, &one_host(&world, WorkloadToHost::Drop));

        prop_assert_eq!(&rules, &compile(&bare, &one_host(&world, WorkloadToHost::Drop)));
        let of_hosts = |name: &&str| name.starts_with("host-") || name.ends_with("-gate") || name.starts_with("failsafe");
        let names = rules.chains.keys().chain(rules.maps.keys()).map(|name| name.as_str());
        prop_assert_eq!(names.filter(of_hosts).collect::<Vec<_>>(), Vec::<&str>::new());
    }
}

#[test]
fn a_failsafe_answer_leaves_before_tracking_whatever_policy_says() {
    let ssh_answer = Transport::Ports { protocol: 6, source: 22, destination: 50_000 };
    let packet = Packet {
        transport: ssh_answer,
        ..Packet::tcp("192.0.2.1".parse().unwrap(), "192.0.2.9".parse().unwrap(), (0, 0))
    };
    let world = World { host_endpoints: [("any".to_owned(), Default::default())].into(), ..World::default() };

    let ruling = host_verdict(&world, &Failsafe::default(), "any", Lane::UntrackedOut, &packet).unwrap();

    assert_eq!(ruling.to_string(), "raw-out of any: failsafe port: allowed");
}
