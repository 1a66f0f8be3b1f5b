//! Addresses of hosts and containers, as they stand in documents.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::field::{Findings, Invalid, parse};
use ipnet::IpNet;

/// Checks the addresses of one interface or host: at most one of each family, with or without the length of a whole address.
pub fn addresses(findings: &mut Findings, field: &str, texts: &[String]) -> BTreeSet<IpAddr> {
    let checked = texts.iter().enumerate().map(|(index, text)| address(&format!("{field}[{index}]"), text));
    let addresses: BTreeSet<IpAddr> = findings.take_all(checked).into_iter().collect();
    let v6 = addresses.iter().filter(|address| address.is_ipv6()).count();
    if v6 > 1 || addresses.len() - v6 > 1 {
        findings.add(Invalid::new(field, "TWO_OF_ONE_FAMILY", "there may be one address of each family"));
    }
    addresses
}

/// Checks one address; `10.0.0.1` and `10.0.0.1/32` mean the same.
pub fn address(field: &str, text: &str) -> Result<IpAddr, Invalid> {
    let expected = "an address such as 10.4.0.7 or fd00:4::7";
    match text.parse::<IpNet>() {
        Ok(net) if net.prefix_len() == net.max_prefix_len() => Ok(net.addr()),
        Ok(_) => Err(Invalid::new(field, "NOT_AN_ADDRESS", format!("{text} is a prefix, not an address"))),
        Err(_) => parse(field, text, "BAD_ADDRESS", expected),
    }
}
