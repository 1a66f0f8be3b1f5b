//! Identities. Each is its own type, so that no host is ever taken for a pool.

use std::fmt;

macro_rules! identity {
    ($(#[$doc:meta] $name:ident)*) => {$(
        #[$doc]
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Takes a name that was checked at the border.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
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
    /// Reads the form [`Display`](fmt::Display) writes.
    pub fn parse(text: &str) -> Option<Self> {
        let (container, interface) = text.rsplit_once('/')?;
        Some(Self { container: container.to_owned(), interface: interface.to_owned() })
    }
}
