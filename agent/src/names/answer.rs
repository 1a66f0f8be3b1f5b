//! From a question to its answer, whoever brings it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RecordType};
use poplin_node::name::EndpointName;
use poplin_node::names::{Found, NameChange, NameDoor, Names};
use poplin_policy::ruleset::Interface;

use super::bounds::{Bounds, Turn};
use super::forward::Forwarder;
use super::reply;

/// All that is needed to answer.
pub(super) struct Answering {
    names: RwLock<Names>,
    forwarder: Forwarder,
    pub(super) bounds: Bounds,
    /// How many answers with several addresses were given: each begins with another one.
    turns: AtomicUsize,
}

/// What is to be done with a question.
enum Verdict {
    /// The answer is known.
    Known(Message),
    /// It is no name of the fabric, and may be asked for outside.
    Outside,
}

impl Answering {
    pub(super) fn new(forwarder: Forwarder, bounds: Bounds) -> Self {
        Self { names: RwLock::default(), forwarder, bounds, turns: AtomicUsize::new(0) }
    }

    pub(super) fn change(&self, changes: Vec<NameChange>) {
        let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            if let NameChange::Endpoint(name, None) = &change {
                self.bounds.forget(name);
            }
            names.change(change);
        }
    }

    /// Our own addresses are nobody to forward to.
    pub(super) fn know_own(&self, doors: &BTreeSet<NameDoor>) {
        let own = doors.iter().map(|door| match door {
            NameDoor::Gateway(address) => (*address, 0),
            NameDoor::Link(address, _, link) => (*address, *link),
            NameDoor::Sandbox(address, ..) => (*address, 0),
        });
        self.forwarder.upstreams.know_own(own.collect());
    }

    /// Who is at the end of a link.
    pub(super) fn endpoint_on(&self, interface: &Interface) -> Option<EndpointName> {
        self.names.read().unwrap_or_else(PoisonError::into_inner).endpoint_on(interface).cloned()
    }

    /// Who of this host has the address.
    pub(super) fn endpoint_at(&self, address: IpAddr) -> Option<EndpointName> {
        self.names.read().unwrap_or_else(PoisonError::into_inner).endpoint_at(address).cloned()
    }

    /// Answers at once if that can be; nothing: there is nothing to say, or the answer has to be fetched with [`fetch`](Self::fetch).
    pub(super) fn at_once(&self, asker: &EndpointName, octets: &[u8]) -> Result<Option<Message>, Message> {
        let question = match reply::read(octets) {
            Ok(question) => question,
            Err(complaint) => return Ok(complaint),
        };
        match self.judge(asker, &question) {
            Verdict::Known(answer) => Ok(Some(answer)),
            Verdict::Outside => match self.forwarder.remembered(&question) {
                Some(answer) => Ok(Some(answer)),
                None => Err(question),
            },
        }
    }

    /// Asks outside, within the bounds of who asks.
    pub(super) async fn fetch(&self, turn: Turn, question: Message) -> Message {
        let answer = self.forwarder.ask(&question).await;
        drop(turn);
        answer.unwrap_or_else(|reason| {
            tracing::debug!("{} was not found out: {reason}", reply::asked(&question));
            reply::failure(&question, ResponseCode::ServFail)
        })
    }

    fn judge(&self, asker: &EndpointName, question: &Message) -> Verdict {
        let Some(query) = question.queries.first().filter(|_| is_plain(question)) else {
            return Verdict::Known(reply::failure(question, ResponseCode::NotImp));
        };
        let names = self.names.read().unwrap_or_else(PoisonError::into_inner);
        let Some(view) = names.seen_by(asker) else {
            return Verdict::Known(reply::failure(question, ResponseCode::Refused));
        };
        if let Some(found) = reverse(query).and_then(|address| view.names_at(address)) {
            return Verdict::Known(reply::pointer(question, &found));
        }
        let found = view.find(&plain(query.name()));
        match found {
            Found::Addresses(addresses) => Verdict::Known(reply::addresses(question, &self.rotated(addresses))),
            Found::Empty => Verdict::Known(reply::addresses(question, &[])),
            Found::Nobody => Verdict::Known(reply::nobody(question)),
            Found::NotOurs if view.is_open_outside() => Verdict::Outside,
            Found::NotOurs => Verdict::Known(reply::nobody(question)),
        }
    }

    fn rotated(&self, addresses: BTreeSet<IpAddr>) -> Vec<IpAddr> {
        let mut addresses: Vec<IpAddr> = addresses.into_iter().collect();
        let turn = self.turns.fetch_add(1, Ordering::Relaxed) % addresses.len().max(1);
        addresses.rotate_left(turn);
        addresses
    }
}

/// One question of the Internet's class, as all are that matter.
fn is_plain(question: &Message) -> bool {
    let [query] = &question.queries[..] else { return false };
    let metadata = &question.metadata;
    metadata.message_type == MessageType::Query
        && metadata.op_code == OpCode::Query
        && query.query_class() == DNSClass::IN
}

/// The address a question about a pointer means.
fn reverse(query: &Query) -> Option<IpAddr> {
    let net = query.name().parse_arpa_name().ok().filter(|_| query.query_type() == RecordType::PTR)?;
    (net.prefix_len() == net.max_prefix_len()).then(|| net.addr())
}

/// A name as the table has it.
fn plain(name: &Name) -> String {
    name.to_lowercase().to_ascii().trim_end_matches('.').to_owned()
}
