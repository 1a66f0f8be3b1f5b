//! Classes of addresses of one family: those of a class are one to every rule of every world that is compared.
//!
//! In: books, and the endpoints of their worlds. Out: classes, and which class an address is of. Endpoints are points; every
//! other address lies in an interval that no prefix cuts.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::book::Book;
use super::line::{Line, address, number};
use super::view::{Side, View};
use crate::model::IpVersion;

/// The classes of one family.
#[derive(Debug)]
pub(crate) struct Chart<'w> {
    pub(crate) line: Line,
    pub(crate) classes: Vec<Class<'w>>,
    class_of_point: HashMap<u128, usize>,
    class_of_interval: Vec<Option<usize>>,
}

/// Addresses that are one to every rule: endpoints', or some outside of the fabric.
#[derive(Debug)]
pub(crate) struct Class<'w> {
    /// Addresses that an endpoint of some world has, in order.
    pub(crate) points: Vec<Point<'w>>,
    /// Intervals whose other addresses are of the class, in order.
    pub(crate) intervals: Vec<usize>,
    /// An address of the class that no endpoint has, if there is one.
    pub(crate) stranger: Option<IpAddr>,
    /// What each world says of it.
    pub(crate) sides: Vec<Side>,
}

/// An address, and whose it is in each world.
#[derive(Clone, Debug)]
pub(crate) struct Point<'w> {
    pub(crate) address: IpAddr,
    pub(crate) names: Vec<Option<&'w str>>,
}

type Points<'w> = BTreeMap<u128, Vec<Option<&'w str>>>;

impl<'w> Chart<'w> {
    pub(crate) fn of(version: IpVersion, books: &[Book<'w>]) -> Self {
        let line = Line::cut(version, books.iter().flat_map(nets));
        let views: Vec<View<'_, 'w>> = books.iter().map(|book| View::of(book, &line)).collect();
        let points = points(version, books);
        let mut classes = Classes::default();
        let mut class_of_point = HashMap::new();
        let mut sides = HashMap::new();
        for (number, names) in &points {
            let address = address(version, *number);
            let interval = line.interval_of(address);
            let kinds = kinds(books, names);
            let sides = sides.entry((kinds.clone(), interval)).or_insert_with(|| sides_of(&views, &kinds, interval));
            let class = classes.of(sides);
            classes.all[class].points.push(Point { address, names: names.clone() });
            class_of_point.insert(*number, class);
        }
        let class_of_interval = (0..line.len()).map(|interval| {
            let stranger = address(version, stranger(version, &points, line.bounds(interval))?);
            let class = classes.of(&sides_of(&views, &vec![None; books.len()], interval));
            let known = &mut classes.all[class];
            known.intervals.push(interval);
            known.stranger = known.stranger.filter(|old| !is_documentation(stranger) || is_documentation(*old));
            known.stranger.get_or_insert(stranger);
            Some(class)
        });
        let class_of_interval = class_of_interval.collect();
        Self { line, classes: classes.all, class_of_point, class_of_interval }
    }

    /// The class of an address of this family.
    pub(crate) fn class_of(&self, address: IpAddr) -> Option<usize> {
        let point = self.class_of_point.get(&number(address)).copied();
        point.or_else(|| self.class_of_interval[self.line.interval_of(address)])
    }

    /// Whether an interval holds an address that no endpoint has.
    pub(crate) fn has_strangers(&self, interval: usize) -> bool {
        self.class_of_interval[interval].is_some()
    }
}

impl Class<'_> {
    /// Two different addresses of it, if it has two to speak of: among strangers nobody is governed.
    pub(crate) fn pair(&self) -> Option<(IpAddr, IpAddr)> {
        let mut addresses = self.points.iter().map(|point| point.address).chain(self.stranger);
        addresses.next().zip(addresses.next())
    }

    /// Whether it is one endpoint's address and no other.
    pub(crate) fn is_one_address(&self) -> bool {
        self.points.len() == 1 && self.stranger.is_none()
    }

    /// One address of it, another than [`Class::sample`] if it has two to speak of.
    pub(crate) fn last(&self) -> Option<IpAddr> {
        self.stranger.or_else(|| self.points.last().map(|point| point.address))
    }

    /// One address of it.
    pub(crate) fn sample(&self) -> Option<IpAddr> {
        self.points.first().map(|point| point.address).or(self.stranger)
    }
}

#[derive(Default)]
struct Classes<'w> {
    all: Vec<Class<'w>>,
    places: HashMap<Vec<Side>, usize>,
}

impl Classes<'_> {
    fn of(&mut self, sides: &[Side]) -> usize {
        if let Some(place) = self.places.get(sides) {
            return *place;
        }
        self.all.push(Class { points: Vec::new(), intervals: Vec::new(), stranger: None, sides: sides.to_vec() });
        self.places.insert(sides.to_vec(), self.all.len() - 1);
        self.all.len() - 1
    }
}

/// Every prefix that anything in a book speaks of; the address of a host whose ports have names is one of its own.
fn nets(book: &Book<'_>) -> impl Iterator<Item = IpNet> {
    let sets = book.world.sets.values().flat_map(|set| &set.nets);
    let spoken = sets.chain(book.peers.iter().flat_map(|peers| peers.nets.iter().chain(&peers.not_nets)));
    let hosts = book.host_ports.iter().map(|(address, _)| IpNet::from(*address));
    spoken.copied().chain(hosts)
}

/// The addresses endpoints have; where two of a world have one, the first by name counts.
fn points<'w>(version: IpVersion, books: &[Book<'w>]) -> Points<'w> {
    let mut points = Points::new();
    for (place, book) in books.iter().enumerate() {
        for (name, endpoint) in &book.world.endpoints {
            for address in endpoint.addresses.iter().filter(|address| IpVersion::of(**address) == version) {
                let names = points.entry(number(*address)).or_insert_with(|| vec![None; books.len()]);
                names[place].get_or_insert(name);
            }
        }
    }
    points
}

fn kinds(books: &[Book<'_>], names: &[Option<&str>]) -> Vec<Option<usize>> {
    books.iter().zip(names).map(|(book, name)| book.kind_of((*name)?)).collect()
}

fn sides_of(views: &[View<'_, '_>], kinds: &[Option<usize>], interval: usize) -> Vec<Side> {
    views.iter().zip(kinds).map(|(view, kind)| view.side(*kind, interval)).collect()
}

/// Addresses that stand for any address (RFC 5737, RFC 3849): an example should not look like somebody's own.
const DOCUMENTATION: [IpAddr; 4] = [
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1)),
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];

fn is_documentation(address: IpAddr) -> bool {
    DOCUMENTATION.contains(&address)
}

/// A number within the bounds that is no point: one that is made for examples, or the lowest but the first, or the first.
fn stranger(version: IpVersion, points: &Points<'_>, (low, high): (u128, u128)) -> Option<u128> {
    let is_free = |number: &u128| (low..=high).contains(number) && !points.contains_key(number);
    let of_family = DOCUMENTATION.into_iter().filter(|address| IpVersion::of(*address) == version);
    let made = of_family.map(number).find(is_free);
    let second = || low.checked_add(1).filter(is_free);
    made.or_else(second).or_else(|| first_free(points, low, high))
}

fn first_free(points: &Points<'_>, low: u128, high: u128) -> Option<u128> {
    let mut free = low;
    for number in points.range(low..=high).map(|(number, _)| *number) {
        if number != free {
            break;
        }
        free = number.checked_add(1)?;
    }
    (free <= high).then_some(free)
}
