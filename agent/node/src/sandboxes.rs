//! The rules of endpoints whose interfaces are in their containers alone: kept where those are, as the host's table is kept on the host.
//!
//! In: the rules of the host, of which each sandbox has the part that is its endpoint's, and who is here. Out: what is to be changed in which
//! namespace. A namespace mostly begins after its runtime was told which interface goes there, so the interface is closed when it is made, and opened
//! by whoever has written its rules; they go after the interface has gone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use poplin_policy::compile::{Sandbox, in_sandbox};
use poplin_policy::delta::between;
use poplin_policy::ruleset::{Interface, Ruleset};

use crate::kernel::Step;
use crate::macvlan::{MacvlanMode, group_of};
use crate::mirror::Mirror;
use crate::object::Endpoint;
use crate::policing::Policing;

/// The sandboxes of this host.
#[derive(Debug, Default)]
pub struct Sandboxes {
    standing: BTreeMap<Interface, Standing>,
    /// What will stand once the steps that were last asked for are done; absent = nothing.
    pending: BTreeMap<Interface, Option<Standing>>,
    /// Where rules could not be written.
    refused: BTreeMap<Interface, Refused>,
}

/// Rules that could not be written: they are tried again when there are others, or when somebody says so.
#[derive(Debug)]
struct Refused {
    netns: PathBuf,
    /// Of which generation they were.
    generation: u64,
}

/// One sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    netns: PathBuf,
    whose: Sandbox,
    mode: MacvlanMode,
}

/// What stands in one.
#[derive(Clone, Debug)]
struct Standing {
    place: Place,
    /// Absent: not known, for the last change of them failed.
    rules: Option<Ruleset>,
    /// The generation of the host's rules that these were last compared with.
    generation: u64,
}

