//! Rules of who is on a LAN follow those of the host to where his interface is.

use poplin_policy::delta;
use poplin_policy::ruleset::Then;

use super::*;
use crate::kernel::Step;
use crate::macvlan::{Macvlan, MacvlanMode};
use crate::sandboxes::Sandboxes;

/// An endpoint whose interface a runtime is to put there, or has.
fn inside(last: u8) -> Endpoint {
    let Object::Endpoint(one) = endpoint(last, Some("lan")) else { unreachable!("it is an endpoint") };
    Endpoint { parent: Interface::new("eth1"), netns: format!("/run/netns/c{last}").into(), ..one }
}

fn on_a_lan() -> Object {
    let Object::Network(lan) = network("lan", true) else { unreachable!("it is a network") };
    let parent = Interface::new("eth1").unwrap();
    let macvlan = Some(Macvlan { parent, mode: MacvlanMode::Private, gateways: BTreeSet::new() });
    Object::Network(Network { macvlan, ..lan })
}

struct Room {
    desk: Desk,
    sandboxes: Sandboxes,
    waiting: BTreeSet<Interface>,
    closed: BTreeSet<Interface>,
}

impl Room {
    fn with(endpoints: impl IntoIterator<Item = Endpoint>) -> Self {
        let mut desk = Desk { mirror: Mirror::default(), policing: Policing::of(host()), revision: 1 };
        desk.put(on_a_lan());
        endpoints.into_iter().for_each(|one| desk.put(Object::Endpoint(one)));
        let (waiting, closed) = (BTreeSet::new(), BTreeSet::new());
        Self { desk, sandboxes: Sandboxes::default(), waiting, closed }
    }

    fn due(&mut self) -> Vec<Step> {
        self.desk.rules();
        let Desk { mirror, policing, .. } = &mut self.desk;
        let local: Vec<Endpoint> = mirror.endpoints_on(&host()).cloned().collect();
        let waiting = |interface: &Interface| self.waiting.contains(interface);
        let touched = policing.take_touched();
        self.sandboxes.due((policing, mirror), touched, local.iter(), waiting, &self.closed, None)
    }

    /// What is due, done: of each that changes where, and how many changes, from the beginning on or not.
    fn follow(&mut self) -> Vec<(String, bool)> {
        let steps = self.due();
        self.sandboxes.done();
        steps.iter().map(told).collect()
    }

    /// The same, but for the step at this place, which fails.
    fn fail(&mut self, at: usize) -> Vec<(String, bool)> {
        let steps = self.due();
        self.sandboxes.undone(&steps, &steps[at]);
        steps.iter().map(told).collect()
    }
}

fn told(step: &Step) -> (String, bool) {
    match step {
        Step::ChangeSandbox { netns, changes, mode: MacvlanMode::Private, .. } => {
            (netns.display().to_string(), changes.first() == Some(&Change::Restart))
        }
        Step::LeaveSandbox { netns, .. } => (format!("leave {}", netns.display()), false),
        other => panic!("{other:?}"),
    }
}

fn there(last: u8) -> String {
    format!("/run/netns/c{last}")
}

#[test]
fn rules_are_written_where_the_interface_is_and_follow_the_hosts() {
    let mut room = Room::with([inside(1), inside(2)]);
    room.waiting = [inside(2).interface].into();

    assert_eq!(room.follow(), [(there(1), true)], "the second one's interface still waits here");
    assert_eq!(room.follow(), []);
    room.waiting.clear();
    assert_eq!(room.follow(), [(there(2), true)]);
    assert!(room.sandboxes.stand(&inside(1)) && room.sandboxes.stand(&inside(2)));

    room.desk.put(admitting("team == 'blue'"));
    assert_eq!(room.follow(), [(there(1), false), (there(2), false)]);

    room.desk.delete(ObjectKey::Endpoint(EndpointName::new("e1")));
    let (of_the_other, leaves) = ((there(2), false), (format!("leave {}", there(1)), false));
    assert_eq!(room.follow(), [leaves, of_the_other], "rules that spoke of him change, too");
    assert!(!room.sandboxes.has(&inside(1).interface));
}

