//! Each condition and each change by itself, and the set of prefixes beside its plain definition.

use proptest::{collection::vec, prelude::*};

use crate::{
    Asn,
    wire::{AsPath, Origin},
};

use super::*;

fn route() -> Attributes {
    let mut attributes = Attributes::new(Origin::Igp, AsPath::through([64513, 64514, 64515].map(Asn)));
    attributes.communities = vec![crate::wire::Community(65000 << 16 | 1)];
    attributes.large = vec![crate::wire::LargeCommunity { administrator: 65000, function: 1, parameter: 2 }];
    attributes.extended = vec![crate::wire::ExtendedCommunity([0, 2, 0xfd, 0xe8, 0, 0, 0, 7])];
    attributes
}

fn fits(when: &RouteCondition) -> bool {
    let attributes = route();
    let neighbour = crate::Address::from([192, 0, 2, 7]);
    when.fits(Subject { prefix: "10.77.0.64/26".parse().unwrap(), neighbour, attributes: &attributes })
}

fn ranges(texts: &[&str]) -> Prefixes {
    texts.iter().map(|text| text.parse::<PrefixRange>().unwrap()).collect()
}

fn tags(texts: &[&str]) -> Vec<CommunityPattern> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn through(change: impl FnOnce(&mut PathCondition)) -> RouteCondition {
    let mut path = PathCondition::default();
    change(&mut path);
    RouteCondition { path, ..RouteCondition::default() }
}

#[test]
fn a_condition_fits_if_all_that_is_asked_holds() {
    let prefixes = |texts: &[&str]| RouteCondition { prefixes: ranges(texts), ..RouteCondition::default() };
    let carries = |texts: &[&str]| RouteCondition { communities: tags(texts), ..RouteCondition::default() };
    let with = |nets: &[&str]| RouteCondition {
        neighbours: nets.iter().map(|net| net.parse().unwrap()).collect(),
        ..RouteCondition::default()
    };
    let of = |family| RouteCondition { family: Some(family), ..RouteCondition::default() };
    let by = |origin| RouteCondition { origins: vec![origin], ..RouteCondition::default() };
    let cases = [
        (RouteCondition::default(), true),
        (prefixes(&["10.77.0.64/26"]), true),
        (prefixes(&["10.77.0.0/16"]), false),
        (prefixes(&["192.0.2.0/24", "10.77.0.0/16 ge 26 le 32"]), true),
        (prefixes(&["10.77.0.0/16 ge 27"]), false),
        (prefixes(&["0.0.0.0/0 le 24"]), false),
        (of(crate::wire::Family::Ipv4), true),
        (of(crate::wire::Family::Ipv6), false),
        (carries(&["65000:1"]), true),
        (carries(&["65000:2", "65000:*"]), true),
        (carries(&["*:2", "65000:1:3", "rt:65001:7"]), false),
        (carries(&["65000:*:2"]), true),
        (carries(&["rt:65000:*"]), true),
        (carries(&["ro:65000:*"]), false),
        (through(|path| path.contains = vec![Asn(64514)]), true),
        (through(|path| path.contains = vec![Asn(64999)]), false),
        (through(|path| path.neighbour = vec![Asn(64513)]), true),
        (through(|path| path.neighbour = vec![Asn(64515)]), false),
        (through(|path| path.origin = vec![Asn(64999), Asn(64515)]), true),
        (through(|path| path.origin = vec![Asn(64513)]), false),
        (through(|path| path.length = Some(1..=3)), true),
        (through(|path| path.length = Some(4..=9)), false),
        (by(Origin::Igp), true),
        (by(Origin::Incomplete), false),
        (with(&["198.51.100.0/24", "192.0.2.0/24"]), true),
        (with(&["192.0.2.8/32"]), false),
    ];
    for (when, expected) in cases {
        assert_eq!(fits(&when), expected, "{when:?}");
    }
}

