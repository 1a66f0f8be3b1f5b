//! Words for people, in Initiation, Peer Up and Termination.
//!
//! Rules: RFC 7854 §4.4, RFC 9069 §4.3 (the table's name).

use super::tlv;

pub(super) const SYS_DESCR: u16 = 1;
pub(super) const SYS_NAME: u16 = 2;

/// Which table it is.
const TABLE_NAME: u16 = 3;

/// The only table we have, by the name RFC 9069 §4.3 suggests for it.
pub(super) fn table_name(out: &mut Vec<u8>) {
    information(TABLE_NAME, "global", out);
}

/// Text without its end mark, cut where its length would not be told any more.
pub(super) fn information(kind: u16, text: &str, out: &mut Vec<u8>) {
    let end = text.floor_char_boundary(usize::from(u16::MAX));
    tlv(kind, &text.as_bytes()[..end], out);
}
