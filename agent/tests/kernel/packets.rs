//! Real packets against real rules: the kernel understands what was written as it was meant.

use std::net::UdpSocket;
use std::sync::Arc;

use poplin_agent::kernel::Rules;
use poplin_policy::ruleset::{
    Asks, AtPort, Atom, BasePolicy, Chain, ConntrackStates, Counter, Datatype, Dispatch, Element, FAMILY_4, FAMILY_6,
    Field, Form, Hook, HookKind, HookPoint, Map, MapElements, Match, Origin, Rule, Ruleset, Then, Verdict,
};

use crate::lab::{
    Pair, address4, address6, by_id, dispatch_by, from_nothing, hash_set, interface, interval_set, name, plain, rule,
};

#[test]
fn an_address_set_decides() {
    let pair = Pair::new();
    let drop_members = rule(vec![is(Field::Family, FAMILY_4), member(&[Field::Source4], false)], Verdict::Drop);
    let set = |address| hash_set(vec![Datatype::Address4], [vec![address4(address)]]);

    assert!(!passes(&pair, &with_set(set("10.9.0.2"), drop_members.clone()), "10.9.0.1:9"));
    assert!(passes(&pair, &with_set(set("10.9.0.3"), drop_members), "10.9.0.1:9"));
}

#[test]
fn an_interval_set_decides_up_to_its_very_ends() {
    let pair = Pair::new();
    let only_members = rule(vec![is(Field::Family, FAMILY_4), member(&[Field::Source4], true)], Verdict::Drop);
    let set = |low, high| interval_set(Datatype::Address4, [(address4(low), address4(high))]);

    for (low, high, is_in) in [
        ("10.9.0.2", "10.9.0.9", true),
        ("10.9.0.0", "10.9.0.2", true),
        ("10.9.0.3", "255.255.255.255", false),
        ("10.9.0.2", "255.255.255.255", true),
        ("0.0.0.0", "10.9.0.1", false),
        ("0.0.0.0", "255.255.255.255", true),
    ] {
        assert_eq!(passes(&pair, &with_set(set(low, high), only_members.clone()), "10.9.0.1:9"), is_in, "{low}-{high}");
    }
}

#[test]
fn ipv6_sets_decide() {
    let pair = Pair::new();
    let only = |negated| rule(vec![is(Field::Family, FAMILY_6), member(&[Field::Source6], negated)], Verdict::Drop);
    let everything =
        interval_set(Datatype::Address6, [(address6("::"), address6("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"))]);

    assert!(passes(&pair, &with_set(everything.clone(), only(true)), "[fd09::1]:9"));
    assert!(!passes(&pair, &with_set(everything, only(false)), "[fd09::1]:9"));
}

#[test]
fn a_joined_key_decides() {
    let pair = Pair::new();
    let key = vec![Datatype::Address4, Datatype::Octet, Datatype::Port];
    let set = hash_set(key, [vec![address4("10.9.0.2"), Atom::Octet(17), Atom::Port(9)]]);
    let fields = [Field::Source4, Field::Protocol, Field::DestinationPort];
    let drop = rule(
        vec![is(Field::Family, FAMILY_4), is(Field::Protocol, Atom::Octet(17)), member(&fields, false)],
        Verdict::Drop,
    );
    let ruleset = with_set(set, drop);

    assert!(!passes(&pair, &ruleset, "10.9.0.1:9"));
    assert!(passes(&pair, &ruleset, "10.9.0.1:10"));
}

#[test]
fn a_range_of_ports_decides() {
    let pair = Pair::new();
    let ports =
        |negated| Match::Range { field: Field::DestinationPort, low: Atom::Port(9), high: Atom::Port(300), negated };
    let drop = |negated| with_rule(rule(vec![is(Field::Protocol, Atom::Octet(17)), ports(negated)], Verdict::Drop));

    for (port, is_in) in [(8, false), (9, true), (256, true), (300, true), (301, false)] {
        let destination = format!("10.9.0.1:{port}");
        assert_eq!(passes(&pair, &drop(false), &destination), !is_in, "{port}");
        assert_eq!(passes(&pair, &drop(true), &destination), is_in, "{port}");
    }
}

