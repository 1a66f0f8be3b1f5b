//! Reads what the kernel holds, in ten dumps and two files; of a tunnel in five more.
//!
//! In: nothing. Out: [`KernelState`]. Knows nothing of what ought to be there.
//! A link's switches come with the link (`IFLA_AF_SPEC`), so that no file is opened for any of thousands of links.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use poplin_bgp::{Address, Zone};
use poplin_node::kernel::{
    Device, DeviceState, Gateway, INTERFACE_PREFIX, KernelState, LinkState, Mac, NextHopId, ROUTE_PROTOCOL, Target,
    UnderlayRoute,
};
use poplin_policy::ruleset::Interface;
use rustix::io::Errno;

use super::address::{self, AF_INET, AF_INET6, LINK_GATEWAY};
use super::socket::{Conversation, Refusal};
use super::wire::{self, attribute, attributes, u16_at, u32_at};
use super::{detour, link, neighbour, next_hop, route, sysctl, tunnel};

const IFLA_AF_SPEC: u16 = 26;
const IFLA_INET_CONF: u16 = 1;
const IFLA_INET6_CONF: u16 = 2;
/// Place in `IFLA_INET6_CONF` of the switch that turns IPv6 off (linux kernel include/uapi/linux/ipv6.h, `DEVCONF_DISABLE_IPV6`).
const DEVCONF_DISABLE_IPV6: usize = 26;

/// The interface is gone or down: the route leads nowhere (`RTNH_F_DEAD`).
const RTNH_F_DEAD: u32 = 1;
/// A copy made for one flow, no route (`RTM_F_CLONED`).
pub(super) const RTM_F_CLONED: u32 = 0x200;

/// Reads everything.
pub(super) fn read(conversation: &mut Conversation) -> io::Result<KernelState> {
    let all_links = read_links(conversation)?;
    let addresses = read_addresses(conversation)?;
    let neighbours = read_neighbours(conversation)?;
    let proxies = read_proxies(conversation)?;
    let mut routes = read_table(conversation, AF_INET, route::RT_TABLE_MAIN.into())?;
    routes.extend(read_table(conversation, AF_INET6, route::RT_TABLE_MAIN.into())?);

    let next_hops = next_hop::read(conversation)?;

    let ours = |index: u32| all_links.get(&index).and_then(|found| found.ours.as_ref());
    let mut state = KernelState { is_forwarding_off: sysctl::is_forwarding_off(), ..KernelState::default() };
    state.has_next_hops = next_hops.is_some();
    for found in next_hops.into_iter().flatten() {
        match found {
            next_hop::Found::Ours(id, next_hop) => drop(state.next_hops.insert(id, next_hop)),
            next_hop::Found::Foreign(id) => drop(state.foreign_next_hops.insert(id)),
        }
    }
    state.dark = all_links.iter().filter(|(_, found)| found.is_dark).map(|(index, _)| *index).collect();
    for (index, found) in &all_links {
        match &found.ours {
            Some(interface) => {
                let has_gateway = !found.has_ipv6 || addresses.contains(&(*index, LINK_GATEWAY.into()));
                let link = LinkState { is_configured: found.state.is_configured && has_gateway, ..found.state.clone() };
                state.links.insert(interface.clone(), link);
            }
            None if let Some(device) = &found.tunnel => {
                state.tunnel = Some(DeviceState { index: *index, ..device.clone() });
                state.fdb = tunnel::read_entries(conversation, *index)?.into_iter().collect();
            }
            None => {
                state.mtus.insert(found.name.clone(), found.state.mtu_bytes);
                state.interfaces.extend(Interface::new(&found.name).map(|name| (name, *index)));
                let zone = Zone::new(&found.name).filter(|_| found.is_live);
                state.live.extend(zone.map(|zone| (zone, *index)));
            }
        }
    }
    for (index, address) in addresses {
        state.local.insert(address);
        match all_links.get(&index) {
            Some(found) if found.is_loopback && is_link_local(address) => {
                state.gateways.insert(address);
            }
            Some(found) if !found.is_loopback && found.ours.is_none() && !is_link_local_6(address) => {
                state.addresses.insert(address, found.name.clone());
            }
            _ => {}
        }
    }
    for Neighbour { index, address, mac } in neighbours {
        let is_tunnel = || all_links.get(&index).is_some_and(|found| found.tunnel.is_some());
        let interface = ours(index).cloned().or_else(|| is_tunnel().then(Device::interface));
        if let Some(interface) = interface {
            state.neighbours.insert((interface, address), mac);
        }
    }
    for (index, address) in proxies {
        if let Some(found) = all_links.get(&index)
            && let Some(uplink) = Interface::new(&found.name)
        {
            state.proxied.insert((uplink, address), address.is_ipv4() || found.answers_for_others);
        }
    }
    state.tunnel_rules = detour::read_rules(conversation)?;
    if state.tunnel.is_some() {
        state.tunnel_hosts = detour::read_hosts(conversation)?;
    }
    let mut metrics = BTreeMap::new();
    for found in routes {
        if found.protocol == ROUTE_PROTOCOL {
            let name = found.interface.and_then(|index| all_links.get(&index)).map(|link| link.name.as_str());
            let leads_home = found.gateways.iter().all(|gateway| gateway.interface.and_then(ours).is_some());
            if let Some(target) = target(&found, name, leads_home) {
                state.put_route(found.destination, target, found.source);
            }
        } else if found.kind == route::RTN_UNICAST
            && found.interface.and_then(ours).is_none()
            && !is_link_local_6(found.destination.addr())
            && metrics.get(&found.destination).is_none_or(|metric| found.metric < *metric)
        {
            metrics.insert(found.destination, found.metric);
            let via = by_links(&found.gateways, &all_links);
            let way = match found.interface.filter(|_| via.is_empty()) {
                Some(interface) => UnderlayRoute::OnLink(interface),
                None => UnderlayRoute::Via(via),
            };
            state.underlay.insert(found.destination, way);
        }
    }
    Ok(state)
}

