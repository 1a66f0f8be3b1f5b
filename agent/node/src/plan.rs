//! Desired minus seen, in a safe order.
//!
//! In: what should be, and the kernel as last seen. Out: steps. The same state gives the same plan, whatever road led there.
//! Order: rules, then links that leave, links that come, their neighbours, up, next hops, and routes last: an interface without
//! rules never has a route, and a route never leads to an interface without rules, nor points at a next hop that is not there. A LAN is
//! answered after all of it, and no more before any of it goes.

mod tunnel;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use ipnet::IpNet;
use poplin_policy::delta::Change;
use poplin_policy::ruleset::Interface;

use crate::addresses::Addresses;
use crate::groups::{Due, Lead};
use crate::kernel::{Gateway, KernelState, LinkState, Mac, NewLink, Step, Target};
use crate::object::Endpoint;
use crate::prefix::host_prefix;
use crate::tunnel::Tunnel;

/// The next hop of every container for IPv4. Link-local (RFC 3927), so that it means the same on each host and collides with nothing routed.
pub const GATEWAY_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 1, 1));

/// The next hop for IPv6; it stands on each link, since a link-local address belongs to one (RFC 4291 §2.5.6).
pub const GATEWAY_V6: IpAddr = IpAddr::V6(std::net::Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1));

/// What should be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Desired {
    /// Changes of our table that are due.
    pub rules: Arc<Vec<Change>>,
    /// Next hops of containers, on `lo`. One that nobody needs any more stays: it harms nobody, and may be another program's.
    pub gateways: BTreeSet<IpAddr>,
    /// Our links.
    pub links: BTreeMap<Interface, DesiredLink>,
    /// Where whose links stand here is not wholly known, those that are to go all the same: the others stay, closed by the rules. Absent = what
    /// is not desired goes.
    pub only_leaving: Option<BTreeSet<Interface>>,
    /// Links of which an address is somebody else's: they stay, closed by the rules, and nothing leads to them.
    pub closed: BTreeSet<Interface>,
    /// Routes into the void.
    pub routes: BTreeMap<IpNet, Target>,
    /// For which of our links' addresses the host answers on which uplink.
    pub proxied: BTreeSet<(Interface, IpAddr)>,
    /// Tunnels to other hosts; absent = none is to stand.
    pub tunnel: Option<Arc<Tunnel>>,
    /// Whether nothing is done about tunnels for a while.
    pub tunnel_rests: bool,
    /// Whether what stands of tunnels stays, whatever else is wanted.
    pub keeps_tunnel: bool,
    /// Whether forwarding still has to be switched on.
    pub forwarding: bool,
    /// What is to be changed in containers' own namespaces.
    pub sandboxes: Vec<Step>,
}

/// One container's link.
#[derive(Clone, Debug, PartialEq)]
pub struct DesiredLink {
    /// How to make it, while its attachment is under way. A link that vanished later is not made again: its container's side would be bare.
    pub create: Option<NewLink>,
    /// The container's addresses.
    pub addresses: Addresses,
    /// MAC of the container's side.
    pub container_mac: Mac,
    /// Whether it publishes ports for the host's loopback addresses, too.
    pub has_loopback: bool,
    /// Whether it is the container's own interface, which waits here to be taken: it is made, and nothing else.
    pub is_macvlan: bool,
}

/// Whether the link of an endpoint is there, as far as a host can see. What is in a container it cannot: there it is until somebody says otherwise.
pub fn is_linked(endpoint: &Endpoint, seen: &KernelState) -> bool {
    endpoint.is_in_a_sandbox() || seen.links.contains_key(&endpoint.interface)
}

