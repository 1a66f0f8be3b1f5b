//! One transaction at a time: as many waiting requests as fit go into it together.
//!
//! A shared block is the unit of compare-and-swap, so two transactions of one host at once would only refuse each other; 100
//! attachments in one transaction cost one round trip.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use poplin_policy::nat::Published;

use crate::action::{Action, Note};
use crate::ground::Ground;
use crate::ipam::{self, Draft};
use crate::job::{Stage, Wish};
use crate::mirror::Mirror;
use crate::name::AttachmentId;
use crate::object::{Endpoint, FloatingAddress, Object, ObjectKey};
use crate::request::{Answer, Refusal};
use crate::transaction::{Compare, Transaction, TransactionId, TransactionOutcome};
use crate::wish::{self, Move};

use super::Node;
use super::hear::is_newcomer;

/// Requests in one transaction. etcd takes 128 operations by default; one request needs at most three: an endpoint and two blocks. A floating address
/// that its endpoint leaves behind counts as one more.
const MOST_JOBS: usize = 40;

/// How long to wait after a transaction whose outcome is unknown.
const UNKNOWN_PAUSE: Duration = Duration::from_millis(500);

/// How long an address is held for who asked for it. Between the two calls of a runtime lie milliseconds.
const HELD: Duration = Duration::from_secs(60);

/// Between the two times that Docker lets an address go there is less.
const MOMENT: Duration = Duration::from_secs(5);

/// A container interface's MTU when neither the fabric nor the uplink names one: Ethernet's.
const DEFAULT_MTU_BYTES: u32 = 1500;

/// A transaction under way.
#[derive(Debug)]
pub(super) struct InFlight {
    id: TransactionId,
    transaction: Transaction,
    purpose: Purpose,
    /// Whether the store forgot since: in which of the two histories it was answered, nobody knows.
    is_of_the_past: bool,
}

impl InFlight {
    pub(super) fn leave_behind(&mut self) {
        self.is_of_the_past = true;
    }
}

/// What a transaction is for.
#[derive(Debug)]
pub(super) enum Purpose {
    /// This host's own record.
    Register,
    /// Requests.
    Jobs,
    /// Blocks that go back to their pools.
    Tidy,
    /// What the store forgot of this host.
    Reassert,
    /// What the store says of itself.
    History,
}

impl Node {
    /// Whether a transaction may be sent now.
    pub(super) fn may_transact(&self, now: Instant) -> bool {
        self.in_flight.is_none()
            && self.mirror.is_some()
            && self.store_error.is_none()
            && self.read_only().is_none()
            && self.transact_after.is_none_or(|after| after <= now)
    }

    pub(super) fn send(&mut self, transaction: Transaction, purpose: Purpose) -> TransactionId {
        self.transactions += 1;
        let id = TransactionId(self.transactions);
        self.in_flight = Some(InFlight { id, transaction: transaction.clone(), purpose, is_of_the_past: false });
        self.actions.push_back(Action::Transact(id, transaction));
        id
    }

    /// Sends what waits for the store.
    pub(super) fn transact(&mut self, now: Instant) {
        if !self.may_transact(now) || self.kernel.is_none() || self.me().is_none() {
            return;
        }
        self.held.retain(|_, until| *until > now);
        let mut draft = Draft::beside(self.held.keys().copied().collect(), self.resting(now));
        let mut written = Written::default();
        for attachment in self.jobs.at(|stage| matches!(stage, Stage::Waiting | Stage::Leaving(_))) {
            if written.jobs.len() + written.released.len() < MOST_JOBS {
                self.include(now, &attachment, &mut draft, &mut written);
            }
        }
        if written.jobs.is_empty() {
            return;
        }
        let mirror = self.mirror.as_ref().expect("may_transact has seen it");
        let transaction = compose(mirror, draft, &written);
        let id = self.send(transaction, Purpose::Jobs);
        for attachment in written.jobs {
            let Some(job) = self.jobs.get_mut(&attachment) else { continue };
            job.stage = match std::mem::replace(&mut job.stage, Stage::Waiting) {
                Stage::Leaving(endpoint) => Stage::Releasing(id, endpoint),
                Stage::Waiting => Stage::Committing(id),
                other => other,
            };
        }
    }

