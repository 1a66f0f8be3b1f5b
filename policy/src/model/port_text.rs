//! The textual form of port matches: `tcp/80`, `tcp/8000-8010`, `tcp/http`, `udp/*`, `tcp`, `icmp/8`, `icmp/8/0`, `proto/253`.
//!
//! In: text, as `ports` of a rule holds it. Out: a [`PortMatch`], or what is wrong with which value and which bound.
//! `proto/6` is read as `tcp`: one meaning, one value.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::{IcmpMatch, IcmpVersion, NamedPort, PortMatch, PortProtocol};
use crate::spelling::nearest;

const NAMES: [&str; 7] = ["tcp", "udp", "udplite", "sctp", "icmp", "icmp6", "proto"];

/// Why a text is not a port match.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PortError {
    /// The part before the slash is no protocol we know.
    #[error("unknown protocol {name:?}, {}", suggestion(nearest))]
    UnknownProtocol {
        /// What was written.
        name: String,
        /// The name it was perhaps meant to be.
        nearest: Option<&'static str>,
    },
    /// Something that should be a number is not.
    #[error("{value:?} is not a number")]
    NotANumber {
        /// What was written.
        value: String,
    },
    /// A number beyond what its field holds.
    #[error("{value} is above {bound}")]
    Above {
        /// What was written.
        value: u64,
        /// The largest allowed.
        bound: u64,
    },
    /// Port 0 or protocol 0, which nobody can be addressed by.
    #[error("{value} is below {bound}")]
    Below {
        /// What was written.
        value: u64,
        /// The smallest allowed.
        bound: u64,
    },
    /// A range that ends before it begins.
    #[error("range {low}-{high} is reversed")]
    Reversed {
        /// Its first port, as written.
        low: u16,
        /// Its last port, as written.
        high: u16,
    },
    /// A port cannot be called so.
    #[error("{name:?} is no port name: up to 15 lower case letters, digits and single dashes, at least one letter")]
    NotAName {
        /// What was written.
        name: String,
    },
    /// A name stands for one port of one protocol.
    #[error("{port:?} is not one port of one protocol")]
    NotOnePort {
        /// What was written.
        port: String,
    },
    /// `proto` needs a number.
    #[error("proto needs a number from 1 to 255, as in proto/253")]
    ProtocolNumberMissing,
    /// More slashes than the protocol has parts.
    #[error("{rest:?} is too much after {protocol}")]
    TooMuch {
        /// Which protocol.
        protocol: String,
        /// What is left over.
        rest: String,
    },
}

impl FromStr for PortMatch {
    type Err = PortError;

    fn from_str(text: &str) -> Result<Self, PortError> {
        let (name, rest) = match text.split_once('/') {
            Some((name, rest)) => (name, Some(rest)),
            None => (text, None),
        };
        match name {
            "tcp" => ports(PortProtocol::Tcp, rest),
            "udp" => ports(PortProtocol::Udp, rest),
            "udplite" => ports(PortProtocol::UdpLite, rest),
            "sctp" => ports(PortProtocol::Sctp, rest),
            "icmp" => icmp(IcmpVersion::V4, rest),
            "icmp6" => icmp(IcmpVersion::V6, rest),
            "proto" => protocol(rest),
            _ => Err(PortError::UnknownProtocol { name: name.to_owned(), nearest: nearest(name, NAMES) }),
        }
    }
}

fn ports(protocol: PortProtocol, rest: Option<&str>) -> Result<PortMatch, PortError> {
    let range = match rest {
        None | Some("*") => 0..=u16::MAX,
        Some(text) if is_name(text) => return Ok(PortMatch::Named { protocol, name: text.to_owned() }),
        Some(text) => {
            let (low, high) = text.split_once('-').unwrap_or((text, text));
            let (low, high) = (port(low)?, port(high)?);
            if high < low {
                return Err(PortError::Reversed { low, high });
            }
            low..=high
        }
    };
    Ok(PortMatch::Ports { protocol, range })
}

