//! Rulesets that leave no form out.

use std::collections::BTreeMap;

use poplin_policy::ruleset::{
    Asks, AtPort, Atom, BasePolicy, Chain, ConntrackStates, Counter, Datatype, Dispatch, Element, FAMILY_4, FAMILY_6,
    Field, Form, Hook, HookKind, HookPoint, Log, Map, MapElements, Match, Origin, Rule, Ruleset, SourceNat, Then,
    Verdict,
};

use crate::lab::{
    address4, address6, by_id, dispatch_by, forward, hash_set, interface, interval_set, name, plain, rule,
};

/// Ranges that begin at the least key or end at the greatest, or touch.
pub(crate) fn both_ends() -> Ruleset {
    let set4 = |ranges: &[(&str, &str)]| {
        interval_set(Datatype::Address4, ranges.iter().map(|(low, high)| (address4(low), address4(high))))
    };
    let set6 = |low, high| interval_set(Datatype::Address6, [(address6(low), address6(high))]);
    Ruleset {
        sets: BTreeMap::from([
            (name("all4"), set4(&[("0.0.0.0", "255.255.255.255")])),
            (name("all6"), set6("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")),
            (name("first4"), set4(&[("0.0.0.0", "0.0.0.0")])),
            (name("last4"), set4(&[("10.0.0.0", "10.0.0.255"), ("255.255.255.255", "255.255.255.255")])),
            (
                name("touching4"),
                set4(&[("10.0.0.0", "10.0.0.255"), ("10.0.1.0", "10.0.1.255"), ("10.0.2.0", "10.0.2.0")]),
            ),
            (
                name("ports"),
                interval_set(
                    Datatype::Port,
                    [(Atom::Port(0), Atom::Port(9)), (Atom::Port(1024), Atom::Port(u16::MAX))],
                ),
            ),
        ]),
        ..Ruleset::default()
    }
}

