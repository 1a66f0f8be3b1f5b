//! RFC 9234: what two external neighbours are to each other, and for whom a route is.

use poplin_bgp::{
    Asn, Note, RoleConfig, SessionState,
    wire::{Capability, Fault, Role},
};

use crate::{
    peer::Peer,
    world::{World, address, neighbour, net},
};

const PREFIX: &str = "10.1.0.0/16";

#[test]
fn rfc9234_4_2_roles_that_go_together_make_a_session_and_others_do_not() {
    for ours in Role::ALL {
        for theirs in Role::ALL {
            let peer = meeting(ours, false, [Capability::Role(theirs)]);

            let fits = theirs == ours.counterpart();
            let expected = if fits { SessionState::OpenConfirm } else { SessionState::Idle };
            assert_eq!(peer.view().state, expected, "{ours} {theirs}");
            assert_eq!(peer.heard(peer.connection).contains(&Fault::ROLE_MISMATCH.bare().into()), !fits);
        }
    }
}

#[test]
fn rfc9234_4_2_who_says_nothing_is_believed_unless_we_are_strict() {
    assert_eq!(meeting(Role::Customer, false, []).view().state, SessionState::OpenConfirm);

    let peer = meeting(Role::Customer, true, []);

    assert_eq!(peer.view().last_error.as_deref(), Some("role mismatch (2/11)"));
}

#[test]
fn rfc9234_4_2_who_says_two_things_is_not_believed() {
    let twice = [Role::Provider, Role::Provider].map(Capability::Role);
    assert_eq!(meeting(Role::Customer, false, twice).view().state, SessionState::OpenConfirm);

    for other in [Capability::Role(Role::Peer), Capability::Other { code: 9, value: vec![77] }] {
        let both = [Capability::Role(Role::Provider), other];
        assert_eq!(meeting(Role::Customer, false, both).view().state, SessionState::Idle);
    }
}

#[test]
fn rfc9234_5_what_comes_from_a_provider_goes_to_customers_alone() {
    let world = chain(Role::Customer);

    assert_eq!(said(&world, 1), Some(Some(64513)), "we say it for a provider that does not");
    assert_eq!(reached(&world), [("customer", true), ("peer", false), ("provider", false), ("nobody", true)]);
    assert_eq!(said(&world, 2), Some(Some(64513)), "and the customer hears who said so first");
}

#[test]
fn rfc9234_5_what_comes_from_a_customer_goes_to_everybody_and_is_marked_on_the_way_down() {
    let world = chain(Role::Provider);

    assert_eq!(said(&world, 1), Some(None));
    assert_eq!(reached(&world), [("customer", true), ("peer", true), ("provider", true), ("nobody", true)]);
    assert_eq!([2, 3, 4].map(|host| said(&world, host)), [Some(Some(64512)), Some(Some(64512)), Some(None)]);
}

#[test]
fn rfc9234_5_a_leak_is_not_let_in_and_is_told() {
    for (ours, said, is_leak) in [
        (Role::Provider, 64999, true),
        (Role::RouteServer, 64999, true),
        (Role::Peer, 64999, true),
        (Role::Peer, 64513, false),
        (Role::Customer, 64999, false),
        (Role::RouteServerClient, 64999, false),
    ] {
        let mut peer = meeting(ours, false, []);
        peer.say(poplin_bgp::wire::Message::Keepalive);

        peer.announce_for_customers(PREFIX, Asn(said));

        assert_eq!(peer.routes().next().is_none(), is_leak, "{ours} {said}");
        let told = peer.notes().iter().any(|note| matches!(note, Note::RoutesRefused { .. }));
        assert_eq!(told, is_leak, "{ours} {said}");
    }
}

#[test]
fn rfc9234_5_one_that_is_malformed_takes_its_routes_along() {
    let mut peer = meeting(Role::Customer, false, []);
    peer.say(poplin_bgp::wire::Message::Keepalive);
    peer.tell(&["10.0.0.0/8"]);
    let attributes = [
        &[0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xfc, 0x01, 0x40, 3, 4, 192, 0, 2, 2][..], // as before
        &[0xc0, 35, 3, 0, 0, 1],
    ];

    peer.hear(&crate::foreign::update(&attributes.concat(), &[8, 10]));

    assert_eq!(peer.removed(), [net("10.0.0.0/8")]);
    assert_eq!(peer.view().state, SessionState::Established);
}

/// It has introduced itself to one that is this to it.
fn meeting(role: Role, is_strict: bool, more: impl IntoIterator<Item = Capability>) -> Peer {
    let mut peer = Peer::new();
    peer.reconfigure(|neighbour| neighbour.role = Some(RoleConfig { role, is_strict }));
    peer.connect();
    peer.open(more);
    peer
}

/// Host 1 originates a prefix, host 0 in the middle is this to it, and passes it on to 2, a customer, to 3, a peer, to 4, a provider, and to 5,
/// of which nobody has said what it is. The others do not say either.
fn chain(to_source: Role) -> World {
    let mut world = World::of(&[64512, 64513, 64514, 64515, 64516, 64517], 1);
    let roles = [Some(to_source), Some(Role::Provider), Some(Role::Peer), Some(Role::Customer), None];
    let asn = |host: usize| 64512 + u32::try_from(host).unwrap();
    world.hosts[0].neighbours = (1..).zip(roles).map(|(host, _)| neighbour(address(host), asn(host))).collect();
    for (peer, role) in world.hosts[0].neighbours.iter_mut().zip(roles) {
        peer.role = role.map(|role| RoleConfig { role, is_strict: false });
        peer.exchange.transit = true;
    }
    (1..6).for_each(|host| world.hosts[host].neighbours = vec![neighbour(address(0), 64512)]);
    (0..6).for_each(|host| world.configure(host));
    world.originate(1, &[PREFIX]);
    world.settle();
    world
}

fn reached(world: &World) -> [(&'static str, bool); 4] {
    let has = |host: usize| world.hosts[host].routes.contains_key(&net(PREFIX));
    [("customer", has(2)), ("peer", has(3)), ("provider", has(4)), ("nobody", has(5))]
}

/// What counts at a host, or at the one in the middle for 1: who said that it is for customers only, if the route is there.
fn said(world: &World, host: usize) -> Option<Option<u32>> {
    let host = if host == 1 { 0 } else { host };
    let best = world.hosts[host].speaker.best(net(PREFIX))?;
    Some(best.winner.attributes.only_to_customer.map(|asn| asn.0))
}
