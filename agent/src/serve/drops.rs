//! The door to the feed of dropped packets: which of them a caller wants, and how they reach it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use poplin_policy::model::{IcmpMatch, PortMatch};
use poplin_policy::packet::{Packet, Transport};
use poplin_proto::v1::{Drop, WatchDropsRequest};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::drops::{Feed, Told};
use poplin_manifest::question::parsed_traffic;

/// Drops on their way to one caller; the rest waits in the feed, and is told as lost if it waits too long.
const UNDER_WAY: usize = 64;

/// Begins a stream of what the ends that are asked for have part in, by name or by one of the addresses they are known to have. It
/// goes on until the caller goes away if it follows.
pub(super) fn watch(
    feed: Arc<Feed>,
    request: WatchDropsRequest,
    known: &BTreeMap<String, BTreeSet<IpAddr>>,
) -> Result<ReceiverStream<Result<Drop, Status>>, Status> {
    let wanted = Wanted::of(&request, known)?;
    let (sender, receiver) = mpsc::channel(UNDER_WAY);
    tokio::spawn(async move {
        let mut reader = Reader::at_the_beginning(feed.clone());
        let mut news = feed.news();
        loop {
            news.borrow_and_update();
            for drop in reader.read(&wanted) {
                if sender.send(Ok(drop)).await.is_err() {
                    return;
                }
            }
            if !request.follow {
                return;
            }
            tokio::select! {
                changed = news.changed() => if changed.is_err() { return },
                () = sender.closed() => return,
            }
        }
    });
    Ok(ReceiverStream::new(receiver))
}

/// How far one caller has read.
struct Reader {
    feed: Arc<Feed>,
    next: Option<u64>,
    lost: u64,
}

impl Reader {
    fn at_the_beginning(feed: Arc<Feed>) -> Self {
        Self { feed, next: None, lost: 0 }
    }

    /// What is new and wanted, each with how many are missing before it.
    fn read(&mut self, wanted: &Wanted) -> Vec<Drop> {
        let mut drops = Vec::new();
        for told in self.feed.from(self.next.unwrap_or(0)) {
            // What was forgotten before the caller came is nothing it lost.
            self.lost += told.drop.lost + self.next.map_or(0, |next| told.number - next);
            self.next = Some(told.number + 1);
            if wanted.admits(&told) {
                drops.push(Drop { lost: std::mem::take(&mut self.lost), ..told.drop.clone() });
            }
        }
        drops
    }
}

/// Which drops a caller wants.
struct Wanted {
    endpoint: Option<String>,
    source: Option<End>,
    destination: Option<End>,
    traffic: Option<PortMatch>,
    since: i64,
}

/// One end, as a caller names it.
enum End {
    Address(IpAddr),
    /// A name, which the drop tells of its endpoint, and whose addresses tell of hosts, and of endpoints where a host endpoint dropped it.
    Named(String, BTreeSet<IpAddr>),
}

impl Wanted {
    fn of(request: &WatchDropsRequest, known: &BTreeMap<String, BTreeSet<IpAddr>>) -> Result<Self, Status> {
        let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let named = |name: String| {
            let addresses = known.get(&name).cloned().unwrap_or_default();
            End::Named(name, addresses)
        };
        let end = |text| given(text).map(|text| text.parse().map_or_else(|_| named(text), End::Address));
        Ok(Self {
            endpoint: given(&request.endpoint),
            source: end(&request.source),
            destination: end(&request.destination),
            traffic: given(&request.traffic).map(|text| parsed_traffic(&text)).transpose()?,
            since: request.since,
        })
    }

    fn admits(&self, told: &Told) -> bool {
        let Drop { endpoint, peer_endpoint, endpoint_behind, direction, time, .. } = &told.drop;
        let (from, to) = match direction.as_str() {
            "egress" => (endpoint, peer_endpoint),
            _ => (peer_endpoint, endpoint),
        };
        *time > self.since
            && self.endpoint.as_ref().is_none_or(|wanted| [endpoint, peer_endpoint, endpoint_behind].contains(&wanted))
            && self.source.as_ref().is_none_or(|end| end.is(from, told.packet.source))
            && self.destination.as_ref().is_none_or(|end| end.is(to, told.packet.destination))
            && self.traffic.as_ref().is_none_or(|traffic| is_of(traffic, &told.packet))
    }
}

impl End {
    fn is(&self, name: &str, address: IpAddr) -> bool {
        match self {
            End::Address(wanted) => *wanted == address,
            End::Named(wanted, addresses) => wanted == name || addresses.contains(&address),
        }
    }
}

