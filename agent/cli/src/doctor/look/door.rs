//! Calls at doors: whether somebody listens, refuses, or keeps silent.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::thread;
use std::time::Duration;

use crate::doctor::reading::{Door, Told};
use crate::status::is_established;

/// A lost SYN is repeated after one second.
const PATIENCE: Duration = Duration::from_millis(2_500);

const BGP_PORT: u16 = 179;

/// The doors of neighbours without a session, by address.
pub(super) fn of_neighbours(told: &Told) -> BTreeMap<String, Door> {
    let down = told.status.sessions.iter().filter(|session| !is_established(session) && !session.shut_down);
    let addresses = down.filter_map(|session| Some((session.address.clone(), session.address.parse::<IpAddr>().ok()?)));
    thread::scope(|scope| {
        let calls =
            addresses.map(|(name, address)| (name, scope.spawn(move || call(SocketAddr::from((address, BGP_PORT))))));
        let calls: Vec<_> = calls.collect();
        calls.into_iter().filter_map(|(name, call)| Some((name, call.join().ok()?))).collect()
    })
}

fn call(address: SocketAddr) -> Door {
    match TcpStream::connect_timeout(&address, PATIENCE) {
        Ok(_) => Door::Open,
        Err(error) => shut(&error),
    }
}

fn shut(error: &Error) -> Door {
    match error.kind() {
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => Door::Refused,
        ErrorKind::TimedOut | ErrorKind::WouldBlock => Door::Silent,
        _ => Door::NoWay(error.to_string()),
    }
}

/// Why the endpoint of a store cannot be reached, such as `https://192.0.2.1:2379`.
pub(super) fn of_store(endpoint: &str) -> Option<String> {
    let door = door(endpoint);
    let addresses = match door.to_socket_addrs() {
        Ok(addresses) => addresses,
        Err(error) => return Some(error.to_string()),
    };
    let mut reason = Some("it has no address".to_owned());
    for address in addresses {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(_) => return None,
            Err(error) => reason = Some(error.to_string()),
        }
    }
    reason
}

/// The IPv4 address in an endpoint, if it is written there.
pub(super) fn host_of(endpoint: &str) -> Option<Ipv4Addr> {
    door(endpoint).rsplit_once(':').map_or(door(endpoint), |(host, _)| host).parse().ok()
}

fn door(endpoint: &str) -> &str {
    let bare = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    bare.split('/').next().unwrap_or(bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_names_a_host() {
        assert_eq!(host_of("https://192.0.2.1:2379"), Some(Ipv4Addr::new(192, 0, 2, 1)));
        assert_eq!(host_of("192.0.2.1:2379"), Some(Ipv4Addr::new(192, 0, 2, 1)));
        assert_eq!(host_of("http://etcd.example:2379"), None);
    }
}
