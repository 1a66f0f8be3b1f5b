//! Which network of the fabric a Docker network is: that of the same name, made if there is none.
//!
//! In: what its author wished, and its name once dockerd tells. Out: documents to apply, or why it cannot be. Decides, and does nothing.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use poplin_policy::label::Labels;
use poplin_proto::v1::{Metadata, Network, NetworkSpec, Pool, PoolSpec, Resource};

use super::wish::{DOCKER_PORTS, MACVLAN, MODE, PARENT, PORTS, Wish};

/// Annotation: what Docker calls the network, where that is no name for an object.
pub(super) const DOCKER_NAME: &str = "poplin.dev/docker-name";
/// Annotation: `docker`, where `docker network create` made it; it goes when a Docker removes it.
pub(super) const ORIGIN: &str = "poplin.dev/origin";
/// Annotation: `docker`, where Docker publishes the ports of the network's containers.
pub(super) const PORTS_BY: &str = "poplin.dev/docker-ports";
/// Annotation of a pool: the network it was made for, and goes with.
pub(super) const MADE_FOR: &str = "poplin.dev/made-for-network";

/// Bits by which blocks are longer than a pool made for one network: 16 of them, unless that is more than one address each.
const BLOCK_BITS: u8 = 4;

/// The longest blocks such a pool gets by itself: 64 addresses.
const LARGEST_BLOCK_HOST_BITS: u8 = 6;

/// A name that objects may have, of any that Docker takes.
pub(super) fn plain(docker_name: &str) -> String {
    let keep = |letter: char| if letter.is_ascii_alphanumeric() || letter == '.' { letter } else { '-' };
    let labels = docker_name.to_ascii_lowercase().chars().map(keep).collect::<String>();
    let labels = labels.split('.').map(|label| label.trim_matches('-')).filter(|label| !label.is_empty());
    labels.collect::<Vec<_>>().join(".")
}

/// What Docker calls a network of the fabric.
pub(super) fn docker_name(metadata: &Metadata) -> &str {
    metadata.annotations.get(DOCKER_NAME).map_or(&metadata.name, String::as_str)
}

/// Whether Docker publishes the ports of containers in it, by its gateway bridge.
pub(super) fn has_docker_ports(metadata: &Metadata) -> bool {
    metadata.annotations.get(PORTS_BY).is_some_and(|by| by == DOCKER_PORTS)
}

/// Whether a network that stands is what somebody wished who named it too.
pub(super) fn fits(standing: &Network, docker_name_wished: &str, wish: &Wish) -> Result<(), String> {
    let (metadata, spec) = (standing.metadata.clone().unwrap_or_default(), standing.spec.clone().unwrap_or_default());
    let name = docker_name(&metadata);
    if wish.network.is_none() && name != docker_name_wished {
        return Err(format!("network {docker_name_wished} cannot be told from {name}; name it differently"));
    }
    let by_docker = has_docker_ports(&metadata);
    if wish.docker_ports.is_some_and(|wished| wished != by_docker) {
        let stands = if by_docker { DOCKER_PORTS } else { "routed" };
        return Err(format!(
            "network {name} of the fabric stands with {PORTS}={stands}; leave the option out, or name the network differently"
        ));
    }
    fits_macvlan(name, &spec, wish)?;
    let is_prefix = |subnet: &&String| subnet.contains('/');
    let mut wished = wish.spec.subnets.iter().filter(is_prefix);
    match wished.any(|subnet| !spec.subnets.contains(subnet)) {
        true => Err(format!(
            "network {name} of the fabric has the subnets {}, not {}; leave --subnet out, or name the network differently",
            spec.subnets.join(" "),
            wish.spec.subnets.join(" ")
        )),
        false => Ok(()),
    }
}

/// How containers are on a network is the same for all.
fn fits_macvlan(name: &str, standing: &NetworkSpec, wish: &Wish) -> Result<(), String> {
    let told = |spec: &NetworkSpec| match &spec.macvlan {
        Some(macvlan) => format!("{MODE}={MACVLAN} and {PARENT}={}", macvlan.parent),
        None => format!("{MODE}=routed"),
    };
    let parent = |spec: &NetworkSpec| spec.macvlan.as_ref().map(|macvlan| macvlan.parent.clone());
    match parent(&wish.spec).is_none_or(|wished| Some(wished) == parent(standing)) {
        true => Ok(()),
        false => Err(format!(
            "network {name} of the fabric stands with {}, not {}; leave these options out, or name the network differently",
            told(standing),
            told(&wish.spec)
        )),
    }
}

/// A network, and pools for those of its subnets that no pool has.
pub(super) fn documents(
    name: &str,
    docker_name: &str,
    wish: &Wish,
    labels: &BTreeMap<String, String>,
    pools: &[IpNet],
) -> Vec<Resource> {
    let mut annotations = BTreeMap::from([(ORIGIN.to_owned(), "docker".to_owned())]);
    if docker_name != name {
        annotations.insert(DOCKER_NAME.to_owned(), docker_name.to_owned());
    }
    if wish.docker_ports == Some(true) {
        annotations.insert(PORTS_BY.to_owned(), DOCKER_PORTS.to_owned());
    }
    let subnets = wish.spec.subnets.iter().filter_map(|text| text.parse().ok());
    let bare = subnets.filter(|subnet| !pools.iter().any(|pool| pool.contains(subnet)));
    let mut all: Vec<Resource> = bare.map(|subnet| pool(name, subnet, wish).into()).collect();
    let labels = usable(labels);
    let metadata = Metadata { name: name.to_owned(), labels, annotations, ..Metadata::default() };
    let spec: NetworkSpec = wish.spec.clone();
    all.push(Network { metadata: Some(metadata), spec: Some(spec), ..Network::default() }.into());
    all
}

