//! Which next hop object each learned prefix points at.
//!
//! In: gateways by prefix, as they change. Out: what the kernel should hold of groups and routes, and which prefixes may differ from what
//! it holds. When all prefixes of a group move to the same other gateways, the group changes in its place and no route is touched: that
//! is how one message takes a dead gateway out of 100,000 routes. A prefix that moves alone goes to another group.
//! Which number a group has depends on the road that led there; all else does not.

mod due;
mod numbers;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipnet::IpNet;

use crate::kernel::{KernelState, NextHopId, Target};
use crate::routing::Gateways;
use crate::tunnel::Sources;

pub use due::{Due, Lead};

use numbers::Numbers;

/// Groups, their members, and the routes that point at them.
#[derive(Debug, Default)]
pub struct Groups {
    routes: BTreeMap<IpNet, Target>,
    groups: BTreeMap<NextHopId, Group>,
    /// Where a prefix with these gateways goes. A group that came to the gateways of another stays beside it until its prefixes leave.
    by_gateways: BTreeMap<(bool, Gateways), NextHopId>,
    numbers: Numbers,
    /// Under which addresses this host speaks to what tunnels lead to; absent = nobody knows yet.
    sources: Option<Sources>,
    /// Prefixes at which the kernel may hold something else.
    due: BTreeSet<IpNet>,
    is_all_due: bool,
}

#[derive(Debug)]
struct Group {
    /// Of the prefixes: an IPv6 route takes no IPv4 gateway, an IPv4 route takes both.
    is_v6: bool,
    gateways: Gateways,
    routes: usize,
}

/// A prefix that leads elsewhere now; nothing = nowhere.
pub type Move = (IpNet, Option<Gateways>);

impl Groups {
    /// Takes over groups of an earlier life, with their numbers, and the routes that point at them.
    pub fn adopt(&mut self, kernel: &KernelState) {
        self.numbers.adopt(kernel);
        for (prefix, target) in &kernel.learned {
            match target {
                Target::Group(id) => {
                    if let Some(gateways) = self.standing(*id, prefix, kernel) {
                        self.point(*prefix, *id, gateways);
                    }
                }
                Target::Gateways(_) | Target::Link(_) | Target::Endpoints(_) | Target::Blackhole => {}
            }
        }
        self.doubt();
    }

    /// The gateways of a group found in the kernel, if this prefix may point at it.
    fn standing(&self, id: NextHopId, prefix: &IpNet, kernel: &KernelState) -> Option<Gateways> {
        match self.groups.get(&id) {
            Some(group) => (group.is_v6 == is_v6(prefix)).then(|| group.gateways.clone()),
            None => kernel.gateways_of(id).filter(|gateways| !gateways.is_empty()).map(Arc::new),
        }
    }

    /// The kernel may hold anything by now: everything is compared.
    pub fn doubt(&mut self) {
        self.is_all_due = true;
    }

    /// From now on this host speaks under these.
    pub fn speak_under(&mut self, sources: Sources) {
        if self.sources.as_ref() != Some(&sources) {
            self.sources = Some(sources);
            self.doubt();
        }
    }

    /// Follows the moves. Without objects, each route carries its gateways.
    pub fn follow(&mut self, moves: Vec<Move>, has_objects: bool) {
        let moves = moves.into_iter().filter(|(prefix, gateways)| !self.leads(prefix, gateways.as_ref())).collect();
        for (prefix, gateways) in self.move_whole_groups(moves) {
            self.leave(&prefix);
            match gateways {
                Some(gateways) if has_objects && has_interfaces(&gateways) => {
                    let id = self.group_of(is_v6(&prefix), &gateways);
                    self.point(prefix, id, gateways);
                }
                Some(gateways) => drop(self.routes.insert(prefix, Target::Gateways((*gateways).clone()))),
                None => {}
            }
            self.due.insert(prefix);
        }
        self.forget_unused();
    }

    /// Whether a prefix leads there already.
    fn leads(&self, prefix: &IpNet, gateways: Option<&Gateways>) -> bool {
        match (self.routes.get(prefix), gateways) {
            (None, None) => true,
            (Some(Target::Group(id)), Some(gateways)) => {
                self.groups.get(id).is_some_and(|group| group.gateways == *gateways)
            }
            (Some(Target::Gateways(standing)), Some(gateways)) => *standing == **gateways,
            (Some(Target::Link(_) | Target::Endpoints(_) | Target::Blackhole), Some(_))
            | (None, Some(_))
            | (Some(_), None) => false,
        }
    }

