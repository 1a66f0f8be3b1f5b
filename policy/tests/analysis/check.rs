//! Assertions: small ones that read, and random ones against the verdict.

use poplin_policy::check::{Author, Because, Case, Expect, Finding, Party, check};
use poplin_policy::gate::{Lane, host_verdicts};
use poplin_policy::host::{Doorway, Failsafe, HostEndpoint};
use poplin_policy::label::Labels;
use poplin_policy::model::{Action, Hosts, Peers, Policy, PortMatch, PortProtocol, Rules, Selection};
use poplin_policy::packet::{Packet, Transport};
use poplin_policy::selector::Selector;
use poplin_policy::verdict::verdict;
use poplin_policy::world::World;
use proptest::prelude::*;

use crate::packets::packets;
use crate::scene::{anybody, ingress, nets, rule, select, shop, with, with_endpoint};
use crate::strategy::{HOST_ENDPOINTS, world};

fn case(from: &str, to: &str, ports: &str, expect: Expect) -> Case {
    let party = |text: &str| match text {
        "anybody" => Party::of(text, Peers::default()),
        "outside" => Party::of(text, Peers { outside: true, ..Peers::default() }),
        text if text.contains('/') => Party::of(text, Peers { nets: nets(text), ..Peers::default() }),
        text => Party::of(text, select(text)),
    };
    Case {
        name: String::new(),
        from: party(from),
        to: party(to),
        ports: ports.split_whitespace().map(|text| text.parse().unwrap()).collect(),
        expect,
        by: None,
        nobody_else: false,
        enters_by: None,
        leaves_by: None,
        may_be_empty: false,
    }
}

fn guarded() -> World {
    with(shop(), ingress("db", "app == 'db'", vec![rule(Action::Allow, select("app == 'web'"), "tcp/5432")]))
}

fn told(case: Case) -> String {
    format!("{case}: {}", check(&guarded(), &Failsafe::default(), std::slice::from_ref(&case))[0])
}

#[test]
fn what_holds_for_all_is_proven() {
    let only = Case { nobody_else: true, ..case("app == 'web'", "app == 'db'", "tcp/5432", Expect::Allow) };

    assert_eq!(told(only), "app == 'web' and nobody else may reach app == 'db' on tcp/5432: holds");
    assert_eq!(told(case("outside", "app == 'db'", "", Expect::Deny)), "outside may not reach app == 'db': holds");
}

#[test]
fn what_does_not_hold_is_shown_by_one_packet_and_its_decider() {
    assert_eq!(
        told(case("app == 'web'", "app == 'db'", "tcp/5432-5433", Expect::Allow)),
        "app == 'web' may reach app == 'db' on tcp/5432-5433: 10.0.0.1 → 10.0.0.3 tcp 49152 → 5433 is denied, ingress of db: \
         end of tier default"
    );
    let only = Case { nobody_else: true, ..case("app == 'web'", "app == 'api'", "tcp/80", Expect::Allow) };
    assert_eq!(
        told(only),
        "app == 'web' and nobody else may reach app == 'api' on tcp/80: somebody else may: 10.0.0.3 → 10.0.0.2 tcp 49152 → 80 \
         is allowed, no policy governs"
    );
}

#[test]
fn a_case_about_nobody_proves_nothing() {
    let lost = case("app == 'wbe'", "app == 'db'", "", Expect::Deny);

    assert_eq!(
        told(lost.clone()),
        "app == 'wbe' may not reach app == 'db': app == 'wbe' is nobody, so nothing is proven"
    );
    assert_eq!(told(Case { may_be_empty: true, ..lost }), "app == 'wbe' may not reach app == 'db': holds");
    assert_eq!(
        told(case("app == 'api'", "app == 'api'", "", Expect::Allow)),
        "app == 'api' may reach app == 'api': no packet can go between the two ends, so nothing is proven"
    );
}

#[test]
fn whose_word_it_must_be_can_be_asked() {
    let by = |policy: &str, rule: Option<&str>| {
        let author = Author { policy: policy.to_owned(), rule: rule.map(str::to_owned) };
        told(Case { by: Some(author), ..case("app == 'web'", "app == 'db'", "tcp/5432", Expect::Allow) })
    };

    assert!(by("db", Some("allow")).ends_with(": holds"));
    assert!(by("web", None).contains("as expected, by another's word: 10.0.0.1 → 10.0.0.3"));
}

#[test]
fn who_is_excepted_is_not_spoken_of() {
    let mut all = case("anybody", "app == 'db'", "tcp/5432", Expect::Deny);
    all.from.except = vec![select("app == 'web'")];

    assert!(told(all).ends_with(": holds"));
    assert_eq!(
        check(&guarded(), &Failsafe::default(), &[case("anybody", "10.0.0.3/32", "icmp/8", Expect::Deny)]),
        [Finding::Holds]
    );
    assert!(
        !told(Case {
            from: Party::of("anybody", anybody()),
            ..case("outside", "app == 'db'", "tcp/5432", Expect::Deny)
        })
        .ends_with(": holds")
    );
}

