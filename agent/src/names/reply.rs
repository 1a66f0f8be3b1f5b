//! Puts answers into words.

use std::net::IpAddr;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, PTR, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType};

/// How long an answer about the fabric may be remembered: who is gone shall not be found a second later.
const LIFE_SECONDS: u32 = 1;

/// The longest answer by UDP that no network cuts to pieces (the DNS flag day of 2020), and the longest to who says nothing (RFC 1035 §4.2.1).
const LONGEST_DATAGRAM: u16 = 1232;
const LONGEST_PLAIN_DATAGRAM: u16 = 512;

/// A question; or what is to be said of one that cannot be read, if anything: what is itself an answer gets none, or two servers would never stop.
pub(super) fn read(octets: &[u8]) -> Result<Message, Option<Message>> {
    let [first, second, flags, _, questions @ ..] = octets else { return Err(None) };
    if flags & 0x80 != 0 {
        return Err(None);
    }
    let id = u16::from_be_bytes([*first, *second]);
    let odd = || (octets.len() >= 12).then(|| Message::error_msg(id, OpCode::Query, ResponseCode::FormErr));
    // RFC 9619: a query has one question. Looked at first, as room is made for as many as are promised.
    let is_query = flags & 0x78 == 0;
    if is_query && !questions.starts_with(&[0, 1]) {
        return Err(odd());
    }
    Message::from_vec(octets).map_err(|_| odd())
}

/// An answer with nothing in it yet.
pub(super) fn begin(question: &Message) -> Message {
    let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
    answer.metadata.message_type = MessageType::Response;
    answer.metadata.recursion_desired = question.metadata.recursion_desired;
    answer.metadata.recursion_available = true;
    answer.add_queries(question.queries.iter().cloned());
    if let Some(asked) = &question.edns {
        let mut edns = Edns::new();
        edns.set_max_payload(LONGEST_DATAGRAM).set_dnssec_ok(asked.flags().dnssec_ok);
        answer.set_edns(edns);
    }
    answer
}

pub(super) fn failure(question: &Message, code: ResponseCode) -> Message {
    let mut answer = begin(question);
    answer.metadata.response_code = code;
    answer
}

/// Those of the asked family. None: the name is there, and has nothing of that kind.
pub(super) fn addresses(question: &Message, addresses: &[IpAddr]) -> Message {
    let mut answer = begin(question);
    answer.metadata.authoritative = true;
    let Some(query) = question.queries.first() else { return answer };
    let wanted = query.query_type();
    let data = addresses.iter().filter_map(|address| match address {
        IpAddr::V4(address) if matches!(wanted, RecordType::A | RecordType::ANY) => Some(RData::A(A(*address))),
        IpAddr::V6(address) if matches!(wanted, RecordType::AAAA | RecordType::ANY) => {
            Some(RData::AAAA(AAAA(*address)))
        }
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    });
    answer.add_answers(data.map(|data| Record::from_rdata(query.name().clone(), LIFE_SECONDS, data)));
    if answer.answers.is_empty() {
        answer.add_authority(authority());
    }
    answer
}

/// The names at an address; none: it is not known to who asks.
pub(super) fn pointer(question: &Message, names: &[String]) -> Message {
    let mut answer = begin(question);
    answer.metadata.authoritative = true;
    let Some(query) = question.queries.first() else { return answer };
    let full = names.iter().filter_map(|name| Name::from_ascii(format!("{name}.")).ok());
    answer.add_answers(full.map(|name| Record::from_rdata(query.name().clone(), LIFE_SECONDS, RData::PTR(PTR(name)))));
    if answer.answers.is_empty() {
        return nobody(question);
    }
    answer
}

/// There is no such name.
pub(super) fn nobody(question: &Message) -> Message {
    let mut answer = failure(question, ResponseCode::NXDomain);
    answer.metadata.authoritative = true;
    answer.add_authority(authority());
    answer
}

/// Says how long it may be remembered that something is not there (RFC 2308 §5).
fn authority() -> Record {
    let life = i32::try_from(LIFE_SECONDS).unwrap_or(i32::MAX);
    let soa = SOA::new(Name::root(), Name::root(), 1, life, life, life, LIFE_SECONDS);
    Record::from_rdata(Name::root(), LIFE_SECONDS, RData::SOA(soa))
}

/// The octets of an answer by UDP, cut down to its question if whoever asked cannot take more.
pub(super) fn datagram(answer: &Message, most: u16) -> Option<Vec<u8>> {
    let octets = stream(answer)?;
    match octets.len() <= usize::from(most) {
        true => Some(octets),
        false => stream(&answer.truncate()),
    }
}

/// The octets of an answer.
pub(super) fn stream(answer: &Message) -> Option<Vec<u8>> {
    answer.to_vec().inspect_err(|error| tracing::debug!("an answer cannot be written: {error}")).ok()
}

/// How long an answer by UDP to this question may be.
pub(super) fn most(octets: &[u8]) -> u16 {
    let edns = Message::from_vec(octets).ok().and_then(|question| question.edns);
    edns.map_or(LONGEST_PLAIN_DATAGRAM, |edns| edns.max_payload().clamp(LONGEST_PLAIN_DATAGRAM, LONGEST_DATAGRAM))
}

/// What was asked, for people.
pub(super) fn asked(question: &Message) -> String {
    question.queries.first().map(|query| format!("{} {}", query.name(), query.query_type())).unwrap_or_default()
}
