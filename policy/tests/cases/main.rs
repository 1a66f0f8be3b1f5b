//! Small worlds written by hand: what policies mean, how it is told, what it is compiled to.

// In helpers too: a test that cannot be set up fails.
#![allow(clippy::unwrap_used)]

mod compile;
mod effort;
mod explain;
mod scene;
mod verdict;
