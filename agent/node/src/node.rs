//! How the parts work together: what happened is noted down, then everything that can move is moved.
//!
//! In: [`Event`]s. Out: [`Action`]s. At any time at most one transaction and one batch of kernel steps are under way; what
//! becomes due meanwhile coalesces into the next one, so nothing here grows with the length of a wait.
//! Nothing is applied before the store, or what an earlier life wrote down of it, and the kernel have both been read once.

mod afar;
mod announce;
mod call;
mod debt;
mod hear;
mod history;
mod inside;
mod namesake;
mod naming;
mod read_only;
mod reassert;
mod recall;
mod recheck;
mod register;
mod report;
mod role;
mod route;
mod serve;
mod tidy;
mod transact;
mod truth;
mod wire;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use ipnet::IpNet;
use poplin_bgp::{Address, Asn, Speaker, Zone, bfd};
use poplin_policy::label::Labels;

use crate::action::{Action, Note};
use crate::cooling::Cooling;
use crate::event::Event;
use crate::flows::Flows;
use crate::groups::Groups;
use crate::health::Health;
use crate::job::{Jobs, Wish};
use crate::kernel::KernelState;
use crate::lan::Advertising;
use crate::lineage::Id;
use crate::mirror::Mirror;
use crate::name::{AttachmentId, HostName};
use crate::names::NameDoor;
use crate::object::{Endpoint, Host, ObjectKey};
use crate::peering::{How, Met, Peering};
use crate::plan::is_linked;
use crate::policing::Policing;
use crate::release::{MinWriter, Release};
use crate::request::{Answer, Detach, Refusal, RequestId};
use crate::routing::Routing;
use crate::sandboxes::Sandboxes;
use crate::serving::Serving;
use crate::statics::Statics;
use crate::tunnel::Tunnelling;
use crate::underlay;
use crate::wish::departing;

pub use namesake::NameConflict;
pub use role::Role;

use afar::Distance;
use debt::Debts;
use history::History;
use reassert::Reassertion;
use transact::InFlight;
use wire::{Batch, Courses};

/// How long routes of an earlier life are kept once the neighbours are known, unless one of them has spoken of them since. A
/// neighbour that dials every 5 s and sends its table within seconds is back well before; RFC 4724 §4.1 asks for such a bound.
const ADOPTION: Duration = Duration::from_secs(30);

/// Ways that BFD watches.
type Ways = BTreeMap<Address, bfd::Settings>;

/// Who this node is: what its operator configured.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its name; unique in the fabric.
    pub host: HostName,
    /// Labels of its host object, if it is the first to write it.
    pub labels: Labels,
    /// Where others reach it; empty = found out from the routes.
    pub addresses: BTreeSet<IpAddr>,
    /// Its own AS; absent = the fabric's.
    pub asn: Option<Asn>,
    /// BGP identifier; absent = its IPv4 address.
    pub router_id: Option<Ipv4Addr>,
    /// Which machine this is, so that no other takes its name; absent = it is not known, and whoever has this name is taken for this host.
    pub machine: Option<Id>,
    /// Which agent this is; absent = one that may write whatever the store says.
    pub release: Option<Release>,
}

/// One node.
#[derive(Debug)]
pub struct Node {
    identity: Identity,
    role: Role,

    mirror: Option<Mirror>,
    /// Why this host does nothing under its name, if it is another machine's.
    name_conflict: Option<NameConflict>,
    /// Why the store is out of reach, if it is.
    store_error: Option<String>,
    /// Why the last transaction was not answered; absent = it was, or the store has told of news since.
    write_error: Option<String>,
    /// How near the store is, for those who want to join.
    distance: Distance,
    /// Blocks that a transaction without an answer was about.
    doubtful: BTreeSet<ObjectKey>,
    /// Whether the mirror is what an earlier life knew, and the store was not read since.
    is_recalled: bool,
    /// Whether rules of an earlier life stand, and stay as they are until then.
    keeps_rules: bool,
    /// Whether what stands in the store is not whole, because an import is under way.
    is_importing: bool,
    /// From which schema on the store takes writes.
    min_writer: MinWriter,
    /// Who left while the store was away, and still stands in it.
    debts: Debts,
    /// What an earlier life knew, to be compared with the first listing.
    remembered: Option<Mirror>,
    /// What is done since the store forgot.
    reassertion: Reassertion,
    /// Which history the store tells, and which was known.
    history: History,
    in_flight: Option<InFlight>,
    transactions: u64,
    /// No transaction before then: the last one's outcome is unknown.
    transact_after: Option<Instant>,

