//! Routes come and go.
//!
//! Rules: RFC 4271 §4.3 and §6.3, RFC 4760, RFC 4724 §2, RFC 7606.

use std::net::Ipv4Addr;

use super::{
    Attributes, EXTENDED_OCTETS_MAX, Family, Fault, Flaw, Hop, MESSAGE_OCTETS_MAX, Nlri, Notification, PathFamilies,
    Reach, Unreach,
    attribute::{attribute, code, flag},
    collect::Collected,
    prefix,
    reader::{Reader, counted_u16},
};

/// What the two ends agreed on, as far as it changes how an UPDATE reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Dialect {
    /// Whether AS numbers take four octets.
    pub four_octets: bool,
    /// Whether the neighbour is in another autonomous system.
    pub external: bool,
    /// Where prefixes we read carry a path identifier.
    pub ids_in: PathFamilies,
    /// Where those we write do.
    pub ids_out: PathFamilies,
    /// Whether IPv4 prefixes we read may have an IPv6 next hop (RFC 8950).
    pub mixed_in: bool,
    /// Whether messages we read may be extended (RFC 8654).
    pub long_in: bool,
    /// Whether those we write may.
    pub long_out: bool,
}

impl Dialect {
    /// Before anything is agreed on; for messages that read the same in every dialect.
    pub const PLAIN: Dialect = Dialect {
        four_octets: false,
        external: true,
        ids_in: PathFamilies { ipv4: false, ipv6: false },
        ids_out: PathFamilies { ipv4: false, ipv6: false },
        mixed_in: false,
        long_in: false,
        long_out: false,
    };

    /// How long a message may be that we read.
    pub fn octets_in(self) -> usize {
        longest(self.long_in)
    }

    /// How long one may be that we write.
    pub fn octets_out(self) -> usize {
        longest(self.long_out)
    }
}

fn longest(is_extended: bool) -> usize {
    if is_extended { EXTENDED_OCTETS_MAX } else { MESSAGE_OCTETS_MAX }
}

/// Routes come and go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Update {
    /// What went: the classic IPv4 field, and whatever RFC 7606 treats as withdrawn.
    pub withdrawn: Vec<Nlri>,
    /// What went by MP_UNREACH_NLRI.
    pub unreach: Option<Unreach>,
    /// What is said about all that came; present exactly if something came.
    pub attributes: Option<Attributes>,
    /// What came in the classic IPv4 field; its next hop is one of the attributes.
    pub announced: Vec<Nlri>,
    /// What came by MP_REACH_NLRI.
    pub reach: Option<Reach>,
}

impl Update {
    /// The mark that the initial table is complete, RFC 4724 §2.
    pub fn end_of_rib(family: Family) -> Self {
        let unreach = match family {
            Family::Ipv4 => None,
            Family::Ipv6 => Some(Unreach { family, prefixes: Vec::new() }),
        };
        Self { unreach, ..Self::default() }
    }

    /// The family whose initial table is complete, if this is that mark; a flawed update is none, however empty it became.
    pub fn ends_table_of(&self) -> Option<Family> {
        match &self.unreach {
            None if *self == Self::default() => Some(Family::Ipv4),
            Some(unreach) if unreach.prefixes.is_empty() && self.withdrawn.is_empty() && self.attributes.is_none() => {
                Some(unreach.family)
            }
            None | Some(_) => None,
        }
    }

    /// Everything that went.
    pub fn all_withdrawn(&self) -> impl Iterator<Item = Nlri> {
        let unreach = self.unreach.iter().flat_map(|unreach| &unreach.prefixes);
        self.withdrawn.iter().chain(unreach).copied()
    }

    /// Everything that came, by next hop.
    pub fn all_announced(&self) -> impl Iterator<Item = (Hop, &[Nlri])> {
        self.announced_over(self.attributes.as_ref().and_then(|attributes| attributes.next_hop))
    }

    /// The same, where the next hop of the classic field is known from its attributes.
    pub(crate) fn announced_over(&self, next_hop: Option<Ipv4Addr>) -> impl Iterator<Item = (Hop, &[Nlri])> {
        let classic = next_hop.map(|next_hop| (next_hop.into(), &*self.announced));
        let reach = self.reach.as_ref().map(|reach| (reach.next_hop, &*reach.prefixes));
        classic.into_iter().chain(reach)
    }

    pub(super) fn decode(body: &[u8], dialect: Dialect) -> Result<(Self, Vec<Flaw>), Notification> {
        let mut reader = Reader::new(body);
        let (Some(withdrawn), Some(attributes)) = (reader.counted_u16(), reader.counted_u16()) else {
            return Err(Fault::ATTRIBUTE_LIST.bare());
        };
        let withdrawn = classic(withdrawn, dialect)?;
        let announced = classic(reader.rest(), dialect)?;
        let collected = Collected::read(attributes, dialect)?;
        Ok(collected.into_update(dialect.external, withdrawn, announced))
    }

    pub(super) fn encode(&self, dialect: Dialect, out: &mut Vec<u8>) {
        counted_u16(out, |out| prefix::encode_all(&self.withdrawn, dialect.ids_out, out));
        counted_u16(out, |out| self.encode_attributes(dialect, out));
        prefix::encode_all(&self.announced, dialect.ids_out, out);
    }

    /// The prefixes lead, so that a flaw further on leaves them readable: RFC 7606 §5.1.
    fn encode_attributes(&self, dialect: Dialect, out: &mut Vec<u8>) {
        const MULTIPROTOCOL: u8 = flag::OPTIONAL;
        if let Some(reach) = &self.reach {
            attribute(MULTIPROTOCOL, code::MP_REACH, &reach.encode(dialect.ids_out), out);
        }
        if let Some(unreach) = &self.unreach {
            attribute(MULTIPROTOCOL, code::MP_UNREACH, &unreach.encode(dialect.ids_out), out);
        }
        if let Some(attributes) = &self.attributes {
            attributes.encode(dialect, out);
        }
    }
}

fn classic(octets: &[u8], dialect: Dialect) -> Result<Vec<Nlri>, Notification> {
    prefix::decode(octets, Family::Ipv4, dialect.ids_in).ok_or_else(|| Fault::NETWORK_FIELD.bare())
}
