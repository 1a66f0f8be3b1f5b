//! Neighbours on links that nobody numbered: link-local addresses, and IPv4 over routers of IPv6 (RFC 8950).

use std::time::Instant;

use poplin_bgp::{
    Action, Address, Asn, ConnectionId, Event, Exchange, Monitoring, NeighbourConfig, Note, RemoteAs, SessionState,
    Speaker, SpeakerConfig,
    bmp::{System, View},
    mrt,
    wire::{
        AsPath, Attributes, Capability, Dialect, Family, Framer, Hop, Message, Open, Origin, Reach, Update, pack_reach,
    },
};

use crate::world::{neighbour, net, nets};

const CONFIG: SpeakerConfig = SpeakerConfig { asn: Asn(64512), router_id: std::net::Ipv4Addr::new(192, 0, 2, 1) };
const DIALECT: Dialect = Dialect { four_octets: true, external: true, mixed_in: true, ..Dialect::PLAIN };

fn at(text: &str) -> Address {
    text.parse().unwrap()
}

fn pair(global: &str, link_local: &str) -> Hop {
    Hop { address: global.parse().unwrap(), link_local: Some(link_local.parse().unwrap()) }
}

fn mixed() -> Capability {
    Capability::ExtendedNextHop([Family::Ipv4].into())
}

/// One speaker; its neighbours are played by the test.
struct Us {
    speaker: Speaker,
    now: Instant,
    actions: Vec<Action>,
    connections: u64,
}

impl Us {
    fn with(neighbours: Vec<NeighbourConfig>) -> Self {
        let (speaker, now) = (Speaker::new(CONFIG), Instant::now());
        let mut us = Self { speaker, now, actions: Vec::new(), connections: 0 };
        us.handle(Event::Originate(nets(&["10.0.0.0/24", "2001:db8:1::/64"])));
        us.handle(Event::Reconfigure { config: CONFIG, neighbours });
        us
    }

    fn handle(&mut self, event: Event) {
        self.speaker.handle(self.now, event);
        self.actions.extend(std::iter::from_fn(|| self.speaker.next_action()));
    }

    /// The neighbour of this address calls ours from an AS, and can do this.
    fn meet(
        &mut self,
        neighbour: &str,
        local: &str,
        asn: u16,
        more: impl IntoIterator<Item = Capability>,
    ) -> ConnectionId {
        self.connections += 1;
        let connection = ConnectionId(self.connections);
        let (neighbour, local) = (at(neighbour), at(local));
        self.handle(Event::ConnectionOpened { connection, neighbour, outgoing: false, local });
        let capabilities = Family::ALL.map(Capability::Multiprotocol).into_iter();
        let capabilities = capabilities.chain([Capability::FourOctetAsn(Asn(asn.into()))]).chain(more).collect();
        let router_id = [192, 0, 2, 100 + u8::try_from(self.connections).unwrap()].into();
        self.hear(connection, &Message::Open(Open { my_as: asn, hold_time_secs: 90, router_id, capabilities }));
        self.hear(connection, &Message::Keepalive);
        connection
    }

    fn hear(&mut self, connection: ConnectionId, message: &Message) {
        self.handle(Event::Received { connection, octets: message.encode(DIALECT) });
    }

    fn announce(&mut self, connection: ConnectionId, asn: u32, next_hop: impl Into<Hop>, prefix: &str) {
        let attributes = Attributes::new(Origin::Igp, AsPath::through([Asn(asn)]));
        let attributes = Attributes { local_pref: Some(100), ..attributes }; // needed inside, and passed over outside
        for octets in pack_reach(&attributes, next_hop, [net(prefix)], DIALECT) {
            self.handle(Event::Received { connection, octets });
        }
    }

    /// All that was said over a connection.
    fn said(&self, on: ConnectionId) -> Vec<Message> {
        let mut framer = Framer::default();
        for action in &self.actions {
            match action {
                Action::Send { connection, octets } if *connection == on => framer.feed(octets),
                _ => {}
            }
        }
        std::iter::from_fn(|| framer.next(DIALECT).unwrap()).map(|(message, _)| message).collect()
    }

    /// The next hop that a neighbour was told of a prefix.
    fn told(&self, on: ConnectionId, prefix: &str) -> Option<Hop> {
        let updates = self.said(on).into_iter().filter_map(|message| match message {
            Message::Update(update) => Some(update),
            _ => None,
        });
        let hop = |update: Update| {
            let mut all = update.all_announced();
            all.find_map(|(hop, come)| come.iter().any(|one| one.prefix == net(prefix)).then_some(hop))
        };
        updates.filter_map(hop).next_back()
    }

