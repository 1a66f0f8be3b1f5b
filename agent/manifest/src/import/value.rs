//! Single values that several homes write alike: ports, prefixes, numbers within bounds.

use ipnet::IpNet;
use poplin_policy::model::PortMatch;

use super::written::Scalar;
use crate::field::Invalid;

/// A whole number within bounds, both allowed.
pub(super) fn whole(field: &str, value: &Scalar, low: i64, high: i64) -> Result<i64, Invalid> {
    match value {
        Scalar::Whole(number) if (low..=high).contains(number) => Ok(*number),
        Scalar::Whole(number) => {
            let side = if *number < low { format!("below {low}") } else { format!("above {high}") };
            Err(Invalid::new(field, "OUT_OF_RANGE", format!("{number} is {side}")))
        }
        Scalar::Bool(_) | Scalar::Fraction(_) | Scalar::Text(_) => {
            Err(Invalid::new(field, "NOT_A_NUMBER", format!("{value} is not a whole number")))
        }
    }
}

/// A port's number.
pub(super) fn port(field: &str, value: &Scalar) -> Result<i64, Invalid> {
    whole(field, value, 1, i64::from(u16::MAX))
}

/// A port's name (RFC 6335 §5.1).
pub(super) fn port_name<'a>(field: &str, name: &'a str) -> Result<&'a str, Invalid> {
    match format!("tcp/{name}").parse() {
        Ok(PortMatch::Named { .. }) => Ok(name),
        Ok(_) | Err(_) => {
            let rule = "up to 15 lower case letters, digits and single dashes, at least one letter";
            let mut invalid = Invalid::new(field, "BAD_PORT", format!("{name:?} is no port name: {rule}"));
            let number = name.trim_start_matches('0');
            if !number.is_empty() && number.bytes().all(|octet| octet.is_ascii_digit()) {
                let advice = "a number in quotes, or with a zero before it, is taken for a name";
                invalid = invalid.advice(format!("{advice}; write {number}"));
            }
            Err(invalid)
        }
    }
}

/// A prefix; bits beyond its length are dropped, as those servers drop them.
pub(super) fn net(field: &str, text: &str) -> Result<IpNet, Invalid> {
    if let Ok(net) = text.parse::<IpNet>() {
        return Ok(net.trunc());
    }
    let invalid = Invalid::new(field, "BAD_PREFIX", format!("{text:?} is not a prefix such as 10.4.0.0/16"));
    Err(match text.parse::<std::net::IpAddr>() {
        Ok(address) => invalid.advice(format!("write {}", IpNet::from(address))),
        Err(_) => invalid,
    })
}

/// A prefix, or one address alone, which Calico takes for a prefix of its whole length (`validateIPNetwork` in libcalico-go/lib/validator/v3).
pub(super) fn net_or_address(field: &str, text: &str) -> Result<IpNet, Invalid> {
    match text.parse::<std::net::IpAddr>() {
        Ok(address) => Ok(IpNet::from(address)),
        Err(_) => net(field, text),
    }
}

/// The first name of a row that is still free: the wanted one, or the wanted one with a number behind it.
pub(super) fn free_name(taken: &mut std::collections::BTreeSet<String>, wanted: &str) -> String {
    let candidates = std::iter::once(wanted.to_owned()).chain((2..).map(|number| format!("{wanted}-{number}")));
    let name = candidates.into_iter().find(|name| !taken.contains(name)).unwrap_or_default();
    taken.insert(name.clone());
    name
}