/// Every kind of set, map, match and end.
pub(crate) fn everything() -> Ruleset {
    let range = |field, low, high, negated| Match::Range { field, low, high, negated };
    let equals = |field, value: Atom| Match::Range { field, low: value.clone(), high: value, negated: false };
    let member = |fields: &[Field], set, negated| Match::Member { fields: fields.into(), set: name(set), negated };
    let ip4 = || equals(Field::Family, FAMILY_4);
    let ip6 = || equals(Field::Family, FAMILY_6);
    let protocol = |number| equals(Field::Protocol, Atom::Octet(number));
    let established = ConntrackStates { established: true, related: true, ..ConntrackStates::default() };
    let invalid_or_new = ConntrackStates { invalid: true, new: true, ..ConntrackStates::default() };

    let each_match = plain(vec![
        rule(vec![equals(Field::InterfaceIn, Atom::Interface(interface("eth0")))], Verdict::Return),
        rule(
            vec![Match::InterfacePrefix { field: Field::InterfaceOut, prefix: "pop".into(), negated: true }],
            Verdict::Jump(name("policy")),
        ),
        rule(vec![ip4(), range(Field::Source4, address4("10.0.0.5"), address4("10.0.0.9"), false)], Verdict::Accept),
        rule(
            vec![ip4(), range(Field::Destination4, address4("10.0.0.5"), address4("10.0.0.9"), true)],
            Verdict::Accept,
        ),
        rule(vec![ip4(), member(&[Field::Source4], "peers4", false)], Verdict::Accept),
        rule(vec![ip4(), member(&[Field::Destination4], "networks4", true)], Verdict::Accept),
        rule(vec![ip6(), member(&[Field::Source6], "peers6", false)], Verdict::Accept),
        rule(vec![ip6(), equals(Field::Destination6, address6("fd00::7"))], Verdict::Accept),
        rule(
            vec![
                ip6(),
                protocol(58),
                equals(Field::HopLimit6, Atom::Octet(255)),
                range(Field::IcmpType, Atom::Octet(133), Atom::Octet(137), false),
            ],
            Verdict::Accept,
        ),
        rule(
            vec![ip4(), protocol(1), equals(Field::IcmpType, Atom::Octet(3)), equals(Field::IcmpCode, Atom::Octet(4))],
            Verdict::Accept,
        ),
        rule(
            vec![protocol(6), Match::Bits { field: Field::TcpFlags, mask: 0x17, value: 0x02, negated: true }],
            Verdict::Drop,
        ),
        rule(
            vec![protocol(17), range(Field::DestinationPort, Atom::Port(8000), Atom::Port(9000), false)],
            Verdict::Accept,
        ),
        rule(vec![protocol(17), range(Field::SourcePort, Atom::Port(53), Atom::Port(53), true)], Verdict::Accept),
        rule(
            vec![
                ip4(),
                protocol(6),
                member(&[Field::Source4, Field::Protocol, Field::DestinationPort], "flows4", false),
            ],
            Verdict::Accept,
        ),
        Rule {
            matches: vec![Match::Conntrack(invalid_or_new)],
            counter: None,
            then: Then::Log(Log::new(1430, "poplin here", 100)),
        },
        rule(vec![Match::Mark { bit: 0x1000_0000, negated: false }], Verdict::Accept),
        rule(vec![protocol(6), Match::Mark { bit: 1, negated: true }], Verdict::Accept),
        Rule { matches: vec![ip4()], counter: Some(Counter::Own), then: Then::Continue },
        Rule { matches: vec![], counter: None, then: Then::Mark { bit: 0x1000_0000, is_set: true } },
        Rule { matches: vec![protocol(17)], counter: None, then: Then::Mark { bit: 1, is_set: false } },
        rule(vec![Match::Conntrack(invalid_or_new)], Verdict::Drop),
    ]);
    let services = Rule {
        matches: vec![protocol(6)],
        counter: Some(Counter::Own),
        then: Then::Lookup { fields: vec![Field::Protocol, Field::DestinationPort], map: name("services") },
    };
    let dispatch = Rule {
        matches: vec![],
        counter: Some(Counter::Own),
        then: dispatch_by(vec![Field::InterfaceIn], name("links"), name("policies")),
    };
    let ranges = Rule {
        matches: vec![protocol(6)],
        counter: None,
        then: Then::Lookup { fields: vec![Field::DestinationPort], map: name("ranges") },
    };
    let messages = Rule {
        matches: vec![protocol(1)],
        counter: None,
        then: Then::Lookup { fields: vec![Field::IcmpMessage], map: name("ranges") },
    };
    let by_address = |ids: &str| Rule {
        matches: vec![ip4()],
        counter: None,
        then: dispatch_by(vec![Field::Source4], name(ids), name("policies")),
    };
    let joined = |counters: Option<&str>| Rule {
        matches: vec![ip6()],
        counter: None,
        then: Then::Dispatch(Box::new(Dispatch {
            from: Origin::Constant(7),
            and: Some((Field::Source6, name("who6"))),
            counters: counters.map(name),
            verdicts: name("policies"),
        })),
    };
    let at_port = |path, asks: Option<(Field, &str)>| Rule {
        matches: vec![ip4()],
        counter: None,
        then: Then::AtPort(Box::new(AtPort {
            path,
            asks: asks.map(|(field, owners)| Asks { questions: name("lists"), field, owners: name(owners) }),
            counters: name("counters"),
            verdicts: name("at-ports"),
        })),
    };
    let by_link = || Origin::Fields { fields: vec![Field::InterfaceIn], ids: name("links") };
    let flattened = plain(vec![
        by_address("who"),
        by_address("where"),
        joined(Some("by-id")),
        joined(None),
        at_port(by_link(), Some((Field::Source4, "who4"))),
        at_port(by_link(), None),
        at_port(Origin::Constant(7), Some((Field::Destination4, "who4"))),
        at_port(Origin::Constant(7), None),
        Rule { counter: Some(Counter::Named(name("counted"))), ..rule(vec![], Verdict::Return) },
        ranges,
        messages,
    ]);
    let way = |from: Match, source| Rule { matches: vec![from], counter: None, then: Then::SourceNat(source) };
    let exchange = |from: Match, field, map: &str| {
        let map = name(map);
        Rule { matches: vec![from], counter: None, then: Then::Exchange { field, map } }
    };
    let outgoing = Chain {
        hook: Some(Hook {
            kind: HookKind::Nat,
            point: HookPoint::Postrouting,
            priority: 100,
            policy: BasePolicy::Accept,
        }),
        rules: vec![
            way(ip4(), SourceNat::To("192.0.2.9".parse().unwrap())),
            way(ip6(), SourceNat::To("2001:db8::9".parse().unwrap())),
            exchange(ip4(), Field::Source4, "addresses4"),
            exchange(ip6(), Field::Source6, "addresses6"),
            way(protocol(6), SourceNat::Masquerade),
        ],
    };
    let lead = |from: Match, at: Option<Field>, map: &str, is_v6| {
        let fields = at.into_iter().chain([Field::Protocol, Field::DestinationPort]).collect();
        Rule { matches: vec![from], counter: None, then: Then::DestinationNat { fields, map: name(map), is_v6 } }
    };
    let incoming = Chain {
        hook: Some(Hook { point: HookPoint::Prerouting, priority: -100, ..outgoing.hook.unwrap() }),
        rules: vec![
            rule(vec![Match::ToHost { negated: true }], Verdict::Accept),
            rule(vec![Match::ToHost { negated: false }, protocol(6)], Verdict::Return),
            exchange(ip4(), Field::Destination4, "addresses4"),
            exchange(ip6(), Field::Destination6, "addresses6"),
            lead(ip4(), None, "sockets4", false),
            lead(ip6(), None, "sockets6", true),
            lead(ip4(), Some(Field::Destination4), "sockets-at4", false),
            lead(ip6(), Some(Field::Destination6), "sockets-at6", true),
        ],
    };
    let input = Hook { kind: HookKind::Filter, point: HookPoint::Input, priority: -150, policy: BasePolicy::Drop };

    Ruleset {
        sets: [
            (
                name("peers4"),
                hash_set(vec![Datatype::Address4], [vec![address4("10.0.0.1")], vec![address4("10.0.0.2")]]),
            ),
            (name("peers6"), hash_set(vec![Datatype::Address6], [vec![address6("fd00::1")]])),
            (name("networks4"), interval_set(Datatype::Address4, [(address4("10.1.0.0"), address4("10.1.255.255"))])),
            (
                name("flows4"),
                hash_set(
                    vec![Datatype::Address4, Datatype::Octet, Datatype::Port],
                    [vec![address4("10.0.0.1"), Atom::Octet(6), Atom::Port(443)]],
                ),
            ),
        ]
        .into(),
        maps: [
            (
                name("links"),
                Map {
                    key: vec![Datatype::Interface],
                    form: Form::Hash,
                    elements: MapElements::Ids(
                        [(Element::exactly([Atom::Interface(interface("pop0123456789ab"))]), 7)].into(),
                    ),
                },
            ),
            (
                name("policies"),
                Map {
                    key: vec![Datatype::Id],
                    form: Form::Hash,
                    elements: by_id([(7, Verdict::Goto(name("policy")))]),
                },
            ),
            (
                name("services"),
                Map {
                    key: vec![Datatype::Octet, Datatype::Port],
                    form: Form::Hash,
                    elements: MapElements::Verdicts(
                        [
                            (Element::exactly([Atom::Octet(6), Atom::Port(80)]), Verdict::Accept),
                            (Element::exactly([Atom::Octet(6), Atom::Port(81)]), Verdict::Drop),
                            (Element::exactly([Atom::Octet(6), Atom::Port(82)]), Verdict::Return),
                            (Element::exactly([Atom::Octet(6), Atom::Port(83)]), Verdict::Jump(name("policy"))),
                        ]
                        .into(),
                    ),
                },
            ),
            (
                name("ranges"),
                Map {
                    key: vec![Datatype::Port],
                    form: Form::Interval,
                    elements: MapElements::Verdicts(
                        [
                            (Element::range(Atom::Port(0), Atom::Port(79)), Verdict::Drop),
                            (Element::range(Atom::Port(80), Atom::Port(80)), Verdict::Return),
                            (Element::range(Atom::Port(81), Atom::Port(65535)), Verdict::Jump(name("policy"))),
                        ]
                        .into(),
                    ),
                },
            ),
            (
                name("who"),
                Map {
                    key: vec![Datatype::Address4],
                    form: Form::Hash,
                    elements: MapElements::Ids([(Element::exactly([address4("10.9.0.7")]), 7)].into()),
                },
            ),
            (
                name("lists"),
                Map {
                    key: vec![Datatype::Octet, Datatype::Port, Datatype::Id],
                    form: Form::Hash,
                    elements: MapElements::Ids([(place(&[7]), LIST)].into()),
                },
            ),
            (
                name("who4"),
                Map {
                    key: vec![Datatype::Id, Datatype::Address4],
                    form: Form::Hash,
                    elements: MapElements::Ids([(Element::exactly([Atom::Id(LIST), address4("10.9.0.7")]), 7)].into()),
                },
            ),
            (
                name("who6"),
                Map {
                    key: vec![Datatype::Id, Datatype::Address6],
                    form: Form::Hash,
                    elements: MapElements::Ids([(Element::exactly([Atom::Id(LIST), address6("fd00::7")]), 7)].into()),
                },
            ),
            (
                name("by-id"),
                Map {
                    key: vec![Datatype::Id],
                    form: Form::Hash,
                    elements: MapElements::Counters([(Element::exactly([Atom::Id(7)]), name("counted"))].into()),
                },
            ),
            (
                name("counters"),
                Map {
                    key: vec![Datatype::Octet, Datatype::Port, Datatype::Id, Datatype::Id],
                    form: Form::Hash,
                    elements: MapElements::Counters([(place(&[7, LIST]), name("counted"))].into()),
                },
            ),
            (
                name("at-ports"),
                Map {
                    key: vec![Datatype::Octet, Datatype::Port, Datatype::Id, Datatype::Id],
                    form: Form::Hash,
                    elements: MapElements::Verdicts([(place(&[7, LIST]), Verdict::Return)].into()),
                },
            ),
            (name("sockets4"), sockets4(None)),
            (name("sockets6"), sockets6(None)),
            (name("sockets-at4"), sockets4(Some(address4("192.0.2.1")))),
            (name("addresses4"), addresses4()),
            (name("addresses6"), addresses6()),
            (name("sockets-at6"), sockets6(Some(address6("2001:db8::1")))),
            (
                name("where"),
                Map {
                    key: vec![Datatype::Address4],
                    form: Form::Interval,
                    elements: MapElements::Ids(
                        [
                            (Element::range(address4("10.0.0.0"), address4("10.255.255.255")), 7),
                            (Element::range(address4("11.0.0.0"), address4("11.0.0.0")), 8),
                        ]
                        .into(),
                    ),
                },
            ),
        ]
        .into(),
        chains: [
            (
                name("forward"),
                forward(vec![rule(vec![Match::Conntrack(established)], Verdict::Accept), dispatch, services]),
            ),
            (name("input"), Chain { hook: Some(input), rules: vec![] }.into()),
            (name("outgoing"), outgoing.into()),
            (name("incoming"), incoming.into()),
            (name("each-match"), each_match),
            (name("flattened"), flattened),
            (name("policy"), plain(vec![])),
        ]
        .into(),
        counters: [name("counted")].into(),
    }
}

