//! Finds out names that are not the fabric's: from memory, or from one resolver after the other.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hickory_proto::op::{Edns, Message, ResponseCode};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::cache::{Cache, Key};
use super::exchange;
use super::joined::UnderWay;
use super::reply::begin;
use super::upstream::Upstreams;

/// How long one resolver may take: programs in containers give up after five seconds (resolv.conf(5)), and the next one shall have its chance.
const PATIENCE: Duration = Duration::from_millis(1500);

/// How often each resolver is asked that does not answer: a datagram may be lost.
const ROUNDS: usize = 2;

/// How long all of that may take.
const PATIENCE_WITH_ALL: Duration = Duration::from_millis(4500);

/// How long one that did not answer is asked last.
const SLOW: Duration = Duration::from_secs(30);

/// Questions under way, of all containers.
const UNDER_WAY: usize = 1024;

/// The longest answer by UDP that no network cuts to pieces.
const LONGEST_DATAGRAM: u16 = 1232;

/// Asks others, and remembers what they said.
pub(super) struct Forwarder {
    pub(super) upstreams: Upstreams,
    cache: Mutex<Cache>,
    under_way: UnderWay<Key, Result<Message, String>>,
    room: Semaphore,
    /// Who is asked, and who of them did not answer, and when.
    resolvers: Mutex<Resolvers>,
}

#[derive(Default)]
struct Resolvers {
    known: Vec<SocketAddr>,
    silent: BTreeMap<SocketAddr, Instant>,
}

/// Why there is no answer of one resolver.
enum Failure {
    /// It said nothing.
    Silent(String),
    /// It said something else, and would again.
    Said(String),
}

impl Forwarder {
    pub(super) fn new(upstreams: Upstreams) -> Self {
        Self {
            upstreams,
            cache: Mutex::default(),
            under_way: UnderWay::default(),
            room: Semaphore::new(UNDER_WAY),
            resolvers: Mutex::default(),
        }
    }

    /// The answer, if it is known still.
    pub(super) fn remembered(&self, question: &Message) -> Option<Message> {
        let key = Key::of(question)?;
        self.resolvers(Instant::now());
        let known = locked(&self.cache).get(&key, Instant::now())?;
        Some(told(question, known))
    }

    /// The answer of the first resolver that has one; of whoever asks the same already, if somebody does.
    pub(super) async fn ask(&self, question: &Message) -> Result<Message, String> {
        let key = Key::of(question).ok_or("nothing was asked")?;
        let said = self.under_way.ask(key.clone(), self.find_out(key, question)).await;
        said.map(|said| told(question, said))
    }

    async fn find_out(&self, key: Key, question: &Message) -> Result<Message, String> {
        let _room = self.room.try_acquire().map_err(|_| format!("{UNDER_WAY} questions are under way already"))?;
        let late = || Err(format!("no resolver answered within {PATIENCE_WITH_ALL:?}"));
        let outcome = timeout(PATIENCE_WITH_ALL, self.ask_all(question)).await.unwrap_or_else(|_| late());
        match &outcome {
            Ok(answer) => locked(&self.cache).put(key, answer, Instant::now()),
            Err(_) => locked(&self.cache).put_failure(key, Instant::now()),
        }
        outcome
    }

    /// In their order, as the host itself asks them, but for those that were silent a moment ago; those that stay silent once more.
    async fn ask_all(&self, question: &Message) -> Result<Message, String> {
        let mut left = self.resolvers(Instant::now());
        let mut reason = "no resolver is known".to_owned();
        for _ in 0..ROUNDS {
            let mut silent = Vec::new();
            for resolver in left {
                match self.ask_one(resolver, question).await {
                    Ok(answer) => return Ok(answer),
                    Err(Failure::Said(why)) => reason = why,
                    Err(Failure::Silent(why)) => {
                        reason = why;
                        silent.push(resolver);
                        locked(&self.resolvers).silent.insert(resolver, Instant::now());
                    }
                }
            }
            left = silent;
        }
        Err(reason)
    }

    /// Whom to ask, in that order. When they are others than before, what those before said is forgotten.
    fn resolvers(&self, now: Instant) -> Vec<SocketAddr> {
        let all = self.upstreams.now(now);
        let mut resolvers = locked(&self.resolvers);
        if resolvers.known != all {
            locked(&self.cache).clear();
            *resolvers = Resolvers { known: all, silent: BTreeMap::new() };
        }
        resolvers.silent.retain(|_, at| now.saturating_duration_since(*at) < SLOW);
        let mut ordered = resolvers.known.clone();
        ordered.sort_by_key(|one| resolvers.silent.contains_key(one));
        ordered
    }

    async fn ask_one(&self, resolver: SocketAddr, question: &Message) -> Result<Message, Failure> {
        let answer = match timeout(PATIENCE, exchange::ask(resolver, &outgoing(question))).await {
            Ok(answer) => answer.map_err(|error| Failure::Said(format!("{resolver}: {error}")))?,
            Err(_) => return Err(Failure::Silent(format!("{resolver} does not answer within {PATIENCE:?}"))),
        };
        let code = answer.metadata.response_code;
        if !matches!(code, ResponseCode::NoError | ResponseCode::NXDomain) {
            return Err(Failure::Said(format!("{resolver} answers {code}")));
        }
        Ok(answer)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
