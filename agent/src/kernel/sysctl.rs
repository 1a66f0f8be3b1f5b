//! Sets the kernel's switches, each a file below /proc/sys/net.
//!
//! In: nothing, or a link. Out: done, or why not. Each file is read first and written only if it says something else: writing
//! the forwarding switch, for one, resets others (Documentation/networking/ip-sysctl.rst, `ip_forward`).
//! Files show the network namespace of the thread that opens them.

use std::fs;
use std::path::{Path, PathBuf};

use poplin_policy::ruleset::Interface;

use super::Trouble;

/// What [`configure_link`] sets on a link for IPv4, and what [`super::read`] looks for: file name, place in `IFLA_INET_CONF`
/// (linux/ip.h, `IPV4_DEVCONF_*` less 1), value.
pub(super) const LINK_4: [(&str, usize, u32); 5] = [
    ("forwarding", 0, 1),
    ("proxy_arp", 2, 0),
    ("accept_redirects", 3, 0),
    ("send_redirects", 5, 0),
    ("rp_filter", 7, 1),
];

/// The same for IPv6: place in `IFLA_INET6_CONF` (linux/ipv6.h, `DEVCONF_*`). IPv6 has no source check but the policy's.
pub(super) const LINK_6: [(&str, usize, u32); 3] =
    [("forwarding", 0, 1), ("accept_ra", 3, 0), ("accept_redirects", 4, 0)];

/// The same for the device of our tunnels, for IPv4. A host speaks from its own address, which is reached by another link: the source check is loose.
pub(super) const TUNNEL_4: [(&str, usize, u32); 5] = [
    ("forwarding", 0, 1),
    ("proxy_arp", 2, 0),
    ("accept_redirects", 3, 0),
    ("send_redirects", 5, 0),
    ("rp_filter", 7, 2),
];

/// The kernel makes no link-local address of its own (linux/if_link.h, `IN6_ADDR_GEN_MODE_NONE`): the gateway is one.
const NO_ADDRESS: u32 = 1;

/// Lets packets through this host. Uplinks that listen to router advertisements go on listening: to a forwarding kernel `accept_ra` 1
/// means no, and it would drop the host's own default route, so 1 becomes 2 first.
pub(super) fn enable_forwarding() -> Result<(), Trouble> {
    set(&family_directory(4).with_file_name("ip_forward"), 1)?;
    let conf = family_directory(6);
    if !conf.exists() {
        return Ok(());
    }
    let all = conf.join("all/forwarding");
    if read(&all).ok() != Some(1) {
        keep_router_advertisements(&conf);
    }
    set(&all, 1)
}

/// Whether some family is not forwarded.
pub(super) fn is_forwarding_off() -> bool {
    let files = [family_directory(4).with_file_name("ip_forward"), family_directory(6).join("all/forwarding")];
    files.iter().any(|file| read(file).ok() == Some(0))
}

fn keep_router_advertisements(conf: &Path) {
    for interface in fs::read_dir(conf).into_iter().flatten().flatten() {
        let is_interface = interface.file_name() != "all" && interface.file_name() != "default";
        let accept_ra = interface.path().join("accept_ra");
        if is_interface && read(&accept_ra).ok() == Some(1) {
            // An interface that has just gone has nothing to keep.
            let _ = fs::write(accept_ra, "2");
        }
    }
}

/// Sets what a link of ours needs.
pub(super) fn configure_link(interface: &Interface) -> Result<(), Trouble> {
    configure(interface, LINK_4)
}

/// Sets what the device of our tunnels needs.
pub(super) fn configure_tunnel(interface: &Interface) -> Result<(), Trouble> {
    configure(interface, TUNNEL_4)
}

fn configure(interface: &Interface, switches_4: [(&str, usize, u32); 5]) -> Result<(), Trouble> {
    let directory = |family| family_directory(family).join(interface.as_str());
    for (file, _, value) in switches_4 {
        set(&directory(4).join(file), value)?;
    }
    if !family_directory(6).exists() {
        return Ok(());
    }
    set(&directory(6).join("addr_gen_mode"), NO_ADDRESS)?;
    for (file, _, value) in LINK_6 {
        set(&directory(6).join(file), value)?;
    }
    Ok(())
}

/// Whether packets of loopback addresses may pass a link: file name, and place in `IFLA_INET_CONF`. IPv6 has no such switch.
pub(super) const LOOPBACK: (&str, usize) = ("route_localnet", 25);

/// Sets that.
pub(super) fn let_loopback_pass(interface: &Interface, is_open: bool) -> Result<(), Trouble> {
    set(&family_directory(4).join(interface.as_str()).join(LOOPBACK.0), u32::from(is_open))
}

/// Whether IPv6 answers for others on a link: file name, and place in `IFLA_INET6_CONF`. ARP does wherever there is an entry.
pub(super) const PROXY_6: (&str, usize) = ("proxy_ndp", 22);

/// Has entries of proxy neighbours on an uplink answer, and at once: by itself the kernel waits up to 0.8 s, so that who has the address himself
/// is first (Documentation/networking/ip-sysctl.rst, `proxy_delay`). Here nobody else has it.
pub(super) fn answer_for_others(uplink: &Interface, is_v6: bool) -> Result<(), Trouble> {
    let conf = family_directory(if is_v6 { 6 } else { 4 });
    let delay = conf.with_file_name("neigh").join(uplink.as_str()).join("proxy_delay");
    if is_v6 {
        set(&conf.join(uplink.as_str()).join(PROXY_6.0), 1)?;
    }
    set(&delay, 0)
}

fn family_directory(family: u8) -> PathBuf {
    format!("/proc/sys/net/ipv{family}/conf").into()
}

fn set(file: &Path, value: u32) -> Result<(), Trouble> {
    if read(file).ok() == Some(value) {
        return Ok(());
    }
    fs::write(file, value.to_string())
        .map_err(|error| Trouble::other(format!("cannot write {value} to {}: {error}", file.display())))
}

fn read(file: &Path) -> std::io::Result<u32> {
    fs::read_to_string(file)?.trim().parse().map_err(std::io::Error::other)
}
