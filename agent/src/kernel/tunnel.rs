//! Makes the VXLAN device of our tunnels, and tells it where other hosts are.
//!
//! In: what it is to be. Out: done, or why not; and what one is that stands. Decides nothing.
//! Header: linux/if_link.h (`IFLA_VXLAN_*`), linux/neighbour.h (`NTF_SELF`); linux drivers/net/vxlan.

use std::net::IpAddr;

use poplin_node::kernel::{Device, Mac, Vxlan};
use rustix::io::Errno;

use super::address::{self, octets};
use super::departure::Departures;
use super::link::{
    self, IFF_UP, IFLA_ADDRESS, IFLA_IFNAME, IFLA_INFO_DATA, IFLA_INFO_KIND, IFLA_LINKINFO, IFLA_MTU, RTM_NEWLINK,
};
use super::neighbour::{HEAD_OCTETS, NDA_DST, NDA_LLADDR, NUD_PERMANENT, RTM_DELNEIGH, RTM_GETNEIGH, RTM_NEWNEIGH};
use super::socket::{Conversation, Refusal};
use super::wire::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, Writer, attribute, u32_at};
use super::{Trouble, sysctl};

const IFLA_VXLAN_ID: u16 = 1;
const IFLA_VXLAN_LOCAL: u16 = 4;
const IFLA_VXLAN_LEARNING: u16 = 7;
const IFLA_VXLAN_PORT: u16 = 15;
const IFLA_VXLAN_LOCAL6: u16 = 17;
/// Checksums of UDP over IPv4, as `ip link add` has them by default: a receiver whose card knows no VXLAN checks one sum for both headers.
const IFLA_VXLAN_UDP_CSUM: u16 = 18;
const IFLA_VXLAN_COLLECT_METADATA: u16 = 25;

/// Forwarding entries are neighbours of this family (linux/socket.h).
const AF_BRIDGE: u8 = 7;
/// Of the device's own table, in `ndm_flags`.
const NTF_SELF: u8 = 0x02;

/// Makes the device, if it does not stand; sets its MTU and switches, and raises it.
pub(super) fn set(route: &mut Conversation, device: &Device) -> Result<(), Trouble> {
    let interface = Device::interface();
    if let Err(refusal) = create(route, device) {
        let stands = refusal.errno == Errno::EXIST && link::index(route, interface.as_str()).is_ok();
        if !stands {
            return Err(why_not_created(device, &refusal));
        }
    }
    sysctl::configure_tunnel(&interface)?;
    let cannot = |refusal| Trouble::other(format!("cannot raise {interface}: {}", at_its_port(device, &refusal)));
    let index = link::index(route, interface.as_str()).map_err(cannot)?;
    let resized =
        route.request(RTM_NEWLINK, 0, &link::head(index, IFF_UP), |out| out.put_u32(IFLA_MTU, device.mtu_bytes));
    resized.map_err(cannot)
}

fn create(route: &mut Conversation, device: &Device) -> Result<(), Refusal> {
    let Device { vxlan, local, mac, mtu_bytes } = device;
    route.request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &link::head(0, 0), |out: &mut Writer| {
        out.put_text(IFLA_IFNAME, Device::interface().as_str());
        out.put(IFLA_ADDRESS, &mac.0);
        out.put_u32(IFLA_MTU, *mtu_bytes);
        out.nest(IFLA_LINKINFO, |out| {
            out.put_text(IFLA_INFO_KIND, "vxlan");
            out.nest(IFLA_INFO_DATA, |out| {
                out.put_u32(IFLA_VXLAN_ID, vxlan.vni);
                out.put(if local.is_ipv6() { IFLA_VXLAN_LOCAL6 } else { IFLA_VXLAN_LOCAL }, &octets(*local));
                out.put(IFLA_VXLAN_LEARNING, &[0]);
                out.put(IFLA_VXLAN_PORT, &vxlan.port.to_be_bytes());
                out.put(IFLA_VXLAN_UDP_CSUM, &[1]);
            });
        });
    })
}

fn why_not_created(device: &Device, refusal: &Refusal) -> Trouble {
    let Vxlan { vni, port } = device.vxlan;
    Trouble::other(match refusal.errno {
        Errno::EXIST => format!(
            "cannot create {}: another device here has VNI {vni} at port {port}; give FabricConfig another vxlan.vni",
            Device::interface()
        ),
        Errno::OPNOTSUPP => format!("cannot create {}: this kernel knows no VXLAN (CONFIG_VXLAN)", Device::interface()),
        _ => format!("cannot create {}: {refusal}", Device::interface()),
    })
}

