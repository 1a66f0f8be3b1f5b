//! Turns the world into the rules of one host, and follows the world as it changes.
//!
//! In: what is declared and who is there, one thing at a time, and which endpoints have their interface here. Out: one whole `inet`
//! table, and the changes that lead to it. Knows nothing of netlink. Held to [`verdict`](crate::verdict) by random worlds; whatever
//! road led to a world, the table is the one that a fresh start would make.
//!
//! ```text
//! prerouting ── spoofed? ── drop
//! forward ── established ── accept
//!    ├─ in by ours ── from-workload ── interface → path ── as below, its egress
//!    └─ out by ours ── to-workload ─── interface → path ── as below, its ingress
//! input ── in by ours ── from-workload, as above ── then what workload_to_host says
//! published-in, published-out ── to this host ── protocol . port → a container's address . port (see [`nat`](crate::nat))
//! outgoing ── to the inside ── accept ── source → what its pool asks for (see [`nat`](crate::nat))
//! host-… ── known ── accept, failsafe ports ── accept ── interface → a path of the lane, as above (see [`gate`](crate::gate))
//! …-staged ── before each of these, where policies are staged: the same, and what they would do is counted and nothing done
//!
//! a path: one endpoint's governing policies of all tiers, flattened; a few elements of maps that all paths share
//!    protocol . port . path → questions ──┬─ who4: questions . address → answer
//!                                         │     protocol . port . path . answer → counter, and verdict: return, or goto rule-… (tells, drops)
//!                                         └─ rest-…: address → answer, by where it lies ──→ counter, and verdict
//!    path ── protocol, or none ────────────── list-…: the same look-ups
//! ```
//! A packet pays for these look-ups and not for rules. What changes often costs least: an endpoint that comes, goes or is labelled
//! changes elements of sets and maps only, a policy that changes redraws the paths it stands in. Nobody is asked whom a change cannot
//! concern, and each path is drawn once for all changes that come together (see `follow`).

mod answer;
mod base;
mod both;
mod clause;
mod condition;
mod dispatch;
mod draw;
mod family;
mod few;
mod floating;
mod follow;
mod front;
mod gate;
mod ids;
mod lane;
mod linear;
mod list;
mod local;
mod lookup;
mod mention;
mod name;
mod node;
mod outcome;
mod outgoing;
mod pairs;
mod part;
mod path;
mod paths;
mod places;
mod population;
mod ports;
mod published;
mod question;
mod range;
mod round;
mod sandbox;
mod slab;
mod table;
mod traffic;
mod tunnel;
mod way;
mod who;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use self::dispatch::{no_sources, sources_name};
pub use self::follow::Effort;
use self::follow::{Due, Named};
use self::gate::Gates;
pub use self::lane::HOST_ENDPOINTS;
use self::local::Local;
use self::node::Nodes;
pub use self::node::{Counted, Effect, Form};
use self::outgoing::Border;
use self::paths::Paths;
use self::places::Places;
use self::population::Population;
use self::round::Round;
pub use self::sandbox::{Cut, Sandbox, Touched, in_sandbox};
use self::slab::Id;
use self::table::{Ground, Tables, nobody, who_name};
use crate::delta::Change;
use crate::edit::Edited;
pub use crate::edit::{Mark, Past};
use crate::host::{Host, Settings};
use crate::model::{Direction, Endpoint, IpVersion, NamedPort, QualifiedName};
use crate::ruleset::{Interface, Match, Name, Ruleset};
use crate::verdict::RuleName;
use crate::world::World;

/// Makes the whole table of a host.
pub fn compile(world: &World, host: &Host) -> Ruleset {
    Compiler::of(world, host).into_ruleset()
}

/// The rules of one host, as the world stands.
#[derive(Clone, Debug)]
pub struct Compiler {
    settings: Settings,
    /// What is declared; its endpoints are in the population.
    world: World,
    population: Population,
    places: Places,
    /// The selection of each policy's subject, and the policies of each.
    subjects: BTreeMap<QualifiedName, Id>,
    policies_of: BTreeMap<Id, BTreeSet<QualifiedName>>,
    /// Endpoints of this host: those whose interface is known.
    locals: BTreeMap<String, Local>,
    /// Those of them that are known to the world.
    endpoints: BTreeMap<String, Endpoint>,
    paths: Paths,
    named: Named,
    due: Due,
    effort: Effort,
    gates: Gates,
    border: Border,
    nodes: Nodes,
    tables: Tables,
    /// Every named port of anybody.
    known: Vec<NamedPort>,
    edited: Edited,
}