    kernel: Option<KernelState>,
    policing: Policing,
    sandboxes: Sandboxes,
    /// When those are tried again that could not be written.
    sandboxes_after: Option<Instant>,
    batch: Option<Batch>,
    flows: Flows,
    /// When the flows were asked for that are being read.
    flows_asked: Option<Instant>,
    /// Whether rules of sandboxes were still to follow then.
    flows_ahead: bool,
    /// No reading of the flows before then: the last one failed, or was a moment ago.
    flows_after: Option<Instant>,
    is_forwarding: bool,
    /// Why the last batch failed, if it did; the plan is made again at `apply_after`.
    kernel_error: Option<String>,
    /// Why the tunnel is not as it should be.
    tunnel_error: Option<String>,
    /// When it is tried again.
    tunnel_after: Option<Instant>,
    apply_after: Option<Instant>,
    failures: u32,

    /// Of which addresses a LAN is being told.
    advertising: Advertising,

    /// What is done for services.
    serving: Serving,
    health: Health,

    jobs: Jobs,
    /// Addresses that were promised, and until when nobody else gets them.
    held: BTreeMap<IpAddr, Instant>,
    /// Addresses that were given back.
    cooling: Cooling,
    /// Whether a block may have become one to be given back.
    is_untidy: bool,
    /// When one will, if nothing happens.
    tidy_at: Option<Instant>,
    /// Endpoints that may stand in the store unheard of: what wrote them was never answered.
    uncertain: BTreeMap<AttachmentId, ObjectKey>,

    speaker: Option<Speaker>,
    peering: Option<Peering>,
    /// Who called from the prefix of a peer, and has not been forgotten since.
    callers: BTreeSet<Address>,
    /// Prefixes that neighbours are to have acknowledged, as the speaker was last told; absent = it is to be told anew.
    awaited_receipts: Option<BTreeSet<IpNet>>,
    /// Who showed himself on a link that a peer has to himself.
    met: Met,
    /// The links on which neighbours were last asked for.
    discovered: BTreeMap<Zone, u32>,
    /// Until when it reflects although it is no reflector any more.
    reflects_until: Option<Instant>,
    tunnelling: Tunnelling,
    routing: Routing,
    statics: Statics,
    /// The ways that BGP wants watched, and all that were asked for.
    bgp_ways: Ways,
    watched: Ways,
    groups: Groups,
    origins: BTreeSet<IpNet>,
    /// Whether the kernel was ever read, and what an earlier life left there taken over.
    has_adopted: bool,
    /// Until when routes of an earlier life are kept; absent = the neighbours are not known yet.
    adopted_until: Option<Instant>,

    /// Whether it serves names, if the fabric does.
    serves_names: bool,
    /// Where containers may ask for names, as was last told.
    name_doors: BTreeSet<NameDoor>,

    /// Whether something has happened that services, neighbours, names or the plan for the kernel depend on, since they were last looked at.
    has_world_moved: bool,
    /// Whether the store has told something that the last plan had not heard, as of containers elsewhere whom rules name.
    is_plan_due: bool,
    /// The requests as that plan saw them.
    planned: Courses,
    /// Whether anything else than the store has happened that neighbours depend on, since they were last looked at.
    is_peering_due: bool,
    /// What had moved of the fabric by then.
    peered_at: u64,
    actions: VecDeque<Action>,
}

impl Node {
    /// A host's node that knows nothing of the world yet.
    pub fn new(identity: Identity) -> Self {
        Self::with_role(identity, Role::Host)
    }

