//! Whether the way to a neighbour works, asked many times a second: Bidirectional Forwarding Detection.
//!
//! In: which ways to watch, packets that arrived, the time, and one seed of chance. Out: packets to send, and a [`View`] of a
//! session whenever something about it changed. Knows nothing of BGP, sockets or clocks: it runs where its timing holds.
//! Rules: RFC 5880 (asynchronous mode, without authentication and echo), RFC 5881 (one hop), RFC 5883 (several hops).
//!
//! ```text
//!          hears nothing, or Down                hears Init or Up
//!   Down ─────────hears Down─────────> Init ──────────────────────> Up
//!    │ └──────────hears Init──────────────────────────────────────> │
//!    └<────────────── silence for the detection time, or hears Down ─┘
//! ```

mod diagnostic;
mod monitor;
mod packet;
mod schedule;
mod session;
mod settings;
mod timing;
mod view;

pub use diagnostic::Diagnostic;
pub use monitor::{Action, Event, Monitor};
pub use packet::{Malformed, PACKET_OCTETS, Packet};
pub use settings::{INTERVAL, INTERVAL_MAX, INTERVAL_MIN, MULTIPLIER, Path, Settings};
pub use view::{Cause, Fall, State, View};
