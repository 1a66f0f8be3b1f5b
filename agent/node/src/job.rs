//! The life of one request: from wish to answer.
//!
//! ```text
//! attach:  Waiting → Committing → Wiring → Announcing ──────────────→ Attached
//!             │                      └ kernel refuses,  └ no neighbour has it in time → Unwiring → …
//! detach:  Waiting → Unwiring → Leaving → Releasing ─────────────────→ Detached | Refused
//! hold:    Waiting ─────────────────────────────────────────────────→ Held
//!             └ no room → Committing a new block → Waiting
//! renew:   Waiting → Committing ────────────────────────────────────→ Attached
//!             └ it is not there ────────────────────────────────────→ Detached
//! ```
//! A store that refuses or stays silent sends Committing back to Waiting and Releasing back to Leaving. Knows nothing of how
//! addresses are chosen or steps are ordered.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::name::AttachmentId;
use crate::object::Endpoint;
use crate::request::{Answer, Attach, Hold, Refusal, Renew, RequestId};
use crate::transaction::TransactionId;

/// How long a request may take. A runtime gives up after minutes; a person wants to know sooner.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How long a lack is not taken for final: a pool that was declared a moment ago may be news on its way.
pub const NEWS: Duration = Duration::from_secs(1);

/// One request under way.
#[derive(Clone, Debug)]
pub struct Job {
    /// Who waits for the answer.
    pub request: RequestId,
    /// What is wanted.
    pub wish: Wish,
    /// How far it is.
    pub stage: Stage,
    /// Until then what it lacks may be on its way; absent = past.
    pub news_by: Option<Instant>,
    /// When it is given up.
    pub deadline: Instant,
    /// Whether it is about a name for which nothing was kept before, so that nothing is to be kept if it fails.
    pub is_first: bool,
    /// Whether it had the endpoint written down that it is about, so that nothing is to be left of that if it fails.
    pub is_maker: bool,
    /// Whether the kernel was asked for its link since it is being wired: what was seen of it before may have been removed by another hand, and
    /// the word of that be on its way.
    pub is_met: bool,
}

/// What a job is for.
#[derive(Clone, Debug)]
pub enum Wish {
    /// To join.
    Attach(Attach),
    /// To leave.
    Detach,
    /// To know an address before somebody joins with it.
    Hold(Hold),
    /// To be known better.
    Renew(Renew),
    /// To take back an attachment that failed, and say why.
    Undo(Refusal),
}

/// How far a job is.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// Nothing was done yet.
    Waiting,
    /// The store is being asked to write it down.
    Committing(TransactionId),
    /// It is written down; the kernel is being changed.
    Wiring,
    /// It is wired; BGP neighbours are to have the route to it.
    Announcing,
    /// The kernel is being cleared of it.
    Unwiring(Box<Endpoint>),
    /// The kernel is clear; the store still has it.
    Leaving(Box<Endpoint>),
    /// The store is being asked to forget it.
    Releasing(TransactionId, Box<Endpoint>),
}

/// All requests under way; at most one for an attachment.
#[derive(Debug, Default)]
pub struct Jobs(BTreeMap<AttachmentId, Job>);

impl Jobs {
    /// Begins one; refused while another for the same attachment runs.
    pub fn begin(&mut self, now: Instant, attachment: AttachmentId, request: RequestId, wish: Wish) -> Option<Answer> {
        if self.0.contains_key(&attachment) {
            return Some(Answer::Refused(Refusal::Busy { attachment }));
        }
        self.0.insert(
            attachment,
            Job {
                request,
                wish,
                stage: Stage::Waiting,
                news_by: Some(now + NEWS),
                deadline: now + PATIENCE,
                is_first: false,
                is_maker: false,
                is_met: false,
            },
        );
        None
    }

    /// The one of that attachment.
    pub fn get_mut(&mut self, attachment: &AttachmentId) -> Option<&mut Job> {
        self.0.get_mut(attachment)
    }

    /// Ends one; the answer is the caller's to give.
    pub fn end(&mut self, attachment: &AttachmentId) -> Option<Job> {
        self.0.remove(attachment)
    }

    /// Every one.
    pub fn all(&self) -> impl Iterator<Item = (&AttachmentId, &Job)> {
        self.0.iter()
    }

    /// Attachments at a stage.
    pub fn at(&self, is_at: impl Fn(&Stage) -> bool) -> Vec<AttachmentId> {
        self.0.iter().filter(|(_, job)| is_at(&job.stage)).map(|(attachment, _)| attachment.clone()).collect()
    }

    /// Those being wired whose links the kernel was not asked for since.
    pub fn unmet(&self) -> Vec<AttachmentId> {
        let is_unmet = |job: &Job| job.stage == Stage::Wiring && !job.is_met;
        self.0.iter().filter(|(_, job)| is_unmet(job)).map(|(attachment, _)| attachment.clone()).collect()
    }

    /// Attachments that are to have nothing in the kernel any more.
    pub fn departing(&self) -> BTreeSet<AttachmentId> {
        let is_departing = |stage: &Stage| match stage {
            Stage::Unwiring(_) | Stage::Leaving(_) | Stage::Releasing(..) => true,
            Stage::Waiting | Stage::Committing(_) | Stage::Wiring | Stage::Announcing => false,
        };
        self.at(is_departing).into_iter().collect()
    }

    /// Attachments that are new, and are wired and not answered yet.
    pub fn announcing(&self) -> BTreeSet<AttachmentId> {
        let is_new = |job: &Job| job.is_maker && job.stage == Stage::Announcing;
        self.0.iter().filter(|(_, job)| is_new(job)).map(|(attachment, _)| attachment.clone()).collect()
    }

    /// A transaction was not committed: what waited for it tries again.
    pub fn step_back(&mut self, id: TransactionId) {
        for job in self.0.values_mut() {
            job.stage = match std::mem::replace(&mut job.stage, Stage::Waiting) {
                Stage::Committing(waits_for) if waits_for == id => Stage::Waiting,
                Stage::Releasing(waits_for, endpoint) if waits_for == id => Stage::Leaving(endpoint),
                other => other,
            };
        }
    }

    /// When the first of them is given up, or stops hoping for news.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.0
            .values()
            .flat_map(|job| job.news_by.filter(|_| job.stage == Stage::Waiting).into_iter().chain([job.deadline]))
            .min()
    }

    /// Time has passed: what was lacking until now is lacking.
    pub fn forget_hope(&mut self, now: Instant) {
        for job in self.0.values_mut() {
            job.news_by = job.news_by.filter(|by| *by > now);
        }
    }

    /// Those whose time is up.
    pub fn overdue(&self, now: Instant) -> Vec<AttachmentId> {
        self.0.iter().filter(|(_, job)| job.deadline <= now).map(|(attachment, _)| attachment.clone()).collect()
    }
}