    fn offers(&self, on: ConnectionId) -> Vec<Capability> {
        match &self.said(on)[0] {
            Message::Open(open) => open.capabilities.clone(),
            other => panic!("{other:?} is no OPEN"),
        }
    }

    /// Over what a prefix is routed.
    fn routed(&self, prefix: &str) -> Vec<String> {
        let installed = self.actions.iter().rev().find_map(|action| match action {
            Action::Install { prefix: of, next_hops } if *of == net(prefix) => Some(next_hops.to_vec()),
            Action::Remove { prefix: of } if *of == net(prefix) => Some(Vec::new()),
            _ => None,
        });
        installed.unwrap_or_default().iter().map(Address::to_string).collect()
    }

    fn state(&self, of: &str) -> SessionState {
        self.speaker.neighbours().find(|view| view.address == at(of)).unwrap().state
    }
}

const NEAR: &str = "fe80::2%eth0";

fn on_a_link() -> NeighbourConfig {
    neighbour(at(NEAR), 64513)
}

#[test]
fn rfc8950_4_ipv4_over_ipv6_is_offered_over_ipv6_unless_somebody_says_otherwise() {
    let cases = [
        (NEAR, "fe80::1%eth0", None, true),
        ("2001:db8::2", "2001:db8::1", None, true),
        ("192.0.2.2", "192.0.2.1", None, false),
        ("2001:db8::2", "2001:db8::1", Some(false), false),
        ("192.0.2.2", "192.0.2.1", Some(true), true),
    ];
    for (them, local, extended_next_hop, is_offered) in cases {
        let mut us = Us::with(vec![NeighbourConfig { extended_next_hop, ..neighbour(at(them), 64513) }]);

        let connection = us.meet(them, local, 64513, [mixed()]);

        assert_eq!(us.offers(connection).contains(&mixed()), is_offered, "{them} {extended_next_hop:?}");
    }
}

#[test]
fn rfc8950_4_what_stands_in_an_open_reads_as_it_is_written() {
    assert_eq!(mixed().octets(), [5, 6, 0, 1, 0, 1, 0, 2]);
    let octets = Message::Open(Open {
        my_as: 64513,
        hold_time_secs: 90,
        router_id: [192, 0, 2, 2].into(),
        // Labelled IPv4 (SAFI 4), then ours; FRR names three.
        capabilities: vec![Capability::Other { code: 5, value: vec![0, 1, 0, 4, 0, 2, 0, 1, 0, 1, 0, 2] }],
    });
    let mut framer = Framer::default();
    framer.feed(&octets.encode(DIALECT));

    let Some((Message::Open(open), _)) = framer.next(DIALECT).unwrap() else { panic!("it is an OPEN") };

    assert!(open.hears_mixed());
    assert_eq!(open.capabilities, [mixed()]);
}

#[test]
fn rfc8950_3_ipv4_is_heard_over_a_router_known_by_either_address_or_both() {
    for hop in
        [Hop::from(at("fe80::2")), pair("2001:db8::2", "fe80::2"), pair("::", "fe80::2"), pair("fe80::2", "fe80::2")]
    {
        let mut us = Us::with(vec![on_a_link()]);
        let connection = us.meet(NEAR, "fe80::1%eth0", 64513, [mixed()]);

        us.announce(connection, 64513, hop, "10.9.0.0/16");
        us.announce(connection, 64513, hop, "2001:db8:9::/64");

        assert_eq!(us.routed("10.9.0.0/16"), [NEAR], "{hop:?}");
        assert_eq!(us.routed("2001:db8:9::/64"), [NEAR], "{hop:?}");
    }
}

#[test]
fn rfc8950_3_a_global_router_is_used_as_it_is() {
    let mut us = Us::with(vec![neighbour(at("2001:db8::2"), 64513)]);
    let connection = us.meet("2001:db8::2", "2001:db8::1", 64513, [mixed()]);

    us.announce(connection, 64513, at("2001:db8::2"), "10.9.0.0/16");
    us.announce(connection, 64513, pair("2001:db8::2", "fe80::2"), "10.8.0.0/16");
    us.announce(connection, 64513, at("fe80::2"), "10.7.0.0/16");

    assert_eq!(us.routed("10.9.0.0/16"), ["2001:db8::2"]);
    assert_eq!(us.routed("10.8.0.0/16"), ["2001:db8::2"], "on which link the other address is nobody knows");
    assert_eq!(us.routed("10.7.0.0/16"), Vec::<String>::new());
    let is_meant =
        |note: &Note| matches!(note, Note::RoutesRefused { prefixes, .. } if *prefixes == [net("10.7.0.0/16")]);
    let refused = |action: &Action| matches!(action, Action::Note(note) if is_meant(note));
    assert!(us.actions.iter().any(refused), "an address of some link is nobody's");
}

