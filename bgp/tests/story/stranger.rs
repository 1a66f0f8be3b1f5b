//! RFC 4486 §4: who is no neighbour is told so, and the operator hears of it, though not of every call.

use std::time::{Duration, Instant};

use poplin_bgp::{
    Action, Address, Asn, ConnectionId, Event, NeighbourConfig, Note, Speaker, SpeakerConfig,
    wire::{Dialect, Fault, Message},
};

use crate::world::{address, neighbour};

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn rfc4486_4_a_stranger_is_told_that_it_is_rejected_before_the_connection_closes() {
    let mut called = Called::new();

    let actions = called.by(address(7), false);

    let octets = Message::from(Fault::REJECTED.bare()).encode(Dialect::PLAIN).into();
    let connection = called.connection;
    let reason = "not a neighbour of ours".to_owned();
    let note = Action::Note(Note::Refused { neighbour: address(7), reason }.into());
    assert_eq!(actions, [Action::Send { connection, octets }, Action::Close { connection }, note]);
}

#[test]
fn a_stranger_that_calls_on_and_on_is_rejected_each_time_and_noted_every_ten_minutes() {
    let mut called = Called::new();
    let mut notes = Vec::new();

    for _ in 0..21 {
        let actions = called.by(address(7), false);
        assert!(matches!(actions[..2], [Action::Send { .. }, Action::Close { .. }]), "{actions:?}");
        notes.extend(reasons(&actions));
        called.now += MINUTE;
    }

    let more = "not a neighbour of ours; 9 more calls of strangers since the last such line";
    assert_eq!(notes, ["not a neighbour of ours", more, more]);
}

#[test]
fn however_many_strangers_call_few_are_noted_and_the_rest_is_counted() {
    let mut called = Called::new();

    let notes: usize = (10..250).map(|last| reasons(&called.by([192, 0, 2, last].into(), false)).len()).sum();
    called.now += 10 * MINUTE;

    assert_eq!(notes, 64);
    let more = "not a neighbour of ours; 176 more calls of strangers since the last such line";
    assert_eq!(reasons(&called.by([192, 0, 2, 9].into(), false)), [more]);
}

#[test]
fn who_was_a_neighbour_meanwhile_is_noted_again() {
    let mut called = Called::new();
    called.by(address(1), false);

    called.knows(vec![neighbour(address(1), 64513)]);
    called.knows(Vec::new());

    assert_eq!(reasons(&called.by(address(1), false)), ["not a neighbour of ours"]);
}

#[test]
fn what_we_dialled_before_it_was_a_neighbour_no_more_is_closed_without_a_word() {
    let mut called = Called::new();

    assert_eq!(called.by(address(7), true), [Action::Close { connection: called.connection }]);
}

#[test]
fn who_may_be_a_neighbour_of_the_life_before_is_closed_without_a_word() {
    let mut called = Called::new();
    called.handle(Event::ExpectsCallers(true));

    assert!(matches!(called.by(address(7), false)[..], [Action::Close { .. }, Action::Note(_)]));
    called.now += 2 * MINUTE;
    assert!(matches!(called.by(address(8), false)[..], [Action::Send { .. }, Action::Close { .. }, Action::Note(_)]));
}

/// A speaker that is called.
struct Called {
    speaker: Speaker,
    now: Instant,
    connection: ConnectionId,
}

impl Called {
    fn new() -> Self {
        let config = SpeakerConfig { asn: Asn(64512), router_id: [192, 0, 2, 1].into() };
        let mut called = Self { speaker: Speaker::new(config), now: Instant::now(), connection: ConnectionId(0) };
        called.knows(Vec::new());
        called
    }

    /// What it does about the next connection.
    fn by(&mut self, neighbour: Address, outgoing: bool) -> Vec<Action> {
        self.connection.0 += 1;
        let (connection, local) = (self.connection, address(0));
        self.handle(Event::ConnectionOpened { connection, neighbour, outgoing, local })
    }

    fn knows(&mut self, neighbours: Vec<NeighbourConfig>) {
        let config = SpeakerConfig { asn: Asn(64512), router_id: [192, 0, 2, 1].into() };
        self.handle(Event::Reconfigure { config, neighbours });
    }

    fn handle(&mut self, event: Event) -> Vec<Action> {
        self.speaker.handle(self.now, event);
        std::iter::from_fn(|| self.speaker.next_action()).collect()
    }
}

fn reasons(actions: &[Action]) -> Vec<String> {
    let reason = |action: &Action| match action {
        Action::Note(note) => match &**note {
            Note::Refused { reason, .. } => Some(reason.clone()),
            _ => None,
        },
        _ => None,
    };
    actions.iter().filter_map(reason).collect()
}
