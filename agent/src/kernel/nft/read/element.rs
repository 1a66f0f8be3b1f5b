//! Reads the elements of sets and maps, and pairs the ends of ranges again.
//!
//! In: what a set is, and messages that list elements. Out: elements, or nothing if one of them is none of ours.
//! Rules: those of the writer. A range is two elements; where it has ended is flagged, and a range up to the greatest key has no end.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use poplin_policy::ruleset::{Element, Form, MapElements, Name};

use super::data;
use super::set::{Leads, Shape};
use crate::kernel::nft::data::{Key, octets_of};
use crate::kernel::nft::element::{
    NFT_SET_ELEM_INTERVAL_END, NFTA_SET_ELEM_DATA, NFTA_SET_ELEM_FLAGS, NFTA_SET_ELEM_KEY, NFTA_SET_ELEM_LIST_ELEMENTS,
    NFTA_SET_ELEM_OBJREF,
};
use crate::kernel::wire::{attribute, attributes, be32_at, text};

const NFTA_SET_ELEM_USERDATA: u16 = 6;
const NFTA_SET_ELEM_PAD: u16 = 8;

/// One element as the kernel has it, and what follows its key.
struct Point<'a> {
    key: &'a [u8],
    ends_range: bool,
    body: &'a [u8],
}

/// The elements of a set or map, each with the attributes that say whereto it leads.
pub(super) struct Found<'a>(Vec<(Element, &'a [u8])>);

impl<'a> Found<'a> {
    /// The elements that some messages list.
    pub(super) fn read(shape: &Shape, lists: &[&'a [u8]]) -> Option<Self> {
        let mut points = points(lists)?;
        match shape.form {
            Form::Hash => points.iter().map(|point| single(shape, point)).collect::<Option<_>>().map(Self),
            Form::Interval => {
                points.sort_unstable_by_key(|point| (point.key, !point.ends_range));
                paired(shape, &points).map(Self)
            }
        }
    }

    /// How many there are. One that the kernel moved while it told of it may be told twice, and hide another that was missed.
    pub(super) fn count(&self) -> usize {
        self.0.iter().map(|(element, _)| element).collect::<BTreeSet<_>>().len()
    }

    /// The elements of a set.
    pub(super) fn elements(self) -> impl Iterator<Item = Element> {
        self.0.into_iter().map(|(element, _)| element)
    }

    /// The elements of a map; nothing of a set.
    pub(super) fn map(self, leads: Leads) -> Option<MapElements> {
        match leads {
            Leads::Nowhere => None,
            Leads::ToIds => self.each(|value| data::id(data::value(value)?), NFTA_SET_ELEM_DATA).map(MapElements::Ids),
            Leads::ToVerdicts => self.each(data::verdict, NFTA_SET_ELEM_DATA).map(MapElements::Verdicts),
            Leads::ToSockets4 => {
                self.each(|value| socket4(data::value(value)?), NFTA_SET_ELEM_DATA).map(MapElements::Sockets4)
            }
            Leads::ToSockets6 => {
                self.each(|value| socket6(data::value(value)?), NFTA_SET_ELEM_DATA).map(MapElements::Sockets6)
            }
            Leads::ToAddresses4 => {
                self.each(|value| address4(data::value(value)?), NFTA_SET_ELEM_DATA).map(MapElements::Addresses4)
            }
            Leads::ToAddresses6 => {
                self.each(|value| address6(data::value(value)?), NFTA_SET_ELEM_DATA).map(MapElements::Addresses6)
            }
            Leads::ToCounters => {
                self.each(|value| Name::parse(text(value)?), NFTA_SET_ELEM_OBJREF).map(MapElements::Counters)
            }
        }
    }

    fn each<V>(self, read: impl Fn(&[u8]) -> Option<V>, kind: u16) -> Option<BTreeMap<Element, V>> {
        self.0.into_iter().map(|(element, body)| Some((element, read(attribute(body, kind)?)?))).collect()
    }
}

fn socket4(octets: &[u8]) -> Option<SocketAddrV4> {
    match data::socket(octets)? {
        SocketAddr::V4(socket) => Some(socket),
        SocketAddr::V6(_) => None,
    }
}

fn socket6(octets: &[u8]) -> Option<SocketAddrV6> {
    match data::socket(octets)? {
        SocketAddr::V6(socket) => Some(socket),
        SocketAddr::V4(_) => None,
    }
}

fn address4(octets: &[u8]) -> Option<Ipv4Addr> {
    match data::address(octets)? {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

fn address6(octets: &[u8]) -> Option<Ipv6Addr> {
    match data::address(octets)? {
        IpAddr::V6(address) => Some(address),
        IpAddr::V4(_) => None,
    }
}

fn points<'a>(lists: &[&'a [u8]]) -> Option<Vec<Point<'a>>> {
    let elements = lists.iter().filter_map(|list| attribute(list, NFTA_SET_ELEM_LIST_ELEMENTS));
    elements.flat_map(attributes).map(|(_, body)| point(body)).collect()
}

/// An element that does no more than to be there, and perhaps to lead somewhere. What nft notes beside it does not matter.
fn point(body: &[u8]) -> Option<Point<'_>> {
    const KNOWN: [u16; 6] = [
        NFTA_SET_ELEM_KEY,
        NFTA_SET_ELEM_DATA,
        NFTA_SET_ELEM_FLAGS,
        NFTA_SET_ELEM_USERDATA,
        NFTA_SET_ELEM_PAD,
        NFTA_SET_ELEM_OBJREF,
    ];
    let flags = attribute(body, NFTA_SET_ELEM_FLAGS).map_or(Some(0), |flags| be32_at(flags, 0))?;
    let is_plain = attributes(body).all(|(kind, _)| KNOWN.contains(&kind)) && flags & !NFT_SET_ELEM_INTERVAL_END == 0;
    let key = attribute(body, NFTA_SET_ELEM_KEY).and_then(data::value).filter(|_| is_plain)?;
    Some(Point { key, ends_range: flags != 0, body })
}

fn single<'a>(shape: &Shape, point: &Point<'a>) -> Option<(Element, &'a [u8])> {
    let atoms = data::key(&shape.key, point.key).filter(|_| !point.ends_range)?;
    Some((Element::exactly(atoms), point.body))
}

/// Ranges from points in order, ends before starts. An end that ends nothing is nft's, which has one stand before the first range.
fn paired<'a>(shape: &Shape, points: &[Point<'a>]) -> Option<Vec<(Element, &'a [u8])>> {
    let mut ranges = Vec::with_capacity(points.len() / 2);
    let mut open: Option<&Point<'a>> = None;
    for point in points {
        match (open.take(), point.ends_range) {
            (Some(start), true) => ranges.push(range(shape, start, &data::predecessor(point.key)?)?),
            (None, true) => {}
            (None, false) => open = Some(point),
            (Some(_), false) => return None,
        }
    }
    if let Some(start) = open {
        ranges.push(range(shape, start, &greatest(shape))?);
    }
    Some(ranges)
}

fn range<'a>(shape: &Shape, start: &Point<'a>, last: &[u8]) -> Option<(Element, &'a [u8])> {
    let [part] = shape.key[..] else { return None };
    let (low, high) = (data::atom(part, start.key)?, data::atom(part, last)?);
    Some((Element::range(low, high), start.body))
}

fn greatest(shape: &Shape) -> Key {
    vec![u8::MAX; shape.key.iter().map(|part| octets_of(*part)).sum()]
}
