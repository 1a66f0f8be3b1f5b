//! Which neighbours have for certain what they were told of some of our prefixes, for whoever may not go on before.
//!
//! In: who waits for what, and that all octets of a connection have been acknowledged. Out: the question for that, and who has what.
//! BGP acknowledges nothing (RFC 4271 §4): that the neighbour's TCP has (RFC 9293 §3.4) is all there is to know. What it makes of it is its own affair.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use crate::{Action, Address, ConnectionId, session::Session};

use super::Speaker;

/// Who waits for what, and what is known of it.
#[derive(Debug, Default)]
pub(super) struct Receipts {
    awaited: BTreeSet<IpNet>,
    /// By whom.
    of: BTreeSet<Address>,
    /// What was ever awaited and is announced still, by session.
    known: BTreeMap<ConnectionId, Receipt>,
    /// Where a question is to follow what this event has to say.
    unasked: BTreeSet<ConnectionId>,
}

/// What one neighbour has of that.
#[derive(Debug, Default)]
struct Receipt {
    /// It has these.
    had: BTreeSet<IpNet>,
    /// It has these once the question is answered.
    asked: BTreeSet<IpNet>,
    /// It is, or will be, told of these: the next question is for them.
    next: BTreeSet<IpNet>,
    /// Whether a question is open.
    is_asked: bool,
}

impl Receipt {
    fn forget(&mut self, prefix: &IpNet) {
        for all in [&mut self.had, &mut self.asked, &mut self.next] {
            all.remove(prefix);
        }
    }

    fn forget_all(&mut self) {
        *self = Self { is_asked: self.is_asked, ..Self::default() };
    }
}

impl Speaker {
    /// Who of the neighbours that are told of this prefix, and were awaited to have it, has it.
    pub fn receipts(&self, prefix: IpNet) -> impl Iterator<Item = (Address, bool)> {
        let known = self.receipts.known.iter().filter_map(move |(connection, receipt)| {
            let is_due = receipt.asked.contains(&prefix) || receipt.next.contains(&prefix);
            let has = receipt.had.contains(&prefix);
            (is_due || has).then_some((*self.connections.get(connection)?, has))
        });
        known.filter(|(neighbour, _)| self.receipts.of.contains(neighbour))
    }

    /// Somebody waits until these neighbours have these prefixes of ours.
    pub(super) fn await_receipts(&mut self, prefixes: BTreeSet<IpNet>, neighbours: BTreeSet<Address>) {
        self.receipts.awaited = prefixes;
        self.receipts.of = neighbours;
        self.look_for_receipts();
    }

    /// The neighbour's TCP has acknowledged all that was sent before it was asked.
    pub(super) fn acknowledged(&mut self, connection: ConnectionId) {
        let Some(receipt) = self.receipts.known.get_mut(&connection).filter(|receipt| receipt.is_asked) else { return };
        receipt.is_asked = false;
        receipt.had.append(&mut receipt.asked);
        self.look_for_receipt_over(connection);
    }

    /// Something else is told of these prefixes than was.
    pub(super) fn receipts_changed(&mut self, prefixes: &BTreeSet<IpNet>) {
        for receipt in self.receipts.known.values_mut() {
            prefixes.iter().for_each(|prefix| receipt.forget(prefix));
        }
        self.look_for_receipts();
    }

    /// These neighbours may be told something else of anything.
    pub(super) fn doubt_receipts(&mut self, neighbours: &BTreeSet<Address>) {
        let is_doubtful = |connection| self.connections.get(connection).is_some_and(|one| neighbours.contains(one));
        let known = self.receipts.known.iter_mut().filter(|(connection, _)| is_doubtful(connection));
        known.for_each(|(_, receipt)| receipt.forget_all());
        self.look_for_receipts();
    }

    pub(super) fn look_for_receipt_over(&mut self, connection: ConnectionId) {
        if let Some(&neighbour) = self.connections.get(&connection) {
            self.look_for_receipt(neighbour);
        }
    }

    pub(super) fn forget_receipt(&mut self, connection: ConnectionId) {
        self.receipts.known.remove(&connection);
        self.receipts.unasked.remove(&connection);
    }

    fn look_for_receipts(&mut self) {
        if !self.receipts.awaited.is_empty() {
            let neighbours: Vec<_> = self.receipts.of.iter().copied().collect();
            neighbours.into_iter().for_each(|neighbour| self.look_for_receipt(neighbour));
        }
    }

    /// Asks for what is awaited of a neighbour and not asked for yet.
    pub(super) fn look_for_receipt(&mut self, neighbour: Address) {
        if self.receipts.awaited.is_empty() || !self.receipts.of.contains(&neighbour) {
            return;
        }
        let Some(session) = self.sessions.get(&neighbour).and_then(Session::established) else { return };
        let connection = session.id;
        let known = self.receipts.known.get(&connection);
        let is_settled =
            |prefix: &&IpNet| known.is_some_and(|one| one.had.contains(prefix) || one.asked.contains(prefix));
        let open: BTreeSet<IpNet> =
            self.receipts.awaited.iter().filter(|prefix| !is_settled(prefix)).copied().collect();
        if open.is_empty() && known.is_some_and(|one| one.next.is_empty()) {
            return; // mostly: of the block of a host every neighbour has known since its first container
        }
        let told = self.told_of(&session, &open);
        let is_late = self.is_late(connection);
        let receipt = self.receipts.known.entry(connection).or_default();
        receipt.next = told;
        if !receipt.is_asked && !is_late && !receipt.next.is_empty() {
            receipt.is_asked = true;
            receipt.asked = std::mem::take(&mut receipt.next);
            self.receipts.unasked.insert(connection);
        }
    }

    /// Asks, once all that is asked about has been sent.
    pub(super) fn ask_for_receipts(&mut self) {
        let unasked = std::mem::take(&mut self.receipts.unasked);
        self.actions.extend(unasked.into_iter().map(|connection| Action::AwaitAcknowledged { connection }));
    }
}