    /// A node of this role that knows nothing of the world yet.
    pub fn with_role(identity: Identity, role: Role) -> Self {
        Self {
            role,
            policing: Policing::of(identity.host.clone()),
            identity,
            mirror: None,
            name_conflict: None,
            distance: Distance::default(),
            doubtful: BTreeSet::new(),
            store_error: Some("it has not been read yet".to_owned()),
            write_error: None,
            is_recalled: false,
            keeps_rules: false,
            is_importing: false,
            min_writer: MinWriter::Unsaid,
            debts: Debts::default(),
            remembered: None,
            reassertion: Reassertion::default(),
            history: History::default(),
            in_flight: None,
            transactions: 0,
            transact_after: None,
            kernel: None,
            sandboxes: Sandboxes::default(),
            sandboxes_after: None,
            batch: None,
            flows: Flows::default(),
            flows_asked: None,
            flows_ahead: false,
            flows_after: None,
            is_forwarding: false,
            kernel_error: None,
            tunnel_error: None,
            tunnel_after: None,
            apply_after: None,
            failures: 0,
            advertising: Advertising::default(),
            serving: Serving::default(),
            health: Health::default(),
            jobs: Jobs::default(),
            held: BTreeMap::new(),
            cooling: Cooling::default(),
            is_untidy: false,
            tidy_at: None,
            uncertain: BTreeMap::new(),
            speaker: None,
            peering: None,
            callers: BTreeSet::new(),
            awaited_receipts: Some(BTreeSet::new()),
            met: Met::default(),
            discovered: BTreeMap::new(),
            reflects_until: None,
            tunnelling: Tunnelling::default(),
            routing: Routing::default(),
            statics: Statics::default(),
            bgp_ways: Ways::new(),
            watched: Ways::new(),
            groups: Groups::default(),
            origins: BTreeSet::new(),
            has_adopted: false,
            adopted_until: None,
            serves_names: true,
            name_doors: BTreeSet::new(),
            has_world_moved: true,
            is_plan_due: true,
            planned: Courses::default(),
            is_peering_due: true,
            peered_at: 0,
            actions: VecDeque::new(),
        }
    }

    /// Something happened.
    pub fn handle(&mut self, now: Instant, event: Event) {
        self.has_world_moved |= moves_the_world(&event);
        self.is_peering_due |= moves_neighbours(&event);
        match event {
            Event::Tick => self.tick_speaker(now),
            Event::Seeded(seed) => self.seeded(seed),
            Event::StoreRead { revision, objects, unreadable } => self.store_read(revision, objects, unreadable),
            Event::StoreRecalled { revision, objects, shared, rules_stand } => {
                self.store_recalled(revision, objects, shared, rules_stand);
            }
            Event::DebtsRecalled(debts) => self.debts.recall(debts),
            Event::DebtsWritten(result) => self.debts_written(result),
            Event::Importing(is_under_way) => self.importing(is_under_way),
            Event::MinWriter(min_writer) => self.min_writer_told(min_writer),
            Event::StoreReplaced => self.debts.forgive(),
            Event::StoreRemembered { revision, objects, shared } => self.store_remembered(revision, objects, shared),
            Event::StoreIsAnother => self.reassertion.is_another_store = true,
            Event::StoreChanged { revision, puts, unreadable, deletes } => {
                self.store_changed(revision, puts, unreadable, deletes);
            }
            Event::StoreLost { reason } => self.store_lost(reason),
            Event::TransactionDone { id, outcome } => self.transaction_done(now, id, outcome),
            Event::KernelRead(state) => self.kernel_read(state),
            Event::RulesAltered => self.rules_altered(),
            Event::StepsDone(result) => self.steps_done(now, result),
            Event::FlowsRead(flows) => self.flows_read(flows),
            Event::FlowsDone(result) => self.flows_done(now, result),
            Event::AttachRequested(request, attach) => {
                let attachment = attach.attachment.clone();
                self.begin(now, request, attachment, Wish::Attach(attach));
            }
            Event::DetachRequested(request, detach) => self.begin_detach(now, request, &detach),
            Event::HoldRequested(request, hold) => self.begin(now, request, nobody(request), Wish::Hold(hold)),
            Event::RenewRequested(request, renew) => {
                let attachment = renew.attachment.clone();
                self.begin(now, request, attachment, Wish::Renew(renew));
            }
            Event::HoldEnded(address) => self.let_go(now, address),
            Event::NeighbourMet { zone, address } => self.meet(now, zone, Address::on(address, zone), How::Advertised),
            Event::Probed(probe, outcome) => self.probed(now, &probe, outcome),
            Event::Bgp(event) => self.speaker_event(now, event),
        }
        self.settle(now);
    }

