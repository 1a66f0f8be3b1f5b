//! A speaker faced with hand-written octets of a foreign neighbour.

use std::time::{Duration, Instant};

use poplin_bgp::{Action, Address, Asn, ConnectionId, Event, Note, SessionState, Speaker, SpeakerConfig, wire::Fault};

use crate::world::{address, messages, neighbour, net, nets};

/// One speaker in AS 64512 with two neighbours; the first is 192.0.2.2, and its octets are written by hand.
pub(crate) struct Foreign {
    pub(crate) speaker: Speaker,
    now: Instant,
    pub(crate) actions: Vec<Action>,
}

const CONNECTION: ConnectionId = ConnectionId(1);

/// A message of this kind around these octets.
pub(crate) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(19 + body.len()).unwrap();
    [&[0xff; 16][..], &length.to_be_bytes(), &[kind], body].concat()
}

/// An UPDATE of these attributes and classic prefixes.
pub(crate) fn update(attributes: &[u8], nlri: &[u8]) -> Vec<u8> {
    let length = u16::try_from(attributes.len()).unwrap();
    message(2, &[&[0, 0][..], &length.to_be_bytes(), attributes, nlri].concat())
}

/// An OPEN with this AS number and hold time, identifier 192.0.2.2, and these optional parameters.
pub(crate) fn open(asn: u16, hold_time: u16, parameters: &[u8]) -> Vec<u8> {
    let mut body = vec![4];
    body.extend(asn.to_be_bytes());
    body.extend(hold_time.to_be_bytes());
    body.extend([192, 0, 2, 2]);
    body.push(u8::try_from(parameters.len()).unwrap());
    body.extend(parameters);
    message(1, &body)
}

pub(crate) fn keepalive() -> Vec<u8> {
    message(4, &[])
}

/// The capability for four octets and AS 64513 in an optional parameter.
const FOUR_OCTETS: [u8; 8] = [2, 6, 65, 4, 0, 0, 0xfc, 0x01];

impl Foreign {
    /// Connected; our OPEN is sent.
    pub(crate) fn connected(asn: u32) -> Self {
        let config = SpeakerConfig { asn: Asn(64512), router_id: [192, 0, 2, 1].into() };
        let mut foreign = Self { speaker: Speaker::new(config), now: Instant::now(), actions: Vec::new() };
        let neighbours = vec![neighbour(address(1), asn), neighbour(address(2), 64514)];
        foreign.handle(Event::Reconfigure { config, neighbours });
        let local = Address::from([192, 0, 2, 1]);
        let opened = Event::ConnectionOpened { connection: CONNECTION, neighbour: address(1), outgoing: true, local };
        foreign.handle(opened);
        foreign
    }

    /// Established with AS 64513 in four octets.
    pub(crate) fn established() -> Self {
        let mut foreign = Self::connected(64513);
        foreign.hear(&open(64513, 90, &FOUR_OCTETS));
        foreign.hear(&keepalive());
        assert_eq!(foreign.state(), SessionState::Established);
        foreign.actions.clear();
        foreign
    }

    /// Established with our own system in four octets.
    pub(crate) fn established_inside() -> Self {
        let mut foreign = Self::connected(64512);
        foreign.hear(&open(64512, 90, &[2, 6, 65, 4, 0, 0, 0xfc, 0x00]));
        foreign.hear(&keepalive());
        assert_eq!(foreign.state(), SessionState::Established);
        foreign.actions.clear();
        foreign
    }

    /// Established with AS 64513 in two octets and without any capability.
    pub(crate) fn old_established() -> Self {
        let mut foreign = Self::connected(64513);
        foreign.hear(&open(64513, 90, &[]));
        foreign.hear(&keepalive());
        assert_eq!(foreign.state(), SessionState::Established);
        foreign.actions.clear();
        foreign
    }

    pub(crate) fn hear(&mut self, octets: &[u8]) {
        self.handle(Event::Received { connection: CONNECTION, octets: octets.to_vec() });
    }

    fn handle(&mut self, event: Event) {
        self.speaker.handle(self.now, event);
        while let Some(action) = self.speaker.next_action() {
            self.actions.push(action);
        }
    }

    /// Nothing is heard for so long.
    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.handle(Event::Tick);
    }

    pub(crate) fn state(&self) -> SessionState {
        self.speaker.neighbours().next().unwrap().state
    }

    pub(crate) fn is_installed(&self, prefix: &str) -> bool {
        self.speaker.best(net(prefix)).is_some()
    }

    /// Everything sent, one message after the other.
    pub(crate) fn sent(&self) -> Vec<Vec<u8>> {
        let sent = self.actions.iter().filter_map(|action| match action {
            Action::Send { octets, .. } => Some(messages(octets)),
            _ => None,
        });
        sent.flatten().map(<[u8]>::to_vec).collect()
    }

    /// Asserts that this fault, with this data, was the last word before the connection was closed.
    pub(crate) fn assert_ended(&self, fault: Fault, data: &[u8]) {
        let last = self.sent().pop().unwrap();
        assert_eq!(last, message(3, &[&[fault.0, fault.1], data].concat()), "{:?}", self.actions);
        assert!(self.actions.contains(&Action::Close { connection: CONNECTION }));
        assert_eq!(self.state(), SessionState::Idle);
    }
}

