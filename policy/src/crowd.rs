//! Some addresses, told so that people know who is meant.
//!
//! In: classes of a chart. Out: the endpoints and the prefixes in them, and a title: names where they are few, a label that says
//! exactly them where there is one, how many they are and what they share where there is none.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::Endpoint;
use crate::region::{Bits, Chart, address, prefixes};
use crate::world::World;

/// Endpoints told one by one at most; more are told by what they share.
const FEW_ENDPOINTS: usize = 3;
/// Prefixes told one by one at most.
const FEW_NETS: usize = 6;

/// A set of addresses of one family, or of both.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Crowd {
    /// Endpoints, by name.
    pub endpoints: BTreeSet<String>,
    /// The addresses of those endpoints that are meant.
    pub addresses: BTreeSet<IpAddr>,
    /// Prefixes; meant are those of their addresses that no endpoint has.
    pub outside: Vec<IpNet>,
    /// The words for the endpoints, and for the prefixes; empty where there are none.
    titles: [String; 2],
}

/// All endpoints of some worlds, and how many carry each label. Of endpoints that are in several worlds the last counts.
#[derive(Debug)]
pub(crate) struct Census<'w> {
    worlds: Vec<&'w World>,
    endpoints: BTreeMap<&'w str, &'w Endpoint>,
    carriers: BTreeMap<Mark<'w>, usize>,
}

/// Something endpoints can have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mark<'w> {
    Label(&'w str, &'w str),
    Namespace(&'w str),
}

impl<'w> Census<'w> {
    pub(crate) fn of(worlds: &[&'w World]) -> Self {
        let all = worlds.iter().flat_map(|world| &world.endpoints);
        let endpoints: BTreeMap<&str, &Endpoint> = all.map(|(name, endpoint)| (name.as_str(), endpoint)).collect();
        let mut carriers: BTreeMap<Mark<'w>, usize> = BTreeMap::new();
        for mark in endpoints.values().flat_map(|endpoint| marks(endpoint)) {
            *carriers.entry(mark).or_default() += 1;
        }
        Self { worlds: worlds.to_vec(), endpoints, carriers }
    }

    /// What all the named share, and how many endpoints have it in all; the rarest first.
    fn shared(&self, names: &BTreeSet<String>) -> Vec<(Mark<'w>, usize)> {
        let named = || names.iter().filter_map(|name| self.endpoints.get(name.as_str()));
        let Some(one) = named().next() else { return Vec::new() };
        let has = |mark: &Mark<'_>, endpoint: &Endpoint| match mark {
            Mark::Label(key, value) => endpoint.labels.get(key) == Some(value),
            Mark::Namespace(namespace) => endpoint.namespace.as_deref() == Some(namespace),
        };
        let of_all = marks(one).filter(|mark| named().all(|endpoint| has(mark, endpoint)));
        let mut shared: Vec<_> = of_all.map(|mark| (mark, self.carriers[&mark])).collect();
        shared.sort_by_key(|(_, carriers)| *carriers);
        shared
    }
}

fn marks(endpoint: &Endpoint) -> impl Iterator<Item = Mark<'_>> {
    let labels = endpoint.labels.iter().map(|(key, value)| Mark::Label(key, value));
    labels.chain(endpoint.namespace.as_deref().map(Mark::Namespace))
}

impl fmt::Display for Mark<'_> {
    /// In the words of selectors.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mark::Label(key, value) => write!(out, "{key} == '{value}'"),
            Mark::Namespace(namespace) => write!(out, "namespace {namespace}"),
        }
    }
}

impl Crowd {
    /// Whether an address is meant; the caller knows whether an endpoint has it.
    pub fn contains(&self, address: IpAddr, is_endpoint: bool) -> bool {
        match is_endpoint {
            true => self.addresses.contains(&address),
            false => self.outside.iter().any(|net| net.contains(&address)),
        }
    }

    /// Tells classes of a chart.
    pub(crate) fn of(chart: &Chart<'_>, classes: &[usize], census: &Census<'_>) -> Self {
        let mut crowd = Self::default();
        let points = || classes.iter().flat_map(|class| &chart.classes[*class].points);
        crowd
            .endpoints
            .extend(points().filter_map(|point| point.names.iter().flatten().last()).map(|s| (*s).to_owned()));
        crowd.addresses.extend(points().map(|point| point.address));
        crowd.outside = outside(chart, classes);
        crowd.titles =
            [endpoint_title(&crowd, chart, census), outside_title(&crowd.outside, chart, classes, &census.worlds)];
        crowd
    }

    /// The same people over another family; nothing if they are others.
    pub(crate) fn with_family(&self, other: &Self) -> Option<Self> {
        let is_same = self.endpoints == other.endpoints && self.outside.is_empty() == other.outside.is_empty();
        is_same.then(|| Self {
            endpoints: self.endpoints.clone(),
            addresses: self.addresses.union(&other.addresses).copied().collect(),
            outside: self.outside.iter().chain(&other.outside).copied().collect(),
            titles: [self.titles[0].clone(), either(&self.titles[1], &other.titles[1])],
        })
    }
}

