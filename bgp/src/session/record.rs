//! What has passed between a neighbour and us: how many messages of each kind, and the last words of either side.
//!
//! Lives as long as the neighbour is configured, over all its connections.

use std::time::Instant;

use crate::wire::{Fault, Message, Notification};

/// What has passed between a neighbour and us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// What we sent.
    pub sent: Tally,
    /// What it sent.
    pub received: Tally,
    /// How many of its UPDATEs had a flaw that RFC 7606 lets a session survive.
    pub flawed: u64,
    /// How many of its prefixes were turned away, by reason.
    pub refused: Refused,
    /// How often a session was established.
    pub established: u64,
    /// The last NOTIFICATION we sent, and when; that a collision was resolved is not kept.
    pub last_sent: Option<(Instant, Notification)>,
    /// The last one it sent, and when.
    pub last_received: Option<(Instant, Notification)>,
}

/// How many messages of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// OPEN.
    pub opens: u64,
    /// UPDATE, the marks of a table's end among them.
    pub updates: u64,
    /// NOTIFICATION.
    pub notifications: u64,
    /// KEEPALIVE.
    pub keepalives: u64,
    /// ROUTE-REFRESH.
    pub refreshes: u64,
}

/// How many prefixes were turned away, each as often as it came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// By import rules, or because they passed our cluster before: they are kept, and not used.
    pub by_rules: u64,
    /// Because their path contains our AS.
    pub looped: u64,
    /// Because we originated them ourselves.
    pub reflected: u64,
    /// For another reason: first AS, a leak, next hop, or a prefix that is not for routing.
    pub other: u64,
}

impl Refused {
    pub(super) fn add(&mut self, more: Self) {
        self.by_rules += more.by_rules;
        self.looped += more.looped;
        self.reflected += more.reflected;
        self.other += more.other;
    }
}

impl Record {
    pub(super) fn send(&mut self, now: Instant, message: &Message) {
        self.sent.count(message);
        if let Some(error) = telling(message) {
            self.last_sent = Some((now, error.clone()));
        }
    }

    pub(super) fn receive(&mut self, now: Instant, message: &Message) {
        self.received.count(message);
        if let Some(error) = telling(message) {
            self.last_received = Some((now, error.clone()));
        }
    }
}

/// A NOTIFICATION that tells an operator something: that two calls crossed is no news.
fn telling(message: &Message) -> Option<&Notification> {
    match message {
        Message::Notification(error) => Some(error).filter(|error| error.fault != Fault::COLLISION),
        Message::Open(_) | Message::Update(_) | Message::Keepalive | Message::RouteRefresh(_) => None,
    }
}

impl Tally {
    fn count(&mut self, message: &Message) {
        *match message {
            Message::Open(_) => &mut self.opens,
            Message::Update(_) => &mut self.updates,
            Message::Notification(_) => &mut self.notifications,
            Message::Keepalive => &mut self.keepalives,
            Message::RouteRefresh(_) => &mut self.refreshes,
        } += 1;
    }
}
