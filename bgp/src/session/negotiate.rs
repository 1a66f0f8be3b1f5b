//! What two speakers agree on, and whether they do.
//!
//! In: our settings and the neighbour's OPEN. Out: the agreement, or the NOTIFICATION that ends the attempt.
//! Rules: RFC 4271 §6.2, RFC 4724 §3, RFC 8538 §2 and RFC 9494 §4.1 (restarts), RFC 4760 §8 (families), RFC 5492, RFC 6286 (identifiers), RFC 6793 (AS numbers),
//! RFC 8950 §4 (IPv4 over IPv6, where both say that they hear it), RFC 8654 §4 (whoever offers extended messages reads them; whoever is offered them may write them).

use std::{collections::BTreeSet, net::IpAddr, sync::Arc, time::Duration};

use crate::{
    Address, SpeakerConfig,
    rib::Source,
    wire::{
        AddPaths, Capability, Dialect, Family, Fault, GracefulRestart, Hop, LONG_LIVED_SECS_MAX, Lasting, LongLived,
        Notification, Open, PathFamilies,
    },
};

use super::{NeighbourConfig, role::role};

/// What two speakers agreed on.
#[derive(Debug)]
pub(super) struct Agreed {
    pub(super) dialect: Dialect,
    pub(super) families: BTreeSet<Family>,
    /// Whether the neighbour hears IPv4 over IPv6.
    pub(super) mixed_out: bool,
    /// `None`: neither end asks for signs of life.
    pub(super) hold_time: Option<Duration>,
    /// How long we may be silent.
    pub(super) keepalive: Option<Duration>,
    /// What the neighbour says about its restarts; `None` if it knows of no graceful ones.
    pub(super) restart: Option<GracefulRestart>,
    /// What it says about restarts that take long; `None` if it does not know of them.
    pub(super) long_lived: Option<LongLived>,
    /// Whether a NOTIFICATION ends the session, and not what was heard over it.
    pub(super) is_gentle: bool,
    pub(super) source: Arc<Source>,
    /// All it says it can do.
    pub(super) capabilities: Vec<Capability>,
}

/// The next hop of what we originate in this family; without one the family is not exchanged. `is_mixed`: IPv4 may go over IPv6.
pub(super) fn next_hop(config: &NeighbourConfig, local: Address, family: Family, is_mixed: bool) -> Option<Hop> {
    let v6 = next_hop_v6(config, local);
    match (family, local.ip()) {
        (Family::Ipv6, _) => v6,
        (Family::Ipv4, IpAddr::V4(local)) => Some(config.next_hop_v4.unwrap_or(local).into()),
        (Family::Ipv4, IpAddr::V6(_)) => {
            let v4 = config.next_hop_v4.map(Hop::from);
            let v6 = v6.filter(|_| is_mixed);
            // Nobody numbered the link: an IPv4 address of ours is elsewhere.
            if local.is_link_local() { v6.or(v4) } else { v4.or(v6) }
        }
    }
}

/// An address of one link is no next hop for those beyond it, so a global one leads where there is one (RFC 2545 §3).
fn next_hop_v6(config: &NeighbourConfig, local: Address) -> Option<Hop> {
    match local.ip() {
        IpAddr::V4(_) => config.next_hop_v6.map(Hop::from),
        IpAddr::V6(local) if local.is_unicast_link_local() => Some(match config.next_hop_v6 {
            Some(global) => Hop { address: global.into(), link_local: Some(local) },
            None => local.into(),
        }),
        IpAddr::V6(local) => Some(config.next_hop_v6.unwrap_or(local).into()),
    }
}

/// Whether we say that we hear IPv4 over IPv6.
fn offers_mixed(config: &NeighbourConfig, local: Address) -> bool {
    config.families.contains(&Family::Ipv4) && config.extended_next_hop.unwrap_or(local.is_ipv6())
}

