//! Ports of Kubernetes' NetworkPolicy.
//!
//! Protocol left out = TCP; port left out = all of the protocol's; a number in quotes is a name.

use serde::Deserialize;

use super::super::value::{port, port_name, whole};
use super::super::written::{Scalar, Text};
use crate::field::{Invalid, word};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(in crate::import) struct Port {
    protocol: Option<Text>,
    port: Option<Scalar>,
    end_port: Option<Scalar>,
}

/// The protocols that policies of Kubernetes know, and what ours call them.
pub(in crate::import) const PROTOCOLS: [(&str, &str); 3] = [("TCP", "tcp"), ("UDP", "udp"), ("SCTP", "sctp")];

impl Port {
    /// The same in our words.
    pub(in crate::import) fn text(&self, field: &str) -> Result<String, Invalid> {
        let written = self.protocol.as_deref().unwrap_or("TCP");
        let protocol = word(&format!("{field}.protocol"), written, &PROTOCOLS)?;
        let (at, at_end) = (format!("{field}.port"), format!("{field}.endPort"));
        match (&self.port, &self.end_port) {
            (None, None) => Ok(protocol.to_owned()),
            (None, Some(_)) => {
                Err(Invalid::new(at_end, "BAD_PORT", "a range needs its first port").advice("add port: beside endPort"))
            }
            (Some(Scalar::Text(_)), Some(_)) => {
                Err(Invalid::new(at_end, "BAD_PORT", "a named port begins no range").advice("write port as a number"))
            }
            (Some(Scalar::Text(name)), None) => Ok(format!("{protocol}/{}", port_name(&at, name)?)),
            (Some(first), None) => Ok(format!("{protocol}/{}", port(&at, first)?)),
            (Some(first), Some(last)) => {
                let first = port(&at, first)?;
                let last = whole(&at_end, last, first, i64::from(u16::MAX))?;
                Ok(if first == last { format!("{protocol}/{first}") } else { format!("{protocol}/{first}-{last}") })
            }
        }
    }
}
