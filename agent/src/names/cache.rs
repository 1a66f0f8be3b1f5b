//! What resolvers have answered, for as long as they allow it.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, OpCode, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};

/// How many answers are remembered. Those that would be forgotten soonest make room.
const MOST: usize = 10_000;

/// Records and octets of one answer that is remembered; longer ones are fetched again. So whoever asks what, all of it is 40 MB on the wire at most.
const MOST_RECORDS: usize = 64;
const MOST_OCTETS: usize = 4096;

/// How long a failure is remembered: RFC 9520 §3.2 asks for at least a second, and people who mended something do not wait.
const FAILED: Duration = Duration::from_secs(2);

/// The longest time an answer is remembered, and the longest for one that says there is nothing (RFC 2308 §5 suggests one to three hours;
/// people who just made a name do not wait as long).
const LONGEST: Duration = Duration::from_secs(3600);
const LONGEST_FOR_NOTHING: Duration = Duration::from_secs(60);

/// What an answer is remembered by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    name: Name,
    kind: RecordType,
    /// Whether signatures were wanted with it, and whether it was to be believed unchecked.
    wants: (bool, bool),
}

/// Answers, by question, and in the order in which they are forgotten.
#[derive(Default)]
pub(super) struct Cache {
    answers: HashMap<Key, (Instant, Instant, Message)>,
    ends: BTreeMap<(Instant, Key), ()>,
}

impl Key {
    pub(super) fn of(question: &Message) -> Option<Self> {
        let query = question.queries.first()?;
        let wants_signatures = question.edns.as_ref().is_some_and(|edns| edns.flags().dnssec_ok);
        let wants = (wants_signatures, question.metadata.checking_disabled);
        Some(Self { name: query.name().to_lowercase(), kind: query.query_type(), wants })
    }
}

impl Cache {
    /// An answer that still holds; its records have the time left that they have.
    pub(super) fn get(&mut self, key: &Key, now: Instant) -> Option<Message> {
        let (since, until, answer) = self.answers.get(key)?;
        if *until <= now {
            self.remove(key);
            return None;
        }
        let age = u32::try_from(now.saturating_duration_since(*since).as_secs()).unwrap_or(u32::MAX);
        let mut answer = answer.clone();
        let Message { answers, authorities, additionals, .. } = &mut answer;
        for record in answers.iter_mut().chain(authorities).chain(additionals) {
            record.decrement_ttl(age);
        }
        Some(answer)
    }

    /// Remembers an answer, if it may be.
    pub(super) fn put(&mut self, key: Key, answer: &Message, now: Instant) {
        let is_short = |answer: &Message| answer.to_vec().is_ok_and(|octets| octets.len() <= MOST_OCTETS);
        if let Some(life) = life(answer).filter(|life| !life.is_zero() && is_short(answer)) {
            self.keep(key, answer, (now, now + life));
        }
    }

    /// Remembers that nobody could answer.
    pub(super) fn put_failure(&mut self, key: Key, now: Instant) {
        let failure = Message::error_msg(0, OpCode::Query, ResponseCode::ServFail);
        self.keep(key, &failure, (now, now + FAILED));
    }

    /// What was said holds no more: it was said by others.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn keep(&mut self, key: Key, answer: &Message, (now, until): (Instant, Instant)) {
        self.remove(&key);
        while self.answers.len() >= MOST {
            let Some(((_, first), ())) = self.ends.pop_first() else { break };
            self.answers.remove(&first);
        }
        self.ends.insert((until, key.clone()), ());
        self.answers.insert(key, (now, until, answer.clone()));
    }

    fn remove(&mut self, key: &Key) {
        if let Some((_, until, _)) = self.answers.remove(key) {
            self.ends.remove(&(until, key.clone()));
        }
    }
}

