//! The paths that stand, who takes them, and which of them are to be drawn again.
//!
//! In: paths as they are drawn, taken and left, and policies that are not as they were. Out: what is to be drawn again. Each path is found
//! by the policies it asks, so that a change looks at the paths it bears on and at no other.

use std::collections::{BTreeMap, BTreeSet};

use super::few::Few;
use super::local::PathState;
use super::round::Round;
use crate::gate::Traveller;
use crate::model::QualifiedName;
use crate::ruleset::Name;

/// All paths of a host.
#[derive(Clone, Debug, Default)]
pub(super) struct Paths {
    rounds: BTreeMap<Round, BTreeMap<Name, PathState>>,
    /// The paths that ask each policy.
    asking: BTreeMap<QualifiedName, Few<(Round, Name), ()>>,
    /// Those that are not what they would be if they were drawn now.
    stale: BTreeSet<(Round, Name)>,
}

impl Paths {
    /// The paths of a round.
    pub(super) fn of(&self, round: Round) -> impl Iterator<Item = (&Name, &PathState)> {
        self.rounds.get(&round).into_iter().flatten()
    }

    pub(super) fn get(&self, round: Round, name: &Name) -> Option<&PathState> {
        self.rounds.get(&round)?.get(name)
    }

    /// Whether a path of this name stands and is as it should be.
    pub(super) fn is_good(&self, round: Round, name: &Name) -> bool {
        self.get(round, name).is_some() && !self.stale.contains(&(round, name.clone()))
    }

    /// A path stands as it should; that of the same name that did before is given back.
    pub(super) fn put(&mut self, round: Round, name: &Name, state: PathState) {
        self.stale.remove(&(round, name.clone()));
        for policy in &state.policies {
            self.asking.entry(policy.clone()).or_default().insert((round, name.clone()), ());
        }
        self.rounds.entry(round).or_default().insert(name.clone(), state);
    }

    /// A path does not stand any more.
    pub(super) fn take(&mut self, round: Round, name: &Name) -> Option<PathState> {
        let state = self.rounds.get_mut(&round)?.remove(name)?;
        let key = (round, name.clone());
        self.stale.remove(&key);
        for policy in &state.policies {
            if let Some(asking) = self.asking.get_mut(policy) {
                asking.remove(&key);
                if asking.is_empty() {
                    self.asking.remove(policy);
                }
            }
        }
        Some(state)
    }

    /// An endpoint of this host takes a path.
    pub(super) fn enter(&mut self, round: Round, name: &Name, who: &str) {
        let paths = self.rounds.get_mut(&round).expect("a path stands before it is taken");
        paths.get_mut(name).expect("a path stands before it is taken").users.insert(who.to_owned());
    }

    /// An endpoint leaves a path. Whether nobody takes it any more.
    pub(super) fn leave(&mut self, round: Round, name: &Name, who: &str) -> bool {
        let paths = self.rounds.get_mut(&round).expect("a path that is left stands");
        let users = &mut paths.get_mut(name).expect("a path that is left stands").users;
        users.remove(who);
        users.is_empty()
    }

    /// The paths that ask a policy are to be drawn again where this holds for them.
    pub(super) fn spoil(&mut self, policy: &QualifiedName, where_it_holds: impl Fn(&PathState) -> bool) {
        for (round, name) in self.asking.get(policy).into_iter().flat_map(Few::keys) {
            if where_it_holds(&self.rounds[round][name]) {
                self.stale.insert((*round, name.clone()));
            }
        }
    }

    /// The endpoints of this host that are on a path that asks a policy.
    pub(super) fn users(&self, policy: &QualifiedName) -> impl Iterator<Item = &String> {
        let asking = self.asking.get(policy).into_iter().flat_map(Few::keys);
        asking.flat_map(|(round, name)| &self.rounds[round][name].users)
    }

    /// Somebody on a path that is to be drawn again. Paths that nobody takes are those of host endpoints.
    pub(super) fn next_spoiled(&self) -> Option<String> {
        self.stale.iter().find_map(|(round, name)| self.rounds[round][name].users.first().cloned())
    }

    /// Whether some path is to be drawn again.
    pub(super) fn is_spoiled(&self) -> bool {
        !self.stale.is_empty()
    }

    /// Whether a path of a host endpoint is to be drawn again.
    pub(super) fn has_spoiled_gates(&self) -> bool {
        self.stale.iter().any(|(round, _)| matches!(round.traveller, Traveller::Host(_)))
    }
}
