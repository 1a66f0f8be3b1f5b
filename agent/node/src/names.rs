//! Who is called what, and who may know it.
//!
//! In: endpoints, networks, services and the fabric's settings, one by one as they change. Out: addresses of a name and names of an address, as seen by
//! the container that asks. Knows nothing of DNS's messages, of sockets, or of names outside of the fabric.
//!
//! Who is in a network sees the names of that network and no others; who is in none sees all who are in none. A container with several
//! interfaces sees what each of them may see. `web` is looked for where the asker lives, `web.shop` in namespace or network `shop`, and behind
//! either may stand the fabric's domain. Services are for all, as their addresses are: whoever may go there is for policy to say.

mod holder;
mod table;
mod view;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;

use poplin_policy::ruleset::Interface;

pub use holder::{Asker, Holder, Home};
pub use table::{NameChange, Names, NetworkNames};
pub use view::{Found, View};

/// How many aliases one endpoint may have: Docker gives it two or three.
pub const MOST_ALIASES: usize = 32;

/// Names that people wrote down, in lower case, and their addresses.
pub type Records = BTreeMap<String, BTreeSet<IpAddr>>;

/// How containers find one another by name, in the whole fabric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naming {
    /// Whether hosts serve names at all.
    pub is_served: bool,
    /// What every name may end with, in lower case and without a dot at either end.
    pub domain: String,
    /// Names that every container may ask for.
    pub records: Records,
}

impl Default for Naming {
    /// `.internal` is nobody's and stays so (ICANN's resolution of July 29, 2024).
    fn default() -> Self {
        Self { is_served: true, domain: "poplin.internal".to_owned(), records: Records::new() }
    }
}

/// Where a host can be asked for names, UDP and TCP, port 53.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NameDoor {
    /// At this gateway address, which stands on `lo`.
    Gateway(IpAddr),
    /// At this gateway address of one link, which has this index: who is on it has no other family.
    Link(IpAddr, Interface, u32),
    /// At this gateway address on `lo` of a container's own namespace: whoever asks there is the endpoint of this interface.
    Sandbox(IpAddr, Interface, PathBuf),
}

/// Where one container asks for names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolver {
    /// The server, in the form of resolv.conf: an address, and behind a `%` the container's interface if the address is of its link.
    pub nameserver: String,
    /// Domains in which short names are looked for, the nearest first.
    pub search: Vec<String>,
}
