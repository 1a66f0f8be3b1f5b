//! Which BGP neighbours this host should have, and what it should tell them.
//!
//! In: the store as last heard, this host's own record, the kernel as last seen. Out: neighbours and prefixes. Sessions live in
//! the `bgp` crate; what is exchanged over them stands in `terms.rs`.

pub(crate) mod callers;
mod met;
mod terms;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use poplin_bgp::bfd::{Path, Settings};
use poplin_bgp::wire::{AddPaths, Family};
use poplin_bgp::{
    Address, Asn, BfdConfig, Exchange, Monitoring, Multipath, NeighbourConfig, PrefixLimits, Protection, RESTART_TIME,
    RemoteAs, SpeakerConfig, Zone,
};

use crate::floating;
use crate::kernel::{KernelState, Target};
use crate::lan::Lan;
use crate::mirror::Mirror;
use crate::object::{Bfd, Host, Peer, Timers};
use crate::prefix::host_prefix;
use crate::serving;
use crate::underlay::on_link;

pub use terms::reflects;

pub(crate) use met::{How, Met};
use terms::Terms;

/// How long a neighbour may be silent before its session ends.
/// 90 s is what RFC 4271 §10 suggests: room for three keepalives. Shorter finds a dead host sooner, and flaps more under load.
pub const HOLD_TIME: Duration = Duration::from_secs(90);

/// How long to wait before dialling again a neighbour that did not answer. RFC 4271 §10 suggests 120 s, which makes a rack
/// that boots wait for nothing; a SYN every 5 s costs nothing.
pub const CONNECT_RETRY: Duration = Duration::from_secs(5);

/// The port BGP listens on (RFC 4271 §8.2.1).
pub const BGP_PORT: u16 = 179;

/// Everything the speaker is to be told.
#[derive(Clone, Debug, PartialEq)]
pub struct Peering {
    /// This host's own side.
    pub speaker: SpeakerConfig,
    /// Its neighbours.
    pub neighbours: Vec<NeighbourConfig>,
    /// Which object each neighbour comes from, for people.
    pub names: BTreeMap<Address, String>,
    /// Which of them are peers that somebody declared, as far as it is known where those are; absent = nobody declared any.
    pub peers: Option<BTreeSet<Address>>,
    /// What of that cannot be meant so, one sentence each.
    pub problems: Vec<String>,
    /// Whether it reflects for the other hosts of its AS.
    pub is_reflector: bool,
    /// The links on which neighbours are to be found, by index.
    pub links: BTreeMap<Zone, u32>,
    /// Whether neighbours may call that are not among these yet.
    pub expects_callers: bool,
    /// How they are protected who call from these prefixes.
    pub protected: BTreeMap<IpNet, Protection>,
    /// Who is told of all that by BMP.
    pub stations: BTreeMap<SocketAddr, Monitoring>,
    /// How the ways to one prefix share its traffic.
    pub multipath: Multipath,
}

