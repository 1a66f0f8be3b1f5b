//! Whether the ground stands: own addresses, links up and down, and routes of others in our ranges.

use ipnet::IpNet;
use poplin_proto::v1::EndpointSpec;

use crate::doctor::finding::Finding;
use crate::doctor::reading::{Reading, Route, Told, is_ours};

/// The metric of all our routes.
const OUR_METRIC: u32 = 143;

pub(super) fn judge(reading: &Reading) -> Vec<Finding> {
    let mut findings = own_addresses(reading);
    findings.extend(reading.rivals.iter().map(|(address, interface, mac)| {
        let message = format!(
            "{mac} on {interface} answers for {address}, which is this host's own: two machines have one address"
        );
        Finding::failure(
            "address-conflict",
            message,
            "find the machine with that MAC in the switch, and give it another address",
        )
    }));
    let duplicates = reading.addresses.iter().filter(|own| own.is_duplicate);
    findings.extend(duplicates.map(|own| {
        let message = format!("somebody else on {} has {}, so the kernel does not use it", own.interface, own.address);
        let advice =
            format!("find the other machine; then ip address del and add {} on {}", own.address, own.interface);
        Finding::failure("address-conflict", message, advice)
    }));
    findings.extend(links_down(reading));
    if let Some(told) = reading.told() {
        findings.extend(missing_links(reading, told));
        findings.extend(captured(reading, told));
        findings.extend(too_large(reading, told));
    }
    findings
}

fn own_addresses(reading: &Reading) -> Vec<Finding> {
    let mut findings = Vec::new();
    let agent_knows_none = reading.told().is_some() && reading.known_by.is_empty();
    if agent_knows_none {
        let advice = "give the host an address and a default route, or name one with --address";
        findings.push(Finding::failure("address", "there is no address others could reach this host by", advice));
    }
    for address in &reading.known_by {
        let Some(own) = reading.addresses.iter().find(|own| own.address == *address) else {
            let message = format!("{address}, by which others reach this host, stands on no interface");
            findings.push(Finding::failure(
                "address",
                message,
                format!("give it back: ip address add {address}/LENGTH dev INTERFACE"),
            ));
            continue;
        };
        let link = reading.links.get(&own.interface).copied().unwrap_or_default();
        if own.interface != "lo" && !(link.is_up && link.has_carrier) {
            let is_how = if link.is_up { "has no carrier" } else { "is down" };
            let message = format!("{}, on which {address} stands, {is_how}", own.interface);
            let advice = format!("ip link set {} up; then look at the cable, or the other end", own.interface);
            findings.push(Finding::failure("uplink", message, advice));
        }
    }
    findings
}

fn links_down(reading: &Reading) -> impl Iterator<Item = Finding> {
    let down = reading.links.iter().filter(|(name, link)| is_ours(name) && !link.is_up);
    down.map(|(name, _)| {
        let message = format!("{name}, the link of a container, is down");
        Finding::failure("link", message, format!("ip link set {name} up; a running agent does it by itself"))
    })
}

fn missing_links(reading: &Reading, told: &Told) -> impl Iterator<Item = Finding> {
    let is_missing = |interface: &str| !interface.is_empty() && !reading.links.contains_key(interface);
    // Where one is on a LAN itself, its interface is in its container, under a name of that.
    let is_inside = |endpoint: &EndpointSpec| !endpoint.parent.is_empty() && !endpoint.netns.is_empty();
    let missing = told.endpoints.iter().filter(move |(_, one)| !is_inside(one) && is_missing(&one.interface));
    missing.map(|(name, endpoint)| {
        let message = format!("endpoint {name} has no link: {} is gone", endpoint.interface);
        Finding::failure(
            "link",
            message,
            "attach it anew, as its runtime does when the container is restarted, or poplin detach it",
        )
    })
}

/// A route that is more certain than a pool, and not ours, takes away what we give out. One that covers the pool takes nothing: ours are more certain.
/// In a pool that is of a LAN all but single addresses are reached on the link in any case.
fn captured(reading: &Reading, told: &Told) -> Vec<Finding> {
    let routed = told.pools.iter().filter(|pool| !pool.lan);
    let pools: Vec<(&str, IpNet)> =
        routed.filter_map(|pool| Some((pool.name.as_str(), pool.cidr.parse().ok()?))).collect();
    let is_foreign =
        |route: &&Route| route.metric != OUR_METRIC && !is_ours(&route.interface) && route.interface != "lo";
    let inside = reading.routes.iter().filter(is_foreign).flat_map(|route| {
        let captures = pools.iter().filter(|(_, cidr)| cidr.contains(&route.prefix));
        captures.map(move |(pool, cidr)| (route, *pool, *cidr))
    });
    let finding = |(route, pool, cidr): (&Route, &str, IpNet)| {
        let message = format!(
            "the host has a route to {} by {}, inside pool {pool} ({cidr}): containers there are not reached",
            route.prefix, route.interface
        );
        Finding::failure(
            "pool-route",
            message,
            format!("remove the route, or keep {} out of the pool (reserved)", route.prefix),
        )
    };
    inside.map(finding).collect()
}

