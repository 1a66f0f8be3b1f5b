//! What must hold, at every moment and once all is quiet.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use poplin_agent::resource::{ROOT, decode};
use poplin_node::audit::{Fault, Standing, faults};
use poplin_node::kernel::{Device, Gateway, KernelState, Mac, NextHop, Target};
use poplin_node::name::AttachmentId;
use poplin_node::object::{AwaitedPeers, Block, Endpoint, FloatingAddress, Object};
use poplin_node::prefix::{address_at, host_prefix};
use poplin_node::request::{Answer, Attached};
use poplin_node::transaction::Transaction;
use poplin_node::tunnel::Encapsulation;
use poplin_policy::nat::Published;
use poplin_policy::packet::TCP;
use poplin_policy::ruleset::{Atom, Element, Interface, MapElements, Name};

use crate::world::{Host, HostId, Request, World};

/// How long who joins waits for other hosts at most, where he does.
pub const READINESS: Duration = Duration::from_secs(4);

/// The longest an answer may take: ten seconds to try, some for other hosts, ten to take back.
const PATIENCE: Duration = Duration::from_secs(20).saturating_add(READINESS);

/// Everything in the store.
#[derive(Debug, Default)]
pub struct Stored {
    /// Blocks by prefix.
    pub blocks: BTreeMap<IpNet, Block>,
    /// Endpoints by name.
    pub endpoints: Vec<Endpoint>,
    /// The addresses of each host.
    hosts: Vec<BTreeSet<IpAddr>>,
    pools: Vec<IpNet>,
    /// Whether they ask for tunnels.
    is_wrapped: bool,
}

/// Reads the store through the codec.
pub fn stored(world: &World) -> Stored {
    let mut stored = Stored::default();
    for entry in world.store.snapshot(ROOT).entries {
        let object = decode(&entry).expect("no key but ours").expect("every value can be read").value;
        match object {
            Object::Block(block) => {
                stored.blocks.insert(block.cidr, block);
            }
            Object::Endpoint(endpoint) => stored.endpoints.push(endpoint),
            Object::Host(host) => stored.hosts.push(host.addresses),
            Object::Pool(pool) => {
                stored.is_wrapped |= pool.encapsulation != Encapsulation::Never;
                stored.pools.push(pool.cidr);
            }
            Object::Policy(_)
            | Object::Tier(_)
            | Object::AddressSet(_)
            | Object::Peer(_)
            | Object::Fabric(_)
            | Object::Namespace(_)
            | Object::HostEndpoint(_)
            | Object::RouteMap(_)
            | Object::Network(_)
            | Object::Service(_)
            | Object::StaticRoute(_)
            | Object::Profile(_)
            | Object::FloatingAddress(_)
            | Object::Lineage(_) => {}
        }
    }
    stored
}

fn standing(world: &World) -> Standing {
    let objects = world.store.snapshot(ROOT).entries.into_iter();
    let objects = objects.map(|entry| decode(&entry).expect("no key but ours").expect("every value can be read").value);
    objects.map(|object| (object.key(), object)).collect()
}

/// After every transaction: an address is one endpoint's, and taken in one block by its attachment; nothing else is taken.
pub fn store(world: &World) {
    let Stored { blocks, mut endpoints, .. } = stored(world);
    let is_robbed = world.is_forgetful && world.hosts.iter().any(|host| host.was_robbed);
    if is_robbed {
        // Of who left or came on a robbed host only those can be known that run.
        let is_wired =
            |one: &Endpoint| world.hosts.iter().any(|host| host.kernel.state.links.contains_key(&one.interface));
        endpoints.retain(is_wired);
    }
    let mut held: BTreeMap<IpAddr, AttachmentId> = BTreeMap::new();
    for endpoint in endpoints {
        for address in &endpoint.addresses {
            let other = held.insert(*address, endpoint.attachment.clone());
            assert_eq!(other, None, "{address} is {}'s and another's", endpoint.name);
        }
    }
    let of_block = |block: &Block| -> Vec<(IpAddr, AttachmentId)> {
        block.taken.iter().map(|(ordinal, holder)| (address_at(block.cidr, *ordinal), holder.clone())).collect()
    };
    let mut taken = BTreeMap::new();
    for (address, holder) in blocks.values().flat_map(of_block) {
        let other = taken.insert(address, holder);
        assert_eq!(other, None, "{address} is taken in two blocks");
    }
    // Whose name or address is another's by now has his address still, closed off, and the store knows only that it is taken.
    let contested: BTreeSet<IpAddr> = (0..world.hosts.len())
        .flat_map(|host| world.contested(host))
        .flat_map(|one| one.endpoint.addresses.iter().copied().collect::<Vec<_>>())
        .collect();
    taken.retain(|address, _| held.contains_key(address) || !contested.contains(address));
    let mut faults = faults(&standing(world), None);
    faults.retain(|fault| !matches!(fault, Fault::Leaked { address, .. } if contested.contains(address)));
    if world.is_forgetful {
        // What another host took of a block may stay taken for nobody after a restore: `poplin ipam check --fix` frees it.
        taken.retain(|address, _| held.contains_key(address));
        faults.retain(|fault| !is_robbed && !matches!(fault, Fault::Leaked { .. }));
    }
    assert_eq!(held, taken, "addresses of endpoints, and those taken in blocks");
    assert_eq!(faults, BTreeSet::new());
}

