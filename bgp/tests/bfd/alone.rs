//! One end, faced with hand-written packets.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use poplin_bgp::{
    Address,
    bfd::{Action, Cause, Diagnostic, Event, Monitor, Packet, Path, State, View},
};

use crate::wire::{address, millis, settings};

/// One monitor that watches 192.0.2.2, and what it did.
struct Alone {
    now: Instant,
    monitor: Monitor,
    sent: Vec<Packet>,
    views: Vec<View>,
}

impl Alone {
    fn new() -> Self {
        let mut alone = Self { now: Instant::now(), monitor: Monitor::new(9), sent: Vec::new(), views: Vec::new() };
        alone.handle(Event::Watch(BTreeMap::from([(address(1), settings(millis(100), 3))])));
        alone
    }

    fn up() -> Self {
        let mut alone = Self::new();
        alone.hear(alone.from(State::Down));
        alone.hear(Packet { yours: alone.name(), ..alone.from(State::Up) });
        assert_eq!(alone.state(), State::Up);
        alone
    }

    fn handle(&mut self, event: Event) {
        self.monitor.handle(self.now, event);
        while let Some(action) = self.monitor.next_action() {
            match action {
                Action::Send { octets, .. } => self.sent.push(Packet::decode(&octets).unwrap()),
                Action::Tell(view) => self.views.push(view),
                Action::Open { .. } | Action::Close { .. } => {}
            }
        }
    }

    fn hear(&mut self, packet: Packet) {
        self.hear_from(address(1), Path::Direct, packet);
    }

    fn hear_from(&mut self, from: Address, path: Path, packet: Packet) {
        self.handle(Event::Received { from, path, octets: packet.encode().to_vec() });
    }

    fn pass(&mut self, time: Duration) -> usize {
        let before = self.sent.len();
        let end = self.now + time;
        while let Some(at) = self.monitor.next_deadline().filter(|at| *at <= end) {
            self.now = at;
            self.handle(Event::Tick);
        }
        self.now = end;
        self.sent.len() - before
    }

    fn name(&self) -> u32 {
        self.sent.last().unwrap().mine
    }

    fn state(&self) -> State {
        self.views.last().unwrap().state
    }

    fn from(&self, state: State) -> Packet {
        Packet {
            diagnostic: Diagnostic::NONE,
            state,
            is_poll: false,
            is_final: false,
            is_independent: false,
            is_demand: false,
            multiplier: 3,
            mine: 5,
            yours: 0,
            min_transmit: millis(100),
            min_receive: millis(100),
            min_echo: Duration::ZERO,
        }
    }
}

#[test]
fn section_6_3_a_packet_finds_its_session_by_our_name_for_it() {
    let mut alone = Alone::up();
    let (heard, name) = (alone.now, alone.name());
    alone.pass(millis(200));

    alone.hear_from(address(7), Path::Direct, Packet { yours: name, ..alone.from(State::Up) });
    alone.pass(millis(290));

    assert_eq!(alone.state(), State::Up, "heard {:?} ago at first", alone.now - heard);
}

#[test]
fn section_6_3_what_names_no_session_of_ours_or_comes_from_nobody_is_discarded() {
    let mut alone = Alone::new();
    let wrong = alone.name() ^ 1;

    alone.hear(Packet { yours: wrong, ..alone.from(State::Down) });
    alone.hear_from(address(7), Path::Direct, alone.from(State::Down));
    alone.hear_from(address(1), Path::Multihop, alone.from(State::Down));

    assert_eq!(alone.state(), State::Down);
    assert_eq!(alone.monitor.discarded().0, 3);
}

#[test]
fn section_6_5_a_poll_is_answered_at_once_and_not_with_a_poll() {
    let mut alone = Alone::up();

    alone.hear(Packet { yours: alone.name(), is_poll: true, ..alone.from(State::Up) });

    let answer = alone.sent.last().unwrap();
    assert!(answer.is_final && !answer.is_poll);
}

