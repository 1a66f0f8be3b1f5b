//! One link that nobody numbered, in virtual time.

#![allow(clippy::unwrap_used)]

use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use poplin_node::discovery::{ADVERTISEMENT, Action, Discovery, Malformed, Message, SOLICITATION};

/// The shortest time between two advertisements, RFC 4861 §10.
const ADVERTISEMENT_PAUSE: Duration = Duration::from_secs(3);

/// How long a known router has to answer when another speaks up.
const PATIENCE: Duration = Duration::from_secs(5);

const NEAR: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
const OTHER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 3);

/// A link, and when what was asked for, counted from its beginning.
struct Link {
    discovery: Discovery,
    begun: Instant,
    now: Instant,
    done: Vec<(Duration, Action)>,
}

impl Link {
    fn up(seed: u64) -> Self {
        let now = Instant::now();
        let mut link = Self { discovery: Discovery::start(now, seed), begun: now, now, done: Vec::new() };
        link.pass(Duration::ZERO);
        link
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.discovery.next_deadline() <= end {
            assert!(self.discovery.next_deadline() >= self.now || self.done.is_empty(), "a deadline stays in the past");
            self.now = self.discovery.next_deadline();
            self.discovery.tick(self.now);
            self.note();
        }
        self.now = end;
    }

    fn hear(&mut self, from: Ipv6Addr, message: Message) {
        self.discovery.heard(self.now, from, message);
        self.note();
    }

    fn note(&mut self) {
        let at = self.now - self.begun;
        self.done.extend(std::iter::from_fn(|| self.discovery.next_action()).map(|action| (at, action)));
    }

    fn times(&self, wanted: Action) -> Vec<Duration> {
        self.done.iter().filter(|(_, action)| *action == wanted).map(|(at, _)| *at).collect()
    }

