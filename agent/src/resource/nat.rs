//! Under which source packets from a pool leave the fabric.

use std::net::IpAddr;

use ipnet::IpNet;
use poplin_manifest::field::{Findings, Invalid, nets, parse, word};
use poplin_policy::nat::Outgoing;
use poplin_policy::ruleset::SourceNat;
use poplin_proto::v1;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Masquerade,
    Snat,
}

/// Checks what stands there, for a pool of this range.
pub(super) fn check(findings: &mut Findings, field: &str, nat: &v1::Nat, pool: IpNet) -> Option<Outgoing> {
    let words = [("", Mode::Masquerade), ("masquerade", Mode::Masquerade), ("snat", Mode::Snat)];
    let mode = findings.take(word(&format!("{field}.mode"), &nat.mode, &words));
    let exclude = findings.take_all(nets(&format!("{field}.exclude"), &nat.exclude));
    let strangers = exclude.iter().enumerate().filter(|(_, net)| is_v6(net.addr()) != is_v6(pool.addr()));
    for (index, net) in strangers {
        findings.add(other_family(&format!("{field}.exclude[{index}]"), &net.to_string(), pool));
    }
    let source = match mode? {
        Mode::Masquerade => masquerade(field, nat),
        Mode::Snat => snat(&format!("{field}.address"), &nat.address, pool),
    };
    Some(Outgoing { source: findings.take(source)?, exclude })
}

fn masquerade(field: &str, nat: &v1::Nat) -> Result<SourceNat, Invalid> {
    if nat.address.is_empty() {
        return Ok(SourceNat::Masquerade);
    }
    let message = "masquerade takes the address of the interface a packet leaves by";
    Err(Invalid::new(format!("{field}.address"), "UNUSED", message).advice("add mode: snat, or leave the address out"))
}

fn snat(field: &str, text: &str, pool: IpNet) -> Result<SourceNat, Invalid> {
    if text.is_empty() {
        let advice = "say which, such as address: 192.0.2.1; or mode: masquerade for the host's own";
        return Err(Invalid::new(field, "REQUIRED", "snat wants an address").advice(advice));
    }
    let address: IpAddr = parse(field, text, "BAD_ADDRESS", "an address such as 192.0.2.1 or 2001:db8::1")?;
    if is_v6(address) != is_v6(pool.addr()) {
        return Err(other_family(field, text, pool));
    }
    if address.is_unspecified() || address.is_loopback() || address.is_multicast() || pool.contains(&address) {
        let message = format!("{address} is not an address of ours that others answer to");
        return Err(Invalid::new(field, "BAD_ADDRESS", message)
            .advice("take an address outside of the pool that is routed to its hosts"));
    }
    Ok(SourceNat::To(address))
}

fn other_family(field: &str, text: &str, pool: IpNet) -> Invalid {
    let (ours, theirs) = if is_v6(pool.addr()) { ("IPv6", "IPv4") } else { ("IPv4", "IPv6") };
    Invalid::new(field, "OTHER_FAMILY", format!("{text} is of {theirs}, and the pool {pool} of {ours}"))
        .advice(format!("leave it to a pool of {theirs}"))
}

fn is_v6(address: IpAddr) -> bool {
    address.is_ipv6()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(nat: v1::Nat) -> Result<Outgoing, String> {
        let mut findings = Findings::default();
        let checked = check(&mut findings, "spec.nat", &nat, "10.77.0.0/16".parse().unwrap());
        findings.finish(checked).map_err(|invalids| invalids.to_string())
    }

    fn snat(address: &str) -> v1::Nat {
        v1::Nat { mode: "snat".to_owned(), address: address.to_owned(), exclude: Vec::new() }
    }

    #[test]
    fn an_empty_wish_means_masquerade() {
        assert_eq!(checked(v1::Nat::default()), Ok(Outgoing { source: SourceNat::Masquerade, exclude: Vec::new() }));
    }

    #[test]
    fn snat_takes_an_address_of_the_pools_family_that_is_outside_of_it() {
        assert_eq!(checked(snat("192.0.2.9")).unwrap().source, SourceNat::To("192.0.2.9".parse().unwrap()));
        assert_eq!(checked(snat("")).unwrap_err(), "spec.nat.address: snat wants an address");
        for bad in ["2001:db8::1", "10.77.0.1", "127.0.0.1", "224.0.0.1", "nine"] {
            let told = checked(snat(bad)).unwrap_err();
            assert!(told.starts_with("spec.nat.address: ") && told.contains(bad), "{told}");
        }
    }

    #[test]
    fn an_address_that_masquerade_does_not_take_and_prefixes_of_the_other_family_are_refused() {
        let exclude = vec!["192.0.2.0/24".to_owned(), "2001:db8::/32".to_owned()];
        let told = checked(v1::Nat { address: "192.0.2.9".to_owned(), exclude, ..v1::Nat::default() }).unwrap_err();

        assert!(told.contains("spec.nat.address: masquerade takes the address of the interface"), "{told}");
        assert!(
            told.contains("spec.nat.exclude[1]: 2001:db8::/32 is of IPv6, and the pool 10.77.0.0/16 of IPv4"),
            "{told}"
        );
    }
}