#[test]
fn rfc4271_4_2_our_open_octet_by_octet() {
    let foreign = Foreign::connected(64513);

    let parameters = [
        2, 24, // one optional parameter: capabilities
        1, 4, 0, 1, 0, 1, // IPv4 unicast
        2, 0, // route refresh
        70, 0, // with marks
        64, 6, 0x80, 120, 0, 1, 1, 0x80, // restarted, back within 120 s, IPv4 unicast is forwarded meanwhile
        65, 4, 0, 0, 0xfc, 0x00, // AS 64512 in four octets
    ];
    let body = [&[4, 0xfc, 0x00, 0, 90, 192, 0, 2, 1, 26][..], &parameters].concat();
    assert_eq!(foreign.sent(), [message(1, &body)]);
}

#[test]
fn rfc4271_4_3_our_update_octet_by_octet() {
    let mut foreign = Foreign::established();

    foreign.handle(Event::Originate(nets(&["10.1.2.0/26", "10.0.0.0/8"])));

    let attributes = [
        0x40, 1, 1, 0, // ORIGIN igp
        0x40, 2, 6, 2, 1, 0, 0, 0xfc, 0x00, // AS_PATH 64512
        0x40, 3, 4, 192, 0, 2, 1, // NEXT_HOP self
    ];
    assert_eq!(foreign.sent(), [update(&attributes, &[8, 10, 26, 10, 1, 2, 0])]);
}

#[test]
fn rfc4724_2_the_initial_table_ends_with_a_mark() {
    let mut foreign = Foreign::connected(64513);
    foreign.handle(Event::Originate(nets(&["10.0.0.0/8"])));
    foreign.hear(&open(64513, 90, &FOUR_OCTETS));
    foreign.actions.clear();

    foreign.hear(&keepalive());

    let sent = foreign.sent();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[1], message(2, &[0, 0, 0, 0]));
}

#[test]
fn rfc2918_4_a_refresh_is_answered_with_everything() {
    let mut foreign = Foreign::established();
    foreign.handle(Event::Originate(nets(&["10.0.0.0/8"])));
    let told = foreign.sent();
    foreign.actions.clear();

    foreign.hear(&message(5, &[0, 1, 0, 1]));
    assert_eq!(foreign.sent(), told);

    foreign.hear(&message(5, &[0, 25, 0, 70]));
    assert_eq!(foreign.sent(), told, "a refresh of an unknown family is passed over");
}

#[test]
fn rfc6793_4_2_3_the_true_path_of_an_old_neighbour_is_put_together() {
    let mut foreign = Foreign::old_established();
    let attributes = [
        0x40, 1, 1, 0, // ORIGIN
        0x40, 2, 8, 2, 3, 0xfc, 0x01, 0x5b, 0xa0, 0x5b, 0xa0, // AS_PATH 64513 23456 23456
        0x40, 3, 4, 192, 0, 2, 2, // NEXT_HOP
        0xc0, 17, 10, 2, 2, 0, 1, 0, 1, 0, 1, 0, 2, // AS4_PATH 65537 65538
    ];

    foreign.hear(&update(&attributes, &[8, 10]));

    let best = foreign.speaker.best(net("10.0.0.0/8")).unwrap();
    assert_eq!(best.winner.attributes.path.to_string(), "64513 65537 65538");
}

#[test]
fn rfc6793_4_1_an_old_neighbour_is_told_two_octets() {
    let mut foreign = Foreign::old_established();

    foreign.handle(Event::Originate(nets(&["10.0.0.0/8"])));

    let attributes = [0x40, 1, 1, 0, 0x40, 2, 4, 2, 1, 0xfc, 0x00, 0x40, 3, 4, 192, 0, 2, 1];
    assert_eq!(foreign.sent(), [update(&attributes, &[8, 10])]);
}

#[test]
fn rfc9072_long_parameters_are_understood() {
    let mut foreign = Foreign::connected(64513);
    let mut octets = open(64513, 90, &[]);
    octets.pop();
    octets.extend([255, 255, 0, 9, 2, 0, 6, 65, 4, 0, 0, 0xfc, 0x01]);
    octets[17] = u8::try_from(octets.len()).unwrap();

    foreign.hear(&octets);

    assert_eq!(foreign.state(), SessionState::OpenConfirm);
}

