//! A session that a person does not want for now.
//!
//! Rules: RFC 4486 §4 (administrative shutdown), RFC 9003 (the person's words). Unlike a neighbour that is not configured any more, this one
//! stays in sight, and its calls are turned away.

use std::time::Instant;

use crate::{Action, wire::Notification};

use super::{Session, dial::Dial, monitor::Goodbye, restart::Parting};

impl Session {
    /// Ends what there is, if there is to be nothing.
    pub(super) fn shut_down(&mut self, now: Instant) {
        let Some(text) = self.config.shutdown.clone() else { return };
        let error = Notification::shutdown(&text);
        for connection in std::mem::take(&mut self.connections) {
            self.send(now, connection.id, connection.wrapped(error.clone()));
            self.act(Action::Close { connection: connection.id });
            self.tell_end(&connection, Goodbye::Ours(connection.wrapped(error.clone())));
            self.part(now, &connection, Parting::Farewell, &error.to_string());
        }
        self.forget();
        self.last_error = Some(error.to_string());
        self.dial = Dial::Stopped;
    }
}