/// Gateways with the names of their links, where these give them a meaning.
fn by_links(gateways: &BTreeSet<Gateway>, links: &BTreeMap<u32, Link>) -> BTreeSet<Address> {
    let zone = |index: Option<u32>| Zone::new(&links.get(&index?)?.name);
    gateways.iter().map(|gateway| Address::new(gateway.address, zone(gateway.interface))).collect()
}

/// Where one of our routes leads; nothing for a kind we never write. `leads_home`: all its gateways are on links of ours.
fn target(found: &Route, interface: Option<&str>, leads_home: bool) -> Option<Target> {
    match found.kind {
        route::RTN_BLACKHOLE => Some(Target::Blackhole),
        route::RTN_UNICAST if let Some(group) = found.group => Some(Target::Group(group)),
        route::RTN_UNICAST if found.gateways.is_empty() => Some(Target::Link(Interface::new(interface?)?)),
        route::RTN_UNICAST if leads_home => Some(Target::Endpoints(found.gateways.clone())),
        route::RTN_UNICAST => Some(Target::Gateways(found.gateways.clone())),
        _ => None,
    }
}

struct Link {
    name: String,
    /// Its name, if it is a veth of ours, a tap, or a macvlan that waits to be taken.
    ours: Option<Interface>,
    /// The device of our tunnels, if it is that.
    tunnel: Option<DeviceState>,
    is_loopback: bool,
    /// Whether packets of IPv6 can pass now.
    is_live: bool,
    has_ipv6: bool,
    /// Whether its proxy neighbours of IPv6 are answered for.
    answers_for_others: bool,
    /// Lowered, or without carrier.
    is_dark: bool,
    /// Not looked at for links of others, but for the MTU. `is_configured` says nothing yet of the gateway address.
    state: LinkState,
}

fn read_links(conversation: &mut Conversation) -> Result<BTreeMap<u32, Link>, Refusal> {
    conversation.dump(
        link::RTM_GETLINK,
        &link::head(0, 0),
        |out| out.put_u32(link::IFLA_EXT_MASK, link::RTEXT_FILTER_SKIP_STATS),
        |links: &mut BTreeMap<_, _>, payload| {
            if let Some(link) = parse_link(payload) {
                links.insert(link.state.index, link);
            }
        },
    )
}

