//! A host endpoint that a case's packets meet on their way, and what it lets pass of them.
//!
//! In: its name, and in which lanes it is asked. Out: disjoint shares of all traffic between two classes, with its last word on each. Lane after
//! lane is asked until one denies or settles.

use crate::gate::Lane;
use crate::host::Failsafe;
use crate::model::{Action, IpVersion, Policy, Rule};
use crate::region::{Guard, Places, Share, Side, Traffic, kept_open};
use crate::world::World;

/// A host endpoint, and the lanes in which it is asked, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stop<'c> {
    pub(super) host_endpoint: &'c str,
    pub(super) lanes: &'static [Lane],
}

impl<'c> Stop<'c> {
    /// Nothing where no host endpoint is named.
    pub(super) fn at(host_endpoint: Option<&'c str>, lanes: &'static [Lane]) -> Option<Self> {
        host_endpoint.map(|host_endpoint| Self { host_endpoint, lanes })
    }
}

/// The same, in a world.
#[derive(Debug)]
pub(super) struct Crossing<'w> {
    lanes: Vec<(Lane, Guard<'w>)>,
    failsafe: &'w Failsafe,
}

/// Whose word it is.
type By<'w> = Option<(&'w Policy, &'w Rule)>;

/// What becomes of some traffic.
#[derive(Clone, Debug)]
pub(super) struct Passed<'w> {
    pub(super) traffic: Traffic,
    pub(super) allowed: bool,
    /// The rules that allowed it, lane by lane, or the one that denied it.
    rules: Vec<(&'w Policy, &'w Rule)>,
}

impl<'w> Crossing<'w> {
    pub(super) fn of(world: &'w World, failsafe: &'w Failsafe, stop: Stop<'_>) -> Self {
        let labels = world.host_endpoints.get(stop.host_endpoint);
        let lanes = stop.lanes.iter().map(|lane| (*lane, Guard::of(world, labels, *lane)));
        Self { lanes: lanes.collect(), failsafe }
    }

    /// All traffic between two classes.
    pub(super) fn shares(&self, sides: [&Side; 2], family: IpVersion, places: &Places<'_>) -> Vec<Passed<'w>> {
        let mut under_way = vec![Passed { traffic: Traffic::all(), allowed: true, rules: Vec::new() }];
        let mut settled = Vec::new();
        for (lane, guard) in &self.lanes {
            let open = kept_open(self.failsafe, *lane, family);
            let shares = guard.shares(sides, family, places);
            let mut further = Vec::new();
            for passed in &under_way {
                further.extend(passed.meeting(&open, true, None));
                for Share { traffic, allowed, is_settled, by } in &shares {
                    let list = if *is_settled || !allowed { &mut settled } else { &mut further };
                    list.extend(passed.meeting(&traffic.without(&open), *allowed, *by));
                }
            }
            under_way = further;
        }
        settled.extend(under_way);
        settled
    }
}

impl<'w> Passed<'w> {
    /// That part of it to which one lane says this.
    fn meeting(&self, traffic: &Traffic, allowed: bool, by: By<'w>) -> Option<Self> {
        let traffic = self.traffic.and(traffic);
        let former = self.rules.iter().copied().filter(|_| allowed);
        let rules = former.chain(by).collect();
        (!traffic.is_empty()).then_some(Self { traffic, allowed, rules })
    }

    /// Whether a rule that is looked for says what becomes of it.
    pub(super) fn is_by(&self, is_it: impl Fn(&Policy, &Rule) -> bool) -> bool {
        self.rules.iter().any(|(policy, rule)| (rule.action == Action::Allow) == self.allowed && is_it(policy, rule))
    }
}
