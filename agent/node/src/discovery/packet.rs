//! Router advertisements and solicitations, as far as they say that a router is there.
//!
//! In: an ICMPv6 message and who sent it. Out: what it is, or why it does not count. Rules: RFC 4861 §4.1, §4.2, §6.1.1 and §6.1.2. Of the checks
//! there two are made before: the hop limit of 255 by whoever owns the socket, the checksum by the kernel.

use std::net::Ipv6Addr;

/// Says that we are there and nothing else: a router lifetime of 0 makes us nobody's default router (§4.2), and zeros leave open what hosts might
/// take from it. The kernel fills in the checksum.
pub const ADVERTISEMENT: [u8; 16] = [TYPE_ADVERTISEMENT, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Asks routers to say that they are there.
pub const SOLICITATION: [u8; 8] = [TYPE_SOLICITATION, 0, 0, 0, 0, 0, 0, 0];

const TYPE_SOLICITATION: u8 = 133;
const TYPE_ADVERTISEMENT: u8 = 134;

/// What was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// A router is there.
    Advertisement,
    /// Somebody asks for routers.
    Solicitation,
}

/// Why a message does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Another kind of ICMPv6.
    #[error("ICMPv6 type {0} says nothing of routers")]
    Type(u8),
    /// A code that nobody has defined.
    #[error("its code is {0}, and only 0 is defined")]
    Code(u8),
    /// Too short for its kind.
    #[error("it has {0} octets, fewer than its kind needs")]
    Length(usize),
    /// An advertisement from elsewhere.
    #[error("a router advertises itself from its link-local address only, and this came from {0}")]
    Source(Ipv6Addr),
    /// Options that end nowhere.
    #[error("an option in it has no length, or passes its end")]
    Option,
}

impl Message {
    /// Reads a message without its IPv6 header.
    pub fn decode(octets: &[u8], from: Ipv6Addr) -> Result<Self, Malformed> {
        let &[kind, code, ..] = octets else { return Err(Malformed::Length(octets.len())) };
        let (message, head) = match kind {
            TYPE_ADVERTISEMENT => (Self::Advertisement, ADVERTISEMENT.len()),
            TYPE_SOLICITATION => (Self::Solicitation, SOLICITATION.len()),
            other => return Err(Malformed::Type(other)),
        };
        let options = octets.get(head..).ok_or(Malformed::Length(octets.len()))?;
        match message {
            _ if code != 0 => Err(Malformed::Code(code)),
            Self::Advertisement if !from.is_unicast_link_local() => Err(Malformed::Source(from)),
            Self::Advertisement | Self::Solicitation if !are_sound(options) => Err(Malformed::Option),
            Self::Advertisement | Self::Solicitation => Ok(message),
        }
    }
}

/// Each option says its length in units of 8 octets, which is not zero (§4.6).
fn are_sound(mut options: &[u8]) -> bool {
    while !options.is_empty() {
        let length = 8 * options.get(1).copied().map_or(0, usize::from);
        match options.get(length..) {
            Some(rest) if length > 0 => options = rest,
            Some(_) | None => return false,
        }
    }
    true
}