fn exchangeable(config: &NeighbourConfig, local: Address, is_mixed: bool) -> BTreeSet<Family> {
    let families = config.families.iter().copied();
    families.filter(|&family| next_hop(config, local, family, is_mixed).is_some()).collect()
}

/// How we introduce ourselves.
pub(super) fn our_open(us: SpeakerConfig, config: &NeighbourConfig, local: Address, is_restarting: bool) -> Open {
    let mixed = offers_mixed(config, local);
    let families = exchangeable(config, local, mixed);
    let mixed = mixed.then(|| Capability::ExtendedNextHop([Family::Ipv4].into()));
    let restart = Capability::GracefulRestart(our_restart(config, &families, is_restarting));
    let modes = families.iter().map(|&family| (family, config.add_paths)).collect();
    let add_paths = (config.add_paths != AddPaths::default()).then_some(Capability::AddPaths(modes));
    let long_lived = config.long_lived.map(|time| Capability::LongLived(our_long_lived(&families, time)));
    let extended = config.extended_messages.then_some(Capability::ExtendedMessages);
    let role = config.role.filter(|_| config.asn.is_external(us.asn)).map(|config| Capability::Role(config.role));
    let families = families.into_iter().map(Capability::Multiprotocol);
    Open {
        my_as: us.asn.two_octets(),
        hold_time_secs: config.hold_time_secs(),
        router_id: us.router_id,
        capabilities: families
            .chain([Capability::RouteRefresh, Capability::EnhancedRefresh, restart])
            .chain(long_lived)
            .chain([Capability::FourOctetAsn(us.asn)])
            .chain(add_paths)
            .chain(mixed)
            .chain(extended)
            .chain(role)
            .collect(),
    }
}

/// Our routes stand in the kernel, which goes on forwarding without us: we keep every family through every restart.
fn our_restart(config: &NeighbourConfig, families: &BTreeSet<Family>, is_restarting: bool) -> GracefulRestart {
    let (is_gentle, time_secs) = (config.gentle, config.restart_secs());
    let families = families.iter().map(|&family| (family, true)).collect();
    GracefulRestart { is_restarting, is_gentle, time_secs, families }
}

fn our_long_lived(families: &BTreeSet<Family>, time: Duration) -> LongLived {
    let time_secs = u32::try_from(time.as_secs()).unwrap_or(u32::MAX).min(LONG_LIVED_SECS_MAX);
    LongLived {
        families: families.iter().map(|&family| (family, Lasting { is_forwarding: true, time_secs })).collect(),
    }
}

/// Judges the neighbour's OPEN, in the order of RFC 4271 §6.2.
pub(super) fn agree(
    us: SpeakerConfig,
    config: &NeighbourConfig,
    local: Address,
    open: &Open,
) -> Result<Agreed, Notification> {
    check_asn(us, config, open)?;
    check_router_id(us, config, open)?;
    let hold_time = hold_time(config, open)?;
    let mixed_in = offers_mixed(config, local);
    let mixed_out = mixed_in && open.hears_mixed();
    let families = families(exchangeable(config, local, mixed_out), open)?;
    let external = config.asn.is_external(us.asn);
    let role = role(config.role, external, open)?;
    let source =
        Source { neighbour: config.address, asn: open.asn(), router_id: open.router_id, external, role, local };
    let theirs = |family| open.add_paths(family);
    let ids_in = PathFamilies::of(|family| config.add_paths.receive && theirs(family).send);
    let ids_out = PathFamilies::of(|family| config.add_paths.send && theirs(family).receive);
    let long_in = config.extended_messages;
    let long_out = long_in && open.capabilities.contains(&Capability::ExtendedMessages);
    let four_octets = open.four_octet_asn().is_some();
    let dialect = Dialect { four_octets, external, ids_in, ids_out, mixed_in, long_in, long_out };
    let (restart, long_lived) = (open.graceful_restart().cloned(), open.long_lived().cloned());
    let is_gentle = config.gentle && restart.as_ref().is_some_and(|restart| restart.is_gentle);
    let (source, capabilities) = (Arc::new(source), open.capabilities.clone());
    Ok(Agreed {
        dialect,
        families,
        mixed_out,
        hold_time,
        keepalive: hold_time.map(|time| keepalive(config, time)),
        restart,
        long_lived,
        is_gentle,
        source,
        capabilities,
    })
}

