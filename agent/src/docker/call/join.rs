//! The container is there: dockerd is told which interface to take into it, and how to furnish that.
//!
//! The gateway is another for each network, and so is the route to the network's own addresses: a container in two of them reaches each by its own
//! link, whichever has the default route.

use ipnet::IpNet;
use poplin_node::request::Attached;

use crate::docker::driver::{Driver, Outcome, attachment, told};
use crate::docker::wire::{network, read};
use crate::serve::Call;

pub(in crate::docker) async fn answer(driver: &Driver, body: &[u8]) -> Outcome {
    let request: network::Named = read(body)?;
    let id = attachment(&request.endpoint_id);
    let known = driver.desk.ask(|answer| Call::Check(id, answer)).await.map_err(|failure| failure.message)?;
    let (attached, _) = known.ok_or_else(|| format!("endpoint {} is not known here", request.endpoint_id))?;
    told(&furniture(&attached))
}

fn furniture(attached: &Attached) -> network::Joined {
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
    let src_name = attached.waiting.clone().unwrap_or_default();
    network::Joined {
        interface_name: network::InterfaceName { src_name, dst_prefix: "eth".to_owned() },
        gateway: gateway(false).map(ToString::to_string).unwrap_or_default(),
        gateway_ipv6: gateway(true).map(ToString::to_string).unwrap_or_default(),
        static_routes: connected.chain(routed).collect(),
        disable_gateway_service: true,
    }
}
