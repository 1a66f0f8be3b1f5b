//! Finds the router at the other end of a link that nobody numbered, and is found there.
//!
//! In: what arrives on one link, and the time. Out: what is to be sent there, and who the neighbour is. Each link has one of these as long as it
//! lives. Knows nothing of sockets and sessions. Rules: RFC 4861 §6.2.4 to §6.2.6 (advertisements) and §6.3.7 (solicitations).
//!
//! A link has two ends, so there should be one other router. When a second one speaks up, everybody is asked: if the first is silent it has
//! changed its address or is gone, and the second takes its place; else the first stays, and somebody is told.

mod packet;

use std::collections::VecDeque;
use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use poplin_bgp::Chance;

pub use packet::{ADVERTISEMENT, Malformed, Message, SOLICITATION};

/// The times between two advertisements, drawn from this range in milliseconds: well within what neighbours of ours take for a sign of life, and
/// at 16 octets each nothing beside keepalives (`MinRtrAdvInterval` and `MaxRtrAdvInterval`, §6.2.1).
const INTERVAL_MILLISECONDS: (u32, u32) = (4_000, 10_000);

/// How many come in quick succession when a link comes up (`MAX_INITIAL_RTR_ADVERTISEMENTS`, §10).
const INITIAL_ADVERTISEMENTS: u8 = 3;

/// The shortest time between two (`MIN_DELAY_BETWEEN_RAS`).
const ADVERTISEMENT_PAUSE: Duration = Duration::from_secs(3);

/// How long an answer to a solicitation is held back at most (`MAX_RA_DELAY_TIME`).
const ANSWER_DELAY_MILLISECONDS: u32 = 500;

/// How often we ask when a link comes up (`MAX_RTR_SOLICITATIONS`).
const SOLICITATIONS: u8 = 3;

/// How long we wait before we ask again (`RTR_SOLICITATION_INTERVAL`).
const SOLICITATION_PAUSE: Duration = Duration::from_secs(4);

/// How long a known router has to answer when another speaks up: [`ADVERTISEMENT_PAUSE`] and [`ANSWER_DELAY_MILLISECONDS`], which others keep
/// to as well, and a margin.
const PATIENCE: Duration = Duration::from_secs(5);

/// How soon that is tried again which could not be sent; an address is in doubt for about as long (RFC 4862 §5.4, `RetransTimer`).
const RETRY: Duration = Duration::from_secs(1);

/// What should be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send [`ADVERTISEMENT`] to all nodes of the link.
    Advertise,
    /// Send [`SOLICITATION`] to all routers of the link.
    Solicit,
    /// This is the neighbour from now on.
    Meet(Ipv6Addr),
    /// There are two of them, and the first counts.
    Warn {
        /// The one that counts.
        known: Ipv6Addr,
        /// The other.
        other: Ipv6Addr,
    },
}

/// One link.
#[derive(Debug)]
pub struct Discovery {
    chance: Chance,
    advertise_at: Instant,
    advertised_at: Option<Instant>,
    /// How many more come in quick succession.
    initial: u8,
    /// When to ask, and how often after that.
    solicit_at: Option<(Instant, u8)>,
    /// The neighbour, and when it last spoke.
    known: Option<(Ipv6Addr, Instant)>,
    /// Another that would be the neighbour, and since when.
    rival: Option<(Ipv6Addr, Instant)>,
    /// Whether somebody was told that there are two.
    is_warned: bool,
    actions: VecDeque<Action>,
}

impl Discovery {
    /// A link that has come up now.
    pub fn start(now: Instant, seed: u64) -> Self {
        Self {
            chance: Chance::of(seed),
            advertise_at: now,
            advertised_at: None,
            initial: INITIAL_ADVERTISEMENTS,
            solicit_at: Some((now, SOLICITATIONS - 1)),
            known: None,
            rival: None,
            is_warned: false,
            actions: VecDeque::new(),
        }
    }

    /// Somebody else on the link has sent this.
    pub fn heard(&mut self, now: Instant, from: Ipv6Addr, message: Message) {
        match message {
            Message::Advertisement => self.router(now, from),
            Message::Solicitation => self.answer(now),
        }
    }

    /// Time passed.
    pub fn tick(&mut self, now: Instant) {
        if self.advertise_at <= now {
            self.advertise(now);
        }
        match self.solicit_at {
            Some((at, left)) if at <= now => {
                self.actions.push_back(Action::Solicit);
                self.solicit_at = left.checked_sub(1).map(|left| (now + SOLICITATION_PAUSE, left));
            }
            Some(_) | None => {}
        }
        match self.rival {
            Some((rival, since)) if since + PATIENCE <= now => self.weigh(rival, since),
            Some(_) | None => {}
        }
    }

    /// This could not be sent, as when our address on the link may not be used yet: it is tried again.
    pub fn unsent(&mut self, now: Instant, action: Action) {
        match action {
            Action::Advertise => {
                self.initial = (self.initial + 1).min(INITIAL_ADVERTISEMENTS);
                self.advertised_at = None;
                self.advertise_at = now + RETRY;
            }
            Action::Solicit => {
                let left = self.solicit_at.map_or(0, |(_, left)| left + 1).min(SOLICITATIONS - 1);
                self.solicit_at = Some((now + RETRY, left));
            }
            Action::Meet(_) | Action::Warn { .. } => {}
        }
    }

    /// When to come back with [`Discovery::tick`].
    pub fn next_deadline(&self) -> Instant {
        let rival = self.rival.map(|(_, since)| since + PATIENCE);
        let others = self.solicit_at.map(|(at, _)| at).into_iter().chain(rival);
        others.fold(self.advertise_at, Instant::min)
    }

    /// What should be done next; drain until `None`.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    fn advertise(&mut self, now: Instant) {
        self.actions.push_back(Action::Advertise);
        self.advertised_at = Some(now);
        self.initial = self.initial.saturating_sub(1);
        let (low, high) = INTERVAL_MILLISECONDS;
        self.advertise_at = now
            + match self.initial {
                0 => Duration::from_millis(self.chance.between(low, high).into()),
                _ => ADVERTISEMENT_PAUSE,
            };
    }

    /// §6.2.6: soon, but not all at once, and not more often than the pause allows.
    fn answer(&mut self, now: Instant) {
        let delay = Duration::from_millis(self.chance.between(0, ANSWER_DELAY_MILLISECONDS).into());
        let earliest = self.advertised_at.map_or(now, |at| at + ADVERTISEMENT_PAUSE);
        self.advertise_at = self.advertise_at.min(earliest.max(now) + delay);
    }

    fn router(&mut self, now: Instant, from: Ipv6Addr) {
        self.solicit_at = None;
        match (&mut self.known, self.rival) {
            (None, _) => self.meet(from, now),
            (Some((known, heard)), _) if *known == from => *heard = now,
            (Some(_), None) => {
                self.rival = Some((from, now));
                self.actions.push_back(Action::Solicit);
            }
            (Some(_), Some(_)) => {} // one after the other
        }
    }

    fn meet(&mut self, neighbour: Ipv6Addr, heard: Instant) {
        self.known = Some((neighbour, heard));
        self.is_warned = false;
        self.actions.push_back(Action::Meet(neighbour));
    }

    /// The known router had its time to answer.
    fn weigh(&mut self, rival: Ipv6Addr, since: Instant) {
        self.rival = None;
        match self.known {
            Some((known, heard)) if heard >= since => {
                if !std::mem::replace(&mut self.is_warned, true) {
                    self.actions.push_back(Action::Warn { known, other: rival });
                }
            }
            Some(_) | None => self.meet(rival, since),
        }
    }
}
