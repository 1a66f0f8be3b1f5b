//! One question to one resolver: by UDP, and by TCP if the answer was cut short (RFC 7766 §5).
//!
//! Each question goes from a port of its own, which the kernel draws by chance, with a number drawn by chance: who does not see it cannot answer it
//! (RFC 5452 §4).

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use hickory_proto::op::{Message, MessageType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};

/// Longer than any datagram that may come: we say that 1,232 octets are the most.
const LONGEST: usize = 4096;

/// Asks until there is an answer; whoever waits sets the bound.
pub(super) async fn ask(resolver: SocketAddr, question: &Message) -> io::Result<Message> {
    let octets = question.to_vec().map_err(io::Error::other)?;
    let answer = by_udp(resolver, question, &octets).await?;
    match answer.metadata.truncation {
        true => by_tcp(resolver, question, &octets).await,
        false => Ok(answer),
    }
}

async fn by_udp(resolver: SocketAddr, question: &Message, octets: &[u8]) -> io::Result<Message> {
    let anywhere = match resolver {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = UdpSocket::bind(anywhere).await?;
    socket.connect(resolver).await?;
    socket.send(octets).await?;
    let mut buffer = vec![0; LONGEST];
    loop {
        let count = socket.recv(&mut buffer).await?;
        // What is no answer to this question is somebody's attempt, or an answer that came too late: the right one may still come.
        if let Some(answer) = Message::from_vec(&buffer[..count]).ok().filter(|answer| answers(answer, question)) {
            return Ok(answer);
        }
    }
}

async fn by_tcp(resolver: SocketAddr, question: &Message, octets: &[u8]) -> io::Result<Message> {
    let mut stream = TcpStream::connect(resolver).await?;
    let count = u16::try_from(octets.len()).map_err(io::Error::other)?;
    stream.write_all(&[&count.to_be_bytes(), octets].concat()).await?;
    let mut buffer = vec![0; stream.read_u16().await?.into()];
    stream.read_exact(&mut buffer).await?;
    let answer =
        Message::from_vec(&buffer).map_err(|error| io::Error::new(ErrorKind::InvalidData, error.to_string()))?;
    match answers(&answer, question) {
        true => Ok(answer),
        false => Err(io::Error::new(ErrorKind::InvalidData, "it answered another question")),
    }
}

fn answers(answer: &Message, question: &Message) -> bool {
    answer.metadata.message_type == MessageType::Response
        && answer.metadata.id == question.metadata.id
        && answer.queries == question.queries
}
