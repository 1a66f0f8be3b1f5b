//! Identities. Each is its own type, so that no host is ever taken for a pool. Clones share their text: of a large fabric each name
//! stands in several tables.

use std::fmt;
use std::sync::Arc;

use crate::stable::hash64;

macro_rules! identity {
    ($(#[$doc:meta] $name:ident)*) => {$(
        #[$doc]
        #[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes a name that was checked at the border.
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The name's own text, shared.
            pub fn text(&self) -> Arc<str> {
                self.0.clone()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }
    )*};
}

identity! {
    /// Names a pool.
    PoolName
    /// Names a host.
    HostName
    /// Names an endpoint, in the whole fabric.
    EndpointName
    /// Names a BGP peer.
    PeerName
    /// Names a route map.
    RouteMapName
    /// Names a network, and the namespace its endpoints live in.
    NetworkName
    /// Names a service.
    ServiceName
    /// Names a static route.
    StaticRouteName
    /// Names a floating address.
    FloatingName
}

/// Who was attached: a container and one of its interfaces. The key under which everything about an attachment is idempotent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttachmentId {
    /// The runtime's container id, or the name given to a bare namespace.
    pub container: String,
    /// The interface in the container, such as `eth0`.
    pub interface: String,
}

impl fmt::Display for AttachmentId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.container, self.interface)
    }
}

impl AttachmentId {
    /// A number that stands for it, the same on every host; few others have the same.
    pub(crate) fn digest(&self) -> u64 {
        hash64(&[&self.container, &self.interface])
    }

    /// Reads the form [`Display`](fmt::Display) writes.
    pub fn parse(text: &str) -> Option<Self> {
        let (container, interface) = text.rsplit_once('/')?;
        Some(Self { container: container.to_owned(), interface: interface.to_owned() })
    }
}
