//! Names: aliases, records, and how a fabric has them.

use std::collections::BTreeSet;

use poplin_manifest::address::address;
use poplin_manifest::field::{Findings, Invalid, Invalids, dns_name};
use poplin_node::names::{MOST_ALIASES, Naming, Records};
use poplin_proto::v1;

/// How many addresses one record may have: an answer by UDP has room for no more.
const MOST_ADDRESSES: usize = 32;

/// Checks names an endpoint answers to.
pub(crate) fn aliases(findings: &mut Findings, field: &str, texts: &[String]) -> BTreeSet<String> {
    let checked = texts.iter().enumerate().map(|(place, text)| dns_name(&format!("{field}[{place}]"), text));
    let aliases: BTreeSet<String> = findings.take_all(checked).into_iter().collect();
    if aliases.len() > MOST_ALIASES {
        let message = format!("there are {} aliases, at most {MOST_ALIASES} are allowed", aliases.len());
        findings.add(Invalid::new(field, "TOO_MANY_ALIASES", message));
    }
    aliases
}

/// Checks names that people wrote down. One that stands there twice has the addresses of both.
pub(super) fn records(findings: &mut Findings, field: &str, given: &[v1::NameRecord]) -> Records {
    let mut records = Records::new();
    for (place, record) in given.iter().enumerate() {
        let field = format!("{field}[{place}]");
        let name = findings.take(dns_name(&format!("{field}.name"), &record.name));
        let texts = record.addresses.iter().enumerate();
        let addresses = texts.map(|(place, text)| address(&format!("{field}.addresses[{place}]"), text));
        let addresses = findings.take_all(addresses);
        if !(1..=MOST_ADDRESSES).contains(&record.addresses.len()) {
            let message = format!("a record has 1 to {MOST_ADDRESSES} addresses, not {}", record.addresses.len());
            findings.add(Invalid::new(format!("{field}.addresses"), "BAD_COUNT", message));
        }
        if let Some(name) = name {
            records.entry(name).or_default().extend(addresses);
        }
    }
    records
}

/// Checks how a fabric has names.
pub(super) fn check(field: &str, dns: Option<&v1::Dns>) -> Result<Naming, Invalids> {
    let usual = Naming::default();
    let Some(dns) = dns else { return Ok(usual) };
    let mut findings = Findings::default();
    let domain = match dns.domain.trim_end_matches('.') {
        "" => Some(usual.domain),
        domain => findings.take(dns_name(&format!("{field}.domain"), domain)),
    };
    let records = records(&mut findings, &format!("{field}.records"), &dns.records);
    let is_served = dns.enabled.unwrap_or(usual.is_served);
    findings.finish(domain.map(|domain| Naming { is_served, domain, records }))
}
