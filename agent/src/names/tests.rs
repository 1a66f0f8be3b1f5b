//! Questions as containers put them, without sockets; and resolvers on loopback that answer as they are told.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hickory_proto::op::{Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use poplin_node::name::{EndpointName, NetworkName};
use poplin_node::names::{Asker, Holder, Home, NameChange, NetworkNames};
use poplin_policy::ruleset::Interface;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};

use super::answer::Answering;
use super::bounds::Bounds;
use super::forward::Forwarder;
use super::reply;
use super::upstream::Upstreams;

fn holder(name: &str, last: u8, network: Option<&str>) -> NameChange {
    let interface = Interface::new(format!("pop{last}")).unwrap();
    let asker = Asker { interface, container: format!("c{last}") };
    let holder = Holder {
        here: Some(Box::new(asker)),
        home: Home { network: network.map(NetworkName::new), namespace: network.map(Arc::from) },
        own: name.into(),
        aliases: BTreeSet::from(["all".to_owned()]),
        addresses: [IpAddr::from([10, 77, 0, last])].into(),
    };
    NameChange::Endpoint(EndpointName::new(name), Some(Box::new(holder)))
}

/// `web` and `db` in no network, `inner` in one that is closed to the outside.
fn answering(upstreams: Vec<SocketAddr>) -> Answering {
    let answering = Answering::new(Forwarder::new(Upstreams::new(upstreams)), Bounds::default());
    let closed = NetworkNames { records: Default::default(), is_open_outside: false };
    answering.change(vec![
        holder("web", 1, None),
        holder("db", 2, None),
        holder("inner", 3, Some("closed")),
        NameChange::Network(NetworkName::new("closed"), Some(closed)),
    ]);
    answering
}

fn question(name: &str, kind: RecordType) -> Message {
    let mut question = Message::query();
    question.metadata.recursion_desired = true;
    question.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    question
}

/// The answer to who is called so, if it can be given at once.
fn ask(answering: &Answering, from: &str, name: &str, kind: RecordType) -> Option<Message> {
    let octets = question(name, kind).to_vec().unwrap();
    answering.at_once(&EndpointName::new(from), &octets).ok().flatten()
}

fn data(answer: &Message) -> Vec<String> {
    answer.answers.iter().map(|record| record.data.to_string()).collect()
}

#[test]
fn names_are_answered_by_kind_and_whatever_their_case() {
    let answering = answering(Vec::new());

    let four = ask(&answering, "web", "Db.Poplin.Internal.", RecordType::A).unwrap();
    let six = ask(&answering, "web", "db.", RecordType::AAAA).unwrap();
    let pointer = ask(&answering, "web", "2.0.77.10.in-addr.arpa.", RecordType::PTR).unwrap();

    assert_eq!((data(&four), four.metadata.authoritative), (vec!["10.77.0.2".to_owned()], true));
    assert_eq!((six.metadata.response_code, six.answers.len(), six.authorities.len()), (ResponseCode::NoError, 0, 1));
    assert_eq!(data(&pointer), ["db.poplin.internal."]);
    let hidden = ask(&answering, "web", "3.0.77.10.in-addr.arpa.", RecordType::PTR).unwrap();
    assert_eq!(hidden.metadata.response_code, ResponseCode::NXDomain);
    let missing = ask(&answering, "web", "no.poplin.internal.", RecordType::A).unwrap();
    assert_eq!(missing.metadata.response_code, ResponseCode::NXDomain);
}

#[test]
fn several_who_are_called_so_take_turns() {
    let answering = answering(Vec::new());
    let first = || data(&ask(&answering, "web", "all.", RecordType::A).unwrap())[0].clone();

    let firsts: BTreeSet<String> = (0..2).map(|_| first()).collect();

    assert_eq!(firsts.len(), 2);
}

#[test]
fn who_may_not_leave_his_network_learns_nothing_of_the_outside() {
    let answering = answering(Vec::new());

    let inner = ask(&answering, "inner", "example.com.", RecordType::A).unwrap();

    assert_eq!(inner.metadata.response_code, ResponseCode::NXDomain);
    assert!(ask(&answering, "web", "example.com.", RecordType::A).is_none(), "that one has to be fetched");
    let stranger = ask(&answering, "nobody", "db.", RecordType::A).unwrap();
    assert_eq!(stranger.metadata.response_code, ResponseCode::Refused);
}

#[test]
fn what_is_no_question_gets_an_error_or_nothing() {
    let answering = answering(Vec::new());
    let web = EndpointName::new("web");
    let answer =
        |octets: &[u8]| answering.at_once(&web, octets).ok().flatten().map(|answer| answer.metadata.response_code);
    let mut answered = question("db.", RecordType::A);
    answered.metadata.message_type = MessageType::Response;
    let mut two = question("db.", RecordType::A);
    two.add_query(Query::query(Name::root(), RecordType::A));

    assert_eq!((answer(&[]), answer(&[0, 1, 0x80]), answer(&answered.to_vec().unwrap())), (None, None, None));
    assert_eq!(answer(&[0, 1, 1, 0, 0, 9, 0, 0, 0, 0, 0, 0]), Some(ResponseCode::FormErr));
    assert_eq!(answer(&two.to_vec().unwrap()), Some(ResponseCode::FormErr));
}

