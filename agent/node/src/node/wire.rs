//! Brings the kernel to what should be, one batch at a time, and moves the requests that waited for it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use poplin_policy::ruleset::Interface;

use crate::action::{Action, Note};
use crate::addresses::Addresses;
use crate::floating;
use crate::job::{Job, Stage, Wish};
use crate::kernel::{LinkState, NewLink, NewMacvlan, Step, StepFailure, StepFailureKind, Target};
use crate::lan::Lan;
use crate::macvlan::group_of;
use crate::mirror::Mirror;
use crate::name::AttachmentId;
use crate::network::{gateway, gateway_v4, gateway_v6};
use crate::object::Endpoint;
use crate::plan::{self, Desired, DesiredLink};
use crate::policing::Load;
use crate::request::{Answer, Attached, Refusal};
use crate::serving::lent_to;
use crate::wish::{interface_name, mac_of, waiting_name};

use super::{Node, Role};

/// The wait after a step the kernel refused, doubled with each failure in a row.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest such wait.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Learned routes of one batch: about 30 ms of the kernel's time, so that an attachment does not wait for a whole table.
const ROUTES_AT_ONCE: usize = 8192;

/// Steps under way, and the rules that will be loaded once they are done.
#[derive(Debug)]
pub(super) struct Batch {
    steps: Vec<Step>,
    rules: Option<Load>,
    /// Attachments whose links these steps touch, so that they stand once it is done.
    meets: Vec<AttachmentId>,
}

/// The requests that the plan for the kernel looks at.
#[derive(Debug, Default)]
pub(super) struct Courses {
    /// Those being wired.
    wiring: Vec<AttachmentId>,
    /// Those that are to have nothing there.
    departing: BTreeSet<AttachmentId>,
}

/// How the change of rules fared in a batch that failed.
enum Fared {
    Done,
    Failed,
    NotTried,
}

impl Batch {
    /// Whether rules are on their way with it that may deny what those in force allow.
    pub(super) fn is_tightening(&self) -> bool {
        self.rules.as_ref().is_some_and(|load| load.may_deny_more)
    }

    /// Another hand changed our table meanwhile: whether before or after our own change, nobody knows.
    pub(super) fn doubt_rules(&mut self) {
        self.rules = None;
    }

    /// Whether it changes rules.
    pub(super) fn has_rules(&self) -> bool {
        self.rules.is_some()
    }

    /// Steps before the failed one were done, those after it were not tried.
    fn rules_fared(&self, failed: &Step) -> Fared {
        let done = self.steps.iter().take_while(|step| *step != failed);
        match failed {
            Step::ChangeRules(_) => Fared::Failed,
            _ if done.into_iter().any(|step| matches!(step, Step::ChangeRules(_))) => Fared::Done,
            _ => Fared::NotTried,
        }
    }
}

impl Node {
    /// Plans, unless nothing has happened since the last plan that could make another of it. Simulations and tests plan all the same, and look whether it does.
    pub(super) fn apply_if_due(&mut self, now: Instant) {
        let is_due = self.has_world_moved || self.is_plan_due || !self.is_planned_as(&self.planned);
        self.apply_or_look(now, is_due);
    }

    /// Plans once more in a turn, unless what was planned before can only come out the same. Simulations and tests plan all the same, and look whether it does.
    pub(super) fn apply_again(&mut self, now: Instant, before: &Courses) {
        let is_due = !self.is_planned_as(before);
        self.apply_or_look(now, is_due);
    }

    fn apply_or_look(&mut self, now: Instant, is_due: bool) {
        if is_due || cfg!(debug_assertions) {
            let was_under_way = self.batch.is_some();
            self.apply(now);
            debug_assert!(is_due || self.batch.is_some() == was_under_way, "{:?} was due unforeseen", self.batch);
        }
    }

    /// What of the requests a plan depends on.
    pub(super) fn courses(&self) -> Courses {
        Courses { wiring: self.jobs.at(|stage| *stage == Stage::Wiring), departing: self.departing() }
    }