    /// Puts one job into the transaction under construction, or ends it if it cannot be.
    fn include(&mut self, now: Instant, attachment: &AttachmentId, draft: &mut Draft, written: &mut Written) {
        let Some(job) = self.jobs.get_mut(attachment).cloned() else { return };
        let mirror = self.mirror.as_ref().expect("may_transact has seen it");
        match (&job.stage, &job.wish) {
            (Stage::Leaving(endpoint), _) => {
                // A lost answer may have been that it is gone, and its name somebody else's since.
                let is_still_there = mirror
                    .endpoint(&endpoint.name)
                    .is_some_and(|known| known.attachment == *attachment && known.host == endpoint.host);
                if !is_still_there {
                    return self.departed(attachment);
                }
                let fails_at_once = job.is_first && matches!(job.wish, Wish::Undo(_));
                let keeper = endpoint.keeper().filter(|_| !fails_at_once);
                for address in &endpoint.addresses {
                    draft.release(mirror, *address, attachment, keeper);
                }
                let floating = mirror.floating_of(&endpoint.name).filter(|one| one.is_until_detached);
                written.released.extend(floating.map(FloatingAddress::released));
                written.deleted.push((**endpoint).clone());
                written.jobs.push(attachment.clone());
            }
            (Stage::Waiting, Wish::Detach) => match self.uncertain.get(attachment) {
                // Somebody else has its name, so it is not there.
                Some(ObjectKey::Endpoint(name)) if mirror.endpoint(name).is_some() => self.departed(attachment),
                Some(key) => {
                    written.absent.push(key.clone());
                    written.jobs.push(attachment.clone());
                }
                None => {}
            },
            (Stage::Waiting, Wish::Attach(_) | Wish::Hold(_)) if self.is_importing => {
                self.finish(attachment, Answer::Refused(Refusal::ImportUnderWay));
            }
            // Who has an address already takes none.
            (Stage::Waiting, Wish::Attach(_) | Wish::Hold(_))
                if self.is_awaiting() && mirror.endpoint_on(attachment, &self.identity.host).is_none() => {}
            (Stage::Waiting, Wish::Attach(attach)) => {
                let mut tried = draft.clone(); // a refusal may come after one address of two was taken
                match self.judge(attach, &mut tried) {
                    Ok(Move::Wire) => self.set_stage(attachment, Stage::Wiring),
                    Ok(Move::Store(endpoint)) if written.is_in_the_way_of(&endpoint) => {} // the next transaction will see who has it
                    Ok(Move::Store(endpoint)) => {
                        let is_first = !ipam::is_kept_for(mirror, attach);
                        let is_new = mirror.endpoint_on(attachment, &self.identity.host).is_none();
                        if let Some(job) = self.jobs.get_mut(attachment) {
                            job.is_first = is_first;
                            job.is_maker |= is_new;
                        }
                        *draft = tried;
                        written.put.push(endpoint);
                        written.jobs.push(attachment.clone());
                    }
                    Err(refusal) if refusal.is_a_lack() && job.news_by.is_some() => {} // judged again with the next news
                    Err(refusal) => self.finish(attachment, Answer::Refused(refusal)),
                }
            }
            (Stage::Waiting, Wish::Hold(hold)) => {
                let me = self.me().expect("transact has seen it");
                let ground = Ground::of(mirror, hold.network.as_ref(), None);
                match ground.and_then(|ground| ipam::hold(mirror, draft, me, hold.is_v6, &ground)) {
                    Ok(Some(address)) => {
                        self.held.insert(address, now + HELD);
                        self.finish(attachment, Answer::Held(address));
                    }
                    Ok(None) => written.jobs.push(attachment.clone()),
                    Err(refusal) if refusal.is_a_lack() && job.news_by.is_some() => {}
                    Err(refusal) => self.finish(attachment, Answer::Refused(refusal)),
                }
            }
            (Stage::Waiting, Wish::Renew(renew)) => match wish::renewed(mirror, &self.identity.host, renew) {
                Err(refusal) => self.finish(attachment, Answer::Refused(refusal)),
                Ok(None) => self.finish(attachment, Answer::Detached(None)),
                Ok(Some((former, endpoint))) if former == endpoint => self.renewed(attachment),
                Ok(Some((_, endpoint))) if written.is_in_the_way_of(&endpoint) => {}
                Ok(Some((former, endpoint))) => {
                    written.renamed.extend((former.name != endpoint.name).then_some(former));
                    written.put.push(endpoint);
                    written.jobs.push(attachment.clone());
                }
            },
            (Stage::Waiting, Wish::Undo(_))
            | (
                Stage::Committing(_) | Stage::Wiring | Stage::Announcing | Stage::Unwiring(_) | Stage::Releasing(..),
                _,
            ) => {}
        }
    }

