//! How a session comes up, and all the ways it goes down.

use poplin_bgp::bfd::{Cause, Diagnostic, State};

use crate::wire::{Wire, millis, settings};

fn pair() -> Wire {
    Wire::between(1, settings(millis(300), 3), settings(millis(300), 3))
}

fn pair_that_is_up() -> Wire {
    let mut wire = pair();
    wire.pass(millis(5_000));
    assert!(wire.are_up());
    wire
}

#[test]
fn section_6_2_both_come_up_by_a_handshake_of_three() {
    let mut wire = pair();

    wire.pass(millis(20));

    assert!(wire.are_up(), "news are told at once, though packets are slow until then");
    let states: Vec<State> = wire.views[0].iter().map(|view| view.state).collect();
    assert_eq!(states[0], State::Down);
    assert_eq!(wire.falls(), 0);
}

#[test]
fn section_6_8_3_an_end_that_is_not_heard_sends_once_a_second() {
    let mut wire = Wire::dark(1, settings(millis(50), 3), settings(millis(50), 3));
    wire.watch(0);

    wire.pass(millis(10_000));

    assert!((10..=14).contains(&wire.log.len()), "{} packets in 10 s", wire.log.len());
    assert_eq!(wire.view(0).state, State::Down);
}

#[test]
fn section_6_8_4_silence_is_noticed_after_the_detection_time() {
    let mut wire = pair_that_is_up();
    wire.stop(1);

    wire.pass(millis(599));
    assert_eq!(wire.view(0).state, State::Up, "two packets may be missed");
    wire.pass(millis(305));

    let view = wire.view(0);
    assert_eq!((view.state, view.diagnostic), (State::Down, Diagnostic::EXPIRED));
    let fall = view.fall.unwrap();
    assert_eq!((fall.cause, fall.is_independent), (Cause::Silence, false));
    assert_eq!(fall.at - fall.heard, millis(900));
}

#[test]
fn section_6_8_6_the_end_that_is_not_heard_is_told() {
    let mut wire = pair_that_is_up();
    wire.loses = Box::new(|from| from == 1);

    wire.pass(millis(1_000));

    assert_eq!(wire.view(0).diagnostic, Diagnostic::EXPIRED);
    let view = wire.view(1);
    assert_eq!((view.diagnostic, view.remote_diagnostic), (Diagnostic::NEIGHBOUR_DOWN, Diagnostic::EXPIRED));
    assert_eq!(view.fall.unwrap().cause, Cause::Signalled);
}

#[test]
fn section_6_8_16_two_ends_that_are_switched_off_at_once_fall_silent_without_a_storm() {
    let mut wire = pair_that_is_up();
    wire.log.clear();

    wire.unwatch(0);
    wire.unwatch(1);
    wire.pass(millis(5_000));

    assert!((2..=20).contains(&wire.log.len()), "{} packets", wire.log.len());
}

#[test]
fn a_mended_way_comes_up_again() {
    let mut wire = pair_that_is_up();
    wire.loses = Box::new(|_| true);
    wire.pass(millis(5_000));
    assert!(!wire.are_up());

    wire.loses = Box::new(|_| false);
    wire.pass(millis(1_010));

    assert!(wire.are_up());
    assert_eq!(wire.view(0).diagnostic, Diagnostic::EXPIRED, "why it last fell is still told");
}

#[test]
fn an_end_that_begins_anew_says_nothing_against_the_way() {
    let mut wire = pair_that_is_up();

    wire.restart(1, 77);
    wire.pass(millis(50));

    assert!(wire.are_up());
    assert_eq!(wire.view(0).fall.unwrap().cause, Cause::Restarted);
}

#[test]
fn section_6_8_16_an_end_that_is_switched_off_says_so_and_then_falls_silent() {
    let mut wire = pair_that_is_up();

    wire.unwatch(1);
    wire.pass(millis(10));

    let view = wire.view(0);
    assert_eq!((view.state, view.remote_diagnostic), (State::Down, Diagnostic::ADMINISTRATIVE));
    assert_eq!(view.fall.unwrap().cause, Cause::Administrative);
    let switched_off = wire.now;
    wire.pass(millis(10_000));
    let last = wire.log.iter().filter(|seen| seen.from == 1).map(|seen| seen.at).max().unwrap();
    assert!(
        last - switched_off >= millis(1_500),
        "it is told for about the detection time, which is now of slow packets"
    );
    assert!(last - switched_off <= millis(4_000), "and not for ever");
}

#[test]
fn an_end_that_is_switched_on_again_comes_up_again() {
    let mut wire = pair_that_is_up();
    wire.unwatch(1);
    wire.pass(millis(10));

    wire.watch(1);
    wire.pass(millis(1_050));

    assert!(wire.are_up());
}
