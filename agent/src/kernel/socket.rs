//! Talks to one netlink family: one question, its answer, then the next.
//!
//! In: messages. Out: what the kernel answered, or its refusal with its own words. Knows no message kind but the general ones.
//! The kernel answers while `sendmsg` still runs (linux net/netlink/af_netlink.c, `netlink_unicast_kernel`), so the socket never
//! waits: an answer that is not there when `sendmsg` returns will never come.

use std::fmt;
use std::io::{self, IoSlice};

use netlink_sys::constants::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg, sockopt};

use super::wire::{self, Message, NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, Writer};

const NLMSG_ERROR: u16 = 0x2;
const NLMSG_DONE: u16 = 0x3;
/// The original message was left out of the answer (`NETLINK_CAP_ACK`).
const NLM_F_CAPPED: u16 = 0x100;
/// Attributes follow in the answer (`NETLINK_EXT_ACK`).
const NLM_F_ACK_TLVS: u16 = 0x200;
const NLMSGERR_ATTR_MSG: u16 = 1;

/// Room for one received datagram: the kernel makes its dumps in pieces of at most 32 KiB (af_netlink.c, `netlink_dump`).
const DATAGRAM_OCTETS: usize = 64 << 10;

/// A dump that was disturbed is begun again so many times; under a storm of changes the last one stands, if it came to its end.
const DUMP_ATTEMPTS: usize = 5;

/// Why the kernel would not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What kind of error.
    pub errno: Errno,
    /// The kernel's own explanation, where it gives one.
    pub explanation: Option<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let system = io::Error::from(self.errno).to_string();
        match &self.explanation {
            Some(explanation) => write!(out, "{explanation} ({system})"),
            None => out.write_str(&system),
        }
    }
}

impl std::error::Error for Refusal {}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self { errno: Errno::from_io_error(&error).unwrap_or(Errno::IO), explanation: None }
    }
}

impl From<Refusal> for io::Error {
    fn from(refusal: Refusal) -> Self {
        io::Error::new(io::Error::from(refusal.errno).kind(), refusal)
    }
}

/// An answer to one message of ours.
pub(super) enum Answer {
    /// Done as asked.
    Done,
    /// Not done.
    Refused(Refusal),
}

/// A socket, and the count of what was said over it.
pub(super) struct Conversation {
    socket: Socket,
    port: u32,
    sequence: u32,
    inbox: Vec<u8>,
}

impl Conversation {
    /// For links, addresses, neighbours and routes.
    pub(super) fn route() -> io::Result<Self> {
        let conversation = Self::open(NETLINK_ROUTE)?;
        conversation.socket.set_netlink_get_strict_chk(true)?;
        Ok(conversation)
    }

    /// For any netlink family (linux/netlink.h, `NETLINK_*`).
    pub(super) fn open(family: isize) -> io::Result<Self> {
        let mut socket = Socket::new(family)?;
        let port = socket.bind_auto()?.port_number();
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.set_non_blocking(true)?;
        socket.set_cap_ack(true)?;
        socket.set_ext_ack(true)?;
        Ok(Self { socket, port, sequence: 0, inbox: vec![0; DATAGRAM_OCTETS] })
    }

    /// Which port the kernel knows this socket by; it stands in the notifications of what this socket changed.
    pub(super) fn port(&self) -> u32 {
        self.port
    }

    /// Room for big messages and for many answers. The privileged form goes beyond the sysctl's bound; without the privilege, what that allows.
    pub(super) fn widen(&self, send_octets: usize, receive_octets: usize) -> io::Result<()> {
        if sockopt::set_socket_send_buffer_size_force(&self.socket, send_octets).is_err() {
            sockopt::set_socket_send_buffer_size(&self.socket, send_octets)?;
        }
        widen_inbox(&self.socket, receive_octets)
    }

    /// Takes `count` sequence numbers and returns the first.
    pub(super) fn take_sequence(&mut self, count: u32) -> u32 {
        let first = self.sequence.wrapping_add(1);
        self.sequence = self.sequence.wrapping_add(count);
        first
    }

    /// Sends what was written, in one piece.
    pub(super) fn send(&mut self, out: &Writer) -> io::Result<()> {
        self.socket.send(out.octets(), 0).map(|_| ())
    }

