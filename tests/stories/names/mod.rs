//! Stories of names: containers ask their gateways.

mod between_hosts;
mod bounds;
mod outside;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use poplin_lab::{Agent, Container, Fabric, Lab, Namespace};

/// How long one answer may take; whoever expects one asks again.
const PATIENCE: Duration = Duration::from_secs(1);

/// The gateway of those who are in no network.
const GATEWAY: &str = "169.254.1.1";

const OBJECTS: &str = "
{apiVersion: poplin.dev/v1, kind: Pool, metadata: {name: four}, spec: {cidr: 10.77.0.0/16}}
---
{apiVersion: poplin.dev/v1, kind: Pool, metadata: {name: six}, spec: {cidr: 'fd77::/48'}}
---
{apiVersion: poplin.dev/v1, kind: Network, metadata: {name: shop}, spec: {records: [{name: printer, addresses: [192.0.2.99, '2001:db8::99']}]}}
---
{apiVersion: poplin.dev/v1, kind: Network, metadata: {name: bank}, spec: {}}
";

/// Two hosts on one segment, with networks `shop` and `bank`, and more arguments for their agents.
fn two_hosts(more: &[&str]) -> Fabric {
    let lab = Lab::new();
    let mut tor = lab.tor();
    tor.start_etcd();
    let mut hosts: Vec<Agent> = [1, 2].map(|number| tor.host_on_segment(&lab, number).with(more)).into();
    hosts.iter_mut().for_each(Agent::start);
    hosts[0].apply(OBJECTS);
    let fabric = Fabric { hosts, tor, lab };
    fabric.until_established(1);
    fabric
}

/// What a server said.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    code: ResponseCode,
    data: Vec<String>,
}

impl Said {
    fn is(&self, data: &[&str]) -> bool {
        self.code == ResponseCode::NoError && self.data == data
    }

    fn is_nobody(&self) -> bool {
        self.code == ResponseCode::NXDomain
    }
}

fn question(name: &str, kind: RecordType) -> Message {
    let mut question = Message::query();
    question.metadata.recursion_desired = true;
    let name = Name::from_ascii(format!("{name}.")).expect("it is a name");
    question.add_query(Query::query(name, kind));
    question
}

fn said(question: &Message, octets: &[u8]) -> Said {
    let answer = Message::from_vec(octets).expect("it is a message");
    assert_eq!((answer.metadata.id, &answer.queries), (question.metadata.id, &question.queries));
    let mut data: Vec<String> = answer.answers.iter().map(|record| record.data.to_string()).collect();
    data.sort();
    Said { code: answer.metadata.response_code, data }
}

/// Asks from a namespace by UDP, once; nothing: nobody answers.
fn ask_from(namespace: &Namespace, server: SocketAddr, name: &str, kind: RecordType) -> Option<Said> {
    let question = question(name, kind);
    let octets = question.to_vec().expect("it can be written");
    let from: SocketAddr = if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    let received = namespace.within(|| {
        let socket = UdpSocket::bind(from)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.connect(server)?;
        socket.send(&octets)?;
        let mut buffer = vec![0; 65_535];
        socket.recv(&mut buffer).map(|count| buffer[..count].to_vec())
    });
    received.ok().map(|octets| said(&question, &octets))
}

/// Asks a server of IPv4 from a container.
fn ask(container: &Container, server: &str, name: &str) -> Option<Said> {
    let server = SocketAddr::new(server.parse().expect("it is an address"), 53);
    ask_from(container.namespace(), server, name, RecordType::A)
}

/// The same by TCP.
fn ask_by_tcp(container: &Container, server: &str, name: &str) -> std::io::Result<Said> {
    let question = question(name, RecordType::A);
    let octets = question.to_vec().expect("it can be written");
    let count = u16::try_from(octets.len()).expect("it is short");
    let mut stream: TcpStream = container.namespace().connect(server.parse().expect("it is an address"), 53)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&[&count.to_be_bytes()[..], &octets].concat())?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut answer)?;
    Ok(said(&question, &answer))
}

/// The gateway of a network.
fn gateway(host: &Agent, network: &str) -> String {
    let index = host.get(&["network", network])["spec"]["index"].as_u64().expect("it has a number");
    format!("169.254.{}.{}", index >> 8, index & 255)
}

/// Whether a name leads to a container and nobody else.
fn leads_to(said: Option<Said>, container: &Container) -> bool {
    said.is_some_and(|said| said.is(&[&container.v4().to_string()]))
}

/// A resolver in a namespace, on its loopback, that answers everything with 192.0.2.7; and how often it was asked. It ends with the test.
fn resolver(namespace: &Namespace) -> Arc<AtomicUsize> {
    let socket = namespace.within(|| UdpSocket::bind("127.0.0.1:53")).expect("nobody has the port");
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            count.fetch_add(1, Ordering::SeqCst);
            let Ok(asked) = Message::from_vec(&buffer[..length]) else { continue };
            let mut answer = Message::response(asked.metadata.id, asked.metadata.op_code);
            answer.add_queries(asked.queries.iter().cloned());
            let name = asked.queries[0].name().clone();
            answer.add_answer(Record::from_rdata(name, 300, RData::A(A([192, 0, 2, 7].into()))));
            let _ = socket.send_to(&answer.to_vec().expect("it can be written"), from);
        }
    });
    asked
}
