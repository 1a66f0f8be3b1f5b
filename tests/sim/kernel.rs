//! A kernel as one host has it: namespaces, links, routes, neighbours, and our table of rules.
//!
//! In: steps, as [`Step`] describes them, and what other hands do. Out: done or refused, and what stands. It watches the law of
//! failing closed at every step: a link is raised or routed to only while the rules know it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use poplin_node::kernel::{
    Device, DeviceState, Gateway, KernelState, LinkState, NewLink, NextHop, NextHopId, Step, StepFailure,
    StepFailureKind, Target, UnderlayRoute,
};
use poplin_policy::delta::{self, Change};
use poplin_policy::ruleset::{Atom, Element, Interface, MapElements, Ruleset};

/// Index of the uplink.
const UPLINK: u32 = 1;

/// The least index of a tunnel device; each is another.
const TUNNELS: u32 = 1 << 20;

/// One host's kernel.
#[derive(Debug, Default)]
pub struct Kernel {
    /// What reading it shows.
    pub state: KernelState,
    /// Our table.
    pub rules: Ruleset,
    /// Whether another hand changed our table since we last began it anew.
    pub is_altered: bool,
    /// Whether it forwards.
    pub forwards: bool,
    /// Namespaces that exist.
    pub namespaces: BTreeSet<PathBuf>,
    /// Destinations that ever led into a link of ours or into the void.
    pub was_local: BTreeSet<IpNet>,
    /// How often another hand changed something.
    pub drifts: u64,
    inside: BTreeMap<(PathBuf, String), Interface>,
    links_made: u32,
}

impl Kernel {
    /// A host with an uplink that has these addresses, on one link with its neighbours.
    pub fn with_uplink(addresses: &BTreeSet<IpAddr>) -> Self {
        let mut kernel = Self::default();
        for address in addresses {
            let bits = if address.is_ipv4() { 24 } else { 64 };
            let link = IpNet::new(*address, bits).expect("both are below their family's length").trunc();
            kernel.state.underlay.insert(link, UnderlayRoute::OnLink(UPLINK));
            kernel.state.addresses.insert(*address, "up".to_owned());
            kernel.state.local.insert(*address);
        }
        kernel.state.mtus.insert("up".to_owned(), 1500);
        kernel.state.has_next_hops = true;
        kernel
    }

    /// Everything is lost but the uplink.
    pub fn reboot(&mut self) {
        let addresses = self.state.addresses.keys().copied().collect();
        let was_local = std::mem::take(&mut self.was_local);
        let (drifts, links_made) = (self.drifts + 1, self.links_made);
        *self = Self { drifts, links_made, was_local, ..Self::with_uplink(&addresses) };
    }

    /// Carries one step out.
    pub fn carry_out(&mut self, step: &Step) -> Result<(), StepFailure> {
        self.try_step(step).map_err(|(kind, reason)| StepFailure { step: step.clone(), kind, reason })
    }