fn either(one: &str, other: &str) -> String {
    if one == other { one.to_owned() } else { format!("{one}, {other}") }
}

impl fmt::Display for Crowd {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let titles: Vec<&str> = self.titles.iter().map(String::as_str).filter(|title| !title.is_empty()).collect();
        out.write_str(&titles.join(", "))
    }
}

/// The classes' intervals as few prefixes; what lies between two of them and is all endpoints' joins them.
fn outside(chart: &Chart<'_>, classes: &[usize]) -> Vec<IpNet> {
    let wanted: BTreeSet<usize> = classes.iter().flat_map(|class| &chart.classes[*class].intervals).copied().collect();
    nets_where(chart, |interval| wanted.contains(&interval))
}

/// The prefixes of the intervals that are wanted. Intervals without a stranger in them belong to whoever is beside.
fn nets_where(chart: &Chart<'_>, is_wanted: impl Fn(usize) -> bool) -> Vec<IpNet> {
    let mut ranges: Vec<(u128, u128)> = Vec::new();
    let mut is_open = false;
    for interval in (0..chart.line.len()).filter(|interval| chart.has_strangers(*interval)) {
        let (low, high) = chart.line.bounds(interval);
        match ranges.last_mut() {
            Some(last) if is_wanted(interval) && is_open => last.1 = high,
            _ if is_wanted(interval) => ranges.push((low, high)),
            _ => {}
        }
        is_open = is_wanted(interval);
    }
    let version = chart.line.version();
    ranges.into_iter().flat_map(|(low, high)| prefixes((address(version, low), address(version, high)))).collect()
}

fn endpoint_title(crowd: &Crowd, chart: &Chart<'_>, census: &Census<'_>) -> String {
    let (names, count) = (&crowd.endpoints, crowd.endpoints.len());
    if count <= FEW_ENDPOINTS {
        return names.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    }
    let of_family = chart.classes.iter().map(|class| class.points.len()).sum::<usize>();
    if crowd.addresses.len() == of_family {
        return "every endpoint".to_owned();
    }
    let shared = census.shared(names);
    match shared.iter().find(|(_, carriers)| *carriers == count) {
        Some((word, _)) => format!("{word} ({count} endpoints)"),
        None if shared.is_empty() => format!("{count} endpoints ({}, …)", first(names)),
        None => {
            let words: Vec<String> = shared.iter().map(|(word, _)| word.to_string()).take(3).collect();
            format!("{count} endpoints of {} ({}, …)", words.join(" && "), first(names))
        }
    }
}

fn first(names: &BTreeSet<String>) -> String {
    names.iter().take(2).cloned().collect::<Vec<_>>().join(", ")
}

fn outside_title(nets: &[IpNet], chart: &Chart<'_>, classes: &[usize], worlds: &[&World]) -> String {
    let covered: BTreeSet<usize> = classes.iter().flat_map(|class| &chart.classes[*class].intervals).copied().collect();
    let missing = nets_where(chart, |interval| !covered.contains(&interval));
    if nets.is_empty() {
        return String::new();
    }
    if missing.is_empty() {
        return "anywhere outside".to_owned();
    }
    if let Some(set) = same_set(chart, &covered, worlds) {
        return format!("set {set}");
    }
    match missing.len() < nets.len() {
        true => format!("anywhere outside but {}", listed(&missing)),
        false if holds_endpoints(chart, nets) => format!("{} but its endpoints", listed(nets)),
        false => listed(nets),
    }
}

fn holds_endpoints(chart: &Chart<'_>, nets: &[IpNet]) -> bool {
    let mut points = chart.classes.iter().flat_map(|class| &class.points);
    points.any(|point| nets.iter().any(|net| net.contains(&point.address)))
}

/// The address set that holds the same addresses outside of the fabric.
fn same_set(chart: &Chart<'_>, covered: &BTreeSet<usize>, worlds: &[&World]) -> Option<String> {
    let same = |held: &Bits| {
        (0..chart.line.len())
            .filter(|interval| chart.has_strangers(*interval))
            .all(|interval| held.contains(interval) == covered.contains(&interval))
    };
    let mut sets = worlds.iter().flat_map(|world| &world.sets);
    sets.find(|(_, set)| same(&chart.line.covered(&set.nets))).map(|(name, _)| name.to_string())
}

fn listed(nets: &[IpNet]) -> String {
    let mut text = nets.iter().take(FEW_NETS).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if nets.len() > FEW_NETS {
        text.push_str(&format!(" and {} prefixes more", nets.len() - FEW_NETS));
    }
    text
}
