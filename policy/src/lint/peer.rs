//! What a rule may have wrong about its ends.

use ipnet::IpNet;

use super::{Code, Finding, Severity, Sight};
use crate::model::{Direction, IpVersion, Peers, Scope, Selection};
use crate::selector::Selector;
use crate::world::World;

pub(super) fn form(world: &World, sight: &Sight<'_>) -> Vec<Finding> {
    let peers = sight.rule.peers(sight.direction);
    let mut findings: Vec<Finding> = [peers, sight.rule.own(sight.direction)]
        .into_iter()
        .flat_map(|peers| missing_sets(world, sight, peers))
        .collect();
    findings.extend(all_is_not_anybody(sight, peers));
    findings.extend(not_select_alone(sight, peers));
    findings.extend(one_family(world, sight, peers));
    findings
}

/// The key of the other end, as documents spell it.
fn key(sight: &Sight<'_>) -> &'static str {
    match sight.direction {
        Direction::Ingress => "from",
        Direction::Egress => "to",
    }
}

fn missing_sets<'f>(world: &'f World, sight: &'f Sight<'f>, peers: &'f Peers) -> impl Iterator<Item = Finding> + 'f {
    peers.sets.iter().filter(|name| !world.sets.contains_key(*name)).map(move |name| {
        let known: Vec<String> = world.sets.keys().map(ToString::to_string).collect();
        let advice = match crate::spelling::nearest(&name.to_string(), known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean {near}?"),
            None => "declare it, or take it out of the rule".to_owned(),
        };
        let message = format!("there is no address set {name}, so it holds nothing");
        sight.place().finding(Severity::Error, Code::MissingSet, message, advice)
    })
}

/// People who come from Calico write `all()` for everybody, and shut strangers out.
fn all_is_not_anybody(sight: &Sight<'_>, peers: &Peers) -> Option<Finding> {
    let alone = Peers { select: Some(Selection::anywhere(Selector::all())), ..Peers::default() };
    (*peers == alone).then(|| {
        let key = key(sight);
        let message = format!("`{key}` with all() means endpoints and address sets only, no other address");
        let advice = format!("leave `{key}` out if anybody is meant; this is right if only known ones are");
        sight.place().finding(Severity::Note, Code::AllIsNotAnybody, message, advice)
    })
}

fn not_select_alone(sight: &Sight<'_>, peers: &Peers) -> Option<Finding> {
    let home = sight.policy.name.namespace()?;
    let within_home = Selection { labels: Selector::all(), scope: Scope::Namespace(home.to_owned()) };
    let is_alone = peers.not_select.is_some() && peers.select.as_ref() == Some(&within_home);
    is_alone.then(|| {
        let message = format!("notSelect alone reaches namespace {home} only: nobody outside of it fits");
        let advice = "add `namespaces: all()` for every namespace, or use notNets for the outside";
        sight.place().finding(Severity::Warning, Code::NotSelectAlone, message, advice)
    })
}

/// Prefixes of one family only, though the policy governs endpoints that have the other too.
fn one_family(world: &World, sight: &Sight<'_>, peers: &Peers) -> Option<Finding> {
    let has = |version: IpVersion| peers.nets.iter().any(|net: &IpNet| IpVersion::of(net.addr()) == version);
    let (present, missing) = match (has(IpVersion::V4), has(IpVersion::V6)) {
        (true, false) => (IpVersion::V4, IpVersion::V6),
        (false, true) => (IpVersion::V6, IpVersion::V4),
        (true, true) | (false, false) => return None,
    };
    let governed = world.endpoints.iter().filter(|(_, endpoint)| {
        let has_both = IpVersion::BOTH
            .iter()
            .all(|version| endpoint.addresses.iter().any(|address| IpVersion::of(*address) == *version));
        has_both && world.selects_endpoint(&sight.policy.subject, endpoint)
    });
    let (name, _) = governed.take(1).next().filter(|_| sight.rule.ip_version.is_none())?;
    let message =
        format!("its prefixes are {present} only, and it governs endpoints with {missing} too, such as {name}");
    let advice = format!("add the {missing} prefixes of the same networks, or `ipVersion` to say that it is meant");
    Some(sight.place().finding(Severity::Warning, Code::OneFamily, message, advice))
}
