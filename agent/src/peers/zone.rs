//! Links by their names, as neighbours are known, and by their indexes, as sockets want them.
//!
//! In: any socket, as the kernel answers through one, and an address. Out: the same address in the other form. RFC 4007 §6: an index means
//! something on this host only, and not beyond the life of an interface, so it is looked up anew each time.

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::fd::AsFd;

use poplin_bgp::{Address, Zone};
use rustix::net::netdevice::{index_to_name, name_to_index};

/// Where a socket connects to.
pub(super) fn socket_address(socket: &impl AsFd, address: Address, port: u16) -> io::Result<SocketAddr> {
    match (address.ip(), address.zone()) {
        (IpAddr::V6(ip), Some(zone)) => {
            let missing =
                |error| io::Error::new(io::Error::from(error).kind(), format!("there is no interface {zone}"));
            let index = name_to_index(socket, zone.as_str()).map_err(missing)?;
            Ok(SocketAddrV6::new(ip, port, 0, index).into())
        }
        (ip, _) => Ok(SocketAddr::from((ip, port))),
    }
}

/// Whom a socket has to do with. A link that is gone by now has no name any more.
pub(super) fn address_of(socket: &impl AsFd, far: SocketAddr) -> Address {
    let index = match far {
        SocketAddr::V4(_) => 0,
        SocketAddr::V6(far) => far.scope_id(),
    };
    let name = if index == 0 { None } else { index_to_name(socket, index).ok() };
    Address::new(far.ip(), name.and_then(|name| Zone::new(&name)))
}
