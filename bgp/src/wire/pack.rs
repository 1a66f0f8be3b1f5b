//! Fits many prefixes that share their attributes into as few messages as possible.
//!
//! Rules: RFC 4271 §4 and RFC 8654 (how long a message may be), RFC 4760 (other families than IPv4), RFC 8950 (other routers).

use std::net::IpAddr;

use super::{
    Attributes, Dialect, Family, Hop, Message, Nlri, PathFamilies, Reach, Unreach, Update, header::set_length, prefix,
};

/// Whole messages that announce these prefixes, which are all of one family. IPv4 over a router of IPv6 suits only whoever can hear that.
pub fn pack_reach(
    attributes: &Attributes,
    next_hop: impl Into<Hop>,
    prefixes: impl IntoIterator<Item = impl Into<Nlri>>,
    dialect: Dialect,
) -> Vec<Vec<u8>> {
    let next_hop = next_hop.into();
    let mut prefixes = prefixes.into_iter().map(Into::into).peekable();
    let Some(family) = prefixes.peek().map(|first: &Nlri| Family::of_prefix(&first.prefix)) else { return Vec::new() };
    match next_hop.address {
        IpAddr::V4(next_hop) => {
            let attributes = Some(Attributes { next_hop: Some(next_hop), ..attributes.clone() });
            trailing(Update { attributes, ..Update::default() }, prefixes, dialect)
        }
        IpAddr::V6(_) => packed(prefixes, dialect, |prefixes| Update {
            attributes: Some(Attributes { next_hop: None, ..attributes.clone() }),
            reach: Some(Reach { family, next_hop, prefixes }),
            ..Update::default()
        }),
    }
}

/// Whole messages that withdraw these prefixes, which are all of this family.
pub fn pack_unreach(
    family: Family,
    prefixes: impl IntoIterator<Item = impl Into<Nlri>>,
    dialect: Dialect,
) -> Vec<Vec<u8>> {
    packed(prefixes, dialect, |prefixes| match family {
        Family::Ipv4 => Update { withdrawn: prefixes, ..Update::default() },
        Family::Ipv6 => Update { unreach: Some(Unreach { family, prefixes }), ..Update::default() },
    })
}

/// Classic prefixes stand at the end of a message, so all that leads is put into octets once.
fn trailing(head: Update, prefixes: impl IntoIterator<Item = impl Into<Nlri>>, dialect: Dialect) -> Vec<Vec<u8>> {
    let head = Message::Update(head).encode(dialect);
    let room_octets = dialect.octets_out().saturating_sub(head.len());
    let portions = portions(prefixes, room_octets, dialect.ids_out).into_iter();
    let message = |portion: Vec<Nlri>| {
        let mut message = head.clone();
        prefix::encode_all(&portion, dialect.ids_out, &mut message);
        set_length(&mut message);
        message
    };
    portions.map(message).collect()
}

fn packed(
    prefixes: impl IntoIterator<Item = impl Into<Nlri>>,
    dialect: Dialect,
    update: impl Fn(Vec<Nlri>) -> Update,
) -> Vec<Vec<u8>> {
    let mut prefixes = prefixes.into_iter().peekable();
    if prefixes.peek().is_none() {
        return Vec::new();
    }
    let encoded = |prefixes| Message::Update(update(prefixes)).encode(dialect);
    // An attribute grows by one octet when its length passes 255: kept free.
    let room_octets = dialect.octets_out().saturating_sub(encoded(Vec::new()).len() + 1);
    portions(prefixes, room_octets, dialect.ids_out).into_iter().map(encoded).collect()
}

fn portions(
    prefixes: impl IntoIterator<Item = impl Into<Nlri>>,
    room_octets: usize,
    with_ids: PathFamilies,
) -> Vec<Vec<Nlri>> {
    let mut portions: Vec<Vec<Nlri>> = Vec::new();
    let mut left = 0;
    for one in prefixes {
        let one = one.into();
        let size = prefix::size_octets(&one, with_ids);
        match portions.last_mut() {
            Some(portion) if size <= left => portion.push(one),
            Some(_) | None => {
                portions.push(vec![one]);
                left = room_octets;
            }
        }
        left = left.saturating_sub(size);
    }
    portions
}
