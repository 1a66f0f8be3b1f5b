//! Whatever octets come, they are read or refused; what was read without a flaw is written and read again as the same.
//!
//! `cargo +nightly fuzz run --fuzz-dir bgp/fuzz wire`

#![no_main]

use libfuzzer_sys::fuzz_target;
use poplin_bgp::wire::{Dialect, Framer, Message, PathFamilies};

fuzz_target!(|input: &[u8]| {
    let Some((&bits, octets)) = input.split_first() else { return };
    let dialect = dialect(bits);
    for message in read(octets, dialect) {
        let written = message.encode(dialect);
        if written.len() <= dialect.octets_out() {
            assert_eq!(read(&written, dialect), [message]);
        }
    }
});

/// What the two ends agreed on, alike in both directions.
fn dialect(bits: u8) -> Dialect {
    let is_set = |bit: u8| bits & 1 << bit != 0;
    let ids = PathFamilies { ipv4: is_set(2), ipv6: is_set(3) };
    let is_long = is_set(4);
    Dialect {
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
