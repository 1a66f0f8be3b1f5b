//! What leads every message, and what leads those about a neighbour.
//!
//! Rules: RFC 7854 §4.1 and §4.2, RFC 9069 §4.1 and §4.2.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use crate::Asn;

const VERSION: u8 = 3;

/// Version, length and kind.
const COMMON_OCTETS: u32 = 6;

/// The neighbour's address is one of IPv6.
const FLAG_V6: u8 = 0x80;

/// Routes as they are after import rules.
const FLAG_POST_POLICY: u8 = 0x40;

/// The kinds of messages, §4.1.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Routes = 0,
    Statistics = 1,
    PeerDown = 2,
    PeerUp = 3,
    Initiation = 4,
    Termination = 5,
}

/// Which of our tables a message speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum View {
    /// What a neighbour offers, as it came.
    AdjRibInPre,
    /// What counts of it, after import rules.
    AdjRibInPost,
    /// What won, of all neighbours and our own (RFC 9069).
    LocRib,
}

/// Whom a message is about, §4.2: a neighbour, or for [`View::LocRib`] ourselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Which table.
    pub view: View,
    /// The neighbour's address; of no meaning for [`View::LocRib`].
    pub address: IpAddr,
    /// Its autonomous system, or ours.
    pub asn: Asn,
    /// Its BGP identifier, or ours.
    pub router_id: Ipv4Addr,
    /// Since 1970, when it happened; zero where that is not known.
    pub time: Duration,
}

impl Peer {
    fn encode(&self, out: &mut Vec<u8>) {
        const GLOBAL_INSTANCE: u8 = 0;
        const LOC_RIB_INSTANCE: u8 = 3;
        let (kind, flags, address) = match (self.view, self.address) {
            (View::LocRib, _) => (LOC_RIB_INSTANCE, 0, [0; 16]),
            (View::AdjRibInPre, address) => (GLOBAL_INSTANCE, family_flag(address), sixteen(address)),
            (View::AdjRibInPost, address) => {
                (GLOBAL_INSTANCE, FLAG_POST_POLICY | family_flag(address), sixteen(address))
            }
        };
        out.extend([kind, flags]);
        out.extend([0; 8]); // one instance, so nothing to distinguish
        out.extend(address);
        out.extend(self.asn.0.to_be_bytes());
        out.extend(self.router_id.octets());
        out.extend(u32::try_from(self.time.as_secs()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend(self.time.subsec_micros().to_be_bytes());
    }
}

fn family_flag(address: IpAddr) -> u8 {
    if address.is_ipv6() { FLAG_V6 } else { 0 }
}

/// An address in the width of IPv6; one of IPv4 stands at the end, after zeros (§4.2).
pub(super) fn sixteen(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()).to_be_bytes(),
        IpAddr::V6(address) => Ipv6Addr::octets(&address),
    }
}

/// A message, of which `body` writes what follows the header.
pub(super) fn framed(kind: Kind, out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let mut content = Vec::new();
    body(&mut content);
    out.push(VERSION);
    out.extend(u32::try_from(content.len()).unwrap_or(u32::MAX).saturating_add(COMMON_OCTETS).to_be_bytes());
    out.push(kind as u8);
    out.extend(content);
}

/// A message about a neighbour.
pub(super) fn about(kind: Kind, peer: &Peer, out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    framed(kind, out, |out| {
        peer.encode(out);
        body(out);
    });
}