fn parse_link(payload: &[u8]) -> Option<Link> {
    const IFF_LOOPBACK: u32 = 0x8;
    /// Up, and so is what is below it: there is a carrier.
    const IFF_RUNNING: u32 = 0x40;
    /// Carrier is on (linux/if.h).
    const IFF_LOWER_UP: u32 = 1 << 16;
    let index = u32_at(payload, 4)?;
    let flags = u32_at(payload, 8)?;
    let (mut name, mut mac, mut mtu_bytes, mut is_of_our_kind) = (None, Mac([0; 6]), 0, false);
    let (mut conf_4, mut conf_6, mut vxlan) = (None, None, None);
    for (kind, value) in attributes(payload.get(link::HEAD_OCTETS..)?) {
        match kind {
            link::IFLA_IFNAME => name = wire::text(value),
            link::IFLA_ADDRESS => mac = value.try_into().map_or(mac, Mac),
            link::IFLA_MTU => mtu_bytes = u32_at(value, 0)?,
            link::IFLA_LINKINFO => {
                let kind = attribute(value, link::IFLA_INFO_KIND).and_then(wire::text);
                vxlan = Some(value).filter(|_| kind == Some("vxlan")).and_then(tunnel::parse);
                is_of_our_kind = matches!(kind, Some("veth" | "tun" | "macvlan"));
            }
            IFLA_AF_SPEC => {
                conf_4 = attribute(value, AF_INET.into()).and_then(|family| attribute(family, IFLA_INET_CONF));
                conf_6 = attribute(value, AF_INET6.into()).and_then(|family| attribute(family, IFLA_INET6_CONF));
            }
            _ => {}
        }
    }
    let name = name?.to_owned();
    let conf_6 = conf_6.filter(|conf| u32_at(conf, DEVCONF_DISABLE_IPV6 * 4) == Some(0));
    let holds = |conf: &[u8], wanted: &[(&str, usize, u32)]| {
        wanted.iter().all(|(_, place, value)| u32_at(conf, place * 4) == Some(*value))
    };
    let is_configured = conf_4.is_some_and(|conf| holds(conf, &sysctl::LINK_4))
        && conf_6.is_none_or(|conf| holds(conf, &sysctl::LINK_6));
    let is_up = flags & link::IFF_UP != 0;
    let tunnel = (name == Device::interface().as_str()).then(|| {
        let is_set = conf_4.is_some_and(|conf| holds(conf, &sysctl::TUNNEL_4))
            && conf_6.is_none_or(|conf| holds(conf, &sysctl::LINK_6));
        let device = vxlan.map(|(vxlan, local)| Device { vxlan, local, mac, mtu_bytes });
        DeviceState { index, device, is_configured: is_up && is_set }
    });
    let has_loopback = conf_4.is_some_and(|conf| u32_at(conf, sysctl::LOOPBACK.1 * 4) == Some(1));
    Some(Link {
        ours: Some(&name).filter(|name| is_of_our_kind && name.starts_with(INTERFACE_PREFIX)).and_then(Interface::new),
        name,
        tunnel,
        is_loopback: flags & IFF_LOOPBACK != 0,
        is_live: flags & IFF_LOOPBACK == 0 && flags & link::IFF_UP != 0 && flags & IFF_RUNNING != 0 && conf_6.is_some(),
        has_ipv6: conf_6.is_some(),
        answers_for_others: conf_6.is_some_and(|conf| u32_at(conf, sysctl::PROXY_6.1 * 4) == Some(1)),
        is_dark: flags & (link::IFF_UP | IFF_LOWER_UP) != link::IFF_UP | IFF_LOWER_UP,
        state: LinkState { index, is_up, mac, mtu_bytes, is_configured, has_loopback },
    })
}

/// Addresses that can be used, with the index of their link.
fn read_addresses(conversation: &mut Conversation) -> Result<BTreeSet<(u32, IpAddr)>, Refusal> {
    conversation.dump(
        address::RTM_GETADDR,
        &[0; address::HEAD_OCTETS],
        |_| {},
        |addresses: &mut BTreeSet<_>, payload| addresses.extend(parse_address(payload)),
    )
}

fn parse_address(payload: &[u8]) -> Option<(u32, IpAddr)> {
    let index = u32_at(payload, 4)?;
    let (mut local, mut address, mut flags) = (None, None, u32::from(*payload.get(2)?));
    for (kind, value) in attributes(payload.get(address::HEAD_OCTETS..)?) {
        match kind {
            // On a point-to-point link the other attribute is the far end.
            address::IFA_LOCAL => local = address::parse(value),
            address::IFA_ADDRESS => address = address::parse(value),
            address::IFA_FLAGS => flags = u32_at(value, 0)?,
            _ => {}
        }
    }
    let is_usable = flags & (address::IFA_F_TENTATIVE | address::IFA_F_DADFAILED) == 0;
    local.or(address).filter(|_| is_usable).map(|address| (index, address))
}

struct Neighbour {
    index: u32,
    address: IpAddr,
    mac: Mac,
}

/// Permanent entries.
fn read_neighbours(conversation: &mut Conversation) -> Result<Vec<Neighbour>, Refusal> {
    conversation.dump(
        neighbour::RTM_GETNEIGH,
        &[0; neighbour::HEAD_OCTETS],
        |_| {},
        |neighbours: &mut Vec<_>, payload| neighbours.extend(parse_neighbour(payload)),
    )
}

/// The proxy entries that are ours, each with the index of its link.
pub(super) fn read_proxies(conversation: &mut Conversation) -> Result<BTreeSet<(u32, IpAddr)>, Refusal> {
    let mut head = [0; neighbour::HEAD_OCTETS];
    head[10] = neighbour::NTF_PROXY;
    conversation.dump(
        neighbour::RTM_GETNEIGH,
        &head,
        |_| {},
        |proxies: &mut BTreeSet<_>, payload| proxies.extend(parse_proxy(payload)),
    )
}

