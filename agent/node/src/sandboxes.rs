//! The rules of endpoints whose interfaces are in their containers alone: kept where those are, as the host's table is kept on the host.
//!
//! In: the rules of the host, of which each sandbox has the part that is its endpoint's, what changed of them, and who is here. Out: what is to be
//! changed in which namespace, a few at once: the host's own rules and links wait for nobody's sandbox. A namespace mostly begins after its runtime
//! was told which interface goes there, so the interface is closed when it is made, and opened by whoever has written its rules; they go after the
//! interface has gone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use poplin_policy::compile::{Cut, Sandbox, Touched};
use poplin_policy::delta::{Change, between};
use poplin_policy::ruleset::{Interface, Ruleset};

use crate::kernel::Step;
use crate::macvlan::{MacvlanMode, group_of};
use crate::mirror::Mirror;
use crate::object::Endpoint;
use crate::policing::Policing;

mod turn;

/// The sandboxes of this host.
#[derive(Debug, Default)]
pub struct Sandboxes {
    standing: BTreeMap<Interface, Standing>,
    /// What will be so once the steps that were last asked for are done.
    pending: BTreeMap<Interface, Pending>,
    /// Where something could not be done.
    refused: BTreeMap<Interface, Refused>,
    /// Interfaces of this life that a runtime was seen to be about to take: somebody waits for them.
    awaited: BTreeSet<Interface>,
    /// Whose turn it was last, while more is due than can be asked for at once.
    last: Option<Interface>,
    /// Not all that was due could be asked for at once.
    has_more: bool,
}

/// What could not be done: it is tried again when there are other rules, or when somebody says so.
#[derive(Debug)]
struct Refused {
    netns: PathBuf,
    /// Of which generation the rules were; absent = the interface was to go, whatever its rules.
    generation: Option<u64>,
    /// How often in a row.
    times: u32,
    /// Somebody said so.
    is_due: bool,
}

/// One sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    netns: PathBuf,
    whose: Sandbox,
    mode: MacvlanMode,
}

/// What stands in one.
#[derive(Debug)]
struct Standing {
    place: Place,
    /// The rules that stand once all that is owed is written. Absent: not known, for the last change of them failed.
    cut: Option<Cut>,
    /// The way there from those that stand.
    owed: Vec<Change>,
    /// The host's rules have changed so that they have to be cut anew.
    is_stale: bool,
}

/// What will be so.
#[derive(Debug)]
enum Pending {
    /// This stands, begun anew.
    Begun(Standing),
    /// What was owed is written, and it is so placed.
    Written(Place),
    /// Nothing of it is there.
    Gone,
}

/// Who is to have rules in a sandbox, and who is to go.
struct Wanted<'w> {
    places: BTreeMap<Interface, Place>,
    only_leaving: Option<&'w BTreeSet<Interface>>,
}