    fn met(&self) -> Vec<Ipv6Addr> {
        let met = self.done.iter().filter_map(|(_, action)| match action {
            Action::Meet(neighbour) => Some(*neighbour),
            Action::Advertise | Action::Solicit | Action::Warn { .. } => None,
        });
        met.collect()
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn rfc4861_6_2_4_the_first_advertisements_come_quickly_and_the_others_at_random() {
    for seed in 0..50 {
        let mut link = Link::up(seed);

        link.pass(100 * SECOND);

        let times = link.times(Action::Advertise);
        assert_eq!(times[..3], [Duration::ZERO, 3 * SECOND, 6 * SECOND]);
        let pauses: Vec<_> = times.windows(2).skip(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(pauses.iter().all(|pause| (4 * SECOND..=10 * SECOND).contains(pause)), "{pauses:?}");
        assert!(pauses.windows(2).any(|pair| pair[0] != pair[1]), "nobody keeps in step with us: {pauses:?}");
    }
}

#[test]
fn rfc4861_6_2_6_a_solicitation_is_answered_soon_and_a_flood_of_them_not_more_often() {
    let mut link = Link::up(1);
    link.pass(6 * SECOND);
    link.done.clear();
    link.pass(SECOND);

    for _ in 0..500 {
        link.hear(NEAR, Message::Solicitation);
        link.pass(SECOND / 100);
    }

    let times = link.times(Action::Advertise);
    assert!((Duration::from_secs(9)..=Duration::from_millis(9_500)).contains(&times[0]), "{times:?}");
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= ADVERTISEMENT_PAUSE), "{times:?}");
}

#[test]
fn rfc4861_6_3_7_who_finds_nobody_asks_three_times() {
    let mut link = Link::up(1);
    link.pass(100 * SECOND);
    assert_eq!(link.times(Action::Solicit), [Duration::ZERO, 4 * SECOND, 8 * SECOND]);

    let mut link = Link::up(1);
    link.hear(NEAR, Message::Advertisement);
    link.pass(100 * SECOND);
    assert_eq!(link.times(Action::Solicit), [Duration::ZERO]);
}

#[test]
fn what_could_not_be_sent_is_tried_again_and_does_not_count() {
    let mut link = Link::up(1);
    for action in [Action::Advertise, Action::Solicit] {
        link.discovery.unsent(link.now, action);
    }
    link.done.clear();

    link.pass(8 * SECOND);

    assert_eq!(link.times(Action::Advertise), [SECOND, 4 * SECOND, 7 * SECOND]);
    assert_eq!(link.times(Action::Solicit), [SECOND, 5 * SECOND]);
}

#[test]
fn the_router_that_advertises_itself_is_the_neighbour_and_told_once() {
    let mut link = Link::up(1);
    for _ in 0..5 {
        link.hear(NEAR, Message::Advertisement);
        link.pass(10 * SECOND);
    }

    assert_eq!(link.met(), [NEAR]);
}

#[test]
fn a_router_that_has_another_address_now_is_followed() {
    let mut link = Link::up(1);
    link.hear(NEAR, Message::Advertisement);
    link.pass(20 * SECOND);

    link.hear(OTHER, Message::Advertisement);
    assert_eq!(link.times(Action::Solicit).len(), 2, "everybody is asked");
    link.pass(PATIENCE - SECOND);
    assert_eq!(link.met(), [NEAR]);
    link.pass(SECOND);

    assert_eq!(link.met(), [NEAR, OTHER]);
}

#[test]
fn of_two_routers_the_first_stays_and_somebody_is_told_once() {
    let mut link = Link::up(1);
    link.hear(NEAR, Message::Advertisement);
    link.pass(20 * SECOND);
    for _ in 0..5 {
        link.hear(OTHER, Message::Advertisement);
        link.pass(3 * SECOND);
        link.hear(NEAR, Message::Advertisement);
        link.pass(3 * SECOND);
    }

    assert_eq!(link.met(), [NEAR]);
    assert_eq!(link.times(Action::Warn { known: NEAR, other: OTHER }).len(), 1);

    link.hear(OTHER, Message::Advertisement);
    link.pass(PATIENCE);
    assert_eq!(link.met(), [NEAR, OTHER], "until it is gone");
}

#[test]
fn rfc4861_6_1_2_what_an_advertisement_must_be_to_count() {
    let decode = |octets: &[u8], from: &str| Message::decode(octets, from.parse().unwrap());
    let with = |options: &[u8]| [&ADVERTISEMENT[..], options].concat();
    let mut coded = ADVERTISEMENT;
    coded[1] = 1;

    assert_eq!(decode(&ADVERTISEMENT, "fe80::2"), Ok(Message::Advertisement));
    assert_eq!(decode(&with(&[1, 1, 2, 0, 0, 0, 0, 1]), "fe80::2"), Ok(Message::Advertisement));
    assert_eq!(decode(&ADVERTISEMENT, "2001:db8::2"), Err(Malformed::Source("2001:db8::2".parse().unwrap())));
    assert_eq!(decode(&coded, "fe80::2"), Err(Malformed::Code(1)));
    assert_eq!(decode(&ADVERTISEMENT[..15], "fe80::2"), Err(Malformed::Length(15)));
    assert_eq!(decode(&[134], "fe80::2"), Err(Malformed::Length(1)));
    assert_eq!(decode(&with(&[1, 0, 0, 0, 0, 0, 0, 0]), "fe80::2"), Err(Malformed::Option));
    assert_eq!(decode(&with(&[1, 2, 0, 0, 0, 0, 0, 0]), "fe80::2"), Err(Malformed::Option));
    assert_eq!(decode(&with(&[1]), "fe80::2"), Err(Malformed::Option));
    assert_eq!(decode(&[135, 0, 0, 0, 0, 0, 0, 0], "fe80::2"), Err(Malformed::Type(135)));
}

#[test]
fn rfc4861_6_1_1_a_solicitation_may_come_from_whoever_has_no_address_yet() {
    assert_eq!(Message::decode(&SOLICITATION, Ipv6Addr::UNSPECIFIED), Ok(Message::Solicitation));
    assert_eq!(Message::decode(&SOLICITATION[..7], Ipv6Addr::UNSPECIFIED), Err(Malformed::Length(7)));
}
