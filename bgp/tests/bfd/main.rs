//! BFD in virtual time: two ends on a wire that loses what a test wants lost.

#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests, too")]

mod alone;
mod decode;
mod life;
mod lossy;
mod timers;
mod wire;