fn too_large(reading: &Reading, told: &Told) -> Option<Finding> {
    let wanted = told.fabric.mtu_bytes?;
    let stands_on = |own: &&crate::doctor::reading::OwnAddress| reading.known_by.contains(&own.address);
    let uplinks = reading.addresses.iter().filter(stands_on);
    let mtus = uplinks.filter_map(|own| Some((reading.links.get(&own.interface)?.mtu, own.interface.as_str())));
    let (mtu, uplink) = mtus.min()?;
    let wrapping = told.wrapping_octets();
    (uplink != "lo" && wanted + wrapping > mtu).then(|| {
        let wrapped = if wrapping > 0 { format!(", {wrapping} more where they are wrapped") } else { String::new() };
        let message = format!(
            "containers may send {wanted} octets (mtuBytes of FabricConfig){wrapped}, and {uplink} takes {mtu}"
        );
        Finding::failure(
            "mtu",
            message,
            format!(
                "mtuBytes: {}, or ip link set {uplink} mtu {} here and on all the way",
                mtu.saturating_sub(wrapping),
                wanted + wrapping
            ),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::reading::{Link, OwnAddress};
    use poplin_proto::v1::{FabricConfigSpec, PoolUse};

    const UP: Link = Link { is_up: true, has_carrier: true, mtu: 1500 };

    fn host() -> Reading {
        let address = "192.0.2.1".parse().unwrap();
        Reading {
            agent: Some(Ok(Told::default())),
            known_by: vec![address],
            addresses: vec![OwnAddress { address, interface: "eth0".to_owned(), is_duplicate: false }],
            links: [("eth0".to_owned(), UP)].into(),
            ..Reading::default()
        }
    }

    fn checks(reading: &Reading) -> Vec<&'static str> {
        judge(reading).iter().map(|finding| finding.check).collect()
    }

    #[test]
    fn a_host_whose_address_stands_on_a_link_that_is_up_is_well() {
        assert_eq!(checks(&host()), [""; 0]);
    }

    #[test]
    fn an_uplink_without_carrier_and_an_address_nowhere_are_found() {
        let mut reading = host();
        reading.links.insert("eth0".to_owned(), Link { has_carrier: false, ..UP });
        assert_eq!(checks(&reading), ["uplink"]);

        reading.addresses.clear();

        assert_eq!(checks(&reading), ["address"]);
    }

    #[test]
    fn only_a_foreign_route_inside_a_pool_captures() {
        let route = |prefix: &str, interface: &str, metric| Route {
            prefix: prefix.parse().unwrap(),
            interface: interface.to_owned(),
            metric,
            gateway: "192.0.2.254".parse().ok(),
        };
        let pools = vec![PoolUse { name: "p".to_owned(), cidr: "10.77.0.0/16".to_owned(), ..PoolUse::default() }];
        let mut reading = host();
        reading.agent = Some(Ok(Told { pools, ..Told::default() }));
        reading.routes =
            vec![route("10.77.1.0/26", "eth0", 143), route("10.77.0.1/32", "pop1", 0), route("10.0.0.0/8", "eth0", 0)];
        assert_eq!(checks(&reading), [""; 0]);

        reading.routes.push(route("10.77.128.0/17", "docker0", 0));

        assert_eq!(checks(&reading), ["pool-route"]);
    }

    #[test]
    fn containers_may_not_send_more_than_the_uplink_takes() {
        let mut reading = host();
        let fabric = FabricConfigSpec { mtu_bytes: Some(9000), ..FabricConfigSpec::default() };
        reading.agent = Some(Ok(Told { fabric, ..Told::default() }));
        assert_eq!(checks(&reading), ["mtu"]);

        let fabric = FabricConfigSpec { mtu_bytes: Some(1500), ..FabricConfigSpec::default() };
        reading.agent = Some(Ok(Told { fabric: fabric.clone(), ..Told::default() }));
        assert_eq!(checks(&reading), [""; 0]);
        let pools = vec![PoolUse { encapsulation: "always".to_owned(), ..PoolUse::default() }];
        reading.agent = Some(Ok(Told { fabric, pools, ..Told::default() }));
        assert_eq!(checks(&reading), ["mtu"], "wrapped it does not fit any more");
    }
}
