//! Listens to what the rules tell of the packets they drop.
//!
//! In: copies of packets from the kernel, as many as the rules' limits let through. Out: where each was dropped, on which interface, and its
//! ends. What is told in a container's own namespace is told as if its interface were on the host. Knows nothing of policies.
//! Header: linux/netfilter/nfnetlink_log.h; rules: linux net/netfilter/nfnetlink_log.c.

use std::collections::BTreeMap;
use std::future;
use std::io;
use std::path::Path;

use netlink_sys::constants::NETLINK_NETFILTER;
use netlink_sys::{AsyncSocket, SocketAddr, TokioSocket};
use poplin_node::drops::Dropped;
use poplin_policy::place::{LOG_GROUP, Place};
use poplin_policy::ruleset::{HookPoint, Interface, Log};
use rustix::io::Errno;
use rustix::net::netdevice::index_to_name;
use tokio::runtime::Handle;

use super::socket::{Answer, answer, widen_inbox};
use super::wire::{self, Message, NLM_F_ACK, NLM_F_REQUEST, Writer, attribute, be32_at};
use super::{header, sandbox};

/// `NFNL_SUBSYS_ULOG` (linux/netfilter/nfnetlink.h), in the upper octet of a message's kind.
const SUBSYSTEM: u16 = 4 << 8;
const NFULNL_MSG_PACKET: u16 = 0;
const NFULNL_MSG_CONFIG: u16 = 1;

const NFULA_CFG_CMD: u16 = 1;
const NFULA_CFG_MODE: u16 = 2;
const NFULA_CFG_TIMEOUT: u16 = 4;
const NFULA_CFG_QTHRESH: u16 = 5;
const NFULA_CFG_FLAGS: u16 = 6;
const NFULNL_CFG_CMD_BIND: u8 = 1;
const NFULNL_COPY_PACKET: u8 = 2;
/// Number what is told, so that a gap shows what was lost.
const NFULNL_CFG_F_SEQ: u16 = 1;

const NFULA_PACKET_HDR: u16 = 1;
const NFULA_IFINDEX_INDEV: u16 = 4;
const NFULA_IFINDEX_OUTDEV: u16 = 5;
const NFULA_PAYLOAD: u16 = 9;
const NFULA_PREFIX: u16 = 10;
const NFULA_SEQ: u16 = 12;

/// `struct nfgenmsg`.
const HEAD_OCTETS: usize = 4;

/// Drops wait here while nobody reads them: a few thousand.
const RECEIVE_OCTETS: usize = 1 << 20;
/// There may be hundreds of containers.
const RECEIVE_OCTETS_INSIDE: usize = 64 << 10;
/// Room for one datagram: with a threshold of one it holds one packet's copy.
const DATAGRAM_OCTETS: usize = 64 << 10;

/// The listener of our group. One exists in a network namespace; the kernel refuses a second.
pub struct DropListener {
    socket: TokioSocket,
    datagram: Vec<u8>,
    expected: Option<u32>,
    /// The interfaces of a container, by their indexes there, under the names the host knows them by; absent = it is the host that is listened to.
    inside: Option<BTreeMap<u32, Interface>>,
}

/// What was heard at once.
#[derive(Debug, Default)]
pub struct Heard {
    /// The packets, in order.
    pub dropped: Vec<Dropped>,
    /// How many before them were told and not heard.
    pub lost: u64,
}

impl DropListener {
    /// Begins to listen, in the network namespace of the calling thread. Must be called within a tokio runtime.
    pub fn open() -> io::Result<Self> {
        Self::begin(RECEIVE_OCTETS, None)
    }

    /// The same in another namespace, where interfaces of these groups are those the host knows by these names.
    pub(crate) fn open_inside(netns: &Path, groups: &BTreeMap<Interface, u32>) -> io::Result<Self> {
        let runtime = Handle::current();
        sandbox::inside(netns, || {
            let _of_the_caller = runtime.enter();
            Self::begin(RECEIVE_OCTETS_INSIDE, Some(sandbox::links(groups)?))
        })
    }

    fn begin(receive_octets: usize, inside: Option<BTreeMap<u32, Interface>>) -> io::Result<Self> {
        let mut socket = TokioSocket::new(NETLINK_NETFILTER)?;
        socket.socket_mut().bind(&SocketAddr::new(0, 0))?;
        widen_inbox(socket.socket_ref(), receive_octets)?;
        let mut listener = Self { socket, datagram: Vec::with_capacity(DATAGRAM_OCTETS), expected: None, inside };
        listener.configure(|out| out.put(NFULA_CFG_CMD, &[NFULNL_CFG_CMD_BIND])).map_err(taken)?;
        listener.configure(|out| {
            let [a, b, c, d] = Log::COPIED_OCTETS.to_be_bytes();
            out.put(NFULA_CFG_MODE, &[a, b, c, d, NFULNL_COPY_PACKET, 0]);
            out.put_be32(NFULA_CFG_QTHRESH, 1);
            out.put_be32(NFULA_CFG_TIMEOUT, 1); // hundredths of a second
            out.put(NFULA_CFG_FLAGS, &NFULNL_CFG_F_SEQ.to_be_bytes());
        })?;
        Ok(listener)
    }

