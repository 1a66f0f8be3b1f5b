//! Puts addresses, neighbour entries and routes where a wiring wants them, in an order in which each step can succeed.
//!
//! In: a netlink connection inside the namespace, and a wiring. Out: the same state, however often it is run.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use futures_util::future::{try_join, try_join_all, try_join5};
use netlink_packet_route::address::AddressHeaderFlags;
use netlink_packet_route::link::LinkMessage;
use netlink_packet_route::route::{RouteAttribute, RouteHeader, RouteMessage, RouteScope};
use netlink_packet_route::rule::RuleAction;
use rtnetlink::{Handle, LinkUnspec, RouteMessageBuilder};

use crate::carry::until_the_far_end_sends;
use crate::seen::{Route, failed, is_link_local_v6, link, own_table, routes};
use crate::{SandboxError, Wiring, netns};

/// `LOOPBACK_IFINDEX` of net/net_namespace.h: every namespace begins with it.
const LOOPBACK: u32 = 1;

/// A container's namespace, entered. What [`Self::prepared`] does needs no answer of the agent, so that it can be done while that works.
#[derive(Debug)]
pub struct Inside {
    netns: PathBuf,
    handle: Handle,
}

/// A container's namespace that waits for its interface: its loopback is up, and it is known which ways out it has already.
#[derive(Debug)]
pub struct Prepared {
    inside: Inside,
    routes: Vec<Route>,
}

impl Inside {
    /// Needs `CAP_SYS_ADMIN`, and a tokio runtime with IO and time. Refuses the caller's own namespace.
    pub fn enter(netns: &Path) -> Result<Self, SandboxError> {
        Ok(Self { netns: netns.to_owned(), handle: netns::connect(netns)? })
    }

    /// Raises the loopback and looks for other networks of the container. Needs `CAP_NET_ADMIN` in the namespace.
    pub async fn prepared(self) -> Result<Prepared, SandboxError> {
        let ((), routes) = try_join(raise(&self.handle, LOOPBACK, "lo"), routes(&self.handle)).await?;
        Ok(Prepared { inside: self, routes })
    }
}

impl Prepared {
    /// Furnishes the container's side: interface up, addresses, the gateway's neighbour entry, routes; and waits until the host's side sends.
    ///
    /// Idempotent: what already stands is left or replaced by the same. A default route over another interface stays the
    /// default, as with a second network of the same container; over this one goes what is sent from its own addresses, answers among it, and the gateway.
    ///
    /// Addresses come before the link, so that none is tentative when it rises; routes after it, for they need it up. What is asked at once the kernel does
    /// in the order in which it is polled for the first time, as all goes over one socket: waiting for each answer would take longer than the work.
    pub async fn wire(&self, wiring: &Wiring) -> Result<(), SandboxError> {
        let handle = &self.inside.handle;
        let own = self.named(&wiring.interface).await?;
        let index = own.header.index;
        let add_to = |index, addresses: &[IpAddr]| {
            try_join_all(addresses.iter().map(|address| add_address(handle, index, *address)).collect::<Vec<_>>())
        };
        let ways = wiring.gateways.iter().map(|gateway| self.lead_out(wiring, index, *gateway)).collect::<Vec<_>>();
        let carrying = async {
            until_the_far_end_sends(handle, &own).await;
            Ok(())
        };
        try_join5(
            add_to(LOOPBACK, &wiring.service_addresses),
            add_to(index, &wiring.addresses),
            raise(handle, index, &wiring.interface),
            try_join_all(ways),
            carrying,
        )
        .await?;
        Ok(())
    }

    async fn named(&self, name: &str) -> Result<LinkMessage, SandboxError> {
        let link = link(&self.inside.handle, name).await?;
        link.ok_or_else(|| SandboxError::NoInterface { interface: name.to_owned(), netns: self.inside.netns.clone() })
    }

    async fn lead_out(&self, wiring: &Wiring, index: u32, gateway: IpAddr) -> Result<(), SandboxError> {
        let neighbour = add_neighbour(&self.inside.handle, index, gateway, wiring.gateway_mac);
        try_join(neighbour, add_ways(&self.inside.handle, wiring, &self.routes, index, gateway)).await?;
        Ok(())
    }
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

/// A default over another interface belongs to another network of this container, or to another interface in the same, and stays; so does the
/// way to a gateway they share. What is sent from our addresses then has a table of its own.
async fn add_ways(
    handle: &Handle,
    wiring: &Wiring,
    routes: &[Route],
    index: u32,
    gateway: IpAddr,
) -> Result<(), SandboxError> {
    let foreign = || routes.iter().filter(|route| route.is_main() && route.interface != Some(index));
    let is_shared = foreign().any(|route| route.destination == Some(gateway));
    let is_second = foreign().any(|route| route.is_default_for(gateway));
    let main = u32::from(RouteHeader::RT_TABLE_MAIN);
    match (is_shared, is_second) {
        (false, false) => return add_way(handle, index, gateway, main).await,
        (true, false) => return add_default(handle, index, gateway, main).await,
        (false, true) => add_gateway_route(handle, index, gateway, main).await?,
        (true, true) => {}
    }
    let table = own_table(index);
    add_way(handle, index, gateway, table).await?;
    let own = wiring.addresses.iter().copied().filter(|address| address.is_ipv4() == gateway.is_ipv4());
    for address in own {
        add_rule(handle, address, table).await?;
    }
    Ok(())
}

/// The way to a gateway, and by it everywhere.
async fn add_way(handle: &Handle, index: u32, gateway: IpAddr, table: u32) -> Result<(), SandboxError> {
    let to_gateway = add_gateway_route(handle, index, gateway, table);
    try_join(to_gateway, add_default(handle, index, gateway, table)).await?;
    Ok(())
}

/// A link-local IPv6 gateway is on every link already.
async fn add_gateway_route(handle: &Handle, index: u32, gateway: IpAddr, table: u32) -> Result<(), SandboxError> {
    if is_link_local_v6(gateway) {
        return Ok(());
    }
    let route = within(gateway_route(index, gateway), table);
    put(handle, route).await.map_err(|source| failed(format!("add route to {gateway}"), source))
}

async fn add_default(handle: &Handle, index: u32, gateway: IpAddr, table: u32) -> Result<(), SandboxError> {
    let route = within(default_route(index, gateway), table);
    put(handle, route).await.map_err(|source| failed(format!("add default route via {gateway}"), source))
}

fn within(mut route: RouteMessage, table: u32) -> RouteMessage {
    match u8::try_from(table) {
        Ok(table) => route.header.table = table,
        Err(_) => {
            route.header.table = RouteHeader::RT_TABLE_UNSPEC;
            route.attributes.push(RouteAttribute::Table(table));
        }
    }
    route
}

/// What is sent from the address leaves by the table: over another interface its host would drop it as forged.
async fn add_rule(handle: &Handle, address: IpAddr, table: u32) -> Result<(), SandboxError> {
    const EEXIST: i32 = -17;
    // Before the main table's, 32766; one that the kernel chooses would be another each time, and never there already.
    const PRIORITY: u32 = 7_700;
    let rule = handle.rule().add().table_id(table).priority(PRIORITY).action(RuleAction::ToTable);
    let added = match address {
        IpAddr::V4(address) => rule.v4().source_prefix(address, 32).execute().await,
        IpAddr::V6(address) => rule.v6().source_prefix(address, 128).execute().await,
    };
    match added {
        Err(rtnetlink::Error::NetlinkError(answer)) if answer.raw_code() == EEXIST => Ok(()),
        added => added.map_err(|source| failed(format!("add a rule for what is sent from {address}"), source)),
    }
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
