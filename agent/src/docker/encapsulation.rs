//! `-o encap=always`: whether packets between containers of a network on different hosts are wrapped.
//!
//! In: what somebody wants, and the pools that stand. Out: the word pools have for it, or why it cannot be. The pool says it, since routes lead to blocks
//! of pools; a network whose subnet has no pool yet gets one that says so.

use ipnet::IpNet;
use poplin_proto::v1::{Pool, PoolSpec};

/// The option.
pub(super) const ENCAP: &str = "encap";

/// What pools call it; the forms with a dash and without capitals are those that users of Docker's drivers would write.
pub(super) fn named(value: &str) -> Result<String, String> {
    let plain = value.to_ascii_lowercase().replace('-', "");
    match plain.as_str() {
        "never" => Ok("never"),
        "crosssubnet" => Ok("crossSubnet"),
        "always" => Ok("always"),
        _ => Err(format!("option {ENCAP}: {value:?} is neither never, cross-subnet nor always")),
    }
    .map(str::to_owned)
}

/// Whether the pools that these subnets are of, if they are of any, are wrapped as wished. A subnet that only names its family may come of any.
pub(super) fn fits(subnets: &[String], wished: &str, pools: &[Pool]) -> Result<(), String> {
    let others = pools.iter().filter_map(|pool| Some((pool, pool.spec.as_ref()?)));
    let others = others.filter(|(_, spec)| subnets.iter().any(|subnet| may_be_of(subnet, spec)));
    let Some((pool, spec)) = others.into_iter().find(|(_, spec)| said(spec) != wished) else { return Ok(()) };
    let name = pool.metadata.as_ref().map_or("", |metadata| &metadata.name);
    Err(format!(
        "option {ENCAP}: pool {name} ({}) has encapsulation {}, not {wished}; name a --subnet that no pool has, or edit the pool",
        spec.cidr,
        said(spec)
    ))
}

fn said(spec: &PoolSpec) -> &str {
    if spec.encapsulation.is_empty() { "never" } else { &spec.encapsulation }
}

fn may_be_of(subnet: &str, spec: &PoolSpec) -> bool {
    let Ok(cidr) = spec.cidr.parse::<IpNet>() else { return false };
    match subnet.parse::<IpNet>() {
        Ok(subnet) => cidr.contains(&subnet),
        Err(_) => !spec.disabled && !spec.manual && !spec.lan && (subnet == "ipv6") == matches!(cidr, IpNet::V6(_)),
    }
}

#[cfg(test)]
mod tests {
    use poplin_proto::v1::Metadata;

    use super::*;

    fn pool(name: &str, cidr: &str, encapsulation: &str) -> Pool {
        let spec = PoolSpec { cidr: cidr.to_owned(), encapsulation: encapsulation.to_owned(), ..PoolSpec::default() };
        let metadata = Metadata { name: name.to_owned(), ..Metadata::default() };
        Pool { metadata: Some(metadata), spec: Some(spec), ..Pool::default() }
    }

    #[test]
    fn it_is_spelled_as_people_do() {
        for text in ["cross-subnet", "crossSubnet", "CrossSubnet"] {
            assert_eq!(named(text), Ok("crossSubnet".to_owned()));
        }
        assert!(named("vxlan").unwrap_err().contains("\"vxlan\" is neither never"));
    }

    #[test]
    fn a_pool_that_says_otherwise_is_named() {
        let pools = [pool("plain", "10.77.0.0/16", ""), pool("six", "fd77::/48", "always")];
        let fits = |subnet: &str, wished| fits(&[subnet.to_owned()], wished, &pools);

        assert_eq!(fits("10.99.0.0/24", "always"), Ok(()), "it gets a pool of its own");
        assert_eq!(fits("10.77.4.0/24", "never"), Ok(()));
        assert_eq!(fits("ipv6", "always"), Ok(()));
        for of_it in ["10.77.4.0/24", "ipv4"] {
            let refused = fits(of_it, "always").unwrap_err();
            assert!(refused.contains("pool plain (10.77.0.0/16) has encapsulation never, not always"), "{refused}");
        }
    }
}
