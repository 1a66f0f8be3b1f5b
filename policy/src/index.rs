//! Verdicts and explanations for many packets of one world.
//!
//! In: a world, once. Out: for each packet what `verdict` and `explain` say of it. Whose an address is, which rules it fits and what
//! governs it is found out beforehand, for each class of addresses once; a packet then costs two look-ups and the ports of
//! the rules that fit both ends. Random worlds hold it to the plain definitions.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::OnceLock;

use crate::explain::{Account, Explanation, account};
use crate::matching::{Flow, ports_fit};
use crate::model::{Action, DefaultAction, Direction, Endpoint, IpVersion};
use crate::packet::Packet;
use crate::region::{Atlas, Book, Governed, Side, side_of};
use crate::verdict::{By, Decision, Ruling};
use crate::world::{End, Rank, World};

/// A world, prepared for many questions. Building it costs as much as some thousand plain verdicts.
#[derive(Debug)]
pub struct Index<'w> {
    atlas: Atlas<'w>,
    owners: HashMap<IpAddr, (&'w str, &'w Endpoint)>,
    /// For each kind of endpoint and direction, the tiers and policies that govern it; found out when first asked for.
    governing: Vec<[OnceLock<Vec<Rank<'w>>>; 2]>,
}

impl<'w> Index<'w> {
    /// Prepares a world.
    pub fn of(world: &'w World) -> Self {
        let atlas = Atlas::of(&[world]);
        let mut owners = HashMap::new();
        for (name, endpoint) in &world.endpoints {
            for address in &endpoint.addresses {
                owners.entry(*address).or_insert((name.as_str(), endpoint));
            }
        }
        let governing = atlas.books[0].kinds.iter().map(|_| Default::default()).collect();
        Self { atlas, owners, governing }
    }

    /// An address, and the endpoint it belongs to.
    pub fn end(&self, address: IpAddr) -> End<'w> {
        self.world().end_of(address, self.owners.get(&address).copied())
    }

    /// The same as [`verdict`](crate::verdict::verdict).
    pub fn verdict(&self, packet: &Packet) -> Decision {
        let flow = self.flow(packet);
        let (source, destination) = (flow.source.endpoint, flow.destination.endpoint);
        let is_itself = source.is_some() && source.map(|(name, _)| name) == destination.map(|(name, _)| name);
        let ruling = |direction, end: Option<(&str, &Endpoint)>| {
            let (name, _) = end?;
            match is_itself {
                true => Some(Ruling { endpoint: name.to_owned(), allowed: true, by: By::Itself }),
                false => self.ruling(name, direction, &flow),
            }
        };
        let (egress, ingress) = (ruling(Direction::Egress, source), ruling(Direction::Ingress, destination));
        let allowed = [&egress, &ingress].into_iter().flatten().all(|ruling| ruling.allowed);
        Decision { allowed, egress, ingress }
    }

    /// The same as [`explain`](crate::explain::explain).
    pub fn explain(&self, packet: &Packet) -> Explanation {
        let Decision { allowed, egress, ingress } = self.verdict(packet);
        let flow = self.flow(packet);
        let tell = |direction, ruling: Ruling| match ruling.by {
            By::Itself => Account { steps: Vec::new(), ruling },
            _ => account(self.world(), &ruling.endpoint, direction, flow, self.governing(&ruling.endpoint, direction)),
        };
        Explanation {
            packet: *packet,
            allowed,
            egress: egress.map(|ruling| tell(Direction::Egress, ruling)),
            ingress: ingress.map(|ruling| tell(Direction::Ingress, ruling)),
        }
    }

    fn world(&self) -> &'w World {
        self.book().world
    }

    fn book(&self) -> &Book<'w> {
        &self.atlas.books[0]
    }

    fn flow<'p>(&'p self, packet: &'p Packet) -> Flow<'p> {
        Flow { packet, source: self.end(packet.source), destination: self.end(packet.destination) }
    }

    fn side(&self, address: IpAddr) -> Option<&Side> {
        let chart = self.atlas.chart(IpVersion::of(address));
        Some(&chart.classes[chart.class_of(address)?].sides[0])
    }

    fn ruling(&self, name: &str, direction: Direction, flow: &Flow<'_>) -> Option<Ruling> {
        let (own, peer) = match direction {
            Direction::Egress => (flow.packet.source, flow.packet.destination),
            Direction::Ingress => (flow.packet.destination, flow.packet.source),
        };
        let governed = &self.side(own)?.own.as_ref()?[side_of(direction)];
        let peer = &self.side(peer)?.peer[side_of(direction)];
        let fitting = governed.entries.both(peer);
        let (allowed, by) = self.decided(direction, governed, fitting, flow);
        Some(Ruling { endpoint: name.to_owned(), allowed, by })
    }

    /// Walks the tiers with the rules that fit both ends, which come in the order they are asked.
    fn decided(
        &self,
        direction: Direction,
        governed: &Governed,
        fitting: impl Iterator<Item = usize>,
        flow: &Flow<'_>,
    ) -> (bool, By) {
        let entries = self.book().entries(direction);
        let mut fitting = fitting.filter(|place| ports_fit(entries[*place].rule, flow)).peekable();
        let mut last = By::Ungoverned;
        for rank in governed.ranks.iter() {
            last = By::EndOfTiers;
            while fitting.next_if(|place| entries[*place].rank < rank).is_some() {}
            let tier = &self.book().ranks[rank].tier;
            match fitting.next_if(|place| entries[*place].rank == rank).map(|place| &entries[place]) {
                Some(entry) if entry.rule.action == Action::Pass => {}
                Some(entry) => return (entry.rule.action == Action::Allow, By::Rule(entry.name())),
                None if tier.default_action == DefaultAction::Deny => {
                    return (false, By::EndOfTier { tier: tier.name.clone() });
                }
                None => {}
            }
        }
        (true, last)
    }

    /// The tiers and policies that govern an endpoint in a direction.
    fn governing(&self, endpoint: &str, direction: Direction) -> &[Rank<'w>] {
        let Some(kind) = self.book().kind_of(endpoint) else { return &[] };
        self.governing[kind][side_of(direction)].get_or_init(|| self.book().governing(kind, direction))
    }
}
