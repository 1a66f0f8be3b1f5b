//! Route maps: what is done with BGP routes.

use std::ops::RangeInclusive;
use std::str::FromStr;
use std::sync::Arc;

use ipnet::IpNet;
use poplin_bgp::wire::{AnyCommunity, Family, NotACommunity, Origin};
use poplin_bgp::{
    Asn, BadPrefixRange, CommunityChange, CommunityPattern, MedChange, NextHop, PathCondition, PrefixRange, Prefixes,
    RouteChange, RouteCondition, RouteRule, Verdict,
};
use poplin_manifest::field::{Findings, Invalid, Invalids, checked_name, object_name, within, word};
use poplin_node::name::RouteMapName;
use poplin_node::object::{RouteMap, RouteMaps};
use poplin_proto::v1;

use super::host::asn;

/// So many AS numbers may lead a path beside the one that always does. A path some neighbours cut or refuse helps nobody: FRR and
/// IOS bound what they prepend at 10 by default.
const MOST_PREPENDED: u32 = 16;

/// More no path of the real world has; a bound so that a number mistaken for an AS is found.
const LONGEST_PATH: u32 = 4096;

pub(super) fn check(map: &v1::RouteMap) -> Result<RouteMap, Invalids> {
    let spec = map.spec.clone().unwrap_or_default();
    let mut findings = Findings::default();
    let name = RouteMapName::new(checked_name(map.metadata.as_ref()));
    let words = [("", Verdict::Reject), ("accept", Verdict::Accept), ("reject", Verdict::Reject)];
    let otherwise = findings.take(word("spec.otherwise", &spec.otherwise, &words));
    let rules = spec.rules.iter().enumerate().map(|(index, one)| rule(&format!("spec.rules[{index}]"), one));
    let rules: Vec<_> = rules.filter_map(|checked| findings.take_part(checked)).collect();
    findings.finish(otherwise.map(|otherwise| {
        let rules = Arc::new(poplin_bgp::RouteMap { rules, otherwise });
        RouteMap { name, rules }
    }))
}

/// Checks the names of the route maps for both directions; an empty one names none.
pub(super) fn named(findings: &mut Findings, [import, export]: [(&str, &String); 2]) -> RouteMaps {
    let mut one = |(field, text): (&str, &String)| {
        let name = Some(text).filter(|text| !text.is_empty())?;
        findings.take(object_name(field, name).map(|()| RouteMapName::new(name.clone())))
    };
    RouteMaps { import: one(import), export: one(export) }
}

fn rule(field: &str, rule: &v1::RouteRule) -> Result<RouteRule, Invalids> {
    let mut findings = Findings::default();
    let words = [("accept", Verdict::Accept), ("reject", Verdict::Reject)];
    let verdict = findings.take(word(&format!("{field}.action"), &rule.action, &words));
    let when = rule.when.as_ref().map(|when| condition(&format!("{field}.when"), when));
    let when = findings.take_part(when.transpose()).map(Option::unwrap_or_default);
    let change = rule.set.as_ref().map(|set| change(&format!("{field}.set"), set));
    let change = findings.take_part(change.transpose()).map(Option::unwrap_or_default);
    if verdict == Some(Verdict::Reject) && rule.set.is_some() {
        let message = "what is rejected cannot be changed";
        findings.add(Invalid::new(format!("{field}.set"), "WITHOUT_EFFECT", message).advice("leave it out, or accept"));
    }
    findings.finish(verdict.zip(when).zip(change).map(|((verdict, when), change)| RouteRule { when, verdict, change }))
}

fn condition(field: &str, when: &v1::RouteMatch) -> Result<RouteCondition, Invalids> {
    let mut findings = Findings::default();
    let prefixes: Prefixes =
        findings.take_all(each(field, "prefixes", &when.prefixes, prefix_range)).into_iter().collect();
    let communities = findings.take_all(each(field, "communities", &when.communities, community));
    let neighbours = findings.take_all(each(field, "neighbours", &when.neighbours, neighbour));
    let words = [("igp", Origin::Igp), ("egp", Origin::Egp), ("incomplete", Origin::Incomplete)];
    let origins = findings.take_all(each(field, "origins", &when.origins, |field, text| word(field, text, &words)));
    let family = findings.take(when.ip_version.map(|version| family(field, version)).transpose());
    let path = findings.take_part(path(field, when));
    findings.finish(family.zip(path).map(|(family, path)| RouteCondition {
        prefixes,
        family,
        communities,
        path,
        origins,
        neighbours,
    }))
}

/// Checks each entry of a list under its own name.
fn each<'a, T>(
    field: &str,
    list: &str,
    texts: &'a [String],
    check: impl Fn(&str, &str) -> Result<T, Invalid> + 'a,
) -> impl Iterator<Item = Result<T, Invalid>> + 'a {
    let field = format!("{field}.{list}");
    texts.iter().enumerate().map(move |(index, text)| check(&format!("{field}[{index}]"), text))
}

fn prefix_range(field: &str, text: &str) -> Result<PrefixRange, Invalid> {
    text.parse().map_err(|error: BadPrefixRange| {
        Invalid::new(field, "BAD_PREFIX", error.to_string()).advice(BadPrefixRange::ADVICE)
    })
}