    /// What should be done next. Drain until nothing comes before the next [`handle`](Self::handle).
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Event::Tick`] is due, even if nothing happens.
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.name_conflict.is_some() {
            return None; // nothing is done, whatever is due: only news can change that
        }
        let speaker = self.speaker.as_ref().and_then(Speaker::next_deadline);
        let after = [
            self.apply_after,
            self.transact_after,
            self.flows_after,
            self.reflects_until,
            self.tidy_at,
            self.distance.deadline(),
            self.advertising.next_deadline(),
            self.sandboxes_after,
            self.tunnel_after,
        ];
        let ends = [self.jobs.next_deadline(), self.adoption_ends(), self.health.next_deadline(), speaker];
        after.into_iter().chain(ends).flatten().min()
    }

    /// Whether the store and the kernel have been read and this host stands in the store.
    pub fn is_ready(&self) -> bool {
        self.me().is_some() && self.kernel.is_some() && self.name_conflict.is_none()
    }

    /// The revision of the store as it was last heard; 0 before it was.
    pub fn heard_revision(&self) -> i64 {
        self.mirror.as_ref().map_or(0, Mirror::revision)
    }

    /// Moves everything that can move. Each part looks at the whole state, so the order matters only for how soon.
    fn settle(&mut self, now: Instant) {
        if self.has_name_conflict() {
            return;
        }
        self.transact_after = self.transact_after.filter(|after| *after > now);
        self.apply_after = self.apply_after.filter(|after| *after > now);
        self.flows_after = self.flows_after.filter(|after| *after > now);
        self.has_world_moved |= self.tunnel_after.take_if(|after| *after <= now).is_some();
        if self.sandboxes_after.take_if(|after| *after <= now).is_some() {
            self.sandboxes.try_again();
            self.has_world_moved = true;
        }
        let lapsed = self.reflects_until.take_if(|until| *until <= now);
        self.has_world_moved |= lapsed.is_some();
        self.is_peering_due |= lapsed.is_some();
        self.jobs.forget_hope(now);
        self.note_freed(now);
        self.end_adoption(now);
        self.expire_jobs(now);
        self.write_history(now);
        self.reassert(now);
        self.register(now);
        self.settle_debts(now);
        self.advance_jobs();
        self.serve(now);
        self.name();
        self.join_afar(now);
        self.refuse_what_would_write();
        self.transact(now);
        self.apply_if_due(now);
        let courses = self.courses();
        self.advance_wired(now);
        self.go_into_debt();
        self.transact(now);
        self.tidy(now);
        if std::mem::take(&mut self.has_world_moved) {
            self.peer(now);
        }
        self.advance_announced(now);
        debug_assert!(
            self.is_announced_as_wanted(),
            "{:?} are announced, not {:?}",
            self.origins,
            self.wanted_origins()
        );
        self.apply_again(now, &courses);
        self.advertise(now);
        self.recheck(now);
        self.keep_what_lapsed();
    }

    /// This host as the store has it.
    fn me(&self) -> Option<&Host> {
        self.mirror.as_ref()?.host(&self.identity.host)
    }

    /// Endpoints of this host that are to stay wired.
    fn local<'a>(
        mirror: &'a Mirror,
        host: &'a HostName,
        departing: &'a BTreeSet<AttachmentId>,
    ) -> impl Iterator<Item = &'a Endpoint> {
        mirror.endpoints_on(host).filter(move |one| !departing.contains(&one.attachment))
    }

    fn begin(&mut self, now: Instant, request: RequestId, attachment: AttachmentId, wish: Wish) {
        if let Some(conflict) = self.name_conflict.clone() {
            return self.answer(request, Answer::Refused(Refusal::NameConflict(conflict)));
        }
        if self.debts.contains(&attachment) {
            return self.answer(request, Answer::Refused(Refusal::Busy { attachment }));
        }
        if let Wish::Attach(_) | Wish::Detach = wish {
            self.give_up_contest(&attachment);
        }
        if let Some(answer) = self.jobs.begin(now, attachment, request, wish) {
            self.answer(request, answer);
        }
    }

    fn begin_detach(&mut self, now: Instant, request: RequestId, detach: &Detach) {
        if let Some(conflict) = self.name_conflict.clone() {
            return self.answer(request, Answer::Refused(Refusal::NameConflict(conflict)));
        }
        let (Some(mirror), Some(me)) = (&self.mirror, self.me()) else {
            let reason = self.store_error.clone().unwrap_or_default();
            return self.answer(request, Answer::Refused(Refusal::StoreUnreachable { reason }));
        };
        match departing(mirror, me, detach) {
            Err(refusal) => self.answer(request, Answer::Refused(refusal)),
            Ok(Some(endpoint)) if self.is_owed(endpoint) => {
                let left = endpoint.clone();
                self.answer(request, Answer::Detached(Some(left)));
            }
            Ok(Some(endpoint)) if self.is_alive(detach, endpoint) => {
                let (name, interface) = (endpoint.name.clone(), endpoint.interface.to_string());
                self.answer(request, Answer::Refused(Refusal::StillWired { name, interface }));
            }
            Ok(Some(endpoint)) => {
                let attachment = endpoint.attachment.clone();
                self.begin(now, request, attachment, Wish::Detach);
            }
            Ok(None) => match detach {
                // A container may be given up while its attachment is still under way, or while nobody knows what became of it.
                Detach::Attachment(attachment) => {
                    let attachment = attachment.clone();
                    self.begin(now, request, attachment, Wish::Detach);
                }
                Detach::Endpoint(name) if self.reassertion.contested.contains_key(name) => {
                    let attachment = self.reassertion.contested[name].endpoint.attachment.clone();
                    self.begin(now, request, attachment, Wish::Detach);
                }
                Detach::Endpoint(_) | Detach::Remains(_) => self.answer(request, Answer::Detached(None)),
            },
        }
    }

    /// Whether only what is dead is to be cleared away, and this is not known to be.
    fn is_alive(&self, detach: &Detach, endpoint: &Endpoint) -> bool {
        match detach {
            Detach::Attachment(_) | Detach::Endpoint(_) => false,
            Detach::Remains(_) => self.kernel.as_ref().is_none_or(|kernel| is_linked(endpoint, kernel)),
        }
    }

    fn answer(&mut self, request: RequestId, answer: Answer) {
        if request != debt::NOBODY {
            self.actions.push_back(Action::Answer(request, answer));
        }
    }

    fn note(&mut self, note: Note) {
        self.actions.push_back(Action::Note(note));
    }

    /// Where others reach this host: as configured, or as the routes show.
    fn own_addresses(&self) -> Option<BTreeSet<IpAddr>> {
        match self.identity.addresses.is_empty() {
            true => self.kernel.as_ref().map(underlay::uplink_addresses),
            false => Some(self.identity.addresses.clone()),
        }
    }
}

/// Whether services, or who the neighbours are, may be others for it, or what is planned for the kernel. What neighbours say, and there is much of it, changes
/// neither of the first: those who call are met at once; and of routes there are news of their own. Nor does it that somebody wants to join: what comes of
/// it is heard from the store and the kernel. Of these two whoever hears them says so, as much of it is what this node did itself.
fn moves_the_world(event: &Event) -> bool {
    let is_wish = matches!(event, Event::AttachRequested(..) | Event::HoldRequested(..) | Event::RenewRequested(..));
    let is_looked_at = matches!(event, Event::StoreChanged { .. } | Event::KernelRead(_));
    !is_wish && !is_looked_at && !matches!(event, Event::Bgp(_))
}

/// Whether neighbours may be others for it, or what is exchanged with them. Of what comes of the rest the mirror tells, and the kernel once it is read, and who admits callers.
fn moves_neighbours(event: &Event) -> bool {
    let is_of_containers = matches!(
        event,
        Event::AttachRequested(..)
            | Event::DetachRequested(..)
            | Event::HoldRequested(..)
            | Event::RenewRequested(..)
            | Event::HoldEnded(_)
            | Event::StepsDone(_)
            | Event::RulesAltered
            | Event::FlowsRead(_)
            | Event::FlowsDone(_)
            | Event::DebtsWritten(_)
            | Event::Probed(..)
    );
    let is_told_of = matches!(event, Event::StoreChanged { .. } | Event::TransactionDone { .. } | Event::Bgp(_));
    !is_of_containers && !is_told_of
}

/// Under what a wish stands among the jobs that is no attachment's: no runtime calls an interface so.
fn nobody(request: RequestId) -> AttachmentId {
    AttachmentId { container: format!("request {}", request.0), interface: String::new() }
}
