//! What holds for an endpoint whose interface the host never sees: the same as where it does, asked in the container's own namespace.

use poplin_policy::compile::{Compiler, Cut, Sandbox, Touched, compile, in_sandbox};
use poplin_policy::delta;
use poplin_policy::host::WorkloadToHost;
use poplin_policy::model::{Direction, Endpoint};
use poplin_policy::packet::{Packet, TCP, Transport};
use poplin_policy::ruleset::{Atom, HookPoint, MapElements, Ruleset};
use poplin_policy::verdict::direction_verdict;
use poplin_policy::walk::{ACK, ConntrackState, Outcome, Transit, walk};
use poplin_policy::world::World;
use proptest::prelude::*;

use crate::change::{Step, steps, take, turn};
use crate::fleet::{at, interface_of, one_host, uplink};
use crate::naming::met;
use crate::packets::packets;
use crate::strategy::world;

const GROUP: u32 = 0x7001;

fn sandbox(name: &str, endpoint: &Endpoint) -> Sandbox {
    Sandbox { interface: interface_of(name), group: GROUP, addresses: endpoint.addresses.clone() }
}

/// The rules in the sandbox of each endpoint.
fn sandboxes(world: &World) -> Vec<(&str, &Endpoint, Ruleset)> {
    let whole = compile(world, &one_host(world, WorkloadToHost::Drop));
    let all = world.endpoints.iter();
    all.map(|(name, endpoint)| (name.as_str(), endpoint, in_sandbox(&whole, &sandbox(name, endpoint)))).collect()
}

/// At a hook of the container, by an interface of this group. What it is called there no rule asks.
fn inside(hook: HookPoint, group: u32, packet: &Packet) -> Transit {
    Transit { group, ..at(hook, &uplink(), Some(&uplink()), packet) }
}

fn is_tcp(packet: &Packet) -> bool {
    matches!(packet.transport, Transport::Ports { protocol: TCP, .. })
}

fn passes(rules: &Ruleset, transit: &Transit) -> bool {
    walk(rules, transit) == Outcome::Accept
}