/// What a compiler was told of, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct Known {
    pub endpoints: BTreeSet<String>,
    pub policies: BTreeSet<QualifiedName>,
    pub address_sets: BTreeSet<QualifiedName>,
    pub tiers: BTreeSet<String>,
    pub namespaces: BTreeSet<String>,
    pub host_endpoints: BTreeSet<String>,
    pub pools: BTreeSet<String>,
    /// Those whose addresses are known.
    pub hosts: BTreeSet<String>,
}

const DIRECTIONS: [Direction; 2] = [Direction::Egress, Direction::Ingress];

/// The rounds of workloads.
const ROUNDS: [Round; 4] = {
    let [egress, ingress] = [Round::of_workloads(Direction::Egress), Round::of_workloads(Direction::Ingress)];
    [egress.staged(), egress, ingress.staged(), ingress]
};

impl Compiler {
    /// The rules of a host in a world.
    pub fn of(world: &World, host: &Host) -> Self {
        let mut compiler = Self::new(host.settings.clone());
        for (name, labels) in &world.namespaces {
            compiler.set_namespace(name, Some(labels.clone()));
        }
        for (name, tier) in &world.tiers {
            compiler.set_tier(name, Some(tier.clone()));
        }
        for (name, set) in &world.sets {
            compiler.set_address_set(name, Some(set.clone()));
        }
        for (name, endpoint) in &world.endpoints {
            compiler.set_endpoint(name, Some(endpoint));
        }
        for (name, policy) in &world.policies {
            compiler.set_policy(name, Some(policy.clone()));
        }
        for (name, labels) in &world.host_endpoints {
            compiler.set_host_endpoint(name, Some(labels.clone()));
        }
        for (address, ports) in &world.host_ports {
            compiler.set_host_ports(*address, ports);
        }
        for (name, interface) in &host.interfaces {
            compiler.set_interface(name, Some(interface.clone()));
        }
        for (name, doorway) in &host.host_endpoints {
            compiler.set_doorway(name, Some(doorway.clone()));
        }
        for (name, pool) in &host.edge.pools {
            compiler.set_pool(name, Some(pool.clone()));
        }
        for (name, addresses) in &host.edge.hosts {
            compiler.set_fabric_addresses(name, Some(addresses.clone()));
        }
        compiler.set_tunnel_ends(host.edge.ends.clone());
        for (name, publication) in &host.edge.published {
            compiler.set_published(name, Some(publication.clone()));
        }
        for (name, floating) in &host.edge.floating {
            compiler.set_floating(name, Some(*floating));
        }
        compiler.settle();
        compiler
    }

    /// The rules of a host where nobody is and nothing is declared.
    pub fn new(settings: Settings) -> Self {
        let mut edited = Edited::default();
        for family in IpVersion::BOTH {
            edited.set_set(&sources_name(family), Some(no_sources(family)));
            edited.set_map(&who_name(family), Some(nobody(family)));
        }
        for direction in DIRECTIONS {
            dispatch::begin(Round::of_workloads(direction), &mut edited);
        }
        let mut compiler = Self {
            settings,
            world: World::default(),
            population: Population::default(),
            places: Places::default(),
            subjects: BTreeMap::new(),
            policies_of: BTreeMap::new(),
            locals: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            paths: Paths::default(),
            named: Named::default(),
            due: Due::default(),
            effort: Effort::default(),
            gates: Gates::default(),
            border: Border::default(),
            nodes: Nodes::default(),
            tables: Tables::default(),
            known: Vec::new(),
            edited,
        };
        compiler.set_base_chains();
        compiler
    }

    /// The table as it should be, as far as changes were taken of what was told.
    pub fn ruleset(&self) -> &Ruleset {
        self.edited.ruleset()
    }

    /// The table as it should be, and nothing else.
    pub fn into_ruleset(mut self) -> Ruleset {
        self.settle();
        self.edited.into_ruleset()
    }

    /// The changes since they were last taken; none if nothing is to be done. What was told since then is thought of once, together.
    pub fn take_changes(&mut self) -> Vec<Change> {
        self.settle();
        self.edited.take()
    }

    /// Whether nothing was touched since changes were last taken.
    pub fn is_settled(&self) -> bool {
        self.edited.is_untouched() && self.is_nothing_due()
    }

    /// How much was looked at since the beginning.
    pub fn effort(&self) -> Effort {
        self.effort
    }

    /// Remembers how the table is now; see [`Compiler::at`].
    pub fn mark(&mut self) -> Mark {
        self.settle();
        self.edited.mark()
    }

    /// Nobody asks any more how the table was then.
    pub fn forget(&mut self, mark: Mark) {
        self.edited.forget(mark);
    }

