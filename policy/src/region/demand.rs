//! What a rule asks of a packet's transport header, as a set of headers.
//!
//! In: a rule, a family, and the named ports at both ends. Out: exactly the headers that satisfy `ports`, `not_ports`,
//! `source_ports` and `not_source_ports` together; what it asks of ends is not looked at.

use super::traffic::{Block, Protocols, Span, Traffic};
use crate::model::{IcmpMatch, IpVersion, NamedPort, PortMatch, PortSide, Rule};

/// The two ends' named ports that rules speak of.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Names<'a> {
    pub(crate) source: &'a [NamedPort],
    pub(crate) destination: &'a [NamedPort],
}

/// The headers a rule asks for.
pub(crate) fn demanded(rule: &Rule, version: IpVersion, names: Names<'_>) -> Traffic {
    let mut traffic = Traffic::all();
    for (side, names) in [(PortSide::Destination, names.destination), (PortSide::Source, names.source)] {
        let (wanted, not) = rule.ports_on(side);
        let of = |ports: &[PortMatch]| Traffic::of(ports.iter().flat_map(|port| blocks(port, side, version, names)));
        if !wanted.is_empty() {
            traffic = traffic.and(&of(wanted));
        }
        if !not.is_empty() {
            traffic = traffic.without(&of(not));
        }
    }
    traffic
}

fn blocks(port: &PortMatch, side: PortSide, version: IpVersion, names: &[NamedPort]) -> Vec<Block> {
    let whole = Block { protocols: Protocols::one(port.protocol()), target: Span::ALL, origin: Span::ALL };
    let at = |span: Span| match side {
        PortSide::Destination => Block { target: span, ..whole },
        PortSide::Source => Block { origin: span, ..whole },
    };
    match port {
        PortMatch::Ports { range, .. } => vec![at(Span { low: *range.start(), high: *range.end() })],
        PortMatch::Named { protocol, name } => {
            let meant = names.iter().filter(|port| port.protocol == *protocol && port.name == *name);
            meant.map(|port| at(Span::one(port.port))).collect()
        }
        // Messages have one number only: what is asked of either port is asked of it.
        PortMatch::Icmp { version: wanted, message } if wanted.ip_version() == version => {
            vec![Block { target: messages(*message), ..whole }]
        }
        PortMatch::Icmp { .. } => Vec::new(),
        PortMatch::Protocol(_) => vec![whole],
    }
}

fn messages(message: IcmpMatch) -> Span {
    match message {
        IcmpMatch::Any => Span::ALL,
        IcmpMatch::Type(kind) => Span { low: u16::from_be_bytes([kind, 0]), high: u16::from_be_bytes([kind, u8::MAX]) },
        IcmpMatch::TypeAndCode(kind, code) => Span::one(u16::from_be_bytes([kind, code])),
    }
}