#[test]
fn the_beginning_of_a_name_decides() {
    let pair = Pair::new();
    let begins =
        |prefix: &str, negated| Match::InterfacePrefix { field: Field::InterfaceIn, prefix: prefix.into(), negated };

    for (prefix, negated, is_dropped) in [
        ("near", false, true),
        ("near0", false, true),
        ("pop", false, false),
        ("pop", true, true),
        ("near", true, false),
    ] {
        let ruleset = with_rule(rule(vec![begins(prefix, negated)], Verdict::Drop));
        assert_eq!(!passes(&pair, &ruleset, "10.9.0.1:9"), is_dropped, "{prefix} {negated}");
    }
}

#[test]
fn a_dispatch_goes_by_interface_to_id_to_chain() {
    let pair = Pair::new();
    let dispatch = |link: &str, id: u64| {
        let links = MapElements::Ids([(Element::exactly([Atom::Interface(interface(link))]), 256)].into());
        let policies = by_id([(id, Verdict::Goto(name("policy")))]);
        let then = dispatch_by(vec![Field::InterfaceIn], name("links"), name("policies"));
        Ruleset {
            maps: [
                (name("links"), Map { key: vec![Datatype::Interface], form: Form::Hash, elements: links }),
                (name("policies"), Map { key: vec![Datatype::Id], form: Form::Hash, elements: policies }),
            ]
            .into(),
            ..with_rule(Rule { matches: vec![], counter: Some(Counter::Own), then })
        }
    };

    assert!(!passes(&pair, &dispatch("near0", 256), "10.9.0.1:9"));
    assert!(passes(&pair, &dispatch("near0", 1), "10.9.0.1:9"), "an id without a verdict goes on");
    assert!(passes(&pair, &dispatch("near1", 256), "10.9.0.1:9"), "an interface without an id goes on");
}

const LIST: u64 = 0x0123_4567_89ab_cdef;
const SETTLED: u64 = 0xfedc_ba98_7654_3210;

fn ids(key: Vec<Atom>, id: u64) -> MapElements {
    MapElements::Ids([(Element::exactly(key), id)].into())
}

fn hash_map(key: &[Datatype], elements: MapElements) -> Map {
    Map { key: key.to_vec(), form: Form::Hash, elements }
}

/// The map that tells whose an address is, for one list.
fn owners(of: Atom) -> Map {
    hash_map(&[Datatype::Id, of.datatype()], ids(vec![Atom::Id(LIST), of], SETTLED))
}

#[test]
fn a_dispatch_joins_an_id_and_an_address_and_counts() {
    let pair = Pair::new();
    let found = || Element::exactly([Atom::Id(SETTLED)]);
    let ruleset = |id, who: Atom, family: Atom| Ruleset {
        maps: [
            (name("who"), owners(who)),
            (name("counters"), hash_map(&[Datatype::Id], MapElements::Counters([(found(), name("it"))].into()))),
            (name("policies"), hash_map(&[Datatype::Id], by_id([(SETTLED, Verdict::Goto(name("policy")))]))),
        ]
        .into(),
        counters: [name("it")].into(),
        ..with_rule(datagrams(
            family.clone(),
            Then::Dispatch(Box::new(Dispatch {
                from: Origin::Constant(id),
                and: Some((field_of(family), name("who"))),
                counters: Some(name("counters")),
                verdicts: name("policies"),
            })),
        ))
    };

    for (id, who, family, to, is_passed) in [
        (LIST, address4("10.9.0.1"), FAMILY_4, "10.9.0.1:10", false),
        (LIST, address6("fd09::1"), FAMILY_6, "[fd09::1]:10", false),
        (LIST, address4("10.9.0.3"), FAMILY_4, "10.9.0.1:10", true),
        (LIST + 1, address4("10.9.0.1"), FAMILY_4, "10.9.0.1:9", true),
    ] {
        passes_and_counts(&pair, &ruleset(id, who, family), to, is_passed);
    }
}

