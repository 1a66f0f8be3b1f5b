//! Fields understood and refused by their places.

use poplin_bgp::wire::Family;
use poplin_bgp::{MedChange, NextHop};
use poplin_manifest::read;
use poplin_proto::v1::Resource;
use poplin_proto::v1::resource::Object;

use super::*;

fn checked(spec: &str) -> Result<RouteMap, Invalids> {
    let text = format!(r#"{{"metadata":{{"name":"from-tor"}},"spec":{spec}}}"#);
    match Resource::from_json("RouteMap", &text).unwrap().object {
        Some(Object::RouteMap(map)) => check(&map),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_field_of_a_rule_is_understood() {
    let map = checked(
        r#"{"otherwise":"accept","rules":[{"action":"reject","when":{"prefixes":["0.0.0.0/0"]}},{"action":"accept",
        "when":{"prefixes":["10.77.0.0/16 le 32"],"ipVersion":4,"communities":["65000:*","no-export"],"neighbours":["192.0.2.1","fd00::/64"],
        "pathContains":[65000],"pathNeighbour":[65001],"pathOrigin":[65002],"pathAtMost":3,"origins":["igp"]},
        "set":{"localPref":200,"med":5,"communities":["65000:1"],"removeCommunities":["rt:65000:*"],"addCommunities":["65000:1:2"],"prepend":2,"nextHop":"self"}}]}"#,
    )
    .unwrap();

    let [first, second] = &map.rules.rules[..] else { panic!("{map:?}") };
    assert_eq!(
        (first.verdict, second.verdict, map.rules.otherwise),
        (Verdict::Reject, Verdict::Accept, Verdict::Accept)
    );
    assert_eq!(second.when.family, Some(Family::Ipv4));
    assert_eq!(second.when.path.length, Some(0..=3));
    assert_eq!(second.when.neighbours[0].to_string(), "192.0.2.1/32");
    assert_eq!((second.change.local_pref, second.change.med, second.change.prepend), (Some(200), MedChange::Set(5), 2));
    assert_eq!((second.change.communities.clear, second.change.communities.add.len()), (true, 2));
    assert_eq!(second.change.next_hop, NextHop::Itself);
}

#[test]
fn everything_wrong_is_told_by_its_place() {
    let Invalids(invalids) = checked(
        r#"{"otherwise":"maybe","rules":[{"action":"accept","when":{"prefixes":["10.0.0.0/8 ge 4"],"communities":["70000:1"],"ipVersion":5,
        "pathOrigin":[0],"neighbours":["tor"],"pathAtLeast":5,"pathAtMost":4},"set":{"med":1,"removeMed":true,"prepend":99,"nextHop":"peer"}},
        {"action":"reject","set":{"localPref":1}}, {"action":"allow"}]}"#,
    )
    .unwrap_err();

    let fields: Vec<_> = invalids.iter().map(|invalid| invalid.field.trim_start_matches("spec.rules[0].")).collect();
    let when = [
        "when.prefixes[0]",
        "when.communities[0]",
        "when.neighbours[0]",
        "when.ipVersion",
        "when.pathOrigin[0]",
        "when.pathAtMost",
    ];
    let set = ["set.removeMed", "set.prepend", "set.nextHop"];
    let rest = ["spec.rules[1].set", "spec.rules[2].action"];
    assert_eq!(fields, [&["spec.otherwise"][..], &when, &set, &rest].concat());
}

#[test]
fn no_community_is_a_word_and_not_a_gap() {
    let map = checked(r#"{"rules":[{"action":"accept","set":{"communities":["none"]}}]}"#).unwrap();
    assert!(map.rules.rules[0].change.communities.clear);
    assert!(Resource::from_json("RouteMap", r#"{"spec":{"rules":[{"set":{"communities":[]}}]}}"#).is_err());
    assert!(Resource::from_json("RouteMap", r#"{"spec":{"rules":[{"when":{"prefixes":[]}}]}}"#).is_err());
}

#[test]
fn the_documents_of_the_readme_are_such() {
    let readme = include_str!("../../../../README.md");
    let shown = readme.split("```").filter_map(|block| block.strip_prefix("yaml\n"));
    let shown = shown.filter(|text| text.contains("kind: RouteMap") || text.contains("reflectors:"));
    let documents = shown.map(|text| {
        let manifest = v1::Manifest { name: "README.md".to_owned(), text: text.to_owned() };
        let documents = read(&manifest).unwrap();
        documents.iter().for_each(|document| drop(crate::resource::check(&document.resource).unwrap()));
        documents.len()
    });
    assert_eq!(documents.sum::<usize>(), 3, "a route map, a peer, a fabric");
}