/// The addresses that a transaction of a host gives to containers which do not have them yet.
pub fn given(world: &World, host: HostId, transaction: &Transaction) -> Vec<IpAddr> {
    let known: BTreeSet<_> = stored(world).endpoints.into_iter().map(|endpoint| endpoint.name).collect();
    let puts = transaction.puts.iter().filter_map(|put| <&Endpoint>::try_from(put).ok());
    let new = puts.filter(|endpoint| !known.contains(&endpoint.name)).flat_map(|endpoint| &endpoint.addresses);
    new.copied().filter(|address| !leads(&world.hosts[host], *address)).collect()
}

/// Once somebody has noticed that the store forgot: no address is given that a container of another host has.
pub fn given_once(world: &World, host: HostId, given: &[IpAddr]) {
    for (other, one) in world.hosts.iter().enumerate().filter(|(other, _)| *other != host) {
        let twice = given.iter().find(|address| leads(one, **address));
        assert_eq!(twice, None, "host {host} gives an address that a container on host {other} has");
    }
}

fn leads(host: &Host, address: IpAddr) -> bool {
    matches!(host.kernel.state.routes.get(&host_prefix(address)), Some(Target::Link(_)))
}

/// At every answer: it comes in time, and what it promises stands.
pub fn answer(world: &World, request: &Request, answer: &Answer) {
    let waited = world.now() - request.at;
    assert!(waited <= PATIENCE, "an answer came after {waited:?}");
    match answer {
        Answer::Attached(attached) => {
            stands(&world.hosts[request.host], attached);
            is_known(world, request.host, attached);
        }
        Answer::Detached(_) | Answer::Held(_) | Answer::Refused(_) => {}
    }
}

fn stands(host: &Host, attached: &Attached) {
    if host.has_untold_drift() || host.kernel.is_altered {
        return; // another hand undid something, and nobody can know yet
    }
    let endpoint = &attached.endpoint;
    let (kernel, interface) = (&host.kernel.state, &endpoint.interface);
    let link = kernel.links.get(interface).expect("an attached link exists");
    assert!(link.is_up && link.is_configured, "{interface} is up and configured when it is promised");
    assert!(host.kernel.covers(interface), "{interface} has rules when it is promised");
    assert!(!endpoint.addresses.is_empty(), "{interface} has an address");
    assert_eq!(attached.gateways.len(), endpoint.addresses.len());
    for address in &endpoint.addresses {
        let route = kernel.routes.get(&host_prefix(*address));
        assert_eq!(route, Some(&Target::Link(interface.clone())), "{address} is routed when it is promised");
        let neighbour = kernel.neighbours.get(&(interface.clone(), *address));
        assert_eq!(neighbour, Some(&endpoint.mac), "{address} has a neighbour entry when it is promised");
    }
}

