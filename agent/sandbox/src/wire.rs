//! Puts addresses, neighbour entries and routes where a wiring wants them, in an order in which each step can succeed.
//!
//! In: a netlink connection inside the namespace, and a wiring. Out: the same state, however often it is run.

use std::net::IpAddr;

use netlink_packet_route::address::AddressHeaderFlags;
use netlink_packet_route::route::{RouteMessage, RouteScope};
use rtnetlink::{Handle, LinkUnspec, RouteMessageBuilder};

use crate::seen::{failed, is_link_local_v6, link, routes};
use crate::{SandboxError, Wiring};

/// Addresses come before the link, so that none is tentative when it rises; routes after it, for they need it up.
pub(crate) async fn wire(handle: &Handle, wiring: &Wiring) -> Result<(), SandboxError> {
    let loopback = index(handle, wiring, "lo").await?;
    let interface = index(handle, wiring, &wiring.interface).await?;
    raise(handle, loopback, "lo").await?;
    for address in wiring.service_addresses.iter().copied() {
        add_address(handle, loopback, address).await?;
    }
    for address in wiring.addresses.iter().copied() {
        add_address(handle, interface, address).await?;
    }
    raise(handle, interface, &wiring.interface).await?;
    for gateway in wiring.gateways.iter().copied() {
        add_neighbour(handle, interface, gateway, wiring.gateway_mac).await?;
        add_gateway_route(handle, interface, gateway).await?;
        add_default(handle, interface, gateway).await?;
    }
    Ok(())
}

async fn index(handle: &Handle, wiring: &Wiring, name: &str) -> Result<u32, SandboxError> {
    link(handle, name)
        .await?
        .map(|link| link.header.index)
        .ok_or_else(|| SandboxError::NoInterface { interface: name.to_owned(), netns: wiring.netns.clone() })
}

async fn raise(handle: &Handle, index: u32, name: &str) -> Result<(), SandboxError> {
    let up = LinkUnspec::new_with_index(index).up().build();
    handle.link().set(up).execute().await.map_err(|source| failed(format!("raise interface {name}"), source))
}

/// Duplicate address detection is off: the fabric gives each address once, and its second of waiting would be the
/// container's first.
async fn add_address(handle: &Handle, index: u32, address: IpAddr) -> Result<(), SandboxError> {
    let mut request = handle.address().add(index, address, host_bits(address)).replace();
    if address.is_ipv6() {
        request.message_mut().header.flags |= AddressHeaderFlags::Nodad;
    }
    request.execute().await.map_err(|source| failed(format!("add address {address}"), source))
}

async fn add_neighbour(handle: &Handle, index: u32, gateway: IpAddr, mac: [u8; 6]) -> Result<(), SandboxError> {
    let request = handle.neighbours().add(index, gateway).link_layer_address(&mac).replace();
    request.execute().await.map_err(|source| failed(format!("add neighbour {gateway}"), source))
}

/// A link-local IPv6 gateway is on every link already.
async fn add_gateway_route(handle: &Handle, index: u32, gateway: IpAddr) -> Result<(), SandboxError> {
    if is_link_local_v6(gateway) {
        return Ok(());
    }
    put(handle, gateway_route(index, gateway)).await.map_err(|source| failed(format!("add route to {gateway}"), source))
}

/// A default over another interface belongs to another network of this container, and stays.
async fn add_default(handle: &Handle, index: u32, gateway: IpAddr) -> Result<(), SandboxError> {
    let is_foreign = |route: &crate::seen::Route| route.is_default_for(gateway) && route.interface != Some(index);
    if routes(handle).await?.iter().any(is_foreign) {
        return Ok(());
    }
    put(handle, default_route(index, gateway))
        .await
        .map_err(|source| failed(format!("add default route via {gateway}"), source))
}

fn gateway_route(index: u32, gateway: IpAddr) -> RouteMessage {
    match gateway {
        IpAddr::V4(gateway) => RouteMessageBuilder::<std::net::Ipv4Addr>::new()
            .destination_prefix(gateway, 32)
            .output_interface(index)
            .scope(RouteScope::Link)
            .build(),
        IpAddr::V6(gateway) => RouteMessageBuilder::<std::net::Ipv6Addr>::new()
            .destination_prefix(gateway, 128)
            .output_interface(index)
            .build(),
    }
}

fn default_route(index: u32, gateway: IpAddr) -> RouteMessage {
    match gateway {
        IpAddr::V4(gateway) => {
            RouteMessageBuilder::<std::net::Ipv4Addr>::new().gateway(gateway).output_interface(index).build()
        }
        IpAddr::V6(gateway) => {
            RouteMessageBuilder::<std::net::Ipv6Addr>::new().gateway(gateway).output_interface(index).build()
        }
    }
}

async fn put(handle: &Handle, route: RouteMessage) -> Result<(), rtnetlink::Error> {
    handle.route().add(route).replace().execute().await
}

fn host_bits(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}
