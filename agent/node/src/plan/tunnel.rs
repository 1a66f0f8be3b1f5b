//! The part of a plan that is about tunnels.
//!
//! In: the tunnel that should stand, the kernel as last seen. Out: steps, in two parts: what comes before the routes that lead into it, and what goes, or is
//! made anew, after those that led there have gone.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::kernel::{Gateway, KernelState, Mac, NextHop, Step, Target};
use crate::tunnel::{Device, DeviceState, Encapsulation, Tunnel};

use super::Desired;

/// What the device of our tunnels lacks, if it is the one that should be.
pub(super) fn entries_due(desired: &Desired, seen: &KernelState) -> Vec<Step> {
    match desired.tunnel.as_ref().zip(seen.tunnel.as_ref()) {
        Some((tunnel, standing)) if is_like(standing, &tunnel.device) => entries(tunnel, Some(standing), seen),
        _ => Vec::new(),
    }
}

/// What the device knows in vain; and the device itself, where it is another, or none, that should be. It goes once nothing leads through it, and
/// is made before anything does.
pub(super) fn changes_due(desired: &Desired, seen: &KernelState) -> Vec<Step> {
    let mut steps = match desired.keeps_tunnel {
        true => Vec::new(),
        false => vain_detours(desired.tunnel.as_deref(), seen),
    };
    steps.extend(device_changes(desired, seen));
    steps
}

fn device_changes(desired: &Desired, seen: &KernelState) -> Vec<Step> {
    match (&desired.tunnel, &seen.tunnel) {
        (None, None) => Vec::new(),
        (Some(_), None) if desired.keeps_tunnel => Vec::new(),
        (Some(tunnel), None) => entries(tunnel, None, &KernelState::default()),
        (_, Some(_)) if desired.keeps_tunnel => Vec::new(),
        (Some(tunnel), Some(standing)) if is_like(standing, &tunnel.device) => vain_entries(tunnel, standing, seen),
        (_, Some(standing)) if leads(standing, seen) => Vec::new(),
        (wanted, Some(_)) => {
            let make = wanted.iter().flat_map(|tunnel| entries(tunnel, None, &KernelState::default()));
            std::iter::once(Step::RemoveTunnel).chain(make).collect()
        }
    }
}

/// Whether anything of ours leads through a device.
fn leads(standing: &DeviceState, seen: &KernelState) -> bool {
    gateways(seen).any(|gateway| gateway.interface == Some(standing.index))
}

fn is_like(standing: &DeviceState, wanted: &Device) -> bool {
    standing.device.is_some_and(|device| device.is_like(wanted))
}

/// The device, and what of its entries is not there.
fn entries(tunnel: &Tunnel, standing: Option<&DeviceState>, seen: &KernelState) -> Vec<Step> {
    let stands = |state: &DeviceState| state.is_configured && state.device == Some(tunnel.device);
    let device = (!standing.is_some_and(stands)).then_some(Step::SetTunnel(tunnel.device));
    let fdb = tunnel.fdb.iter().filter(|(mac, remote)| seen.fdb.get(mac) != Some(remote));
    let fdb = fdb.map(|(mac, remote)| Step::SetFdbEntry { mac: *mac, remote: *remote });
    let interface = Device::interface();
    let is_missing =
        |(address, mac): &(&IpAddr, &Mac)| seen.neighbours.get(&(interface.clone(), **address)) != Some(*mac);
    let neighbours = tunnel.neighbours.iter().filter(is_missing);
    let set = |(address, mac): (&IpAddr, &Mac)| Step::SetNeighbour {
        interface: interface.clone(),
        address: *address,
        mac: *mac,
    };
    let entries = device.into_iter().chain(fdb).chain(neighbours.map(set));
    let hosts = tunnel.hosts.iter().filter(|(key, gateway)| seen.tunnel_hosts.get(key) != Some(gateway));
    let hosts = hosts.map(|((encapsulation, address), gateway)| Step::SetTunnelHost {
        encapsulation: *encapsulation,
        address: *address,
        gateway: *gateway,
    });
    let rules = tunnel.rules.difference(&seen.tunnel_rules).map(|(one, from)| Step::SetTunnelRule(*one, *from));
    entries.chain(hosts).chain(rules).collect()
}

