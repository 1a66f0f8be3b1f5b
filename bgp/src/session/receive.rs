//! What a message does to a session.
//!
//! Rules: RFC 4271 §8.2.2, one function for each state; RFC 4724 §4 for the end of a table, RFC 6608 for messages out
//! of place.

use std::time::Instant;

use crate::{
    ConnectionId, Note, SessionState,
    wire::{Dialect, Fault, Flaw, Message, Open},
};

use super::{Effect, Session, end::End, negotiate::agree};

impl Session {
    /// Octets arrived; what follows an error is not read any more.
    pub(crate) fn received(&mut self, now: Instant, id: ConnectionId, octets: &[u8]) {
        if let Some(connection) = self.connection_mut(id) {
            connection.framer.feed(octets);
        }
        while self.receive_one(now, id) {}
    }

    /// Whether there may be another message.
    fn receive_one(&mut self, now: Instant, id: ConnectionId) -> bool {
        let Some(connection) = self.connection_mut(id) else { return false };
        let dialect = connection.dialect();
        match connection.framer.next(dialect) {
            Ok(Some((message, flaws))) => self.take_message(now, id, message, flaws),
            Ok(None) => return false,
            Err(notification) => self.fail(now, id, notification),
        }
        true
    }

    fn take_message(&mut self, now: Instant, id: ConnectionId, message: Message, flaws: Vec<Flaw>) {
        let Some(connection) = self.connection_mut(id) else { return };
        let state = connection.state();
        connection.hear(now);
        self.record.receive(now, &message);
        match (state, message) {
            (_, Message::Notification(error)) => self.end(now, id, End::Theirs(error)),
            (SessionState::OpenSent, Message::Open(open)) => self.take_open(now, id, &open),
            (SessionState::OpenConfirm, Message::Keepalive) => self.establish(now, id),
            (SessionState::Established, message) => self.take_established(now, id, message, flaws),
            (SessionState::OpenConfirm, _) => self.fail(now, id, Fault::FSM_OPEN_CONFIRM.bare()),
            (_, _) => self.fail(now, id, Fault::FSM_OPEN_SENT.bare()),
        }
    }

    fn take_open(&mut self, now: Instant, id: ConnectionId, open: &Open) {
        let Some(connection) = self.connection(id) else { return };
        match agree(self.us, &connection.terms, connection.local, open) {
            Err(notification) => self.fail(now, id, notification),
            Ok(agreed) => {
                self.supersede(now, id);
                if self.survives_collision(now, id, &agreed)
                    && let Some(connection) = self.connection_mut(id)
                {
                    connection.opens.theirs = Message::Open(open.clone()).encode(Dialect::PLAIN);
                    connection.confirm(now, agreed);
                    self.send_keepalive(now, id);
                }
            }
        }
    }

    fn establish(&mut self, now: Instant, id: ConnectionId) {
        let Some(connection) = self.connection_mut(id) else { return };
        connection.establish(now);
        self.stop_dialling();
        self.record.established += 1;
        self.farewell = None;
        let asn = self.established().map(|session| session.source().asn);
        asn.into_iter().for_each(|asn| self.note(Note::SessionUp { neighbour: self.config.address, asn }));
        self.resume(now, id);
        self.effects.push(Effect::Up);
        if self.has_sent_table() {
            self.effects.push(Effect::Synchronised);
        }
    }

    fn take_established(&mut self, now: Instant, id: ConnectionId, message: Message, flaws: Vec<Flaw>) {
        let neighbour = self.config.address;
        match message {
            Message::Keepalive => {}
            Message::Update(update) => {
                let ended = if flaws.is_empty() { update.ends_table_of() } else { None };
                self.record.flawed += u64::from(!flaws.is_empty());
                flaws.into_iter().for_each(|flaw| self.note(Note::Malformed { neighbour, flaw }));
                match ended {
                    Some(family) => self.complete(id, family),
                    None => self.effects.push(Effect::Update(update)),
                }
            }
            Message::RouteRefresh(refresh) => self.take_refresh(now, id, refresh),
            Message::Open(_) | Message::Notification(_) => self.fail(now, id, Fault::FSM_ESTABLISHED.bare()),
        }
    }

    pub(super) fn send_keepalive(&mut self, now: Instant, id: ConnectionId) {
        let Some(connection) = self.connection_mut(id) else { return };
        connection.speak(now);
        self.send(now, id, Message::Keepalive);
    }
}