    pub(super) fn judge(&self, attach: &crate::request::Attach, draft: &mut Draft) -> Result<Move, Refusal> {
        let mirror = self.mirror.as_ref().expect("may_transact has seen it");
        let kernel = self.kernel.as_ref().expect("transact has seen it");
        let me = self.me().expect("transact has seen it");
        wish::next_move(mirror, kernel, draft, me, self.mtu_bytes(mirror), attach)
    }

    fn mtu_bytes(&self, mirror: &Mirror) -> u32 {
        let uplink = || {
            let kernel = self.kernel.as_ref()?;
            crate::underlay::uplink_mtu_bytes(kernel, &self.me()?.addresses)
        };
        mirror.fabric().mtu_bytes.or_else(uplink).unwrap_or(DEFAULT_MTU_BYTES)
    }

    pub(super) fn set_stage(&mut self, attachment: &AttachmentId, stage: Stage) {
        if let Some(job) = self.jobs.get_mut(attachment) {
            job.stage = stage;
        }
    }

    /// Ends a job with its answer.
    pub(super) fn finish(&mut self, attachment: &AttachmentId, answer: Answer) {
        if let Some(job) = self.jobs.end(attachment) {
            if matches!(answer, Answer::Detached(_)) {
                self.pay(attachment);
            }
            self.answer(job.request, answer);
        }
    }

    pub(super) fn transaction_done(&mut self, now: Instant, id: TransactionId, outcome: TransactionOutcome) {
        let Some(in_flight) = self.in_flight.take_if(|in_flight| in_flight.id == id) else { return };
        let outcome = match outcome {
            TransactionOutcome::Committed { .. } | TransactionOutcome::Refused { .. } if in_flight.is_of_the_past => {
                let reason = "the store went back to an earlier state".to_owned();
                TransactionOutcome::Unknown { reason }
            }
            other => other,
        };
        self.tell_of_silence(&outcome);
        match outcome {
            TransactionOutcome::Committed { revision } => self.committed(id, revision, in_flight),
            TransactionOutcome::Refused { revision, mut current, unreadable } => {
                let compares = in_flight.transaction.compares.iter();
                let mut compared = compares.map(|compare| compare.key().clone()).collect();
                if let Purpose::Reassert = in_flight.purpose {
                    self.correct_former(&mut compared, &mut current);
                }
                let overtaken = self.overtaken(&current);
                if let Some(mirror) = &mut self.mirror {
                    mirror.correct(revision, compared, current, unreadable);
                }
                self.stand_beside(overtaken);
                self.policing.touch();
                self.jobs.step_back(id);
                self.mistrust(now, &in_flight.transaction);
            }
            TransactionOutcome::Unknown { .. } => {
                self.transact_after = Some(now + UNKNOWN_PAUSE);
                self.is_untidy |= matches!(in_flight.purpose, Purpose::Tidy);
                self.doubt(&in_flight.transaction);
                self.jobs.step_back(id);
            }
        }
    }