/// Where who joins waits for other hosts: those have the way to him, as far as they speak to his own.
fn is_known(world: &World, host: HostId, attached: &Attached) {
    let speak = |one: HostId, other: HostId| {
        let sessions = world.hosts[one].node.iter().flat_map(|node| node.status(world.instant()).sessions);
        let addresses = &world.hosts[other].identity.addresses;
        sessions.into_iter().any(|session| session.state == "Established" && addresses.contains(&session.address.ip()))
    };
    let knows = |other: HostId, address: IpAddr| {
        let heard = world.hosts[other].node.iter().flat_map(|node| node.heard(None));
        let of = &world.hosts[host].identity.addresses;
        heard.into_iter().any(|one| of.contains(&one.route.neighbour.ip()) && one.route.prefix.contains(&address))
    };
    let others: Vec<HostId> = (0..world.hosts.len()).filter(|other| *other != host).collect();
    let (near, far): (Vec<_>, Vec<_>) =
        others.into_iter().partition(|other| speak(host, *other) && speak(*other, host));
    for address in &attached.endpoint.addresses {
        let knowing = near.iter().filter(|other| knows(**other, *address)).count();
        let is_enough = match world.awaited {
            AwaitedPeers::Nobody => true,
            AwaitedPeers::All => knowing == near.len(),
            AwaitedPeers::Any => knowing > 0 || !far.is_empty(), // one of these may have been it
        };
        assert!(is_enough, "{address} of host {host} is known to {knowing} of {near:?}");
    }
}

/// Once all is quiet: no address is led to containers of two hosts.
fn alone(world: &World) {
    let mut led: BTreeMap<&IpNet, &Host> = BTreeMap::new();
    for host in world.hosts.iter().filter(|host| host.node.is_some()) {
        let links = host.kernel.state.routes.iter().filter(|(_, target)| matches!(target, Target::Link(_)));
        for (prefix, _) in links {
            let other = led.insert(prefix, host).map(|other| &other.identity.host);
            assert_eq!(other, None, "{prefix} is led to a container on {} too", host.identity.host);
        }
    }
}

/// After every batch: what is up or routed has rules, and learned routes were once true where they lead.
pub fn batch(world: &World, host: HostId) {
    let one = &world.hosts[host];
    if one.has_untold_drift() || one.kernel.is_altered {
        return;
    }
    let up = one.kernel.state.links.iter().filter(|(_, link)| link.is_up).map(|(interface, _)| interface);
    // Who is closed off has none, and so passes nothing.
    let contested = world.contested(host);
    let closed: Vec<_> = contested.iter().map(|one| &one.endpoint.interface).collect();
    // And whose rival has left is let in again a batch later.
    for interface in up.filter(|interface| !closed.contains(interface) && !world.was_contested) {
        assert!(one.kernel.covers(interface), "{interface} is up on host {host}, and no rules know it");
    }
    for (prefix, gateways) in learned(world, &one.kernel.state) {
        let owner = |gateway| world.hosts.iter().find(|host| host.identity.addresses.contains(gateway));
        for owner in gateways.iter().filter_map(owner) {
            assert!(owner.kernel.was_local.contains(&prefix), "{prefix} was announced before it stood");
        }
    }
}

/// Once all is quiet: each kernel holds what the store says, and nothing else.
pub fn quiet(world: &World) {
    assert!(world.requests.is_empty(), "unanswered: {:?}", world.requests);
    store(world);
    alone(world);
    let stored = stored(world);
    let Stored { blocks, endpoints, .. } = &stored;
    for (id, host) in world.hosts.iter().enumerate().filter(|(_, host)| host.node.is_some()) {
        let own = |endpoint: &&Endpoint| endpoint.host == host.identity.host;
        let local: Vec<&Endpoint> = endpoints.iter().filter(own).collect();
        let kernel = &host.kernel;
        let known: BTreeSet<_> = local.iter().map(|endpoint| &endpoint.interface).collect();
        for (interface, link) in &kernel.state.links {
            assert!(known.contains(interface), "host {id}: {interface} belongs to nobody");
            assert!(
                link.is_up && link.is_configured && kernel.covers(interface),
                "host {id}: {interface} is half done"
            );
        }
        published(host, &local);
        let floating = floating(world, &local);
        // What the store forgot a host goes on with, as long as nobody says otherwise.
        let forgotten = world.forgotten_floating(id);
        leading(host, &floating, &forgotten);
        let (mut routes, mut led) = routes(world, host, &local, blocks);
        let is_wired = |one: &&Leading| kernel.state.links.contains_key(&one.interface);
        routes.extend(
            floating.iter().filter(is_wired).map(|one| (host_prefix(one.outside), Target::Link(one.interface.clone()))),
        );
        led.retain(|prefix, _| !routes.contains_key(prefix) && !forgotten.contains(prefix));
        let (mut standing, mut known) = (kernel.state.routes.clone(), learned(world, &kernel.state));
        for all in [&mut standing, &mut routes] {
            all.retain(|prefix, _| !forgotten.contains(prefix));
        }
        known.retain(|prefix, _| !forgotten.contains(prefix));
        assert_eq!(standing, routes, "routes of host {id}");
        assert_eq!(known, led, "learned routes of host {id}");
        assert_next_hops_are_used(&kernel.state, id);
        let wired = local.iter().filter(|endpoint| kernel.state.links.contains_key(&endpoint.interface));
        let entries = |endpoint: &&&Endpoint| -> Vec<_> {
            let entry = |address: &IpAddr| ((endpoint.interface.clone(), *address), endpoint.mac);
            endpoint.addresses.iter().map(entry).collect()
        };
        let neighbours: BTreeMap<_, _> = wired.flat_map(|endpoint| entries(&endpoint)).collect();
        let (in_tunnel, standing): (BTreeMap<_, _>, BTreeMap<_, _>) =
            kernel.state.neighbours.clone().into_iter().partition(|((on, _), _)| *on == Device::interface());
        assert_eq!(standing, neighbours, "neighbours of host {id}");
        tunnelled(&stored, host, &in_tunnel);
        assert!(kernel.forwards && !kernel.state.gateways.is_empty(), "host {id} forwards");
    }
}

