//! What an endpoint's packets meet in one direction, or a host endpoint's in one lane: its governing policies, tier by tier.
//!
//! In: an endpoint, or a lane, and the policies that govern it. Out: clauses in order, a name, and the chain that asks them. A path is named by
//! the policies it asks and by how the endpoint answers what they ask of itself, not by their rules: endpoints of equal paths share
//! one, and an edited rule renames nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::clause::{Clause, Own};
use super::draw::piece_places;
use super::front::{Front, Start};
use super::list::{Act, Settled};
use super::node::Drawing;
use super::traffic::{Cutter, Pieces};
use crate::gate::{Lane, Traveller};
use crate::matching::peers_fit;
use crate::model::{
    Action, DefaultAction, Direction, Endpoint, IpVersion, Mode, NamedPort, Order, Policy, PortMatch, PortSide,
    QualifiedName, Rule, Tier,
};
use crate::ruleset::Name;
use crate::verdict::RuleName;
use crate::world::{End, World};

/// A tier and its governing policies, in order.
struct Stop<'w> {
    tier: Tier,
    policies: Vec<&'w Policy>,
}

/// The policies that govern an endpoint in a direction, and the endpoint.
pub(super) struct Path<'w> {
    traveller: Traveller,
    stops: Vec<Stop<'w>>,
    /// How the endpoint answers the rules that ask something of itself.
    owns: BTreeMap<(QualifiedName, usize), Own>,
}

impl<'w> Path<'w> {
    /// Sorts governing policies into their tiers. Policies that are off, or do not govern the direction, are left out.
    pub(super) fn new(
        world: &'w World,
        direction: Direction,
        endpoint: &Endpoint,
        governing: impl Iterator<Item = &'w Policy>,
    ) -> Self {
        let traveller = Traveller::Workload(direction);
        let stops = stops(world, traveller, governing);
        let mut owns = BTreeMap::new();
        for policy in stops.iter().flat_map(|stop| &stop.policies) {
            for (index, rule) in policy.rules(direction).unwrap_or_default().iter().enumerate() {
                if asks_of_itself(rule, direction) {
                    owns.insert((policy.name.clone(), index), own(world, rule, direction, endpoint));
                }
            }
        }
        Self { traveller, stops, owns }
    }

    /// The same for what passes a host's own interface. Nothing is known of its ends.
    pub(super) fn through_host(world: &'w World, lane: Lane, governing: impl Iterator<Item = &'w Policy>) -> Self {
        let traveller = Traveller::Host(lane);
        Self { traveller, stops: stops(world, traveller, governing), owns: BTreeMap::new() }
    }

    /// Whether a rule may say that no later lane of the host endpoint asks.
    pub(super) fn may_spare(&self) -> bool {
        let is_asked = |policy: &&&Policy| policy.mode == Mode::Enforce;
        let mut asked = self.stops.iter().flat_map(|stop| &stop.policies).filter(is_asked);
        let allows = |policy: &Policy| {
            let rules = self.traveller.rules(policy).unwrap_or_default();
            rules.iter().any(|rule| rule.action == Action::Allow)
        };
        matches!(self.traveller, Traveller::Host(Lane::PreDnat)) && asked.any(|policy| allows(policy))
    }

    /// Whether there is nothing to ask, and all may pass.
    pub(super) fn is_open(&self) -> bool {
        let is_closed = matches!(self.traveller, Traveller::Host(lane) if lane.is_closed());
        self.stops.is_empty() && !is_closed
    }

    /// The first chain's name.
    pub(super) fn name(&self) -> Name {
        let kind = match self.traveller {
            Traveller::Workload(direction) => direction.to_string(),
            Traveller::Host(lane) => lane.to_string(),
        };
        if self.stops.is_empty() {
            return Name::new(format!("{kind}-{}", if self.is_open() { "open" } else { "closed" }));
        }
        let stops: Vec<_> = self
            .stops
            .iter()
            .map(|stop| (&stop.tier.name, stop.policies.iter().map(|policy| (&policy.name, policy.mode)).collect()))
            .collect::<Vec<(_, Vec<_>)>>();
        Drawing::name(&kind, &(stops, &self.owns))
    }

    /// The policies it asks.
    pub(super) fn policies(&self) -> BTreeSet<QualifiedName> {
        self.stops.iter().flat_map(|stop| &stop.policies).map(|policy| policy.name.clone()).collect()
    }

