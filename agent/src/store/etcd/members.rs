//! Which member of the cluster is asked, and when to turn to the next.
//!
//! `etcd-client` spreads calls over all endpoints by chance, dead ones too: with one of two down half of all calls failed
//! (`a_dead_endpoint_beside_a_living_one_is_survived`). So each endpoint has a client of its own, and we stay with one that answers.

use super::access::{Credentials, Held};
use super::explain::was_never_sent;
use crate::store::chance::chance_below;
use etcd_client::{Client, ConnectOptions, Error};
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// How long one answer may take, over all members asked. etcd gives up on itself after 7 s; a caller with a container waiting
/// should not wait so long.
pub const ANSWER_TIME: Duration = Duration::from_secs(5);

/// How long a connection may take to come up: two round trips and one lost packet (1 s) fit, and two dead members before the third.
const CONNECT_TIME: Duration = Duration::from_secs(2);

/// Without pings a stopped server is never noticed; with these it is after 8 s.
const PING_EVERY: Duration = Duration::from_secs(5);
const PONG_TIME: Duration = Duration::from_secs(3);

/// One client for each endpoint. They connect when first used, and again whenever the connection broke.
pub(super) struct Members {
    members: Vec<Member>,
    credentials: Credentials,
    /// The one that is asked. A fleet starts all over the cluster.
    current: AtomicUsize,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// The client or the server said so.
    Told(Error),
    /// Nothing came within [`ANSWER_TIME`].
    Silence,
}

/// One member of the cluster.
struct Member {
    endpoint: String,
    /// What is asked, and the credentials it was made with. Of a server that wants to know a name it is made when first used: it is asked for a token.
    client: Mutex<Option<(Client, Held)>>,
}

impl Members {
    /// Prepares the connections, and asks nobody.
    pub(super) async fn of(endpoints: &[String], credentials: Credentials) -> Result<Self, (String, Error)> {
        let held = credentials.read().map_err(|error| (endpoints.join(", "), error.into()))?;
        let mut members = Vec::with_capacity(endpoints.len());
        for endpoint in endpoints {
            let anonymous = held.clone().anonymous();
            let client = connect(endpoint, &anonymous).await.map_err(|error| (endpoint.clone(), error))?;
            let client = (anonymous == held).then_some((client, anonymous));
            members.push(Member { endpoint: endpoint.clone(), client: Mutex::new(client) });
        }
        let current = AtomicUsize::new(chance_below(members.len()));
        Ok(Self { members, credentials, current })
    }

    /// Asks one member, and the next if that one cannot be connected to. What may have been heard is never asked twice.
    pub(super) async fn ask<T, F>(&self, question: impl Fn(Client) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let end = Instant::now() + ANSWER_TIME;
        let mut tries = 1..self.members.len();
        loop {
            match self.ask_one(&question, end).await {
                Err(failure) if was_never_sent(&failure) && tries.next().is_some() => {}
                answer => return answer,
            }
        }
    }

    /// Asks the member in this place of the configuration, and nobody else if it does not answer.
    pub(super) async fn ask_this<T, F>(&self, place: usize, question: impl Fn(Client) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let asked = async { question(self.members[place].client(&self.credentials).await?).await };
        match tokio::time::timeout(ANSWER_TIME, asked).await {
            Ok(answer) => answer.map_err(Failure::Told),
            Err(_) => Err(Failure::Silence),
        }
    }

    /// What we were given to be known by.
    pub(super) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    async fn ask_one<T, F>(&self, question: impl Fn(Client) -> F, end: Instant) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let current = self.current.load(Ordering::Relaxed);
        let member = &self.members[current];
        let asked = async { question(member.client(&self.credentials).await?).await };
        let failure = match tokio::time::timeout_at(end, asked).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => Failure::Told(error),
            Err(_) => Failure::Silence,
        };
        if failure.is_of_the_member() || failure.is_denial() {
            member.forget_if_renewed(&self.credentials).await;
        }
        self.leave(current, &failure);
        Err(failure)
    }

    /// Turns to the next member if this one is the trouble. Of many callers with the same trouble, the first turns.
    fn leave(&self, current: usize, failure: &Failure) {
        if failure.is_of_the_member() {
            let next = (current + 1) % self.members.len();
            let _ = self.current.compare_exchange(current, next, Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}

impl Member {
    async fn client(&self, credentials: &Credentials) -> Result<Client, Error> {
        let mut client = self.client.lock().await;
        if let Some((client, _)) = &*client {
            return Ok(client.clone());
        }
        let held = credentials.read()?;
        let made = connect(&self.endpoint, &held).await?;
        *client = Some((made.clone(), held));
        Ok(made)
    }

    /// Lets the client go if the files hold something else than it was made with. What cannot be read is as it was.
    async fn forget_if_renewed(&self, credentials: &Credentials) {
        let Ok(now) = credentials.read() else { return };
        let mut client = self.client.lock().await;
        if client.as_ref().is_some_and(|(_, held)| *held != now) {
            tracing::info!(endpoint = self.endpoint, "credentials for etcd were renewed");
            *client = None;
        }
    }
}

async fn connect(endpoint: &str, held: &Held) -> Result<Client, Error> {
    Client::connect([endpoint], Some(held.options(endpoint, options()))).await
}

fn options() -> ConnectOptions {
    ConnectOptions::new()
        .with_connect_timeout(CONNECT_TIME)
        .with_keep_alive(PING_EVERY, PONG_TIME)
        .with_keep_alive_while_idle(true)
        .with_require_leader(true)
}