    fn try_step(&mut self, step: &Step) -> Result<(), (StepFailureKind, String)> {
        match step {
            Step::EnableForwarding => self.forwards = true,
            Step::AddGateway(address) => {
                self.state.gateways.insert(*address);
            }
            Step::ChangeRules(changes) => return self.change_rules(changes),
            Step::ChangeSandbox { .. } | Step::LeaveSandbox { .. } => panic!("no container here is on a LAN itself"),
            Step::CreateLink(new) => return self.create(new),
            Step::ConfigureLink(interface) => self.link(interface)?.is_configured = true,
            Step::LetLoopbackPass { interface, is_open } => self.link(interface)?.has_loopback = *is_open,
            Step::RaiseLink(interface) => {
                self.link(interface)?.is_up = true;
                self.assert_covered(interface);
            }
            Step::DeleteLink(interface) => self.remove_link(interface),
            Step::SetTunnel(device) => self.set_tunnel(*device),
            Step::RemoveTunnel => self.remove_tunnel(),
            Step::SetFdbEntry { mac, remote } => drop(self.tunnel()?.fdb.insert(*mac, *remote)),
            Step::RemoveFdbEntry(mac) => drop(self.tunnel()?.fdb.remove(mac)),
            Step::SetTunnelRule(encapsulation, from) => {
                self.state.tunnel_rules.insert((*encapsulation, *from));
            }
            Step::RemoveTunnelRule(encapsulation, from) => {
                self.state.tunnel_rules.remove(&(*encapsulation, *from));
            }
            Step::SetTunnelHost { encapsulation, address, gateway } => {
                let index = self.tunnel()?.tunnel.as_ref().map(|standing| standing.index);
                if gateway.interface != index {
                    return Err((StepFailureKind::Other, "no such device".to_owned()));
                }
                self.state.tunnel_hosts.insert((*encapsulation, *address), *gateway);
            }
            Step::RemoveTunnelHost { encapsulation, address } => {
                self.state.tunnel_hosts.remove(&(*encapsulation, *address));
            }
            Step::RemoveNeighbour { interface, address } => {
                self.state.neighbours.remove(&(interface.clone(), *address));
            }
            Step::SetNeighbour { interface, address, mac } if *interface == Device::interface() => {
                self.tunnel()?.neighbours.insert((interface.clone(), *address), *mac);
            }
            Step::SetNeighbour { interface, address, mac } => {
                self.link(interface)?;
                self.state.neighbours.insert((interface.clone(), *address), *mac);
            }
            Step::SetProxyNeighbour { uplink, address } => {
                self.state.proxied.insert((uplink.clone(), *address), true);
            }
            Step::RemoveProxyNeighbour { uplink, address } => {
                self.state.proxied.remove(&(uplink.clone(), *address));
            }
            Step::SetNextHop { id, next_hop } => return self.set_next_hop(*id, next_hop),
            Step::RemoveNextHop(id) => self.remove_next_hop(*id),
            Step::SetRoute { destination, target, source } => return self.set_route(*destination, target, *source),
            Step::RemoveRoute(destination) => self.state.drop_route(destination),
        }
        Ok(())
    }

    fn change_rules(&mut self, changes: &[Change]) -> Result<(), (StepFailureKind, String)> {
        if changes.first() == Some(&Change::Restart) {
            self.is_altered = false;
        }
        if self.is_altered {
            return Err((StepFailureKind::RulesOutOfStep, "the table is not as it was".to_owned()));
        }
        delta::apply(&mut self.rules, changes); // panics where a kernel would refuse: then the head lost count
        Ok(())
    }

    fn create(&mut self, new: &NewLink) -> Result<(), (StepFailureKind, String)> {
        if !self.namespaces.contains(&new.netns) {
            return Err((StepFailureKind::NamespaceMissing, "no such file or directory".to_owned()));
        }
        if self.state.links.contains_key(&new.interface) {
            return Err((StepFailureKind::Other, "the host's side exists".to_owned()));
        }
        let inside = (new.netns.clone(), new.container_interface.clone());
        if self.inside.contains_key(&inside) {
            return Err((StepFailureKind::InterfaceExists, "the container's side exists".to_owned()));
        }
        self.inside.insert(inside, new.interface.clone());
        self.links_made += 1;
        let (index, mac, mtu_bytes) = (self.links_made, new.mac, new.mtu_bytes);
        let link = LinkState { index, is_up: false, mac, mtu_bytes, is_configured: false, has_loopback: false };
        self.state.links.insert(new.interface.clone(), link);
        Ok(())
    }

    fn link(&mut self, interface: &Interface) -> Result<&mut LinkState, (StepFailureKind, String)> {
        self.state.links.get_mut(interface).ok_or((StepFailureKind::Other, "no such device".to_owned()))
    }

    fn set_tunnel(&mut self, device: Device) {
        let standing = self.state.tunnel.as_ref().map(|standing| standing.index);
        let index = standing.unwrap_or_else(|| {
            self.links_made += 1;
            TUNNELS + self.links_made
        });
        self.state.tunnel = Some(DeviceState { index, device: Some(device), is_configured: true });
    }