#[test]
fn section_6_6_an_end_in_demand_mode_is_left_in_peace() {
    let mut alone = Alone::up();
    alone.hear(Packet { yours: alone.name(), is_final: true, is_demand: true, ..alone.from(State::Up) });

    let mut sent = 0;
    for _ in 0..20 {
        sent += alone.pass(millis(100));
        alone.hear(Packet { yours: alone.name(), is_demand: true, ..alone.from(State::Up) });
    }

    assert_eq!(sent, 0);
    assert_eq!(alone.state(), State::Up);
}

#[test]
fn section_6_8_7_an_end_that_can_receive_nothing_is_sent_nothing() {
    let mut alone = Alone::new();

    alone.hear(Packet { min_receive: Duration::ZERO, ..alone.from(State::Down) });

    assert_eq!(alone.pass(millis(2_900)), 0);
}

#[test]
fn section_6_8_7_a_faster_wish_of_the_other_end_counts_at_once() {
    let mut alone = Alone::up();
    let slow = Packet { yours: alone.name(), is_final: true, min_receive: millis(10_000), ..alone.from(State::Up) };
    alone.hear(Packet { multiplier: 200, ..slow });
    assert_eq!(alone.pass(millis(5_000)), 0);

    alone.hear(Packet { multiplier: 200, min_receive: millis(100), is_final: false, ..slow });

    assert!(alone.pass(millis(1_000)) >= 10);
}

#[test]
fn section_6_8_6_one_that_still_thinks_we_are_up_does_not_bring_us_up() {
    let mut alone = Alone::new();

    alone.hear(Packet { yours: alone.name(), ..alone.from(State::Up) });

    assert_eq!(alone.state(), State::Down);
}

#[test]
fn section_6_8_6_an_end_switched_off_is_no_silence() {
    let mut alone = Alone::up();

    alone.hear(Packet { yours: alone.name(), ..alone.from(State::AdminDown) });
    alone.pass(millis(5_000));

    let view = alone.views.last().unwrap();
    assert_eq!((view.state, view.diagnostic), (State::Down, Diagnostic::NEIGHBOUR_DOWN));
}

#[test]
fn each_of_many_sessions_is_served_in_its_own_time() {
    let neighbours: Vec<Address> = (1..=200).map(|last| Address::from([198, 51, 100, last])).collect();
    let wanted = neighbours.iter().map(|&neighbour| (neighbour, settings(millis(100), 3))).collect();
    let (mut now, mut monitor) = (Instant::now(), Monitor::new(11));
    let end = now + Duration::from_secs(20);
    let mut sent = BTreeMap::<Address, usize>::new();

    monitor.handle(now, Event::Watch(wanted));
    while now <= end {
        while let Some(action) = monitor.next_action() {
            if let Action::Send { neighbour, .. } = action {
                *sent.entry(neighbour).or_default() += 1;
            }
        }
        now = monitor.next_deadline().unwrap();
        monitor.handle(now, Event::Tick);
    }

    assert_eq!(sent.len(), 200);
    assert!(sent.values().all(|count| (20..=27).contains(count)), "one packet in 750 ms to 1 s: {sent:?}");
}

#[test]
fn what_the_other_end_says_it_fell_by_tells_whether_the_way_works() {
    let told = [
        (Diagnostic::EXPIRED, Cause::Signalled),
        (Diagnostic::new(5), Cause::Signalled),
        (Diagnostic::NEIGHBOUR_DOWN, Cause::Restarted),
        (Diagnostic::ADMINISTRATIVE, Cause::Administrative),
    ];
    for (diagnostic, cause) in told {
        let mut alone = Alone::up();

        alone.hear(Packet { yours: alone.name(), diagnostic, ..alone.from(State::Down) });

        assert_eq!(alone.views.last().unwrap().fall.unwrap().cause, cause, "{diagnostic}");
    }
}

#[test]
fn the_c_bit_of_the_other_end_is_told_with_the_fall() {
    let mut alone = Alone::up();
    alone.hear(Packet { yours: alone.name(), is_independent: true, ..alone.from(State::Up) });

    alone.pass(millis(1_000));

    assert!(alone.views.last().unwrap().fall.unwrap().is_independent);
    assert!(alone.sent.iter().all(|packet| !packet.is_independent), "ours shares the fate of our control plane");
}