#[test]
fn an_answer_too_long_for_a_datagram_is_cut_to_its_question() {
    let question = question("all.", RecordType::A);
    let addresses: Vec<IpAddr> = (0..100).map(|last| IpAddr::from([10, 77, 0, last])).collect();
    let answer = reply::addresses(&question, &addresses);

    let cut = Message::from_vec(&reply::datagram(&answer, 512).unwrap()).unwrap();

    assert!(cut.metadata.truncation && cut.answers.is_empty() && cut.queries == question.queries);
    let whole = Message::from_vec(&reply::stream(&answer).unwrap()).unwrap();
    assert_eq!(whole.answers.len(), 100);
}

/// A resolver on loopback that answers everything with 192.0.2.7, by UDP only that it must be asked by TCP if `is_short`; and how often it was asked.
async fn resolver(is_short: bool) -> (SocketAddr, Arc<AtomicUsize>) {
    let streams = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = streams.local_addr().unwrap();
    let datagrams = UdpSocket::bind(address).await.unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok((length, from)) = datagrams.recv_from(&mut buffer).await {
            count.fetch_add(1, Ordering::SeqCst);
            let answer = answer_of(&buffer[..length]);
            let answer = if is_short { answer.truncate() } else { answer };
            // Somebody guesses first, and in vain.
            let mut guess = answer.clone();
            guess.metadata.id = guess.metadata.id.wrapping_add(1);
            datagrams.send_to(&guess.to_vec().unwrap(), from).await.unwrap();
            datagrams.send_to(&answer.to_vec().unwrap(), from).await.unwrap();
        }
    });
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = streams.accept().await {
            let mut octets = vec![0; stream.read_u16().await.unwrap().into()];
            stream.read_exact(&mut octets).await.unwrap();
            let answer = answer_of(&octets).to_vec().unwrap();
            stream.write_u16(u16::try_from(answer.len()).unwrap()).await.unwrap();
            stream.write_all(&answer).await.unwrap();
        }
    });
    (address, asked)
}

fn answer_of(octets: &[u8]) -> Message {
    let asked = Message::from_vec(octets).unwrap();
    let mut answer = reply::begin(&asked);
    let name = asked.queries[0].name().clone();
    answer.add_answer(Record::from_rdata(name, 300, RData::A(A([192, 0, 2, 7].into()))));
    answer
}

async fn fetch(answering: &Answering, name: &str) -> Message {
    let web = EndpointName::new("web");
    let octets = question(name, RecordType::A).to_vec().unwrap();
    match answering.at_once(&web, &octets) {
        Ok(answer) => answer.unwrap(),
        Err(question) => answering.fetch(answering.bounds.question(&web).unwrap(), question).await,
    }
}

#[tokio::test]
async fn other_names_are_asked_for_outside_once() {
    let (address, asked) = resolver(false).await;
    let answering = answering(vec![address]);

    for _ in 0..3 {
        let answer = fetch(&answering, "example.com.").await;
        assert_eq!((data(&answer), answer.metadata.authoritative), (vec!["192.0.2.7".to_owned()], false));
    }

    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn who_asks_the_same_at_once_asks_once_and_gets_his_own_answer() {
    let (address, asked) = resolver(false).await;
    let answering = answering(vec![address]);

    let answers = tokio::join!(fetch(&answering, "example.com."), fetch(&answering, "EXAMPLE.com."));

    let names = [&answers.0, &answers.1].map(|answer| answer.queries[0].name().to_string());
    assert_eq!(names, ["example.com.", "EXAMPLE.com."], "each as it was asked");
    assert_eq!((data(&answers.0), data(&answers.1)), (vec!["192.0.2.7".to_owned()], vec!["192.0.2.7".to_owned()]));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_answer_that_was_cut_short_is_fetched_by_tcp() {
    let (address, _) = resolver(true).await;

    let answer = fetch(&answering(vec![address]), "example.com.").await;

    assert_eq!((data(&answer), answer.metadata.truncation), (vec!["192.0.2.7".to_owned()], false));
}

#[tokio::test]
async fn a_resolver_that_is_not_there_costs_no_answer_while_another_is() {
    let gone = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (address, _) = resolver(false).await;

    let answer = fetch(&answering(vec![gone, address]), "example.com.").await;
    let none = fetch(&answering(vec![gone]), "example.com.").await;

    assert_eq!(data(&answer), ["192.0.2.7"]);
    assert_eq!(none.metadata.response_code, ResponseCode::ServFail);
}
