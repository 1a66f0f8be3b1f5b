//! The ways to neighbours that BFD watches: which they are, and who learns of a change.
//!
//! BFD runs elsewhere, where its timing holds; what it says may come late, and several changes in one. So a fall is told with
//! every view that follows it, and counts when it is a new one. Rules: RFC 5882 §3.

use std::{collections::BTreeMap, time::Instant};

use crate::{
    Action, Address, NeighbourConfig, Note,
    bfd::{State, View},
};

use super::Speaker;

impl Speaker {
    /// Asks for what the neighbours' configurations ask for, if that is something new.
    pub(super) fn watch(&mut self, neighbours: &BTreeMap<Address, NeighbourConfig>) {
        let wanted = neighbours.iter().filter_map(|(&address, config)| Some((address, config.bfd?.settings)));
        let wanted: BTreeMap<_, _> = wanted.collect();
        self.paths.retain(|neighbour, _| wanted.contains_key(neighbour));
        if wanted != self.watched {
            self.actions.push_back(Action::Watch(wanted.clone()));
            self.watched = wanted;
        }
    }

    /// News of a way that is not watched any more crossed our asking.
    pub(super) fn path_changed(&mut self, now: Instant, view: View) {
        let neighbour = view.neighbour;
        if !self.watched.contains_key(&neighbour) {
            return;
        }
        let (was_up, known_fall) =
            (self.is_path_up(neighbour), self.paths.get(&neighbour).and_then(|known| known.fall));
        let (is_up, diagnostic) = (view.state == State::Up, view.diagnostic);
        let fall = view.fall.filter(|fall| known_fall.as_ref() != Some(fall));
        self.paths.insert(neighbour, view);
        if let Some(fall) = fall {
            self.actions.push_back(Action::Note(Note::PathDown { neighbour, diagnostic }.into()));
            self.with_session(now, neighbour, |session| session.path_fell(now, &fall));
        }
        if is_up && (!was_up || fall.is_some()) {
            self.actions.push_back(Action::Note(Note::PathUp { neighbour }.into()));
        }
        self.with_session(now, neighbour, |session| session.path_is(now, is_up));
    }

    pub(super) fn is_path_up(&self, neighbour: Address) -> bool {
        self.paths.get(&neighbour).is_some_and(|path| path.state == State::Up)
    }
}