    fn configure(&mut self, attributes: impl FnOnce(&mut Writer)) -> io::Result<()> {
        let [high, low] = LOG_GROUP.to_be_bytes();
        let mut out = Writer::default();
        out.message(SUBSYSTEM | NFULNL_MSG_CONFIG, NLM_F_REQUEST | NLM_F_ACK, 1, &[0, 0, high, low], attributes);
        self.socket.socket_ref().send_to(out.octets(), &SocketAddr::new(0, 0), 0)?;
        // The kernel answers while it is being asked; a packet may come before the answer.
        loop {
            self.datagram.clear();
            self.socket.socket_ref().recv(&mut self.datagram, 0)?;
            match wire::messages(&self.datagram).find_map(answer) {
                Some(Answer::Done) => return Ok(()),
                Some(Answer::Refused(refusal)) => return Err(refusal.into()),
                None => {}
            }
        }
    }

    /// Waits for the next packets.
    pub async fn next(&mut self) -> io::Result<Heard> {
        let (socket, datagram) = (&self.socket, &mut self.datagram);
        let received = future::poll_fn(|context| {
            datagram.clear();
            socket.poll_recv(context, datagram)
        });
        match received.await {
            Ok(()) => Ok(self.hear()),
            // What found no room shows as a gap.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::NOBUFS) => Ok(Heard::default()),
            Err(error) => Err(error),
        }
    }

    fn hear(&mut self) -> Heard {
        let mut heard = Heard::default();
        for message in wire::messages(&self.datagram) {
            let Some(told) = Told::parse(message) else { continue };
            heard.lost += u64::from(self.expected.map_or(0, |expected| told.sequence.wrapping_sub(expected)));
            self.expected = Some(told.sequence.wrapping_add(1));
            // The host's hooks are asked whether a host endpoint had its say; there is none in there.
            let hook = told.hook.filter(|_| self.inside.is_none());
            heard.dropped.extend(told.dropped(hook, |index| self.interface(index)));
        }
        heard
    }

    /// The name of an interface; nothing if it is gone.
    fn interface(&self, index: u32) -> Option<Interface> {
        if let Some(inside) = &self.inside {
            return inside.get(&index).cloned();
        }
        Interface::new(index_to_name(self.socket.socket_ref(), index).ok()?)
    }
}

/// Who may not configure a group is refused just as who lacks the capability.
fn taken(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::PermissionDenied => io::Error::new(
            error.kind(),
            format!("another program listens to group {LOG_GROUP}, or NET_ADMIN is missing"),
        ),
        _ => error,
    }
}

/// One packet as it was told of.
struct Told<'a> {
    sequence: u32,
    prefix: &'a str,
    hook: Option<HookPoint>,
    index_in: Option<u32>,
    index_out: Option<u32>,
    octets: &'a [u8],
}

impl<'a> Told<'a> {
    fn parse(message: Message<'a>) -> Option<Self> {
        let body = message.payload.get(HEAD_OCTETS..).filter(|_| message.kind == SUBSYSTEM | NFULNL_MSG_PACKET)?;
        let number = |kind| attribute(body, kind).and_then(|value| be32_at(value, 0));
        Some(Self {
            sequence: number(NFULA_SEQ)?,
            prefix: attribute(body, NFULA_PREFIX).and_then(wire::text).unwrap_or_default(),
            hook: attribute(body, NFULA_PACKET_HDR).and_then(hook),
            index_in: number(NFULA_IFINDEX_INDEV),
            index_out: number(NFULA_IFINDEX_OUTDEV),
            octets: attribute(body, NFULA_PAYLOAD).unwrap_or_default(),
        })
    }

    /// The drop it tells of; nothing if no rule of ours told it.
    fn dropped(&self, hook: Option<HookPoint>, name: impl Fn(u32) -> Option<Interface>) -> Option<Dropped> {
        let (place, chain) = Place::from_prefix(self.prefix)?;
        let name = |index: Option<u32>| index.and_then(&name);
        let (interface_in, interface_out) = (name(self.index_in), name(self.index_out));
        Some(Dropped { place, chain, hook, interface_in, interface_out, packet: header::read(self.octets)? })
    }
}

/// Where on its path the packet was: the third octet of `struct nfulnl_msg_packet_hdr`, numbered as `enum nf_inet_hooks` (linux/netfilter.h).
fn hook(header: &[u8]) -> Option<HookPoint> {
    match header.get(2)? {
        0 => Some(HookPoint::Prerouting),
        1 => Some(HookPoint::Input),
        2 => Some(HookPoint::Forward),
        3 => Some(HookPoint::Output),
        4 => Some(HookPoint::Postrouting),
        _ => None,
    }
}
