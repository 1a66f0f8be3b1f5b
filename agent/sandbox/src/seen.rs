//! Reads what stands in a namespace, and compares it with what should.
//!
//! In: a netlink connection inside the namespace, and a wiring. Out: what stands there, or how it differs.

use std::net::IpAddr;

use futures_util::TryStreamExt as _;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{LinkFlags, LinkMessage};
use netlink_packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage};
use rtnetlink::Handle;

use crate::{SandboxError, Wiring};

/// One way in which the container's side is not as it was furnished.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Finding {
    /// Nothing of that name is in the namespace.
    #[error("interface {interface} is missing")]
    NoInterface {
        /// Its name.
        interface: String,
    },
    /// The interface is there and not up.
    #[error("interface {interface} is down")]
    Down {
        /// Its name.
        interface: String,
    },
    /// The interface lacks an address.
    #[error("address {address} is missing")]
    NoAddress {
        /// The address.
        address: IpAddr,
    },
    /// No permanent neighbour entry ties the gateway to the host's MAC.
    #[error("the neighbour entry of gateway {gateway} is missing or wrong")]
    NoNeighbour {
        /// The gateway.
        gateway: IpAddr,
    },
    /// There is no way to the gateway over the interface.
    #[error("the route to gateway {gateway} is missing")]
    NoGatewayRoute {
        /// The gateway.
        gateway: IpAddr,
    },
    /// The interface sends as fast as it can, and should not.
    #[error("interface {interface} has lost its bandwidth limit")]
    Unbound {
        /// Its name.
        interface: String,
    },
    /// There is no default route of the gateway's family, over any interface.
    #[error("there is no default route for the family of {gateway}")]
    NoDefault {
        /// The gateway.
        gateway: IpAddr,
    },
}

/// A route of the main table, or of one for an interface of ours, cut down to what a wiring is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    /// None for a default route.
    pub(crate) destination: Option<IpAddr>,
    /// Index of the interface it leaves by; None for blackholes and multipath routes.
    pub(crate) interface: Option<u32>,
    table: u32,
    is_ipv4: bool,
}

impl Route {
    /// Whether it is the default of the family of `gateway`.
    pub(crate) fn is_default_for(&self, gateway: IpAddr) -> bool {
        self.is_main() && self.destination.is_none() && self.is_ipv4 == gateway.is_ipv4()
    }

    /// Whether everything is looked up by it, and not only what is sent from one address.
    pub(crate) fn is_main(&self) -> bool {
        self.table == u32::from(RouteHeader::RT_TABLE_MAIN)
    }
}

pub(crate) async fn inspect(handle: &Handle, wiring: &Wiring) -> Result<Vec<Finding>, SandboxError> {
    let interface = &wiring.interface;
    let Some(link) = link(handle, interface).await? else {
        return Ok(vec![Finding::NoInterface { interface: interface.clone() }]);
    };
    let mut findings = Vec::new();
    if !link.header.flags.contains(LinkFlags::Up) {
        findings.push(Finding::Down { interface: interface.clone() });
    }
    let index = link.header.index;
    findings.extend(missing_addresses(&addresses(handle, index).await?, wiring));
    findings.extend(gateway_findings(&routes(handle).await?, &neighbours(handle, index).await?, index, wiring));
    Ok(findings)
}

fn missing_addresses(seen: &[IpAddr], wiring: &Wiring) -> Vec<Finding> {
    let missing = wiring.addresses.iter().filter(|address| !seen.contains(address));
    missing.map(|address| Finding::NoAddress { address: *address }).collect()
}

fn gateway_findings(routes: &[Route], neighbours: &[(IpAddr, Vec<u8>)], index: u32, wiring: &Wiring) -> Vec<Finding> {
    let mut findings = Vec::new();
    for gateway in wiring.gateways.iter().copied() {
        if !neighbours.contains(&(gateway, wiring.gateway_mac.to_vec())) {
            findings.push(Finding::NoNeighbour { gateway });
        }
        let on_link = |route: &Route| route.destination == Some(gateway) && route.interface == Some(index);
        if !is_link_local_v6(gateway) && !routes.iter().any(on_link) {
            findings.push(Finding::NoGatewayRoute { gateway });
        }
        if !routes.iter().any(|route| route.is_default_for(gateway)) {
            findings.push(Finding::NoDefault { gateway });
        }
    }
    findings
}

