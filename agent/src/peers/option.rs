//! Options of TCP sockets that nobody offers by name: signatures, the least hop limit, and how much was acknowledged.
//!
//! In: a socket, a neighbour's address, a password or a hop limit. Out: whether the kernel took it, or a count. Knows nothing of who is protected how.
//! Rules: RFC 2385, RFC 5082; the layouts are those of linux/tcp.h, linux/in.h and linux/in6.h.

use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;

use ipnet::IpNet;
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::sockopt::{GetStruct, SetStruct};
use nix::sys::socket::{getsockopt, setsockopt};
use socket2::SockRef;

use super::password::Password;

/// The hop limit of what has passed no router.
const HOPS: u8 = 255;

/// `TCP_INFO`.
#[derive(Clone, Copy)]
struct TcpInfo;
nix::getsockopt_impl!(TcpInfo, libc::IPPROTO_TCP, libc::TCP_INFO, Progress, GetStruct<Progress>);

/// The beginning of `struct tcp_info`, as far as `tcpi_bytes_acked`, Linux 4.1 and later.
#[repr(C)]
#[derive(Clone, Copy)]
struct Progress {
    before: [u64; 15],
    acknowledged_octets: u64,
}

/// `TCP_MD5SIG`.
#[derive(Clone)]
struct Md5;
nix::setsockopt_impl!(Md5, libc::IPPROTO_TCP, libc::TCP_MD5SIG, Signature, SetStruct<'_, Signature>);

/// `TCP_MD5SIG_EXT`, which looks at the flags.
#[derive(Clone)]
struct Md5OfPrefix;
nix::setsockopt_impl!(Md5OfPrefix, libc::IPPROTO_TCP, TCP_MD5SIG_EXT, Signature, SetStruct<'_, Signature>);

/// linux/tcp.h, Linux 4.13 and later.
const TCP_MD5SIG_EXT: i32 = 32;

/// `TCP_MD5SIG_FLAG_PREFIX`: the key is of all addresses that begin so.
const OF_PREFIX: u8 = 1;

/// `IP_MINTTL`.
#[derive(Clone)]
struct MinTtl;
nix::setsockopt_impl!(MinTtl, libc::IPPROTO_IP, libc::IP_MINTTL, i32, SetStruct<'_, i32>);

/// `IPV6_MINHOPCOUNT`.
#[derive(Clone)]
struct MinHopCount;
nix::setsockopt_impl!(MinHopCount, libc::IPPROTO_IPV6, libc::IPV6_MINHOPCOUNT, i32, SetStruct<'_, i32>);

/// `struct tcp_md5sig`: with whom segments are signed, and by which key. The numbers stand in the machine's own order.
#[repr(C)]
struct Signature {
    /// A `sockaddr_storage`; the kernel does not look at the port.
    address: [u8; 128],
    /// 0: the key is of this address.
    flags: u8,
    prefix_bits: u8,
    /// Zero takes the key away.
    key_octets: u16,
    interface: u32,
    key: [u8; Password::OCTETS_MAX],
}

/// How many octets the far end has acknowledged; the handshake may count as one of them.
pub(super) fn acknowledged_octets(socket: &impl AsFd) -> io::Result<u64> {
    Ok(getsockopt(socket, TcpInfo)?.acknowledged_octets)
}

/// From now on segments to and from this neighbour carry the password's signature, and those that do not are dropped; without a password it
/// is as before. `is_v6` is the socket's own family: one of IPv6 takes an IPv4 neighbour in its mapped form.
pub(super) fn sign(socket: &impl AsFd, is_v6: bool, neighbour: IpAddr, password: Option<&Password>) -> io::Result<()> {
    done(setsockopt(socket, Md5, &Signature::new(is_v6, neighbour, password)), password)
}

/// The same for all neighbours in a prefix; a key of one address among them counts before it. On a listener: who is accepted inherits it.
pub(super) fn sign_all(socket: &impl AsFd, is_v6: bool, range: IpNet, password: Option<&Password>) -> io::Result<()> {
    let of_one = Signature::new(is_v6, range.network(), password);
    // Also for IPv4 in its mapped form the kernel counts the bits of IPv4 (net/ipv6/tcp_ipv6.c, `tcp_v6_parse_md5_keys`).
    let signature = Signature { flags: OF_PREFIX, prefix_bits: range.prefix_len(), ..of_one };
    done(setsockopt(socket, Md5OfPrefix, &signature), password)
}

fn done(outcome: nix::Result<()>, password: Option<&Password>) -> io::Result<()> {
    match outcome {
        Err(Errno::ENOENT) if password.is_none() => Ok(()), // there was none
        outcome => Ok(outcome?),
    }
}

impl Signature {
    fn new(is_v6: bool, neighbour: IpAddr, password: Option<&Password>) -> Self {
        let mut key = [0; Password::OCTETS_MAX];
        let octets = password.map(Password::octets).unwrap_or_default();
        key[..octets.len()].copy_from_slice(octets);
        let key_octets = u16::try_from(octets.len()).unwrap_or(u16::MAX);
        Self { address: address(is_v6, neighbour), flags: 0, prefix_bits: 0, key_octets, interface: 0, key }
    }
}

/// A `sockaddr_in` or a `sockaddr_in6` without a port.
fn address(is_v6: bool, neighbour: IpAddr) -> [u8; 128] {
    let mut storage = [0; 128];
    match neighbour {
        IpAddr::V4(neighbour) if !is_v6 => {
            storage[..2].copy_from_slice(&family(libc::AF_INET));
            storage[4..8].copy_from_slice(&neighbour.octets());
        }
        IpAddr::V4(neighbour) => {
            storage[..2].copy_from_slice(&family(libc::AF_INET6));
            storage[8..24].copy_from_slice(&neighbour.to_ipv6_mapped().octets());
        }
        IpAddr::V6(neighbour) => {
            storage[..2].copy_from_slice(&family(libc::AF_INET6));
            storage[8..24].copy_from_slice(&neighbour.octets());
        }
    }
    storage
}

fn family(family: i32) -> [u8; 2] {
    u16::try_from(family).unwrap_or_default().to_ne_bytes()
}

/// What is sent leaves with the full hop limit, so that whoever wants to see how far it has come can (RFC 5082 §3).
pub(super) fn send_from_afar(socket: &impl AsFd, is_v6: bool) -> io::Result<()> {
    let socket = SockRef::from(socket);
    if is_v6 {
        socket.set_unicast_hops_v6(HOPS.into())?;
    }
    socket.set_ttl_v4(HOPS.into()) // a socket of IPv6 speaks to mapped addresses with it
}

/// What has passed so many routers, or more, is dropped before it reaches the connection.
pub(super) fn receive_from_near(socket: &impl AsFd, neighbour: IpAddr, hops_max: u8) -> io::Result<()> {
    let least = i32::from(HOPS - hops_max) + 1;
    match neighbour {
        IpAddr::V4(_) => setsockopt(socket, MinTtl, &least)?,
        IpAddr::V6(_) => setsockopt(socket, MinHopCount, &least)?,
    }
    Ok(())
}