/// Of a LAN, others have addresses, too: what the network reserves is reserved in its pool as well.
fn pool(network: &str, subnet: IpNet, wish: &Wish) -> Pool {
    let wished = &wish.spec;
    let name = match subnet {
        IpNet::V4(_) => network.to_owned(),
        IpNet::V6(_) => format!("{network}-v6"),
    };
    let most = subnet.max_prefix_len();
    let bits = (subnet.prefix_len() + BLOCK_BITS).clamp(most - LARGEST_BLOCK_HOST_BITS, most);
    let annotations = BTreeMap::from([(MADE_FOR.to_owned(), network.to_owned())]);
    let metadata = Metadata { name, annotations, ..Metadata::default() };
    let is_lan = wished.macvlan.is_some();
    let is_within = |text: &&String| is_lan && text.parse::<IpAddr>().is_ok_and(|address| subnet.contains(&address));
    let reserved = wished.reserved.iter().filter(is_within).cloned().collect();
    let (cidr, block_size) = (subnet.to_string(), Some(bits.into()));
    let encapsulation = wish.encapsulation.clone().unwrap_or_default();
    let spec = PoolSpec { cidr, block_size, lan: is_lan, reserved, encapsulation, ..PoolSpec::default() };
    Pool { metadata: Some(metadata), spec: Some(spec), ..Pool::default() }
}

/// Docker's labels as far as they are labels here: others are longer, or say things no selector can.
pub(super) fn usable(labels: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let is_label = |key: &str, value: &str| Labels::try_from_pairs([(key, value)]).is_ok();
    let usable: Vec<_> = labels.iter().filter(|(key, value)| is_label(key, value)).collect();
    if let Some((first, _)) = usable.get(MOST_LABELS) {
        tracing::warn!("of {} labels {MOST_LABELS} are taken over, and none from {first} on", usable.len());
    }
    usable.into_iter().take(MOST_LABELS).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// How many labels of Docker are taken over: an object may have 64, and inherits some.
const MOST_LABELS: usize = 48;

#[cfg(test)]
mod tests {
    use poplin_proto::v1::resource::Object;

    use super::*;

    #[test]
    fn any_name_of_docker_becomes_one_of_an_object() {
        for (docker, object) in [("shop", "shop"), ("My_App_default", "my-app-default"), ("a._b-", "a.b")] {
            assert_eq!(plain(docker), object);
        }
    }

    #[test]
    fn a_subnet_that_no_pool_has_gets_a_pool_that_goes_with_the_network() {
        let spec =
            NetworkSpec { subnets: vec!["10.99.0.0/24".to_owned(), "fd77::/64".to_owned()], ..NetworkSpec::default() };
        let wish = Wish { spec, ..Wish::default() };

        let documents = documents("shop", "Shop", &wish, &BTreeMap::new(), &["fd77::/48".parse().unwrap()]);

        let [pool, network] = &documents[..] else { panic!("{documents:?}") };
        let Some(Object::Pool(Pool { spec: Some(spec), metadata: Some(metadata), .. })) = &pool.object else {
            panic!()
        };
        assert_eq!(
            (spec.cidr.as_str(), spec.block_size, metadata.annotations[MADE_FOR].as_str()),
            ("10.99.0.0/24", Some(28), "shop")
        );
        assert_eq!(docker_name(network.metadata().unwrap()), "Shop");
    }

    #[test]
    fn two_docker_names_never_mean_one_network() {
        let metadata = Metadata {
            name: "a-b".to_owned(),
            annotations: BTreeMap::from([(DOCKER_NAME.to_owned(), "a_b".to_owned())]),
            ..Metadata::default()
        };
        let standing = Network { metadata: Some(metadata), ..Network::default() };

        assert_eq!(fits(&standing, "a_b", &Wish::default()), Ok(()));
        assert!(fits(&standing, "a-b", &Wish::default()).unwrap_err().contains("cannot be told from a_b"));
    }

    #[test]
    fn who_publishes_ports_stands_with_the_network_on_every_host() {
        let wished = |docker_ports| Wish { docker_ports, ..Wish::default() };
        let made = |wish: &Wish| match documents("shop", "shop", wish, &BTreeMap::new(), &[]).pop().unwrap().object {
            Some(Object::Network(network)) => network,
            _ => panic!(),
        };

        let (dockers, routed) = (made(&wished(Some(true))), made(&wished(None)));

        assert!(has_docker_ports(dockers.metadata.as_ref().unwrap()));
        assert!(!has_docker_ports(routed.metadata.as_ref().unwrap()));
        assert_eq!(
            (fits(&dockers, "shop", &wished(None)), fits(&dockers, "shop", &wished(Some(true)))),
            (Ok(()), Ok(()))
        );
        assert!(fits(&dockers, "shop", &wished(Some(false))).unwrap_err().contains("stands with ports=docker"));
        assert!(fits(&routed, "shop", &wished(Some(true))).unwrap_err().contains("stands with ports=routed"));
    }

    #[test]
    fn labels_that_no_selector_can_ask_for_stay_with_docker() {
        let all = BTreeMap::from([("app", "web"), ("notes", "a {json} value"), ("com.docker.compose.project", "shop")]);
        let all = all.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();

        assert_eq!(usable(&all).keys().collect::<Vec<_>>(), ["app", "com.docker.compose.project"]);
    }
}
