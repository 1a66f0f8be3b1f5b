//! What the neighbours offer, which of it is used, and why.
//!
//! In: routes that come and go by neighbour, and the prefixes that are our own. Out: changes to the set of next hops of a
//! prefix, and to what others may be told of it. Knows nothing of sessions, octets and the kernel. Rules: RFC 4271 §9.1.

mod counts;
mod decide;
mod entries;
mod entry;
mod explain;
mod guard;
mod multipath;
mod offer;
mod own;
mod route;
mod said;
mod table;
mod touched;
mod walk;

pub use decide::Step;
pub use explain::Best;
pub use guard::Refusal;
pub use multipath::{Apart, Multipath};
pub use route::{Fate, Route};

pub(crate) use guard::{admits_attributes, admits_next_hop, admits_prefix};
pub(crate) use offer::Offer;
pub(crate) use own::Own;
pub(crate) use route::{Path, Source, Word};
pub(crate) use said::Said;
pub(crate) use table::{Change, Table};