#[test]
fn a_path_asks_at_a_port_for_an_address_and_counts() {
    let pair = Pair::new();
    let path_id = 0x0f0f_1e1e_2d2d_3c3c;
    let at = |port, more: &[u64]| {
        let ids = more.iter().map(|id| Atom::Id(*id));
        Element::exactly([Atom::Octet(17), Atom::Port(port), Atom::Id(path_id)].into_iter().chain(ids))
    };
    let place = [Datatype::Octet, Datatype::Port, Datatype::Id];
    let answered = [&place[..], &[Datatype::Id]].concat();
    let answers = || [at(9, &[SETTLED]), at(10, &[SETTLED]), at(11, &[AtPort::UNASKED])];
    let ruleset = |path: Origin, who: Option<Atom>, family: Atom| Ruleset {
        maps: [
            (name("paths"), hash_map(&[Datatype::Interface], ids(vec![Atom::Interface(interface("near0"))], path_id))),
            (name("questions"), hash_map(&place, MapElements::Ids([(at(9, &[]), LIST)].into()))),
            (name("who"), owners(who.clone().unwrap_or(address4("10.9.0.1")))),
            (
                name("counters"),
                hash_map(&answered, MapElements::Counters(answers().map(|key| (key, name("it"))).into())),
            ),
            (
                name("policies"),
                hash_map(
                    &answered,
                    MapElements::Verdicts(answers().map(|key| (key, Verdict::Goto(name("policy")))).into()),
                ),
            ),
        ]
        .into(),
        counters: [name("it")].into(),
        ..with_rule(datagrams(
            family.clone(),
            Then::AtPort(Box::new(AtPort {
                path,
                asks: who.map(|_| Asks { questions: name("questions"), field: field_of(family), owners: name("who") }),
                counters: name("counters"),
                verdicts: name("policies"),
            })),
        ))
    };
    let by_link = || Origin::Fields { fields: vec![Field::InterfaceIn], ids: name("paths") };
    let (four, six) = (|| Some(address4("10.9.0.1")), || Some(address6("fd09::1")));

    for (from, who, family, to, is_passed) in [
        (by_link(), four(), FAMILY_4, "10.9.0.1:9", false),
        (by_link(), four(), FAMILY_4, "10.9.0.1:10", true),
        (by_link(), Some(address4("10.9.0.3")), FAMILY_4, "10.9.0.1:9", true),
        (by_link(), six(), FAMILY_6, "[fd09::1]:9", false),
        (by_link(), Some(address6("fd09::3")), FAMILY_6, "[fd09::1]:9", true),
        (Origin::Constant(path_id), four(), FAMILY_4, "10.9.0.1:9", false),
        (Origin::Constant(path_id), six(), FAMILY_6, "[fd09::1]:9", false),
        (Origin::Constant(path_id + 1), four(), FAMILY_4, "10.9.0.1:9", true),
        (by_link(), None, FAMILY_4, "10.9.0.1:11", false),
        (by_link(), None, FAMILY_6, "[fd09::1]:11", false),
        (by_link(), None, FAMILY_4, "10.9.0.1:9", true),
        (Origin::Constant(path_id), None, FAMILY_4, "10.9.0.1:11", false),
        (Origin::Constant(path_id + 1), None, FAMILY_4, "10.9.0.1:11", true),
    ] {
        passes_and_counts(&pair, &ruleset(from, who, family), to, is_passed);
    }
}

/// What is not let through is counted.
fn passes_and_counts(pair: &Pair, ruleset: &Ruleset, to: &str, is_passed: bool) {
    // A counter that stands counts on.
    pair.near.try_run("nft", "delete table inet poplin");
    assert_eq!(passes(pair, ruleset, to), is_passed, "{to}");
    let counted = pair.near.within(|| poplin_agent::kernel::counts().unwrap()[&name("it")].packets);
    assert_eq!(counted, u64::from(!is_passed), "{to}");
}

/// Does this with a family's datagrams.
fn datagrams(family: Atom, then: Then) -> Rule {
    Rule { matches: vec![is(Field::Family, family), is(Field::Protocol, Atom::Octet(17))], counter: None, then }
}

