//! What people declare about who may talk to whom, in the form everything here reasons about.
//!
//! Values only: tiers of ordered policies of ordered rules, and the things they speak of. Parsed at the border, cannot be
//! wrong within.

mod member;
mod order;
mod policy;
mod port;
mod port_text;
mod tier;

pub use self::member::{AddressSet, Endpoint};
pub(crate) use self::order::standing;
pub use self::order::{NotAnOrder, Order};
pub use self::policy::{Action, Direction, Peers, Policy, Rule};
pub(crate) use self::port::PortSide;
pub use self::port::{IcmpMatch, IcmpVersion, PortMatch, PortProtocol};
pub use self::port_text::PortError;
pub use self::tier::{DEFAULT_TIER, DefaultAction, Tier};