/// The neighbours of this host: the peers that select it, and the other hosts as far as mesh and reflectors join them. Those of
/// the peering before that nothing joins any more stay until they are not needed. A host that was a reflector and still lingers
/// reflects as before.
pub fn peering(
    mirror: &Mirror,
    me: &Host,
    kernel: &KernelState,
    before: Option<&Peering>,
    lingers: bool,
    callers: &BTreeSet<Address>,
    met: &Met,
) -> Peering {
    let fabric = mirror.fabric();
    let asn = me.asn.unwrap_or(fabric.asn);
    let mut terms = Terms::new(mirror, fabric, me, asn, lingers);
    let mut names = BTreeMap::new();
    let mut of_mesh = BTreeSet::new();
    let mut neighbours = Vec::new();
    let with_peer = |terms: &mut Terms<'_>, peer: &Peer, address: Address| {
        let is_multihop = || !is_direct(address, kernel, before);
        let bfd = peer.bfd.map(|bfd| watched(&bfd, bfd.is_multihop.unwrap_or_else(is_multihop)));
        NeighbourConfig { bfd, ..neighbour_of_peer(me, peer, asn, address, terms.with_peer(peer)) }
    };
    for (peer, address) in callers::at_one_address(mirror, me) {
        neighbours.push(with_peer(&mut terms, peer, address));
        names.insert(address, peer.name.to_string());
    }
    let mut missing = Vec::new();
    for (peer, zone) in callers::on_a_link(mirror, me) {
        match met.on(zone, kernel) {
            Ok(address) if names.contains_key(&address) => missing.push(twice(peer, address, &names[&address])),
            Ok(address) => {
                neighbours.push(with_peer(&mut terms, peer, address));
                names.insert(address, peer.name.to_string());
            }
            Err(absent) => missing.push(format!("peer {}: {absent}", peer.name)),
        }
    }
    let bfd = fabric.bfd.map(|bfd| watched(&bfd, bfd.is_multihop.unwrap_or(true)));
    let others = mirror.hosts().filter(|host| fabric.is_meshed && host.name != me.name);
    for (host, address) in others.filter_map(|host| Some((host, Address::from(common_address(me, host)?)))) {
        if names.contains_key(&address) {
            continue;
        }
        let known = || before.and_then(|before| before.neighbour(address, host.name.as_str()));
        let Some(exchange) = terms.with_host(host, known) else { continue };
        let routing = &fabric.routing;
        let neighbour =
            neighbour(me, address, BGP_PORT, host.asn.unwrap_or(fabric.asn).into(), routing.timers.hold, exchange);
        let neighbour = timed(neighbour, &routing.timers);
        // Whoever reflects knows more than one way to a service. As a reflector comes and goes no session is to begin anew for it.
        let add_paths = AddPaths { receive: true, send: true };
        // Hosts whose routes outlive them for long outlive a hold time, too: a reflector without power says nothing before.
        let (long_lived, protection) = (routing.long_lived, routing.protection.clone());
        let gentle = long_lived.is_some();
        neighbours.push(NeighbourConfig { bfd, long_lived, gentle, protection, add_paths, ..neighbour });
        names.insert(address, host.name.to_string());
        of_mesh.insert(address);
    }
    for (peer, address) in callers::called_from_a_range(mirror, me, callers) {
        if names.contains_key(&address) {
            continue;
        }
        let caller = with_peer(&mut terms, peer, address);
        neighbours.push(NeighbourConfig { passive: true, ..caller });
        names.insert(address, callers::name(peer, address));
    }
    let speaker = SpeakerConfig { asn, router_id: me.router_id };
    let is_reflector = reflects(fabric, me);
    let expects_callers = callers::may_call(mirror, me);
    let wanted = callers::links(mirror, me);
    let live = kernel.live.iter().filter(|(zone, _)| wanted.contains(zone));
    let links = live.map(|(zone, index)| (*zone, *index)).collect();
    let protected = callers::protected(mirror, me);
    let shut_out = callers::shut_out(&neighbours, &names, &protected);
    let problems = terms.into_problems().into_iter().chain(missing).chain(shut_out).collect();
    let stations = fabric.routing.stations.clone();
    let multipath = fabric.routing.multipath;
    let peers = names.keys().filter(|address| !of_mesh.contains(*address)).copied().collect();
    let peers = callers::are_any(mirror, me).then_some(peers);
    Peering {
        speaker,
        neighbours,
        names,
        peers,
        problems,
        is_reflector,
        links,
        expects_callers,
        protected,
        stations,
        multipath,
    }
}

impl Peering {
    /// What is exchanged with the neighbour of this address and name.
    fn neighbour(&self, address: Address, name: &str) -> Option<&Exchange> {
        let is_known = self.names.get(&address).is_some_and(|known| known == name);
        let known = self.neighbours.iter().find(|neighbour| is_known && neighbour.address == address);
        known.map(|neighbour| &neighbour.exchange)
    }
}

/// An address of the other host that this one can speak to: IPv4 where both have it, else IPv6.
fn common_address(me: &Host, other: &Host) -> Option<IpAddr> {
    let is_ours = |address: &&IpAddr| me.addresses.iter().any(|mine| mine.is_ipv4() == address.is_ipv4());
    other.addresses.iter().find(is_ours).copied()
}

fn twice(peer: &Peer, address: Address, other: &str) -> String {
    format!("peer {} is {address}, and so is {other}, which counts", peer.name)
}

/// Between hosts routers are allowed for, unless the fabric says otherwise: both ends must take the same port, and need not agree on
/// which of them is on the link of which.
pub(crate) fn watched(bfd: &Bfd, is_multihop: bool) -> BfdConfig {
    let path = if is_multihop { Path::Multihop } else { Path::Direct };
    BfdConfig {
        settings: Settings { interval: bfd.interval, multiplier: bfd.multiplier, path },
        is_strict: bfd.is_strict,
    }
}