    /// A refusal from which nothing is learned would only be repeated: the store has not what it was heard to have, and is read whole before anything is tried again.
    fn mistrust(&mut self, now: Instant, refused: &Transaction) {
        let holds = |mirror: &Mirror| refused.compares.iter().all(|compare| mirror.bears_out(compare));
        if self.mirror.as_ref().is_some_and(holds) {
            self.transact_after = Some(now + UNKNOWN_PAUSE);
            self.actions.push_back(Action::ReadStore);
        }
    }

    /// A transaction that is not answered is tried again and again: it is told of once for each reason.
    fn tell_of_silence(&mut self, outcome: &TransactionOutcome) {
        let error = match outcome {
            TransactionOutcome::Unknown { reason } => Some(reason.clone()),
            TransactionOutcome::Committed { .. } | TransactionOutcome::Refused { .. } => None,
        };
        if let Some(reason) = error.as_ref().filter(|_| error != self.write_error) {
            self.note(Note::Warning(format!("a transaction was not answered: {reason}; it will be tried again")));
        }
        self.write_error = error;
    }

    /// Notes down what a transaction may have written although nobody said so.
    fn doubt(&mut self, transaction: &Transaction) {
        let keys: Vec<ObjectKey> =
            transaction.puts.iter().map(Object::key).chain(transaction.deletes.iter().cloned()).collect();
        self.doubt_blocks(keys.iter());
        for put in &transaction.puts {
            if let Object::Endpoint(endpoint) = put {
                self.uncertain.insert(endpoint.attachment.clone(), put.key());
            }
        }
    }

    /// What was written is known.
    fn trust(&mut self, transaction: &Transaction) {
        for put in &transaction.puts {
            if let Object::Endpoint(endpoint) = put {
                self.uncertain.remove(&endpoint.attachment);
                self.held.retain(|address, _| !endpoint.addresses.contains(address));
            }
        }
    }

    /// An address that was held is not wanted. One that is held since a moment is somebody else's by now: who detaches lets go twice.
    pub(super) fn let_go(&mut self, now: Instant, address: IpAddr) {
        if self.held.get(&address).is_some_and(|until| *until <= now + HELD - MOMENT) {
            self.held.remove(&address);
        }
    }

    /// Whether the store may hold an endpoint of that attachment that was not heard of.
    pub(super) fn may_be_written(&self, attachment: &AttachmentId) -> bool {
        let is_its = |put: &Object| matches!(put, Object::Endpoint(endpoint) if endpoint.attachment == *attachment);
        let is_being_written = self.in_flight.as_ref().is_some_and(|one| one.transaction.puts.iter().any(is_its));
        self.store_error.is_some() || is_being_written || self.uncertain.contains_key(attachment)
    }

    fn committed(&mut self, id: TransactionId, revision: i64, in_flight: InFlight) {
        self.trust(&in_flight.transaction);
        for put in &in_flight.transaction.puts {
            let is_newcomer = self.mirror.as_ref().is_some_and(|mirror| is_newcomer(mirror, put));
            self.touch_rules(put.key(), !is_newcomer);
        }
        for key in &in_flight.transaction.deletes {
            self.touch_rules(key.clone(), true);
        }
        self.reassertion.is_removed(&in_flight.transaction.deletes);
        if let Some(mirror) = &mut self.mirror {
            mirror.commit(revision, in_flight.transaction);
        }
        match in_flight.purpose {
            Purpose::Register => {
                let host = self.identity.host.clone();
                self.note(Note::Info(format!("host {host} is written down at revision {revision}")));
                self.reassertion.is_to_be_told = false;
            }
            Purpose::Jobs => self.jobs_committed(id),
            Purpose::Reassert | Purpose::Tidy | Purpose::History => {}
        }
    }

    fn jobs_committed(&mut self, id: TransactionId) {
        for attachment in self.jobs.at(|stage| matches!(stage, Stage::Committing(waits) if *waits == id)) {
            match self.jobs.get_mut(&attachment).map(|job| &job.wish) {
                Some(Wish::Detach) => self.departed(&attachment),
                Some(Wish::Hold(_)) => self.set_stage(&attachment, Stage::Waiting),
                Some(Wish::Renew(_)) => self.renewed(&attachment),
                _ => self.set_stage(&attachment, Stage::Wiring),
            }
        }
        for attachment in self.jobs.at(|stage| matches!(stage, Stage::Releasing(waits, _) if *waits == id)) {
            self.departed(&attachment);
        }
    }

