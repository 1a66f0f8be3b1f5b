//! Established flows when policy changes: which end, which do not notice, and when nobody looks.

#![allow(clippy::unwrap_used)]

mod ends;
mod readings;
mod room;
