//! Networks of the fabric and networks of this Docker: each one has the other.
//!
//! In: both lists. Out: which Docker networks are to be made and which to go. Decides; what it decides is carried out below.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use poplin_proto::v1::Network;
use serde_json::{Value, json};

use super::binding::Binding;
use super::driver::Driver;
use super::fabric::called;
use super::naming::{docker_name, has_docker_ports};
use super::swarm::{is_driver, is_swarms};
use super::wish::{DOCKER_PORTS, MACVLAN, MACVLAN_MODE, MODE, NETWORK, PARENT, PORTS};

/// What is to be done with this Docker.
#[derive(Debug, Default, PartialEq, Eq)]
struct Due {
    /// Networks of the fabric that it does not have, by name.
    made: Vec<String>,
    /// Ids of its networks that the fabric does not have any more.
    gone: Vec<String>,
}

/// Makes and removes Docker networks until both lists are the same. What fails is told, and tried again with the next occasion.
pub(super) async fn meet(driver: &Driver) -> Result<(), String> {
    let networks = driver.networks().await?;
    let listed = driver.api.get("/networks").await?;
    let due = due(&networks, &driver.bindings.all().await?, &ours(&listed, &driver.name));
    for name in due.made {
        let Some(network) = networks.iter().find(|network| called(network) == name) else { continue };
        match driver.api.post("/networks/create", &order(network, &driver.name)).await {
            Ok(_) => tracing::info!("Docker has network {name} now"),
            Err(reason) => tracing::warn!("Docker cannot have network {name}: {reason}"),
        }
    }
    for id in due.gone {
        match driver.api.delete(&format!("/networks/{id}")).await {
            Ok(_) => tracing::info!("Docker has lost network {id}, which the fabric has no more"),
            Err(reason) => tracing::warn!("Docker keeps network {id}, which the fabric has no more: {reason}"),
        }
    }
    Ok(())
}

/// The ids of the networks of our driver.
pub(super) fn ours(listed: &Value, driver: &str) -> BTreeSet<String> {
    let all = listed.as_array().into_iter().flatten();
    let ours = all.filter(|network| network["Driver"].as_str().is_some_and(|called| is_driver(called, driver)));
    ours.filter_map(|network| network["Id"].as_str().map(str::to_owned)).collect()
}

/// Networks of Swarm are left to Swarm, and stand beside the one that each host has.
fn due(networks: &[Network], bindings: &BTreeMap<String, Binding>, listed: &BTreeSet<String>) -> Due {
    let names: BTreeSet<&str> = networks.iter().map(called).collect();
    let bound = |id: &&String| {
        let binding = bindings.get(*id).filter(|_| !is_swarms(id));
        binding.and_then(|binding| binding.network.as_deref())
    };
    let has: BTreeSet<&str> = listed.iter().filter_map(|id| bound(&id)).collect();
    let is_gone = |id: &&String| bound(id).is_some_and(|name| !names.contains(name));
    Due {
        made: names.difference(&has).map(|name| (*name).to_owned()).collect(),
        gone: listed.iter().filter(is_gone).cloned().collect(),
    }
}

/// How Docker is asked for a network. With the subnets, so that `--ip` is understood.
fn order(network: &Network, driver: &str) -> Value {
    let metadata = network.metadata.clone().unwrap_or_default();
    let spec = network.spec.clone().unwrap_or_default();
    let is_v6 = spec.subnets.iter().any(|subnet| subnet.parse().is_ok_and(|net: IpNet| net.addr().is_ipv6()));
    let routers = spec.macvlan.iter().flat_map(|macvlan| &macvlan.gateways);
    let routers: Vec<IpAddr> = routers.filter_map(|text| text.parse().ok()).collect();
    let range = |subnet: &String| {
        let net = subnet.parse::<IpNet>().ok();
        match routers.iter().find(|router| net.is_some_and(|net| net.contains(*router))) {
            Some(router) => json!({"Subnet": subnet, "Gateway": router}),
            None => json!({"Subnet": subnet}),
        }
    };
    let subnets: Vec<Value> = spec.subnets.iter().map(range).collect();
    let ports = has_docker_ports(&metadata).then_some((PORTS, DOCKER_PORTS));
    let on_a_lan = spec.macvlan.iter().flat_map(|macvlan| {
        let mode = Some((MACVLAN_MODE, macvlan.mode.as_str())).filter(|(_, mode)| !mode.is_empty());
        [(MODE, MACVLAN), (PARENT, macvlan.parent.as_str())].into_iter().chain(mode)
    });
    let options = [(NETWORK, metadata.name.as_str())].into_iter().chain(ports).chain(on_a_lan);
    let options: BTreeMap<&str, &str> = options.collect();
    json!({
        "Name": docker_name(&metadata),
        "CheckDuplicate": true,
        "Driver": driver,
        "Internal": spec.internal,
        "EnableIPv6": is_v6,
        "Options": options,
        "Labels": metadata.labels,
        "IPAM": {"Driver": driver, "Config": subnets, "Options": {NETWORK: metadata.name}},
    })
}

#[cfg(test)]
mod tests {
    use poplin_proto::v1::Metadata;

    use super::*;

    fn network(name: &str) -> Network {
        Network { metadata: Some(Metadata { name: name.to_owned(), ..Metadata::default() }), ..Network::default() }
    }

    fn bound(network: Option<&str>) -> Binding {
        Binding { network: network.map(str::to_owned), ..Binding::default() }
    }

    /// An id of the length that Docker's have.
    fn id(name: &str) -> String {
        format!("{name:0<64}")
    }

    #[test]
    fn what_one_has_the_other_gets_and_what_nobody_named_yet_is_left_alone() {
        let bindings = BTreeMap::from([
            (id("old"), bound(Some("old"))),
            (id("shop"), bound(Some("shop"))),
            (id("new"), bound(None)),
            (id("removed-by-hand"), bound(Some("bank"))),
            // Of Swarm: the first stands for none that the host has, and neither goes with what it was bound to.
            ("utzclh58z7oydbe2a4gmi2fg3".to_owned(), bound(Some("bank"))),
            ("okwrhc3nm0rgey1zlifqffjj6".to_owned(), bound(Some("old"))),
        ]);
        let own = ["old", "shop", "new"].map(id);
        let swarms = ["utzclh58z7oydbe2a4gmi2fg3", "okwrhc3nm0rgey1zlifqffjj6"].map(str::to_owned);
        let listed = own.into_iter().chain(swarms).collect();

        let due = due(&[network("shop"), network("bank")], &bindings, &listed);

        assert_eq!(due, Due { made: vec!["bank".to_owned()], gone: vec![id("old")] });
    }

    #[test]
    fn networks_of_other_drivers_are_none_of_ours() {
        let listed = json!([{"Id": "a", "Driver": "bridge"}, {"Id": "b", "Driver": "poplin"}, {"Id": "c", "Driver": "poplin-swarm:latest"}]);
        assert_eq!(ours(&listed, "poplin"), ["b".to_owned(), "c".to_owned()].into());
    }
}