/// A port that leads to another, of any address or of one.
fn sockets4(at: Option<Atom>) -> Map {
    let elements = MapElements::Sockets4([(published(&at), "10.0.0.1:80".parse().unwrap())].into());
    Map { key: published(&at).low.atoms().map(|atom| atom.datatype()).collect(), form: Form::Hash, elements }
}

fn sockets6(at: Option<Atom>) -> Map {
    let elements = MapElements::Sockets6([(published(&at), "[fd00::1]:80".parse().unwrap())].into());
    Map { key: published(&at).low.atoms().map(|atom| atom.datatype()).collect(), form: Form::Hash, elements }
}

/// An address that leads to another.
fn addresses4() -> Map {
    let from = Element::exactly([address4("198.51.100.7")]);
    let elements = MapElements::Addresses4([(from, "10.0.0.1".parse().unwrap())].into());
    Map { key: vec![Datatype::Address4], form: Form::Hash, elements }
}

fn addresses6() -> Map {
    let from = Element::exactly([address6("2001:db8::7")]);
    let elements = MapElements::Addresses6([(from, "fd00::1".parse().unwrap())].into());
    Map { key: vec![Datatype::Address6], form: Form::Hash, elements }
}

fn published(at: &Option<Atom>) -> Element {
    Element::exactly(at.iter().cloned().chain([Atom::Octet(6), Atom::Port(8080)]))
}

fn place(ids: &[u64]) -> Element {
    Element::exactly([Atom::Octet(6), Atom::Port(443)].into_iter().chain(ids.iter().map(|id| Atom::Id(*id))))
}

/// An id of two different halves.
const LIST: u64 = 0x0123_4567_89ab_cdef;
