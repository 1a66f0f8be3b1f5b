//! The routes the neighbours offer, as they are shown.
//!
//! In: a question, and what the head has heard. Out: messages of the contract.

use ipnet::IpNet;
use poplin_bgp::Route;
use poplin_node::status::Heard;
use poplin_proto::Failure;
use poplin_proto::v1::{ListRoutesRequest, ListRoutesResponse, RouteStatus};
use tonic::Code;

/// The prefix asked for, if one is.
pub(super) fn prefix(request: &ListRoutesRequest) -> Result<Option<IpNet>, Failure> {
    match request.prefix.as_str() {
        "" => Ok(None),
        text => text.parse().map(|prefix: IpNet| Some(prefix.trunc())).map_err(|_| {
            Failure::new(Code::InvalidArgument, "BAD_PREFIX", format!("{text:?} is not a prefix"))
                .field("prefix")
                .advice("write a prefix such as 10.77.0.0/26")
        }),
    }
}

/// Those of one neighbour, by address or name, or of all.
pub(super) fn response(heard: Vec<Heard>, neighbour: &str) -> ListRoutesResponse {
    let is_asked =
        |one: &Heard| neighbour.is_empty() || one.name == neighbour || one.route.neighbour.to_string() == neighbour;
    ListRoutesResponse { routes: heard.into_iter().filter(is_asked).map(route).collect() }
}

fn route(heard: Heard) -> RouteStatus {
    let Heard { name, route, reason } = heard;
    let said = &route.attributes;
    RouteStatus {
        prefix: route.prefix.to_string(),
        neighbour: route.neighbour.to_string(),
        name,
        next_hop: route.next_hop.to_string(),
        as_path: said.path.to_string(),
        origin: said.origin.to_string(),
        local_pref: said.local_pref,
        med: said.med,
        communities: said.all_communities().map(|community| community.to_string()).collect(),
        originator: said.originator.map(|originator| originator.to_string()).unwrap_or_default(),
        clusters: said.clusters.iter().map(ToString::to_string).collect(),
        state: state(&route).to_owned(),
        reason: reason.unwrap_or_default(),
        stale: route.stale,
    }
}

fn state(route: &Route) -> &'static str {
    match (route.best, route.used, route.admitted) {
        (true, _, _) => "best",
        (false, true, _) => "used",
        (false, false, true) => "unused",
        (false, false, false) => "rejected",
    }
}