/// Where a packet of a family is going.
fn field_of(family: Atom) -> Field {
    if family == FAMILY_4 { Field::Destination4 } else { Field::Destination6 }
}

#[test]
fn a_verdict_map_decides() {
    let pair = Pair::new();
    let key = |port| Element::exactly([Atom::Octet(17), Atom::Port(port)]);
    let services = Map {
        key: vec![Datatype::Octet, Datatype::Port],
        form: Form::Hash,
        elements: MapElements::Verdicts(
            [(key(9), Verdict::Drop), (key(10), Verdict::Accept), (key(11), Verdict::Jump(name("policy")))].into(),
        ),
    };
    let lookup = Rule {
        matches: vec![is(Field::Protocol, Atom::Octet(17))],
        counter: None,
        then: Then::Lookup { fields: vec![Field::Protocol, Field::DestinationPort], map: name("services") },
    };
    let ruleset = Ruleset { maps: [(name("services"), services)].into(), ..with_rule(lookup) };

    for (port, is_passed) in [(9, false), (10, true), (11, false), (12, true)] {
        assert_eq!(passes(&pair, &ruleset, &format!("10.9.0.1:{port}")), is_passed, "{port}");
    }
}

#[test]
fn icmp_and_conntrack_decide() {
    let pair = Pair::new();
    let echo = |number: u8, kind: u8| {
        vec![
            is(Field::Protocol, Atom::Octet(number)),
            Match::Bits { field: Field::IcmpType, mask: 0xff, value: kind, negated: false },
        ]
    };
    let state = |states| with_rule(rule(vec![Match::Conntrack(states)], Verdict::Drop));

    for (ruleset, reaches4, reaches6) in [
        (with_rule(rule(echo(1, 8), Verdict::Drop)), false, true),
        (with_rule(rule(echo(58, 128), Verdict::Drop)), true, false),
        (state(ConntrackStates { new: true, ..ConntrackStates::default() }), false, false),
        (state(ConntrackStates { established: true, ..ConntrackStates::default() }), true, true),
        (state(ConntrackStates::default()), true, true),
    ] {
        pair.near.within(|| Rules::open().unwrap().apply(&from_nothing(&ruleset)).unwrap());
        assert_eq!(pair.far.reaches("10.9.0.1"), reaches4, "{ruleset:?}");
        assert_eq!(pair.far.reaches("fd09::1"), reaches6, "{ruleset:?}");
    }
}

/// Whether one datagram gets through under a ruleset that then stands without an owner.
fn passes(pair: &Pair, ruleset: &Ruleset, destination: &str) -> bool {
    let port = destination.rsplit(':').next().unwrap().parse().unwrap();
    let listener = pair.near.within(|| {
        Rules::open().unwrap().apply(&from_nothing(ruleset)).unwrap();
        pair.listen(port)
    });
    pair.far.within(|| {
        let source = if destination.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
        UdpSocket::bind(source).unwrap().send_to(b"x", destination).unwrap();
    });
    Pair::received(&listener) == 1
}

/// A set by the name of `set`, and a rule that uses it.
fn with_set(set: Arc<poplin_policy::ruleset::Set>, rule: Rule) -> Ruleset {
    Ruleset { sets: [(name("set"), set)].into(), ..with_rule(rule) }
}

/// One rule at input, and a chain `policy` that drops.
fn with_rule(only: Rule) -> Ruleset {
    let hook = Hook { kind: HookKind::Filter, point: HookPoint::Input, priority: 0, policy: BasePolicy::Accept };
    Ruleset {
        chains: [
            (name("input"), Chain { hook: Some(hook), rules: vec![only] }.into()),
            (name("policy"), plain(vec![rule(vec![], Verdict::Drop)])),
        ]
        .into(),
        ..Ruleset::default()
    }
}

fn is(field: Field, value: Atom) -> Match {
    Match::Range { field, low: value.clone(), high: value, negated: false }
}

fn member(fields: &[Field], negated: bool) -> Match {
    Match::Member { fields: fields.into(), set: name("set"), negated }
}
