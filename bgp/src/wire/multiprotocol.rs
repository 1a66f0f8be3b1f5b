//! Prefixes of any family, with their next hop: MP_REACH_NLRI and MP_UNREACH_NLRI.
//!
//! Rules: RFC 4760 §3 to §5, RFC 2545 §3 and RFC 8950 §3 (IPv6 next hops), RFC 7606 §5.3 and §7.11 (what cannot be survived).

use super::{Dialect, Family, Fault, Hop, Nlri, Notification, PathFamilies, prefix, reader::Reader};

/// Prefixes that came, and over which router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Of which family.
    pub family: Family,
    /// The router; over one of IPv6 either family is reached (RFC 8950).
    pub next_hop: Hop,
    /// What it reaches.
    pub prefixes: Vec<Nlri>,
}

/// Prefixes that went; none at all marks the end of the initial table (RFC 4724 §2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreach {
    /// Of which family.
    pub family: Family,
    /// What is not reached any more.
    pub prefixes: Vec<Nlri>,
}

impl Reach {
    /// `Ok(None)` is a family that we do not speak.
    pub(super) fn decode(value: &[u8], dialect: Dialect) -> Result<Option<Self>, Notification> {
        let mut reader = Reader::new(value);
        let (Some(afi), Some(safi)) = (reader.u16(), reader.u8()) else { return Err(broken(value)) };
        let Some(family) = Family::of(afi, safi) else { return Ok(None) };
        let next_hop = reader.counted_u8().and_then(|octets| Hop::decode(family, octets, dialect.mixed_in));
        let (Some(next_hop), Some(_reserved)) = (next_hop, reader.u8()) else {
            return Err(broken(value));
        };
        let prefixes = prefix::decode(reader.rest(), family, dialect.ids_in).ok_or_else(|| broken(value))?;
        Ok(Some(Self { family, next_hop, prefixes }))
    }

    pub(super) fn encode(&self, with_ids: PathFamilies) -> Vec<u8> {
        let next_hop = self.next_hop.octets();
        let mut out = leading(self.family);
        out.push(u8::try_from(next_hop.len()).unwrap_or(u8::MAX));
        out.extend(next_hop);
        out.push(0);
        prefix::encode_all(&self.prefixes, with_ids, &mut out);
        out
    }
}

impl Unreach {
    /// `Ok(None)` is a family that we do not speak.
    pub(super) fn decode(value: &[u8], with_ids: PathFamilies) -> Result<Option<Self>, Notification> {
        let mut reader = Reader::new(value);
        let (Some(afi), Some(safi)) = (reader.u16(), reader.u8()) else { return Err(broken(value)) };
        let Some(family) = Family::of(afi, safi) else { return Ok(None) };
        let prefixes = prefix::decode(reader.rest(), family, with_ids).ok_or_else(|| broken(value))?;
        Ok(Some(Self { family, prefixes }))
    }

    pub(super) fn encode(&self, with_ids: PathFamilies) -> Vec<u8> {
        let mut out = leading(self.family);
        prefix::encode_all(&self.prefixes, with_ids, &mut out);
        out
    }
}

/// Prefixes that cannot be read cannot be withdrawn either: only a new session mends that. A next hop of a length that nobody expects leaves open
/// where they begin (RFC 7606 §7.11), and so does one of IPv6 for IPv4 that was not agreed on.
fn broken(value: &[u8]) -> Notification {
    Fault::OPTIONAL_ATTRIBUTE.with(value)
}

fn leading(family: Family) -> Vec<u8> {
    let (afi, safi) = family.numbers();
    let [high, low] = afi.to_be_bytes();
    vec![high, low, safi]
}
