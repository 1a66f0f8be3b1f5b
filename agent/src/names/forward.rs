//! Finds out names that are not the fabric's: from memory, or from one resolver after the other.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hickory_proto::op::{Edns, Message, ResponseCode};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::cache::{Cache, Key};
use super::exchange;
use super::reply::begin;
use super::upstream::Upstreams;

/// How long one resolver may take: programs in containers give up after five seconds (resolv.conf(5)), and the next one shall have its chance.
const PATIENCE: Duration = Duration::from_millis(1500);

/// How often each resolver is asked.
const ROUNDS: usize = 2;

/// Questions under way, of all containers.
const UNDER_WAY: usize = 1024;

/// The longest answer by UDP that no network cuts to pieces.
const LONGEST_DATAGRAM: u16 = 1232;

/// Asks others, and remembers what they said.
pub(super) struct Forwarder {
    pub(super) upstreams: Upstreams,
    cache: Mutex<Cache>,
    room: Semaphore,
    /// Which resolver answered last: it is asked first.
    preferred: AtomicUsize,
}

impl Forwarder {
    pub(super) fn new(upstreams: Upstreams) -> Self {
        let (cache, room) = (Mutex::default(), Semaphore::new(UNDER_WAY));
        Self { upstreams, cache, room, preferred: AtomicUsize::new(0) }
    }

    /// The answer, if it is known still.
    pub(super) fn remembered(&self, question: &Message) -> Option<Message> {
        let key = Key::of(question)?;
        let known = self.cache.lock().unwrap_or_else(PoisonError::into_inner).get(&key, Instant::now())?;
        Some(told(question, known))
    }

    /// The answer of the first resolver that has one.
    pub(super) async fn ask(&self, question: &Message) -> Result<Message, String> {
        let _room = self.room.try_acquire().map_err(|_| format!("{UNDER_WAY} questions are under way already"))?;
        let resolvers = self.upstreams.now(Instant::now());
        let first = self.preferred.load(Ordering::Relaxed);
        let mut reason = "no resolver is known".to_owned();
        for turn in 0..resolvers.len() * ROUNDS {
            let place = (first + turn) % resolvers.len();
            match self.ask_one(resolvers[place], question).await {
                Ok(answer) => {
                    self.preferred.store(place, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(error) => reason = error,
            }
        }
        Err(reason)
    }

    async fn ask_one(&self, resolver: SocketAddr, question: &Message) -> Result<Message, String> {
        let answer = match timeout(PATIENCE, exchange::ask(resolver, &outgoing(question))).await {
            Ok(answer) => answer.map_err(|error| format!("{resolver}: {error}"))?,
            Err(_) => return Err(format!("{resolver} does not answer within {PATIENCE:?}")),
        };
        let code = answer.metadata.response_code;
        if !matches!(code, ResponseCode::NoError | ResponseCode::NXDomain) {
            return Err(format!("{resolver} answers {code}"));
        }
        if let Some(key) = Key::of(question) {
            self.cache.lock().unwrap_or_else(PoisonError::into_inner).put(key, &answer, Instant::now());
        }
        Ok(told(question, answer))
    }
}

/// The same question under a number of its own.
fn outgoing(question: &Message) -> Message {
    let mut outgoing = Message::query();
    outgoing.metadata.recursion_desired = true;
    outgoing.metadata.checking_disabled = question.metadata.checking_disabled;
    outgoing.metadata.authentic_data = question.metadata.authentic_data;
    outgoing.add_queries(question.queries.iter().cloned());
    let mut edns = Edns::new();
    let wants_signatures = question.edns.as_ref().is_some_and(|edns| edns.flags().dnssec_ok);
    edns.set_max_payload(LONGEST_DATAGRAM).set_dnssec_ok(wants_signatures);
    outgoing.set_edns(edns);
    outgoing
}

/// What a resolver said, as an answer to this question.
fn told(question: &Message, said: Message) -> Message {
    let mut answer = begin(question);
    answer.metadata.response_code = said.metadata.response_code;
    answer.metadata.authentic_data = said.metadata.authentic_data;
    answer.metadata.checking_disabled = question.metadata.checking_disabled;
    answer.add_answers(said.answers);
    answer.add_authorities(said.authorities);
    answer.add_additionals(said.additionals);
    answer
}