#[test]
fn rfc8950_4_ipv4_is_told_over_ipv6_to_those_who_hear_that() {
    let mut us = Us::with(vec![on_a_link()]);
    let able = us.meet(NEAR, "fe80::1%eth0", 64513, [mixed()]);

    assert_eq!(us.told(able, "10.0.0.0/24"), Some(at("fe80::1").into()));
    assert_eq!(us.told(able, "2001:db8:1::/64"), Some(at("fe80::1").into()));
}

#[test]
fn rfc8950_4_who_does_not_hear_ipv4_over_ipv6_is_told_it_over_ipv4_or_not_at_all() {
    let numbered = NeighbourConfig { next_hop_v4: Some([192, 0, 2, 1].into()), ..on_a_link() };
    for (config, told) in [(numbered, Some(at("192.0.2.1").into())), (on_a_link(), None)] {
        let mut us = Us::with(vec![config]);

        let unable = us.meet(NEAR, "fe80::1%eth0", 64513, []);

        assert_eq!(us.told(unable, "10.0.0.0/24"), told);
        assert_eq!(us.told(unable, "2001:db8:1::/64"), Some(at("fe80::1").into()));
        assert_eq!(us.state(NEAR), SessionState::Established);
    }
}

#[test]
fn rfc2545_3_a_global_address_leads_the_one_of_the_link() {
    let global = NeighbourConfig { next_hop_v6: Some("2001:db8::1".parse().unwrap()), ..on_a_link() };
    let mut us = Us::with(vec![NeighbourConfig { next_hop_v4: Some([192, 0, 2, 1].into()), ..global }]);

    let connection = us.meet(NEAR, "fe80::1%eth0", 64513, [mixed()]);

    assert_eq!(us.told(connection, "2001:db8:1::/64"), Some(pair("2001:db8::1", "fe80::1")));
    assert_eq!(us.told(connection, "10.0.0.0/24"), Some(pair("2001:db8::1", "fe80::1")), "the link has no IPv4");
}

#[test]
fn rfc2545_3_an_address_of_one_link_is_told_to_nobody_beyond_it() {
    let exchange = Exchange { transit: true, ..Exchange::default() };
    let inside = NeighbourConfig { exchange: exchange.clone(), ..neighbour(at("2001:db8::3"), 64512) };
    let outside = NeighbourConfig { exchange, ..on_a_link() };
    let mut us = Us::with(vec![inside, outside]);
    let near = us.meet(NEAR, "fe80::1%eth0", 64513, [mixed()]);
    let far = us.meet("2001:db8::3", "2001:db8::1", 64512, [mixed()]);

    us.announce(near, 64513, at("fe80::2"), "10.9.0.0/16");
    us.announce(near, 64513, pair("2001:db8::2", "fe80::2"), "10.8.0.0/16");
    us.announce(far, 64514, at("2001:db8::3"), "10.7.0.0/16");

    assert_eq!(us.told(far, "10.9.0.0/16"), Some(at("2001:db8::1").into()), "we stand for it");
    assert_eq!(us.told(far, "10.8.0.0/16"), Some(at("2001:db8::2").into()), "its global address is good for all");
    assert_eq!(us.told(near, "10.7.0.0/16"), Some(at("fe80::1").into()));
}

#[test]
fn rfc8950_4_a_reflector_keeps_ipv4_over_ipv6_from_clients_that_do_not_hear_it() {
    let client = |address: &str| {
        let exchange = Exchange { client_of: Some([192, 0, 2, 1].into()), ..Exchange::default() };
        NeighbourConfig { exchange, next_hop_v4: Some([192, 0, 2, 1].into()), ..neighbour(at(address), 64512) }
    };
    let mut us = Us::with(["2001:db8::2", "2001:db8::3", "2001:db8::4"].map(client).into());
    let from = us.meet("2001:db8::2", "2001:db8::1", 64512, [mixed()]);
    let able = us.meet("2001:db8::3", "2001:db8::1", 64512, [mixed()]);
    let unable = us.meet("2001:db8::4", "2001:db8::1", 64512, []);

    us.announce(from, 64513, at("2001:db8::2"), "10.9.0.0/16");
    us.announce(from, 64513, at("192.0.2.2"), "10.8.0.0/16");

    assert_eq!(us.told(able, "10.9.0.0/16"), Some(at("2001:db8::2").into()), "and leaves it as it is");
    assert_eq!(us.told(unable, "10.9.0.0/16"), None);
    assert_eq!(us.told(unable, "10.8.0.0/16"), Some(at("192.0.2.2").into()));
}