/// What an earlier life learned may lead to a host that is not known any more: its entries stay as long as anything does.
fn vain_entries(tunnel: &Tunnel, standing: &DeviceState, seen: &KernelState) -> Vec<Step> {
    let led: BTreeSet<IpAddr> = gateways(seen)
        .filter(|gateway| gateway.interface == Some(standing.index))
        .map(|gateway| gateway.address)
        .collect();
    let interface = Device::interface();
    let on_it = seen.neighbours.iter().filter(|((on, _), _)| *on == interface);
    let is_needed = |address: &IpAddr| tunnel.neighbours.contains_key(address) || led.contains(address);
    let (needed, vain): (Vec<_>, Vec<_>) = on_it.partition(|((_, address), _)| is_needed(address));
    let needed: BTreeSet<&Mac> = needed.into_iter().map(|(_, mac)| mac).chain(tunnel.fdb.keys()).collect();
    let vain = vain.into_iter().map(|((interface, address), _)| {
        let (interface, address) = (interface.clone(), *address);
        Step::RemoveNeighbour { interface, address }
    });
    let fdb = seen.fdb.keys().filter(|mac| !needed.contains(mac)).map(|mac| Step::RemoveFdbEntry(*mac));
    vain.chain(fdb).collect()
}

/// Routes and rules for packets to hosts that nobody needs any more.
fn vain_detours(wanted: Option<&Tunnel>, seen: &KernelState) -> Vec<Step> {
    let is_vain = |rule: &&(Encapsulation, IpNet)| !wanted.is_some_and(|tunnel| tunnel.rules.contains(rule));
    let rules = seen.tunnel_rules.iter().filter(is_vain).map(|(one, from)| Step::RemoveTunnelRule(*one, *from));
    let is_lost = |key: &&(Encapsulation, IpAddr)| !wanted.is_some_and(|tunnel| tunnel.hosts.contains_key(key));
    let hosts = seen.tunnel_hosts.keys().filter(is_lost);
    let hosts = hosts
        .map(|(encapsulation, address)| Step::RemoveTunnelHost { encapsulation: *encapsulation, address: *address });
    rules.chain(hosts).collect()
}

/// By which gateways anything of ours leads.
fn gateways(seen: &KernelState) -> impl Iterator<Item = &Gateway> {
    let objects = seen.next_hops.values().filter_map(|next_hop| match next_hop {
        NextHop::Single(gateway) => Some(gateway),
        NextHop::Group(_) => None,
    });
    let routes = seen.learned.values().filter_map(|target| match target {
        Target::Gateways(gateways) => Some(gateways),
        Target::Group(_) | Target::Link(_) | Target::Endpoints(_) | Target::Blackhole => None,
    });
    objects.chain(routes.flatten())
}

/// The kernel after a step of these was done, until it is read again.
pub(super) fn advance(seen: &mut KernelState, step: &Step) {
    match step {
        Step::SetTunnel(device) => {
            let index = seen.tunnel.as_ref().map_or(0, |standing| standing.index);
            seen.tunnel = Some(DeviceState { index, device: Some(*device), is_configured: true });
        }
        Step::RemoveTunnel => {
            seen.tunnel = None;
            seen.fdb.clear();
            seen.tunnel_hosts.clear();
            seen.neighbours.retain(|(on, _), _| *on != Device::interface());
        }
        Step::SetFdbEntry { mac, remote } => drop(seen.fdb.insert(*mac, *remote)),
        Step::RemoveFdbEntry(mac) => drop(seen.fdb.remove(mac)),
        Step::SetTunnelRule(encapsulation, from) => drop(seen.tunnel_rules.insert((*encapsulation, *from))),
        Step::RemoveTunnelRule(encapsulation, from) => drop(seen.tunnel_rules.remove(&(*encapsulation, *from))),
        Step::SetTunnelHost { encapsulation, address, gateway } => {
            seen.tunnel_hosts.insert((*encapsulation, *address), *gateway);
        }
        Step::RemoveTunnelHost { encapsulation, address } => {
            seen.tunnel_hosts.remove(&(*encapsulation, *address));
        }
        _ => {}
    }
}
