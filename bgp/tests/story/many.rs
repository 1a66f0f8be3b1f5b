//! What many neighbours are told at once is put into octets once, and waits in one place.

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use poplin_bgp::{
    Action, Asn, ConnectionId, Event, Exchange, Octets, Speaker, SpeakerConfig,
    wire::{AsPath, Attributes, Capability, Dialect, Family, Message, Open, Origin, pack_reach},
};

use crate::world::{address, neighbour, net, tagging};

const CONFIG: SpeakerConfig = SpeakerConfig { asn: Asn(64512), router_id: std::net::Ipv4Addr::new(192, 0, 2, 1) };
const DIALECT: Dialect = Dialect { four_octets: true, ..Dialect::PLAIN };

/// A reflector whose clients are played by the test: numbers 1 and up, and what each was sent since it was last asked.
struct Reflector {
    speaker: Speaker,
    now: Instant,
}

impl Reflector {
    /// Some clients, the last of which is told everything with a tag.
    fn with_clients(clients: u8) -> Self {
        let mut reflector = Self { speaker: Speaker::new(CONFIG), now: Instant::now() };
        let neighbours = (1..=clients).map(|number| {
            let exchange = Exchange { client_of: Some([9, 9, 9, 9].into()), ..Exchange::default() };
            let mut neighbour = neighbour(address(number.into()), 64512);
            (neighbour.passive, neighbour.exchange) = (true, exchange);
            if number == clients {
                neighbour.exchange.export = tagging(vec!["64512:7".parse().unwrap()]);
            }
            neighbour
        });
        reflector.handle(Event::Reconfigure { config: CONFIG, neighbours: neighbours.collect() });
        (1..=clients).for_each(|number| reflector.meet(number));
        reflector
    }

    fn meet(&mut self, number: u8) {
        let connection = ConnectionId(number.into());
        let (neighbour, local) = (address(number.into()), address(0));
        self.handle(Event::ConnectionOpened { connection, neighbour, outgoing: false, local });
        let capabilities = vec![Capability::Multiprotocol(Family::Ipv4), Capability::FourOctetAsn(Asn(64512))];
        let router_id = [192, 0, 2, number + 1].into();
        let open = Message::Open(Open { my_as: 64512, hold_time_secs: 90, router_id, capabilities });
        self.hear(number, &[open.encode(DIALECT), Message::Keepalive.encode(DIALECT)]);
    }

    /// One reading of these messages from one client; what each was sent for it, by its number.
    fn hear(&mut self, number: u8, messages: &[Vec<u8>]) -> Vec<(u64, Octets)> {
        self.handle(Event::Received { connection: ConnectionId(number.into()), octets: messages.concat() })
    }

    fn handle(&mut self, event: Event) -> Vec<(u64, Octets)> {
        self.speaker.handle(self.now, event);
        let actions = std::iter::from_fn(|| self.speaker.next_action());
        let sent = actions.filter_map(|action| match action {
            Action::Send { connection, octets } => Some((connection.0, octets)),
            _ => None,
        });
        sent.collect()
    }

    fn waiting_octets(&self, number: u8) -> usize {
        self.speaker.neighbour(address(number.into())).unwrap().waiting_octets
    }
}

fn announcement(prefix: &str, hop: u8) -> Vec<u8> {
    let attributes = Attributes { local_pref: Some(100), ..Attributes::new(Origin::Igp, AsPath::default()) };
    pack_reach(&attributes, address(hop.into()), [net(prefix)], DIALECT).concat()
}

#[test]
fn what_several_are_told_by_one_reading_is_one_piece_of_memory() {
    let mut reflector = Reflector::with_clients(4);

    let sent = reflector.hear(1, &[announcement("10.1.0.0/26", 8), announcement("10.2.0.0/26", 9)]);

    let [(2, second), (3, third), (4, tagged)] = &sent[..] else { panic!("{sent:?}") };
    assert!(second.is_shared_with(third));
    assert_eq!(crate::world::messages(second).len(), 2, "all of the reading");
    assert!(!tagged.is_shared_with(second), "it is told something else");
}

#[test]
fn one_piece_for_several_counts_as_waiting_for_each_of_them() {
    let mut reflector = Reflector::with_clients(4);
    [2, 3].into_iter().for_each(|slow| {
        reflector.handle(Event::Waits { connection: ConnectionId(slow), octets: 1000 });
    });

    let sent = reflector.hear(1, &[announcement("10.1.0.0/26", 8)]);

    let octets = sent[0].1.len();
    assert_eq!([2, 3, 4].map(|number| reflector.waiting_octets(number)), [1000 + octets, 1000 + octets, 0]);
}

#[test]
fn who_is_told_apart_from_the_others_at_first_hears_all_in_order() {
    let mut reflector = Reflector::with_clients(4);
    reflector.hear(2, &[announcement("10.2.0.0/26", 9)]);

    // Client 2 had a way of its own to 10.2.0.0/26, so what it is told of that is made for it alone.
    let sent = reflector.hear(1, &[announcement("10.2.0.0/26", 8), announcement("10.1.0.0/26", 8)]);

    let [(1, _), (2, second), (3, third), (4, _)] = &sent[..] else { panic!("{sent:?}") };
    assert!(!second.is_shared_with(third));
    assert_eq!(second, third);
    let ends = crate::world::messages(second).into_iter().map(|message| message[message.len() - 5..].to_vec());
    assert_eq!(ends.collect::<Vec<_>>(), [[26, 10, 2, 0, 0], [26, 10, 1, 0, 0]]);
}

#[test]
fn equal_attributes_of_many_updates_and_of_many_neighbours_are_one_in_memory() {
    let mut reflector = Reflector::with_clients(3);
    for number in 0..2000_u32 {
        let prefix = format!("10.{}.{}.0/26", number / 250, number % 250);
        [1, 2]
            .into_iter()
            .for_each(|client| drop(reflector.hear(client, &[announcement(&prefix, 10 + (number % 10) as u8)])));
    }

    let routes: Vec<_> = reflector.speaker.routes().collect();
    let distinct: BTreeSet<_> = routes.iter().map(|route| Arc::as_ptr(&route.attributes)).collect();

    assert_eq!((routes.len(), distinct.len()), (4000, 10));
}
