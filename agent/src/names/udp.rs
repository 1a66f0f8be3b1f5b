//! Questions by UDP.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::time::Instant;

use nix::cmsg_space;
use nix::libc::in_pktinfo;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg};
use poplin_node::name::EndpointName;
use poplin_policy::ruleset::Interface;
use rustix::net::netdevice::index_to_name;
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::answer::Answering;
use super::reply;

/// Longer than any question; what is cut short cannot be read.
const BUFFER_OCTETS: usize = 4096;

/// Answers until the door is closed. `link` is where it stands, if it stands on one link alone.
pub(super) async fn serve(socket: UdpSocket, link: Option<Interface>, answering: Arc<Answering>) {
    let socket = Arc::new(socket);
    let mut buffer = vec![0; BUFFER_OCTETS];
    loop {
        let received = match &link {
            Some(link) => socket.recv_from(&mut buffer).await.map(|(count, from)| (count, from, Some(link.clone()))),
            None => receive(&socket, &mut buffer).await,
        };
        // An error of an earlier answer of ours: who asked is gone.
        let Ok((count, from, Some(link))) = received else { continue };
        let Some(asker) = answering.endpoint_on(&link) else { continue };
        if answering.bounds.admits(&asker, Instant::now()) {
            answer(&socket, from, &asker, &buffer[..count], &answering).await;
        }
    }
}

async fn answer(
    socket: &Arc<UdpSocket>,
    from: SocketAddr,
    asker: &EndpointName,
    octets: &[u8],
    answering: &Arc<Answering>,
) {
    let most = reply::most(octets);
    match answering.at_once(asker, octets) {
        Ok(answer) => {
            if let Some(octets) = answer.and_then(|answer| reply::datagram(&answer, most)) {
                let _ = socket.send_to(&octets, from).await; // who asked may be gone
            }
        }
        Err(question) => {
            // Whoever has too much under way gets no answer, and asks again.
            let Some(turn) = answering.bounds.question(asker) else { return };
            let (socket, answering) = (socket.clone(), answering.clone());
            tokio::spawn(async move {
                let answer = answering.fetch(turn, question).await;
                if let Some(octets) = reply::datagram(&answer, most) {
                    let _ = socket.send_to(&octets, from).await;
                }
            });
        }
    }
}

/// A datagram, who sent it, and the link it came over.
async fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr, Option<Interface>)> {
    socket
        .async_io(Interest::READABLE, || {
            let mut room = cmsg_space!(in_pktinfo);
            let mut parts = [IoSliceMut::new(buffer)];
            let received =
                recvmsg::<SockaddrIn>(socket.as_raw_fd(), &mut parts, Some(&mut room), MsgFlags::MSG_DONTWAIT)?;
            let index = received.cmsgs()?.find_map(|message| match message {
                ControlMessageOwned::Ipv4PacketInfo(info) => u32::try_from(info.ipi_ifindex).ok(),
                _ => None,
            });
            let from = received.address.ok_or(io::ErrorKind::InvalidData)?;
            let name = index.and_then(|index| index_to_name(socket, index).ok());
            Ok((received.bytes, SocketAddr::V4(from.into()), name.and_then(Interface::new)))
        })
        .await
}
