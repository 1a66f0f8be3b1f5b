//! Whatever octets come, they are read or refused; what was read without a flaw is written and read again as the same.
//!
//! Tried here at random, and by `bgp/fuzz`, which includes this file, led by coverage.

use poplin_bgp::wire::{Dialect, Framer, Message, PathFamilies};

/// The first octet says what the two ends agreed on, the others are the stream.
pub(crate) fn read_and_write(input: &[u8]) {
    let Some((&bits, octets)) = input.split_first() else { return };
    let dialect = dialect(bits);
    for message in read(octets, dialect) {
        let written = message.encode(dialect);
        if written.len() <= dialect.octets_out() {
            assert_eq!(read(&written, dialect), [message]);
        }
    }
}

/// What the two ends agreed on, alike in both directions.
fn dialect(bits: u8) -> Dialect {
    let is_set = |bit: u8| bits & 1 << bit != 0;
    let ids = PathFamilies { ipv4: is_set(2), ipv6: is_set(3) };
    let is_long = is_set(4);
    Dialect {
        mixed_in: is_set(5),
        four_octets: is_set(0),
        external: is_set(1),
        ids_in: ids,
        ids_out: ids,
        long_in: is_long,
        long_out: is_long,
    }
}

/// All messages up to the first that ends a session, but for those with flaws.
fn read(octets: &[u8], dialect: Dialect) -> Vec<Message> {
    let mut framer = Framer::default();
    framer.feed(octets);
    let mut messages = Vec::new();
    while let Ok(Some((message, flaws))) = framer.next(dialect) {
        if flaws.is_empty() {
            messages.push(message);
        }
    }
    messages
}
