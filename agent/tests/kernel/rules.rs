//! Every kind of change, read back by nft.

use std::collections::BTreeMap;

use insta::assert_snapshot;
use poplin_agent::kernel::{Rules, RulesError};
use poplin_policy::delta::Change;
use poplin_policy::ruleset::{
    Atom, BasePolicy, Chain, ConntrackStates, Counter, Datatype, Dispatch, Element, FAMILY_4, FAMILY_6, Field, Form,
    Hook, HookPoint, Log, Map, MapElements, Match, Origin, Rule, Ruleset, Set, Then, Verdict,
};

use crate::lab::{
    Namespace, address4, address6, by_id, dispatch_by, forward, from_nothing, hash_set, interface, interval_set, name,
    none_of, plain, rule,
};

#[test]
fn a_ruleset_of_every_form_reads_in_nfts_own_words() {
    let host = Namespace::new();

    host.within(|| Rules::open().unwrap().apply(&from_nothing(&everything())).unwrap());

    assert_snapshot!(host.table(), @r#"
    table inet poplin {
    	flags

    	counter counted {
    		packets 0 bytes 0
    	}

    	set flows4 {
    		type ipv4_addr . inet_proto . inet_service
    		elements = { 10.0.0.1 . tcp . 443 }
    	}

    	set networks4 {
    		type ipv4_addr
    		flags interval
    		elements = { 10.1.0.0/16 }
    	}

    	set peers4 {
    		type ipv4_addr
    		elements = { 10.0.0.1, 10.0.0.2 }
    	}

    	set peers6 {
    		type ipv6_addr
    		elements = { fd00::1 }
    	}

    	map at-ports {
    		type inet_service . mark . mark . mark . mark : verdict
    		elements = { 1536 . 0x0000bb01 . 0x00000000 . 0x00000000 . 0x00000007 : return }
    	}

    	map counters {
    		type inet_service . mark . mark . mark . mark : counter
    		elements = { 1536 . 0x0000bb01 . 0x00000000 . 0x00000000 . 0x00000007 : "counted" }
    	}

    	map links {
    		type ifname : mark . mark . mark
    		elements = { "pop0123456789ab" : 0x00000000 . 0x00000007 . 0x00000000 }
    	}

    	map lists {
    		type inet_proto . inet_service : mark . mark . mark
    		elements = { tcp . 443 : 0x01234567 . 0x89abcdef . 0x00000000 }
    	}

    	map policies {
    		type mark . mark . mark . mark : verdict
    		elements = { 0x00000000 . 0x00000000 . 0x00000007 . 0x00000000 : goto policy }
    	}

    	map ranges {
    		type inet_service : verdict
    		flags interval
    		elements = { 0-79 : drop, 80 : return, 81-65535 : jump policy }
    	}

    	map services {
    		type inet_proto . inet_service : verdict
    		elements = { tcp . 80 : accept,
    			     tcp . 81 : drop,
    			     tcp . 82 : return,
    			     tcp . 83 : jump policy }
    	}

    	map where {
    		type ipv4_addr : mark . mark . mark
    		flags interval
    		elements = { 10.0.0.0/8 : 0x00000000 . 0x07000000 . 0x00000000, 11.0.0.0 : 0x00000000 . 0x08000000 . 0x00000000 }
    	}

    	map who {
    		type ipv4_addr : mark . mark . mark
    		elements = { 10.9.0.7 : 0x00000000 . 0x00000007 . 0x00000000 }
    	}

    	map who4 {
    		type mark . mark . mark . mark . ipv4_addr : mark . mark . mark
    		elements = { 0x00000000 . 0x01234567 . 0x89abcdef . 0x00000000 . 10.9.0.7 : 0x00000000 . 0x00000007 . 0x00000000 }
    	}

    	map who6 {
    		type mark . mark . mark . mark . ipv6_addr : mark . mark . mark
    		elements = { 0x00000000 . 0x01234567 . 0x89abcdef . 0x00000000 . fd00::7 : 0x00000000 . 0x00000007 . 0x00000000 }
    	}

    	chain each-match {
    		iifname "eth0" return
    		oifname != "pop*" jump policy
    		ip saddr 10.0.0.5-10.0.0.9 accept
    		ip daddr != 10.0.0.5-10.0.0.9 accept
    		ip saddr @peers4 accept
    		ip daddr != @networks4 accept
    		ip6 saddr @peers6 accept
    		ip6 daddr fd00::7 accept
    		ip6 hoplimit 255 icmpv6 type 133-137 accept
    		icmp type destination-unreachable icmp code frag-needed accept
    		tcp flags != syn / fin,syn,rst,ack drop
    		udp dport 8000-9000 accept
    		udp sport != 53 accept
    		ip saddr . meta l4proto . tcp dport @flows4 accept
    		ct state invalid,new limit rate 100/second burst 100 packets log prefix "poplin here" group 1430 snaplen 128
    		ct state invalid,new drop
    	}

    	chain flattened {
    		meta nfproto ipv4 iifname vmap @policies
    		meta nfproto ipv4 iifname vmap @policies
    		meta nfproto ipv4 counter name meta l4proto . th dport . iifname map @counters meta l4proto . th dport . iifname vmap @at-ports
    		meta nfproto ipv6 iifname vmap @policies
    		counter name "counted" return
    		tcp dport vmap @ranges
    		th sport vmap @ranges
    	}

    	chain forward {
    		type filter hook forward priority filter; policy accept;
    		ct state established,related accept
    		counter packets 0 bytes 0 iifname vmap @policies
    		meta l4proto tcp counter packets 0 bytes 0 meta l4proto . tcp dport vmap @services
    	}

    	chain input {
    		type filter hook input priority mangle; policy drop;
    	}

    	chain policy {
    	}
    }
    "#);
}

#[test]
fn intervals_reach_both_ends_of_the_address_space() {
    let host = Namespace::new();
    host.within(|| Rules::open().unwrap().apply(&from_nothing(&both_ends())).unwrap());

    assert_snapshot!(host.table(), @r#"
    table inet poplin {
    	flags

    	set all4 {
    		type ipv4_addr
    		flags interval
    		elements = { 0.0.0.0/0 }
    	}

    	set all6 {
    		type ipv6_addr
    		flags interval
    		elements = { ::/0 }
    	}

    	set first4 {
    		type ipv4_addr
    		flags interval
    		elements = { 0.0.0.0 }
    	}

    	set last4 {
    		type ipv4_addr
    		flags interval
    		elements = { 10.0.0.0/24, 255.255.255.255 }
    	}

    	set ports {
    		type inet_service
    		flags interval
    		elements = { 0-9, 1024-65535 }
    	}

    	set touching4 {
    		type ipv4_addr
    		flags interval
    		elements = { 10.0.0.0/24, 10.0.1.0/24,
    			     10.0.2.0 }
    	}
    }
    "#);
}

#[test]
fn elements_come_and_go() {
    let host = Namespace::new();
    let hash = hash_set(vec![Datatype::Address4], [vec![address4("10.0.0.1")], vec![address4("10.0.0.2")]]);
    let range = |low, high| Element::range(address4(low), address4(high));
    let interval = interval_set(
        Datatype::Address4,
        [(address4("10.0.0.0"), address4("10.0.0.255")), (address4("255.0.0.0"), address4("255.255.255.255"))],
    );
    let ruleset = Ruleset {
        sets: [(name("hash"), hash.clone()), (name("interval"), interval.clone())].into(),
        ..Ruleset::default()
    };

    host.within(|| {
        let mut rules = Rules::open().unwrap();
        rules.apply(&from_nothing(&ruleset)).unwrap();
        rules
            .apply(&[
                Change::AlterSet {
                    name: name("hash"),
                    shape: Set { elements: Default::default(), ..hash },
                    removed: vec![Element::exactly(vec![address4("10.0.0.1")])],
                    added: vec![Element::exactly(vec![address4("10.0.0.3")])],
                },
                Change::AlterSet {
                    name: name("interval"),
                    shape: Set { elements: Default::default(), ..interval },
                    removed: vec![range("10.0.0.0", "10.0.0.255"), range("255.0.0.0", "255.255.255.255")],
                    added: vec![range("10.0.0.0", "10.0.0.127"), range("10.0.0.200", "10.0.1.255")],
                },
            ])
            .unwrap();
    });

    assert_snapshot!(host.table(), @r#"
    table inet poplin {
    	flags

    	set hash {
    		type ipv4_addr
    		elements = { 10.0.0.2, 10.0.0.3 }
    	}

    	set interval {
    		type ipv4_addr
    		flags interval
    		elements = { 10.0.0.0/25, 10.0.0.200-10.0.1.255 }
    	}
    }
    "#);
}

#[test]
fn a_map_element_takes_a_new_verdict_and_chains_replace_each_other() {
    let host = Namespace::new();
    let ids = |pairs: &[(&str, u64)]| {
        MapElements::Ids(
            pairs.iter().map(|(link, id)| (Element::exactly(vec![Atom::Interface(interface(link))]), *id)).collect(),
        )
    };
    let verdicts = |pairs: &[(u64, &str)]| by_id(pairs.iter().map(|(id, chain)| (*id, Verdict::Goto(name(chain)))));
    let links = Map { key: vec![Datatype::Interface], form: Form::Hash, elements: ids(&[("pop1", 1), ("pop2", 1)]) };
    let policies = Map { key: vec![Datatype::Id], form: Form::Hash, elements: verdicts(&[(1, "old")]) };
    let ruleset = Ruleset {
        maps: [(name("links"), links.clone()), (name("policies"), policies.clone())].into(),
        chains: [(name("old"), plain(vec![rule(vec![], Verdict::Accept)]))].into(),
        ..Ruleset::default()
    };

    host.within(|| {
        let mut rules = Rules::open().unwrap();
        rules.apply(&from_nothing(&ruleset)).unwrap();
        let new = plain(vec![rule(vec![], Verdict::Drop), rule(vec![], Verdict::Return)]);
        rules
            .apply(&[
                Change::AddChain(name("new"), new.clone()),
                Change::SetRules(name("new"), new),
                Change::AlterMap {
                    name: name("policies"),
                    shape: Map { elements: none_of(&policies.elements), ..policies },
                    removed: verdicts(&[(1, "old")]),
                    added: verdicts(&[(1, "new")]),
                },
                Change::AlterMap {
                    name: name("links"),
                    shape: Map { elements: none_of(&links.elements), ..links },
                    removed: ids(&[("pop2", 1)]),
                    added: ids(&[("pop2", 7), ("pop3", 1)]),
                },
                Change::RemoveChain(name("old")),
            ])
            .unwrap();
    });

    assert_snapshot!(host.table(), @r#"
    table inet poplin {
    	flags

    	map links {
    		type ifname : mark . mark . mark
    		elements = { "pop1" : 0x00000000 . 0x00000001 . 0x00000000,
    			     "pop2" : 0x00000000 . 0x00000007 . 0x00000000,
    			     "pop3" : 0x00000000 . 0x00000001 . 0x00000000 }
    	}

    	map policies {
    		type mark . mark . mark . mark : verdict
    		elements = { 0x00000000 . 0x00000000 . 0x00000001 . 0x00000000 : goto new }
    	}

    	chain new {
    		drop
    		return
    	}
    }
    "#);
}

#[test]
fn what_nothing_refers_to_any_more_can_go_and_come_again_in_one_transaction() {
    let host = Namespace::new();

    host.within(|| {
        let mut rules = Rules::open().unwrap();
        rules.apply(&from_nothing(&everything())).unwrap();
        let base = forward(vec![rule(vec![], Verdict::Accept)]);
        rules
            .apply(&[
                Change::SetRules(name("forward"), base),
                Change::SetRules(name("each-match"), plain(vec![])),
                Change::RemoveChain(name("flattened")),
                Change::RemoveMap(name("ranges")),
                Change::RemoveMap(name("who")),
                Change::RemoveMap(name("where")),
                Change::RemoveMap(name("services")),
                Change::RemoveMap(name("policies")),
                Change::RemoveMap(name("links")),
                Change::RemoveSet(name("peers4")),
                Change::AddSet(name("peers4"), hash_set(vec![Datatype::Address6], [vec![address6("fd00::1")]])),
                Change::RemoveSet(name("peers6")),
                Change::RemoveSet(name("networks4")),
                Change::RemoveSet(name("flows4")),
                Change::RemoveChain(name("policy")),
                Change::RemoveChain(name("each-match")),
            ])
            .unwrap();
    });

    assert_snapshot!(host.table(), @r#"
    table inet poplin {
    	flags

    	counter counted {
    		packets 0 bytes 0
    	}

    	map at-ports {
    		type inet_service . mark . mark . mark . mark : verdict
    		elements = { 1536 . 0x0000bb01 . 0x00000000 . 0x00000000 . 0x00000007 : return }
    	}

    	map counters {
    		type inet_service . mark . mark . mark . mark : counter
    		elements = { 1536 . 0x0000bb01 . 0x00000000 . 0x00000000 . 0x00000007 : "counted" }
    	}

    	map lists {
    		type inet_proto . inet_service : mark . mark . mark
    		elements = { tcp . 443 : 0x01234567 . 0x89abcdef . 0x00000000 }
    	}

    	map who4 {
    		type mark . mark . mark . mark . ipv4_addr : mark . mark . mark
    		elements = { 0x00000000 . 0x01234567 . 0x89abcdef . 0x00000000 . 10.9.0.7 : 0x00000000 . 0x00000007 . 0x00000000 }
    	}

    	map who6 {
    		type mark . mark . mark . mark . ipv6_addr : mark . mark . mark
    		elements = { 0x00000000 . 0x01234567 . 0x89abcdef . 0x00000000 . fd00::7 : 0x00000000 . 0x00000007 . 0x00000000 }
    	}

    	set peers4 {
    		type ipv6_addr
    		elements = { fd00::1 }
    	}

    	chain forward {
    		type filter hook forward priority filter; policy accept;
    		accept
    	}

    	chain input {
    		type filter hook input priority mangle; policy drop;
    	}
    }
    "#);
}

#[test]
fn a_change_that_fails_is_named_and_none_of_its_fellows_is_made() {
    let host = Namespace::new();

    let (error, before, after) = host.within(|| {
        let mut rules = Rules::open().unwrap();
        rules.apply(&from_nothing(&everything())).unwrap();
        let before = host.table();
        let error = rules
            .apply(&[
                Change::AddChain(name("fine"), plain(vec![])),
                Change::RemoveSet(name("nowhere")),
                Change::AddChain(name("fine-as-well"), plain(vec![])),
            ])
            .unwrap_err();
        (error, before, host.table())
    });

    assert_eq!(error.to_string(), "change 2 of 3 (remove set nowhere) was refused");
    assert!(matches!(error, RulesError::Refused { number: 2, count: 3, .. }));
    assert_eq!(after, before);
}

#[test]
fn of_many_failures_the_first_is_named() {
    let host = Namespace::new();
    let changes: Vec<_> = (0..20_000).map(|number| Change::RemoveSet(name(&format!("nowhere{number}")))).collect();

    let error = host.within(|| {
        let mut rules = Rules::open().unwrap();
        rules.apply(&[Change::Restart]).unwrap();
        let error = rules.apply(&changes).unwrap_err();
        rules.apply(&[Change::Restart]).unwrap();
        error
    });

    assert_eq!(error.to_string(), "change 1 of 20000 (remove set nowhere0) was refused");
}

#[test]
fn chains_that_lead_back_to_themselves_are_refused_as_a_whole() {
    let host = Namespace::new();
    let jump = |to| plain(vec![rule(vec![], Verdict::Jump(name(to)))]);
    let ruleset = Ruleset {
        chains: [
            (name("forward"), forward(vec![rule(vec![], Verdict::Jump(name("one")))])),
            (name("one"), jump("two")),
            (name("two"), jump("one")),
        ]
        .into(),
        ..Ruleset::default()
    };

    let error = host.within(|| Rules::open().unwrap().apply(&from_nothing(&ruleset)).unwrap_err());

    assert!(error.to_string().contains("refused"), "{error}");
    assert!(!host.try_run("nft", "list table inet poplin").status.success(), "nothing was made");
}

#[test]
fn an_element_that_is_there_already_or_not_at_all_is_refused() {
    let host = Namespace::new();
    let shape = hash_set(vec![Datatype::Address4], []);
    let one = || vec![Element::exactly(vec![address4("10.0.0.1")])];
    let alter = |removed, added| Change::AlterSet { name: name("s"), shape: shape.clone(), removed, added };

    host.within(|| {
        let mut rules = Rules::open().unwrap();
        rules.apply(&[Change::Restart, Change::AddSet(name("s"), shape.clone())]).unwrap();

        assert!(rules.apply(&[alter(one(), vec![])]).is_err());
        rules.apply(&[alter(vec![], one())]).unwrap();
        assert!(rules.apply(&[alter(vec![], one())]).is_err());
    });
}

#[test]
fn a_hundred_thousand_elements_fit_into_one_transaction() {
    let host = Namespace::new();
    let base = u32::from(std::net::Ipv4Addr::new(10, 0, 0, 0));
    let keys = (0..100_000_u32).map(|number| vec![Atom::Address4((base + number).into())]);
    let ranges = (0..20_000_u32)
        .map(|number| (Atom::Address4((base + 16 * number).into()), Atom::Address4((base + 16 * number + 7).into())));
    let chains: BTreeMap<_, _> = (0..5_000)
        .map(|number| (name(&format!("policy{number}")), plain(vec![rule(vec![], Verdict::Accept)])))
        .collect();
    let ruleset = Ruleset {
        sets: [
            (name("many"), hash_set(vec![Datatype::Address4], keys)),
            (name("ranges"), interval_set(Datatype::Address4, ranges)),
        ]
        .into(),
        chains,
        ..Ruleset::default()
    };

    host.within(|| Rules::open().unwrap().apply(&from_nothing(&ruleset)).unwrap());

    let listing = host.table_json();
    let count = |wanted: &str| {
        listing["nftables"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|entry| entry["set"].as_object())
            .find(|set| set["name"] == wanted)
            .unwrap()["elem"]
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!((count("many"), count("ranges")), (100_000, 20_000));
    let chains = listing["nftables"].as_array().unwrap().iter().filter(|entry| entry["chain"].is_object()).count();
    assert_eq!(chains, 5_000);
}

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
    let joined = |from, field, ids: &str, counters: Option<&str>| Rule {
        matches: vec![if field == Field::Source4 { ip4() } else { ip6() }],
        counter: None,
        then: Then::Dispatch(Dispatch {
            from,
            and: Some((field, name(ids))),
            at: counters.map(|_| vec![Field::Protocol, Field::DestinationPort]).unwrap_or_default(),
            counters: counters.map(name),
            verdicts: name(if counters.is_some() { "at-ports" } else { "policies" }),
        }),
    };
    let by_port = || Origin::Fields { fields: vec![Field::Protocol, Field::DestinationPort], ids: name("lists") };
    let flattened = plain(vec![
        by_address("who"),
        by_address("where"),
        joined(by_port(), Field::Source4, "who4", Some("counters")),
        joined(Origin::Constant(7), Field::Source6, "who6", None),
        Rule { counter: Some(Counter::Named(name("counted"))), ..rule(vec![], Verdict::Return) },
        ranges,
        messages,
    ]);
    let input = Hook { point: HookPoint::Input, priority: -150, policy: BasePolicy::Drop };

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
                        [(Element::exactly(vec![Atom::Interface(interface("pop0123456789ab"))]), 7)].into(),
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
                            (Element::exactly(vec![Atom::Octet(6), Atom::Port(80)]), Verdict::Accept),
                            (Element::exactly(vec![Atom::Octet(6), Atom::Port(81)]), Verdict::Drop),
                            (Element::exactly(vec![Atom::Octet(6), Atom::Port(82)]), Verdict::Return),
                            (Element::exactly(vec![Atom::Octet(6), Atom::Port(83)]), Verdict::Jump(name("policy"))),
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
                    elements: MapElements::Ids([(Element::exactly(vec![address4("10.9.0.7")]), 7)].into()),
                },
            ),
            (
                name("lists"),
                Map {
                    key: vec![Datatype::Octet, Datatype::Port],
                    form: Form::Hash,
                    elements: MapElements::Ids(
                        [(Element::exactly(vec![Atom::Octet(6), Atom::Port(443)]), LIST)].into(),
                    ),
                },
            ),
            (
                name("who4"),
                Map {
                    key: vec![Datatype::Id, Datatype::Address4],
                    form: Form::Hash,
                    elements: MapElements::Ids(
                        [(Element::exactly(vec![Atom::Id(LIST), address4("10.9.0.7")]), 7)].into(),
                    ),
                },
            ),
            (
                name("who6"),
                Map {
                    key: vec![Datatype::Id, Datatype::Address6],
                    form: Form::Hash,
                    elements: MapElements::Ids(
                        [(Element::exactly(vec![Atom::Id(LIST), address6("fd00::7")]), 7)].into(),
                    ),
                },
            ),
            (
                name("counters"),
                Map {
                    key: vec![Datatype::Octet, Datatype::Port, Datatype::Id],
                    form: Form::Hash,
                    elements: MapElements::Counters([(at_port(7), name("counted"))].into()),
                },
            ),
            (
                name("at-ports"),
                Map {
                    key: vec![Datatype::Octet, Datatype::Port, Datatype::Id],
                    form: Form::Hash,
                    elements: MapElements::Verdicts([(at_port(7), Verdict::Return)].into()),
                },
            ),
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
            (name("input"), Chain { hook: Some(input), rules: vec![] }),
            (name("each-match"), each_match),
            (name("flattened"), flattened),
            (name("policy"), plain(vec![])),
        ]
        .into(),
        counters: [name("counted")].into(),
    }
}

fn at_port(id: u64) -> Element {
    Element::exactly(vec![Atom::Octet(6), Atom::Port(443), Atom::Id(id)])
}

/// An id of two different halves.
const LIST: u64 = 0x0123_4567_89ab_cdef;
