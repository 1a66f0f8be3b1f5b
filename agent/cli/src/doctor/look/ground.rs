//! Reads links, addresses and routes of the namespace we are in, from files that every kernel has.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use nix::ifaddrs::getifaddrs;

use crate::doctor::reading::{Link, OwnAddress, Route};

/// linux/if.h, `IFF_UP`.
const UP: u32 = 1;

/// linux/if_addr.h, `IFA_F_DADFAILED`.
const DUPLICATE: u32 = 8;

/// linux/route.h, `RTF_UP`, `RTF_GATEWAY`, `RTF_REJECT`; the same for IPv6.
const GATEWAY: u32 = 2;
const REJECT: u32 = 0x200;

pub(super) fn links() -> BTreeMap<String, Link> {
    let entries = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())));
    names.filter_map(|(name, path)| Some((name, link(&path)?))).collect()
}

fn link(path: &Path) -> Option<Link> {
    let text = |file: &str| fs::read_to_string(path.join(file)).map(|text| text.trim().to_owned());
    let flags = u32::from_str_radix(text("flags").ok()?.trim_start_matches("0x"), 16).ok()?;
    // Of a link that is down the carrier cannot be read.
    let has_carrier = text("carrier").is_ok_and(|carrier| carrier == "1");
    Some(Link { is_up: flags & UP != 0, has_carrier, mtu: text("mtu").ok()?.parse().ok()? })
}

pub(super) fn addresses() -> Vec<OwnAddress> {
    let duplicates = duplicates();
    let all = getifaddrs().into_iter().flatten();
    let own = all.filter_map(|one| {
        let address = one.address?;
        let four = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        let address = four.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))?;
        Some(OwnAddress { is_duplicate: duplicates.contains(&address), address, interface: one.interface_name })
    });
    own.collect()
}

/// Lines such as `fd300000000000000000000000000001 02 40 00 88 eth0`: address, index, length, scope, flags, name.
fn duplicates() -> Vec<IpAddr> {
    let text = fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    let duplicates = text.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (address, flags) = (words.first()?, u32::from_str_radix(words.get(4)?, 16).ok()?);
        (flags & DUPLICATE != 0).then(|| six(address)).flatten()
    });
    duplicates.map(IpAddr::V6).collect()
}

pub(super) fn routes() -> Vec<Route> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let four = read("/proc/net/route");
    let six = read("/proc/net/ipv6_route");
    four.lines().skip(1).filter_map(route4).chain(six.lines().filter_map(route6)).collect()
}

/// Interface, destination, gateway, flags, references, uses, metric, mask; addresses as the machine has them in memory.
fn route4(line: &str) -> Option<Route> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let address = |place: usize| Some(Ipv4Addr::from(u32::from_str_radix(words.get(place)?, 16).ok()?.to_ne_bytes()));
    let flags = u32::from_str_radix(words.get(3)?, 16).ok()?;
    let prefix = Ipv4Net::with_netmask(address(1)?, address(7)?).ok()?;
    let metric = words.get(6)?.parse().ok()?;
    known((*words.first()?).to_owned(), IpNet::V4(prefix), address(2)?.into(), flags, metric)
}

/// Destination, its length, source, its length, gateway, metric, references, uses, flags, interface; all hexadecimal.
fn route6(line: &str) -> Option<Route> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let number = |place: usize| u32::from_str_radix(words.get(place)?, 16).ok();
    let length = u8::try_from(number(1)?).ok()?;
    let prefix = Ipv6Net::new(six(words.first()?)?, length).ok()?;
    known((*words.get(9)?).to_owned(), IpNet::V6(prefix), six(words.get(4)?)?.into(), number(8)?, number(5)?)
}

fn known(interface: String, prefix: IpNet, gateway: IpAddr, flags: u32, metric: u32) -> Option<Route> {
    let route = Route { prefix, interface, metric, gateway: Some(gateway).filter(|_| flags & GATEWAY != 0) };
    (flags & REJECT == 0).then_some(route)
}

fn six(hexadecimal: &str) -> Option<Ipv6Addr> {
    u128::from_str_radix(hexadecimal, 16).ok().map(Ipv6Addr::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_read_as_the_kernel_writes_them() {
        let line = "eth0\t00004D0A\t0100A8C0\t0003\t0\t0\t143\t0000FFFF\t0\t0\t0";
        let prefix = "10.77.0.0/16".parse().unwrap();
        let expected = Route { prefix, interface: "eth0".to_owned(), metric: 143, gateway: "192.168.0.1".parse().ok() };
        assert_eq!(route4(line), Some(expected));

        let line = "fd770000000000000000000000000000 30 00000000000000000000000000000000 00 00000000000000000000000000000000 \
                    00000400 00000001 00000000 00000001     eth1";
        let prefix = "fd77::/48".parse().unwrap();
        let expected = Route { prefix, interface: "eth1".to_owned(), metric: 1024, gateway: None };
        assert_eq!(route6(line), Some(expected));
    }
}
