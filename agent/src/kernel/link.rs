//! Makes, raises and ends links.
//!
//! In: what link. Out: done, or why not. Knows nothing of addresses, routes and sysctls.
//! Header: linux/if_link.h, linux/veth.h, linux/rtnetlink.h (`struct ifinfomsg`).

use std::os::fd::{AsFd, AsRawFd};

use poplin_node::kernel::{NewLink, NewMacvlan, StepFailureKind};
use poplin_node::macvlan::MacvlanMode;
use poplin_policy::ruleset::Interface;
use rustix::io::Errno;

use super::departure::Departures;
use super::socket::{Conversation, Refusal};
use super::wire::{self, NLM_F_CREATE, NLM_F_EXCL, Writer};
use super::{Trouble, address, netns, tap};

pub(super) const RTM_NEWLINK: u16 = 16;
pub(super) const RTM_DELLINK: u16 = 17;
pub(super) const RTM_GETLINK: u16 = 18;

pub(super) const IFLA_ADDRESS: u16 = 1;
pub(super) const IFLA_IFNAME: u16 = 3;
pub(super) const IFLA_MTU: u16 = 4;
pub(super) const IFLA_LINKINFO: u16 = 18;
pub(super) const IFLA_INFO_KIND: u16 = 1;
pub(super) const IFLA_INFO_DATA: u16 = 2;
pub(super) const IFLA_GROUP: u16 = 27;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_LINK: u16 = 5;
const VETH_INFO_PEER: u16 = 1;
const IFLA_PROTO_DOWN: u16 = 39;
const IFLA_MACVLAN_MODE: u16 = 1;
/// `enum macvlan_mode`: what comes from sources that were listed is taken, and nothing else.
const MACVLAN_MODE_SOURCE: u32 = 16;

/// Administratively up (linux/if.h).
pub(super) const IFF_UP: u32 = 1;

/// Octets of `struct ifinfomsg`: family, pad, type, index, flags, change mask.
pub(super) const HEAD_OCTETS: usize = 16;

/// Makes a link, or takes over the tap that is to be one.
pub(super) fn create(route: &mut Conversation, new: &NewLink) -> Result<(), Trouble> {
    match &new.macvlan {
        Some(macvlan) => create_macvlan(route, new, macvlan)?,
        None if new.is_tap() => tap::take_over(route, new)?,
        None => create_pair(route, new)?,
    }
    new.gateway_v6.map_or(Ok(()), |gateway| address::add_link_gateway(route, &new.interface, gateway))
}

/// Makes the container's interface on another one, for its runtime to take it from here. It is closed: in mode `source` without any source it
/// receives nothing, and held down by protocol it sends nothing, whoever raises it wherever
/// (linux drivers/net/macvlan.c, `macvlan_handle_frame`; net/core/dev.c, `dev_change_proto_down`).
fn create_macvlan(route: &mut Conversation, new: &NewLink, macvlan: &NewMacvlan) -> Result<(), Trouble> {
    let NewMacvlan { parent, group } = macvlan;
    let cannot =
        |refusal: Refusal| Trouble::other(format!("cannot create macvlan {} on {parent}: {refusal}", new.interface));
    let parent_index = index(route, parent.as_str()).map_err(cannot)?;
    let made = route.request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &head(0, 0), |out| {
        out.put_text(IFLA_IFNAME, new.interface.as_str());
        out.put(IFLA_ADDRESS, &new.container_mac.0);
        out.put_u32(IFLA_MTU, new.mtu_bytes);
        out.put_u32(IFLA_LINK, parent_index);
        out.put_u32(IFLA_GROUP, *group);
        put_macvlan_mode(out, MACVLAN_MODE_SOURCE);
    });
    made.map_err(cannot)?;
    let own = index(route, new.interface.as_str()).map_err(cannot)?;
    hold_down(route, own, true).map_err(cannot)
}

/// Has a macvlan, by its index, send and receive from now on.
pub(super) fn open_macvlan(route: &mut Conversation, index: u32, mode: MacvlanMode) -> Result<(), Refusal> {
    let mode = match mode {
        MacvlanMode::Private => 1,
        MacvlanMode::Vepa => 2,
        MacvlanMode::Bridge => 4,
    };
    route.request(RTM_NEWLINK, 0, &head(index, 0), |out| put_macvlan_mode(out, mode))?;
    hold_down(route, index, false)
}

fn hold_down(route: &mut Conversation, index: u32, is_down: bool) -> Result<(), Refusal> {
    route.request(RTM_NEWLINK, 0, &head(index, 0), |out| out.put(IFLA_PROTO_DOWN, &[u8::from(is_down)]))
}

