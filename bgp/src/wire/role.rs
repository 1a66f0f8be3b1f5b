//! What a speaker is to its external neighbour.
//!
//! Rules: RFC 9234 §4 (the capability, and which roles go together), §5 (for whom a route is).

use std::fmt;

/// What a speaker is to its external neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// It sells transit to the neighbour.
    Provider = 0,
    /// It is a route server to which the neighbour is a client.
    RouteServer = 1,
    /// It is a client of the neighbour, a route server.
    RouteServerClient = 2,
    /// It buys transit from the neighbour.
    Customer = 3,
    /// Each tells the other its own routes and those of its customers.
    Peer = 4,
}

impl Role {
    /// All of them, in the order of their numbers.
    pub const ALL: [Role; 5] = [Role::Provider, Role::RouteServer, Role::RouteServerClient, Role::Customer, Role::Peer];

    pub(super) fn of(octet: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|&role| role as u8 == octet)
    }

    /// What the neighbour of such a speaker is, §4.2.
    pub fn counterpart(self) -> Self {
        match self {
            Self::Provider => Self::Customer,
            Self::RouteServer => Self::RouteServerClient,
            Self::RouteServerClient => Self::RouteServer,
            Self::Customer => Self::Provider,
            Self::Peer => Self::Peer,
        }
    }

    /// Whether what goes from such a speaker to its neighbour is from then on for customers only, §5.
    pub(crate) fn leads_down(self) -> bool {
        match self {
            Self::Provider | Self::RouteServer | Self::Peer => true,
            Self::RouteServerClient | Self::Customer => false,
        }
    }

    /// Whether its neighbour may hear routes that are for customers only, §5.
    pub(crate) fn tells_customers(self) -> bool {
        match self {
            Self::Provider | Self::RouteServer => true,
            Self::RouteServerClient | Self::Customer | Self::Peer => false,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Provider => "provider",
            Self::RouteServer => "rs-server",
            Self::RouteServerClient => "rs-client",
            Self::Customer => "customer",
            Self::Peer => "peer",
        })
    }
}
