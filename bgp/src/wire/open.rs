//! The first message of a session: who is there, and what it can do.
//!
//! Rules: RFC 4271 §4.2 and §6.2, RFC 5492 (capabilities), RFC 9072 (long parameters). Whether the sender is welcome is
//! decided by `session/negotiate.rs`.

use std::net::Ipv4Addr;

use crate::Asn;

use super::{
    AddPaths, Capability, Family, Fault, GracefulRestart, LongLived, Notification,
    reader::{Reader, length_u16},
};

/// Who the sender is, and what it can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// The two-octet field "My Autonomous System"; [`Open::asn`] knows better.
    pub my_as: u16,
    /// The hold time it proposes, in seconds.
    pub hold_time_secs: u16,
    /// Its BGP identifier.
    pub router_id: Ipv4Addr,
    /// What it can do, in the order given.
    pub capabilities: Vec<Capability>,
}

/// BGP has been at version 4 since 1994.
const VERSION: u8 = 4;

/// The optional parameter that carries capabilities.
const CAPABILITIES: u8 = 2;

/// In place of both the length and the first type: the long form of RFC 9072 follows.
const EXTENDED: u8 = 255;

impl Open {
    /// The sender's autonomous system: of the capability if it has it, else of the two-octet field.
    pub fn asn(&self) -> Asn {
        self.four_octet_asn().unwrap_or(Asn(self.my_as.into()))
    }

    /// What the four-octet capability says, if it is there.
    pub fn four_octet_asn(&self) -> Option<Asn> {
        self.capabilities.iter().find_map(|capability| match capability {
            Capability::FourOctetAsn(asn) => Some(*asn),
            Capability::Multiprotocol(_)
            | Capability::RouteRefresh
            | Capability::EnhancedRefresh
            | Capability::Role(_)
            | Capability::ExtendedNextHop(_)
            | Capability::ExtendedMessages
            | Capability::GracefulRestart(_)
            | Capability::AddPaths(_)
            | Capability::LongLived(_)
            | Capability::Other { .. } => None,
        })
    }

    /// What it says about its restarts; of several such capabilities the last counts, RFC 4724 §3.
    pub fn graceful_restart(&self) -> Option<&GracefulRestart> {
        self.capabilities.iter().rev().find_map(|capability| match capability {
            Capability::GracefulRestart(restart) => Some(restart),
            Capability::Multiprotocol(_)
            | Capability::RouteRefresh
            | Capability::EnhancedRefresh
            | Capability::Role(_)
            | Capability::ExtendedNextHop(_)
            | Capability::ExtendedMessages
            | Capability::AddPaths(_)
            | Capability::FourOctetAsn(_)
            | Capability::LongLived(_)
            | Capability::Other { .. } => None,
        })
    }

    /// What it says of restarts that take long, RFC 9494 §3.1: nothing, unless it speaks of restarts at all.
    pub fn long_lived(&self) -> Option<&LongLived> {
        self.graceful_restart()?;
        self.capabilities.iter().rev().find_map(|capability| match capability {
            Capability::LongLived(long_lived) => Some(long_lived),
            Capability::Multiprotocol(_)
            | Capability::RouteRefresh
            | Capability::EnhancedRefresh
            | Capability::Role(_)
            | Capability::ExtendedNextHop(_)
            | Capability::ExtendedMessages
            | Capability::GracefulRestart(_)
            | Capability::AddPaths(_)
            | Capability::FourOctetAsn(_)
            | Capability::Other { .. } => None,
        })
    }

    /// What it can do with more than one path in a family, RFC 7911 §4; of several such capabilities the last counts.
    pub fn add_paths(&self, family: Family) -> AddPaths {
        let all = self.capabilities.iter().rev().find_map(|capability| match capability {
            Capability::AddPaths(all) => Some(all),
            Capability::Multiprotocol(_)
            | Capability::RouteRefresh
            | Capability::EnhancedRefresh
            | Capability::Role(_)
            | Capability::ExtendedNextHop(_)
            | Capability::ExtendedMessages
            | Capability::GracefulRestart(_)
            | Capability::LongLived(_)
            | Capability::FourOctetAsn(_)
            | Capability::Other { .. } => None,
        });
        all.and_then(|all| all.get(&family)).copied().unwrap_or_default()
    }