/// Whether a peer is on a link of ours. One that once was still is when the link has gone down: that is what BFD is to notice.
fn is_direct(address: Address, kernel: &KernelState, before: Option<&Peering>) -> bool {
    let known = before.and_then(|peering| peering.neighbours.iter().find(|known| known.address == address));
    let was_direct = known.and_then(|known| known.bfd).is_some_and(|bfd| bfd.settings.path == Path::Direct);
    was_direct || address.zone().is_some() || on_link(kernel, address.ip()).is_some()
}

fn neighbour_of_peer(me: &Host, peer: &Peer, ours: Asn, address: Address, exchange: Exchange) -> NeighbourConfig {
    let usual = neighbour(me, address, peer.port, peer.asn.seen_from(ours), peer.timers.hold, exchange);
    NeighbourConfig {
        passive: peer.is_passive,
        families: peer.families.clone(),
        long_lived: peer.long_lived,
        gentle: peer.is_gentle,
        protection: peer.protection.clone(),
        limits: peer.limits,
        shutdown: peer.shutdown.clone(),
        add_paths: peer.add_paths,
        extended_messages: peer.extended_messages,
        extended_next_hop: peer.extended_next_hop,
        role: peer.role,
        ..timed(usual, &peer.timers)
    }
}

fn timed(neighbour: NeighbourConfig, timers: &Timers) -> NeighbourConfig {
    NeighbourConfig {
        keepalive: timers.keepalive,
        connect_retry: timers.connect_retry,
        send_hold: timers.send_hold,
        restart: timers.restart,
        ..neighbour
    }
}

fn neighbour(
    me: &Host,
    address: Address,
    port: u16,
    asn: RemoteAs,
    hold_time: Duration,
    exchange: Exchange,
) -> NeighbourConfig {
    let next_hop_v4 = me.addresses.iter().find_map(|mine| match mine {
        IpAddr::V4(mine) => Some(*mine),
        IpAddr::V6(_) => None,
    });
    let next_hop_v6 = me.addresses.iter().find_map(|mine| match mine {
        IpAddr::V6(mine) => Some(*mine),
        IpAddr::V4(_) => None,
    });
    NeighbourConfig {
        address,
        port,
        asn,
        hold_time,
        keepalive: None,
        send_hold: None,
        connect_retry: CONNECT_RETRY,
        restart: RESTART_TIME,
        passive: false,
        families: Family::ALL.into(),
        long_lived: None,
        gentle: false,
        next_hop_v4,
        next_hop_v6,
        bfd: None,
        protection: Protection::default(),
        limits: PrefixLimits::default(),
        shutdown: None,
        add_paths: AddPaths::default(),
        extended_messages: true,
        extended_next_hop: None,
        role: None,
        exchange,
    }
}