/// A host whose interface lets the office in, and sends to the outside only what is asked for names.
fn with_a_host() -> World {
    let mut world = guarded();
    let labels = Labels::try_from_pairs([("role", "edge")]).unwrap();
    let addresses = ["192.0.2.1".parse().unwrap()].into();
    let host = "h1".to_owned();
    world.add_host_endpoint(&HostEndpoint {
        name: "edge".to_owned(),
        labels,
        profiles: Vec::new(),
        host,
        doorway: Doorway::Every,
        addresses,
        ports: Vec::new(),
    });
    let office = Peers { nets: nets("198.51.100.0/24"), ..anybody() };
    let for_hosts = |name: &str, hosts, port| {
        let policy = ingress(name, "role == 'edge'", vec![rule(Action::Allow, office.clone(), port)]);
        Policy { hosts, ..policy }
    };
    with(with(world, for_hosts("in", Hosts::Local, "tcp/443")), for_hosts("through", Hosts::Forward, "tcp/5432"))
}

#[test]
fn a_host_endpoint_at_an_end_or_on_the_way_has_its_say() {
    let told =
        |case: Case| format!("{case}: {}", check(&with_a_host(), &Failsafe::default(), std::slice::from_ref(&case))[0]);
    let at_edge = |mut case: Case| {
        case.to = Party { host_endpoint: Some("edge".to_owned()), text: "edge".to_owned(), ..case.to };
        case
    };
    let by_edge = |case: Case| Case { enters_by: Some("edge".to_owned()), ..case };

    let office = at_edge(case("198.51.100.0/24", "192.0.2.1/32", "tcp/443", Expect::Allow));
    let only = Case { nobody_else: true, ..office.clone() };
    let by_rule = Author { policy: "in".to_owned(), rule: Some("allow".to_owned()) };
    assert!(told(only).ends_with(": holds"));
    assert!(told(Case { by: Some(by_rule), ..office }).ends_with(": holds"));
    assert_eq!(
        told(at_edge(case("outside", "192.0.2.1/32", "tcp/22 tcp/80", Expect::Deny))),
        "outside may not reach edge on tcp/22 tcp/80: 203.0.113.1 → 192.0.2.1 tcp 49152 → 22 is allowed, \
         input of edge: failsafe port"
    );
    let denied = told(by_edge(case("outside", "app == 'web'", "tcp/80", Expect::Allow)));
    assert!(denied.starts_with("outside may reach app == 'web' on tcp/80, entering by edge: "), "{denied}");
    assert!(denied.ends_with("80 is denied, forward-in of edge: end of tier default"), "{denied}");
    assert!(told(by_edge(case("198.51.100.0/24", "app == 'web'", "tcp/5432", Expect::Allow))).ends_with(": holds"));
}

fn any_case() -> impl Strategy<Value = Case> {
    let party = || {
        prop::sample::select(vec!["anybody", "outside", "a == 'x'", "has(b)", "all()", "10.0.0.0/30", "192.0.2.0/24"])
    };
    let ports = prop::sample::select(vec!["", "tcp/80", "tcp/http", "udp tcp/443", "icmp/8", "proto/47"]);
    let flags = (any::<bool>(), any::<bool>());
    let gate = || prop::option::weighted(0.3, prop::sample::select(&HOST_ENDPOINTS[..]).prop_map(str::to_owned));
    let gates = [gate().boxed(), gate().boxed(), gate().boxed(), gate().boxed()];
    (party(), party(), ports, flags, gates).prop_map(|(from, to, ports, (allow, nobody_else), gates)| {
        let expect = if allow { Expect::Allow } else { Expect::Deny };
        let mut case = Case { nobody_else: nobody_else && allow, may_be_empty: true, ..case(from, to, ports, expect) };
        [case.from.host_endpoint, case.to.host_endpoint, case.enters_by, case.leaves_by] = gates;
        case
    })
}

/// A port that packets of these worlds have stays open.
fn failsafe() -> Failsafe {
    let mut failsafe = Failsafe::default();
    failsafe.inbound.insert((PortProtocol::Tcp, 443));
    failsafe
}

/// Whether everybody on the way lets a packet pass.
fn passes(world: &World, case: &Case, packet: &Packet, is_meant: bool) -> bool {
    let asks = |name: &Option<String>, lanes: &[Lane]| {
        let said = name.as_ref().map(|name| host_verdicts(world, &failsafe(), name, lanes, packet));
        said.unwrap_or_default().iter().all(|ruling| ruling.allowed)
    };
    verdict(world, packet).allowed
        && (!is_meant || asks(&case.from.host_endpoint, &Lane::SENT))
        && asks(&case.leaves_by, &[Lane::ForwardOut])
        && asks(&case.enters_by, &Lane::FORWARDED)
        && asks(&case.to.host_endpoint, &Lane::RECEIVED)
}