    /// Whether nothing has changed in this turn that a plan made since could tell. One whose link stands by now may be ready.
    fn is_planned_as(&self, before: &Courses) -> bool {
        let now = self.courses();
        let stands = |one: &AttachmentId| {
            self.kernel.as_ref().is_some_and(|kernel| kernel.links.contains_key(&interface_name(one)))
        };
        !self.routing.has_news()
            && now.departing == before.departing
            && now.wiring.iter().all(|one| before.wiring.contains(one))
            && before.wiring.iter().all(|one| now.wiring.contains(one) || stands(one))
    }

    /// Plans, and sends the plan if there is something to do.
    pub(super) fn apply(&mut self, now: Instant) {
        let is_pausing = self.apply_after.is_some_and(|after| after > now);
        if self.batch.is_some() || is_pausing || self.me().is_none() || self.kernel.is_none() {
            return;
        }
        self.is_plan_due = false;
        self.planned = self.courses();
        self.flows.superseded(&mut self.policing);
        let wanted = match self.role {
            Role::Host if self.is_recalled => self.desired_by_recall(),
            Role::Host => self.desired(),
            Role::Speaker { installs } => installs.then(|| (Desired::default(), None)),
        };
        let Some((desired, rules)) = wanted else { return };
        let meets = self.doubt_links();
        let steps = self.next_steps(&desired);
        if steps.is_empty() {
            return;
        }
        self.batch = Some(Batch { steps: steps.clone(), rules, meets });
        self.actions.push_back(Action::Apply(steps));
    }

    /// The link of one being wired that seems to stand may have been removed a moment ago. Its switches are set anew: that fails where it is gone,
    /// and what is read after that tells the truth. Tells whose links these are.
    fn doubt_links(&mut self) -> Vec<AttachmentId> {
        let unmet = self.jobs.unmet();
        let kernel = self.kernel.as_mut().expect("whoever plans has looked whether it was read");
        for attachment in &unmet {
            if let Some(link) = kernel.links.get_mut(&interface_name(attachment)) {
                link.is_configured = false;
            }
        }
        unmet
    }

    /// The next batch: all that is local, and a piece of what is learned, the first in which something is to be done.
    fn next_steps(&mut self, desired: &Desired) -> Vec<Step> {
        loop {
            let due = self.learned_due(ROUTES_AT_ONCE);
            let kernel = self.kernel.as_ref().expect("whoever plans has looked whether it was read");
            let steps = plan::plan(desired, &due, kernel);
            if due.is_last || !steps.is_empty() {
                return steps;
            }
        }
    }

    /// What the kernel should hold.
    fn desired(&mut self) -> Option<(Desired, Option<Load>)> {
        self.follow_tunnels();
        let departing = self.departing();
        let mirror = self.mirror.as_ref()?;
        let own = mirror.blocks_of(&self.identity.host);
        let lan = Lan::of(mirror);
        let own = own.filter(|block| !lan.has(block.cidr.addr())).map(|block| (block.cidr, Target::Blackhole));
        let served = self.serving.routes.iter().map(|(prefix, target)| (*prefix, target.clone()));
        let here: Vec<&Endpoint> = Self::local(mirror, &self.identity.host, &departing).collect(); // each is looked up once, and asked for often
        let local = || here.iter().copied();
        let floating = self.kernel.iter().flat_map(|kernel| floating::routes(mirror, local(), kernel));
        let routes = own.chain(served).chain(floating).collect();
        let due = self.policing.due(mirror, local());
        let wiring = self.jobs.at(|stage| *stage == Stage::Wiring);
        let mut by_interface = here.clone(); // pointers are sorted faster than what is made of them
        by_interface.sort_unstable_by_key(|endpoint| &endpoint.interface);
        let links: BTreeMap<Interface, DesiredLink> = by_interface
            .into_iter()
            .map(|endpoint| {
                let is_wiring = wiring.contains(&endpoint.attachment);
                (endpoint.interface.clone(), desired_link(mirror, endpoint, is_wiring))
            })
            .collect();
        let rules = due.as_ref().map(|load| load.changes.clone());
        let proxied = self.kernel.iter().flat_map(|kernel| lan.proxied(&links, kernel)).collect();
        let leaving = || mirror.endpoints_on(&self.identity.host).filter(|one| departing.contains(&one.attachment));
        let only_leaving: Option<BTreeSet<Interface>> =
            self.has_strangers(mirror).then(|| leaving().map(|one| one.interface.clone()).collect());
        let closed: BTreeSet<Interface> =
            self.reassertion.contested.values().map(|one| one.endpoint.interface.clone()).collect();
        let (gateways, forwarding) = (Self::gateways(mirror, local()), self.needs_forwarding());
        let rules = rules.unwrap_or_default();
        let is_waiting =
            |interface: &Interface| self.kernel.as_ref().is_some_and(|kernel| kernel.links.contains_key(interface));
        let touched = self.policing.take_touched();
        let rules_of = (&self.policing, mirror);
        let sandboxes = self.sandboxes.due(rules_of, touched, local(), is_waiting, &closed, only_leaving.as_ref());
        if !self.sandboxes.are_any() {
            self.policing.forget_touched();
        }
        let desired = Desired {
            rules,
            gateways,
            links,
            only_leaving,
            closed,
            routes,
            proxied,
            forwarding,
            sandboxes,
            tunnel: self.tunnelling.tunnel(),
            keeps_tunnel: false,
            tunnel_rests: self.tunnel_after.is_some(),
        };
        Some((desired, due))
    }

