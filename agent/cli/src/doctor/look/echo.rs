//! Probes the ways to others: how large a packet comes through uncut, and what time it is there.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rustix::net::sockopt::{Ipv4PathMtuDiscovery, set_ip_mtu_discover};
use socket2::{Domain, Protocol, Socket, Type};

use super::icmp::{Reply, SMALLEST, echo, reply, timestamp};
use crate::doctor::reading::{Reading, Way};

/// How long one answer may take: across a data centre it takes less than a millisecond, across a continent a hundred.
pub(super) const PATIENCE: Duration = Duration::from_millis(300);

/// How often one question is put, for packets get lost.
const TRIES: u16 = 3;

/// The largest packet looked for. Loopbacks and their like take more than any network.
pub(super) const LARGEST: u32 = 9_216;

const DAY_MILLISECONDS: i64 = 86_400_000;

/// All ways at once, each in a thread. What a container may send is what is declared, or what the interface takes.
pub(super) fn all(ways: &[Way], declared: Option<u32>, reading: &Reading) -> Result<Vec<Way>, String> {
    if !ways.is_empty() {
        raw(true).map_err(|error| format!("no raw socket: {error}; run as root"))?;
    }
    thread::scope(|scope| {
        let probe = |(place, way): (usize, &Way)| {
            let (mut way, id) = (way.clone(), identity(place));
            let takes = way.address.and_then(|address| interface_mtu(address, reading)).unwrap_or(0);
            way.wanted = declared.unwrap_or(takes).min(takes).min(LARGEST);
            scope.spawn(move || probed(way, id))
        };
        let probes: Vec<_> = ways.iter().enumerate().map(probe).collect();
        Ok(probes.into_iter().filter_map(|probe| probe.join().ok()).collect())
    })
}

/// Answers to two probes must not be taken for each other's, nor for a ping's.
fn identity(place: usize) -> u16 {
    let process = std::process::id().wrapping_mul(64).wrapping_add(u32::try_from(place).unwrap_or(0));
    u16::try_from(process & 0xffff).unwrap_or(0)
}

/// The MTU of the interface packets to this address leave by.
fn interface_mtu(address: Ipv4Addr, reading: &Reading) -> Option<u32> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((address, 9)).ok()?; // nothing is sent
    let source: IpAddr = socket.local_addr().ok()?.ip();
    let own = reading.addresses.iter().find(|own| own.address == source && own.interface != "lo")?;
    Some(reading.links.get(&own.interface)?.mtu)
}

fn probed(mut way: Way, id: u16) -> Way {
    let Some(address) = way.address.filter(|_| way.wanted > SMALLEST) else { return way };
    let Ok(mut probe) = Probe::to(address, id) else { return way };
    way.passed = largest(way.wanted, |octets, tries| probe.passes(octets, tries));
    way.ahead_milliseconds = way.passed.and_then(|_| probe.ahead());
    way
}

/// One neighbour being probed.
struct Probe {
    address: Ipv4Addr,
    id: u16,
    sequence: u16,
    /// Sends packets with a header of ours.
    whole: Socket,
    plain: Socket,
}

impl Probe {
    fn to(address: Ipv4Addr, id: u16) -> io::Result<Self> {
        let (whole, plain) = (raw(true)?, raw(false)?);
        for socket in [&whole, &plain] {
            socket.connect(&SocketAddr::from((address, 0)).into())?;
        }
        Ok(Self { address, id, sequence: 0, whole, plain })
    }

    fn passes(&mut self, octets: u32, tries: u16) -> bool {
        (0..tries).any(|_| {
            self.sequence = self.sequence.wrapping_add(1);
            let packet = echo(self.address, self.id, self.sequence, octets);
            asked(&self.whole, &packet, self.id, self.sequence) == Some(Reply::Echo)
        })
    }

    /// How far its clock is ahead of ours, taking the answer to have been made in the middle of the time it took.
    fn ahead(&mut self) -> Option<i64> {
        self.sequence = self.sequence.wrapping_add(1);
        let before = time_of_day();
        let question = timestamp(self.id, self.sequence, u32::try_from(before).unwrap_or(0));
        let Some(Reply::Timestamp(Some(theirs))) = asked(&self.plain, &question, self.id, self.sequence) else {
            return None;
        };
        let after = time_of_day();
        Some(around_midnight(i64::from(theirs) - before.midpoint(after)))
    }
}

/// The largest packet up to the wanted one that comes through, by what passes in so many tries; absent = not even a small one.
pub(super) fn largest(wanted: u32, mut passes: impl FnMut(u32, u16) -> bool) -> Option<u32> {
    if passes(wanted, TRIES) {
        return Some(wanted);
    }
    passes(SMALLEST, TRIES).then_some(())?;
    let (mut passed, mut failed) = (SMALLEST, wanted);
    while failed - passed > 1 {
        let middle = passed.midpoint(failed);
        match passes(middle, 2) {
            true => passed = middle,
            false => failed = middle,
        }
    }
    Some(passed)
}

/// The shorter way round the clock: a difference of 23 hours is one of an hour the other way.
fn around_midnight(difference: i64) -> i64 {
    let half = DAY_MILLISECONDS / 2;
    (difference + half).rem_euclid(DAY_MILLISECONDS) - half
}

/// Sends a question, and waits for what answers it.
fn asked(socket: &Socket, question: &[u8], id: u16, sequence: u16) -> Option<Reply> {
    let (mut socket, end) = (socket, Instant::now() + PATIENCE);
    socket.write_all(question).ok()?; // too large for the interface, or for what the kernel knows of the way
    let mut packet = [0; 65_536];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        socket.set_read_timeout(Some(left)).ok()?;
        let Ok(octets) = socket.read(&mut packet) else { continue };
        if let Some(reply) = reply(&packet[..octets], id, sequence) {
            return Some(reply);
        }
    }
}

/// What the kernel has heard of a way it believes for ten minutes, and sends nothing larger (ip(7), `IP_MTU_DISCOVER`): but the way may be mended since.
pub(super) fn whatever_was_heard(socket: &Socket) -> io::Result<()> {
    Ok(set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::PROBE)?)
}

fn raw(with_header: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4))?;
    socket.set_header_included_v4(with_header)?;
    whatever_was_heard(&socket)?;
    Ok(socket)
}

/// In milliseconds since midnight UTC.
fn time_of_day() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(0) % DAY_MILLISECONDS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn midnight_is_no_difference() {
        assert_eq!(around_midnight(DAY_MILLISECONDS - 1000), -1000);
        assert_eq!(around_midnight(1000 - DAY_MILLISECONDS), 1000);
        assert_eq!(around_midnight(3_600_000), 3_600_000);
    }
}
