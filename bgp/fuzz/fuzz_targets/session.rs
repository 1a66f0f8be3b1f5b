//! Tries lives of a speaker, led by coverage: `cargo +nightly fuzz run --fuzz-dir bgp/fuzz session`.

#![no_main]

#[path = "../../tests/story/any_life.rs"]
mod any_life;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| any_life::live(input));