fn meets_hosts(case: &Case, is_meant: bool) -> bool {
    let sent = case.from.host_endpoint.as_ref().filter(|_| is_meant);
    sent.or(case.to.host_endpoint.as_ref()).or(case.enters_by.as_ref()).or(case.leaves_by.as_ref()).is_some()
}

/// Whether an address is in a party of these tests.
fn is_in(world: &World, party: &Party, packet: &Packet, is_source: bool) -> bool {
    let end = world.end(if is_source { packet.source } else { packet.destination });
    party.any.iter().all(|peers| {
        peers.select.as_ref().is_none_or(|select: &Selection| world.selects(select, end))
            && (peers.nets.is_empty() || peers.nets.iter().any(|net| net.contains(&end.address)))
            && !(peers.outside && end.endpoint.is_some())
    })
}

fn is_spoken_of(world: &World, ports: &[PortMatch], packet: &Packet) -> bool {
    let meant = |port: &PortMatch| match (port, packet.transport) {
        (PortMatch::Ports { protocol, range }, Transport::Ports { protocol: number, destination, .. }) => {
            protocol.number() == number && range.contains(&destination)
        }
        (PortMatch::Named { protocol, name }, Transport::Ports { protocol: number, destination, .. }) => {
            let end = world.end(packet.destination);
            protocol.number() == number && end.ports.iter().any(|port| port.means(name, *protocol, destination))
        }
        (PortMatch::Icmp { .. }, Transport::Icmp { protocol, kind, .. }) => {
            packet.source.is_ipv4() && protocol == 1 && kind == 8
        }
        (PortMatch::Protocol(wanted), _) => packet.protocol() == *wanted,
        _ => false,
    };
    ports.is_empty() || ports.iter().any(meant)
}

proptest! {
    #[test]
    fn a_proven_case_holds_for_every_packet(world in world(), case in any_case(), packets in packets()) {
        let finding = check(&world, &failsafe(), std::slice::from_ref(&case)).remove(0);

        for packet in packets.iter().filter(|packet| packet.source != packet.destination) {
            let is_ours = world.endpoint_of(packet.source).or(world.endpoint_of(packet.destination)).is_some();
            let is_meant = is_in(&world, &case.from, packet, true);
            let reaches = (is_ours || meets_hosts(&case, is_meant)) && is_in(&world, &case.to, packet, false) && is_spoken_of(&world, &case.ports, packet);
            let allowed = passes(&world, &case, packet, is_meant);
            let refutes = reaches && match is_meant {
                true => allowed != (case.expect == Expect::Allow),
                false => case.nobody_else && allowed,
            };
            prop_assert!(!(refutes && finding == Finding::Holds), "{} refutes {}", packet, case);
        }
    }

    #[test]
    fn a_refutation_refutes(world in world(), case in any_case()) {
        if let Finding::Refuted(refutation) = check(&world, &failsafe(), std::slice::from_ref(&case)).remove(0) {
            let packet = refutation.packet;
            let is_meant = is_in(&world, &case.from, &packet, true);

            prop_assert!(is_in(&world, &case.to, &packet, false) && is_spoken_of(&world, &case.ports, &packet));
            prop_assert_eq!(verdict(&world, &packet), refutation.decision.clone());
            let wrong = if is_meant { case.expect == Expect::Deny } else { true };
            prop_assert_eq!(refutation.allowed, wrong);
            prop_assert_eq!(passes(&world, &case, &packet, is_meant), wrong);
        }
    }
}

#[test]
fn what_strangers_send_one_another_hides_no_refutation() {
    // The host is asked about what it sends; nobody is about what strangers send strangers, which is met before the office.
    let office = rule(Action::Allow, Peers { nets: nets("203.0.113.0/24"), ..anybody() }, "");
    let policy = Policy { egress: Some(Rules::default()), ..ingress("office", "all()", vec![office]) };
    let world = with(with_endpoint(World::default(), "web", "app=web", "10.0.0.1"), policy);
    let case = Case { nobody_else: true, ..case("app == 'host'", "anybody", "", Expect::Allow) };
    let from = Party { host_endpoint: Some("edge".to_owned()), ..case.from };

    let finding = check(&world, &failsafe(), &[Case { from, ..case }]).remove(0);

    let Finding::Refuted(refutation) = finding else { panic!("{finding}") };
    assert_eq!(refutation.because, Because::SomebodyElse);
}

#[test]
fn selectors_of_cases_are_those_of_rules() {
    let everyone = Selection::anywhere(Selector::parse("all()").unwrap());
    let known = Party::of("all()", Peers { select: Some(everyone), ..Peers::default() });

    // The set `office` is known too, as in a rule.
    let finding = check(
        &guarded(),
        &Failsafe::default(),
        &[Case { from: known, ..case("anybody", "app == 'api'", "", Expect::Allow) }],
    );

    assert_eq!(finding, [Finding::Holds]);
}
