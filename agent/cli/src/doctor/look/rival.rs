//! Asks on the link who else has an address of ours: an ARP probe (RFC 5227 §2.1.1), which changes nobody's tables.
//!
//! For IPv6 the kernel asks itself before it uses an address, and remembers who was there first.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsRawFd as _;
use std::thread;
use std::time::{Duration, Instant};

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{LinkAddr, bind};
use socket2::{Domain, Protocol, Socket, Type};

use super::arp::{ALL, ARP, probe, speaker};
use crate::doctor::reading::Reading;

/// How long an answer may take, of which there should be none.
const PATIENCE: Duration = Duration::from_millis(400);

/// How often it is asked.
const TRIES: usize = 2;

/// Address, interface, and who else has it there; and why it could not be asked.
pub(super) fn all(reading: &Reading) -> (Vec<(Ipv4Addr, String, String)>, Option<String>) {
    let own = reading.addresses.iter().filter(|own| reading.known_by.contains(&own.address));
    let links: Vec<(String, LinkAddr)> = links();
    let macs: Vec<[u8; 6]> = links.iter().filter_map(|(_, link)| link.addr()).collect();
    let mut questions = own.filter_map(|own| {
        let IpAddr::V4(address) = own.address else { return None };
        let link =
            links.iter().find(|(name, link)| *name == own.interface && link.addr().is_some_and(|mac| mac != [0; 6]))?;
        Some((address, own.interface.clone(), link.1))
    });
    let asked = thread::scope(|scope| {
        let macs = &macs;
        let threads: Vec<_> = questions
            .by_ref()
            .map(|(address, interface, link)| scope.spawn(move || (address, interface, asked(address, link, macs))))
            .collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).collect::<Vec<_>>()
    });
    let refused = asked.iter().find_map(|(_, _, answer)| answer.as_ref().err().map(ToString::to_string));
    let found = asked.into_iter().filter_map(|(address, interface, answer)| Some((address, interface, answer.ok()??)));
    (found.collect(), refused.map(|reason| format!("{reason}; run as root")))
}

fn links() -> Vec<(String, LinkAddr)> {
    let all = getifaddrs().into_iter().flatten();
    all.filter_map(|one| Some((one.interface_name, *one.address?.as_link_addr()?))).collect()
}

/// The MAC of who answers, if anybody does.
fn asked(address: Ipv4Addr, link: LinkAddr, ours: &[[u8; 6]]) -> std::io::Result<Option<String>> {
    let mut socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(i32::from(ARP.to_be()))))?;
    bind(socket.as_raw_fd(), &link)?;
    let question = probe(address, link.addr().unwrap_or_default(), ALL);
    for _ in 0..TRIES {
        socket.write_all(&question)?;
        let end = Instant::now() + PATIENCE;
        let mut frame = [0; 128];
        while let Some(left) = Some(end.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero()) {
            socket.set_read_timeout(Some(left))?;
            let Ok(octets) = socket.read(&mut frame) else { continue };
            let mac = speaker(&frame[..octets], address).filter(|mac| !ours.contains(mac));
            if let Some(mac) = mac {
                return Ok(Some(mac.map(|octet| format!("{octet:02x}")).join(":")));
            }
        }
    }
    Ok(None)
}
