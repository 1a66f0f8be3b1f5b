//! Puts elements into sets and maps, and takes them out.
//!
//! In: elements. Out: messages, as many as their number needs. Knows nothing of how a set came to be.
//! Header: linux/netfilter/nf_tables.h, `enum nft_set_elem_attributes`. A range is two elements: where it starts, and, flagged, where it
//! has ended; a range up to the greatest key has no end.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use poplin_policy::ruleset::{Atom, Element, Form, MapElements, Name, Set};

use super::super::wire::{NLM_F_CREATE, NLM_F_EXCL, Writer};
use super::batch::Batch;
use super::data;
use super::number::NFTA_LIST_ELEM;

const NFT_MSG_NEWSETELEM: u8 = 12;
const NFT_MSG_DELSETELEM: u8 = 14;

pub(super) const NFTA_SET_ELEM_LIST_SET: u16 = 2;
pub(super) const NFTA_SET_ELEM_LIST_ELEMENTS: u16 = 3;
pub(super) const NFTA_SET_ELEM_KEY: u16 = 1;
pub(super) const NFTA_SET_ELEM_DATA: u16 = 2;
pub(super) const NFTA_SET_ELEM_FLAGS: u16 = 3;
pub(super) const NFTA_SET_ELEM_OBJREF: u16 = 9;
pub(super) const NFT_SET_ELEM_INTERVAL_END: u32 = 0x1;

/// After so many octets of elements a new message begins: the list is one attribute, whose length has 16 bits, and the longest element
/// (a key of 64 octets, a verdict with a chain's name) is far below 1 KiB.
const LIST_OCTETS: usize = 63 << 10;

/// Adds elements to a set; one that is there already is an error.
pub(super) fn add<'a>(batch: &mut Batch, name: &Name, set: &Set, elements: impl IntoIterator<Item = &'a Element>) {
    let points = elements.into_iter().flat_map(|element| points(set.form, element));
    write(batch, NFT_MSG_NEWSETELEM, name, points, put_point);
}

/// Removes elements from a set; one that is not there is an error.
pub(super) fn remove<'a>(batch: &mut Batch, name: &Name, set: &Set, elements: impl IntoIterator<Item = &'a Element>) {
    let points = elements.into_iter().flat_map(|element| points(set.form, element));
    write(batch, NFT_MSG_DELSETELEM, name, points, put_point);
}

/// Adds elements to a map; a key that is there already is an error.
pub(super) fn add_to_map(batch: &mut Batch, name: &Name, form: Form, elements: &MapElements) {
    write_map(batch, NFT_MSG_NEWSETELEM, name, form, elements);
}

/// Removes elements from a map; a key that is not there is an error. The kernel looks at keys alone.
pub(super) fn remove_from_map(batch: &mut Batch, name: &Name, form: Form, elements: &MapElements) {
    write_map(batch, NFT_MSG_DELSETELEM, name, form, elements);
}

/// One element as the kernel has it.
struct Point {
    key: data::Key,
    ends_range: bool,
}

fn points(form: Form, element: &Element) -> impl Iterator<Item = Point> {
    let start = Point { key: data::key(element.low.atoms()), ends_range: false };
    let end = match form {
        Form::Hash => None,
        Form::Interval => {
            data::successor(&data::key(element.last().atoms())).map(|key| Point { key, ends_range: true })
        }
    };
    [start].into_iter().chain(end)
}

fn put_point(out: &mut Writer, point: &Point) {
    data::put_value(out, NFTA_SET_ELEM_KEY, &point.key);
    if point.ends_range {
        out.put_be32(NFTA_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END);
    }
}

fn write_map(batch: &mut Batch, kind: u8, name: &Name, form: Form, elements: &MapElements) {
    match elements {
        MapElements::Ids(ids) => write(batch, kind, name, keyed(form, ids), |out, (point, id)| {
            put_point(out, point);
            if !point.ends_range {
                data::put_value(out, NFTA_SET_ELEM_DATA, &data::id(**id));
            }
        }),
        MapElements::Verdicts(verdicts) => write(batch, kind, name, keyed(form, verdicts), |out, (point, verdict)| {
            put_point(out, point);
            if !point.ends_range {
                data::put_verdict(out, NFTA_SET_ELEM_DATA, verdict);
            }
        }),
        MapElements::Sockets4(sockets) => write(batch, kind, name, keyed(form, sockets), |out, (point, socket)| {
            put_socket(out, point, SocketAddr::V4(**socket));
        }),
        MapElements::Sockets6(sockets) => write(batch, kind, name, keyed(form, sockets), |out, (point, socket)| {
            put_socket(out, point, SocketAddr::V6(**socket));
        }),
        MapElements::Addresses4(all) => write(batch, kind, name, keyed(form, all), |out, (point, address)| {
            put_address(out, point, Atom::Address4(**address));
        }),
        MapElements::Addresses6(all) => write(batch, kind, name, keyed(form, all), |out, (point, address)| {
            put_address(out, point, Atom::Address6(**address));
        }),
        MapElements::Counters(counters) => write(batch, kind, name, keyed(form, counters), |out, (point, counter)| {
            put_point(out, point);
            if !point.ends_range {
                out.put_text(NFTA_SET_ELEM_OBJREF, counter.as_str());
            }
        }),
    }
}

fn put_socket(out: &mut Writer, point: &Point, socket: SocketAddr) {
    put_point(out, point);
    if !point.ends_range {
        data::put_value(out, NFTA_SET_ELEM_DATA, &data::socket(socket));
    }
}

fn put_address(out: &mut Writer, point: &Point, address: Atom) {
    put_point(out, point);
    if !point.ends_range {
        data::put_value(out, NFTA_SET_ELEM_DATA, &data::atom(&address));
    }
}

/// The points of a map's elements, each with what it leads to; the end of a range leads nowhere.
fn keyed<V>(form: Form, elements: &BTreeMap<Element, V>) -> impl Iterator<Item = (Point, &V)> {
    elements.iter().flat_map(move |(element, value)| points(form, element).map(move |point| (point, value)))
}

/// Writes a list of elements as messages none of which is too long.
fn write<T>(
    batch: &mut Batch,
    kind: u8,
    name: &Name,
    elements: impl Iterator<Item = T>,
    put: impl Fn(&mut Writer, &T),
) {
    let mut elements = elements.peekable();
    while elements.peek().is_some() {
        batch.add(kind, NLM_F_CREATE | NLM_F_EXCL, |out| {
            out.put_text(NFTA_SET_ELEM_LIST_SET, name.as_str());
            out.nest(NFTA_SET_ELEM_LIST_ELEMENTS, |out| {
                let start = out.octets().len();
                while out.octets().len() - start < LIST_OCTETS
                    && let Some(element) = elements.next()
                {
                    out.nest(NFTA_LIST_ELEM, |out| put(out, &element));
                }
            });
        });
    }
}
