//! What a rule may have wrong about named ports.

use super::{Code, Finding, Severity, Sight};
use crate::model::{PortMatch, PortProtocol};
use crate::world::World;

pub(super) fn form(world: &World, sight: &Sight<'_>) -> Vec<Finding> {
    let rule = sight.rule;
    let named = rule.all_ports().filter_map(|port| match port {
        PortMatch::Named { protocol, name } => Some((*protocol, name.as_str())),
        PortMatch::Ports { .. } | PortMatch::Icmp { .. } | PortMatch::Protocol(_) => None,
    });
    named.filter_map(|(protocol, name)| unseen(world, sight, protocol, name)).collect()
}

fn unseen(world: &World, sight: &Sight<'_>, protocol: PortProtocol, name: &str) -> Option<Finding> {
    let looks_like_a_range = !name.is_empty() && name.bytes().all(|octet| octet.is_ascii_digit() || octet == b'-');
    if looks_like_a_range {
        let message = format!("{name:?} is a name of a port here, not numbers");
        let advice = format!("write {protocol}/{name}; in a Calico policy {}", name.replace('-', ":"));
        return Some(sight.place().finding(Severity::Error, Code::UnseenPort, message, advice));
    }
    let of_endpoints = || world.endpoints.values().flat_map(|endpoint| &endpoint.ports);
    let ports = || of_endpoints().chain(world.host_ports.values().flatten());
    let has = ports().any(|port| port.protocol == protocol && port.name == name);
    (!has && !world.endpoints.is_empty()).then(|| {
        let message = format!(
            "no endpoint or host endpoint has a port {name} of {protocol}, so {protocol}/{name} fits no packet"
        );
        let same_name = ports().find(|port| port.name == name).map(|port| port.protocol.to_string());
        let advice = match (same_name, crate::spelling::nearest(name, ports().map(|port| port.name.as_str()))) {
            (Some(other), _) => format!("did you mean {other}/{name}?"),
            (None, Some(near)) => format!("did you mean {protocol}/{near}?"),
            (None, None) => "name the port on its endpoints, or give its number".to_owned(),
        };
        sight.place().finding(Severity::Warning, Code::UnseenPort, message, advice)
    })
}
