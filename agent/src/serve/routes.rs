//! The routes the neighbours offer, as they are shown.
//!
//! In: a question, and what the head has heard. Out: messages of the contract.

use ipnet::IpNet;
use poplin_bgp::{Advertised, Route, wire::Attributes};
use poplin_node::status::Heard;
use poplin_proto::Failure;
use poplin_proto::v1::{ListRoutesResponse, RouteStatus};
use tonic::{Code, Response};

use super::door::Turn;

/// The prefix asked for, if one is.
pub(super) fn prefix(text: &str) -> Result<Option<IpNet>, Failure> {
    match text {
        "" => Ok(None),
        text => text.parse().map(|prefix: IpNet| Some(prefix.trunc())).map_err(|_| {
            Failure::new(Code::InvalidArgument, "BAD_PREFIX", format!("{text:?} is not a prefix"))
                .field("prefix")
                .advice("write a prefix such as 10.77.0.0/26")
        }),
    }
}

/// An answer that keeps the turn its caller has, if it took one.
pub(super) fn within<T>(turn: Option<Turn>, answer: T) -> Response<T> {
    let mut response = Response::new(answer);
    if let Some(turn) = turn {
        response.extensions_mut().insert(turn);
    }
    response
}

/// Those of one neighbour, by address or name, or of all.
pub(super) fn response(heard: Vec<Heard>, neighbour: &str) -> ListRoutesResponse {
    let is_asked =
        |one: &Heard| neighbour.is_empty() || one.name == neighbour || one.route.neighbour.to_string() == neighbour;
    ListRoutesResponse { routes: heard.into_iter().filter(is_asked).map(route).collect() }
}

fn route(heard: Heard) -> RouteStatus {
    let Heard { name, route, reason } = heard;
    RouteStatus {
        prefix: route.prefix.to_string(),
        neighbour: route.neighbour.to_string(),
        name,
        next_hop: route.next_hop.to_string(),
        state: state(&route).to_owned(),
        reason,
        stale: route.stale,
        path_id: route.path_id,
        ..said(&route.attributes)
    }
}

/// What a neighbour has been told of a prefix.
pub(super) fn advertised((name, told): (String, Advertised)) -> RouteStatus {
    RouteStatus {
        prefix: told.prefix.to_string(),
        neighbour: told.neighbour.to_string(),
        name,
        next_hop: told.next_hop.to_string(),
        path_id: told.path_id,
        ..said(&told.attributes)
    }
}

fn said(said: &Attributes) -> RouteStatus {
    RouteStatus {
        as_path: said.path.to_string(),
        origin: said.origin.to_string(),
        local_pref: said.local_pref,
        med: said.med,
        communities: said.all_communities().map(|community| community.to_string()).collect(),
        originator: said.originator.map(|originator| originator.to_string()).unwrap_or_default(),
        only_to_customer: said.only_to_customer.map(|asn| asn.0),
        clusters: said.clusters.iter().map(ToString::to_string).collect(),
        ..RouteStatus::default()
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