/// What this host announces, but for what is of a LAN: its own blocks, single addresses of its containers that lie in somebody else's, those of services, and floating ones.
/// A block is announced only once the kernel discards what is addressed to nobody in it: the ToR's default route and ours
/// would else pass such a packet to and fro.
pub fn announced(mirror: &Mirror, me: &Host, kernel: &KernelState) -> BTreeSet<IpNet> {
    let lan = Lan::of(mirror);
    let own = mirror.blocks_of(&me.name).map(|block| block.cidr).filter(|block| !lan.has(block.addr()));
    let own: BTreeSet<IpNet> = own.collect();
    let is_own = |address: &IpAddr| own.iter().any(|block| block.contains(address));
    let strays = mirror
        .endpoints_on(&me.name)
        .flat_map(|endpoint| &endpoint.addresses)
        .filter(|address| !is_own(address) && !lan.has(**address))
        .copied();
    // A block of one address is either held by the void or led to its container.
    let is_held = |block: &IpNet| match kernel.routes.get(block) {
        Some(Target::Blackhole | Target::Link(_) | Target::Endpoints(_)) => true,
        Some(Target::Gateways(_) | Target::Group(_)) | None => false,
    };
    let blocks = own.iter().copied().filter(is_held);
    let wired = strays.map(host_prefix).filter(|prefix| matches!(kernel.routes.get(prefix), Some(Target::Link(_))));
    let floating = floating::announced(mirror, me, kernel);
    blocks.chain(wired).chain(serving::announced(me, kernel)).chain(floating).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::UnderlayRoute;
    use crate::name::{PeerName, PoolName};
    use crate::object::{Block, Object, PeerAs, Place, Versioned};
    use poplin_policy::ruleset::Interface;
    use poplin_policy::selector::Selector;

    fn me() -> Host {
        Host::bare("h1")
    }

    /// What h1 announces while it holds a block and the kernel has this route to it.
    fn announced_with(cidr: &str, route: Option<Target>) -> BTreeSet<IpNet> {
        let cidr: IpNet = cidr.parse().unwrap();
        let block = Block::empty(PoolName::new("four"), cidr, me().name);
        let mut mirror = Mirror::default();
        mirror.change(1, vec![Versioned { value: Object::Block(block), version: 1 }], vec![], vec![]);
        let mut kernel = KernelState::default();
        kernel.routes.extend(route.map(|target| (cidr, target)));
        announced(&mirror, &me(), &kernel)
    }

    #[test]
    fn of_a_lan_nothing_is_announced() {
        let cidr: IpNet = "192.0.2.64/26".parse().unwrap();
        let pool = crate::object::Pool { is_lan: true, ..crate::object::Pool::open(PoolName::new("four"), cidr, 26) };
        let block = Block::empty(PoolName::new("four"), cidr, me().name);
        let objects = [Object::Pool(pool), Object::Block(block)].map(|value| Versioned { value, version: 1 });
        let mut mirror = Mirror::default();
        mirror.change(1, objects.into(), vec![], vec![]);
        let mut kernel = KernelState::default();
        kernel.routes.insert(cidr, Target::Blackhole); // of the time before it was a LAN's

        assert_eq!(announced(&mirror, &me(), &kernel), BTreeSet::new());
    }

    /// How a ToR switch on the link of h1 is watched, as long as the kernel has this route to it.
    fn path_with(bfd: Option<Bfd>, route: Option<UnderlayRoute>, before: Option<&Peering>) -> (Peering, Option<Path>) {
        let address = "172.31.1.1".parse().unwrap();
        let tor = Peer {
            name: PeerName::new("tor"),
            place: Place::At(address),
            port: BGP_PORT,
            asn: PeerAs::Is(Asn(65000)),
            hosts: Selector::all(),
            timers: Default::default(),
            bfd,
            maps: Default::default(),
            is_client: false,
            is_transit: false,
            protection: Protection::default(),
            limits: PrefixLimits::default(),
            shutdown: None,
            add_paths: AddPaths::default(),
            extended_messages: true,
            extended_next_hop: None,
            role: None,
            paths: 8,
            is_passive: false,
            families: Family::ALL.into(),
            long_lived: None,
            is_gentle: false,
        };
        let mut mirror = Mirror::default();
        mirror.change(1, vec![Versioned { value: Object::Peer(tor), version: 1 }], vec![], vec![]);
        let mut kernel = KernelState::default();
        kernel.underlay.extend(route.map(|route| ("172.31.1.0/24".parse().unwrap(), route)));
        let peering = peering(&mirror, &me(), &kernel, before, false, &BTreeSet::new(), &Met::default());
        let path = peering.neighbours[0].bfd.map(|bfd| bfd.settings.path);
        (peering, path)
    }

    #[test]
    fn a_peer_is_watched_only_when_asked_for() {
        assert_eq!(path_with(None, Some(UnderlayRoute::OnLink(2)), None).1, None);
    }

    #[test]
    fn a_peer_on_the_link_is_watched_over_one_hop_also_when_the_link_is_gone() {
        let (before, path) = path_with(Some(Bfd::default()), Some(UnderlayRoute::OnLink(2)), None);
        assert_eq!(path, Some(Path::Direct));
        assert_eq!(path_with(Some(Bfd::default()), None, Some(&before)).1, Some(Path::Direct));
    }

    #[test]
    fn a_peer_behind_routers_is_watched_over_several_hops() {
        let via = UnderlayRoute::Via(["192.0.2.1".parse().unwrap()].into());
        assert_eq!(path_with(Some(Bfd::default()), Some(via), None).1, Some(Path::Multihop));
    }

    #[test]
    fn who_says_how_far_a_peer_is_knows_better_than_the_routes() {
        let far = Bfd { is_multihop: Some(true), ..Bfd::default() };
        assert_eq!(path_with(Some(far), Some(UnderlayRoute::OnLink(2)), None).1, Some(Path::Multihop));
    }

    #[test]
    fn a_block_is_announced_only_once_the_void_holds_it() {
        assert_eq!(announced_with("10.77.0.0/26", None), BTreeSet::new());
        assert_eq!(announced_with("10.77.0.0/26", Some(Target::Blackhole)).len(), 1);
    }

    #[test]
    fn a_block_of_one_address_is_announced_while_its_container_runs() {
        let link = Target::Link(Interface::new("pop0").unwrap());
        assert_eq!(announced_with("10.77.0.0/32", Some(link)).len(), 1);
    }
}