proptest! {
    #[test]
    fn a_packet_comes_in_and_goes_out_where_the_verdict_allows_it((world, packets) in met()) {
        for (name, endpoint, rules) in sandboxes(&world) {
            prop_assert_eq!(rules.dangling(), None);
            for packet in &packets {
                let is_own = endpoint.addresses.contains(&packet.source);
                let allows = |direction| direction_verdict(&world, name, direction, packet).is_some_and(|ruling| ruling.allowed);
                if endpoint.addresses.contains(&packet.destination) && !is_own {
                    let enters = passes(&rules, &inside(HookPoint::Input, GROUP, packet));
                    prop_assert_eq!(enters, allows(Direction::Ingress), "into {}: {}", name, packet);
                }
                if !endpoint.addresses.contains(&packet.destination) {
                    let enters = passes(&rules, &inside(HookPoint::Input, GROUP, packet));
                    prop_assert!(!enters, "{} is another interface's of {}", packet.destination, name);
                }
                if is_own && !endpoint.addresses.contains(&packet.destination) {
                    let leaves = passes(&rules, &inside(HookPoint::Output, GROUP, packet));
                    prop_assert_eq!(leaves, allows(Direction::Egress), "out of {}: {}", name, packet);
                }
                if !is_own {
                    prop_assert!(!passes(&rules, &inside(HookPoint::Output, GROUP, packet)), "{} is not {}'s", packet.source, name);
                }
            }
        }
    }

    #[test]
    fn known_flows_pass_and_strange_ones_do_not_and_nothing_is_forwarded(world in world(), packets in packets()) {
        for (_, _, rules) in sandboxes(&world) {
            for packet in &packets {
                for hook in [HookPoint::Input, HookPoint::Output] {
                    let known = Transit { state: ConntrackState::Established, ..inside(hook, GROUP, packet) };
                    let middle = Transit { tcp_flags: ACK, ..inside(hook, GROUP, packet) };
                    prop_assert!(passes(&rules, &known));
                    prop_assert!(!is_tcp(packet) || !passes(&rules, &middle));
                    prop_assert!(passes(&rules, &inside(hook, 0, packet)), "another interface is another's business");
                }
                prop_assert!(!passes(&rules, &inside(HookPoint::Forward, GROUP, packet)));
                prop_assert!(passes(&rules, &inside(HookPoint::Forward, 0, packet)));
            }
        }
    }

    #[test]
    fn neighbours_are_looked_for_and_whoever_calls_himself_a_router_is_not_heard(world in world()) {
        let said = |kind| Packet::icmp("fe80::7".parse().unwrap(), "ff02::1".parse().unwrap(), kind, 0);
        for (_, _, rules) in sandboxes(&world) {
            let hears = |kind, group| {
                let packet = said(kind);
                let transit = inside(HookPoint::Input, group, &packet);
                passes(&rules, &Transit { hop_limit: 255, state: ConntrackState::Untracked, ..transit })
            };
            prop_assert_eq!([133, 134, 135, 136, 137].map(|kind| hears(kind, GROUP)), [true, false, true, true, false]);
            prop_assert!(hears(134, 0), "on another interface that is another's business");
        }
    }

    #[test]
    fn of_an_endpoint_that_is_not_known_nothing_passes(world in world(), packets in packets()) {
        let whole = compile(&World { endpoints: Default::default(), ..world.clone() }, &one_host(&world, WorkloadToHost::Drop));
        for (name, endpoint) in &world.endpoints {
            let rules = in_sandbox(&whole, &sandbox(name, endpoint));
            for packet in &packets {
                for hook in [HookPoint::Input, HookPoint::Output] {
                    prop_assert!(!passes(&rules, &inside(hook, GROUP, packet)));
                }
            }
        }
    }

    #[test]
    fn a_part_that_follows_changes_is_the_part_of_what_they_lead_to(
        old in world(),
        new in world(),
        turns in proptest::collection::vec((any::<u8>(), 0..11_usize), 12),
    ) {
        let mut stands = old;
        let mut compiler = Compiler::of(&stands, &one_host(&stands, WorkloadToHost::Drop));
        compiler.take_changes();
        let everybody: Vec<Sandbox> = new.endpoints.iter().map(|(name, endpoint)| sandbox(name, endpoint)).collect();
        let mut cuts: Vec<Cut> = everybody.iter().map(|one| Cut::of(compiler.ruleset(), one)).collect();
        for (which, what) in turns {
            let before = stands.clone();
            turn(&mut stands, &new, what, which.into());
            let is_news = |step: &Step| match step {
                Step::Interface(name) => before.endpoints.contains_key(name) != stands.endpoints.contains_key(name),
                _ => true,
            };
            let told = steps(&before, &stands).into_iter().filter(is_news);
            told.for_each(|step| take(&mut compiler, &stands, step));
            let touched = Touched::of(&compiler.take_changes());
            for (whose, cut) in everybody.iter().zip(&mut cuts) {
                let (mut standing, wanted) = (cut.rules().clone(), Cut::of(compiler.ruleset(), whose));
                match cut.follow(&touched) {
                    Some(changes) => delta::apply(&mut standing, &changes),
                    None => {
                        prop_assert_eq!(cut.rules(), &standing, "it stays as it was");
                        *cut = wanted.clone();
                        standing = wanted.rules().clone();
                    }
                }
                prop_assert_eq!(&standing, wanted.rules());
                prop_assert_eq!(&*cut, &wanted);
            }
        }
    }

    #[test]
    fn rules_of_others_stay_outside(world in world()) {
        let whole = compile(&world, &one_host(&world, WorkloadToHost::Drop));
        let paths = |elements: &MapElements| match elements {
            MapElements::Ids(paths) => paths.clone(),
            _ => Default::default(),
        };
        for (name, _, rules) in sandboxes(&world) {
            let own = Atom::Interface(interface_of(name));
            for direction in ["egress", "ingress"] {
                let of = |ruleset: &Ruleset, map: &str| {
                    ruleset.maps.iter().find(|(known, _)| known.as_str() == format!("{direction}-{map}")).map(|(_, map)| map.elements.clone())
                };
                let path = of(&whole, "ids").map(|ids| paths(&ids)).and_then(|ids| {
                    ids.iter().find(|(key, _)| key.low.atoms().any(|atom| atom == own)).map(|(_, id)| *id)
                });
                let Some(MapElements::Verdicts(entries)) = of(&rules, "chains") else { continue };
                prop_assert!(of(&rules, "ids").is_none());
                prop_assert!(entries.keys().any(|key| key.low.atoms().any(|atom| Some(atom) == path.map(Atom::Id))));
            }
        }
    }
}