/// The steps from what is seen to what should be, of learned routes so far as they are due; none if they are the same.
pub fn plan(desired: &Desired, due: &Due, seen: &KernelState) -> Vec<Step> {
    let mut steps = Vec::new();
    steps.extend(desired.forwarding.then_some(Step::EnableForwarding));
    steps.extend(desired.gateways.difference(&seen.gateways).copied().map(Step::AddGateway));
    if !desired.rules.is_empty() {
        steps.push(Step::ChangeRules(desired.rules.clone()));
    }
    let routes = desired_routes(desired, seen);
    steps.extend(narrowed(seen, &routes));
    steps.extend(answered_no_more(desired, seen));
    steps.extend(leaving(desired, due, seen, &routes));
    for (interface, link) in &desired.links {
        steps.extend(link_steps(interface, link, seen));
    }
    if !desired.tunnel_rests {
        steps.extend(tunnel::entries_due(desired, seen));
    }
    steps.extend(due.objects.iter().cloned());
    steps.extend(routes.iter().filter(|(prefix, target)| seen.routes.get(prefix) != Some(target)).map(local_route));
    let learned = due.routes.iter().filter(|(prefix, _)| !routes.contains_key(prefix));
    let learned = learned.filter_map(|(prefix, lead)| Some((prefix, lead.as_ref()?)));
    let learned = learned.filter(|(prefix, lead)| !lead.stands(prefix, seen));
    steps.extend(learned.map(|(prefix, Lead { target, source })| Step::SetRoute {
        destination: *prefix,
        target: target.clone(),
        source: *source,
    }));
    steps.extend(due.unused.iter().cloned());
    steps.extend(desired.sandboxes.iter().cloned());
    let unanswered = desired.proxied.iter().filter(|entry| seen.proxied.get(entry) != Some(&true)).cloned();
    steps.extend(unanswered.map(|(uplink, address)| Step::SetProxyNeighbour { uplink, address }));
    if !desired.tunnel_rests {
        steps.extend(tunnel::changes_due(desired, seen));
    }
    steps
}

/// All routes of ours that should be: those asked for, and one to each address behind a link that is there or about to be.
fn desired_routes(desired: &Desired, seen: &KernelState) -> BTreeMap<IpNet, Target> {
    let mut routes = desired.routes.clone();
    for (interface, link) in &desired.links {
        if link.create.is_some() || seen.links.contains_key(interface) {
            let to_link = |address: &IpAddr| (host_prefix(*address), Target::Link(interface.clone()));
            routes.extend(link.addresses.iter().map(to_link));
        }
    }
    routes
}

/// Routes by several containers that lose some of them. The kernel drops the whole of such a route with the first link that goes
/// (net/ipv4/fib_semantics.c, `fib_sync_down_dev`), so it comes before the links.
fn narrowed(seen: &KernelState, routes: &BTreeMap<IpNet, Target>) -> Vec<Step> {
    let is_narrowed = |prefix: &IpNet, wanted: &BTreeSet<Gateway>| match seen.routes.get(prefix) {
        Some(Target::Endpoints(standing)) => wanted != standing && wanted.is_subset(standing),
        _ => false,
    };
    let narrowed = routes
        .iter()
        .filter(|(prefix, target)| matches!(target, Target::Endpoints(wanted) if is_narrowed(prefix, wanted)));
    narrowed.map(local_route).collect()
}

/// A route that ends on this host: of its addresses, the kernel chooses one.
fn local_route((destination, target): (&IpNet, &Target)) -> Step {
    Step::SetRoute { destination: *destination, target: target.clone(), source: None }
}

/// Proxy neighbours nobody wants any more; those of a link that stays without being known stay with it.
fn answered_no_more(desired: &Desired, seen: &KernelState) -> Vec<Step> {
    let is_stranger = |interface: &Interface| {
        let is_leaving = desired.only_leaving.as_ref().is_none_or(|leaving| leaving.contains(interface));
        !is_leaving && !desired.links.contains_key(interface) && !desired.closed.contains(interface)
    };
    let stays = |address: IpAddr| match seen.routes.get(&host_prefix(address)) {
        Some(Target::Link(interface)) => is_stranger(interface),
        Some(Target::Endpoints(_) | Target::Gateways(_) | Target::Group(_) | Target::Blackhole) | None => false,
    };
    let lost = seen.proxied.keys().filter(|entry| !desired.proxied.contains(entry) && !stays(entry.1)).cloned();
    lost.map(|(uplink, address)| Step::RemoveProxyNeighbour { uplink, address }).collect()
}