#[test]
fn the_first_rule_that_fits_decides() {
    let rule = |prefix: &str, verdict| RouteRule {
        when: RouteCondition { prefixes: ranges(&[prefix]), ..RouteCondition::default() },
        verdict,
        change: RouteChange::default(),
    };
    let rules = vec![rule("10.77.0.64/26", Verdict::Reject), rule("10.77.0.0/16 le 26", Verdict::Accept)];
    let map = RouteRules::Map(Arc::new(RouteMap { rules, otherwise: Verdict::Reject }));
    let attributes = route();
    let judge = |rules: &RouteRules, prefix: &str| {
        let neighbour = crate::Address::from([192, 0, 2, 7]);
        rules.judge(Subject { prefix: prefix.parse().unwrap(), neighbour, attributes: &attributes })
    };

    assert_eq!(judge(&map, "10.77.0.64/26"), None);
    assert_eq!(judge(&map, "10.77.0.128/26"), Some(Ruling::Rule(1)));
    assert_eq!(judge(&map, "192.0.2.0/24"), None, "no rule fits");
    assert_eq!(judge(&RouteRules::Open, "192.0.2.0/24"), Some(Ruling::Unchanged));
    assert_eq!(judge(&RouteRules::Closed, "10.77.0.128/26"), None);
}

#[test]
fn a_change_touches_what_it_names() {
    let communities = CommunityChange {
        clear: false,
        remove: tags(&["65000:*", "rt:65000:*"]),
        add: vec!["no-export".parse().unwrap(), "65000:1:2".parse().unwrap()],
    };
    let change = RouteChange {
        local_pref: Some(200),
        med: MedChange::Set(7),
        communities,
        prepend: 2,
        next_hop: NextHop::Usual,
    };
    let mut attributes = route();

    change.apply(&mut attributes, Some(Asn(64512)));

    assert_eq!((attributes.local_pref, attributes.med), (Some(200), Some(7)));
    assert_eq!(attributes.path.to_string(), "64512 64512 64513 64514 64515");
    let tags: Vec<_> = attributes.all_communities().map(|tag| tag.to_string()).collect();
    assert_eq!(tags, ["no-export", "65000:1:2"]);

    let all = CommunityChange { clear: true, ..CommunityChange::default() };
    RouteChange { communities: all, ..RouteChange::default() }.apply(&mut attributes, None);
    assert_eq!(attributes.all_communities().count(), 0);
    assert_eq!(attributes.local_pref, Some(200), "what is not named stays");
}

#[test]
fn lengths_are_read_and_bounded() {
    for text in
        ["10.0.0.0/8", "10.0.0.0/8 le 32", "10.0.0.0/8 ge 24", "10.0.0.0/8 ge 24 le 26", "fd00::/8 ge 64 le 122"]
    {
        assert_eq!(text.parse::<PrefixRange>().unwrap().to_string(), text);
    }
    for text in [
        "",
        "10.0.0.0",
        "10.0.0.0/33",
        "10.0.0.0/8 le",
        "10.0.0.0/8 le 26 ge 24",
        "10.0.0.0/8 lt 9",
        "10.0.0.0/8 le 999",
    ] {
        assert_eq!(text.parse::<PrefixRange>(), Err(BadPrefixRange::Form { text: text.to_owned() }));
    }
    let error = "10.0.0.0/8 ge 7".parse::<PrefixRange>().unwrap_err();
    assert_eq!(error.to_string(), "lengths 7 to 32 do not lie between 8 and 32, those within 10.0.0.0/8");
}

fn some_prefix() -> impl Strategy<Value = IpNet> {
    // Few addresses and all lengths, so that prefixes often lie within one another.
    let v4 = (0u32..64, 0u8..=32)
        .prop_map(|(address, bits)| IpNet::new(std::net::IpAddr::from((address << 26).to_be_bytes()), bits));
    let v6 = (0u128..8, 0u8..=128)
        .prop_map(|(address, bits)| IpNet::new(std::net::IpAddr::from((address << 125).to_be_bytes()), bits));
    prop_oneof![v4, v6].prop_map(|net| net.unwrap().trunc())
}

fn some_range() -> impl Strategy<Value = PrefixRange> {
    (some_prefix(), any::<[u8; 2]>()).prop_map(|(net, [a, b])| {
        let span = net.max_prefix_len() - net.prefix_len() + 1;
        let lengths = [a % span + net.prefix_len(), b % span + net.prefix_len()];
        PrefixRange::new(net, lengths[0].min(lengths[1]), lengths[0].max(lengths[1])).unwrap()
    })
}

proptest! {
    #[test]
    fn a_set_admits_what_one_of_its_entries_admits(ranges in vec(some_range(), 0..12), prefix in some_prefix()) {
        let set: Prefixes = ranges.iter().copied().collect();

        let is_admitted = ranges.iter().any(|range| range.admits(prefix));
        prop_assert_eq!(set.admit(prefix), is_admitted);
        prop_assert_eq!(set.find(prefix), is_admitted);
    }
}