impl Sandboxes {
    /// What is due. `touched`: what of the host's rules was touched since the last time; absent = perhaps everything. `waiting`: interfaces that their
    /// runtimes have not taken yet, or have given back. `closed`: whose address is another's by now; they stay, and pass nothing. `only_leaving`: where
    /// not all who are here are known, those that are to go all the same.
    pub fn due<'a>(
        &mut self,
        (policing, mirror): (&Policing, &Mirror),
        touched: Option<Vec<Touched>>,
        local: impl Iterator<Item = &'a Endpoint>,
        waiting: impl Fn(&Interface) -> bool,
        closed: &BTreeSet<Interface>,
        only_leaving: Option<&BTreeSet<Interface>>,
    ) -> Vec<Step> {
        self.hear(touched);
        let mut wanted = Wanted { places: BTreeMap::new(), only_leaving };
        let mut awaited = BTreeSet::new();
        for one in local.filter(|one| one.parent.is_some()) {
            let interface = one.interface.clone();
            if !one.is_in_a_sandbox() || waiting(&interface) {
                awaited.insert(interface);
                continue;
            }
            awaited.extend(self.awaited.take(&interface));
            wanted.places.insert(interface, place(mirror, one));
        }
        self.awaited = awaited;
        for (interface, standing) in self.standing.iter().filter(|(interface, _)| closed.contains(*interface)) {
            wanted.places.entry(interface.clone()).or_insert_with(|| standing.place.clone());
        }
        self.refused.retain(|one, _| wanted.places.contains_key(one) || self.standing.contains_key(one));
        self.pending.clear();
        self.take_turns(policing, &wanted)
    }

    /// The host's rules have changed. Whoever can follow without looking at all of them does.
    fn hear(&mut self, touched: Option<Vec<Touched>>) {
        for standing in self.standing.values_mut() {
            let Some(touched) = &touched else {
                standing.is_stale = true;
                continue;
            };
            for one in touched {
                standing.follow(one);
            }
        }
    }

    fn change(&mut self, policing: &Policing, interface: &Interface, place: &Place) -> Option<Step> {
        let generation = policing.generation();
        let is_same = |one: &Refused| !one.is_due && one.netns == place.netns && one.generation == Some(generation);
        if self.refused.get(interface).is_some_and(is_same) {
            return None;
        }
        let standing = self.standing.get_mut(interface).filter(|standing| standing.is_known_in(&place.netns));
        let (pending, changes) = match standing {
            Some(standing) => {
                standing.catch_up(policing.wanted(), &place.whose);
                if standing.owed.is_empty() {
                    standing.place = place.clone();
                    return None;
                }
                (Pending::Written(place.clone()), standing.owed.clone())
            }
            None => {
                let cut = Cut::of(policing.wanted(), &place.whose);
                let changes = between(None, cut.rules());
                let standing = Standing { place: place.clone(), cut: Some(cut), owed: Vec::new(), is_stale: false };
                (Pending::Begun(standing), changes)
            }
        };
        self.pending.insert(interface.clone(), pending);
        let (netns, group, mode) = (place.netns.clone(), place.whose.group, place.mode);
        Some(Step::ChangeSandbox { interface: interface.clone(), netns, changes, group, mode })
    }

    /// The steps that were asked for are done.
    pub fn done(&mut self) {
        for (interface, pending) in std::mem::take(&mut self.pending) {
            self.settle(interface, pending);
        }
    }

    /// They are not, or not all: those before the failed one are, and those after it were not tried. What stands where that one failed is not known,
    /// so it is begun anew. Of who leaves it is known that he does.
    pub fn undone(&mut self, steps: &[Step], failed: &Step) {
        let mut pending = std::mem::take(&mut self.pending);
        for done in steps.iter().take_while(|step| *step != failed) {
            if let Step::ChangeSandbox { interface, .. } | Step::LeaveSandbox { interface, .. } = done
                && let Some(pending) = pending.remove(interface)
            {
                self.settle(interface.clone(), pending);
            }
        }
        if let Step::ChangeSandbox { interface, .. } = failed
            && let Some(standing) = self.standing.get_mut(interface)
        {
            standing.cut = None;
            standing.owed.clear();
        }
    }

    fn settle(&mut self, interface: Interface, pending: Pending) {
        self.refused.remove(&interface);
        self.awaited.remove(&interface);
        match pending {
            Pending::Begun(standing) => drop(self.standing.insert(interface, standing)),
            Pending::Written(place) => {
                if let Some(standing) = self.standing.get_mut(&interface) {
                    standing.place = place;
                    standing.owed.clear();
                }
            }
            Pending::Gone => drop(self.standing.remove(&interface)),
        }
    }

    /// Rules cannot be written there, or an interface cannot be taken from there, for now. Tells how often in a row.
    pub fn refuse(&mut self, interface: &Interface, netns: &Path, generation: Option<u64>) -> u32 {
        let times = self.refused.get(interface).map_or(1, |former| former.times.saturating_add(1));
        let refused = Refused { netns: netns.to_owned(), generation, times, is_due: false };
        self.refused.insert(interface.clone(), refused);
        times
    }

    /// What was refused is tried again.
    pub fn try_again(&mut self) {
        self.refused.values_mut().for_each(|refused| refused.is_due = true);
    }

    /// Whether the rules of an endpoint stand where its interface is.
    pub fn stand(&self, endpoint: &Endpoint) -> bool {
        self.standing.get(&endpoint.interface).is_some_and(|standing| standing.is_known_in(&endpoint.netns))
    }

    /// Where they are.
    pub fn places(&self) -> BTreeSet<PathBuf> {
        self.standing.values().map(|standing| standing.place.netns.clone()).collect()
    }

    /// Whether something of an interface is still in its container.
    pub fn has(&self, interface: &Interface) -> bool {
        self.standing.contains_key(interface)
    }

    /// Whether changes of the host's rules mean something to anybody.
    pub fn are_any(&self) -> bool {
        !self.standing.is_empty() || !self.pending.is_empty()
    }

    /// Whether rules that are in force on the host are not yet in all of them.
    pub fn are_behind(&self) -> bool {
        self.has_more || !self.pending.is_empty()
    }
}

impl Standing {
    fn is_known_in(&self, netns: &Path) -> bool {
        self.place.netns == netns && self.cut.is_some()
    }

    fn follow(&mut self, touched: &Touched) {
        let Some(cut) = self.cut.as_mut().filter(|_| !self.is_stale) else { return };
        match cut.follow(touched) {
            Some(changes) => self.owed.extend(changes),
            None => self.is_stale = true,
        }
    }

    /// Cuts its part anew, if it has to be.
    fn catch_up(&mut self, whole: &Ruleset, whose: &Sandbox) {
        if !self.is_stale && self.place.whose == *whose {
            return;
        }
        let cut = Cut::of(whole, whose);
        let changes = between(self.cut.as_ref().map(Cut::rules), cut.rules());
        if changes.first() == Some(&Change::Restart) {
            self.owed.clear();
        }
        self.owed.extend(changes);
        (self.cut, self.is_stale) = (Some(cut), false);
        self.place.whose = whose.clone();
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