/// Whether a text is a port's name (RFC 6335 §5.1): letters, digits and single hyphens, at least one letter, at most 15, no hyphen at
/// an end.
pub(crate) fn is_name(text: &str) -> bool {
    let is_plain = text.bytes().all(|octet| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-');
    let has_letter = text.bytes().any(|octet| octet.is_ascii_lowercase());
    let is_hyphenated_badly = text.starts_with('-') || text.ends_with('-') || text.contains("--");
    is_plain && has_letter && text.len() <= 15 && !is_hyphenated_badly
}

fn icmp(version: IcmpVersion, rest: Option<&str>) -> Result<PortMatch, PortError> {
    let message = match rest.map(|text| text.split_once('/').map_or((text, None), |(kind, code)| (kind, Some(code)))) {
        None | Some(("*", None)) => IcmpMatch::Any,
        Some((kind, None)) => IcmpMatch::Type(octet(kind)?),
        Some((kind, Some(code))) if code.contains('/') => {
            return Err(PortError::TooMuch { protocol: version.to_string(), rest: format!("{kind}/{code}") });
        }
        Some((kind, Some(code))) => IcmpMatch::TypeAndCode(octet(kind)?, octet(code)?),
    };
    Ok(PortMatch::Icmp { version, message })
}

fn protocol(rest: Option<&str>) -> Result<PortMatch, PortError> {
    let text = rest.ok_or(PortError::ProtocolNumberMissing)?;
    let number = octet(text)?;
    if number == 0 {
        return Err(PortError::Below { value: 0, bound: 1 });
    }
    Ok(match PortProtocol::from_number(number) {
        Some(protocol) => PortMatch::Ports { protocol, range: 0..=u16::MAX },
        None => PortMatch::Protocol(number),
    })
}

fn port(text: &str) -> Result<u16, PortError> {
    let value = number(text)?;
    if value == 0 {
        return Err(PortError::Below { value, bound: 1 });
    }
    u16::try_from(value).map_err(|_| PortError::Above { value, bound: u16::MAX.into() })
}

fn octet(text: &str) -> Result<u8, PortError> {
    let value = number(text)?;
    u8::try_from(value).map_err(|_| PortError::Above { value, bound: u8::MAX.into() })
}

/// Digits only, so that `+80` is refused.
fn number(text: &str) -> Result<u64, PortError> {
    let is_plain = text.bytes().all(|octet| octet.is_ascii_digit());
    let parsed = if is_plain { text.parse().ok() } else { None };
    parsed.ok_or_else(|| PortError::NotANumber { value: text.to_owned() })
}

fn suggestion(nearest: &Option<&'static str>) -> String {
    match nearest {
        Some(name) => format!("did you mean {name}?"),
        None => format!("known are {}", NAMES.join(", ")),
    }
}

impl fmt::Display for PortMatch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PortMatch::Ports { protocol, range } if *range == (0..=u16::MAX) => write!(out, "{protocol}"),
            PortMatch::Ports { protocol, range } if range.start() == range.end() => {
                write!(out, "{protocol}/{}", range.start())
            }
            PortMatch::Ports { protocol, range } => write!(out, "{protocol}/{}-{}", range.start(), range.end()),
            PortMatch::Named { protocol, name } => write!(out, "{protocol}/{name}"),
            PortMatch::Icmp { version, message: IcmpMatch::Any } => write!(out, "{version}"),
            PortMatch::Icmp { version, message: IcmpMatch::Type(kind) } => write!(out, "{version}/{kind}"),
            PortMatch::Icmp { version, message: IcmpMatch::TypeAndCode(kind, code) } => {
                write!(out, "{version}/{kind}/{code}")
            }
            PortMatch::Protocol(number) => write!(out, "proto/{number}"),
        }
    }
}

impl FromStr for NamedPort {
    type Err = PortError;

    /// `http=tcp/8080`.
    fn from_str(text: &str) -> Result<Self, PortError> {
        let (name, port) = text.split_once('=').unwrap_or((text, ""));
        if !is_name(name) {
            return Err(PortError::NotAName { name: name.to_owned() });
        }
        match port.parse()? {
            PortMatch::Ports { protocol, range } if range.start() == range.end() => {
                Ok(Self { name: name.to_owned(), protocol, port: *range.start() })
            }
            _ => Err(PortError::NotOnePort { port: port.to_owned() }),
        }
    }
}

impl fmt::Display for NamedPort {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}={}/{}", self.name, self.protocol, self.port)
    }
}

impl fmt::Display for PortProtocol {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            PortProtocol::Tcp => "tcp",
            PortProtocol::Udp => "udp",
            PortProtocol::UdpLite => "udplite",
            PortProtocol::Sctp => "sctp",
        })
    }
}

impl fmt::Display for IcmpVersion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            IcmpVersion::V4 => "icmp",
            IcmpVersion::V6 => "icmp6",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        text.parse::<PortMatch>().unwrap_err().to_string()
    }

    #[test]
    fn every_written_form_is_read_and_printed_again() {
        for text in [
            "tcp/80",
            "tcp/8000-8010",
            "tcp/http-alt",
            "udp",
            "sctp/1",
            "udplite/9",
            "icmp",
            "icmp/8",
            "icmp/8/0",
            "icmp6/128",
            "proto/253",
        ] {
            assert_eq!(text.parse::<PortMatch>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn spellings_of_one_meaning_are_one_value() {
        let read = |text: &str| text.parse::<PortMatch>().unwrap();

        assert_eq!(read("udp/*"), read("udp"));
        assert_eq!(read("icmp/*"), read("icmp"));
        assert_eq!(read("tcp/80-80"), read("tcp/80"));
        assert_eq!(read("proto/6"), read("tcp"));
    }

    #[test]
    fn an_error_names_the_value_and_the_bound() {
        assert_eq!(refusal("tcp/70000"), "70000 is above 65535");
        assert_eq!(refusal("tcp/0"), "0 is below 1");
        assert_eq!(refusal("tcp/90-80"), "range 90-80 is reversed");
        assert_eq!(refusal("tcp/http:"), "\"http:\" is not a number");
        assert_eq!(refusal("tcp/"), "\"\" is not a number");
        assert_eq!(refusal("tcp/+80"), "\"+80\" is not a number");
        assert_eq!(refusal("icmp/256"), "256 is above 255");
        assert_eq!(refusal("icmp/8/0/0"), "\"8/0/0\" is too much after icmp");
        assert_eq!(refusal("proto"), "proto needs a number from 1 to 255, as in proto/253");
        assert_eq!(refusal("proto/0"), "0 is below 1");
    }

    #[test]
    fn a_named_port_is_a_name_and_one_port() {
        let refusal = |text: &str| text.parse::<NamedPort>().unwrap_err().to_string();

        assert_eq!("http=tcp/8080".parse::<NamedPort>().unwrap().to_string(), "http=tcp/8080");
        assert_eq!(refusal("http=tcp"), "\"tcp\" is not one port of one protocol");
        assert!(refusal("80=tcp/80").starts_with("\"80\" is no port name"));
    }

    #[test]
    fn an_unknown_protocol_is_answered_with_the_nearest_one() {
        assert_eq!(refusal("TCP/80"), "unknown protocol \"TCP\", did you mean tcp?");
        assert_eq!(refusal("icmpv6/128"), "unknown protocol \"icmpv6\", did you mean icmp6?");
        assert_eq!(refusal("80"), "unknown protocol \"80\", known are tcp, udp, udplite, sctp, icmp, icmp6, proto");
    }
}