/// How long an answer may be remembered: as long as each of its records, or, where it says that there is nothing, as its authority allows.
fn life(answer: &Message) -> Option<Duration> {
    let records = answer.answers.len() + answer.authorities.len() + answer.additionals.len();
    if answer.metadata.truncation || records > MOST_RECORDS {
        return None;
    }
    let seconds = |seconds: u32| Duration::from_secs(seconds.into());
    let shortest = answer.answers.iter().map(|record| record.ttl).min();
    match (answer.metadata.response_code, shortest) {
        (ResponseCode::NoError, Some(shortest)) => Some(seconds(shortest).min(LONGEST)),
        (ResponseCode::NoError | ResponseCode::NXDomain, _) => answer.authorities.iter().find_map(|record| {
            let RData::SOA(soa) = &record.data else { return None };
            let life = seconds(record.ttl.min(soa.minimum)).min(LONGEST_FOR_NOTHING);
            Some(shortest.map_or(life, |shortest| life.min(seconds(shortest))))
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::Query;
    use hickory_proto::rr::Record;
    use hickory_proto::rr::rdata::{A, SOA, TXT};

    use super::*;

    fn question(name: &str) -> Message {
        let mut question = Message::query();
        question.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::A));
        question
    }

    fn key(name: &str) -> Key {
        Key::of(&question(name)).unwrap()
    }

    fn answer(name: &str, ttl: u32) -> Message {
        let mut answer = question(name);
        let data = RData::A(A([192, 0, 2, 1].into()));
        answer.add_answer(Record::from_rdata(Name::from_ascii(name).unwrap(), ttl, data));
        answer
    }

    #[test]
    fn an_answer_is_remembered_for_its_time_and_grows_older() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        cache.put(key("a.example."), &answer("a.example.", 30), now);

        let later = cache.get(&key("A.example."), now + Duration::from_secs(20)).unwrap();

        assert_eq!(later.answers[0].ttl, 10);
        assert!(cache.get(&key("a.example."), now + Duration::from_secs(30)).is_none());
        assert!(cache.answers.is_empty() && cache.ends.is_empty());
    }

    #[test]
    fn what_is_not_there_is_remembered_as_long_as_its_authority_says() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        let mut nothing = question("a.example.");
        nothing.metadata.response_code = ResponseCode::NXDomain;
        cache.put(key("a.example."), &nothing, now);
        assert!(cache.get(&key("a.example."), now).is_none(), "nobody vouches for it");

        let soa = SOA::new(Name::root(), Name::root(), 1, 1, 1, 1, 5);
        nothing.add_authority(Record::from_rdata(Name::root(), 900, RData::SOA(soa)));
        cache.put(key("a.example."), &nothing, now);

        assert!(cache.get(&key("a.example."), now + Duration::from_secs(4)).is_some());
        assert!(cache.get(&key("a.example."), now + Duration::from_secs(5)).is_none());
    }

    #[test]
    fn failures_and_answers_of_no_time_are_not_remembered() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        let mut failed = question("a.example.");
        failed.metadata.response_code = ResponseCode::ServFail;

        cache.put(key("a.example."), &failed, now);
        cache.put(key("b.example."), &answer("b.example.", 0), now);

        assert!(cache.answers.is_empty());
    }

    #[test]
    fn a_failure_is_remembered_for_a_moment_and_a_long_answer_not_at_all() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        let mut long = answer("long.example.", 60);
        let text = RData::TXT(TXT::new((0..20).map(|_| "x".repeat(250)).collect()));
        long.add_answer(Record::from_rdata(Name::from_ascii("long.example.").unwrap(), 60, text));

        cache.put(key("long.example."), &long, now);
        cache.put_failure(key("a.example."), now);

        assert!(cache.get(&key("long.example."), now).is_none());
        let failed = cache.get(&key("a.example."), now + Duration::from_secs(1)).unwrap();
        assert_eq!(failed.metadata.response_code, ResponseCode::ServFail);
        assert!(cache.get(&key("a.example."), now + FAILED).is_none());
    }

    #[test]
    fn who_comes_when_it_is_full_takes_the_place_of_who_would_go_first() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        for number in 0..MOST {
            let name = format!("n{number}.example.");
            cache.put(key(&name), &answer(&name, if number == 7 { 5 } else { 50 }), now);
        }

        cache.put(key("late.example."), &answer("late.example.", 9), now);

        assert_eq!((cache.answers.len(), cache.ends.len()), (MOST, MOST));
        assert!(cache.get(&key("n7.example."), now).is_none() && cache.get(&key("late.example."), now).is_some());
    }
}
