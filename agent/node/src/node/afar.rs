//! Who wants to join while the store is away: from blocks this host holds, out of what nobody else gives of them.
//!
//! In: how long the store is away, and who waits. Out: endpoints that stand here as written, as if the store had forgotten them: they are kept for a later life,
//! and told to the store by compare-and-swap once it is back, with all the care that is taken of what a store forgot. What cannot be known to be safe waits: a name
//! whose address is kept somewhere, an attachment or a block that a transaction without an answer was about.

use std::time::{Duration, Instant};

use crate::action::Note;
use crate::ipam::Draft;
use crate::job::{Stage, Wish};
use crate::name::AttachmentId;
use crate::object::{Endpoint, Object, ObjectKey};
use crate::request::Attach;
use crate::wish::Move;

use super::hear::is_newcomer;
use super::{Node, Role};

/// How long the store must be away: a connection that is made anew takes less.
const PAUSE: Duration = Duration::from_secs(1);

/// How near the store is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Distance {
    /// It answers.
    #[default]
    Near,
    /// It went out of sight a moment ago, and is away from then on.
    Fading(Instant),
    /// It is away.
    Afar,
}

impl Distance {
    /// After a look at whether it is in sight.
    fn at(self, now: Instant, is_in_sight: bool) -> Self {
        match self {
            _ if is_in_sight => Self::Near,
            Self::Near => Self::Fading(now + PAUSE),
            Self::Fading(until) if until <= now => Self::Afar,
            other => other,
        }
    }

    /// When it has to be looked at again.
    pub(super) fn deadline(self) -> Option<Instant> {
        match self {
            Self::Fading(until) => Some(until),
            Self::Near | Self::Afar => None,
        }
    }
}

impl Node {
    pub(super) fn join_afar(&mut self, now: Instant) {
        self.distance = match self.read_only() {
            Some(_) => Distance::Afar, // nothing is told to it before a person says so
            None => self.distance.at(now, self.store_error.is_none()),
        };
        if !self.may_join_afar() {
            return;
        }
        for attachment in self.jobs.at(|stage| *stage == Stage::Waiting) {
            let wish = self.jobs.get_mut(&attachment).map(|job| job.wish.clone());
            let Some(Wish::Attach(attach)) = wish else { continue };
            if !attach.is_sticky && !self.uncertain.contains_key(&attachment) {
                self.join_one_afar(now, &attachment, &attach);
            }
        }
    }

    fn may_join_afar(&self) -> bool {
        let is_afar = self.role == Role::Host && self.distance == Distance::Afar;
        let is_known = self.kernel.is_some() && self.me().is_some() && !self.is_recalled;
        let is_settled = !self.is_importing && !self.is_awaiting() && !self.history_is_due();
        is_afar && is_known && is_settled && self.in_flight.is_none()
    }

    fn join_one_afar(&mut self, now: Instant, attachment: &AttachmentId, attach: &Attach) {
        let mut draft = Draft::afar(self.held.keys().copied().collect(), self.resting(now));
        match self.judge(attach, &mut draft) {
            Ok(Move::Wire) => self.set_stage(attachment, Stage::Wiring),
            Ok(Move::Store(endpoint)) => {
                let blocks: Vec<Object> = draft.into_blocks().map(Object::Block).collect();
                if !blocks.iter().any(|block| self.doubtful.contains(&block.key())) {
                    let is_new = self.endpoint_of(attachment).is_none();
                    self.write_ahead(endpoint, blocks);
                    if let Some(job) = self.jobs.get_mut(attachment) {
                        job.stage = Stage::Wiring;
                        job.is_maker |= is_new;
                    }
                }
            }
            Err(_) => {} // it may be another thing once the store is back, or is told when its time is up
        }
    }

    fn write_ahead(&mut self, endpoint: Endpoint, blocks: Vec<Object>) {
        self.held.retain(|address, _| !endpoint.addresses.contains(address));
        let Some(mirror) = &mut self.mirror else { return };
        let addresses: Vec<String> = endpoint.addresses.iter().map(ToString::to_string).collect();
        let story = format!(
            "endpoint {} has {} while the store is away, which is told once it is back",
            endpoint.name,
            addresses.join(" and ")
        );
        let endpoint = Object::Endpoint(endpoint);
        let (key, is_newcomer) = (endpoint.key(), is_newcomer(mirror, &endpoint));
        blocks.into_iter().chain([endpoint]).for_each(|object| mirror.write_ahead(object));
        self.touch_rules(key, !is_newcomer);
        self.note(Note::Info(story));
    }

    /// Blocks of which nobody knows how the store has them, until it is read.
    pub(super) fn doubt_blocks<'a>(&mut self, keys: impl Iterator<Item = &'a ObjectKey>) {
        self.doubtful.extend(keys.filter(|key| matches!(key, ObjectKey::Block(..))).cloned());
    }
}
