//! Whose turn it is, where more is due than is asked for at once: whom a runtime waits for, then who leaves, then the others one after the other.

use std::ops::Bound::{Excluded, Included, Unbounded};

use poplin_policy::ruleset::Interface;

use super::{Pending, Sandboxes, Standing, Wanted};
use crate::kernel::Step;
use crate::policing::Policing;

/// What one batch may take, as [`weight`] has it: an attachment may wait for it, and should not wait for longer than 100 ms.
const ROOM: usize = 4;

/// What is asked for now.
struct Asked {
    steps: Vec<Step>,
    room: usize,
}

/// How long a step takes, in about 15 ms on a busy machine: rules, changed or begun anew, 14 to 15, and the end of an interface 36 (`speed` of the
/// kernel's tests).
fn weight(step: &Step) -> usize {
    match step {
        Step::LeaveSandbox { .. } => 2,
        _ => 1,
    }
}

impl Asked {
    fn add(&mut self, step: Step) {
        self.room = self.room.saturating_sub(weight(&step));
        self.steps.push(step);
    }
}

impl Sandboxes {
    /// What is asked for now.
    pub(super) fn take_turns(&mut self, policing: &Policing, wanted: &Wanted<'_>) -> Vec<Step> {
        let mut asked = Asked { steps: Vec::new(), room: ROOM };
        self.has_more = false;
        let awaited = self.awaited.iter().cloned().collect();
        self.take_changes(policing, wanted, awaited, &mut asked);
        for interface in wanted.leaving(self) {
            match asked.room {
                0 => self.has_more = true,
                _ => self.leave(wanted, &interface).into_iter().for_each(|step| asked.add(step)),
            }
        }
        let (later, earlier) = match self.last.clone() {
            Some(last) => ((Excluded(last.clone()), Unbounded), (Unbounded, Included(last))),
            None => ((Unbounded, Unbounded), (Unbounded, Unbounded)),
        };
        let others = wanted.places.range(later).chain(wanted.places.range(earlier));
        let others = others.map(|(interface, _)| interface.clone()).collect();
        let last = self.take_changes(policing, wanted, others, &mut asked);
        self.last = last.or(self.last.take()).filter(|_| self.has_more);
        asked.steps
    }

    /// Asks for changes while there is room. Tells for whom last.
    fn take_changes(
        &mut self,
        policing: &Policing,
        wanted: &Wanted<'_>,
        whose: Vec<Interface>,
        asked: &mut Asked,
    ) -> Option<Interface> {
        let mut last = None;
        for interface in whose {
            let Some(place) = wanted.places.get(&interface).filter(|_| !self.pending.contains_key(&interface)) else {
                continue;
            };
            if asked.room == 0 {
                self.has_more = true;
                break;
            }
            if let Some(step) = self.change(policing, &interface, place) {
                asked.add(step);
                last = Some(interface);
            }
        }
        last
    }

    /// The gateways of a container go with the last who is there.
    fn leave(&mut self, wanted: &Wanted<'_>, interface: &Interface) -> Option<Step> {
        let Standing { place, .. } = self.standing.get(interface)?;
        if self.refused.get(interface).is_some_and(|one| !one.is_due && one.generation.is_none()) {
            return None;
        }
        let (netns, group) = (place.netns.clone(), place.whose.group);
        let is_going = |one: &Interface| one == interface || matches!(self.pending.get(one), Some(Pending::Gone));
        let stays = self.standing.iter().any(|(one, standing)| standing.place.netns == netns && !is_going(one));
        let comes = wanted.places.values().any(|place| place.netns == netns);
        self.pending.insert(interface.clone(), Pending::Gone);
        Some(Step::LeaveSandbox { interface: interface.clone(), netns, group, is_last: !stays && !comes })
    }
}

impl Wanted<'_> {
    /// Who stands and is to go.
    fn leaving(&self, sandboxes: &Sandboxes) -> Vec<Interface> {
        let is_leaving = |interface: &&Interface| {
            !self.places.contains_key(*interface) && self.only_leaving.is_none_or(|all| all.contains(*interface))
        };
        sandboxes.standing.keys().filter(is_leaving).cloned().collect()
    }
}
