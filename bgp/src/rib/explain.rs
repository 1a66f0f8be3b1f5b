//! Tells people what is used, and why.

use std::fmt;

use ipnet::IpNet;

use crate::Address;

use super::{
    Apart, Multipath, Route, Step, Table,
    decide::{Choice, losses},
    entry::Entry,
    route::{Fate, Path},
};

/// Why the traffic to one prefix goes where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Best {
    /// The path that won.
    pub winner: Route,
    /// The comparison that left it alone in the race.
    pub step: Step,
    /// What is installed: its next hop, and those of paths as good.
    pub next_hops: Vec<Address>,
    /// All other paths, as good or worse.
    pub rivals: Vec<Route>,
}

impl fmt::Display for Best {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Route { prefix, neighbour, next_hop, attributes, .. } = &self.winner;
        write!(f, "{prefix} {} from {neighbour}, because {}", attributes.summary(*next_hop), self.step)?;
        match self.next_hops.len() {
            0 | 1 => Ok(()),
            ways => write!(f, "; {ways} ways are as good and share the traffic"),
        }
    }
}

impl Table {
    /// Every path of every neighbour, by prefix, then by neighbour.
    pub(crate) fn routes(&self) -> impl Iterator<Item = Route> {
        self.entries.iter().flat_map(|(prefix, entry)| entry.routes(prefix, self.own.contains(&prefix), self.multipath))
    }

    /// The next hops in use for exactly this prefix, and what decided.
    pub(crate) fn used(&self, prefix: &IpNet) -> (Vec<Address>, Option<Step>) {
        let used = |entry: &Entry| (entry.used(), entry.choice().map(|choice| choice.step));
        self.entries.get(prefix).map(used).unwrap_or_default()
    }

    /// `None` if nothing is used for exactly this prefix.
    pub(crate) fn best(&self, prefix: &IpNet) -> Option<Best> {
        let entry = self.entries.get(prefix)?;
        let choice = entry.choice()?;
        let (winner, rivals): (Vec<_>, Vec<_>) =
            entry.routes(*prefix, false, self.multipath).partition(|route| route.best);
        let winner = winner.into_iter().next()?;
        Some(Best { winner, step: choice.step, next_hops: entry.used(), rivals })
    }
}

impl Entry {
    fn routes(&self, prefix: IpNet, is_own: bool, multipath: Multipath) -> impl Iterator<Item = Route> {
        let (lost, choice) = (losses(self.paths()), self.choice());
        self.paths().iter().enumerate().map(move |(position, path)| {
            let fell = lost.iter().find(|(fallen, _)| *fallen == position).map(|&(_, step)| step);
            let fate = match (&choice, fell) {
                (Some(choice), _) if choice.winner == position => Fate::Won(choice.step),
                _ if !path.is_admitted => Fate::Rejected,
                _ if is_own => Fate::Ours,
                (_, fell) => {
                    lost_fate(fell.unwrap_or(Step::Only), || self.apart(position, choice.as_ref()?, multipath))
                }
            };
            route(prefix, position, path, choice.as_ref(), fate)
        })
    }

    /// Why a path that fell to a tie-break does not share the traffic, if it does not.
    fn apart(&self, position: usize, choice: &Choice, multipath: Multipath) -> Option<Apart> {
        let is_apart = !choice.equal.contains(&position);
        is_apart.then(|| multipath.apart(&self.paths()[position], &self.paths()[choice.winner])).flatten()
    }
}

fn lost_fate(step: Step, apart: impl FnOnce() -> Option<Apart>) -> Fate {
    match step.is_tie_break().then(apart).flatten() {
        Some(apart) => Fate::Apart(step, apart),
        None => Fate::Lost(step),
    }
}

fn route(prefix: IpNet, position: usize, path: &Path, choice: Option<&Choice>, fate: Fate) -> Route {
    Route {
        prefix,
        neighbour: path.source.neighbour,
        asn: path.source.asn,
        next_hop: path.next_hop,
        path_id: path.id,
        attributes: path.attributes.clone(),
        stale: path.is_stale,
        admitted: path.is_admitted,
        best: choice.is_some_and(|choice| choice.winner == position),
        used: choice.is_some_and(|choice| choice.equal.contains(&position)),
        fate,
    }
}