/// Whether a packet is of this protocol, destination port or message.
fn is_of(traffic: &PortMatch, packet: &Packet) -> bool {
    let fits = match (traffic, packet.transport) {
        (PortMatch::Ports { range, .. }, Transport::Ports { destination, .. }) => range.contains(&destination),
        (PortMatch::Icmp { message, .. }, Transport::Icmp { kind, code, .. }) => match message {
            IcmpMatch::Any => true,
            IcmpMatch::Type(wanted) => *wanted == kind,
            IcmpMatch::TypeAndCode(wanted_kind, wanted_code) => (*wanted_kind, *wanted_code) == (kind, code),
        },
        (PortMatch::Protocol(_), _) => true,
        _ => false,
    };
    fits && traffic.protocol() == packet.protocol()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drops::REMEMBERED;

    fn tell(feed: &Feed, time: i64, direction: &str, endpoint: &str, peer: &str, port: u16) {
        let (web, db) = ("10.77.0.1".parse().unwrap(), "10.77.0.2".parse().unwrap());
        let drop = Drop {
            time,
            direction: direction.to_owned(),
            endpoint: endpoint.to_owned(),
            peer_endpoint: peer.to_owned(),
            ..Drop::default()
        };
        feed.tell(Packet::tcp(web, db, (40000, port)), drop);
    }

    /// A host that has the address packets go to.
    fn known() -> BTreeMap<String, BTreeSet<IpAddr>> {
        BTreeMap::from([("h1".to_owned(), BTreeSet::from(["10.77.0.2".parse().unwrap()]))])
    }

    fn times(feed: &Arc<Feed>, request: WatchDropsRequest) -> Vec<i64> {
        let wanted = Wanted::of(&request, &known()).unwrap();
        Reader::at_the_beginning(feed.clone()).read(&wanted).iter().map(|drop| drop.time).collect()
    }

    #[test]
    fn each_filter_lets_its_own_through() {
        let feed = Arc::new(Feed::default());
        tell(&feed, 1, "ingress", "db", "web", 5432);
        tell(&feed, 2, "egress", "web", "db", 22);
        tell(&feed, 3, "egress", "ci", "", 22);
        let all = WatchDropsRequest::default;
        let text = str::to_owned;

        assert_eq!(times(&feed, all()), [1, 2, 3]);
        assert_eq!(times(&feed, WatchDropsRequest { endpoint: text("db"), ..all() }), [1, 2]);
        assert_eq!(times(&feed, WatchDropsRequest { source: text("web"), ..all() }), [1, 2]);
        assert_eq!(times(&feed, WatchDropsRequest { destination: text("web"), ..all() }), [0_i64; 0]);
        assert_eq!(times(&feed, WatchDropsRequest { destination: text("10.77.0.2"), ..all() }), [1, 2, 3]);
        assert_eq!(times(&feed, WatchDropsRequest { traffic: text("tcp/22"), ..all() }), [2, 3]);
        assert_eq!(times(&feed, WatchDropsRequest { traffic: text("udp/22"), ..all() }), [0_i64; 0]);
        assert_eq!(times(&feed, WatchDropsRequest { since: 2, ..all() }), [3]);
        assert_eq!(times(&feed, WatchDropsRequest { destination: text("h1"), ..all() }), [1, 2, 3]);
        assert_eq!(times(&feed, WatchDropsRequest { source: text("h1"), ..all() }), [0_i64; 0]);
        let wrong = WatchDropsRequest { traffic: text("tcp/0x"), ..all() };
        assert!(Wanted::of(&wrong, &BTreeMap::new()).is_err());
    }

    #[test]
    fn an_endpoint_is_an_end_of_what_a_host_endpoint_dropped_before_it() {
        let feed = Arc::new(Feed::default());
        let packet = Packet::tcp("192.0.2.1".parse().unwrap(), "10.77.0.2".parse().unwrap(), (40000, 22));
        let (endpoint, endpoint_behind) = ("h1-uplink".to_owned(), "db".to_owned());
        feed.tell(packet, Drop { time: 1, endpoint, endpoint_behind, ..Drop::default() });

        for (name, expected) in [("db", vec![1]), ("h1-uplink", vec![1]), ("web", vec![])] {
            assert_eq!(times(&feed, WatchDropsRequest { endpoint: name.to_owned(), ..Default::default() }), expected);
        }
    }

    #[test]
    fn who_reads_too_slowly_is_told_how_much_is_missing() {
        let feed = Arc::new(Feed::default());
        let wanted = Wanted::of(&WatchDropsRequest::default(), &BTreeMap::new()).unwrap();
        let mut reader = Reader::at_the_beginning(feed.clone());
        tell(&feed, 1, "egress", "web", "db", 22);
        assert_eq!(reader.read(&wanted).len(), 1);

        (0..REMEMBERED + 5).for_each(|_| tell(&feed, 2, "egress", "web", "db", 22));

        let drops = reader.read(&wanted);
        assert_eq!((drops.len(), drops[0].lost, drops[1].lost), (REMEMBERED, 5, 0));
        assert_eq!(reader.read(&wanted), vec![]);
    }
}
