//! What an operator can ask of one session, and when it cannot be done.
//!
//! Rules: RFC 2918 (route refresh), RFC 4486 §4 (administrative reset and shutdown).

use std::time::Instant;

use crate::{
    Address, SessionState,
    session::{Established, Session},
    wire::Family,
};

use super::Speaker;

/// What an operator can ask of one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Let the neighbour tell all its routes again.
    AskAgain,
    /// Tell it all of ours again.
    TellAgain,
    /// End the session and begin anew; its routes go meanwhile.
    Reset,
    /// End the session with these words for its operator, at most 255 octets (RFC 9003), and have none until `Start`, whatever the configuration
    /// says meanwhile. A speaker that begins anew knows nothing of it.
    ShutDown(String),
    /// Take `ShutDown` back.
    Start,
}

/// Why an order cannot be carried out now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderRefusal {
    /// There is no such neighbour.
    #[error("{0} is no BGP neighbour of this host")]
    Unknown(Address),
    /// No routes are exchanged now.
    #[error("the session with {0} is {1:?}, not Established: there is nothing to refresh")]
    Down(Address, SessionState),
    /// The neighbour does not answer a ROUTE-REFRESH.
    #[error("{0} does not offer route refresh (RFC 2918), and tells its routes again only in a new session")]
    Deaf(Address),
    /// There is to be no session.
    #[error("the session with {0} is shut down: there is nothing to end")]
    ShutDown(Address),
    /// No order ended the session.
    #[error("the session with {0} is not shut down: there is nothing to start")]
    NotShutDown(Address),
    /// There is to be no session by the configuration, so that no order brings it back.
    #[error("the session with {0} is shut down by what was declared")]
    Declared(Address),
}

impl Speaker {
    /// Whether an order can be carried out now.
    pub fn admits(&self, neighbour: Address, order: &Order) -> Result<(), OrderRefusal> {
        let session = self.sessions.get(&neighbour).ok_or(OrderRefusal::Unknown(neighbour))?;
        let answers = session.established().map(|session| session.answers_refresh());
        match (order, answers) {
            (Order::Reset, _) if session.config().shutdown.is_some() => Err(OrderRefusal::ShutDown(neighbour)),
            (Order::Reset | Order::ShutDown(_), _) | (Order::TellAgain, Some(_)) | (Order::AskAgain, Some(true)) => {
                Ok(())
            }
            (Order::AskAgain | Order::TellAgain, None) => Err(OrderRefusal::Down(neighbour, session.state())),
            (Order::AskAgain, Some(false)) => Err(OrderRefusal::Deaf(neighbour)),
            (Order::Start, _) => self.may_start(neighbour, session),
        }
    }

    /// Carries it out, as far as it can be.
    pub(super) fn obey(&mut self, now: Instant, neighbour: Address, order: Order) {
        match order {
            Order::AskAgain => self.with_session(now, neighbour, |session| session.ask_again(now)),
            Order::TellAgain => self.tell_again(now, neighbour),
            Order::Reset => self.with_session(now, neighbour, |session| session.reset(now)),
            Order::ShutDown(words) => self.hold(now, neighbour, words),
            Order::Start => self.release(now, neighbour),
        }
    }

    fn tell_again(&mut self, now: Instant, neighbour: Address) {
        let session = self.sessions.get(&neighbour).and_then(Session::established);
        let families = |session: Established<'_>| session.families().map(|(family, _)| family).collect();
        let families: Vec<Family> = session.map(families).unwrap_or_default();
        families.into_iter().for_each(|family| self.send_family(now, neighbour, family));
    }
}
