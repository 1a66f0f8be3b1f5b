//! Tries octets of a neighbour, led by coverage: `cargo +nightly fuzz run --fuzz-dir bgp/fuzz wire`.

#![no_main]

#[path = "../../tests/story/any_octets.rs"]
mod any_octets;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| any_octets::read_and_write(input));