fn parse_proxy(payload: &[u8]) -> Option<(u32, IpAddr)> {
    let index = u32_at(payload, 4)?;
    let octets = payload.get(neighbour::HEAD_OCTETS..)?;
    let is_ours = attribute(octets, neighbour::NDA_PROTOCOL) == Some(&[ROUTE_PROTOCOL]);
    let address = attribute(octets, neighbour::NDA_DST).and_then(address::parse);
    address
        .filter(|_| is_ours && payload.get(10).is_some_and(|flags| flags & neighbour::NTF_PROXY != 0))
        .map(|address| (index, address))
}

fn parse_neighbour(payload: &[u8]) -> Option<Neighbour> {
    let index = u32_at(payload, 4)?;
    let state = u16_at(payload, 8)?;
    let (mut address, mut mac) = (None, None);
    for (kind, value) in attributes(payload.get(neighbour::HEAD_OCTETS..)?) {
        match kind {
            neighbour::NDA_DST => address = address::parse(value),
            neighbour::NDA_LLADDR => mac = value.try_into().ok().map(Mac),
            _ => {}
        }
    }
    (state & neighbour::NUD_PERMANENT != 0).then_some(Neighbour { index, address: address?, mac: mac? })
}

pub(super) struct Route {
    pub(super) destination: IpNet,
    pub(super) protocol: u8,
    kind: u8,
    metric: u32,
    interface: Option<u32>,
    pub(super) gateways: BTreeSet<Gateway>,
    /// A group of ours it points at.
    group: Option<NextHopId>,
    /// The address the host itself speaks under by it.
    source: Option<IpAddr>,
}

/// Routes of a table.
pub(super) fn read_table(conversation: &mut Conversation, family: u8, table: u32) -> Result<Vec<Route>, Refusal> {
    let mut head = [0; route::HEAD_OCTETS];
    head[0] = family;
    match conversation.dump(
        route::RTM_GETROUTE,
        &head,
        |out| out.put_u32(route::RTA_TABLE, table),
        |routes: &mut Vec<_>, payload| {
            routes.extend(parse_route(payload, family, table));
        },
    ) {
        // A table comes into being with its first route.
        Err(refusal) if matches!(refusal.errno, Errno::NOENT | Errno::AFNOSUPPORT | Errno::OPNOTSUPP) => Ok(Vec::new()),
        routes => routes,
    }
}

fn parse_route(payload: &[u8], family: u8, asked: u32) -> Option<Route> {
    let &[found_family, destination_bits, _, _, table, protocol, _, kind, ..] = payload else { return None };
    let flags = u32_at(payload, 8)?;
    let mut table = u32::from(table);
    let mut destination = match family {
        AF_INET => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        _ => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let (mut metric, mut interface, mut gateways, mut group, mut source) = (0, None, BTreeSet::new(), None, None);
    for (attribute, value) in attributes(payload.get(route::HEAD_OCTETS..)?) {
        match attribute {
            route::RTA_DST => destination = address::parse(value)?,
            route::RTA_TABLE => table = u32_at(value, 0)?,
            route::RTA_PRIORITY => metric = u32_at(value, 0)?,
            route::RTA_PREFSRC => source = address::parse(value),
            route::RTA_OIF => interface = u32_at(value, 0),
            route::RTA_NH_ID => group = NextHopId::new(u32_at(value, 0)?),
            route::RTA_MULTIPATH => {
                for (index, hop) in next_hops(value) {
                    interface = interface.or(Some(index));
                    gateways.extend(gateway(hop, Some(index)));
                }
            }
            _ => {}
        }
    }
    gateways.extend(gateway(payload.get(route::HEAD_OCTETS..)?, interface));
    let is_asked_for = found_family == family && table == asked;
    let is_standing = flags & (RTNH_F_DEAD | RTM_F_CLONED) == 0;
    let destination = IpNet::new(destination, destination_bits).ok()?;
    (is_asked_for && is_standing).then_some(Route {
        destination,
        protocol,
        kind,
        metric,
        interface,
        gateways,
        group,
        source,
    })
}

/// Interface and attributes of each next hop of a multipath route.
fn next_hops(mut octets: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(octets, 0)?);
        let hop = (u32_at(octets, 4)?, octets.get(route::NEXT_HOP_OCTETS..length)?);
        octets = octets.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(hop)
    })
}

fn gateway(octets: &[u8], interface: Option<u32>) -> Option<Gateway> {
    let address = attributes(octets).find_map(|(kind, value)| match kind {
        route::RTA_GATEWAY => address::parse(value),
        route::RTA_VIA => address::parse(value.get(2..)?),
        _ => None,
    });
    address.map(|address| Gateway { address, interface })
}

/// 169.254.0.0/16 (RFC 3927) or fe80::/10 (RFC 4291 §2.5.6).
fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(_) => is_link_local_6(address),
    }
}

/// Means nothing without its link, and every link has some: of no use to a plan.
fn is_link_local_6(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}
