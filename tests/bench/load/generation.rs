//! When the kernel last committed something to its tables, without listening to what: for who listens the kernel writes a message for each element, which takes it
//! longer than the commit itself.

use std::thread;
use std::time::{Duration, Instant};

use netlink_sys::constants::NETLINK_NETFILTER;
use netlink_sys::{Socket, SocketAddr};
use poplin_lab::Namespace;

/// NFT_MSG_GETGEN of the subsystem of nftables, with NLM_F_REQUEST (linux/netfilter/nf_tables.h): 16 octets of head, and four of `struct nfgenmsg`.
const ASKED: u16 = 10 << 8 | 16;
const LENGTH: u32 = 20;
const REQUEST: u16 = 1;
/// Where the answer has the number: after both heads, and that of its first attribute, NFTA_GEN_ID.
const NUMBER_AT: usize = 24;

/// Between two looks: a thousandth of what is measured.
const PACE: Duration = Duration::from_millis(2);

/// Silence after which nothing more is to come: longer than it takes to read and to think of all that is declared.
const SILENCE: Duration = Duration::from_secs(5);

/// Longest time until the kernel commits the first of it.
const PATIENCE: Duration = Duration::from_secs(300);

/// The generation of a namespace's tables.
pub(crate) struct Generation(Socket);

impl Generation {
    pub(crate) fn of(namespace: &Namespace) -> Self {
        Self(namespace.within(|| {
            let mut socket = Socket::new(NETLINK_NETFILTER).unwrap();
            socket.bind(&SocketAddr::new(0, 0)).unwrap();
            socket
        }))
    }

    /// Its number now. A commit that is under way ends first.
    pub(crate) fn now(&self) -> u32 {
        let mut request = Vec::new();
        request.extend(LENGTH.to_ne_bytes());
        request.extend(ASKED.to_ne_bytes());
        request.extend(REQUEST.to_ne_bytes());
        request.resize(LENGTH as usize, 0);
        self.0.send_to(&request, &SocketAddr::new(0, 0), 0).unwrap();
        let (answer, _) = self.0.recv_from_full().unwrap();
        u32::from_be_bytes(answer[NUMBER_AT..NUMBER_AT + 4].try_into().unwrap())
    }

    /// When the last commit after `before` was over, once there is nothing more to come. There must be one.
    pub(crate) fn until_quiet(&self, before: u32) -> Instant {
        let (mut known, mut last, begin) = (before, None, Instant::now());
        loop {
            let now = self.now();
            if now != known {
                (known, last) = (now, Some(Instant::now()));
            }
            match last {
                Some(last) if last.elapsed() > SILENCE => return last,
                None if begin.elapsed() > PATIENCE => panic!("the kernel commits nothing"),
                Some(_) | None => thread::sleep(PACE),
            }
        }
    }
}
