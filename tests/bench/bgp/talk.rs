//! Sessions of routers that have nothing to do but to be measured against: one that sends, others that count what comes.
//!
//! They agree on hours of hold time, so that nobody need say anything while a clock runs.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use poplin_bgp::Asn;
use poplin_bgp::wire::{Capability, Dialect, Family, Message, Open};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketType, bind, connect, socket};

use crate::bed::{ASN, HOLD_SECS, US};
use crate::count::Counter;

const OPEN: u8 = 1;
const NOTIFICATION: u8 = 3;
const KEEPALIVE: u8 = 4;

/// One session, seen from the router under test's neighbour.
pub(crate) struct Talk {
    stream: TcpStream,
    pub(crate) heard: Counter,
    /// Room for what comes, made once: to clear it for each message would take longer than to read one, and count as the router's time.
    room: Vec<u8>,
}

const ROOM: usize = 64 << 10;

impl Talk {
    /// Calls from this address, and agrees; fails as long as nobody answers.
    pub(crate) fn begin(from: Ipv4Addr) -> Result<Self, String> {
        let stream = call(from).map_err(|error| format!("{from}: {error}"))?;
        let mut talk = Self { stream, heard: Counter::default(), room: vec![0; ROOM] };
        talk.send(&open(from).encode(Dialect::PLAIN));
        talk.hear_one(OPEN)?;
        talk.send(&Message::Keepalive.encode(Dialect::PLAIN));
        talk.hear_one(KEEPALIVE)?;
        Ok(talk)
    }

    pub(crate) fn send(&mut self, octets: &[u8]) {
        self.stream.write_all(octets).expect("the router reads");
    }

    fn hear_one(&mut self, kind: u8) -> Result<(), String> {
        self.stream.set_read_timeout(Some(Duration::from_secs(5))).map_err(|error| error.to_string())?;
        while !self.heard.others.contains(&kind) {
            if self.heard.others.contains(&NOTIFICATION) || !self.read() {
                return Err("the session was refused".to_owned());
            }
        }
        Ok(())
    }

    /// Takes in what there is; `false` if the other end is gone.
    fn read(&mut self) -> bool {
        match self.stream.read(&mut self.room) {
            Ok(0) | Err(_) => false,
            Ok(count) => {
                self.heard.feed(&self.room[..count]);
                true
            }
        }
    }

    /// Another handle to send by, while this one hears.
    pub(crate) fn sender(&self) -> TcpStream {
        self.stream.try_clone().expect("a socket can be shared")
    }
}

/// Hears all of them until it is so for each; `None` if it is not in time.
pub(crate) fn until(talks: &mut [Talk], patience: Duration, is_so: impl Fn(&Counter) -> bool) -> Option<Instant> {
    let limit = Instant::now() + patience;
    let mut left: Vec<&mut Talk> = talks.iter_mut().filter(|talk| !is_so(&talk.heard)).collect();
    while !left.is_empty() {
        let ready = readable(&left, limit)?;
        for (talk, _) in left.iter_mut().zip(ready).filter(|(_, ready)| *ready) {
            assert!(talk.read(), "the router ended a session");
        }
        left.retain(|talk| !is_so(&talk.heard));
    }
    Some(Instant::now())
}

fn readable(talks: &[&mut Talk], limit: Instant) -> Option<Vec<bool>> {
    let mut sockets: Vec<_> =
        talks.iter().map(|talk| PollFd::from_borrowed_fd(talk.stream.as_fd(), PollFlags::IN)).collect();
    let left = limit.saturating_duration_since(Instant::now());
    let timeout = Timespec::try_from(left).expect("patience is short");
    let count = poll(&mut sockets, Some(&timeout)).expect("sockets can be polled");
    (count > 0).then(|| sockets.iter().map(|socket| !socket.revents().is_empty()).collect())
}

fn call(from: Ipv4Addr) -> rustix::io::Result<TcpStream> {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    bind(&socket, &SocketAddrV4::new(from, 0))?;
    connect(&socket, &SocketAddrV4::new(US, 179))?;
    let stream = TcpStream::from(socket);
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

fn open(from: Ipv4Addr) -> Message {
    let capabilities =
        vec![Capability::Multiprotocol(Family::Ipv4), Capability::RouteRefresh, Capability::FourOctetAsn(Asn(ASN))];
    let my_as = u16::try_from(ASN).expect("a short number");
    Open { my_as, hold_time_secs: HOLD_SECS, router_id: from, capabilities }.into()
}
