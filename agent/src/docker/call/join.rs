//! The container is there: dockerd is told which interface to take into it, and how to furnish that.
//!
//! The gateway is another for each network, and so is the route to the network's own addresses: a container in two of them reaches each by its own
//! link, whichever has the default route. Where Docker is to publish ports no gateway is told: Docker then adds a bridge of its own, which is the way
//! to the outside and from there, and the network's own addresses are reached by the fabric as ever.

use ipnet::IpNet;
use poplin_node::request::Attached;

use crate::docker::driver::{Driver, Outcome, attachment, told};
use crate::docker::firewall;
use crate::docker::wire::{network, read};
use crate::serve::Call;

pub(in crate::docker) async fn answer(driver: &Driver, body: &[u8]) -> Outcome {
    let request: network::Named = read(body)?;
    let id = attachment(&request.endpoint_id);
    let known = driver.desk.ask(|answer| Call::Check(id, answer)).await.map_err(|failure| failure.message)?;
    let (attached, _) = known.ok_or_else(|| format!("endpoint {} is not known here", request.endpoint_id))?;
    let has_docker_ports = driver.has_docker_ports(&request.network_id).await?;
    if has_docker_ports {
        firewall::keep_apart().await;
    }
    told(&furniture(&attached, has_docker_ports))
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
