//! What people declare about who may talk to whom, in the form everything here reasons about.
//!
//! Values only: tiers of ordered policies of ordered rules, and the things they speak of. Parsed at the border, cannot be
//! wrong within.

mod member;
mod name;
mod namespace;
mod order;
mod policy;
mod port;
mod port_text;
mod profile;
mod rare;
mod rules;
mod selection;
mod tier;

pub use self::member::{AddressSet, Endpoint, NamedPort};
pub use self::name::QualifiedName;
pub use self::namespace::{NAMESPACE_LABEL, Namespace};
pub use self::order::{NotAnOrder, Order};
pub use self::policy::{Action, Direction, Hosts, Mode, Peers, Policy, Rule};
pub use self::port::{IcmpMatch, IcmpVersion, IpVersion, PortMatch, PortProtocol, PortSide};
pub use self::port_text::PortError;
pub use self::profile::{PROFILE_LABEL, Profile, inherited};
pub use self::rare::{Rare, Usual};
pub use self::rules::Rules;
pub use self::selection::{Scope, Selection};
pub use self::tier::{ADMIN_TIER, BASELINE_TIER, DEFAULT_TIER, DefaultAction, PROFILE_TIER, Tier};