#[test]
fn rfc4271_6_1_a_broken_header_is_answered_by_its_code() {
    let garbage = b"GET / HTTP/1.1\r\nHost: example\r\n\r\n";
    let mut short = keepalive();
    short[17] = 18;
    let mut long = keepalive();
    long[16] = 0x10;
    long[17] = 0x01;
    let cases: [(&[u8], Fault, &[u8]); 5] = [
        (garbage, Fault::NOT_SYNCHRONIZED, &[]),
        (&short, Fault::BAD_LENGTH, &[0, 18]),
        (&long, Fault::BAD_LENGTH, &[0x10, 0x01]),
        (&message(4, &[0]), Fault::BAD_LENGTH, &[0, 20]),
        (&message(9, &[]), Fault::BAD_TYPE, &[9]),
    ];
    for (octets, fault, data) in cases {
        let mut foreign = Foreign::established();

        foreign.hear(octets);

        foreign.assert_ended(fault, data);
    }
}

#[test]
fn rfc4271_6_2_a_bad_open_is_answered_by_its_code() {
    let mut version = open(64513, 90, &[]);
    version[19] = 3;
    let mut identifier = open(64513, 90, &[]);
    identifier[24..28].fill(0);
    let cases: [(Vec<u8>, Fault, &[u8]); 8] = [
        (version, Fault::BAD_VERSION, &[0, 4]),
        (open(64999, 90, &[]), Fault::BAD_PEER_AS, &[]),
        (identifier, Fault::BAD_IDENTIFIER, &[]),
        (open(64513, 2, &[]), Fault::BAD_HOLD_TIME, &[]),
        (open(64513, 90, &[1, 2, 0, 0]), Fault::BAD_PARAMETER, &[]),
        (open(64513, 90, &[2, 9, 65, 4]), Fault::OPEN, &[]),
        (open(64513, 90, &[2, 6, 65, 4, 0, 0, 0, 0]), Fault::BAD_PEER_AS, &[]),
        (open(64513, 90, &[2, 6, 1, 4, 0, 2, 0, 1]), Fault::BAD_CAPABILITY, &[1, 4, 0, 1, 0, 1]),
    ];
    for (octets, fault, data) in cases {
        let mut foreign = Foreign::connected(64513);

        foreign.hear(&octets);

        foreign.assert_ended(fault, data);
    }
}

#[test]
fn rfc6286_2_2_an_internal_neighbour_with_our_identifier_is_refused() {
    let mut foreign = Foreign::connected(64512);
    let mut octets = open(64512, 90, &[]);
    octets[27] = 1;

    foreign.hear(&octets);

    foreign.assert_ended(Fault::BAD_IDENTIFIER, &[]);
}

#[test]
fn rfc6608_a_message_out_of_place_is_answered_by_the_state() {
    let mut foreign = Foreign::connected(64513);
    foreign.hear(&keepalive());
    foreign.assert_ended(Fault::FSM_OPEN_SENT, &[]);

    let mut foreign = Foreign::connected(64513);
    foreign.hear(&open(64513, 90, &[]));
    foreign.hear(&message(2, &[0, 0, 0, 0]));
    foreign.assert_ended(Fault::FSM_OPEN_CONFIRM, &[]);

    let mut foreign = Foreign::established();
    foreign.hear(&open(64513, 90, &[]));
    foreign.assert_ended(Fault::FSM_ESTABLISHED, &[]);
}

#[test]
fn a_neighbour_that_talks_nonsense_takes_only_its_own_routes_along() {
    let mut foreign = Foreign::established();
    let other = ConnectionId(2);
    let local = Address::from([192, 0, 2, 1]);
    foreign.handle(Event::ConnectionOpened { connection: other, neighbour: address(2), outgoing: true, local });
    foreign.handle(Event::Received { connection: other, octets: open(64514, 90, &[]) });
    foreign.handle(Event::Received { connection: other, octets: keepalive() });
    foreign.hear(&update(&[0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xfc, 0x01, 0x40, 3, 4, 192, 0, 2, 2], &[8, 10]));
    assert!(foreign.is_installed("10.0.0.0/8"));

    foreign.hear(b"\0");

    assert!(foreign.actions.contains(&Action::Remove { prefix: net("10.0.0.0/8") }));
    let states: Vec<_> = foreign.speaker.neighbours().map(|view| view.state).collect();
    assert_eq!(states, [SessionState::Idle, SessionState::Established]);
    let down = |action: &Action| matches!(action, Action::Note(note) if matches!(**note, Note::SessionDown { .. }));
    assert_eq!(foreign.actions.iter().filter(|action| down(action)).count(), 1);
}

#[test]
fn rfc4271_8_2_2_a_neighbour_that_never_confirms_is_given_up() {
    for (hold_time, wait) in [(None, 240), (Some(0), 240), (Some(30), 30)] {
        let mut foreign = Foreign::connected(64513);
        hold_time.into_iter().for_each(|hold_time| foreign.hear(&open(64513, hold_time, &[])));
        let expired = message(3, &[4, 0]);

        foreign.pass(Duration::from_secs(wait - 1));
        assert!(!foreign.sent().contains(&expired), "{hold_time:?}");
        foreign.pass(Duration::from_secs(1));

        assert!(foreign.sent().contains(&expired), "{hold_time:?}");
        assert_eq!(foreign.state(), SessionState::Active, "calls are taken, for nobody is to blame");
    }
}
