//! Furnishes the container's side of an attachment, and says whether it is still as furnished.
//!
//! In: a [`Wiring`], made of what the agent answered. Out: addresses, the gateway's neighbour entry and routes inside
//! the container's network namespace. The agent never enters a namespace; whoever attaches a container (the CNI plugin,
//! `poplin attach`) does it here, over a socket opened in there. Needs a tokio runtime with IO and time.
//! Knows nothing of the wire contract.
//!
//! ```text
//!   host                          container
//!   pop1234  <----- veth ----->   eth0   10.77.0.5/32
//!                                        169.254.40.1 dev eth0 scope link      neighbour: gateway_mac, permanent
//!                                        default via 169.254.40.1 dev eth0     only if there is no default yet; else in a table of its own,
//!                                                                              for what is sent from 10.77.0.5
//!                                 lo     198.51.100.7/32                       if it serves that
//! ```

mod carry;
mod fresh;
pub mod netns;
mod seen;
mod shape;
mod tap;
mod wire;

use std::net::IpAddr;
use std::path::{Path, PathBuf};

pub use fresh::Fresh;
pub use netns::NetnsError;
pub use seen::Finding;
pub use shape::{Rate, Shape, inspect_shape, shape};
pub use tap::{make_tap, remove_tap};
pub use wire::{Inside, Prepared};

/// What the container's side shall be. The interface already lies in the namespace, named and with its MAC and MTU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wiring {
    /// Path of the network namespace, such as `/run/netns/web`.
    pub netns: PathBuf,
    /// Name of the container's interface, such as `eth0`.
    pub interface: String,
    /// The container's own addresses, set as /32 and /128.
    pub addresses: Vec<IpAddr>,
    /// Next hops of everything, at most one a family.
    pub gateways: Vec<IpAddr>,
    /// MAC of the host's side, which answers for every gateway.
    pub gateway_mac: [u8; 6],
    /// Addresses of services it answers to, set on its `lo`. Which these are may change while it runs, so nobody looks for them again.
    pub service_addresses: Vec<IpAddr>,
}

impl Wiring {
    /// Takes the agent's answer as it travelled: addresses and gateways with or without prefix length, the MAC with colons.
    pub fn parse(
        netns: &Path,
        interface: &str,
        addresses: &[String],
        gateways: &[String],
        gateway_mac: &str,
    ) -> Result<Self, SandboxError> {
        Ok(Self {
            netns: netns.to_owned(),
            interface: interface.to_owned(),
            addresses: addresses.iter().map(|text| parse_address(text)).collect::<Result<_, _>>()?,
            gateways: gateways.iter().map(|text| parse_address(text)).collect::<Result<_, _>>()?,
            gateway_mac: parse_mac(gateway_mac)?,
            service_addresses: Vec::new(),
        })
    }

    /// The same, answering to addresses of services, too.
    pub fn serving(self, service_addresses: &[String]) -> Result<Self, SandboxError> {
        let service_addresses = service_addresses.iter().map(|text| parse_address(text)).collect::<Result<_, _>>()?;
        Ok(Self { service_addresses, ..self })
    }
}

fn parse_address(text: &str) -> Result<IpAddr, SandboxError> {
    let address = text.split_once('/').map_or(text, |(address, _)| address);
    address.parse().map_err(|_| SandboxError::Answer { what: "address", value: text.to_owned() })
}

fn parse_mac(text: &str) -> Result<[u8; 6], SandboxError> {
    let octets: Option<Vec<u8>> = text.split(':').map(|octet| u8::from_str_radix(octet, 16).ok()).collect();
    octets
        .and_then(|octets| octets.try_into().ok())
        .ok_or_else(|| SandboxError::Answer { what: "MAC", value: text.to_owned() })
}

/// Why a container's side could not be furnished or looked at.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The namespace cannot be entered.
    #[error(transparent)]
    Netns(#[from] NetnsError),
    /// The agent answered something that is not what it should be; its version and ours differ, most likely.
    #[error("the agent answered {what} {value:?}, which is none")]
    Answer {
        /// What it should have been.
        what: &'static str,
        /// What it was.
        value: String,
    },
    /// The agent's veth peer is not there.
    #[error("interface {interface} is not in {}", netns.display())]
    NoInterface {
        /// The name looked for.
        interface: String,
        /// The namespace it was looked for in.
        netns: PathBuf,
    },
    /// An interface is not there that was made a moment ago.
    #[error("interface {interface} is missing")]
    Missing {
        /// The name looked for.
        interface: String,
    },
    /// The kernel refused one step.
    #[error("cannot {step}: {}", spoken(source))]
    Kernel {
        /// What was to be done, such as `add address 10.77.0.5`.
        step: String,
        /// The kernel's answer.
        source: rtnetlink::Error,
    },
    /// The name a tap shall have is another interface's.
    #[error(
        "interface {name} exists on this host already, and is not of the fabric; name another, or remove it: ip link delete {name}"
    )]
    TapExists {
        /// The name.
        name: String,
    },
    /// A tap could not be made, or taken away.
    #[error("tap {name}: {reason}")]
    Tap {
        /// Its name.
        name: String,
        /// Why not.
        reason: String,
    },
    /// No namespace could be made.
    #[error("cannot make a network namespace: {0}")]
    Fresh(#[source] std::io::Error),
    /// Nameservers could not be told inside.
    #[error("cannot lay nameservers over /etc/resolv.conf: {0}")]
    Resolver(#[source] std::io::Error),
    /// No thread could be started, or no socket opened.
    #[error("cannot talk to the kernel")]
    Start(#[source] std::io::Error),
}

/// The kernel's answer as a person reads it: "Permission denied (os error 13)".
fn spoken(error: &rtnetlink::Error) -> String {
    match error {
        rtnetlink::Error::NetlinkError(answer) => answer.to_io().to_string(),
        other => other.to_string(),
    }
}

/// Says how the container's side differs from its wiring; empty if it does not. Changes nothing.
pub async fn inspect(wiring: &Wiring) -> Result<Vec<Finding>, SandboxError> {
    seen::inspect(&netns::connect(&wiring.netns)?, wiring).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wiring_is_read_from_the_agents_answer() {
        let addresses = ["10.77.0.5/32".to_owned(), "fd77::5/128".to_owned()];
        let gateways = ["169.254.40.1".to_owned()];

        let wiring = Wiring::parse(Path::new("/run/netns/web"), "eth0", &addresses, &gateways, "02:00:00:00:00:ff");

        let wiring = wiring.unwrap();
        assert_eq!(wiring.addresses, ["10.77.0.5".parse::<IpAddr>().unwrap(), "fd77::5".parse().unwrap()]);
        assert_eq!(wiring.gateway_mac, [2, 0, 0, 0, 0, 255]);
    }

    #[test]
    fn a_broken_answer_is_named() {
        for mac in ["", "02:00", "02:00:00:00:00:00:00", "gg:00:00:00:00:00"] {
            assert!(parse_mac(mac).is_err(), "{mac}");
        }
        assert_eq!(parse_address("web").unwrap_err().to_string(), r#"the agent answered address "web", which is none"#);
    }
}