/// Links and routes nobody wants any more. A link takes its routes with it.
fn leaving(desired: &Desired, due: &Due, seen: &KernelState, routes: &BTreeMap<IpNet, Target>) -> Vec<Step> {
    let is_stranger =
        |interface: &Interface| desired.only_leaving.as_ref().is_some_and(|leaving| !leaving.contains(interface));
    let is_closed = |interface: &Interface| desired.closed.contains(interface);
    let is_leaving = |interface: &Interface| {
        !desired.links.contains_key(interface) && !is_stranger(interface) && !is_closed(interface)
    };
    let links = seen.links.keys().filter(|interface| is_leaving(interface));
    let goes_with_its_link_or_stays = |target: &Target| match target {
        Target::Link(interface) => !desired.links.contains_key(interface) && !is_closed(interface),
        Target::Blackhole => desired.only_leaving.is_some(),
        Target::Endpoints(_) | Target::Gateways(_) | Target::Group(_) => false,
    };
    let is_wanted = |prefix: &IpNet| routes.contains_key(prefix) || due.routes.get(prefix).is_some_and(Option::is_some);
    let lost = seen.routes.iter().filter(|(prefix, target)| !is_wanted(prefix) && !goes_with_its_link_or_stays(target));
    let unlearned = due.routes.iter().filter(|(prefix, target)| target.is_none() && !routes.contains_key(prefix));
    let unlearned = unlearned.filter(|(prefix, _)| seen.learned.contains_key(prefix));
    let lost = lost.map(|(prefix, _)| prefix).chain(unlearned.map(|(prefix, _)| prefix));
    let lost = lost.map(|prefix| Step::RemoveRoute(*prefix));
    lost.chain(links.map(|interface| Step::DeleteLink(interface.clone()))).collect()
}

fn link_steps(interface: &Interface, link: &DesiredLink, seen: &KernelState) -> Vec<Step> {
    let standing = seen.links.get(interface);
    let mut steps = Vec::new();
    match (standing, &link.create) {
        (None, None) => return steps,
        (None, Some(new)) => steps.push(Step::CreateLink(new.clone())),
        (Some(_), _) => {}
    }
    if link.is_macvlan {
        return steps; // it stays as it was made until its runtime takes it
    }
    if !standing.is_some_and(|link| link.is_configured) {
        steps.push(Step::ConfigureLink(interface.clone()));
    }
    if standing.is_some_and(|link| link.has_loopback) != link.has_loopback {
        steps.push(Step::LetLoopbackPass { interface: interface.clone(), is_open: link.has_loopback });
    }
    if !standing.is_some_and(|link| link.is_up) {
        steps.push(Step::RaiseLink(interface.clone()));
    }
    let mac = link.container_mac;
    let is_missing = |address: &&IpAddr| seen.neighbours.get(&(interface.clone(), **address)) != Some(&mac);
    let missing = link.addresses.iter().filter(is_missing);
    steps.extend(missing.map(|address| Step::SetNeighbour { interface: interface.clone(), address: *address, mac }));
    steps
}

/// Whether everything the kernel must hold for a link stands.
pub fn is_wired(interface: &Interface, addresses: &[IpAddr], mac: Mac, seen: &KernelState) -> bool {
    findings(interface, addresses, mac, seen).is_empty()
}

/// What is missing of a link, one sentence each.
pub fn findings(interface: &Interface, addresses: &[IpAddr], mac: Mac, seen: &KernelState) -> Vec<String> {
    let Some(link) = seen.links.get(interface) else {
        return vec![format!("interface {interface} does not exist")];
    };
    let mut findings = Vec::new();
    findings.extend((!link.is_up).then(|| format!("interface {interface} is down")));
    findings.extend((!link.is_configured).then(|| format!("the sysctls of {interface} were changed")));
    for address in addresses {
        let target = seen.routes.get(&host_prefix(*address));
        let is_routed = target == Some(&Target::Link(interface.clone()));
        findings.extend((!is_routed).then(|| format!("there is no route of ours to {address} by {interface}")));
        let is_known = seen.neighbours.get(&(interface.clone(), *address)) == Some(&mac);
        findings.extend((!is_known).then(|| format!("the neighbour entry of {address} on {interface} is not {mac}")));
    }
    findings
}

