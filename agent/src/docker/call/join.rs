//! The container is there: dockerd is told which interface to take into it, and how to furnish that.
//!
//! The gateway is another for each network, and so is the route to the network's own addresses: a container in two of them reaches each by its own
//! link, whichever has the default route. Where Docker is to publish ports no gateway is told: Docker then adds a bridge of its own, which is the way
//! to the outside and from there, and the network's own addresses are reached by the fabric as ever.

use std::collections::BTreeSet;
use std::path::PathBuf;

use ipnet::IpNet;
use poplin_node::name::AttachmentId;
use poplin_node::request::{Answer, Attached, Renew};
use poplin_policy::label::Labels;

use crate::docker::driver::{Driver, Outcome, attachment, told};
use crate::docker::firewall;
use crate::docker::wire::{network, read};
use crate::serve::Call;

pub(in crate::docker) async fn answer(driver: &Driver, body: &[u8]) -> Outcome {
    let request: network::Join = read(body)?;
    let id = attachment(&request.endpoint_id);
    let known = driver.desk.ask(|answer| Call::Check(id.clone(), answer)).await.map_err(|failure| failure.message)?;
    let (attached, _) = known.ok_or_else(|| format!("endpoint {} is not known here", request.endpoint_id))?;
    if attached.endpoint.parent.is_some() {
        let sandbox = driver.sandbox(&request.sandbox_key);
        return told(&on_a_lan(&put(driver, id, sandbox).await?));
    }
    let has_docker_ports = driver.has_docker_ports(&request.network_id).await?;
    if has_docker_ports {
        firewall::keep_apart().await;
    }
    told(&furniture(&attached, has_docker_ports))
}

/// Says where the container's own interface is about to be put. It is closed until its rules stand there.
async fn put(driver: &Driver, attachment: AttachmentId, netns: PathBuf) -> Result<Attached, String> {
    let renew = Renew {
        attachment,
        names: Vec::new(),
        labels: Labels::default(),
        published: None,
        aliases: BTreeSet::new(),
        container: None,
        netns: Some(netns),
    };
    match driver.ask(|answer| Call::Renew(renew.clone(), answer)).await? {
        Answer::Attached(attached) => Ok(attached),
        other => Err(format!("the head answered another question: {other:?}")),
    }
}

/// On a LAN the routers there are the way to all that is not on it.
fn on_a_lan(attached: &Attached) -> network::Joined {
    let routers = attached.lan.as_ref().map(|lan| lan.gateways.clone()).unwrap_or_default();
    let has_family = |is_v6: bool| attached.endpoint.addresses.iter().any(|address| address.is_ipv6() == is_v6);
    let router = |is_v6: bool| {
        let router = routers.iter().find(|router| router.is_ipv6() == is_v6 && has_family(is_v6));
        router.map(ToString::to_string).unwrap_or_default()
    };
    let src_name = attached.waiting.clone().unwrap_or_default();
    network::Joined {
        interface_name: network::InterfaceName { src_name, dst_prefix: "eth".to_owned() },
        gateway: router(false),
        gateway_ipv6: router(true),
        static_routes: Vec::new(),
        disable_gateway_service: true,
    }
}

fn furniture(attached: &Attached, has_docker_ports: bool) -> network::Joined {
    let gateway = |is_v6: bool| attached.gateways.iter().find(|gateway| gateway.is_ipv6() == is_v6);
    let connected = attached.gateways.iter().map(|gateway| network::StaticRoute {
        destination: IpNet::from(*gateway).to_string(),
        route_type: network::CONNECTED,
        next_hop: String::new(),
    });
    let routed = attached.subnets.iter().filter_map(|subnet| {
        let next_hop = gateway(matches!(subnet, IpNet::V6(_)))?.to_string();
        Some(network::StaticRoute { destination: subnet.to_string(), route_type: network::NEXT_HOP, next_hop })
    });
    let default = |is_v6| match has_docker_ports {
        true => String::new(),
        false => gateway(is_v6).map(ToString::to_string).unwrap_or_default(),
    };
    let src_name = attached.waiting.clone().unwrap_or_default();
    network::Joined {
        interface_name: network::InterfaceName { src_name, dst_prefix: "eth".to_owned() },
        gateway: default(false),
        gateway_ipv6: default(true),
        static_routes: connected.chain(routed).collect(),
        disable_gateway_service: !has_docker_ports,
    }
}
