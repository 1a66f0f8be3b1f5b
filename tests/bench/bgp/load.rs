//! What the sender has to say, put into octets before any clock runs.
//!
//! A fabric's table: each block of 64 addresses is a prefix, and 32 of them stand behind one host, which is one next hop and one set of
//! attributes. Beside them stand marks, prefixes by whose coming out it shows that all before them was taken in.

use std::net::Ipv4Addr;

use ipnet::{IpNet, Ipv4Net};
use poplin_bgp::wire::{AsPath, Attributes, Community, Dialect, Origin, PathFamilies, pack_reach, pack_unreach};
use poplin_bgp::wire::{Family, Nlri};

use crate::bed::ASN;

/// Where marks are, and nothing else.
pub(crate) const MARKS: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(198, 51, 100, 0), 24);

/// Prefixes that share their attributes.
const SHARED: u32 = 32;

/// Between internal neighbours that know four-octet AS numbers.
const DIALECT: Dialect = Dialect {
    four_octets: true,
    external: false,
    ids_in: PathFamilies { ipv4: false, ipv6: false },
    ids_out: PathFamilies { ipv4: false, ipv6: false },
    mixed_in: false,
    long_in: false,
    long_out: false,
};

/// A table of so many prefixes, as one stream of messages.
pub(crate) fn table(prefixes: u32) -> Vec<u8> {
    told(prefixes, host)
}

/// The same as a switch tells it: all of it is behind one next hop.
pub(crate) fn table_by(prefixes: u32, next_hop: Ipv4Addr) -> Vec<u8> {
    told(prefixes, |_| next_hop)
}

fn told(prefixes: u32, next_hop: impl Fn(u32) -> Ipv4Addr) -> Vec<u8> {
    let groups = (0..prefixes).step_by(SHARED as usize);
    let messages = groups.flat_map(|first| {
        let group = first / SHARED;
        let blocks = (first..prefixes.min(first + SHARED)).map(block);
        pack_reach(&attributes(group), next_hop(group), blocks, DIALECT)
    });
    messages.flatten().collect()
}

/// A mark comes.
pub(crate) fn announce(number: u8) -> Vec<u8> {
    pack_reach(&attributes(0), host(0), [mark(number)], DIALECT).concat()
}

/// A mark goes.
pub(crate) fn withdraw(number: u8) -> Vec<u8> {
    pack_unreach(Family::Ipv4, [mark(number)], DIALECT).concat()
}

fn mark(number: u8) -> Nlri {
    let [a, b, c, _] = MARKS.addr().octets();
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, number), 32)).into()
}

/// Blocks from 16.0.0.0 on.
fn block(number: u32) -> Nlri {
    IpNet::V4(Ipv4Net::new_assert(address(number), 26)).into()
}

/// The first address of a block.
pub(crate) fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x1000_0000 + number * 64)
}

/// On the link, so that a kernel takes it as a gateway.
fn host(group: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(172, 30, 128, 1).to_bits() + group % 0x7f00)
}

fn attributes(group: u32) -> Attributes {
    Attributes {
        local_pref: Some(100),
        communities: vec![Community(ASN << 16 | group & 0xffff)],
        ..Attributes::new(Origin::Igp, AsPath::default())
    }
}
