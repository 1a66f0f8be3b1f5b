//! The feed of dropped packets: what the kernel tells, with names and reasons, kept for whoever looks.
//!
//! In: packets heard from the kernel, and what the head says of them. Out: drops in the wire's form, the last [`REMEMBERED`] of them. Nobody is
//! waited for: what is not read in time makes room, and readers are told how much. Decides nothing: the rules say who denied.

mod inside;
mod limits;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use poplin_node::drops::{Account, Dropped};
use poplin_policy::packet::{Packet, Transport, protocol_name};
use poplin_policy::place::Place;
use poplin_proto::v1;
use tokio::sync::{mpsc, oneshot, watch};

use crate::kernel::DropListener;
use crate::serve::Call;
pub(crate) use inside::listen as listen_inside;
use limits::Limits;
use poplin_manifest::question::decider;

/// How many drops are remembered: some hundred octets each, and a screenful for each of dozens of places.
pub const REMEMBERED: usize = 1024;

/// The wait before another attempt to listen. Nothing but another listener on this host stands in the way.
const PAUSE: Duration = Duration::from_secs(5);

/// One drop in the feed.
#[derive(Debug)]
pub struct Told {
    /// Counts from 0; no two drops of a feed have the same.
    pub number: u64,
    /// The packet itself.
    pub packet: Packet,
    /// What is told of it; `lost` is how many the kernel lost before it.
    pub drop: v1::Drop,
}

/// The last drops of this host.
#[derive(Debug, Default)]
pub struct Feed {
    ring: Mutex<Ring>,
    next: watch::Sender<u64>,
}

/// How much was heard since the agent began, for figures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Packets, by where they were dropped or logged: no more than the kernel tells of.
    pub packets: BTreeMap<Place, u64>,
    /// Told by the kernel, and not heard in time.
    pub lost: u64,
}

#[derive(Debug, Default)]
struct Ring {
    drops: VecDeque<Arc<Told>>,
    next: u64,
    /// Lost since the newest drop.
    lost: u64,
    heard: Heard,
}

impl Feed {
    /// The kernel told of packets that were not heard.
    pub fn lose(&self, count: u64) {
        let mut ring = self.ring();
        ring.lost += count;
        ring.heard.lost += count;
    }

    /// A packet was heard of.
    fn count(&self, place: Place) {
        *self.ring().heard.packets.entry(place).or_default() += 1;
    }

    /// How much was heard since the agent began.
    pub fn heard(&self) -> Heard {
        self.ring().heard.clone()
    }

    /// One more drop; the oldest makes room for it.
    pub fn tell(&self, packet: Packet, mut drop: v1::Drop) {
        let mut ring = self.ring();
        drop.lost = std::mem::take(&mut ring.lost);
        let number = ring.next;
        ring.next += 1;
        if ring.drops.len() == REMEMBERED {
            ring.drops.pop_front();
        }
        ring.drops.push_back(Arc::new(Told { number, packet, drop }));
        self.next.send_replace(ring.next);
    }

    /// Drops from a number on, as far as they are remembered.
    pub fn from(&self, number: u64) -> Vec<Arc<Told>> {
        let ring = self.ring();
        let first = ring.drops.partition_point(|told| told.number < number);
        ring.drops.range(first..).cloned().collect()
    }

