//! Which way to go: a BGP speaker as a pure state machine.
//!
//! In: the configuration, the prefixes we originate, and what happens on TCP connections. Out: connections to dial,
//! octets to send, routes to install. Knows nothing of sockets, clocks, chance or the kernel: time is handed in.
//!
//! ```text
//!   Event ──> speaker ──> Action
//!              │  │  └──── rib      which of several paths is used, and why
//!              │  ├─────── session  the life of one neighbour, RFC 4271 §8
//!              │  └─────── route_map  what the operator wants done with routes that come in or go out
//!              └────────── wire     octets <-> messages
//! ```
//!
//! Beside it stands [`bfd`], which watches the ways to neighbours and runs where its timing holds. What a network team's tools hear
//! of all that is put into octets by [`bmp`], and what they read from a file by [`mrt`].
//!
//! ```
//! use std::time::Instant;
//! use poplin_bgp::{Asn, Event, Speaker, SpeakerConfig};
//!
//! let config = SpeakerConfig { asn: Asn(64512), router_id: [192, 0, 2, 1].into() };
//! let mut speaker = Speaker::new(config);
//! speaker.handle(Instant::now(), Event::Originate(["10.0.0.0/26".parse().unwrap()].into()));
//! assert!(speaker.next_action().is_none(), "nobody to tell yet");
//! ```

mod address;
mod asn;
pub mod bfd;
pub mod bmp;
mod chance;
pub mod mrt;
mod rib;
mod route_map;
mod session;
mod speaker;
pub mod wire;

pub use address::{Address, BadAddress, Zone};
pub use asn::Asn;
pub use chance::Chance;
pub use rib::{Apart, Best, Fate, Multipath, Refusal, Route, Step};
pub use route_map::{
    BadPrefixRange, CommunityChange, CommunityPattern, MedChange, NextHop, PathCondition, PrefixRange, Prefixes,
    RouteChange, RouteCondition, RouteMap, RouteRule, RouteRules, Verdict,
};
pub use session::{
    BfdConfig, Exchange, LimitAction, NeighbourConfig, PrefixLimits, Protection, RESTART_SECS_MAX, RESTART_TIME,
    Record, Refused, RemoteAs, RoleConfig, SessionState, Tally, Times,
};
pub use speaker::{
    Action, Advertised, BestChange, ConnectionId, Event, FamilyCount, Monitoring, NeighbourDetail, NeighbourView, Note,
    Octets, Order, OrderRefusal, Speaker, SpeakerConfig, Way,
};