    pub(super) fn needs_forwarding(&self) -> bool {
        !self.is_forwarding || self.kernel.as_ref().is_some_and(|kernel| kernel.is_forwarding_off)
    }

    /// The next hops of containers here.
    pub(super) fn gateways<'a>(mirror: &Mirror, local: impl Iterator<Item = &'a Endpoint>) -> BTreeSet<IpAddr> {
        let networks: BTreeSet<_> = local.filter_map(|endpoint| endpoint.network.as_ref()).collect();
        let networks = networks.into_iter().filter_map(|name| mirror.network(name));
        networks.map(|network| gateway_v4(network.index)).chain([plan::GATEWAY_V4]).collect()
    }

    pub(super) fn steps_done(&mut self, now: Instant, result: Result<(), StepFailure>) {
        let Some(batch) = self.batch.take() else { return };
        match result {
            Ok(()) => {
                self.answer_first(now, &batch.steps);
                self.batch_done(batch);
            }
            Err(failure) => self.batch_failed(now, batch, failure),
        }
    }

    fn batch_done(&mut self, batch: Batch) {
        self.sandboxes.done();
        self.steps_stand(batch);
    }

    /// All of these steps are done.
    fn steps_stand(&mut self, batch: Batch) {
        if let Some(kernel) = &mut self.kernel {
            for step in &batch.steps {
                plan::advance(kernel, step);
            }
        }
        for attachment in batch.meets {
            if let Some(job) = self.jobs.get_mut(&attachment) {
                job.is_met |= job.stage == Stage::Wiring;
            }
        }
        if let Some(rules) = batch.rules {
            self.load(rules);
        }
        if self.tunnel_after.is_none() && batch.steps.iter().any(Step::is_of_tunnels) {
            self.tunnel_error = None;
        }
        self.is_forwarding |= batch.steps.contains(&Step::EnableForwarding);
        if self.kernel_error.take().is_some() {
            self.note(Note::Info("the kernel is as it should be again".to_owned()));
        }
        self.failures = 0;
    }

    fn batch_failed(&mut self, now: Instant, mut batch: Batch, failure: StepFailure) {
        self.sandboxes.undone(&batch.steps, &failure.step);
        if let Step::ChangeSandbox { .. } | Step::LeaveSandbox { .. } = failure.step {
            // What goes wrong in a container is no matter of the host's: all that came before it stands, and the rest is planned again.
            batch.steps.truncate(batch.steps.iter().take_while(|step| **step != failure.step).count());
            self.steps_stand(batch);
            return self.sandbox_failed(now, &failure);
        }
        if failure.step.is_of_tunnels() {
            // Nor is a tunnel: what is led elsewhere goes on, and who joins is answered.
            batch.steps.truncate(batch.steps.iter().take_while(|step| **step != failure.step).count());
            self.groups.doubt();
            self.steps_stand(batch);
            return self.tunnel_failed(now, &failure);
        }
        self.kernel = None; // a fresh reading follows by itself
        match (batch.rules_fared(&failure.step), batch.rules) {
            (Fared::Done, Some(rules)) => self.load(rules),
            (Fared::NotTried, Some(rules)) => self.policing.put_back(rules),
            (Fared::Failed, _) => self.policing.forget(),
            (Fared::Done | Fared::NotTried, None) => {}
        }
        match &failure.step {
            Step::CreateLink(new) => self.link_failed(new, &failure),
            _ => self.pause(now, &failure),
        }
    }

    /// These rules are in force.
    fn load(&mut self, load: Load) {
        self.flows.loaded(load.may_deny_more);
        self.policing.load(&load);
    }

    fn pause(&mut self, now: Instant, failure: &StepFailure) {
        let pause = pause_after(self.failures);
        self.failures += 1;
        self.apply_after = Some(now + pause);
        let error = format!("the kernel refused {}: {}", failure.step.describe(), failure.reason);
        self.note(Note::Warning(format!("{error}; trying again in {pause:?}")));
        self.kernel_error = Some(error);
    }

    fn link_failed(&mut self, new: &NewLink, failure: &StepFailure) {
        let mirror = self.mirror.as_ref().expect("a link is made for an endpoint of the mirror");
        let is_its = |endpoint: &&Endpoint| endpoint.interface == new.interface;
        let Some(endpoint) = mirror.endpoints_on(&self.identity.host).find(is_its).cloned() else { return };
        let attachment = endpoint.attachment.clone();
        let reason = failure.reason.clone();
        let refusal = match failure.kind {
            StepFailureKind::NamespaceMissing | StepFailureKind::NotANamespace => {
                Refusal::NamespaceMissing { netns: new.netns.clone(), reason }
            }
            StepFailureKind::InterfaceExists => Refusal::InterfaceExists { interface: new.container_interface.clone() },
            StepFailureKind::RulesOutOfStep | StepFailureKind::Other => {
                Refusal::Wiring { attachment: attachment.clone(), reason }
            }
        };
        self.undo(&attachment, endpoint, refusal);
    }

    /// The tunnel is left as it is for a while.
    fn tunnel_failed(&mut self, now: Instant, failure: &StepFailure) {
        self.tunnel_after = Some(now + LONGEST_PAUSE);
        let error = format!("the kernel refused {}: {}", failure.step.describe(), failure.reason);
        if self.tunnel_error.as_ref() != Some(&error) {
            self.note(Note::Warning(format!("{error}; trying again every {LONGEST_PAUSE:?}")));
            self.tunnel_error = Some(error);
        }
    }

    /// Rules cannot be written where an interface is: where it has none yet it stays closed, and else the former ones stand. With its namespace all of
    /// it is gone, as its runtime is about to say. Or it cannot be taken from there: somebody waits for that.
    fn sandbox_failed(&mut self, now: Instant, failure: &StepFailure) {
        let pause = match &failure.step {
            Step::ChangeSandbox { interface, netns, .. } => {
                self.sandboxes.refuse(interface, netns, Some(self.policing.generation()));
                LONGEST_PAUSE
            }
            Step::LeaveSandbox { interface, netns, .. } => {
                let times = self.sandboxes.refuse(interface, netns, None);
                pause_after(times - 1)
            }
            _ => return,
        };
        self.sandboxes_after = Some(self.sandboxes_after.map_or(now + pause, |after| after.min(now + pause)));
        match failure.kind {
            StepFailureKind::NamespaceMissing | StepFailureKind::NotANamespace => {}
            StepFailureKind::InterfaceExists | StepFailureKind::RulesOutOfStep | StepFailureKind::Other => {
                let error = format!("the kernel refused {}: {}", failure.step.describe(), failure.reason);
                self.note(Note::Warning(format!("{error}; trying again in {pause:?}")));
            }
        }
    }

    /// Takes an attachment back that cannot be completed, and answers once nothing is left of it.
    pub(super) fn undo(&mut self, attachment: &AttachmentId, endpoint: Endpoint, refusal: Refusal) {
        if let Some(job) = self.jobs.get_mut(attachment) {
            job.wish = Wish::Undo(refusal);
            job.stage = Stage::Unwiring(Box::new(endpoint));
            self.policing.touch_local();
            self.has_world_moved = true;
        }
    }

    /// A runtime gives the interface of one on a LAN back a moment before it says that he leaves, and the word of that may be on its way: it is
    /// removed in any case.
    fn suspect_link(&mut self, endpoint: &Endpoint) {
        let Some(kernel) = self.kernel.as_mut().filter(|_| endpoint.parent.is_some()) else { return };
        kernel.links.entry(endpoint.interface.clone()).or_insert(LinkState {
            index: 0,
            is_up: false,
            mac: endpoint.mac,
            mtu_bytes: endpoint.mtu_bytes,
            is_configured: false,
            has_loopback: false,
        });
    }

    /// Detachments that wait begin to leave the kernel.
    pub(super) fn advance_jobs(&mut self) {
        for attachment in self.jobs.at(|stage| *stage == Stage::Waiting) {
            let is_detach = self.jobs.get_mut(&attachment).is_some_and(|job| matches!(job.wish, Wish::Detach));
            let Some(mirror) = self.mirror.as_ref().filter(|_| is_detach) else { continue };
            match mirror.endpoint_on(&attachment, &self.identity.host).cloned() {
                Some(endpoint) => {
                    self.suspect_link(&endpoint);
                    self.set_stage(&attachment, Stage::Unwiring(Box::new(endpoint)));
                }
                None if self.may_be_written(&attachment) => continue, // asked of the store, or answered when its time is up
                None => self.finish(&attachment, Answer::Detached(None)),
            }
            self.policing.touch_local();
        }
    }

    /// What waited for the kernel, and got what it waited for, moves on.
    pub(super) fn advance_wired(&mut self, now: Instant) {
        let Some(kernel) = self.kernel.as_ref().filter(|_| self.batch.is_none()) else { return };
        let is_gone = |stage: &Stage| match stage {
            Stage::Unwiring(endpoint) => {
                !kernel.links.contains_key(&endpoint.interface) && !self.sandboxes.has(&endpoint.interface)
            }
            _ => false,
        };
        for attachment in self.jobs.at(is_gone) {
            let Some(job) = self.jobs.get_mut(&attachment) else { continue };
            if let Stage::Unwiring(endpoint) = std::mem::replace(&mut job.stage, Stage::Waiting) {
                job.stage = Stage::Leaving(endpoint);
            }
        }
        // The link of one on a LAN is not touched once it is made: nobody else knows of it, and its runtime may take it at any time.
        let is_on_a_lan =
            |attachment: &AttachmentId| self.endpoint_of(attachment).is_some_and(|endpoint| endpoint.parent.is_some());
        let is_met = |(attachment, job): &(&AttachmentId, &Job)| {
            job.stage == Stage::Wiring && (job.is_met || is_on_a_lan(attachment))
        };
        let met: Vec<AttachmentId> = self.jobs.all().filter(is_met).map(|(attachment, _)| attachment.clone()).collect();
        for attachment in met {
            if let Some(attached) = self.attached(&attachment) {
                self.wired(now, &attachment, attached);
            }
        }
    }

    /// The answer to an attachment whose every part stands.
    pub(super) fn attached(&self, attachment: &AttachmentId) -> Option<Attached> {
        let (mirror, kernel) = (self.mirror.as_ref()?, self.kernel.as_ref()?);
        let endpoint = mirror.endpoint_on(attachment, &self.identity.host)?;
        let is_wired = match &endpoint.parent {
            None => plan::is_wired(&endpoint.interface, &endpoint.addresses, endpoint.mac, kernel),
            Some(_) => kernel.links.contains_key(&endpoint.interface) || self.sandboxes.stand(endpoint),
        };
        (is_wired && self.policing.covers(&endpoint.interface)).then(|| self.promise(endpoint))
    }

    /// What an attached container's side needs to know.
    pub(super) fn promise(&self, endpoint: &Endpoint) -> Attached {
        let key = crate::object::ObjectKey::Endpoint(endpoint.name.clone());
        let network =
            self.mirror.as_ref().zip(endpoint.network.as_ref()).and_then(|(mirror, name)| mirror.network(name));
        let gateway = |address: &IpAddr| gateway(network, address.is_ipv6());
        Attached {
            gateways: endpoint.addresses.iter().map(gateway).collect(),
            gateway_mac: mac_of(&endpoint.attachment, "host"),
            lent: self.mirror.as_ref().map(|mirror| lent_to(mirror, endpoint)).unwrap_or_default(),
            resolver: self.resolver(endpoint, network),
            subnets: network.map(|network| network.subnets.clone()).unwrap_or_default(),
            waiting: waiting(endpoint),
            lan: network.and_then(|network| network.macvlan.clone()),
            version: self.mirror.as_ref().and_then(|mirror| mirror.version(&key)).unwrap_or_default(),
            endpoint: endpoint.clone(),
        }
    }

    /// Tells the LAN of addresses that have come.
    pub(super) fn advertise(&mut self, now: Instant) {
        let Some(kernel) = &self.kernel else { return };
        self.advertising.follow(now, &kernel.proxied);
        let due = self.advertising.take_due(now);
        if !due.is_empty() {
            self.actions.push_back(Action::AdvertiseNeighbours(due));
        }
    }

    /// Requests whose time is up are answered; what they began is taken back.
    pub(super) fn expire_jobs(&mut self, now: Instant) {
        let overdue = self.jobs.overdue(now);
        if overdue.is_empty() {
            return;
        }
        let awaited = self.awaited();
        for attachment in overdue {
            let Some(job) = self.jobs.get_mut(&attachment) else { continue };
            job.deadline = now + crate::job::PATIENCE;
            if job.stage == Stage::Announcing {
                self.give_up_announcing(now, &attachment);
                continue;
            }
            let late = || "it did not answer in time".to_owned();
            let reason = self.store_error.clone().or(self.write_error.clone());
            let by_store = Refusal::StoreUnreachable { reason: reason.unwrap_or_else(late) };
            let by_kernel = Refusal::Wiring {
                attachment: attachment.clone(),
                reason: self.kernel_error.clone().unwrap_or_else(late),
            };
            let own = self.mirror.as_ref().and_then(|mirror| mirror.endpoint_on(&attachment, &self.identity.host));
            match (&job.stage, &job.wish, own.cloned()) {
                (Stage::Wiring, _, Some(endpoint)) => self.undo(&attachment, endpoint, by_kernel),
                (_, Wish::Undo(refusal), _) => {
                    let refusal = refusal.clone();
                    self.finish(&attachment, Answer::Refused(refusal));
                }
                (Stage::Unwiring(_), ..) => self.finish(&attachment, Answer::Refused(by_kernel)),
                (_, Wish::Attach(_) | Wish::Hold(_), None) if self.store_error.is_none() && !awaited.is_empty() => {
                    self.finish(&attachment, Answer::Refused(Refusal::StoreForgot { hosts: awaited.clone() }));
                }
                _ => self.finish(&attachment, Answer::Refused(by_store)),
            }
        }
    }
}