/// The table of what is sent from the addresses of an interface beside which another has the default; far above tables with names.
pub(crate) fn own_table(index: u32) -> u32 {
    const FIRST: u32 = 77_000;
    FIRST + index
}

/// Whether every interface reaches the address without a route of its own: fe80::/10, RFC 4291 §2.5.6.
pub(crate) fn is_link_local_v6(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// The interface of that name, if there is one.
pub(crate) async fn link(handle: &Handle, name: &str) -> Result<Option<LinkMessage>, SandboxError> {
    const ENODEV: i32 = -19;
    match handle.link().get().match_name(name).execute().try_next().await {
        Err(rtnetlink::Error::NetlinkError(answer)) if answer.raw_code() == ENODEV => Ok(None),
        answer => answer.map_err(|source| failed(format!("read interface {name}"), source)),
    }
}

async fn addresses(handle: &Handle, index: u32) -> Result<Vec<IpAddr>, SandboxError> {
    let read = handle.address().get().set_link_index_filter(index).execute();
    let messages: Vec<AddressMessage> =
        read.try_collect().await.map_err(|source| failed("read addresses".to_owned(), source))?;
    Ok(messages.iter().flat_map(|message| &message.attributes).filter_map(address).collect())
}

fn address(attribute: &AddressAttribute) -> Option<IpAddr> {
    match attribute {
        AddressAttribute::Address(address) => Some(*address),
        _ => None,
    }
}

async fn neighbours(handle: &Handle, index: u32) -> Result<Vec<(IpAddr, Vec<u8>)>, SandboxError> {
    let read = handle.neighbours().get().execute();
    let messages: Vec<NeighbourMessage> =
        read.try_collect().await.map_err(|source| failed("read neighbours".to_owned(), source))?;
    let permanent = |message: &&NeighbourMessage| {
        message.header.ifindex == index && message.header.state == NeighbourState::Permanent
    };
    Ok(messages.iter().filter(permanent).filter_map(neighbour).collect())
}

fn neighbour(message: &NeighbourMessage) -> Option<(IpAddr, Vec<u8>)> {
    let (mut address, mut mac) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(found)) => address = Some(IpAddr::V4(*found)),
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(found)) => address = Some(IpAddr::V6(*found)),
            NeighbourAttribute::LinkLayerAddress(found) => mac = Some(found.clone()),
            _ => {}
        }
    }
    address.zip(mac)
}

/// Host routes and defaults of both families in the main table, and in those of single interfaces.
pub(crate) async fn routes(handle: &Handle) -> Result<Vec<Route>, SandboxError> {
    // Of no family: all of them in one answer (`rtnl_dump_all` of net/core/rtnetlink.c).
    let read = handle.route().get(RouteMessage::default()).execute();
    let messages: Vec<RouteMessage> =
        read.try_collect().await.map_err(|source| failed("read routes".to_owned(), source))?;
    Ok(messages.iter().filter_map(route).collect())
}

fn route(message: &RouteMessage) -> Option<Route> {
    let is_ipv4 = match message.header.address_family {
        AddressFamily::Inet => true,
        AddressFamily::Inet6 => false,
        _ => return None,
    };
    let host_bits = if is_ipv4 { 32 } else { 128 };
    let bits = message.header.destination_prefix_length;
    if bits != 0 && bits != host_bits {
        return None;
    }
    let mut route = Route { destination: None, interface: None, table: message.header.table.into(), is_ipv4 };
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(found)) => route.destination = Some(IpAddr::V4(*found)),
            RouteAttribute::Destination(RouteAddress::Inet6(found)) => route.destination = Some(IpAddr::V6(*found)),
            RouteAttribute::Oif(index) => route.interface = Some(*index),
            RouteAttribute::Table(table) => route.table = *table,
            _ => {}
        }
    }
    let is_own = route.interface.is_some_and(|index| route.table == own_table(index));
    (route.is_main() || is_own).then_some(route)
}

pub(crate) fn failed(step: String, source: rtnetlink::Error) -> SandboxError {
    SandboxError::Kernel { step, source }
}