    /// Whether it hears IPv4 prefixes over routers of IPv6, RFC 8950 §4.
    pub fn hears_mixed(&self) -> bool {
        self.capabilities.iter().any(|capability| match capability {
            Capability::ExtendedNextHop(families) => families.contains(&Family::Ipv4),
            Capability::Multiprotocol(_)
            | Capability::RouteRefresh
            | Capability::EnhancedRefresh
            | Capability::Role(_)
            | Capability::ExtendedMessages
            | Capability::GracefulRestart(_)
            | Capability::AddPaths(_)
            | Capability::LongLived(_)
            | Capability::FourOctetAsn(_)
            | Capability::Other { .. } => false,
        })
    }

    pub(super) fn decode(body: &[u8]) -> Result<Self, Notification> {
        let mut reader = Reader::new(body);
        let version = reader.u8().ok_or_else(malformed)?;
        if version != VERSION {
            return Err(Fault::BAD_VERSION.with([0, VERSION]));
        }
        Ok(Self {
            my_as: reader.u16().ok_or_else(malformed)?,
            hold_time_secs: reader.u16().ok_or_else(malformed)?,
            router_id: reader.ipv4().ok_or_else(malformed)?,
            capabilities: parameters(&mut reader)?,
        })
    }

    /// Writes all capabilities into one parameter; past 253 octets it takes the long form of RFC 9072.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        out.extend(self.my_as.to_be_bytes());
        out.extend(self.hold_time_secs.to_be_bytes());
        out.extend(self.router_id.octets());
        let mut value = Vec::new();
        self.capabilities.iter().for_each(|capability| capability.encode(&mut value));
        encode_parameter(&value, out);
    }
}

fn malformed() -> Notification {
    Fault::OPEN.bare()
}

fn encode_parameter(value: &[u8], out: &mut Vec<u8>) {
    match u8::try_from(value.len()) {
        Ok(0) => out.push(0),
        Ok(length @ ..=252) => out.extend([length + 2, CAPABILITIES, length]),
        Ok(_) | Err(_) => {
            out.extend([EXTENDED, EXTENDED]);
            out.extend(u16::try_from(value.len() + 3).unwrap_or(u16::MAX).to_be_bytes());
            out.push(CAPABILITIES);
            out.extend(length_u16(value));
        }
    }
    out.extend(value);
}

/// Reads the optional parameters, which end exactly where the message ends.
fn parameters(reader: &mut Reader<'_>) -> Result<Vec<Capability>, Notification> {
    let length = reader.u8().ok_or_else(malformed)?;
    let mut ahead = *reader;
    let extended = length != 0 && ahead.u8() == Some(EXTENDED);
    let octets = if extended {
        *reader = ahead;
        reader.counted_u16()
    } else {
        reader.take(length.into())
    };
    let octets = octets.filter(|_| reader.is_empty()).ok_or_else(malformed)?;
    each_parameter(Reader::new(octets), extended)
}

fn each_parameter(mut reader: Reader<'_>, extended: bool) -> Result<Vec<Capability>, Notification> {
    let mut all = Vec::new();
    while !reader.is_empty() {
        let kind = reader.u8().ok_or_else(malformed)?;
        let value = if extended { reader.counted_u16() } else { reader.counted_u8() }.ok_or_else(malformed)?;
        if kind != CAPABILITIES {
            return Err(Fault::BAD_PARAMETER.bare());
        }
        all.extend(Capability::decode_all(value).ok_or_else(malformed)?);
    }
    Ok(all)
}