    /// Whether what others call their ports matters to it.
    pub(super) fn asks_for_names(&self) -> bool {
        let policies = self.stops.iter().flat_map(|stop| &stop.policies);
        let mut rules = policies.flat_map(|policy| self.traveller.rules(policy).unwrap_or_default());
        rules.any(|rule| {
            let sides = [(PortSide::Source, &rule.source_ports), (PortSide::Destination, &rule.ports)];
            let excluded = [(PortSide::Source, &rule.not_source_ports), (PortSide::Destination, &rule.not_ports)];
            let of_others = |side| match self.traveller {
                Traveller::Workload(direction) => (side == PortSide::Source) == (direction == Direction::Ingress),
                Traveller::Host(_) => true,
            };
            let mut named = sides.into_iter().chain(excluded).filter(|(side, _)| of_others(*side));
            named.any(|(_, ports)| ports.iter().any(|port| matches!(port, PortMatch::Named { .. })))
        })
    }

    /// Draws where it begins and all it leads to.
    pub(super) fn draw(&self, name: &Name, known: &[NamedPort], drawing: &mut Drawing<'_>) -> Start {
        let direction = self.traveller.direction();
        let front = Front::new(direction, &self.families(&self.clauses(false), known), drawing);
        match self.traveller {
            _ if self.is_staged() => {
                let shadow = self.draw_shadow(known, drawing);
                front.chain(name, Some(&shadow), drawing)
            }
            Traveller::Workload(_) => front.bare(name, drawing),
            Traveller::Host(_) => front.chain(name, None, drawing),
        }
    }

    /// The chain that counts what staged policies would do.
    fn draw_shadow(&self, known: &[NamedPort], drawing: &mut Drawing<'_>) -> Name {
        let families = self.families(&self.clauses(true), known);
        let places: Vec<_> = families.iter().flat_map(Pieces::all).map(|piece| piece_places(&piece, drawing)).collect();
        let shadow = Drawing::name("shadow", &(&families, places));
        let front = Front::new(self.traveller.direction(), &families, drawing);
        drawing.draw(shadow.clone(), |drawing| front.chain(&shadow, None, drawing).blueprint);
        shadow
    }

    fn families(&self, clauses: &[Clause<'_>], known: &[NamedPort]) -> [Pieces; 2] {
        let cutter = Cutter { direction: self.traveller.direction(), clauses, known };
        IpVersion::BOTH.map(|family| cutter.cut(family))
    }

    fn is_staged(&self) -> bool {
        self.stops.iter().flat_map(|stop| &stop.policies).any(|policy| policy.mode == Mode::Stage)
    }

    /// What is asked, in order; for the shadow, staged policies ask too and only they settle anything.
    fn clauses(&self, is_shadow: bool) -> Vec<Clause<'w>> {
        let asks = |policy: &Policy| policy.mode == Mode::Enforce || is_shadow;
        let mut clauses = Vec::new();
        for (number, stop) in self.stops.iter().enumerate() {
            let policies: Vec<&'w Policy> = stop.policies.iter().copied().filter(|policy| asks(policy)).collect();
            let is_enforced = policies.iter().any(|policy| policy.mode == Mode::Enforce);
            for policy in &policies {
                let rules = self.traveller.rules(policy).unwrap_or_default().iter().enumerate();
                clauses.extend(rules.filter_map(|(index, rule)| self.clause(policy, index, rule, number, is_shadow)));
            }
            let has_end = match self.traveller {
                Traveller::Workload(_) => true,
                Traveller::Host(lane) => lane.has_tier_ends(),
            };
            if !policies.is_empty() && has_end && stop.tier.default_action == DefaultAction::Deny {
                let end = Settled::EndOfTier { tier: stop.tier.name.as_str().into() };
                let settled = match (is_shadow, is_enforced) {
                    (false, _) => end,
                    (true, true) => Settled::Open,
                    (true, false) => Settled::Staged(Box::new(end)),
                };
                clauses.push(Clause::certain(self.traveller.direction(), Act::Settle(settled), number));
            }
        }
        if !is_shadow && matches!(self.traveller, Traveller::Host(lane) if lane.is_closed()) {
            clauses.push(Clause::certain(self.traveller.direction(), Act::Settle(Settled::Closed), self.stops.len()));
        }
        clauses
    }