    /// What leads through it goes along; the head never lets it.
    fn remove_tunnel(&mut self) {
        let index = self.state.tunnel.take().map(|standing| standing.index);
        let leads = |next_hop: &NextHop| matches!(next_hop, NextHop::Single(gateway) if gateway.interface == index);
        assert!(!self.state.next_hops.values().any(leads), "the tunnel goes under its next hops");
        self.state.fdb.clear();
        self.state.tunnel_hosts.clear();
        self.state.neighbours.retain(|(on, _), _| *on != Device::interface());
    }

    fn tunnel(&mut self) -> Result<&mut KernelState, (StepFailureKind, String)> {
        let missing = (StepFailureKind::Other, "no such device".to_owned());
        if self.state.tunnel.is_some() { Ok(&mut self.state) } else { Err(missing) }
    }

    fn set_route(
        &mut self,
        destination: IpNet,
        target: &Target,
        source: Option<IpAddr>,
    ) -> Result<(), (StepFailureKind, String)> {
        if source.is_some_and(|source| !self.state.local.contains(&source)) {
            return Err((StepFailureKind::Other, "invalid argument: the source is no address of this host".to_owned()));
        }
        match target {
            Target::Link(interface) => {
                if !self.link(interface)?.is_up {
                    return Err((StepFailureKind::Other, "network is down".to_owned()));
                }
                self.assert_covered(interface);
                self.was_local.insert(destination);
            }
            Target::Endpoints(_) => panic!("this world has no services"),
            Target::Gateways(_) => panic!("a kernel with next hop objects is led by groups"),
            Target::Group(id) => {
                if self.state.gateways_of(*id).is_none() {
                    return Err((StepFailureKind::Other, "nexthop id does not exist".to_owned()));
                }
            }
            Target::Blackhole => {
                self.was_local.insert(destination);
            }
        }
        self.state.put_route(destination, target.clone(), source);
        Ok(())
    }

    fn set_next_hop(&mut self, id: NextHopId, next_hop: &NextHop) -> Result<(), (StepFailureKind, String)> {
        let refuse = |why: &str| Err((StepFailureKind::Other, why.to_owned()));
        let other_kind = |found: &NextHop| std::mem::discriminant(found) != std::mem::discriminant(next_hop);
        if self.state.next_hops.get(&id).is_some_and(other_kind) {
            return refuse("can not replace a nexthop with one of another kind");
        }
        match next_hop {
            NextHop::Single(Gateway { address, interface: Some(UPLINK) })
                if self.state.underlay.keys().any(|link| link.contains(address)) => {}
            NextHop::Single(Gateway { interface: Some(index), .. })
                if self.state.tunnel.as_ref().is_some_and(|tunnel| tunnel.index == *index) => {}
            NextHop::Single(_) => return refuse("nexthop has invalid gateway"),
            NextHop::Group(members) => {
                let is_single = |id| matches!(self.state.next_hops.get(id), Some(NextHop::Single(_)));
                if members.is_empty() || !members.iter().all(is_single) {
                    return refuse("invalid nexthop id in group");
                }
            }
        }
        self.state.next_hops.insert(id, next_hop.clone());
        Ok(())
    }

    /// The kernel would take routes along; the head never lets it.
    fn remove_next_hop(&mut self, id: NextHopId) {
        let is_used = self.state.learned.values().any(|target| *target == Target::Group(id));
        assert!(!is_used, "next hop {id:?} is removed under its routes");
        self.state.next_hops.remove(&id);
    }

    fn remove_link(&mut self, interface: &Interface) {
        self.state.links.remove(interface);
        self.state.routes.retain(|_, target| *target != Target::Link(interface.clone()));
        self.state.neighbours.retain(|(on, _), _| on != interface);
        self.inside.retain(|_, host_side| host_side != interface);
    }