    /// Changes groups in their place of which every prefix moves to the same gateways, or ends; the moves that are left come back.
    fn move_whole_groups(&mut self, moves: Vec<Move>) -> Vec<Move> {
        let mut leaving: BTreeMap<NextHopId, Leaving<'_>> = BTreeMap::new();
        for (prefix, gateways) in &moves {
            if let Some(Target::Group(id)) = self.routes.get(prefix) {
                leaving.entry(*id).or_default().count(gateways.as_ref());
            }
        }
        let is_whole = |id: &NextHopId, routes| self.groups.get(id).is_some_and(|group| group.routes == routes);
        let whole = leaving.into_iter().filter(|(id, leaving)| is_whole(id, leaving.routes));
        let whole = whole.filter_map(|(id, leaving)| Some((id, leaving.together()?.clone())));
        let whole: BTreeMap<_, _> = whole.filter(|(id, gateways)| self.speaks_alike(*id, gateways)).collect();
        whole.iter().for_each(|(id, gateways)| self.change(*id, gateways));
        let is_done = |(prefix, gateways): &Move| match self.routes.get(prefix) {
            Some(Target::Group(id)) => gateways.is_some() && whole.contains_key(id),
            Some(Target::Gateways(_) | Target::Link(_) | Target::Endpoints(_) | Target::Blackhole) | None => false,
        };
        moves.into_iter().filter(|one| !is_done(one)).collect()
    }

    /// Whether routes by a group speak under the same address when it comes to other gateways: that is theirs, and they would have to be touched.
    fn speaks_alike(&self, id: NextHopId, to: &Gateways) -> bool {
        let is_wrapped = |gateways| self.sources.as_ref().is_some_and(|sources| sources.are_for(gateways));
        self.groups.get(&id).is_some_and(|group| is_wrapped(&group.gateways) == is_wrapped(to))
    }

    fn change(&mut self, id: NextHopId, gateways: &Gateways) {
        let Some(group) = self.groups.get_mut(&id) else { return };
        let before = (group.is_v6, std::mem::replace(&mut group.gateways, gateways.clone()));
        if self.by_gateways.get(&before) == Some(&id) {
            self.by_gateways.remove(&before);
        }
        self.by_gateways.entry((before.0, gateways.clone())).or_insert(id);
    }

    fn leave(&mut self, prefix: &IpNet) {
        match self.routes.remove(prefix) {
            Some(Target::Group(id)) => {
                if let Some(group) = self.groups.get_mut(&id) {
                    group.routes -= 1;
                }
            }
            Some(Target::Gateways(_) | Target::Link(_) | Target::Endpoints(_) | Target::Blackhole) | None => {}
        }
    }

    fn group_of(&mut self, is_v6: bool, gateways: &Gateways) -> NextHopId {
        let known = self.by_gateways.get(&(is_v6, gateways.clone())).copied();
        known.unwrap_or_else(|| self.numbers.take())
    }

    fn point(&mut self, prefix: IpNet, id: NextHopId, gateways: Gateways) {
        let is_v6 = is_v6(&prefix);
        let group = self.groups.entry(id).or_insert_with(|| Group { is_v6, gateways: gateways.clone(), routes: 0 });
        group.routes += 1;
        if group.routes == 1 {
            self.by_gateways.entry((is_v6, gateways)).or_insert(id);
        }
        self.routes.insert(prefix, Target::Group(id));
    }

    fn forget_unused(&mut self) {
        for (id, group) in self.groups.extract_if(.., |_, group| group.routes == 0) {
            let key = (group.is_v6, group.gateways);
            if self.by_gateways.get(&key) == Some(&id) {
                self.by_gateways.remove(&key);
            }
            self.numbers.give_back(id);
        }
    }
}

/// The prefixes that leave one group.
#[derive(Default)]
struct Leaving<'a> {
    routes: usize,
    to: Option<&'a Gateways>,
    is_split: bool,
}

impl<'a> Leaving<'a> {
    fn count(&mut self, to: Option<&'a Gateways>) {
        self.routes += 1;
        match (self.to, to) {
            (Some(others), Some(to)) => self.is_split |= others != to,
            (None, to) => self.to = to,
            (Some(_), None) => {}
        }
    }

    /// Where all of them go that go on, if a group can stand for it.
    fn together(&self) -> Option<&'a Gateways> {
        self.to.filter(|gateways| !self.is_split && has_interfaces(gateways))
    }
}

fn is_v6(prefix: &IpNet) -> bool {
    prefix.addr().is_ipv6()
}

fn has_interfaces(gateways: &Gateways) -> bool {
    gateways.iter().all(|gateway| gateway.interface.is_some())
}