impl Sandboxes {
    /// What is due. `waiting`: interfaces that their runtimes have not taken yet, or have given back. `closed`: whose address is another's by now; they
    /// stay, and pass nothing. `only_leaving`: where not all who are here are known, those that are to go all the same.
    pub fn due<'a>(
        &mut self,
        (policing, mirror): (&Policing, &Mirror),
        local: impl Iterator<Item = &'a Endpoint>,
        waiting: impl Fn(&Interface) -> bool,
        closed: &BTreeSet<Interface>,
        only_leaving: Option<&BTreeSet<Interface>>,
    ) -> Vec<Step> {
        let inside = local.filter(|one| one.is_in_a_sandbox() && !waiting(&one.interface));
        let mut wanted: BTreeMap<Interface, Place> =
            inside.map(|one| (one.interface.clone(), place(mirror, one))).collect();
        for (interface, standing) in self.standing.iter().filter(|(interface, _)| closed.contains(*interface)) {
            wanted.entry(interface.clone()).or_insert_with(|| standing.place.clone());
        }
        self.refused.retain(|interface, _| wanted.contains_key(interface));
        self.pending.clear();
        let mut steps = Vec::new();
        for (interface, place) in &wanted {
            steps.extend(self.change(policing, interface, place));
        }
        let is_leaving = |interface: &Interface| {
            !wanted.contains_key(interface) && only_leaving.is_none_or(|leaving| leaving.contains(interface))
        };
        let standing_on = self.standing.iter().filter(|(interface, _)| !is_leaving(interface));
        let kept: BTreeSet<&Path> =
            wanted.values().chain(standing_on.map(|(_, one)| &one.place)).map(|place| place.netns.as_path()).collect();
        for (interface, Standing { place, .. }) in self.standing.iter().filter(|(interface, _)| is_leaving(interface)) {
            self.pending.insert(interface.clone(), None);
            let (interface, netns, group) = (interface.clone(), place.netns.clone(), place.whose.group);
            let is_last = !kept.contains(netns.as_path());
            steps.push(Step::LeaveSandbox { interface, netns, group, is_last });
        }
        steps
    }

    fn change(&mut self, policing: &Policing, interface: &Interface, place: &Place) -> Option<Step> {
        let generation = policing.generation();
        if self.refused.get(interface).is_some_and(|one| one.netns == place.netns && one.generation == generation) {
            return None;
        }
        let standing = self.standing.get_mut(interface).filter(|standing| standing.place.netns == place.netns);
        let is_same = |one: &Standing| one.generation == generation && one.place == *place && one.rules.is_some();
        if standing.as_deref().is_some_and(is_same) {
            return None;
        }
        let rules = in_sandbox(policing.wanted(), &place.whose);
        let changes = between(standing.as_ref().and_then(|standing| standing.rules.as_ref()), &rules);
        if let Some(standing) = standing.filter(|_| changes.is_empty()) {
            (standing.generation, standing.place) = (generation, place.clone());
            return None;
        }
        self.pending.insert(interface.clone(), Some(Standing { place: place.clone(), rules: Some(rules), generation }));
        let (netns, group, mode) = (place.netns.clone(), place.whose.group, place.mode);
        Some(Step::ChangeSandbox { interface: interface.clone(), netns, changes, group, mode })
    }

    /// The steps that were asked for are done.
    pub fn done(&mut self) {
        for (interface, standing) in std::mem::take(&mut self.pending) {
            self.settle(interface, standing);
        }
    }

    /// They are not, or not all: those before the failed one are, and those after it were not tried. What stands where that one failed is not known,
    /// so it is begun anew. Of who leaves it is known that he does.
    pub fn undone(&mut self, steps: &[Step], failed: &Step) {
        let mut pending = std::mem::take(&mut self.pending);
        for done in steps.iter().take_while(|step| *step != failed) {
            if let Step::ChangeSandbox { interface, .. } | Step::LeaveSandbox { interface, .. } = done
                && let Some(standing) = pending.remove(interface)
            {
                self.settle(interface.clone(), standing);
            }
        }
        if let Step::ChangeSandbox { interface, .. } = failed
            && let Some(standing) = self.standing.get_mut(interface)
        {
            standing.rules = None;
        }
    }

    fn settle(&mut self, interface: Interface, standing: Option<Standing>) {
        self.refused.remove(&interface);
        match standing {
            Some(standing) => drop(self.standing.insert(interface, standing)),
            None => drop(self.standing.remove(&interface)),
        }
    }

    /// Rules cannot be written there, for now.
    pub fn refuse(&mut self, interface: &Interface, netns: &Path, policing: &Policing) {
        let refused = Refused { netns: netns.to_owned(), generation: policing.generation() };
        self.refused.insert(interface.clone(), refused);
    }

    /// What was refused is tried again.
    pub fn try_again(&mut self) {
        self.refused.clear();
    }

    /// Whether the rules of an endpoint stand where its interface is.
    pub fn stand(&self, endpoint: &Endpoint) -> bool {
        let standing = self.standing.get(&endpoint.interface);
        standing.is_some_and(|standing| standing.place.netns == endpoint.netns && standing.rules.is_some())
    }

    /// Where they are.
    pub fn places(&self) -> BTreeSet<PathBuf> {
        self.standing.values().map(|standing| standing.place.netns.clone()).collect()
    }

    /// Whether something of an interface is still in its container.
    pub fn has(&self, interface: &Interface) -> bool {
        self.standing.contains_key(interface)
    }
}

fn place(mirror: &Mirror, endpoint: &Endpoint) -> Place {
    let network = endpoint.network.as_ref().and_then(|name| mirror.network(name));
    let whose = Sandbox {
        interface: endpoint.interface.clone(),
        group: group_of(&endpoint.attachment),
        addresses: endpoint.addresses.to_vec(),
    };
    let mode = network.and_then(|network| network.macvlan.as_ref()).map(|macvlan| macvlan.mode).unwrap_or_default();
    Place { netns: endpoint.netns.clone(), whose, mode }
}