fn at_its_port(device: &Device, refusal: &Refusal) -> String {
    match refusal.errno {
        Errno::ADDRINUSE => format!(
            "UDP port {} is another program's, or a device's with other settings; give FabricConfig another vxlan.port",
            device.vxlan.port
        ),
        _ => refusal.to_string(),
    }
}

/// Removes the device, and what leads through it; one that is gone already is as well.
pub(super) fn remove(departures: &mut Departures) -> Result<(), Trouble> {
    link::delete(departures, &Device::interface())
}

/// Has the device send what is for a MAC to a host.
pub(super) fn set_entry(route: &mut Conversation, mac: Mac, remote: IpAddr) -> Result<(), Trouble> {
    let set = link::index(route, Device::interface().as_str()).and_then(|index| {
        route.request(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, &head(index), |out| {
            out.put(NDA_LLADDR, &mac.0);
            out.put(NDA_DST, &octets(remote));
        })
    });
    set.map_err(|refusal| Trouble::other(format!("cannot forward {mac} to {remote}: {refusal}")))
}

/// Has it know nothing of a MAC; one that it does not know is as well.
pub(super) fn remove_entry(route: &mut Conversation, mac: Mac) -> Result<(), Trouble> {
    let removed = link::index(route, Device::interface().as_str())
        .and_then(|index| route.request(RTM_DELNEIGH, 0, &head(index), |out| out.put(NDA_LLADDR, &mac.0)));
    match removed {
        Err(refusal) if !matches!(refusal.errno, Errno::NOENT | Errno::NODEV) => {
            Err(Trouble::other(format!("cannot remove the forwarding of {mac}: {refusal}")))
        }
        _ => Ok(()),
    }
}

/// What of a device with our name is as we make them: its identifier, port and local address, from `IFLA_LINKINFO`.
pub(super) fn parse(link_info: &[u8]) -> Option<(Vxlan, IpAddr)> {
    let data = attribute(link_info, IFLA_INFO_DATA)?;
    let flag = |kind| attribute(data, kind).is_some_and(|value| value != [0]);
    let vni = u32_at(attribute(data, IFLA_VXLAN_ID)?, 0)?;
    let port = u16::from_be_bytes(attribute(data, IFLA_VXLAN_PORT)?.try_into().ok()?);
    let local = [IFLA_VXLAN_LOCAL, IFLA_VXLAN_LOCAL6].into_iter().find_map(|kind| attribute(data, kind));
    let is_ours = !flag(IFLA_VXLAN_LEARNING) && !flag(IFLA_VXLAN_COLLECT_METADATA);
    local.and_then(address::parse).filter(|_| is_ours).map(|local| (Vxlan { vni, port }, local))
}

/// Its forwarding entries.
pub(super) fn read_entries(conversation: &mut Conversation, index: u32) -> Result<Vec<(Mac, IpAddr)>, Refusal> {
    let mut head = [0; HEAD_OCTETS];
    head[0] = AF_BRIDGE;
    head[4..8].copy_from_slice(&index.to_ne_bytes());
    conversation.dump(
        RTM_GETNEIGH,
        &head,
        |_| {},
        |entries: &mut Vec<_>, payload| entries.extend(parse_entry(payload, index)),
    )
}

fn parse_entry(payload: &[u8], index: u32) -> Option<(Mac, IpAddr)> {
    let attributes = payload.get(HEAD_OCTETS..).filter(|_| u32_at(payload, 4) == Some(index))?;
    let mac = attribute(attributes, NDA_LLADDR)?.try_into().ok().map(Mac)?;
    Some((mac, attribute(attributes, NDA_DST).and_then(address::parse)?))
}

fn head(index: u32) -> [u8; HEAD_OCTETS] {
    let mut head = [0; HEAD_OCTETS];
    head[0] = AF_BRIDGE;
    head[4..8].copy_from_slice(&index.to_ne_bytes());
    head[8..10].copy_from_slice(&NUD_PERMANENT.to_ne_bytes());
    head[10] = NTF_SELF;
    head
}
