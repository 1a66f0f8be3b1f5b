//! Octets to messages and back.
//!
//! In: the octets of one TCP connection, cut at any place. Out: messages, or the NOTIFICATION that answers what is wrong
//! with them. Knows nothing of sessions and tables. Rules: RFC 4271 §4 and §6, RFC 7606 for what a session survives.

mod attribute;
mod capability;
mod collect;
mod community;
mod header;
mod hop;
mod long_lived;
mod message;
mod multiprotocol;
mod notification;
mod open;
mod pack;
mod path;
mod paths;
mod prefix;
mod reader;
mod restart;
mod role;
mod update;

pub use attribute::{Aggregator, Attributes, Origin, Unknown};
pub use capability::{Capability, Family};
pub use collect::{Flaw, FlawKind};
pub use community::{AnyCommunity, Community, ExtendedCommunity, LargeCommunity, NotACommunity};
pub use header::{EXTENDED_OCTETS_MAX, Framer, HEADER_OCTETS, MESSAGE_OCTETS_MAX};
pub use hop::Hop;
pub(crate) use long_lived::TIME_MAX as LONG_LIVED_SECS_MAX;
pub use long_lived::{Lasting, LongLived};
pub use message::{Message, RefreshPart, RouteRefresh};
pub use multiprotocol::{Reach, Unreach};
pub use notification::{Fault, Notification};
pub use open::Open;
pub use pack::{pack_reach, pack_unreach};
pub use path::{AsPath, Segment};
pub use paths::{AddPaths, Nlri, PathFamilies};
pub(crate) use prefix::encode as encode_prefix;
pub(crate) use reader::length_u16;
pub use restart::GracefulRestart;
pub use role::Role;
pub use update::{Dialect, Update};