    /// The table as it was at a mark that is not forgotten.
    pub fn at(&self, mark: Mark) -> Past<'_> {
        self.edited.at(mark)
    }

    /// Whether flows that differ in their source port only may fare differently.
    pub fn looks_at_source_ports(&self) -> bool {
        self.nodes.look_at_source_ports()
    }

    /// What each chain that counts counts. The chain is the rule's own and outlives whatever leads to it.
    pub fn counted(&self) -> impl Iterator<Item = (&Name, &Counted)> {
        self.nodes.counted()
    }

    /// What a chain does, if policies made it.
    pub fn form(&self, chain: &Name) -> Option<Form> {
        self.nodes.form(chain)
    }

    /// The endpoint an address belongs to.
    pub fn endpoint_at(&self, address: IpAddr) -> Option<&str> {
        self.population.holder(address)
    }

    /// What a chain counts, if it counts.
    pub fn counts(&self, chain: &Name) -> Option<&Counted> {
        self.nodes.counts(chain)
    }

    /// The rule that logs under a name and goes on.
    pub fn logs(&self, name: &Name) -> Option<&RuleName> {
        self.nodes.logs(name)
    }

    /// Everything that is known, by name: endpoints, policies, address sets, tiers, namespaces.
    pub fn known(&self) -> Known {
        Known {
            endpoints: self.population.names().map(str::to_owned).collect(),
            policies: self.world.policies.keys().cloned().collect(),
            address_sets: self.world.sets.keys().cloned().collect(),
            tiers: self.world.tiers.keys().cloned().collect(),
            namespaces: self.world.namespaces.keys().cloned().collect(),
            host_endpoints: self.world.host_endpoints.keys().cloned().collect(),
            pools: self.border.edge.pools.keys().cloned().collect(),
            hosts: self.border.edge.hosts.keys().cloned().collect(),
        }
    }

    /// The host's own settings.
    pub fn set_settings(&mut self, settings: Settings) {
        if self.settings != settings {
            self.settings = settings;
            self.set_base_chains();
            self.due.gates = true;
        }
    }

    fn set_base_chains(&mut self) {
        let publishing = IpVersion::BOTH.into_iter().filter(|family| self.publishes(*family)).map(published::to_itself);
        let floating = IpVersion::BOTH.into_iter().filter(|family| self.floats(*family)).map(floating::to_itself);
        let to_itself: Vec<Vec<Match>> = publishing.chain(floating).collect();
        let is_staged =
            |direction: &Direction| dispatch::stands(Round::of_workloads(*direction).staged(), &self.edited);
        let staged: Vec<Direction> = DIRECTIONS.into_iter().filter(is_staged).collect();
        for (name, chain) in base::chains(&self.settings, &to_itself, &staged) {
            self.edited.set_chain(&name, chain);
        }
    }

    /// An endpoint of any host comes, changes or goes.
    pub fn set_endpoint(&mut self, name: &str, endpoint: Option<&Endpoint>) {
        if self.population.is(name, endpoint) {
            return;
        }
        let moves = self.population.set(name, endpoint);
        self.tables.follow(&moves, &self.population, &mut self.edited);
        if self.locals.contains_key(name) {
            match endpoint {
                Some(endpoint) => self.endpoints.insert(name.to_owned(), endpoint.clone()),
                None => self.endpoints.remove(name),
            };
            self.due.locals.insert(name.to_owned());
        }
        self.population.forget_empty_classes();
    }

    /// Rules call ports of hosts so at an address, sorted, each once; or no port of it has a name.
    pub fn set_host_ports(&mut self, address: IpAddr, ports: &[NamedPort]) {
        let former = match ports {
            [] => self.world.host_ports.remove(&address),
            ports => self.world.host_ports.insert(address, ports.to_vec()),
        };
        if former.unwrap_or_default() == ports {
            return;
        }
        let moves = self.population.set_host(address, ports);
        self.tables.follow(&moves, &self.population, &mut self.edited);
        self.population.forget_empty_classes();
    }

    /// An endpoint gets its interface here, or loses it. `endpoint` is what the world knows of it.
    pub fn set_interface(&mut self, name: &str, interface: Option<Interface>) {
        self.leave(name);
        match interface {
            None => {
                self.locals.remove(name);
                self.endpoints.remove(name);
            }
            Some(interface) => {
                self.locals.insert(name.to_owned(), Local::new(interface));
                self.endpoints.extend(self.population.endpoint(name).map(|endpoint| (name.to_owned(), endpoint)));
                self.due.locals.insert(name.to_owned());
            }
        }
    }

    fn ground(&mut self) -> (&mut Tables, Ground<'_>) {
        let Self { world, places, population, edited, tables, .. } = self;
        (tables, Ground { world, places, population, edited })
    }
}