/// The kernel after a step was done, until it is read again.
pub fn advance(seen: &mut KernelState, step: &Step) {
    match step {
        Step::EnableForwarding => seen.is_forwarding_off = false,
        Step::ChangeRules(_) | Step::ChangeSandbox { .. } | Step::LeaveSandbox { .. } => {}
        Step::AddGateway(address) => {
            seen.gateways.insert(*address);
        }
        Step::CreateLink(new) => {
            let (mac, mtu_bytes) = (new.mac, new.mtu_bytes);
            let link = LinkState { index: 0, is_up: false, mac, mtu_bytes, is_configured: false, has_loopback: false };
            seen.links.insert(new.interface.clone(), link);
        }
        Step::ConfigureLink(interface) => alter(seen, interface, |link| link.is_configured = true),
        Step::LetLoopbackPass { interface, is_open } => alter(seen, interface, |link| link.has_loopback = *is_open),
        Step::RaiseLink(interface) => alter(seen, interface, |link| link.is_up = true),
        Step::DeleteLink(interface) => {
            seen.links.remove(interface);
            seen.routes.retain(|_, target| *target != Target::Link(interface.clone()));
            seen.neighbours.retain(|(on, _), _| on != interface);
        }
        Step::SetNeighbour { interface, address, mac } => {
            seen.neighbours.insert((interface.clone(), *address), *mac);
        }
        Step::RemoveNeighbour { interface, address } => {
            seen.neighbours.remove(&(interface.clone(), *address));
        }
        Step::SetProxyNeighbour { uplink, address } => {
            seen.proxied.insert((uplink.clone(), *address), true);
        }
        Step::RemoveProxyNeighbour { uplink, address } => {
            seen.proxied.remove(&(uplink.clone(), *address));
        }
        Step::SetTunnel(_)
        | Step::RemoveTunnel
        | Step::SetFdbEntry { .. }
        | Step::RemoveFdbEntry(_)
        | Step::SetTunnelRule(..)
        | Step::RemoveTunnelRule(..)
        | Step::SetTunnelHost { .. }
        | Step::RemoveTunnelHost { .. } => tunnel::advance(seen, step),
        Step::SetNextHop { id, next_hop } => {
            seen.next_hops.insert(*id, next_hop.clone());
        }
        Step::RemoveNextHop(id) => {
            seen.next_hops.remove(id);
        }
        Step::SetRoute { destination, target, source } => seen.put_route(*destination, target.clone(), *source),
        Step::RemoveRoute(destination) => seen.drop_route(destination),
    }
}

