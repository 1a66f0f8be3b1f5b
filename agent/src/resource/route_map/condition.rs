//! What a rule asks of a route.

use std::ops::RangeInclusive;

use ipnet::IpNet;
use poplin_bgp::wire::{Family, Origin};
use poplin_bgp::{Asn, BadPrefixRange, PathCondition, PrefixRange, Prefixes, RouteCondition};
use poplin_manifest::field::{Findings, Invalid, Invalids, within, word};
use poplin_proto::v1;

use super::super::host::asn;
use super::{community, each};

/// More no path of the real world has; a bound so that a number mistaken for an AS is found.
const LONGEST_PATH: u32 = 4096;

pub(super) fn condition(field: &str, when: &v1::RouteMatch) -> Result<RouteCondition, Invalids> {
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

fn prefix_range(field: &str, text: &str) -> Result<PrefixRange, Invalid> {
    text.parse().map_err(|error: BadPrefixRange| {
        Invalid::new(field, "BAD_PREFIX", error.to_string()).advice(BadPrefixRange::ADVICE)
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