#[test]
fn rfc4007_6_one_address_on_two_links_is_two_neighbours() {
    let mut us = Us::with(vec![on_a_link(), neighbour(at("fe80::2%eth1"), 64513)]);
    let one = us.meet(NEAR, "fe80::1%eth0", 64513, [mixed()]);
    let other = us.meet("fe80::2%eth1", "fe80::1%eth1", 64513, [mixed()]);

    us.announce(one, 64513, at("fe80::2"), "10.9.0.0/16");
    us.announce(other, 64513, at("fe80::2"), "10.9.0.0/16");
    assert_eq!(us.routed("10.9.0.0/16"), [NEAR, "fe80::2%eth1"]);

    us.handle(Event::ConnectionClosed { connection: one, reason: "reset".into() });
    assert_eq!(us.routed("10.9.0.0/16"), ["fe80::2%eth1"]);
}

#[test]
fn an_external_neighbour_is_in_any_system_but_ours_and_says_in_which() {
    let config = NeighbourConfig { asn: RemoteAs::External, ..on_a_link() };
    let mut us = Us::with(vec![config.clone()]);
    assert_eq!(us.speaker.neighbours().next().unwrap().asn, None);

    let connection = us.meet(NEAR, "fe80::1%eth0", 64999, [mixed()]);
    us.announce(connection, 64999, at("fe80::2"), "10.9.0.0/16");

    assert_eq!(us.speaker.neighbours().next().unwrap().asn, Some(Asn(64999)));
    assert_eq!(us.routed("10.9.0.0/16"), [NEAR]);
    let mut us = Us::with(vec![config]);
    us.meet(NEAR, "fe80::1%eth0", 64512, [mixed()]);
    assert_ne!(us.state(NEAR), SessionState::Established, "ours is not external");
}

#[test]
fn what_a_station_hears_and_what_is_written_down_of_ipv4_over_ipv6_is_as_it_came() {
    let mut us = Us::with(vec![on_a_link()]);
    let connection = us.meet(NEAR, "fe80::1%eth0", 64513, [mixed()]);
    let both = [net("10.9.0.0/16"), net("2001:db8:9::/64")];
    let attributes = Attributes::new(Origin::Igp, AsPath::through([Asn(64513)]));
    for prefix in both {
        for octets in pack_reach(&attributes, pair("2001:db8::2", "fe80::2"), [prefix], DIALECT) {
            us.handle(Event::Received { connection, octets });
        }
    }
    let (station, reports) = ("192.0.2.9:11019".parse().unwrap(), ConnectionId(99));
    let terms = Monitoring { views: [View::AdjRibInPre].into(), statistics: None };
    us.handle(Event::Monitor([(station, terms)].into()));
    let system = System { name: "h1".into(), description: "a test".into() };
    us.handle(Event::StationUp { connection: reports, station, since_1970: Default::default(), system });
    us.handle(Event::StationReady { connection: reports });

    let told = us.actions.iter().flat_map(|action| match action {
        Action::Report { octets, .. } => octets.clone(),
        _ => Vec::new(),
    });
    let told: Vec<u8> = told.collect();
    for prefix in both {
        let reach = Reach {
            family: Family::of_prefix(&prefix),
            next_hop: pair("2001:db8::2", "fe80::2"),
            prefixes: vec![prefix.into()],
        };
        let update = Update { attributes: Some(attributes.clone()), reach: Some(reach), ..Update::default() };
        let update = Message::Update(update).encode(DIALECT);
        assert!(told.windows(update.len()).any(|window| window == update), "{prefix} is told as it came");
    }
    let written: Vec<u8> = mrt::dump(&us.speaker, "", Default::default()).flatten().collect();
    let hop: Vec<u8> =
        [0x80, 14, 17, 16].into_iter().chain("fe80::2".parse::<std::net::Ipv6Addr>().unwrap().octets()).collect();
    assert_eq!(written.windows(hop.len()).filter(|window| *window == hop).count(), 2, "both prefixes are over it");
}
