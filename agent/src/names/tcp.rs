//! Questions by TCP (RFC 7766): one after the other on each connection.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use poplin_node::name::EndpointName;
use poplin_policy::ruleset::Interface;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::answer::Answering;
use super::reply;

/// How long a connection may be silent, or slow to take an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// After a failure to take a connection: descriptors may be used up.
const PAUSE: Duration = Duration::from_millis(100);

/// Longer than any question.
const LONGEST_QUESTION: u16 = 4096;

/// Takes connections until the door is closed. `link` is where it stands, if it stands on one link alone.
pub(super) async fn serve(listener: TcpListener, link: Option<Interface>, answering: Arc<Answering>) {
    let mut attended = JoinSet::new(); // closed with the door
    loop {
        while attended.try_join_next().is_some() {}
        let Ok((stream, from)) = listener.accept().await else {
            sleep(PAUSE).await;
            continue;
        };
        let Some(asker) = asker(&answering, link.as_ref(), from) else { continue };
        let Some(turn) = answering.bounds.connection(&asker) else { continue };
        let answering = answering.clone();
        attended.spawn(async move {
            let _ = attend(stream, &asker, &answering).await; // it ends as it may
            drop(turn);
        });
    }
}

/// Whoever has completed a handshake is where its address is: rules keep containers from others' addresses, and routes lead to their links.
fn asker(answering: &Answering, link: Option<&Interface>, from: SocketAddr) -> Option<EndpointName> {
    match link {
        Some(link) => answering.endpoint_on(link),
        None => answering.endpoint_at(from.ip()),
    }
}

async fn attend(mut stream: TcpStream, asker: &EndpointName, answering: &Answering) -> io::Result<()> {
    loop {
        let octets = timeout(PATIENCE, question(&mut stream)).await??;
        if !answering.bounds.admits(asker, Instant::now()) {
            return Ok(());
        }
        let answer = match answering.at_once(asker, &octets) {
            Ok(answer) => answer,
            Err(question) => match answering.bounds.question(asker) {
                Some(turn) => Some(answering.fetch(turn, question).await),
                None => None,
            },
        };
        let Some(octets) = answer.and_then(|answer| reply::stream(&answer)) else { return Ok(()) };
        let count = u16::try_from(octets.len()).map_err(io::Error::other)?;
        timeout(PATIENCE, stream.write_all(&[&count.to_be_bytes()[..], &octets].concat())).await??;
    }
}

async fn question(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let count = stream.read_u16().await?;
    if count > LONGEST_QUESTION {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut octets = vec![0; count.into()];
    stream.read_exact(&mut octets).await?;
    Ok(octets)
}
