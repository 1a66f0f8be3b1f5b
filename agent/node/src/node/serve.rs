//! Keeps what this host does for services true: probes, routes to its endpoints, and what these may send from.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::action::{Action, Note};
use crate::health::{Health, Turn};
use crate::service::Probe;
use crate::serving::{Serving, serving};
use crate::status::{Member, ServiceUse};

use super::{Node, Role};

impl Node {
    /// Finds out anew who serves what, and has probed what is due.
    pub(super) fn serve(&mut self, now: Instant) {
        if self.has_world_moved && self.role == Role::Host {
            self.serve_anew(now);
        }
        self.actions.extend(self.health.take_due(now).into_iter().map(Action::Probe));
    }

    fn serve_anew(&mut self, now: Instant) {
        let (Some(mirror), Some(kernel)) = (&self.mirror, &self.kernel) else { return };
        if mirror.services().next().is_none() && self.serving == Serving::default() {
            return;
        }
        let (departing, unready) = (self.departing(), self.jobs.announcing());
        let find = |health: &Health| {
            serving(mirror, Self::local(mirror, &self.identity.host, &departing), kernel, health, &unready)
        };
        let wanted = find(&self.health).probes;
        self.health.want(now, &wanted);
        // A newcomer that is believed to be healthy is led to at once.
        let serving = find(&self.health);
        self.policing.lend(&serving.lent);
        self.serving = serving;
    }

    pub(super) fn probed(&mut self, now: Instant, probe: &Probe, outcome: Result<(), String>) {
        match self.health.probed(now, probe, outcome) {
            Some(Turn::Healthy) => self.note(Note::Info(format!("{probe} is healthy"))),
            Some(Turn::Unhealthy(complaint)) => self.note(Note::Warning(format!("{probe} is unhealthy: {complaint}"))),
            None => {}
        }
    }

    /// Each service this host has endpoints of.
    pub(super) fn service_uses(&self) -> Vec<ServiceUse> {
        let Some(mirror) = &self.mirror else { return Vec::new() };
        let uses = self.serving.members.iter().filter_map(|(name, members)| {
            let addresses = mirror.service(name)?.addresses.clone();
            let is_announced = addresses.iter().any(|address| self.origins.contains(&(*address).into()));
            let members = members.iter().map(|(endpoint, probe)| (endpoint.clone(), self.member(probe.as_ref())));
            let members = members.collect::<BTreeMap<_, _>>();
            Some(ServiceUse { name: name.clone(), addresses, is_announced, members })
        });
        uses.collect()
    }

    fn member(&self, probe: Option<&Probe>) -> Member {
        let complaint = probe.and_then(|probe| self.health.complaint(probe)).map(str::to_owned);
        Member { is_healthy: probe.is_none_or(|probe| self.health.is_healthy(probe)), complaint }
    }
}