    /// Sends what was written, one after the other, as one datagram.
    pub(super) fn send_all(&mut self, pieces: &[&Writer]) -> io::Result<()> {
        let slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece.octets())).collect();
        sendmsg(&self.socket, &slices, &mut SendAncillaryBuffer::default(), SendFlags::empty())?;
        Ok(())
    }

    /// Hands every waiting message to `visit`; ends when none waits.
    pub(super) fn drain(&mut self, mut visit: impl FnMut(Message<'_>)) -> io::Result<()> {
        loop {
            match self.socket.recv(&mut &mut self.inbox[..], 0) {
                Ok(length) => wire::messages(&self.inbox[..length.min(DATAGRAM_OCTETS)]).for_each(&mut visit),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Answers were lost for want of room; those that came first are still there.
                Err(error) if Errno::from_io_error(&error) == Some(Errno::NOBUFS) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Asks for one thing to be done, and learns whether it was.
    pub(super) fn request(
        &mut self,
        kind: u16,
        flags: u16,
        head: &[u8],
        attributes: impl FnOnce(&mut Writer),
    ) -> Result<(), Refusal> {
        let sequence = self.take_sequence(1);
        let mut out = Writer::default();
        out.message(kind, NLM_F_REQUEST | NLM_F_ACK | flags, sequence, head, attributes);
        self.send(&out)?;
        let mut outcome = None;
        self.drain(|message| {
            if message.sequence == sequence
                && let Some(answer) = answer(message)
            {
                outcome = Some(answer);
            }
        })?;
        match outcome {
            Some(Answer::Done) => Ok(()),
            Some(Answer::Refused(refusal)) => Err(refusal),
            None => Err(Refusal { errno: Errno::PROTO, explanation: Some("the kernel gave no answer".into()) }),
        }
    }

    /// Asks for so many things in one piece, of which the last wants an answer in any case, and learns what of it was refused: the first
    /// refusal `judge` holds against it comes back, as `judge` tells it. It gets the number of what was asked, in its order. What follows a
    /// refusal was tried as well.
    pub(super) fn request_all<T>(
        &mut self,
        out: &Writer,
        first_sequence: u32,
        count: usize,
        judge: impl Fn(usize, &Refusal) -> Option<T>,
    ) -> Result<Option<T>, Refusal> {
        self.send(out)?;
        let (mut is_answered, mut held) = (false, None);
        self.drain(|message| {
            let number = message.sequence.wrapping_sub(first_sequence) as usize;
            let answer = answer(message).filter(|_| number < count);
            is_answered |= answer.is_some() && number + 1 == count;
            match answer {
                Some(Answer::Refused(refusal)) => held = held.take().or_else(|| judge(number, &refusal)),
                Some(Answer::Done) | None => {}
            }
        })?;
        match is_answered || held.is_some() {
            true => Ok(held),
            false => Err(Refusal { errno: Errno::PROTO, explanation: Some("the kernel gave no answer".into()) }),
        }
    }

    /// Asks for one thing, and hands `visit` its description; not called if it is refused.
    pub(super) fn get(
        &mut self,
        kind: u16,
        head: &[u8],
        attributes: impl FnOnce(&mut Writer),
        mut visit: impl FnMut(Message<'_>),
    ) -> Result<(), Refusal> {
        let sequence = self.take_sequence(1);
        let mut out = Writer::default();
        out.message(kind, NLM_F_REQUEST, sequence, head, attributes);
        self.send(&out)?;
        let mut refusal = None;
        self.drain(|message| match answer(message) {
            _ if message.sequence != sequence => {}
            Some(Answer::Refused(why)) => refusal = Some(why),
            Some(Answer::Done) => {}
            None => visit(message),
        })?;
        refusal.map_or(Ok(()), Err)
    }

    /// Asks for everything of a kind; `collect` adds one thing to what was collected. A dump that a change disturbs, or that is cut
    /// short, is begun again.
    pub(super) fn dump<T: Default>(
        &mut self,
        kind: u16,
        head: &[u8],
        attributes: impl Fn(&mut Writer),
        collect: impl Fn(&mut T, &[u8]),
    ) -> Result<T, Refusal> {
        let (mut collected, mut is_whole) = (T::default(), false);
        for _ in 0..DUMP_ATTEMPTS {
            let sequence = self.take_sequence(1);
            let mut out = Writer::default();
            out.message(kind, NLM_F_REQUEST | NLM_F_DUMP, sequence, head, &attributes);
            self.send(&out)?;
            let (mut refusal, mut is_disturbed) = (None, false);
            (collected, is_whole) = (T::default(), false);
            self.drain(|message| {
                if message.sequence != sequence {
                    return;
                }
                is_disturbed |= message.flags & NLM_F_DUMP_INTR != 0;
                match answer(message) {
                    Some(Answer::Refused(why)) => refusal = Some(why),
                    Some(Answer::Done) => {}
                    None if message.kind == NLMSG_DONE => {
                        is_whole = true;
                        refusal = end_of_dump(message);
                    }
                    None => collect(&mut collected, message.payload),
                }
            })?;
            match refusal {
                Some(refusal) if refusal.errno == Errno::INTR => is_whole = false,
                Some(refusal) => return Err(refusal),
                None if is_whole && !is_disturbed => return Ok(collected),
                None => {}
            }
        }
        match is_whole {
            true => Ok(collected),
            false => Err(Refusal { errno: Errno::NOBUFS, explanation: Some("the dump was cut short".into()) }),
        }
    }
}

/// Room for notifications and answers, beyond the sysctl's bound where the privilege allows.
pub(super) fn widen_inbox(socket: &Socket, octets: usize) -> io::Result<()> {
    if sockopt::set_socket_recv_buffer_size_force(socket, octets).is_err() {
        sockopt::set_socket_recv_buffer_size(socket, octets)?;
    }
    Ok(())
}

/// Reads a message as an answer, if it is one: an error number, the header of what it answers, and perhaps attributes.
pub(super) fn answer(message: Message<'_>) -> Option<Answer> {
    if message.kind != NLMSG_ERROR {
        return None;
    }
    let Some(errno) = errno_at_start(message.payload) else { return Some(Answer::Done) };
    let explained = message.flags & NLM_F_ACK_TLVS != 0;
    let is_capped = message.flags & NLM_F_CAPPED != 0;
    let original_octets =
        if is_capped { 16 } else { wire::u32_at(message.payload, 4).map_or(16, |length| length as usize) };
    let explanation = explained
        .then(|| message.payload.get(4 + original_octets.next_multiple_of(4)..))
        .flatten()
        .and_then(|attributes| wire::attribute(attributes, NLMSGERR_ATTR_MSG))
        .and_then(wire::text)
        .map(str::to_owned);
    Some(Answer::Refused(Refusal { errno, explanation }))
}

/// A dump may end with an error number.
fn end_of_dump(message: Message<'_>) -> Option<Refusal> {
    errno_at_start(message.payload).map(|errno| Refusal { errno, explanation: None })
}

fn errno_at_start(payload: &[u8]) -> Option<Errno> {
    let code = wire::u32_at(payload, 0)?.cast_signed();
    (code < 0).then(|| Errno::from_raw_os_error(code.saturating_neg()))
}
