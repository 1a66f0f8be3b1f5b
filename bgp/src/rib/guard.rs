//! Which routes never enter the table.
//!
//! Rules: RFC 4271 §5.1.3 (next hop), §6.3 (first AS), §9.1.2 (loops), RFC 4456 §8 (what comes home), RFC 9234 §5 (leaks), RFC 6890 (addresses
//! with a meaning of their own). Routes to exactly our own prefixes are kept, yet never used: see `own.rs`;
//! so are those that passed our cluster before: see `speaker/import/judge.rs`.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use crate::{
    Address, Asn,
    wire::{Attributes, Role},
};

use super::Source;

/// Why a route was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The path leads through us.
    #[error("the path already contains our AS {0}")]
    Loop(Asn),
    /// A reflector sent us what we sent it.
    #[error("we originated it ourselves as {0}")]
    Reflected(Ipv4Addr),
    /// An external neighbour must stand at the head of the path.
    #[error("the path does not begin with the neighbour's AS {0}")]
    FirstAs(Asn),
    /// It was for customers only, and does not come from above.
    #[error("it leaks: AS {0} meant it for customers only (OTC)")]
    Leak(Asn),
    /// The next hop is nobody, many, us, or known on one link only.
    #[error("the next hop {0} cannot be a neighbour of ours")]
    NextHop(Address),
    /// The prefix has a meaning of its own on every host.
    #[error("the prefix is not for routing")]
    Prefix,
}

impl Refusal {
    /// Whether well-behaved neighbours cause this every day: switches tell us what we told them, FRR among them.
    pub(crate) fn is_ordinary(self) -> bool {
        match self {
            Self::Loop(_) | Self::Reflected(_) => true,
            Self::FirstAs(_) | Self::Leak(_) | Self::NextHop(_) | Self::Prefix => false,
        }
    }
}

/// Whether what is said about some routes lets them in.
pub(crate) fn admits_attributes(
    attributes: &Attributes,
    source: &Source,
    own_asn: Asn,
    own_id: Ipv4Addr,
) -> Result<(), Refusal> {
    if attributes.path.contains(own_asn) {
        return Err(Refusal::Loop(own_asn));
    }
    if attributes.originator == Some(own_id) {
        return Err(Refusal::Reflected(own_id));
    }
    if source.external && attributes.path.first() != Some(source.asn) {
        return Err(Refusal::FirstAs(source.asn));
    }
    leak(attributes, source).map_or(Ok(()), |asn| Err(Refusal::Leak(asn)))
}

/// RFC 9234 §5: whose word was not kept; a peer may only tell what is for customers of its own.
fn leak(attributes: &Attributes, source: &Source) -> Option<Asn> {
    let said = attributes.only_to_customer?;
    let leaks = match source.role? {
        Role::Provider | Role::RouteServer => true,
        Role::Peer => said != source.asn,
        Role::Customer | Role::RouteServerClient => false,
    };
    leaks.then_some(said)
}

/// Whether anything may be reached over this next hop.
pub(crate) fn admits_next_hop(next_hop: Address, own: &[IpAddr]) -> Result<(), Refusal> {
    // On a link that we know an address of that link is as good as any other.
    let is_usable = next_hop.zone().is_some() || is_routable(next_hop.ip());
    if own.contains(&next_hop.ip()) || !is_usable { Err(Refusal::NextHop(next_hop)) } else { Ok(()) }
}

/// Whether a prefix may be reached over others at all.
pub(crate) fn admits_prefix(prefix: IpNet) -> Result<(), Refusal> {
    let is_default = prefix.prefix_len() == 0;
    if is_default || is_routable(prefix.network()) { Ok(()) } else { Err(Refusal::Prefix) }
}

/// Whether an address belongs to one host somewhere, and not to every host, link or group.
fn is_routable(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.octets()[0] != 0 && !v4.is_loopback() && !v4.is_link_local() && v4.octets()[0] < 224,
        IpAddr::V6(v6) => {
            !v6.is_loopback() && !v6.is_unspecified() && !v6.is_unicast_link_local() && !v6.is_multicast()
        }
    }
}