/// The addresses of hosts that learned routes lead to, be it through a tunnel.
fn learned(world: &World, kernel: &KernelState) -> Led {
    let led = |target: &Target| match target {
        Target::Group(id) => kernel.gateways_of(*id).expect("a route points at a group that stands"),
        Target::Gateways(gateways) => gateways.clone(),
        Target::Link(_) | Target::Endpoints(_) | Target::Blackhole => panic!("nothing local is learned"),
    };
    let tunnel = kernel.tunnel.as_ref().map(|tunnel| tunnel.index);
    // One whose entry another hand took leads nowhere until it is back.
    let end = |gateway: &Gateway| {
        let is_inside = tunnel.is_some() && gateway.interface == tunnel;
        is_inside.then(|| end_of(world, kernel, gateway.address)).flatten().unwrap_or(gateway.address)
    };
    let addresses = |target| led(target).iter().map(end).collect();
    kernel.learned.iter().map(|(prefix, target)| (*prefix, addresses(target))).collect()
}

/// The address, of the same family, of the host that a gateway in the tunnel is.
fn end_of(world: &World, kernel: &KernelState, gateway: IpAddr) -> Option<IpAddr> {
    let mac = kernel.neighbours.get(&(Device::interface(), gateway))?;
    let remote = kernel.fdb.get(mac)?;
    let owner = world.hosts.iter().find(|host| host.identity.addresses.contains(remote))?;
    owner.identity.addresses.iter().copied().find(|address| address.is_ipv6() == gateway.is_ipv6())
}

/// Where pools ask for it, what is learned of them goes through a tunnel that knows the other hosts and nobody else; else there is none.
fn tunnelled(stored: &Stored, host: &Host, in_tunnel: &BTreeMap<(Interface, IpAddr), Mac>) {
    let (kernel, name) = (&host.kernel.state, &host.identity.host);
    assert_eq!(kernel.tunnel.is_some(), stored.is_wrapped, "whether {name} has a tunnel");
    let rules: BTreeSet<IpNet> = kernel.tunnel_rules.iter().map(|(_, from)| *from).collect();
    let of_family =
        |prefix: &IpNet| host.identity.addresses.iter().copied().find(|own| own.is_ipv6() == prefix.addr().is_ipv6());
    let wrapped = kernel
        .learned
        .keys()
        .filter(|prefix| stored.is_wrapped && stored.pools.iter().any(|pool| pool.contains(*prefix)));
    let sources: BTreeMap<_, _> = wrapped.filter_map(|prefix| Some((*prefix, of_family(prefix)?))).collect();
    assert_eq!(kernel.sources, sources, "what {name} speaks under");
    let Some(tunnel) = &kernel.tunnel else { return assert_eq!(rules, BTreeSet::new(), "rules of {name}") };
    assert_eq!(rules, stored.pools.iter().copied().collect(), "rules of {name}");
    for (prefix, target) in &kernel.learned {
        let Target::Group(id) = target else { panic!("{prefix} is led by a group") };
        let is_of_a_pool = stored.pools.iter().any(|pool| pool.contains(prefix));
        let is_inside = |gateway: &Gateway| (gateway.interface == Some(tunnel.index)) == is_of_a_pool;
        assert!(kernel.gateways_of(*id).iter().flatten().all(is_inside), "{name} leads {prefix} amiss: {target:?}");
    }
    let others = || stored.hosts.iter().filter(|addresses| **addresses != host.identity.addresses);
    let ends: BTreeSet<IpAddr> = others().filter_map(|addresses| addresses.first().copied()).collect();
    assert_eq!(kernel.fdb.values().copied().collect::<BTreeSet<_>>(), ends, "ends that {name} knows");
    let hosts: BTreeSet<IpAddr> = kernel.tunnel_hosts.keys().map(|(_, address)| *address).collect();
    assert_eq!(hosts, others().flatten().copied().collect(), "hosts that containers of {name} reach");
    assert_eq!(in_tunnel.len(), others().map(BTreeSet::len).sum::<usize>(), "neighbours in the tunnel of {name}");
}