    /// An endpoint is known better. Whether it is still wired is another question, and none that could end it.
    fn renewed(&mut self, attachment: &AttachmentId) {
        let mirror = self.mirror.as_ref().expect("may_transact has seen it");
        let endpoint = mirror.endpoint_on(attachment, &self.identity.host);
        let answer = endpoint.map_or(Answer::Detached(None), |endpoint| Answer::Attached(self.promise(endpoint)));
        self.finish(attachment, answer);
    }

    /// Nothing is left of an attachment.
    fn departed(&mut self, attachment: &AttachmentId) {
        self.uncertain.remove(attachment);
        self.pay(attachment);
        let Some(job) = self.jobs.end(attachment) else { return };
        let answer = match (job.wish, job.stage) {
            (Wish::Undo(refusal), _) => Answer::Refused(refusal),
            (_, Stage::Leaving(endpoint) | Stage::Releasing(_, endpoint)) => Answer::Detached(Some(*endpoint)),
            _ => Answer::Detached(None),
        };
        self.answer(job.request, answer);
    }
}

/// What a transaction under construction does to endpoints.
#[derive(Default)]
struct Written {
    jobs: Vec<AttachmentId>,
    put: Vec<Endpoint>,
    deleted: Vec<Endpoint>,
    /// Endpoints that go on under another name.
    renamed: Vec<Endpoint>,
    /// Floating addresses that lead to nobody any more.
    released: Vec<FloatingAddress>,
    /// Endpoints that are asked for only to hear that they do not exist.
    absent: Vec<ObjectKey>,
}

impl Written {
    /// Whether another endpoint has its name, or a port it would publish.
    fn is_in_the_way_of(&self, endpoint: &Endpoint) -> bool {
        let wants = |held: &Published| endpoint.published.iter().any(|wanted| wanted.overlaps(held));
        self.put.iter().any(|other| other.name == endpoint.name || other.published.iter().any(wants))
    }
}

fn compose(mirror: &Mirror, draft: Draft, written: &Written) -> Transaction {
    let unchanged = |key: ObjectKey| match mirror.version(&key) {
        None => Compare::Absent(key),
        Some(version) => Compare::Unchanged(key, version),
    };
    let endpoints = written
        .put
        .iter()
        .chain(&written.deleted)
        .chain(&written.renamed)
        .map(|endpoint| ObjectKey::Endpoint(endpoint.name.clone()));
    let released: Vec<Object> = written.released.iter().cloned().map(Object::FloatingAddress).collect();
    let mut compares: Vec<Compare> =
        draft.keys().chain(endpoints).chain(released.iter().map(Object::key)).map(unchanged).collect();
    compares.extend(written.absent.iter().cloned().map(Compare::Absent));
    let blocks: Vec<Object> = draft.into_blocks().map(Object::Block).collect();
    compares.extend(claimed_pools(mirror, &blocks).into_iter().map(unchanged));
    compares.extend((!blocks.is_empty()).then(|| unchanged(ObjectKey::Lineage)));
    let puts = blocks.into_iter().chain(written.put.iter().cloned().map(Object::Endpoint)).chain(released).collect();
    let gone = written.deleted.iter().chain(&written.renamed);
    let deletes = gone.map(|endpoint| ObjectKey::Endpoint(endpoint.name.clone())).collect();
    Transaction { compares, puts, deletes }
}

/// The pools new blocks are claimed from: they must still be as they were when the block was chosen.
fn claimed_pools(mirror: &Mirror, blocks: &[Object]) -> std::collections::BTreeSet<ObjectKey> {
    let is_new = |object: &&Object| mirror.version(&object.key()).is_none();
    let pool_of = |object: &Object| match object.key() {
        ObjectKey::Block(pool, _) => Some(ObjectKey::Pool(pool)),
        _ => None,
    };
    blocks.iter().filter(is_new).filter_map(pool_of).collect()
}