#[test]
fn changes_lead_to_what_a_fresh_start_writes() {
    let mut room = Room::with([inside(1)]);
    let mut standing = Ruleset::default();
    let steps: [fn(&mut Desk); 4] = [
        |_| {},
        |desk| desk.put(admitting("team == 'blue'")),
        |desk| desk.put(endpoint(7, Some("lan"))),
        |desk| desk.delete(ObjectKey::Policy(QualifiedName::global("cards"))),
    ];
    for step in steps {
        step(&mut room.desk);
        for due in room.due() {
            let Step::ChangeSandbox { changes, .. } = due else { panic!("nobody leaves") };
            delta::apply(&mut standing, &changes);
        }
        room.sandboxes.done();

        let mut fresh = Sandboxes::default();
        std::mem::swap(&mut fresh, &mut room.sandboxes);
        let begun = room.due();
        std::mem::swap(&mut fresh, &mut room.sandboxes);
        let [Step::ChangeSandbox { changes, .. }] = &begun[..] else { panic!("{begun:?}") };
        let mut wanted = Ruleset::default();
        delta::apply(&mut wanted, changes);
        assert_eq!(standing, wanted);
    }
}

#[test]
fn what_failed_is_begun_anew_and_what_is_refused_waits_for_other_rules_or_its_time() {
    let mut room = Room::with([inside(1)]);
    room.follow();
    room.desk.put(admitting("team == 'blue'"));

    assert_eq!(room.fail(0), [(there(1), false)]);
    assert_eq!(room.fail(0), [(there(1), true)]);
    let refuse = |room: &mut Room| {
        let (interface, netns) = (inside(1).interface, inside(1).netns);
        room.sandboxes.refuse(&interface, &netns, Some(room.desk.policing.generation()));
    };
    refuse(&mut room);
    assert_eq!(room.follow(), []);
    room.sandboxes.try_again();
    assert_eq!(room.fail(0), [(there(1), true)]);
    refuse(&mut room);
    assert_eq!(room.follow(), []);

    room.desk.delete(ObjectKey::Policy(QualifiedName::global("cards")));
    assert_eq!(room.follow(), [(there(1), true)]);
}

#[test]
fn what_failed_in_one_container_is_not_begun_anew_in_others_and_who_it_was_still_leaves() {
    let mut room = Room::with([inside(1), inside(2), inside(3)]);
    room.follow();
    room.desk.put(admitting("team == 'blue'"));

    assert_eq!(room.fail(1), [1, 2, 3].map(|last| (there(last), false)));
    assert_eq!(room.due().iter().map(told).collect::<Vec<_>>(), [(there(2), true), (there(3), false)]);
    assert!(!room.sandboxes.stand(&inside(2)) && room.sandboxes.stand(&inside(3)));

    room.desk.delete(ObjectKey::Endpoint(EndpointName::new("e2")));
    assert!(room.follow().contains(&(format!("leave {}", there(2)), false)));
    assert!(!room.sandboxes.has(&inside(2).interface));
}

#[test]
fn the_gateways_of_a_container_go_with_the_last_who_is_there() {
    let shared = |last: u8| Endpoint { netns: there(0).into(), ..inside(last) };
    let mut room = Room::with([shared(1), shared(2)]);
    room.follow();
    let mut leave = |last: u8| {
        room.desk.delete(ObjectKey::Endpoint(EndpointName::new(format!("e{last}"))));
        let steps = room.due();
        room.sandboxes.done();
        steps.iter().find_map(|step| match step {
            Step::LeaveSandbox { is_last, .. } => Some(*is_last),
            _ => None,
        })
    };

    assert_eq!(leave(1), Some(false));
    assert_eq!(leave(2), Some(true));
}