fn check_asn(us: SpeakerConfig, config: &NeighbourConfig, open: &Open) -> Result<(), Notification> {
    if config.asn.admits(open.asn(), us.asn) && open.asn().0 != 0 { Ok(()) } else { Err(Fault::BAD_PEER_AS.bare()) }
}

/// RFC 6286 §2.2: not zero, and unlike ours within one system.
fn check_router_id(us: SpeakerConfig, config: &NeighbourConfig, open: &Open) -> Result<(), Notification> {
    let is_ours = !config.asn.is_external(us.asn) && open.router_id == us.router_id;
    if open.router_id.is_unspecified() || is_ours { Err(Fault::BAD_IDENTIFIER.bare()) } else { Ok(()) }
}

/// The smaller proposal counts; one or two seconds are refused, RFC 4271 §4.2.
fn hold_time(config: &NeighbourConfig, open: &Open) -> Result<Option<Duration>, Notification> {
    match open.hold_time_secs.min(config.hold_time_secs()) {
        0 => Ok(None),
        1 | 2 => Err(Fault::BAD_HOLD_TIME.bare()),
        seconds => Ok(Some(Duration::from_secs(seconds.into()))),
    }
}

/// A third of the hold time is what RFC 4271 §4.4 suggests, and a bound.
pub(super) fn keepalive(config: &NeighbourConfig, hold_time: Duration) -> Duration {
    let asked = config.keepalive.map(|time| time.max(Duration::from_secs(1)));
    asked.map_or(hold_time / 3, |asked| asked.min(hold_time / 3))
}

/// What both offer; a neighbour that names no family at all speaks IPv4, RFC 4760 §8.
fn families(ours: BTreeSet<Family>, open: &Open) -> Result<BTreeSet<Family>, Notification> {
    let mut theirs: BTreeSet<_> = open.capabilities.iter().filter_map(family_of).collect();
    if !open.capabilities.iter().any(names_family) {
        theirs.insert(Family::Ipv4);
    }
    let common: BTreeSet<_> = ours.intersection(&theirs).copied().collect();
    if common.is_empty() { Err(missing(&ours)) } else { Ok(common) }
}

fn family_of(capability: &Capability) -> Option<Family> {
    match capability {
        Capability::Multiprotocol(family) => Some(*family),
        Capability::RouteRefresh
        | Capability::EnhancedRefresh
        | Capability::Role(_)
        | Capability::ExtendedNextHop(_)
        | Capability::ExtendedMessages
        | Capability::GracefulRestart(_)
        | Capability::AddPaths(_)
        | Capability::LongLived(_)
        | Capability::FourOctetAsn(_)
        | Capability::Other { .. } => None,
    }
}

/// Whether it is a multiprotocol capability, also of a family that we do not speak.
fn names_family(capability: &Capability) -> bool {
    const MULTIPROTOCOL: u8 = 1;
    match capability {
        Capability::Multiprotocol(_) => true,
        Capability::Other { code, .. } => *code == MULTIPROTOCOL,
        Capability::RouteRefresh
        | Capability::EnhancedRefresh
        | Capability::Role(_)
        | Capability::ExtendedNextHop(_)
        | Capability::ExtendedMessages
        | Capability::GracefulRestart(_)
        | Capability::AddPaths(_)
        | Capability::LongLived(_)
        | Capability::FourOctetAsn(_) => false,
    }
}

/// RFC 5492 §5: the data names the capabilities we ask for.
fn missing(ours: &BTreeSet<Family>) -> Notification {
    let data: Vec<u8> = ours.iter().flat_map(|&family| Capability::Multiprotocol(family).octets()).collect();
    Fault::BAD_CAPABILITY.with(data)
}
