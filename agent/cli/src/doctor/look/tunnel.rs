//! Sends through each tunnel: whether what is wrapped comes to the other host at all, and how large it may be in one piece.
//!
//! What passes otherwise may not pass as UDP, which firewalls treat by rules of its own. The question is an ARP probe (RFC 5227 §2.1.1) for the other
//! host's own address, as long as is wanted, for the kernel there reads no further than it must. It is wrapped here and not by the device, which lets its
//! packets be cut. A ping would be no better: the device has no address, so the kernel believes no host that speaks to one through it (linux
//! net/ipv4/fib_frontend.c, `__fib_validate_source`), while a probe says nothing of who asks. It answers through the tunnel, with what an answer takes: how large a
//! packet comes the other way, the other host's doctor sees.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd as _;
use std::time::Instant;

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{LinkAddr, bind};
use poplin_policy::host::TUNNEL_DEVICE;
use socket2::{Domain, Protocol, Socket, Type};

use super::arp::{ARP, probe, speaker};
use super::echo::{self, LARGEST, PATIENCE};
use super::icmp::SMALLEST;
use super::wrap::{ETHERNET, Ends, wrapped};
use crate::doctor::reading::{Reading, Told, Way};

/// What sends packets whose headers are ours, and hears nothing (raw(7), `IPPROTO_RAW`).
const HEADERS_OF_OURS: i32 = 255;

/// All tunnels at once. What a container may send is what is declared, or what the device takes.
pub(super) fn all(told: &Told, reading: &Reading) -> Result<Vec<Way>, String> {
    let Some(device) = reading.links.get(TUNNEL_DEVICE).filter(|device| device.is_up) else { return Ok(Vec::new()) };
    let Some(own) = own_end(told, reading) else {
        return Err("this host wraps by IPv6, in which nobody answers a probe".to_owned());
    };
    let declared = told.fabric.mtu_bytes.unwrap_or(device.mtu);
    let wanted = declared.min(device.mtu).min(LARGEST);
    let ways = wanted_ways(told, reading).into_iter().map(|way| Way { wanted, ..way }).collect::<Vec<_>>();
    let macs = macs(&fs::read_to_string("/proc/net/arp").unwrap_or_default());
    std::thread::scope(|scope| {
        // An end that the kernel does not know yet is the agent's to tell of.
        let known = ways.iter().filter_map(|way| Some((way, *macs.get(&way.address?)?)));
        let threads: Vec<_> = known.map(|(way, mac)| scope.spawn(move || probed(way, Ends { mac, ..own }))).collect();
        let probed = threads.into_iter().filter_map(|thread| thread.join().ok()).collect::<io::Result<_>>();
        probed.map_err(|error| format!("no raw socket: {error}; run as root"))
    })
}

/// The hosts that packets of containers reach wrapped.
fn wanted_ways(told: &Told, reading: &Reading) -> Vec<Way> {
    let others = told.hosts.iter().filter(|(_, address)| !reading.known_by.contains(&IpAddr::V4(**address)));
    let is_wrapped = |address: Ipv4Addr| told.always_wraps() || !reading.is_near(address.into());
    let wrapped = others.filter(|(_, address)| is_wrapped(**address));
    let ways = wrapped.map(|(name, address)| Way { name: name.clone(), address: Some(*address), ..Way::default() });
    ways.take(super::WAYS).collect()
}

/// This host's end; absent = it has no address of IPv4. The other's MAC is not known yet.
fn own_end(told: &Told, reading: &Reading) -> Option<Ends> {
    let own = reading.known_by.iter().find_map(|own| match own {
        IpAddr::V4(own) => Some(*own),
        IpAddr::V6(_) => None,
    })?;
    let (own_mac, vni, port) = (device()?.addr()?, told.vni(), told.vxlan_port());
    Some(Ends { own, own_mac, mac: [0; 6], vni, port })
}

fn device() -> Option<LinkAddr> {
    let all = getifaddrs().into_iter().flatten();
    all.filter(|one| one.interface_name == TUNNEL_DEVICE).find_map(|one| Some(*one.address?.as_link_addr()?))
}

/// Lines such as `172.31.3.2 0x1 0x6 02:76:ac:1f:03:02 * vxlan.poplin`: address, kind of link, flags, MAC, mask, interface.
fn macs(table: &str) -> BTreeMap<Ipv4Addr, [u8; 6]> {
    let rows = table.lines().filter_map(|line| {
        let [address, _, _, mac, _, interface] = line.split_whitespace().collect::<Vec<_>>().try_into().ok()?;
        let octets: Vec<u8> = mac.split(':').map_while(|octet| u8::from_str_radix(octet, 16).ok()).collect();
        (interface == TUNNEL_DEVICE).then_some((address.parse().ok()?, octets.try_into().ok()?))
    });
    rows.collect()
}

fn probed(way: &Way, ends: Ends) -> io::Result<Way> {
    let Some(address) = way.address.filter(|_| way.wanted > SMALLEST) else { return Ok(way.clone()) };
    let mut probe = Probe { address, ends, mouth: mouth()?, ear: ear()? };
    Ok(Way { passed: echo::largest(way.wanted, |octets, tries| probe.passes(octets, tries)), ..way.clone() })
}

/// One tunnel being probed.
struct Probe {
    address: Ipv4Addr,
    ends: Ends,
    mouth: Socket,
    ear: Socket,
}

impl Probe {
    fn passes(&mut self, octets: u32, tries: u16) -> bool {
        let mut question = probe(self.address, self.ends.own_mac, self.ends.mac);
        question.resize(ETHERNET + usize::try_from(octets).unwrap_or(usize::MAX), 0);
        let packet = wrapped(self.address, &self.ends, &question);
        (0..tries).any(|_| self.asked(&packet).is_some())
    }

    /// An answer does not say to what. None is that of an earlier question but one that came after all patience.
    fn asked(&mut self, packet: &[u8]) -> Option<()> {
        let end = Instant::now() + PATIENCE;
        // Too large for the interface, or nobody there who takes it.
        self.mouth.send_to(packet, &SocketAddr::from((self.address, 0)).into()).ok()?;
        let mut frame = [0; 128];
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            self.ear.set_read_timeout(Some(left)).ok()?;
            let Ok(octets) = self.ear.read(&mut frame) else { continue };
            if speaker(&frame[..octets], self.address) == Some(self.ends.mac) {
                return Some(());
            }
        }
    }
}

fn mouth() -> io::Result<Socket> {
    let mouth = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(HEADERS_OF_OURS)))?;
    echo::whatever_was_heard(&mouth)?;
    Ok(mouth)
}

fn ear() -> io::Result<Socket> {
    let ear = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(i32::from(ARP.to_be()))))?;
    bind(ear.as_raw_fd(), &device().ok_or(io::ErrorKind::NotFound)?)?;
    Ok(ear)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_tunnels_are_read_as_the_kernel_writes_them() {
        let table = "IP address       HW type     Flags       HW address            Mask     Device\n\
                     172.31.3.2       0x1         0x6         02:76:ac:1f:03:02     *        vxlan.poplin\n\
                     172.30.0.254     0x1         0x2         52:54:00:12:34:56     *        eth0\n";
        let expected = BTreeMap::from([(Ipv4Addr::new(172, 31, 3, 2), [0x02, 0x76, 0xac, 0x1f, 0x03, 0x02])]);
        assert_eq!(macs(table), expected);
    }
}
