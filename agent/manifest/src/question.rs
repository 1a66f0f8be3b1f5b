//! Questions whether one may open a conversation with another, as people and programs ask them.
//!
//! In: names or addresses, and traffic such as `tcp/5432`. Out: one packet that stands for it, and the story of its verdict in the form of the
//! wire contract, asked of a whole world: the agent's, or one of files.

use std::net::IpAddr;

use poplin_policy::explain::{Account, Step, explain};
use poplin_policy::model::{IcmpMatch, IcmpVersion, PortMatch};
use poplin_policy::packet::{Packet, Transport};
use poplin_policy::verdict::{By, RuleName};
use poplin_policy::world::World;
use poplin_proto::v1::{DirectionTrace, ExplainRequest, ExplainResponse, SkippedRule};
use poplin_proto::{Failure, nearest};
use tonic::Code;

/// First of the dynamic ports (RFC 6335 §6): where a source port stands that nobody named.
const ANY_SOURCE_PORT: u16 = 49152;

/// Tells the whole story of the packet that is asked about.
pub fn answer(world: &World, request: &ExplainRequest) -> Result<ExplainResponse, Failure> {
    Ok(story(world, &packet(world, request)?))
}

/// Tells the whole story of a packet.
pub fn story(world: &World, packet: &Packet) -> ExplainResponse {
    let explanation = explain(world, packet);
    let directions = [("egress", &explanation.egress), ("ingress", &explanation.ingress)];
    let traces = directions.into_iter().filter_map(|(direction, account)| Some(trace(direction, account.as_ref()?)));
    ExplainResponse {
        allowed: explanation.allowed,
        directions: traces.collect(),
        source_address: packet.source.to_string(),
        destination_address: packet.destination.to_string(),
        chains: Vec::new(),
        notes: Vec::new(),
    }
}

/// One packet of the traffic asked about.
pub fn packet(world: &World, request: &ExplainRequest) -> Result<Packet, Failure> {
    let (source, destination) = ends(world, request)?;
    let transport = transport(&request.traffic, request.source_port, source)?;
    Ok(Packet { source, destination, transport })
}

/// The addresses of both ends, of one family: IPv4 where both have it.
fn ends(world: &World, request: &ExplainRequest) -> Result<(IpAddr, IpAddr), Failure> {
    let sources = addresses(world, "source", &request.source)?;
    let destinations = addresses(world, "destination", &request.destination)?;
    let pair = |is_v6: bool| {
        let of_family = |addresses: &[IpAddr]| addresses.iter().find(|address| address.is_ipv6() == is_v6).copied();
        of_family(&sources).zip(of_family(&destinations))
    };
    let is_icmp6 = request.traffic.starts_with("icmp6");
    let found = if is_icmp6 { pair(true) } else { pair(false).or_else(|| pair(true)) };
    found.ok_or_else(|| {
        let message = format!("{} and {} have no address family in common", request.source, request.destination);
        Failure::new(Code::InvalidArgument, "NO_COMMON_FAMILY", message).field("destination")
    })
}

fn addresses(world: &World, field: &str, text: &str) -> Result<Vec<IpAddr>, Failure> {
    if let Ok(address) = text.parse() {
        return Ok(vec![address]);
    }
    let found = world.endpoints.get(text).ok_or_else(|| {
        let failure =
            Failure::new(Code::NotFound, "NOT_FOUND", format!("{text:?} is no endpoint and no address")).field(field);
        match nearest(text, world.endpoints.keys().map(String::as_str)) {
            Some(near) => failure.advice(format!("did you mean {near}?")),
            None => failure.advice("see `poplin get endpoints`"),
        }
    })?;
    Ok(found.addresses.clone())
}

/// One packet of the traffic asked about. Ports and messages left open stand for the first of their range.
fn transport(traffic: &str, source_port: u32, source: IpAddr) -> Result<Transport, Failure> {
    let port = u16::try_from(source_port).map_err(|_| bad("source_port", format!("{source_port} is above 65535")))?;
    let transport = match parsed_traffic(traffic)? {
        PortMatch::Ports { protocol, range } => Transport::Ports {
            protocol: protocol.number(),
            source: if port == 0 { ANY_SOURCE_PORT } else { port },
            destination: *range.start(),
        },
        PortMatch::Named { .. } => return Err(named(traffic)),
        PortMatch::Icmp { version, message } => {
            let echo = match version {
                IcmpVersion::V4 => 8,
                IcmpVersion::V6 => 128,
            };
            let (kind, code) = match message {
                IcmpMatch::Any => (echo, 0),
                IcmpMatch::Type(kind) => (kind, 0),
                IcmpMatch::TypeAndCode(kind, code) => (kind, code),
            };
            Transport::Icmp { protocol: version.protocol(), kind, code }
        }
        PortMatch::Protocol(number) => Transport::Other(number),
    };
    match transport {
        Transport::Icmp { protocol: 1, .. } if source.is_ipv6() => {
            Err(bad("traffic", "icmp is IPv4's, and the two ends have only IPv6 in common: ask for icmp6".to_owned()))
        }
        other => Ok(other),
    }
}

/// What traffic is asked about.
pub fn parsed_traffic(text: &str) -> Result<PortMatch, Failure> {
    match text.parse() {
        Ok(PortMatch::Named { .. }) => Err(named(text)),
        Ok(traffic) => Ok(traffic),
        Err(error) => Err(bad("traffic", format!("{text:?}: {error}"))),
    }
}

fn named(traffic: &str) -> Failure {
    bad("traffic", format!("{traffic:?}: give the port's number, names are an endpoint's own"))
}

fn bad(field: &str, message: String) -> Failure {
    Failure::new(Code::InvalidArgument, "BAD_TRAFFIC", message)
        .field(field)
        .advice("traffic looks like tcp/5432, udp/53, icmp/8, proto/47")
}

/// Tier, policy and rule that decided; empty where none did.
pub fn decider(by: &By) -> (String, String, String) {
    match by {
        By::Rule(name) => (name.tier.clone(), name.policy.to_string(), name.rule.clone()),
        By::EndOfTier { tier } => (tier.clone(), String::new(), String::new()),
        By::Itself | By::Ungoverned | By::EndOfTiers => Default::default(),
    }
}

fn trace(direction: &str, account: &Account) -> DirectionTrace {
    let (tier, policy, rule) = decider(&account.ruling.by);
    DirectionTrace {
        direction: direction.to_owned(),
        endpoint: account.ruling.endpoint.clone(),
        allowed: account.ruling.allowed,
        reason: account.ruling.to_string(),
        tier,
        policy,
        rule,
        skipped: account.steps.iter().map(skipped).collect(),
        interface: String::new(),
    }
}

/// A rule that was looked at and did not decide.
pub fn skipped(step: &Step) -> SkippedRule {
    let of = |rule: &RuleName, reason: &str| SkippedRule {
        tier: rule.tier.clone(),
        policy: rule.policy.to_string(),
        rule: rule.rule.clone(),
        reason: reason.to_owned(),
    };
    match step {
        Step::Skipped { rule, because } => of(rule, &because.to_string()),
        Step::Logged { rule } => of(rule, "logs and goes on"),
        Step::Passed { rule } => of(rule, "passes to the next tier"),
        Step::TierPassed { tier } => {
            SkippedRule { tier: tier.clone(), reason: "passes to the next tier".to_owned(), ..SkippedRule::default() }
        }
    }
}