fn assert_next_hops_are_used(kernel: &KernelState, host: HostId) {
    let pointed: BTreeSet<_> = kernel.learned.values().collect();
    let members = kernel.next_hops.values().flat_map(|next_hop| match next_hop {
        NextHop::Group(members) => members.clone(),
        NextHop::Single(_) => BTreeSet::new(),
    });
    let members: BTreeSet<_> = members.collect();
    for id in kernel.next_hops.keys() {
        let is_used = members.contains(id) || pointed.contains(&Target::Group(*id));
        assert!(is_used, "host {host}: nobody needs next hop {id:?}");
    }
}

/// By which addresses each prefix is led.
type Led = BTreeMap<IpNet, BTreeSet<IpAddr>>;

fn routes(
    world: &World,
    host: &Host,
    local: &[&Endpoint],
    blocks: &BTreeMap<IpNet, Block>,
) -> (BTreeMap<IpNet, Target>, Led) {
    let (mut routes, mut led) = (BTreeMap::new(), Led::new());
    for other in world.hosts.iter().filter(|other| other.node.is_some()) {
        for prefix in announced(&other.kernel.state, blocks, other) {
            let same_family = |address: &&IpAddr| address.is_ipv4() == matches!(prefix, IpNet::V4(_));
            let through = other.identity.addresses.iter().filter(same_family).copied().collect();
            if other.identity.host != host.identity.host {
                led.insert(prefix, through);
            }
        }
    }
    let own = blocks.values().filter(|block| block.host == host.identity.host);
    routes.extend(own.map(|block| (block.cidr, Target::Blackhole)));
    for endpoint in local.iter().filter(|endpoint| host.kernel.state.links.contains_key(&endpoint.interface)) {
        let to_link = |address: &IpAddr| (host_prefix(*address), Target::Link(endpoint.interface.clone()));
        routes.extend(endpoint.addresses.iter().map(to_link));
    }
    led.retain(|prefix, _| !routes.contains_key(prefix));
    (routes, led)
}

/// What a host should announce: its blocks, and wired addresses outside them.
fn announced(kernel: &KernelState, blocks: &BTreeMap<IpNet, Block>, host: &Host) -> Vec<IpNet> {
    let own: Vec<IpNet> =
        blocks.values().filter(|block| block.host == host.identity.host).map(|block| block.cidr).collect();
    let links = kernel.routes.iter().filter(|(_, target)| matches!(target, Target::Link(_)));
    let strays = links.map(|(prefix, _)| *prefix).filter(|prefix| !own.iter().any(|block| block.contains(prefix)));
    own.iter().copied().chain(strays).collect()
}

/// Once everybody has left: nothing is left of anybody.
pub fn empty(world: &World) {
    let Stored { blocks, endpoints, .. } = stored(world);
    // Who had left when a robbed host was told again of him is nobody's to clear away but a person's: `poplin ipam check` tells of him.
    let was_robbed = |endpoint: &&Endpoint| {
        let mut hosts = world.hosts.iter().filter(|host| host.was_robbed && world.is_forgetful);
        hosts.any(|host| host.identity.host == endpoint.host)
    };
    let left: Vec<&Endpoint> = endpoints.iter().filter(|endpoint| !was_robbed(endpoint)).collect();
    assert!(left.is_empty(), "left behind: {left:?}");
    let is_free = blocks.values().all(|block| block.taken.is_empty());
    assert!(is_free || world.is_forgetful, "taken by nobody: {blocks:?}");
    for (id, host) in world.hosts.iter().enumerate().filter(|(_, host)| host.node.is_some()) {
        assert!(host.kernel.state.links.is_empty(), "links on host {id}: {:?}", host.kernel.state.links);
        let is_link = |target: &Target| matches!(target, Target::Link(_));
        assert!(!host.kernel.state.routes.values().any(is_link), "routes to links on host {id}");
    }
}

