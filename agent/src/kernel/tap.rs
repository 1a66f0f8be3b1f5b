//! Takes over a tap that whoever attaches has made, as the host's side of a link.
//!
//! In: its name, and what it shall be. Out: it has our name and our MAC, and is found by its own all the same. Making one needs a device file, which
//! this process is kept from, and an owner, whom it does not know; what it does needs netlink alone.
//! Headers: linux/if_link.h, linux/rtnetlink.h; drivers/net/tun.c.

use poplin_node::kernel::{INTERFACE_PREFIX, NewLink};
use rustix::io::Errno;

use super::Trouble;
use super::link::{self, IFLA_ADDRESS, IFLA_IFNAME, IFLA_INFO_KIND, IFLA_LINKINFO, IFLA_MTU, RTM_GETLINK, RTM_NEWLINK};
use super::socket::{Conversation, Refusal};
use super::wire::{self, NLM_F_CREATE, NLM_F_EXCL, attribute};

/// Gives a link another name beside its own; Linux 5.5 and later.
const RTM_NEWLINKPROP: u16 = 108;
const IFLA_PROP_LIST: u16 = 52;
const IFLA_ALT_IFNAME: u16 = 53;

/// Name, MAC and MTU at once. It is down until the rules stand and the plan raises it.
pub(super) fn take_over(route: &mut Conversation, new: &NewLink) -> Result<(), Trouble> {
    let index = free_tap(route, new)?;
    let cannot = |refusal: Refusal| {
        let NewLink { interface, container_interface, .. } = new;
        Trouble::other(format!("cannot take over tap {container_interface} as {interface}: {refusal}"))
    };
    let renamed = route.request(RTM_NEWLINK, 0, &link::head(index, 0), |out| {
        out.put_text(IFLA_IFNAME, new.interface.as_str());
        out.put(IFLA_ADDRESS, &new.mac.0);
        out.put_u32(IFLA_MTU, new.mtu_bytes);
    });
    renamed.map_err(cannot)?;
    let named = route.request(RTM_NEWLINKPROP, NLM_F_CREATE | NLM_F_EXCL, &link::head(index, 0), |out| {
        out.nest(IFLA_PROP_LIST, |out| out.put_text(IFLA_ALT_IFNAME, &new.container_interface));
    });
    match named {
        // An older kernel: the machine has to be told our name for it.
        Err(refusal) if matches!(refusal.errno, Errno::OPNOTSUPP | Errno::INVAL) => Ok(()),
        named => named.map_err(cannot),
    }
}

/// The index of a tap that is nobody's endpoint.
fn free_tap(route: &mut Conversation, new: &NewLink) -> Result<u32, Trouble> {
    let asked = &new.container_interface;
    let mut found = None;
    let read = route.get(
        RTM_GETLINK,
        &link::head(0, 0),
        |out| out.put_text(IFLA_IFNAME, asked),
        |message| found = named_tap(message.payload),
    );
    match read {
        Ok(()) => {}
        Err(refusal) if refusal.errno == Errno::NODEV => {
            return Err(Trouble::other(format!(
                "there is no tap {asked} on the host: make it, or let `poplin attach` do so"
            )));
        }
        Err(refusal) => return Err(Trouble::other(format!("cannot read interface {asked}: {refusal}"))),
    }
    match found {
        Some((index, name)) if !name.starts_with(INTERFACE_PREFIX) => Ok(index),
        Some((_, name)) => Err(Trouble::other(format!("tap {asked} is {name} and an endpoint's already"))),
        None => Err(Trouble::other(format!("interface {asked} exists on the host and is not a tap"))),
    }
}

/// Index and name, if it is a tap.
fn named_tap(payload: &[u8]) -> Option<(u32, String)> {
    let attributes = payload.get(link::HEAD_OCTETS..)?;
    let kind = attribute(attributes, IFLA_LINKINFO).and_then(|info| attribute(info, IFLA_INFO_KIND));
    let name = attribute(attributes, IFLA_IFNAME).and_then(wire::text)?;
    (kind.and_then(wire::text) == Some("tun")).then_some((wire::u32_at(payload, 4)?, name.to_owned()))
}