/// The wait after so many failures in a row and one more.
fn pause_after(failures: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << failures.min(10)).min(LONGEST_PAUSE)
}

/// What the container's side is called while it is the runtime's to take from the host.
fn waiting(endpoint: &Endpoint) -> Option<String> {
    match &endpoint.parent {
        Some(_) => Some(endpoint.interface.to_string()),
        None => endpoint.netns.as_os_str().is_empty().then(|| waiting_name(&endpoint.attachment)),
    }
}

fn desired_link(mirror: &Mirror, endpoint: &Endpoint, is_wiring: bool) -> DesiredLink {
    let network = endpoint.network.as_ref().and_then(|name| mirror.network(name));
    let group = || group_of(&endpoint.attachment);
    let macvlan = endpoint.parent.as_ref().map(|parent| NewMacvlan { parent: parent.clone(), group: group() });
    let is_macvlan = macvlan.is_some();
    let is_to_be_made = is_wiring && !endpoint.is_in_a_sandbox();
    let create = is_to_be_made.then(|| NewLink {
        interface: endpoint.interface.clone(),
        mac: mac_of(&endpoint.attachment, "host"),
        container_interface: match endpoint.netns.as_os_str().is_empty() {
            true => waiting_name(&endpoint.attachment),
            false => endpoint.attachment.interface.clone(),
        },
        container_mac: endpoint.mac,
        netns: endpoint.netns.clone(),
        mtu_bytes: endpoint.mtu_bytes,
        gateway_v6: network.filter(|_| !is_macvlan).map(|network| gateway_v6(network.index)),
        macvlan,
    });
    let has_loopback = endpoint.published.iter().any(|port| port.concerns(false));
    let addresses = if is_macvlan { Addresses::default() } else { endpoint.addresses.clone() };
    DesiredLink { create, addresses, container_mac: endpoint.mac, has_loopback, is_macvlan }
}