/// A floating address and where it should lead on a host.
struct Leading {
    outside: IpAddr,
    inside: IpAddr,
    interface: Interface,
}

/// The floating addresses that should lead to endpoints of a host, wired or not.
fn floating(world: &World, local: &[&Endpoint]) -> Vec<Leading> {
    let leads = |one: &FloatingAddress| {
        let name = one.endpoint.as_ref()?;
        let endpoint = local.iter().find(|local| local.name == *name)?;
        let inside = *endpoint.addresses.iter().find(|own| own.is_ipv4() == one.address.is_ipv4())?;
        Some(Leading { outside: one.address, inside, interface: endpoint.interface.clone() })
    };
    let standing = standing(world);
    standing.values().filter_map(|object| leads(object.try_into().ok()?)).collect()
}

/// What comes to them is led there by the rules, and nothing else is.
fn leading(host: &Host, wanted: &[Leading], forgotten: &BTreeSet<IpNet>) {
    let key = |one: &Leading| Element::exactly([address_atom(one.outside)]);
    let wanted = wanted.iter().filter(|one| !forgotten.contains(&host_prefix(one.outside)));
    let wanted: BTreeMap<Element, IpAddr> = wanted.map(|one| (key(one), one.inside)).collect();
    let maps = ["floating4", "floating6"].map(|name| host.kernel.rules.maps.get(&Name::new(name)));
    let mut stands = BTreeMap::new();
    for map in maps.into_iter().flatten() {
        match &map.elements {
            MapElements::Addresses4(all) => stands.extend(all.iter().map(|(key, to)| (key.clone(), IpAddr::V4(*to)))),
            MapElements::Addresses6(all) => stands.extend(all.iter().map(|(key, to)| (key.clone(), IpAddr::V6(*to)))),
            other => panic!("floating addresses lead to addresses, not to {other:?}"),
        }
    }
    let forgotten: BTreeSet<Element> =
        forgotten.iter().map(|one| Element::exactly([address_atom(one.addr())])).collect();
    stands.retain(|key, _| !forgotten.contains(key));
    assert_eq!(stands, wanted, "floating addresses of {}", host.identity.host);
}

fn address_atom(address: IpAddr) -> Atom {
    match address {
        IpAddr::V4(address) => Atom::Address4(address),
        IpAddr::V6(address) => Atom::Address6(address),
    }
}

/// Each published port of a host leads to the one endpoint that publishes it, and nothing else does.
fn published(host: &Host, local: &[&Endpoint]) {
    let mut wanted = BTreeMap::new();
    for endpoint in local {
        let link = &host.kernel.state.links.get(&endpoint.interface);
        assert!(link.is_none_or(|link| link.has_loopback != endpoint.published.is_empty()), "{}", endpoint.name);
        let address = endpoint.addresses.iter().find(|address| address.is_ipv4());
        for (from, to) in endpoint.published.iter().flat_map(Published::pairs) {
            let key = Element::exactly([Atom::Octet(TCP), Atom::Port(from)]);
            let former = wanted.insert(key, address.map(|address| SocketAddr::new(*address, to)));
            assert_eq!(former, None, "port {from} is published twice");
        }
    }
    let wanted: BTreeMap<Element, SocketAddr> =
        wanted.into_iter().filter_map(|(key, socket)| Some((key, socket?))).collect();
    let stands = match host.kernel.rules.maps.get(&Name::new("published4")).map(|map| &map.elements) {
        Some(MapElements::Sockets4(sockets)) => {
            sockets.iter().map(|(key, socket)| (key.clone(), SocketAddr::V4(*socket))).collect()
        }
        Some(other) => panic!("published4 leads to sockets, not to {other:?}"),
        None => BTreeMap::new(),
    };
    assert_eq!(stands, wanted, "published ports of {}", host.identity.host);
}
