//! Protocols, ports and ICMP messages of Calico's rules, in the words of our port matches.
//!
//! Calico keeps protocol and ports apart; ours are one: `protocol: TCP` with `ports: [80, "8000:8010", http]` becomes `tcp/80`,
//! `tcp/8000-8010`, `tcp/http`.

use serde::Deserialize;

use super::super::kubernetes::PROTOCOLS;
use super::super::value::{port, port_name, whole};
use super::super::written::Scalar;
use crate::field::{Invalid, word};

/// Names of protocols, and what ours call them.
const NAMES: [(&str, &str); 6] =
    [("TCP", "tcp"), ("UDP", "udp"), ("ICMP", "icmp"), ("ICMPv6", "icmp6"), ("SCTP", "sctp"), ("UDPLite", "udplite")];

/// Protocols that have ports in Calico, by number.
const WITH_PORTS: [(i64, &str); 3] = [(6, "tcp"), (17, "udp"), (132, "sctp")];

/// A protocol in our words: `tcp`, `icmp6`, `proto/47`.
pub(super) fn protocol(field: &str, value: &Scalar) -> Result<String, Invalid> {
    let digits = |text: &str| text.parse().ok().filter(|_| text.bytes().all(|octet| octet.is_ascii_digit()));
    match value {
        Scalar::Text(text) => match digits(text) {
            Some(number) => protocol(field, &Scalar::Whole(number)),
            None => word(field, text, &NAMES)
                .map(str::to_owned)
                .map_err(|invalid| invalid.advice("or write its number, from 1 to 255")),
        },
        number => {
            let number = whole(field, number, 1, 255)?;
            let known = WITH_PORTS.iter().find(|(known, _)| *known == number);
            Ok(known.map_or_else(|| format!("proto/{number}"), |(_, name)| (*name).to_owned()))
        }
    }
}

/// Whether a protocol in our words has ports.
pub(super) fn has_ports(protocol: &str) -> bool {
    WITH_PORTS.iter().any(|(_, name)| *name == protocol)
}

/// Whether a protocol in our words is an ICMP, by which family, and what port matches of its messages begin with.
pub(super) fn icmp(protocol: &str) -> Option<(i64, &'static str)> {
    match protocol {
        "icmp" | "proto/1" => Some((4, "icmp")),
        "icmp6" | "proto/58" => Some((6, "icmp6")),
        _ => None,
    }
}

/// One entry of a list of ports. Names need no protocol: they stand for whatever their endpoint gave them.
pub(super) fn port_match(field: &str, protocol: Option<&str>, value: &Scalar) -> Result<Vec<String>, Invalid> {
    let (text, is_name) = match value {
        Scalar::Text(text) if text.len() > 1 && text.starts_with('0') => {
            let message = format!("{text:?} begins with a zero, and some would read it to the base of 8");
            return Err(Invalid::new(field, "BAD_PORT", message).advice("leave the zero out"));
        }
        Scalar::Text(text) if text.contains(':') => (range(field, text)?, false),
        Scalar::Text(text) if text.bytes().all(|octet| octet.is_ascii_digit()) && !text.is_empty() => {
            let number = Scalar::Whole(text.parse().unwrap_or(i64::MAX));
            (port(field, &number)?.to_string(), false)
        }
        Scalar::Text(text) => (name(field, text)?, true),
        number => (port(field, number)?.to_string(), false),
    };
    match protocol {
        Some(protocol) if has_ports(protocol) => Ok(vec![format!("{protocol}/{text}")]),
        Some(protocol) => Err(Invalid::new(field, "BAD_PORT", format!("{protocol} has no ports"))
            .advice("set protocol to TCP, UDP or SCTP")),
        None if is_name => Ok(PROTOCOLS.iter().map(|(_, protocol)| format!("{protocol}/{text}")).collect()),
        None => {
            Err(Invalid::new(field, "BAD_PORT", "a port needs its protocol").advice("add protocol: TCP to the rule"))
        }
    }
}

/// `8000:8010`, as Calico writes ranges.
fn range(field: &str, text: &str) -> Result<String, Invalid> {
    let bound = |text: &str| match text.parse() {
        Ok(number) => port(field, &Scalar::Whole(number)),
        Err(_) => Err(Invalid::new(field, "BAD_PORT", format!("{text:?} is not a number"))
            .advice("a range looks like 8000:8010, a name has no colon")),
    };
    let (low, high) = text.split_once(':').unwrap_or((text, text));
    let (low, high) = (bound(low)?, bound(high)?);
    if high < low {
        return Err(Invalid::new(field, "BAD_PORT", format!("range {low}:{high} is reversed")));
    }
    Ok(if low == high { low.to_string() } else { format!("{low}-{high}") })
}

/// `80-90` is a name to Calico, and no port has it.
fn name(field: &str, text: &str) -> Result<String, Invalid> {
    let numbers = text.split_once('-').filter(|(low, high)| [low, high].iter().all(|part| part.parse::<u16>().is_ok()));
    if let Some((low, high)) = numbers {
        let message = format!("{text:?} is a port's name in Calico, and no port can have it");
        return Err(Invalid::new(field, "BAD_PORT", message).advice(format!("write the range {low}:{high}")));
    }
    port_name(field, text).map(str::to_owned)
}

/// Which messages of ICMP.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Icmp {
    #[serde(rename = "type")]
    kind: Option<Scalar>,
    code: Option<Scalar>,
}

impl Icmp {
    /// `icmp/8/0`, or nothing where no type is named.
    pub(super) fn text(&self, field: &str, name: &str) -> Result<Option<String>, Invalid> {
        // Calico knows no type 255, for the kernel's old filter took it for any.
        let kind = self.kind.as_ref().map(|kind| whole(&format!("{field}.type"), kind, 0, 254)).transpose()?;
        let at_code = format!("{field}.code");
        let code = self.code.as_ref().map(|code| whole(&at_code, code, 0, 255)).transpose()?;
        match (kind, code) {
            (None, None) => Ok(None),
            (Some(kind), None) => Ok(Some(format!("{name}/{kind}"))),
            (Some(kind), Some(code)) => Ok(Some(format!("{name}/{kind}/{code}"))),
            (None, Some(_)) => {
                Err(Invalid::new(at_code, "BAD_ICMP", "a code stands without a type").advice("add type: beside code"))
            }
        }
    }
}
