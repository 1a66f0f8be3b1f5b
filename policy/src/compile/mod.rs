//! Turns the world into the rules of one host.
//!
//! In: the world, and which of its endpoints have their interface here. Out: one whole `inet` table. Knows nothing of
//! netlink. Held to [`verdict`](crate::verdict) by random worlds.
//!
//! ```text
//! prerouting ── spoofed? ── drop
//! forward ── established ── accept
//!    ├─ in by ours ── from-workload ── interface → id → egress-… ─ goto ─ egress-… (next tier)
//!    └─ out by ours ── to-workload ─── interface → id → ingress-… ─ goto ─ ingress-… (next tier)
//! input ── in by ours ── from-workload, as above ── then what workload_to_host says
//! ```
//! What changes often costs least: an endpoint that comes or goes changes elements of sets and maps only, a policy that
//! changes replaces the rules of the chains it stands in, and no change renames what did not change.

mod base;
mod condition;
mod dispatch;
mod family;
mod name;
mod path;
mod peer;
mod port;
mod range;
mod rule;
mod sets;

use self::dispatch::Dispatch;
pub use self::path::MAX_TIERS;
use self::path::{Path, Roster};
use self::sets::Sets;
use crate::host::Host;
use crate::model::{Direction, Endpoint};
use crate::ruleset::{Interface, Ruleset};
use crate::world::World;

/// Makes the whole table of a host.
pub fn compile(world: &World, host: &Host) -> Ruleset {
    let mut ruleset = Ruleset::default();
    let mut sets = Sets::of(world);
    let roster = Roster::of(world);
    for direction in [Direction::Egress, Direction::Ingress] {
        let paths = roster.paths(direction, local_endpoints(world, host));
        let dispatch = Dispatch::new(direction, &paths);
        for path in dispatch.paths() {
            path.add_chains(&mut sets, &mut ruleset.chains);
        }
        dispatch.add_maps(&mut ruleset.maps);
    }
    ruleset.chains.extend(base::chains(host));
    sets.add_sources(world, host);
    ruleset.sets = sets.into_made();
    ruleset
}

/// The endpoints whose interface is here and whose labels are known.
fn local_endpoints<'w>(world: &'w World, host: &'w Host) -> Vec<Local<'w>> {
    let known = host
        .interfaces
        .iter()
        .filter_map(|(name, interface)| world.endpoints.get(name).map(|endpoint| Local { endpoint, interface }));
    known.collect()
}

/// An endpoint of this host.
struct Local<'w> {
    endpoint: &'w Endpoint,
    interface: &'w Interface,
}

/// Which way each local interface's packets go.
type Paths<'w> = Vec<(&'w Interface, Path<'w>)>;
