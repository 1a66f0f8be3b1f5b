//! Ends links, and waits until they are gone, not until the kernel has tidied up after them.
//!
//! In: the name of a link. Out: it is in no list, has no route, address or neighbour and passes nothing, or why not. Knows nothing of
//! rules. Half a millisecond after it was asked the kernel tells everybody so (`RTM_DELLINK`); whoever asked it answers twenty later, when
//! every reader of the old lists has finished (linux net/core/dev.c, `netdev_run_todo`, `rcu_barrier`). Asking takes as long as the answer
//! does, so it is done by a thread of its own, which ends with the answer.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use netlink_sys::constants::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use poplin_policy::ruleset::Interface;
use rustix::io::Errno;
use rustix::net::sockopt::{self, Timeout};

use super::link::{self, IFLA_IFNAME, RTM_DELLINK};
use super::socket::{self, Answer, Refusal};
use super::wire::{self, Message, NLM_F_ACK, NLM_F_REQUEST, Writer, attribute};

/// RTNLGRP_LINK (linux/rtnetlink.h, `enum rtnetlink_groups`).
const LINKS: u32 = 1;
/// How many may be tidied up after at the same time; the next one waits for the first.
const MOST_AT_ONCE: usize = 64;
/// A thread that sends one message needs little, and takes of this what it touches. What an allocator does when a thread first asks it may need more than 64 KiB
/// (jemalloc without optimisation: the agent died of it).
const STACK_OCTETS: usize = 512 << 10;
/// How often it is looked whether the kernel has answered nothing at all.
const LOOK: Duration = Duration::from_millis(100);
const DATAGRAM_OCTETS: usize = 16 << 10;

/// The links that are gone and still tidied up after.
#[derive(Debug, Default)]
pub(super) struct Departures {
    under_way: Vec<JoinHandle<()>>,
}

impl Departures {
    /// Ends a link, and with a veth its far end. One that is not there is refused with `ENODEV`.
    pub(super) fn delete(&mut self, interface: &Interface) -> Result<(), Refusal> {
        self.make_room();
        let socket = Arc::new(listening()?);
        let mut message = Writer::default();
        message.message(RTM_DELLINK, NLM_F_REQUEST | NLM_F_ACK, 1, &link::head(0, 0), |out| {
            out.put_text(IFLA_IFNAME, interface.as_str());
        });
        let asking = Arc::clone(&socket);
        let asked = thread::Builder::new().name("departure".to_owned()).stack_size(STACK_OCTETS).spawn(move || {
            // What is not sent is not answered; whoever waits for it sees that.
            let _ = asking.send(message.octets(), 0);
        })?;
        let outcome = until_gone(&socket, interface, &asked);
        self.under_way.push(asked);
        outcome
    }

    fn make_room(&mut self) {
        self.under_way.retain(|asked| !asked.is_finished());
        if self.under_way.len() >= MOST_AT_ONCE {
            let _ = self.under_way.remove(0).join(); // it has nothing to say
        }
    }
}

/// A socket that hears of links, and of what is asked over it.
fn listening() -> io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.set_cap_ack(true)?;
    socket.set_ext_ack(true)?;
    socket.add_membership(LINKS)?;
    sockopt::set_socket_timeout(&socket, Timeout::Recv, Some(LOOK))?;
    socket.connect(&SocketAddr::new(0, 0))?;
    Ok(socket)
}

fn until_gone(socket: &Socket, interface: &Interface, asked: &JoinHandle<()>) -> Result<(), Refusal> {
    let mut datagram = vec![0; DATAGRAM_OCTETS];
    loop {
        // Looked at before the socket: what a finished thread was answered is there already.
        let is_over = asked.is_finished();
        match socket.recv(&mut &mut datagram[..], 0) {
            Ok(length) => {
                let heard = wire::messages(&datagram[..length.min(DATAGRAM_OCTETS)]);
                if let Some(outcome) = heard.filter_map(|message| outcome(message, interface)).next() {
                    return outcome;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && is_over => {
                return Err(Refusal { errno: Errno::PROTO, explanation: Some("the kernel gave no answer".into()) });
            }
            // Others' links may fill the socket; the answer comes in any case.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::NOBUFS) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn outcome(message: Message<'_>, interface: &Interface) -> Option<Result<(), Refusal>> {
    match socket::answer(message) {
        Some(Answer::Done) => return Some(Ok(())),
        Some(Answer::Refused(refusal)) => return Some(Err(refusal)),
        None => {}
    }
    let name = message.payload.get(link::HEAD_OCTETS..).and_then(|octets| attribute(octets, IFLA_IFNAME));
    // What a bridge says of a port that leaves it comes under its own family; the link stands on.
    let is_link = message.kind == RTM_DELLINK && message.payload.first() == Some(&0);
    (is_link && name.and_then(wire::text) == Some(interface.as_str())).then_some(Ok(()))
}
