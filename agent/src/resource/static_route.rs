//! Static routes.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use poplin_bgp::Address;
use poplin_manifest::field::{Findings, Invalid, Invalids, checked_name, net, selector};
use poplin_node::name::StaticRouteName;
use poplin_node::object::StaticRoute;
use poplin_proto::v1;

use super::bfd;
use super::peer::neighbour_address;

pub(super) fn check(route: &v1::StaticRoute) -> Result<StaticRoute, Invalids> {
    let spec = route.spec.clone().unwrap_or_default();
    let mut findings = Findings::default();
    let name = StaticRouteName::new(checked_name(route.metadata.as_ref()));
    let prefixes = some(&mut findings, "spec.prefixes", &spec.prefixes, "such as 0.0.0.0/0", net);
    let next_hops = some(&mut findings, "spec.nextHops", &spec.next_hops, "such as 192.0.2.1", neighbour_address);
    findings.take(can_lead(&prefixes, &next_hops));
    let hosts = findings.take(selector("spec.hosts", &spec.hosts));
    let bfd = spec.bfd.and_then(|bfd| bfd::check(&mut findings, "spec.bfd", &bfd));
    findings.finish(hosts.map(|hosts| StaticRoute { name, prefixes, next_hops, hosts, bfd }))
}

/// A list of at least one.
fn some<T: Ord>(
    findings: &mut Findings,
    field: &str,
    texts: &[String],
    example: &str,
    check: impl Fn(&str, &str) -> Result<T, Invalid>,
) -> BTreeSet<T> {
    if texts.is_empty() {
        findings.add(Invalid::new(field, "EMPTY", "nothing is given").advice(format!("give one, {example}")));
    }
    let checked = texts.iter().enumerate().map(|(index, text)| check(&format!("{field}[{index}]"), text));
    findings.take_all(checked).into_iter().collect()
}

/// IPv6 has no next hops of IPv4; the reverse is RFC 8950's.
fn can_lead(prefixes: &BTreeSet<IpNet>, next_hops: &BTreeSet<Address>) -> Result<(), Invalid> {
    let is_v6 = prefixes.iter().find(|prefix| matches!(prefix, IpNet::V6(_)));
    let is_v4 = next_hops.iter().find(|next_hop| matches!(next_hop.ip(), IpAddr::V4(_)));
    match is_v6.zip(is_v4) {
        None => Ok(()),
        Some((prefix, next_hop)) => {
            let message = format!("{next_hop} cannot lead to {prefix}, which is IPv6");
            Err(Invalid::new("spec.nextHops", "WRONG_FAMILY", message).advice("make one StaticRoute of each family"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use poplin_proto::v1::resource::Object;

    fn checked(spec: &str) -> Result<StaticRoute, String> {
        let document = format!(r#"{{"metadata":{{"name":"out"}},"spec":{spec}}}"#);
        match v1::Resource::from_json("StaticRoute", &document).unwrap().object {
            Some(Object::StaticRoute(route)) => check(&route).map_err(|invalids| invalids.to_string()),
            _ => unreachable!("it was read as a static route"),
        }
    }

    #[test]
    fn a_route_leads_somewhere_that_can_lead_there() {
        let fine = checked(r#"{"prefixes":["0.0.0.0/0"],"nextHops":["192.0.2.1","fe80::1%eth0"],"bfd":{}}"#).unwrap();
        assert_eq!((fine.next_hops.len(), fine.bfd), (2, Some(poplin_node::object::Bfd::default())));

        let told = |spec: &str| checked(spec).unwrap_err();
        assert!(told(r#"{"nextHops":["192.0.2.1"]}"#).contains("spec.prefixes: nothing is given"));
        assert!(told(r#"{"prefixes":["10.0.0.0/8"]}"#).contains("spec.nextHops: nothing is given"));
        let mixed = told(r#"{"prefixes":["::/0"],"nextHops":["192.0.2.1"]}"#);
        assert!(mixed.contains("192.0.2.1 cannot lead to ::/0"), "{mixed}");
    }
}