    /// Changes with each drop.
    pub fn news(&self) -> watch::Receiver<u64> {
        self.next.subscribe()
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What it takes to feed.
#[derive(Clone)]
pub(crate) struct Feeding {
    pub(crate) feed: Arc<Feed>,
    pub(crate) host: String,
    /// Is asked whose each packet was.
    pub(crate) head: mpsc::Sender<Call>,
}

/// Listens on the host for as long as the process lives, and feeds.
pub(crate) async fn listen(feeding: Feeding) {
    let mut was_told = false;
    loop {
        let error = match DropListener::open() {
            Ok(listener) => feeding.hear(listener, None).await,
            Err(error) => error,
        };
        if !std::mem::replace(&mut was_told, true) {
            tracing::warn!("dropped packets cannot be listened to: {error}; trying again every {PAUSE:?}");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

impl Feeding {
    /// Feeds what a listener hears, until it hears no more. `pace`: the least that passes between two times that it is asked; absent = none.
    async fn hear(&self, mut listener: DropListener, pace: Option<Duration>) -> std::io::Error {
        let stopping = || std::io::Error::other("the agent is stopping");
        let mut limits = Limits::default();
        loop {
            let heard = match listener.next().await {
                Ok(heard) => heard,
                Err(error) => return error,
            };
            self.feed.lose(heard.lost);
            let (sender, receiver) = oneshot::channel();
            if self.head.send(Call::Account(heard.dropped.clone(), sender)).await.is_err() {
                return stopping();
            }
            let Ok(accounts) = receiver.await else { return stopping() };
            for (dropped, account) in heard.dropped.iter().zip(accounts) {
                let limited = limits.tell(dropped.place, dropped.chain.clone(), Instant::now());
                self.feed.count(dropped.place);
                self.feed.tell(dropped.packet, v1::Drop { limited, ..written(&self.host, dropped, account) });
            }
            if let Some(pace) = pace {
                tokio::time::sleep(pace).await;
            }
        }
    }
}

/// A drop in the wire's form.
fn written(host: &str, dropped: &Dropped, account: Account) -> v1::Drop {
    let Dropped { packet, .. } = dropped;
    let (source_port, destination_port, icmp) = match packet.transport {
        Transport::Ports { source, destination, .. } => (source, destination, None),
        Transport::Icmp { kind, code, .. } => (0, 0, Some((kind, code))),
        Transport::Other(_) => (0, 0, None),
    };
    let (tier, policy, rule) = account.by.as_ref().map(decider).unwrap_or_default();
    v1::Drop {
        time: now(),
        host: host.to_owned(),
        direction: account.direction.to_string(),
        endpoint: account.endpoint.unwrap_or_default(),
        peer_endpoint: account.peer.unwrap_or_default(),
        interface: account.interface.as_ref().map(ToString::to_string).unwrap_or_default(),
        source: packet.source.to_string(),
        destination: packet.destination.to_string(),
        protocol: protocol_name(packet.protocol()),
        source_port: source_port.into(),
        destination_port: destination_port.into(),
        icmp_type: icmp.map(|(kind, _)| kind.into()),
        icmp_code: icmp.map(|(_, code)| code.into()),
        reason: account.reason,
        tier,
        policy,
        rule,
        lost: 0,
        lane: account.lane.map(|lane| lane.to_string()).unwrap_or_default(),
        logged: matches!(dropped.place, Place::Logged(_)),
        endpoint_behind: account.behind.unwrap_or_default(),
        limited: false,
    }
}

/// Nanoseconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(drops: u64) -> Feed {
        let feed = Feed::default();
        let address = "10.77.0.1".parse().unwrap();
        (0..drops).for_each(|_| feed.tell(Packet::tcp(address, address, (1, 2)), v1::Drop::default()));
        feed
    }

    #[test]
    fn the_oldest_makes_room() {
        let feed = feed(REMEMBERED as u64 + 10);

        let numbers: Vec<u64> = feed.from(0).iter().map(|told| told.number).collect();

        assert_eq!((numbers.len(), numbers[0]), (REMEMBERED, 10));
        assert_eq!(feed.from(REMEMBERED as u64 + 9).len(), 1);
        assert_eq!(feed.from(u64::MAX).len(), 0);
    }

    #[test]
    fn what_was_lost_is_told_with_the_next() {
        let feed = feed(1);
        feed.lose(3);
        feed.lose(4);
        let packet = feed.from(0)[0].packet;

        feed.tell(packet, v1::Drop::default());
        feed.tell(packet, v1::Drop::default());

        assert_eq!(feed.from(0).iter().map(|told| told.drop.lost).collect::<Vec<_>>(), [0, 7, 0]);
    }
}