#[test]
fn whose_address_is_anothers_stays_and_passes_nothing() {
    let mut room = Room::with([inside(1)]);
    let mut standing = Ruleset::default();
    let asks_policies = |rules: &Ruleset| {
        let all = rules.chains.values().flat_map(|chain| &chain.rules);
        all.into_iter().any(|rule| matches!(rule.then, Then::Dispatch(_) | Then::AtPort(_)))
    };
    let mut carry_out = |room: &mut Room| {
        for due in room.due() {
            let Step::ChangeSandbox { changes, .. } = due else { panic!("nobody leaves") };
            delta::apply(&mut standing, &changes);
        }
        room.sandboxes.done();
        asks_policies(&standing)
    };

    assert!(carry_out(&mut room));
    room.closed = [inside(1).interface].into();
    room.desk.delete(ObjectKey::Endpoint(EndpointName::new("e1")));

    assert!(!carry_out(&mut room), "what no policy is asked about is dropped");
    assert!(room.sandboxes.has(&inside(1).interface));
}

#[test]
fn who_comes_elsewhere_changes_elements_of_those_whom_it_concerns_and_nothing_of_others() {
    let mut room = Room::with([inside(1)]);
    room.desk.put(network("shop", true));
    room.desk.put(admitting("app == 'web'"));
    let labelled = |last: u8, app: &str| {
        let Object::Endpoint(one) = endpoint(last, Some("shop")) else { unreachable!("it is an endpoint") };
        Object::Endpoint(Endpoint { labels: Labels::try_from_pairs([("app", app)]).unwrap(), ..one })
    };

    room.desk.put(labelled(6, "web"));
    room.follow();

    room.desk.put(labelled(7, "db"));
    assert_eq!(room.follow(), [], "nobody here is open to that one");
    room.desk.put(labelled(8, "web"));
    let due = room.due();
    room.sandboxes.done();

    let [Step::ChangeSandbox { changes, .. }] = &due[..] else { panic!("{due:?}") };
    let are_elements = |change: &Change| matches!(change, Change::AlterSet { .. } | Change::AlterMap { .. });
    assert!(changes.iter().all(are_elements), "{changes:?}");
}

#[test]
fn many_are_not_asked_for_at_once_and_whom_a_runtime_waits_for_goes_first() {
    let mut room = Room::with((1..=10).map(inside));
    room.waiting = [inside(9).interface].into();
    let begun = |last: u8| (there(last), true);
    assert_eq!(room.follow(), [1, 10, 2, 3].map(begun));
    assert!(room.sandboxes.are_behind());

    room.waiting.clear();
    assert_eq!(room.follow(), [9, 4, 5, 6].map(begun));
    assert_eq!(room.follow(), [7, 8].map(begun));
    assert_eq!(room.follow(), []);
    assert!(!room.sandboxes.are_behind());
}

#[test]
fn everybody_has_his_turn_however_often_rules_change() {
    let mut room = Room::with((1..=12).map(inside));
    while !room.follow().is_empty() {}
    let mut had = BTreeSet::new();

    for round in 0..3 {
        room.desk.put(admitting(&format!("team == 'blue' && !has(round-{round})")));
        had.extend(room.follow().into_iter().map(|(netns, _)| netns));
    }

    assert_eq!(had.len(), 12);
}

#[test]
fn what_cannot_be_taken_from_a_container_waits_for_its_time_and_nobody_waits_for_it() {
    let mut room = Room::with([inside(1), inside(2)]);
    room.follow();
    room.desk.delete(ObjectKey::Endpoint(EndpointName::new("e1")));
    let leaves = (format!("leave {}", there(1)), false);

    assert_eq!(room.fail(0), [leaves.clone(), (there(2), false)]);
    let refuse = |room: &mut Room| room.sandboxes.refuse(&inside(1).interface, &inside(1).netns, None);
    assert_eq!(refuse(&mut room), 1);
    assert_eq!(room.follow(), [(there(2), false)]);
    assert!(room.sandboxes.has(&inside(1).interface));

    room.sandboxes.try_again();
    assert_eq!(room.fail(0), std::slice::from_ref(&leaves));
    assert_eq!(refuse(&mut room), 2, "which is why it waits longer");
    room.sandboxes.try_again();
    assert_eq!(room.follow(), [leaves]);
    assert!(!room.sandboxes.has(&inside(1).interface));
}