    /// The law: no link comes up, and no route leads to it, unless both dispatches know it.
    fn assert_covered(&self, interface: &Interface) {
        assert!(self.is_altered || self.covers(interface), "{interface} is raised or routed to without rules");
    }

    /// Whether the table sends packets of this interface to its policy, in both directions.
    pub fn covers(&self, interface: &Interface) -> bool {
        let key = Element::exactly([Atom::Interface(interface.clone())]);
        let knows = |elements: &MapElements| match elements {
            MapElements::Ids(ids) => ids.contains_key(&key),
            MapElements::Verdicts(_)
            | MapElements::Counters(_)
            | MapElements::Sockets4(_)
            | MapElements::Sockets6(_)
            | MapElements::Addresses4(_)
            | MapElements::Addresses6(_) => false,
        };
        self.rules.maps.values().filter(|map| knows(&map.elements)).count() == 2
    }

    /// A container's namespace goes, and its links with it.
    pub fn lose_namespace(&mut self, netns: &PathBuf) {
        if self.namespaces.remove(netns) {
            self.drifts += 1;
            let lost = self.inside.iter().filter(|((path, _), _)| path == netns);
            let lost: Vec<Interface> = lost.map(|(_, interface)| interface.clone()).collect();
            lost.iter().for_each(|interface| self.remove_link(interface));
        }
    }

    /// Another hand removes a route of ours.
    pub fn lose_route(&mut self, destination: &IpNet) {
        self.drifts += 1;
        self.state.drop_route(destination);
    }

    /// Another hand removes a neighbour entry of ours.
    pub fn lose_neighbour(&mut self, entry: &(Interface, IpAddr)) {
        self.drifts += 1;
        self.state.neighbours.remove(entry);
    }

    /// Another hand lowers a link: the kernel drops its routes.
    pub fn lower(&mut self, interface: &Interface) {
        self.drifts += 1;
        if let Some(link) = self.state.links.get_mut(interface) {
            link.is_up = false;
        }
        self.state.routes.retain(|_, target| *target != Target::Link(interface.clone()));
    }

    /// Another hand changes sysctls of a link.
    pub fn disturb(&mut self, interface: &Interface) {
        self.drifts += 1;
        if let Some(link) = self.state.links.get_mut(interface) {
            link.is_configured = false;
        }
    }

    /// Another hand empties our table.
    pub fn alter_rules(&mut self) {
        self.drifts += 1;
        self.is_altered = true;
        self.rules = Ruleset::default();
    }

    /// What stands, without the numbers the kernel gives.
    pub fn shape(&self) -> KernelState {
        let mut shape = self.state.clone();
        shape.links.values_mut().for_each(|link| link.index = 0);
        shape
    }

    /// Another hand removes the tunnel device, and its next hops and their routes with it; and tells.
    pub fn lose_tunnel(&mut self) {
        let Some(index) = self.state.tunnel.take().map(|standing| standing.index) else { return };
        self.drifts += 1;
        let leads =
            |next_hop: &NextHop| matches!(next_hop, NextHop::Single(gateway) if gateway.interface == Some(index));
        let lost: BTreeSet<NextHopId> =
            self.state.next_hops.extract_if(.., |_, next_hop| leads(next_hop)).map(|(id, _)| id).collect();
        let is_hollow = |next_hop: &mut NextHop| match next_hop {
            NextHop::Group(members) => {
                members.retain(|id| !lost.contains(id));
                members.is_empty()
            }
            NextHop::Single(_) => false,
        };
        let hollow: BTreeSet<NextHopId> =
            self.state.next_hops.extract_if(.., |_, next_hop| is_hollow(next_hop)).map(|(id, _)| id).collect();
        self.state.learned.retain(|_, target| !matches!(target, Target::Group(id) if hollow.contains(id)));
        self.state.sources.retain(|destination, _| self.state.learned.contains_key(destination));
        self.state.fdb.clear();
        self.state.tunnel_hosts.clear();
        self.state.neighbours.retain(|(on, _), _| *on != Device::interface());
    }
}
