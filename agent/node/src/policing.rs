//! Which rules this host needs, and which it has loaded.
//!
//! In: the store as last heard, and who is attached here. Out: the changes of the kernel's table, and the memory of what
//! stands there. The compiling itself is the `policy` crate's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use poplin_policy::compile::compile;
use poplin_policy::delta::{Change, between};
use poplin_policy::host::Host as PolicyHost;
use poplin_policy::ruleset::{Interface, Ruleset};

use crate::kernel::INTERFACE_PREFIX;
use crate::mirror::Mirror;
use crate::object::Endpoint;
use crate::outlook;

/// The rules of this host: wanted and loaded.
#[derive(Debug, Default)]
pub struct Policing {
    /// What our table holds; absent = unknown, so it is begun anew.
    loaded: Option<Arc<Loaded>>,
    /// What it should hold; absent = to be compiled again.
    wanted: Option<Arc<Loaded>>,
}

/// A ruleset and the interfaces it was compiled for.
#[derive(Debug, PartialEq)]
pub struct Loaded {
    ruleset: Ruleset,
    interfaces: BTreeSet<Interface>,
}

impl Policing {
    /// Something that rules depend on has changed.
    pub fn touch(&mut self) {
        self.wanted = None;
    }

    /// Our table is not as we thought.
    pub fn forget(&mut self) {
        self.loaded = None;
    }

    /// The changes that are due, and what will be loaded once they are done; nothing if all is as it should be.
    pub fn due<'a>(
        &mut self,
        mirror: &Mirror,
        local: impl Iterator<Item = &'a Endpoint>,
    ) -> Option<(Vec<Change>, Arc<Loaded>)> {
        let wanted = self.wanted.get_or_insert_with(|| Arc::new(compiled(mirror, local)));
        if self.loaded.as_ref().is_some_and(|loaded| Arc::ptr_eq(loaded, wanted)) {
            return None; // the usual case, asked with every event
        }
        let changes = between(self.loaded.as_ref().map(|loaded| &loaded.ruleset), &wanted.ruleset);
        if changes.is_empty() {
            self.loaded = Some(wanted.clone());
            return None;
        }
        Some((changes, wanted.clone()))
    }

    /// The changes were done.
    pub fn load(&mut self, loaded: Arc<Loaded>) {
        self.loaded = Some(loaded);
    }

    /// Whether the loaded rules know this interface.
    pub fn covers(&self, interface: &Interface) -> bool {
        self.loaded.as_ref().is_some_and(|loaded| loaded.interfaces.contains(interface))
    }
}

fn compiled<'a>(mirror: &Mirror, local: impl Iterator<Item = &'a Endpoint>) -> Loaded {
    let interfaces: BTreeMap<String, Interface> =
        local.map(|endpoint| (endpoint.name.to_string(), endpoint.interface.clone())).collect();
    let host = PolicyHost {
        interfaces: interfaces.clone(),
        interface_prefix: INTERFACE_PREFIX.to_owned(),
        workload_to_host: mirror.fabric().workload_to_host,
    };
    Loaded { ruleset: compile(&outlook::world(mirror.all()), &host), interfaces: interfaces.into_values().collect() }
}
