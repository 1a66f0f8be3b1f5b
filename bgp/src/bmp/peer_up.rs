//! A session is established.
//!
//! Rules: RFC 7854 §4.10, RFC 9069 §4.4 (a table has no session, and yet two OPENs).

use std::net::{IpAddr, Ipv4Addr};

use crate::{
    SpeakerConfig,
    wire::{Capability, Dialect, Family, Message, Open},
};

use super::{header::sixteen, information::table_name};

/// Between whom, and what they told each other first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Up {
    /// Our end.
    pub local: IpAddr,
    /// Our TCP port; 0 where it is not known.
    pub local_port: u16,
    /// The neighbour's TCP port; 0 where it is not known.
    pub remote_port: u16,
    /// Our OPEN, a whole message.
    pub sent: Vec<u8>,
    /// The neighbour's.
    pub received: Vec<u8>,
    /// Whether it is the table itself that is up.
    pub is_table: bool,
}

impl Up {
    /// Our own table, RFC 9069 §4.4: both OPENs say what its routes are like.
    pub fn table(us: SpeakerConfig) -> Self {
        let families = Family::ALL.into_iter().map(Capability::Multiprotocol);
        let open = Open {
            my_as: us.asn.two_octets(),
            hold_time_secs: 0,
            router_id: us.router_id,
            capabilities: families.chain([Capability::FourOctetAsn(us.asn)]).collect(),
        };
        let open = Message::Open(open).encode(Dialect::PLAIN);
        Self {
            local: Ipv4Addr::UNSPECIFIED.into(),
            local_port: 0,
            remote_port: 0,
            sent: open.clone(),
            received: open,
            is_table: true,
        }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend(sixteen(self.local));
        out.extend(self.local_port.to_be_bytes());
        out.extend(self.remote_port.to_be_bytes());
        out.extend(&self.sent);
        out.extend(&self.received);
        if self.is_table {
            table_name(out);
        }
    }
}
