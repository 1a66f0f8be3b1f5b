//! Questions whether one may open a conversation with another, as people and programs ask them.
//!
//! In: names or addresses, and traffic such as `tcp/5432`. Out: one packet that stands for it, and the story of its verdict in the form of the
//! wire contract, asked of a whole world: the agent's, or one of files.

use std::net::IpAddr;

use poplin_policy::explain::{Account, Step, explain};
use poplin_policy::model::{IcmpMatch, IcmpVersion, PortMatch};
use poplin_policy::packet::{ICMP, ICMP6, Packet, Transport};
use poplin_policy::verdict::{By, RuleName};
use poplin_policy::world::World;
use poplin_proto::v1::{DirectionTrace, ExplainRequest, ExplainResponse, SkippedRule};
use poplin_proto::{Failure, nearest};
use tonic::Code;

/// First of the dynamic ports (RFC 6335 §6): where a source port stands that nobody named.
const ANY_SOURCE_PORT: u16 = 49152;

/// What the endpoints at the ends of a packet say.
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
        unsettled: false,
    }
}

/// One packet of the traffic asked about.
pub fn packet(world: &World, request: &ExplainRequest) -> Result<Packet, Failure> {
    let is_icmp6 = matches!(parsed_traffic(&request.traffic), Ok(PortMatch::Icmp { version: IcmpVersion::V6, .. }));
    let (source, destination) = ends(world, request, is_icmp6)?;
    let transport = transport(&request.traffic, request.source_port, source)?;
    Ok(Packet { source, destination, transport })
}

/// The addresses of both ends, of one family: IPv4 where both have it and the traffic is not IPv6's own.
fn ends(world: &World, request: &ExplainRequest, is_icmp6: bool) -> Result<(IpAddr, IpAddr), Failure> {
    let sources = addresses(world, "source", &request.source)?;
    let destinations = addresses(world, "destination", &request.destination)?;
    let pair = |is_v6: bool| {
        let of_family = |addresses: &[IpAddr]| addresses.iter().find(|address| address.is_ipv6() == is_v6).copied();
        of_family(&sources).zip(of_family(&destinations))
    };
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

/// One packet of the traffic asked about. A message left open is an echo request; a port has to be given, for each may be another answer.
fn transport(traffic: &str, source_port: u32, source: IpAddr) -> Result<Transport, Failure> {
    let port = u16::try_from(source_port).map_err(|_| bad("source_port", format!("{source_port} is above 65535")))?;
    let transport = match parsed_traffic(traffic)? {
        PortMatch::Ports { range, .. } if range.start() != range.end() => return Err(many_ports(traffic)),
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

/// What traffic is asked about. A number alone is a protocol's: 47 is `proto/47`.
pub fn parsed_traffic(text: &str) -> Result<PortMatch, Failure> {
    let is_number = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
    let parsed = if is_number { format!("proto/{text}").parse() } else { text.parse() };
    match parsed {
        Ok(PortMatch::Named { .. }) => Err(named(text)),
        Ok(PortMatch::Protocol(ICMP)) => Ok(PortMatch::Icmp { version: IcmpVersion::V4, message: IcmpMatch::Any }),
        Ok(PortMatch::Protocol(ICMP6)) => Ok(PortMatch::Icmp { version: IcmpVersion::V6, message: IcmpMatch::Any }),
        Ok(traffic) => Ok(traffic),
        Err(error) => Err(bad("traffic", format!("{text:?}: {error}"))),
    }
}

fn named(traffic: &str) -> Failure {
    bad("traffic", format!("{traffic:?}: give the port's number, names are an endpoint's own"))
}

fn many_ports(traffic: &str) -> Failure {
    let protocol = traffic.split_once('/').map_or(traffic, |(protocol, _)| protocol);
    let message = format!("{traffic:?} is many ports, and each may be decided otherwise: one packet has one");
    let advice = format!("write one port, as in {}; `poplin test` judges all at once", example(protocol));
    bad("traffic", message).advice(advice)
}

/// A port of a protocol people would ask about.
fn example(protocol: &str) -> &'static str {
    match protocol {
        "udp" | "17" => "udp/53",
        "sctp" | "132" => "sctp/3868",
        "udplite" | "136" => "udplite/5004",
        _ => "tcp/5432",
    }
}

fn bad(field: &str, message: String) -> Failure {
    Failure::new(Code::InvalidArgument, "BAD_TRAFFIC", message)
        .field(field)
        .advice("traffic looks like tcp/5432, udp/53, icmp/8, or a protocol's number: 47")
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
    let of = |rule: &RuleName, matched, reason: &str| SkippedRule {
        tier: rule.tier.clone(),
        policy: rule.policy.to_string(),
        rule: rule.rule.clone(),
        reason: reason.to_owned(),
        matched,
    };
    match step {
        Step::Skipped { rule, because } => of(rule, false, &because.to_string()),
        Step::Logged { rule } => of(rule, true, "logs and goes on"),
        Step::Passed { rule } => of(rule, true, "passes to the next tier"),
        Step::TierPassed { tier } => {
            let reason = "no rule of it settles, and it passes to the next tier".to_owned();
            SkippedRule { tier: tier.clone(), reason, ..SkippedRule::default() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(traffic: &str) -> Result<Transport, Failure> {
        transport(traffic, 0, IpAddr::from([10, 77, 0, 1]))
    }

    #[test]
    fn a_number_alone_is_a_protocol() {
        assert_eq!(asked("47"), Ok(Transport::Other(47)));
        assert_eq!(asked("proto/47"), Ok(Transport::Other(47)));
        assert_eq!(asked("1"), asked("icmp/8/0"));
        assert_eq!(asked("58"), asked("icmp6/128/0"));
        assert_eq!(asked("256").unwrap_err().message, "\"256\": 256 is above 255");
        assert_eq!(asked("0").unwrap_err().message, "\"0\": 0 is below 1");
    }

    #[test]
    fn a_packet_has_one_port_and_it_has_to_be_said_which() {
        for (traffic, example) in [
            ("tcp", "tcp/5432"),
            ("udp/*", "udp/53"),
            ("udp/53-60", "udp/53"),
            ("6", "tcp/5432"),
            ("136", "udplite/5004"),
        ] {
            let refused = asked(traffic).unwrap_err();
            assert_eq!(
                refused.message,
                format!("{traffic:?} is many ports, and each may be decided otherwise: one packet has one")
            );
            assert!(refused.advice.unwrap().contains(example), "{traffic}");
        }
        assert!(matches!(asked("tcp/53-53"), Ok(Transport::Ports { destination: 53, .. })));
    }
}