fn put_macvlan_mode(out: &mut Writer, mode: u32) {
    out.nest(IFLA_LINKINFO, |out| {
        out.put_text(IFLA_INFO_KIND, "macvlan");
        out.nest(IFLA_INFO_DATA, |out| out.put_u32(IFLA_MACVLAN_MODE, mode));
    });
}

/// Makes a veth pair. The far end is born in its namespace with its final name and address, so it is never seen here; unless a runtime is to
/// take it from here.
fn create_pair(route: &mut Conversation, new: &NewLink) -> Result<(), Trouble> {
    let stays_here = new.netns.as_os_str().is_empty();
    let netns = (!stays_here).then(|| netns::open(&new.netns)).transpose()?;
    let put_end = |out: &mut Writer, name: &str, mac: [u8; 6]| {
        out.put_text(IFLA_IFNAME, name);
        out.put(IFLA_ADDRESS, &mac);
        out.put_u32(IFLA_MTU, new.mtu_bytes);
    };
    let made = route.request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &head(0, 0), |out| {
        put_end(out, new.interface.as_str(), new.mac.0);
        out.nest(IFLA_LINKINFO, |out| {
            out.put_text(IFLA_INFO_KIND, "veth");
            out.nest(IFLA_INFO_DATA, |out| {
                out.nest(VETH_INFO_PEER, |out| {
                    out.raw(&head(0, 0));
                    put_end(out, &new.container_interface, new.container_mac.0);
                    if let Some(netns) = &netns {
                        out.put_u32(IFLA_NET_NS_FD, netns.as_fd().as_raw_fd().cast_unsigned());
                    }
                });
            });
        });
    });
    made.map_err(|refusal| why_not_created(route, new, netns.as_ref(), &refusal))
}

/// The kernel says `EEXIST` for either name and `EINVAL` for a namespace of another kind, among other things.
fn why_not_created(route: &mut Conversation, new: &NewLink, netns: Option<impl AsFd>, refusal: &Refusal) -> Trouble {
    let host_side_stands = index(route, new.interface.as_str()).is_ok();
    let (kind, reason) = match refusal.errno {
        Errno::EXIST if host_side_stands => {
            (StepFailureKind::Other, format!("interface {} exists on the host", new.interface))
        }
        Errno::EXIST => (
            StepFailureKind::InterfaceExists,
            format!("interface {} exists in {}", new.container_interface, new.netns.display()),
        ),
        Errno::INVAL if netns.is_some_and(|netns| !netns::is_network(route, netns)) => {
            (StepFailureKind::NotANamespace, format!("{} is a namespace, but not of the network", new.netns.display()))
        }
        _ => (StepFailureKind::Other, format!("cannot create interface {}: {refusal}", new.interface)),
    };
    Trouble { kind, reason }
}

/// Raises a link.
pub(super) fn raise(route: &mut Conversation, name: &str) -> Result<(), Trouble> {
    route
        .request(RTM_NEWLINK, 0, &head(0, IFF_UP), |out| out.put_text(IFLA_IFNAME, name))
        .map_err(|refusal| Trouble::other(format!("cannot raise interface {name}: {refusal}")))
}

/// Ends a link, and with a veth its far end; one that is gone already is as well.
pub(super) fn delete(departures: &mut Departures, interface: &Interface) -> Result<(), Trouble> {
    match departures.delete(interface) {
        Err(refusal) if refusal.errno != Errno::NODEV => {
            Err(Trouble::other(format!("cannot delete interface {interface}: {refusal}")))
        }
        _ => Ok(()),
    }
}

/// The index of the interface with this name.
pub(super) fn index(route: &mut Conversation, name: &str) -> Result<u32, Refusal> {
    let mut index = None;
    route.get(
        RTM_GETLINK,
        &head(0, 0),
        |out| {
            out.put_text(IFLA_IFNAME, name);
            out.put_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
        },
        |message| index = wire::u32_at(message.payload, 4),
    )?;
    index.ok_or(Refusal { errno: Errno::NODEV, explanation: None })
}

pub(super) const IFLA_EXT_MASK: u16 = 29;
/// Leaves out the counters, most of what a description of a link is (linux/rtnetlink.h).
pub(super) const RTEXT_FILTER_SKIP_STATS: u32 = 1 << 3;

/// `struct ifinfomsg`: the link by index, or by name in the attributes if 0, and which flags to set.
pub(super) fn head(index: u32, flags: u32) -> [u8; HEAD_OCTETS] {
    let mut head = [0; HEAD_OCTETS];
    head[4..8].copy_from_slice(&index.to_ne_bytes());
    head[8..12].copy_from_slice(&flags.to_ne_bytes());
    head[12..16].copy_from_slice(&flags.to_ne_bytes());
    head
}