    fn clause(
        &self,
        policy: &'w Policy,
        index: usize,
        rule: &'w Rule,
        tier: usize,
        is_shadow: bool,
    ) -> Option<Clause<'w>> {
        let name = Arc::new(RuleName::of(policy, &rule.name));
        let settle = |allowed| {
            let settled = Settled::Rule { name: name.clone(), allowed, log: rule.log && !is_shadow };
            let settled = if is_shadow { settled } else { self.beyond_lane(settled) };
            Act::Settle(match (is_shadow, policy.mode) {
                (false, _) => settled,
                (true, Mode::Stage) => Settled::Staged(Box::new(settled)),
                (true, Mode::Enforce | Mode::Off) => Settled::Open,
            })
        };
        let act = match rule.action {
            Action::Allow => settle(true),
            Action::Deny => settle(false),
            Action::Pass => Act::Pass,
            Action::Log if is_shadow => return None,
            Action::Log => Act::Log(name.clone()),
        };
        let direction = self.traveller.direction();
        let own = match self.traveller {
            Traveller::Workload(_) => {
                let always = Own { fits: [true; 2], ports: Vec::new() };
                Some(self.owns.get(&(policy.name.clone(), index)).cloned().unwrap_or(always))
            }
            Traveller::Host(_) => None,
        };
        Some(Clause::of(rule, direction, own, act, tier))
    }

    /// What a rule's word means beyond its lane.
    fn beyond_lane(&self, settled: Settled) -> Settled {
        match self.traveller {
            Traveller::Host(Lane::UntrackedIn | Lane::UntrackedOut) => Settled::Untracked(Box::new(settled)),
            Traveller::Host(Lane::PreDnat) => Settled::Spared(Box::new(settled)),
            Traveller::Host(Lane::Input | Lane::Output | Lane::ForwardIn | Lane::ForwardOut)
            | Traveller::Workload(_) => settled,
        }
    }
}

/// Sorts governing policies into their tiers. Policies that are off, or do not govern the traveller, are left out.
fn stops<'w>(world: &World, traveller: Traveller, governing: impl Iterator<Item = &'w Policy>) -> Vec<Stop<'w>> {
    let counts = |policy: &&Policy| policy.mode != Mode::Off && traveller.rules(policy).is_some();
    let mut tiers: BTreeMap<&str, Vec<&Policy>> = BTreeMap::new();
    for policy in governing.filter(counts) {
        tiers.entry(&policy.tier).or_default().push(policy);
    }
    let stops = tiers.into_iter().map(|(tier, policies)| Stop { tier: world.tier(tier).into_owned(), policies });
    let mut stops: Vec<Stop<'_>> = stops.collect();
    stops.sort_by(|left, right| standing(&left.tier).cmp(&standing(&right.tier)));
    for stop in &mut stops {
        stop.policies.sort_by_key(|policy| Order::standing(policy.order, &policy.name));
    }
    stops
}

fn standing(tier: &Tier) -> (bool, Option<Order>, &String) {
    Order::standing(tier.order, &tier.name)
}

fn asks_of_itself(rule: &Rule, direction: Direction) -> bool {
    !rule.own(direction).is_anybody() || own_ports(rule, direction).next().is_some()
}

/// The names a rule uses for ports of the governed endpoint.
fn own_ports(rule: &Rule, direction: Direction) -> impl Iterator<Item = (&String, crate::model::PortProtocol)> {
    let (wanted, excluded) = match direction {
        Direction::Ingress => (&rule.ports, &rule.not_ports),
        Direction::Egress => (&rule.source_ports, &rule.not_source_ports),
    };
    wanted.iter().chain(excluded).filter_map(|port| match port {
        PortMatch::Named { protocol, name } => Some((name, *protocol)),
        PortMatch::Ports { .. } | PortMatch::Icmp { .. } | PortMatch::Protocol(_) => None,
    })
}

fn own(world: &World, rule: &Rule, direction: Direction, endpoint: &Endpoint) -> Own {
    let own = rule.own(direction);
    let fits = |family| {
        let mut addresses = endpoint.addresses.iter().filter(|address| IpVersion::of(**address) == family);
        let fits = |address: &IpAddr| peers_fit(world, own, End { address: *address, endpoint: Some(("", endpoint)) });
        own.is_anybody() || addresses.any(fits)
    };
    let is_asked = |port: &&NamedPort| own_ports(rule, direction).any(|asked| asked == (&port.name, port.protocol));
    Own { fits: IpVersion::BOTH.map(fits), ports: endpoint.ports.iter().filter(is_asked).cloned().collect() }
}
