//! Writes the steps from a packet to a verdict by way of ids: what one look-up leaves in registers is the key of the next.
//!
//! In: the steps. Out: `NFTA_LIST_ELEM`s. Knows nothing of what ids stand for.
//!
//! nft 1.0.6 aborts on a lookup of what another lookup left in a register (netlink_delinearize.c, `netlink_parse_lookup`: it takes such
//! a value to have no length; bug 1736 of bugzilla.netfilter.org), and so does every `nft list ruleset` on the host. It does not see, though, that one value covers
//! another. So an id's key begins one register before the id, where nft still sees a value as long as the key: an interface's name, loaded
//! for its eyes alone.

use poplin_policy::ruleset::{Asks, AtPort, Dispatch, Field, Name, Origin};

use super::super::wire::Writer;
use super::data::{self, REGISTER_OCTETS};
use super::expression::{expression, immediate, load_from, load_one, lookup_from};
use super::number::*;

/// Where steps have the key their first id is, and the id itself.
pub(super) const ID_KEY: u32 = NFT_REG32_00 + 3;
pub(super) const ID: u32 = ID_KEY + 1;
/// Where a dispatch has what is joined to the id, and the steps at a port the key their second id is.
pub(super) const NEXT: u32 = ID_KEY + 4;
/// Where the steps at a port have their second id.
pub(super) const SECOND_ID: u32 = NEXT + 1;
/// Where the first id is found by, and where the steps at a port have what is joined to the second.
pub(super) const FURTHER: u32 = NEXT + 4;
/// Where the steps at a port have protocol and port.
pub(super) const PLACE: u32 = NFT_REG32_00 + 1;

/// What stands before the id in a place.
const AT: [Field; 2] = [Field::Protocol, Field::DestinationPort];

/// Finds an id, does what maps say of it, and goes on if one of them says nothing.
///
/// ```text
/// register       2     3     4     5     6     7 … 10   11 …
/// load                 p     o     p     7
/// immediate      0     0
/// load                                                 what leads to the id
/// lookup id                  id    id    0
/// load                                         address
/// lookup id                  id    id    0     (3 … 10, which nft takes for name and address, and prints as iifname . ip saddr)
/// count, verdict       0     id    id    0     (3 … 6)
/// ```
pub(super) fn dispatch(out: &mut Writer, Dispatch { from, and, counters, verdicts }: &Dispatch) {
    prepare(out, ID_KEY);
    first_id(out, from);
    if let Some((field, ids)) = and {
        load_one(out, *field, NEXT);
        lookup_from(out, ID_KEY, ids, |out| out.put_be32(NFTA_LOOKUP_DREG, ID));
    }
    if let Some(counters) = counters {
        count_by_key(out, ID_KEY, counters);
    }
    lookup_from(out, ID_KEY, verdicts, |out| out.put_be32(NFTA_LOOKUP_DREG, NFT_REG_VERDICT));
}

/// Finds a path and what is asked on it at the packet's port, does what maps say of the answer, and goes on if one of them says nothing.
///
/// ```text
/// register       1     2     3     4 5 6   7     8 9 10  11 …
/// load                       p     o p 7
/// immediate            0     0
/// load                                     p     o p 7
/// immediate                          0     0
/// load           protocol, port
/// load                                                   what leads to the path
/// lookup path                      path
/// lookup id                                      id      (1 … 6: l4proto . th dport . iifname)
/// load                                                   address
/// lookup answer                                  answer  (7 … 14: iifname . ip saddr)
/// count, verdict                                         (1 … 10: l4proto . th dport . iifname . iifname)
/// ```
pub(super) fn at_port(out: &mut Writer, AtPort { path, asks, counters, verdicts }: &AtPort) {
    prepare(out, ID_KEY);
    prepare(out, NEXT);
    load_from(out, &AT, PLACE);
    first_id(out, path);
    match asks {
        Some(Asks { questions, field, owners }) => {
            lookup_from(out, PLACE, questions, |out| out.put_be32(NFTA_LOOKUP_DREG, SECOND_ID));
            load_one(out, *field, FURTHER);
            lookup_from(out, NEXT, owners, |out| out.put_be32(NFTA_LOOKUP_DREG, SECOND_ID));
        }
        None => set_id(out, SECOND_ID, AtPort::UNASKED),
    }
    count_by_key(out, PLACE, counters);
    lookup_from(out, PLACE, verdicts, |out| out.put_be32(NFTA_LOOKUP_DREG, NFT_REG_VERDICT));
}

/// Makes room for a key that an id is: for nft a name, and nought where the key begins. The register before it is nought then, too.
fn prepare(out: &mut Writer, key: u32) {
    load_one(out, Field::InterfaceIn, key);
    immediate(out, key - 1, |out, kind| data::put_value(out, kind, &[0; 2 * REGISTER_OCTETS]));
}

fn first_id(out: &mut Writer, from: &Origin) {
    match from {
        Origin::Constant(id) => set_id(out, ID, *id),
        Origin::Fields { fields, ids } => {
            load_from(out, fields, FURTHER);
            lookup_from(out, FURTHER, ids, |out| out.put_be32(NFTA_LOOKUP_DREG, ID));
        }
    }
}

fn set_id(out: &mut Writer, register: u32, id: u64) {
    immediate(out, register, |out, kind| data::put_value(out, kind, &data::id(id)));
}

fn count_by_key(out: &mut Writer, register: u32, counters: &Name) {
    expression(out, "objref", |out| {
        out.put_be32(NFTA_OBJREF_SET_SREG, register);
        out.put_text(NFTA_OBJREF_SET_NAME, counters.as_str());
    });
}
