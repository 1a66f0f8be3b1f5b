//! Who is protected is told to the hands before anybody is dialled, and no session outlives a change of it.

use std::num::NonZeroU8;

use poplin_bgp::{Action, Event, NeighbourConfig, Protection, Speaker, SpeakerConfig};

use crate::world::{World, address, neighbour};

#[test]
fn protection_is_asked_for_before_the_dial_and_only_when_it_changes() {
    let config = SpeakerConfig { asn: poplin_bgp::Asn(64512), router_id: [192, 0, 2, 1].into() };
    let mut speaker = Speaker::new(config);
    let mut told = |neighbours: Vec<NeighbourConfig>| {
        speaker.handle(std::time::Instant::now(), Event::Reconfigure { config, neighbours });
        std::iter::from_fn(|| speaker.next_action()).collect::<Vec<_>>()
    };
    let signed = NeighbourConfig { protection: signed("/etc/poplin/tor.key"), ..neighbour(address(1), 64513) };

    let first = told(vec![signed.clone(), neighbour(address(2), 64514)]);
    let second = told(vec![signed.clone(), neighbour(address(2), 64514)]);
    let last = told(vec![]);

    let wanted = [(address(1), signed.protection)].into();
    assert_eq!(first[0], Action::Protect(wanted));
    assert!(matches!(first[1], Action::Connect { .. }), "{first:?}");
    assert_eq!(second, []);
    assert_eq!(last, [Action::Protect([].into())]);
}

#[test]
fn a_session_that_is_to_be_protected_otherwise_lasts_and_says_so() {
    let mut world = World::mesh(&[64512, 64513], 7);
    assert!(world.is_up(0, 1));

    world.hosts[0].neighbours[0].protection = signed("/etc/poplin/tor.key");
    world.configure(0);
    world.hosts[0].neighbours[0].protection.hops_max = NonZeroU8::new(1);
    world.configure(0);

    assert!(world.is_up(0, 1));
    assert_eq!(world.view(0, 1).pending, ["protection"]);
    assert_eq!(world.hosts[0].protected[&address(1)].hops_max, NonZeroU8::new(1));
}

fn signed(file: &str) -> Protection {
    Protection { password_file: Some(file.into()), hops_max: None }
}