fn community<T: FromStr<Err = NotACommunity>>(field: &str, text: &str) -> Result<T, Invalid> {
    text.parse().map_err(|error: NotACommunity| {
        Invalid::new(field, "BAD_COMMUNITY", error.to_string()).advice(NotACommunity::ADVICE)
    })
}

/// An address means itself alone.
fn neighbour(field: &str, text: &str) -> Result<IpNet, Invalid> {
    let address = text.parse().map(|address: std::net::IpAddr| IpNet::from(address));
    address.or_else(|_| text.parse()).map_err(|_| {
        Invalid::new(field, "BAD_ADDRESS", format!("{text:?} is neither an address nor a prefix"))
            .advice("write 192.0.2.1 or 192.0.2.0/24; peers are shown by `poplin get peers`")
    })
}

fn family(field: &str, version: u32) -> Result<Family, Invalid> {
    match version {
        4 => Ok(Family::Ipv4),
        6 => Ok(Family::Ipv6),
        _ => Err(Invalid::new(format!("{field}.ipVersion"), "OUT_OF_RANGE", format!("{version} is neither 4 nor 6"))),
    }
}

fn path(field: &str, when: &v1::RouteMatch) -> Result<PathCondition, Invalids> {
    let mut findings = Findings::default();
    let mut numbers = |list: &str, numbers: &[u32]| -> Vec<Asn> {
        let checked = numbers.iter().enumerate();
        findings.take_all(checked.map(|(index, &number)| asn(&format!("{field}.{list}[{index}]"), number)))
    };
    let contains = numbers("pathContains", &when.path_contains);
    let neighbour = numbers("pathNeighbour", &when.path_neighbour);
    let origin = numbers("pathOrigin", &when.path_origin);
    let length = findings.take(path_length(field, when.path_at_least, when.path_at_most));
    findings.finish(length.map(|length| PathCondition { contains, neighbour, origin, length }))
}

fn path_length(field: &str, least: Option<u32>, most: Option<u32>) -> Result<Option<RangeInclusive<usize>>, Invalid> {
    if (least, most) == (None, None) {
        return Ok(None);
    }
    let least = within(&format!("{field}.pathAtLeast"), least.unwrap_or(0), 0, LONGEST_PATH, "")?;
    let most = within(&format!("{field}.pathAtMost"), most.unwrap_or(LONGEST_PATH), least, LONGEST_PATH, "")?;
    let size = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    Ok(Some(size(least)..=size(most)))
}

fn change(field: &str, set: &v1::RouteSet) -> Result<RouteChange, Invalids> {
    let mut findings = Findings::default();
    let communities = findings.take_part(community_change(field, set));
    let med = findings.take(med(field, set));
    let prepend = findings.take(within(&format!("{field}.prepend"), set.prepend, 0, MOST_PREPENDED, " times"));
    let prepend = prepend.and_then(|times| u8::try_from(times).ok());
    let words = [("", NextHop::Usual), ("self", NextHop::Itself), ("keep", NextHop::Keep)];
    let next_hop = findings.take(word(&format!("{field}.nextHop"), &set.next_hop, &words));
    let local_pref = set.local_pref;
    let checked = communities.zip(med).zip(prepend).zip(next_hop);
    findings.finish(checked.map(|(((communities, med), prepend), next_hop)| RouteChange {
        local_pref,
        med,
        communities,
        prepend,
        next_hop,
    }))
}

fn med(field: &str, set: &v1::RouteSet) -> Result<MedChange, Invalid> {
    match (set.med, set.remove_med) {
        (None, false) => Ok(MedChange::Keep),
        (None, true) => Ok(MedChange::Remove),
        (Some(med), false) => Ok(MedChange::Set(med)),
        (Some(_), true) => {
            Err(Invalid::new(format!("{field}.removeMed"), "CONTRADICTION", "the MED is set and removed")
                .advice("leave one of the two out"))
        }
    }
}

fn community_change(field: &str, set: &v1::RouteSet) -> Result<CommunityChange, Invalids> {
    let mut findings = Findings::default();
    let (replaced, is_none) = match &set.communities[..] {
        [none] if none == "none" => (&[][..], true),
        list => (list, false),
    };
    let clear = is_none || !replaced.is_empty();
    let mut add: Vec<AnyCommunity> = findings.take_all(each(field, "communities", replaced, community));
    add.extend(findings.take_all(each(field, "addCommunities", &set.add_communities, community::<AnyCommunity>)));
    let remove = each(field, "removeCommunities", &set.remove_communities, community::<CommunityPattern>);
    let remove = findings.take_all(remove);
    findings.finish(Some(CommunityChange { clear, remove, add }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use poplin_proto::v1::Resource;
    use poplin_proto::v1::resource::Object;

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
        assert_eq!(
            (second.change.local_pref, second.change.med, second.change.prepend),
            (Some(200), MedChange::Set(5), 2)
        );
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

        let fields: Vec<_> =
            invalids.iter().map(|invalid| invalid.field.trim_start_matches("spec.rules[0].")).collect();
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
}
