//! Every kind of change, read back by nft.

use std::collections::BTreeMap;

use insta::assert_snapshot;
use poplin_agent::kernel::{Rules, RulesError};
use poplin_policy::delta::Change;
use poplin_policy::ruleset::{Atom, Datatype, Element, Form, Map, MapElements, Ruleset, Verdict};

use crate::forms::{both_ends, everything};
use crate::lab::{
    Namespace, address4, address6, by_id, forward, from_nothing, hash_set, interface, interval_set, name, plain, rule,
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

    	map addresses4 {
    		type ipv4_addr : ipv4_addr
    		elements = { 198.51.100.7 : 10.0.0.1 }
    	}

    	map addresses6 {
    		type ipv6_addr : ipv6_addr
    		elements = { 2001:db8::7 : fd00::1 }
    	}

    	map at-ports {
    		type inet_proto . inet_service . ipv6_addr . ipv6_addr : verdict
    		elements = { tcp . 443 . ::700:0:0:0 . ::6745:2301:efcd:ab89:0:0 : return }
    	}

    	map by-id {
    		type mark . mark . mark . mark : counter
    		elements = { 0x00000000 . 0x00000000 . 0x00000007 . 0x00000000 : "counted" }
    	}

    	map counters {
    		type inet_proto . inet_service . ipv6_addr . ipv6_addr : counter
    		elements = { tcp . 443 . ::700:0:0:0 . ::6745:2301:efcd:ab89:0:0 : "counted" }
    	}

    	map links {
    		type ifname : mark . mark . mark
    		elements = { "pop0123456789ab" : 0x00000000 . 0x00000007 . 0x00000000 }
    	}

    	map lists {
    		type inet_proto . inet_service . ipv6_addr : mark . mark . mark
    		elements = { tcp . 443 . ::700:0:0:0 : 0x01234567 . 0x89abcdef . 0x00000000 }
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

    	map sockets-at4 {
    		type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service
    		elements = { 192.0.2.1 . tcp . 8080 : 10.0.0.1 . 80 }
    	}

    	map sockets-at6 {
    		type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service
    		elements = { 2001:db8::1 . tcp . 8080 : fd00::1 . 80 }
    	}

    	map sockets4 {
    		type inet_proto . inet_service : ipv4_addr . inet_service
    		elements = { tcp . 8080 : 10.0.0.1 . 80 }
    	}

    	map sockets6 {
    		type inet_proto . inet_service : ipv6_addr . inet_service
    		elements = { tcp . 8080 : fd00::1 . 80 }
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
    		meta mark & 0x10000000 != 0x00000000 accept
    		meta l4proto tcp meta mark & 0x00000001 == 0x00000000 accept
    		meta nfproto ipv4 counter packets 0 bytes 0
    		meta mark set meta mark | 0x10000000
    		meta l4proto udp meta mark set meta mark & 0xfffffffe
    		ct state invalid,new drop
    	}

    	chain flattened {
    		meta nfproto ipv4 iifname vmap @policies
    		meta nfproto ipv4 iifname vmap @policies
    		meta nfproto ipv6 counter name iifname map @by-id iifname vmap @policies
    		meta nfproto ipv6 iifname vmap @policies
    		meta nfproto ipv4 counter name meta l4proto . th dport . iifname . iifname map @counters meta l4proto . th dport . iifname . iifname vmap @at-ports
    		meta nfproto ipv4 counter name meta l4proto . th dport . iifname . iifname map @counters meta l4proto . th dport . iifname . iifname vmap @at-ports
    		meta nfproto ipv4 counter name meta l4proto . th dport . iifname . iifname map @counters meta l4proto . th dport . iifname . iifname vmap @at-ports
    		meta nfproto ipv4 counter name meta l4proto . th dport . iifname . iifname map @counters meta l4proto . th dport . iifname . iifname vmap @at-ports
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

    	chain incoming {
    		type nat hook prerouting priority dstnat; policy accept;
    		fib daddr type != local accept
    		fib daddr type local meta l4proto tcp return
    		dnat ip to ip daddr map @addresses4
    		dnat ip6 to ip6 daddr map @addresses6
    		meta nfproto ipv4 dnat ip to meta l4proto . th dport map @sockets4
    		meta nfproto ipv6 dnat ip6 to meta l4proto . th dport map @sockets6
    		dnat ip to ip daddr . meta l4proto . th dport map @sockets-at4
    		dnat ip6 to ip6 daddr . meta l4proto . th dport map @sockets-at6
    	}

    	chain input {
    		type filter hook input priority mangle; policy drop;
    	}

    	chain outgoing {
    		type nat hook postrouting priority srcnat; policy accept;
    		meta nfproto ipv4 snat ip to 192.0.2.9
    		meta nfproto ipv6 snat ip6 to 2001:db8::9
    		snat ip to ip saddr map @addresses4
    		snat ip6 to ip6 saddr map @addresses6
    		meta l4proto tcp masquerade
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
                    shape: hash.emptied().into(),
                    removed: vec![Element::exactly([address4("10.0.0.1")])],
                    added: vec![Element::exactly([address4("10.0.0.3")])],
                },
                Change::AlterSet {
                    name: name("interval"),
                    shape: interval.emptied().into(),
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
            pairs.iter().map(|(link, id)| (Element::exactly([Atom::Interface(interface(link))]), *id)).collect(),
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
                Change::AddChain(name("new"), None),
                Change::SetRules(name("new"), new),
                Change::AlterMap {
                    name: name("policies"),
                    shape: policies.emptied().into(),
                    removed: verdicts(&[(1, "old")]),
                    added: verdicts(&[(1, "new")]),
                },
                Change::AlterMap {
                    name: name("links"),
                    shape: links.emptied().into(),
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

    	map addresses4 {
    		type ipv4_addr : ipv4_addr
    		elements = { 198.51.100.7 : 10.0.0.1 }
    	}

    	map addresses6 {
    		type ipv6_addr : ipv6_addr
    		elements = { 2001:db8::7 : fd00::1 }
    	}

    	map at-ports {
    		type inet_proto . inet_service . ipv6_addr . ipv6_addr : verdict
    		elements = { tcp . 443 . ::700:0:0:0 . ::6745:2301:efcd:ab89:0:0 : return }
    	}

    	map by-id {
    		type mark . mark . mark . mark : counter
    		elements = { 0x00000000 . 0x00000000 . 0x00000007 . 0x00000000 : "counted" }
    	}

    	map counters {
    		type inet_proto . inet_service . ipv6_addr . ipv6_addr : counter
    		elements = { tcp . 443 . ::700:0:0:0 . ::6745:2301:efcd:ab89:0:0 : "counted" }
    	}

    	map lists {
    		type inet_proto . inet_service . ipv6_addr : mark . mark . mark
    		elements = { tcp . 443 . ::700:0:0:0 : 0x01234567 . 0x89abcdef . 0x00000000 }
    	}

    	map sockets-at4 {
    		type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service
    		elements = { 192.0.2.1 . tcp . 8080 : 10.0.0.1 . 80 }
    	}

    	map sockets-at6 {
    		type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service
    		elements = { 2001:db8::1 . tcp . 8080 : fd00::1 . 80 }
    	}

    	map sockets4 {
    		type inet_proto . inet_service : ipv4_addr . inet_service
    		elements = { tcp . 8080 : 10.0.0.1 . 80 }
    	}

    	map sockets6 {
    		type inet_proto . inet_service : ipv6_addr . inet_service
    		elements = { tcp . 8080 : fd00::1 . 80 }
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

    	chain incoming {
    		type nat hook prerouting priority dstnat; policy accept;
    		fib daddr type != local accept
    		fib daddr type local meta l4proto tcp return
    		dnat ip to ip daddr map @addresses4
    		dnat ip6 to ip6 daddr map @addresses6
    		meta nfproto ipv4 dnat ip to meta l4proto . th dport map @sockets4
    		meta nfproto ipv6 dnat ip6 to meta l4proto . th dport map @sockets6
    		dnat ip to ip daddr . meta l4proto . th dport map @sockets-at4
    		dnat ip6 to ip6 daddr . meta l4proto . th dport map @sockets-at6
    	}

    	chain input {
    		type filter hook input priority mangle; policy drop;
    	}

    	chain outgoing {
    		type nat hook postrouting priority srcnat; policy accept;
    		meta nfproto ipv4 snat ip to 192.0.2.9
    		meta nfproto ipv6 snat ip6 to 2001:db8::9
    		snat ip to ip saddr map @addresses4
    		snat ip6 to ip6 saddr map @addresses6
    		meta l4proto tcp masquerade
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
                Change::AddChain(name("fine"), None),
                Change::RemoveSet(name("nowhere")),
                Change::AddChain(name("fine-as-well"), None),
            ])
            .unwrap_err();
        (error, before, host.table())
    });

    assert_eq!(error.to_string(), "change 2 of 3 (remove set nowhere) was refused");
    assert!(matches!(error, RulesError::Refused { number: 2, count: 3, .. }));
    assert_eq!(after, before);
}

#[test]
fn what_was_made_ahead_of_a_change_that_fails_goes_with_the_next_load() {
    let host = Namespace::new();
    let base = u32::from(std::net::Ipv4Addr::new(10, 0, 0, 0));
    let many =
        hash_set(vec![Datatype::Address4], (0..300_000).map(|number| vec![Atom::Address4((base + number).into())]));
    let fails = [Change::AddSet(name("many"), many), Change::RemoveSet(name("nowhere"))];

    let error = host.within(|| {
        let mut rules = Rules::open().unwrap();
        rules.apply(&from_nothing(&everything())).unwrap();
        let error = rules.apply(&fails).unwrap_err();
        rules.apply(&from_nothing(&everything())).unwrap();
        assert_eq!(rules.read(&everything()).unwrap(), everything());
        error
    });

    assert_eq!(error.to_string(), "changes up to 1 are made, and nothing leads to them yet");
    let RulesError::Begun { cause, .. } = error else { panic!("{error}") };
    assert_eq!(cause.to_string(), "change 2 of 2 (remove set nowhere) was refused");
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
    let one = || vec![Element::exactly([address4("10.0.0.1")])];
    let alter = |removed, added| Change::AlterSet { name: name("s"), shape: shape.emptied().into(), removed, added };

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
