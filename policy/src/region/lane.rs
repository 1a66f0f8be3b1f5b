//! What a host endpoint lets go on in a lane, for all traffic between two classes at once.
//!
//! In: what governs it, and what both ends satisfy. Out: disjoint shares of all traffic, each with what becomes of it. Every rule takes its
//! share of what those before it left, as [`host_verdict`](crate::gate::host_verdict) does packet by packet.

use std::collections::{BTreeSet, HashMap};

use super::demand::{Names, demanded};
use super::traffic::Traffic;
use super::view::Side;
use crate::gate::{Lane, governing, open_ports};
use crate::host::Failsafe;
use crate::label::Labels;
use crate::model::{Action, DefaultAction, Hosts, IpVersion, Peers, Policy, PortMatch, PortProtocol, PortSide, Rule};
use crate::world::{Rank, World};

/// Where each demand of rules for hosts stands among those the caller asks of every class; of equal ones the last.
pub(crate) type Places<'p> = HashMap<&'p Peers, usize>;

/// The rules of a world that speak to host endpoints.
pub(crate) fn spoken(world: &World) -> impl Iterator<Item = &Rule> {
    let policies = world.policies.values().filter(|policy| policy.hosts != Hosts::Never);
    policies.flat_map(|policy| policy.ingress.iter().chain(&policy.egress).flatten())
}

/// What they ask of both ends.
pub(crate) fn demands(rule: &Rule) -> [&Peers; 2] {
    [&rule.source, &rule.destination]
}

/// What governs a host endpoint in a lane; nothing if it is not there, and lets everything go on.
#[derive(Debug)]
pub(crate) struct Guard<'w> {
    lane: Lane,
    ranks: Option<Vec<Rank<'w>>>,
}

/// Traffic of which the same becomes.
#[derive(Clone, Debug)]
pub(crate) struct Share<'w> {
    pub(crate) traffic: Traffic,
    pub(crate) allowed: bool,
    /// Whether no later lane asks.
    pub(crate) is_settled: bool,
    /// Whose word it is, if a rule's.
    pub(crate) by: Option<(&'w Policy, &'w Rule)>,
}

impl<'w> Guard<'w> {
    pub(crate) fn of(world: &'w World, labels: Option<&'w Labels>, lane: Lane) -> Self {
        Self { lane, ranks: labels.map(|labels| governing(world, labels, lane).collect()) }
    }

    /// All traffic between two classes.
    pub(crate) fn shares(&self, sides: [&Side; 2], family: IpVersion, places: &Places<'_>) -> Vec<Share<'w>> {
        let open = |traffic, allowed| Share { traffic, allowed, is_settled: false, by: None };
        let Some(ranks) = &self.ranks else { return vec![open(Traffic::all(), true)] };
        let names = Names { source: &sides[0].ports, destination: &sides[1].ports };
        let (mut left, mut shares) = (Traffic::all(), Vec::new());
        for rank in ranks {
            let mut passed = Traffic::none();
            for (policy, rule) in self.rules(rank) {
                if rule.action == Action::Log || !fits(rule, sides, family, places) {
                    continue;
                }
                let hit = left.and(&demanded(rule, family, names));
                left = left.without(&hit);
                match rule.action {
                    Action::Pass | Action::Log => passed = passed.or(&hit),
                    Action::Allow | Action::Deny => shares.push(self.ruled(hit, policy, rule)),
                }
            }
            match rank.tier.default_action {
                DefaultAction::Deny => shares.push(open(std::mem::replace(&mut left, passed), false)),
                DefaultAction::Pass => left = passed.or(&left),
            }
        }
        shares.push(open(left, !self.lane.is_closed()));
        shares.retain(|share| !share.traffic.is_empty());
        shares
    }

    /// What a tier's policies ask, in order.
    fn rules(&self, rank: &Rank<'w>) -> Vec<(&'w Policy, &'w Rule)> {
        let of_policy = |policy: &'w Policy| {
            let rules: &'w [Rule] = self.lane.rules(policy).unwrap_or_default();
            rules.iter().map(move |rule| (policy, rule))
        };
        rank.policies.iter().copied().flat_map(of_policy).collect()
    }

    fn ruled(&self, traffic: Traffic, policy: &'w Policy, rule: &'w Rule) -> Share<'w> {
        let allowed = rule.action == Action::Allow;
        Share { traffic, allowed, is_settled: allowed && self.lane.settles(), by: Some((policy, rule)) }
    }
}

fn fits(rule: &Rule, [source, destination]: [&Side; 2], family: IpVersion, places: &Places<'_>) -> bool {
    source.extra.contains(places[&*rule.source])
        && destination.extra.contains(places[&*rule.destination])
        && rule.ip_version.is_none_or(|wanted| wanted == family)
}

/// What the failsafe ports let go on in a lane, whatever its rules say.
pub(crate) fn kept_open(failsafe: &Failsafe, lane: Lane, family: IpVersion) -> Traffic {
    let of_side = |(side, ports): (PortSide, &BTreeSet<(PortProtocol, u16)>)| {
        let ports: Vec<PortMatch> = ports
            .iter()
            .map(|(protocol, port)| PortMatch::Ports { protocol: *protocol, range: *port..=*port })
            .collect();
        let any = Rule::any("", Action::Allow);
        match side {
            _ if ports.is_empty() => Traffic::none(),
            PortSide::Destination => demanded(&Rule { ports, ..any }, family, Names::default()),
            PortSide::Source => demanded(&Rule { source_ports: ports.into(), ..any }, family, Names::default()),
        }
    };
    let sides = open_ports(failsafe, lane).into_iter().map(of_side);
    sides.fold(Traffic::none(), |all, part| all.or(&part))
}
