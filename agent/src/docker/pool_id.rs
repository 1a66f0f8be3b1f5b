//! What a range of addresses is called between dockerd and us. dockerd keeps the text, and it is all that a request for an address brings.
//!
//! ```text
//! network/shop        of a network of the fabric
//! number/10241        of a Docker network whose name nobody knows yet
//! subnet/10.99.0.0/24 of a Docker network that was made with --subnet
//! ```

use std::fmt;

use ipnet::IpNet;
use poplin_node::name::NetworkName;

/// A range of addresses of one family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PoolId {
    /// Whose.
    pub of: Of,
    /// Of which family.
    pub is_v6: bool,
}

/// Whose a range is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// This network's.
    Network(NetworkName),
    /// That of the Docker network whose gateway bears this number.
    Number(u16),
    /// That of the Docker network with this subnet.
    Subnet(IpNet),
}

impl fmt::Display for PoolId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = if self.is_v6 { "v6" } else { "v4" };
        match &self.of {
            Of::Network(name) => write!(out, "{family} network/{name}"),
            Of::Number(number) => write!(out, "{family} number/{number}"),
            Of::Subnet(subnet) => write!(out, "{family} subnet/{subnet}"),
        }
    }
}

impl PoolId {
    /// Reads the form [`Display`](fmt::Display) writes.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::read(text).ok_or_else(|| format!("pool {text:?} is none of ours; make the network anew"))
    }

    fn read(text: &str) -> Option<Self> {
        let (family, rest) = text.split_once(' ')?;
        let (kind, of) = rest.split_once('/')?;
        let of = match kind {
            "network" => Of::Network(NetworkName::new(of)),
            "number" => Of::Number(of.parse().ok()?),
            "subnet" => Of::Subnet(of.parse().ok()?),
            _ => return None,
        };
        Some(Self { of, is_v6: family == "v6" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dockerd_keeps_is_read_again() {
        let all = [Of::Network(NetworkName::new("shop")), Of::Number(10241), Of::Subnet("fd99::/64".parse().unwrap())];
        for (of, is_v6) in all.into_iter().zip([false, true, true]) {
            let id = PoolId { of, is_v6 };
            assert_eq!(PoolId::parse(&id.to_string()), Ok(id));
        }
        assert!(PoolId::parse("default").is_err());
    }
}