fn alter(seen: &mut KernelState, interface: &Interface, change: impl FnOnce(&mut LinkState)) {
    if let Some(link) = seen.links.get_mut(interface) {
        change(link);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn desired() -> Desired {
        let interface = Interface::new("pop0123456789ab").unwrap();
        let create = NewLink {
            interface: interface.clone(),
            mac: Mac([2, 0, 0, 0, 0, 1]),
            container_interface: "eth0".to_owned(),
            container_mac: Mac([2, 0, 0, 0, 0, 2]),
            netns: "/run/netns/web".into(),
            mtu_bytes: 1500,
            gateway_v6: None,
            macvlan: None,
        };
        let link = DesiredLink {
            addresses: ["10.77.0.1".parse().unwrap()].into(),
            container_mac: create.container_mac,
            has_loopback: true,
            is_macvlan: false,
            create: Some(create),
        };
        Desired {
            rules: Arc::new(vec![Change::Restart]),
            gateways: BTreeSet::from([GATEWAY_V4]),
            links: BTreeMap::from([(interface, link)]),
            only_leaving: None,
            closed: BTreeSet::new(),
            routes: BTreeMap::from([("10.77.0.0/26".parse().unwrap(), Target::Blackhole)]),
            proxied: BTreeSet::from([(Interface::new("eth0").unwrap(), "10.77.0.1".parse().unwrap())]),
            forwarding: true,
            sandboxes: Vec::new(),
            ..Desired::default()
        }
    }

    fn carry_out(steps: &[Step], seen: &mut KernelState) {
        for step in steps {
            advance(seen, step);
        }
    }

    #[test]
    fn rules_come_before_the_link_and_routes_after_it() {
        let steps = plan(&desired(), &Due::default(), &KernelState::default());

        let place = |wanted: fn(&Step) -> bool| steps.iter().position(wanted).unwrap();
        let rules = place(|step| matches!(step, Step::ChangeRules(_)));
        let link = place(|step| matches!(step, Step::CreateLink(_)));
        let up = place(|step| matches!(step, Step::RaiseLink(_)));
        let route = place(|step| matches!(step, Step::SetRoute { target: Target::Link(_), .. }));
        let answer = place(|step| matches!(step, Step::SetProxyNeighbour { .. }));
        assert!(rules < link && link < up && up < route && route < answer);
    }

    #[test]
    fn a_plan_carried_out_leaves_nothing_to_plan() {
        let mut seen = KernelState::default();
        carry_out(&plan(&desired(), &Due::default(), &seen), &mut seen);

        let after = Desired { rules: Arc::default(), forwarding: false, ..desired() };

        assert_eq!(plan(&after, &Due::default(), &seen), vec![]);
        carry_out(&plan(&Desired::default(), &Due::default(), &seen), &mut seen);
        assert_eq!(seen, KernelState { gateways: BTreeSet::from([GATEWAY_V4]), ..KernelState::default() });
    }

    #[test]
    fn a_route_removed_by_another_hand_is_put_back() {
        let mut seen = KernelState::default();
        carry_out(&plan(&desired(), &Due::default(), &seen), &mut seen);
        let prefix: IpNet = "10.77.0.1/32".parse().unwrap();
        let target = seen.routes.remove(&prefix).unwrap();

        let steps = plan(&Desired { rules: Arc::default(), forwarding: false, ..desired() }, &Due::default(), &seen);

        assert_eq!(steps, vec![Step::SetRoute { destination: prefix, target, source: None }]);
    }

    #[test]
    fn the_lan_is_answered_no_more_before_the_link_goes_unless_it_stays_unknown() {
        let mut seen = KernelState::default();
        carry_out(&plan(&desired(), &Due::default(), &seen), &mut seen);
        let stays_unknown = Desired { only_leaving: Some(BTreeSet::new()), ..Desired::default() };

        let steps = plan(&Desired::default(), &Due::default(), &seen);
        let unknown = plan(&stays_unknown, &Due::default(), &seen);

        let place = |wanted: fn(&Step) -> bool| steps.iter().position(wanted).unwrap();
        let answer = place(|step| matches!(step, Step::RemoveProxyNeighbour { .. }));
        assert!(answer < place(|step| matches!(step, Step::DeleteLink(_))));
        assert_eq!(unknown, vec![]);
    }

    #[test]
    fn an_entry_by_which_the_kernel_does_not_answer_is_set_again() {
        let mut seen = KernelState::default();
        carry_out(&plan(&desired(), &Due::default(), &seen), &mut seen);
        seen.proxied.values_mut().for_each(|answers| *answers = false);

        let steps = plan(&Desired { rules: Arc::default(), forwarding: false, ..desired() }, &Due::default(), &seen);

        let (uplink, address) = desired().proxied.pop_first().unwrap();
        assert_eq!(steps, vec![Step::SetProxyNeighbour { uplink, address }]);
    }

    #[test]
    fn a_link_that_vanished_is_not_made_again_and_gets_no_route() {
        let mut wanted = desired();
        for link in wanted.links.values_mut() {
            link.create = None;
        }

        let steps = plan(&wanted, &Due::default(), &KernelState::default());

        assert!(!steps.iter().any(|step| matches!(step, Step::CreateLink(_) | Step::RaiseLink(_))));
        assert!(!steps.iter().any(|step| matches!(step, Step::SetRoute { target: Target::Link(_), .. })));
    }
}
