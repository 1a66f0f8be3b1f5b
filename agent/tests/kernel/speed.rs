//! What things cost; run by hand: `cargo test --release -p poplin-agent --test kernel speed -- --ignored --nocapture --test-threads 1`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use poplin_agent::kernel::{Conntrack, Hands, Rules};
use poplin_node::kernel::{Step, Target};
use poplin_policy::delta::Change;
use poplin_policy::ruleset::{
    Atom, Chain, Datatype, Element, Field, Form, Hook, HookPoint, Map, MapElements, Rule, Ruleset, Verdict,
};

use crate::flows::tracked;
use crate::lab::{
    Namespace, by_id, dispatch_by, forward, from_nothing, hash_set, interface, name, none_of, plain, rule,
};
use crate::sandbox::{Scene, rules};

#[test]
#[ignore = "measures, asserts nothing"]
fn one_element_among_many_chains() {
    for chains in [10, 1_000, 10_000] {
        let host = Namespace::new();
        let shape = hash_set(vec![Datatype::Address4], []);
        let ruleset = Ruleset {
            sets: [(name("peers"), shape.clone())].into(),
            chains: (0..chains)
                .map(|number| (name(&format!("policy{number}")), plain(vec![rule(vec![], Verdict::Accept)])))
                .collect(),
            ..Ruleset::default()
        };
        host.within(|| {
            let mut rules = Rules::open().unwrap();
            let filling = time(|| rules.apply(&from_nothing(&ruleset)).unwrap());
            let one = |number: u32| vec![Element::exactly([Atom::Address4(number.into())])];
            let alter = |removed, added| Change::AlterSet {
                name: name("peers"),
                shape: shape.emptied().into(),
                removed,
                added,
            };
            let add = median(1_000, |number| rules.apply(&[alter(vec![], one(number))]).unwrap());
            let remove = median(1_000, |number| rules.apply(&[alter(one(number), vec![])]).unwrap());
            println!("{chains} chains in {filling:?}; element added {add:?}, removed {remove:?}");
        });
    }
}

#[test]
#[ignore = "measures, asserts nothing"]
fn flows_that_begin_while_rules_are_begun_anew() {
    const ROUNDS: usize = 100;
    let host = Namespace::new();
    let allowing = |key: Vec<Datatype>, fields: &[Field]| {
        let loopback = || Atom::Address4([127, 0, 0, 1].into());
        let known = Element::exactly(key.iter().map(|_| loopback()));
        let ids = Map { key, form: Form::Hash, elements: MapElements::Ids([(known, 1)].into()) };
        let verdicts = by_id([(1, Verdict::Accept)]);
        let verdicts = Map { key: vec![Datatype::Id], form: Form::Hash, elements: verdicts };
        let then = dispatch_by(fields.into(), name("ids"), name("verdicts"));
        let dispatch = Rule { matches: vec![], counter: None, then };
        let Chain { hook, .. } = (*forward(vec![])).clone();
        let rules = vec![dispatch, rule(vec![], Verdict::Drop)];
        let input = Chain { hook: hook.map(|hook| Hook { point: HookPoint::Input, ..hook }), rules };
        let maps = [(name("ids"), ids), (name("verdicts"), verdicts)].into();
        from_nothing(&Ruleset { maps, chains: [(name("input"), input.into())].into(), ..Ruleset::default() })
    };
    let one = allowing(vec![Datatype::Address4], &[Field::Source4]);
    let other = allowing(vec![Datatype::Address4; 2], &[Field::Source4, Field::Destination4]);
    let is_over = AtomicBool::new(false);

    host.within(|| {
        let mut rules = Rules::open().unwrap();
        rules.apply(&one).unwrap();
        let (sent, lost) = std::thread::scope(|scope| {
            let flood = scope.spawn(|| host.within(|| flood(&is_over)));
            for round in 0..ROUNDS {
                rules.apply(if round % 2 == 0 { &other } else { &one }).unwrap();
            }
            is_over.store(true, Ordering::Relaxed);
            flood.join().unwrap()
        });
        println!("rules begun anew {ROUNDS} times: of {sent} allowed packets {lost} were dropped");
    });
}

/// Datagrams on one host, each of which is there at once unless it is dropped: how many were sent, and how many were not there.
fn flood(is_over: &AtomicBool) -> (u64, u64) {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let target = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    target.set_nonblocking(true).unwrap();
    let (mut sent, mut heard) = (0, 0);
    while !is_over.load(Ordering::Relaxed) {
        socket.send_to(&[7], target.local_addr().unwrap()).unwrap();
        sent += 1;
        heard += u64::from(target.recv(&mut [0]).is_ok());
    }
    (sent, sent - heard)
}

#[test]
#[ignore = "measures, asserts nothing"]
fn one_workload_dispatched_among_many() {
    for workloads in [100, 1_000, 10_000] {
        let host = Namespace::new();
        let element = |number: u32| {
            MapElements::Ids(
                [(Element::exactly([Atom::Interface(interface(&format!("pop{number}")))]), u64::from(number % 100))]
                    .into(),
            )
        };
        let mut ids = std::collections::BTreeMap::new();
        for number in 0..workloads {
            let MapElements::Ids(one) = element(number) else { unreachable!() };
            ids.extend(one);
        }
        let links = Map { key: vec![Datatype::Interface], form: Form::Hash, elements: MapElements::Ids(ids) };
        let shape = links.emptied();
        let verdicts = (0..100).map(|id| (id, Verdict::Goto(name(&format!("policy{id}")))));
        let policies = Map { key: vec![Datatype::Id], form: Form::Hash, elements: by_id(verdicts) };
        let dispatch = Rule {
            matches: vec![],
            counter: None,
            then: dispatch_by(vec![Field::InterfaceIn], name("links"), name("policies")),
        };
        let mut ruleset = Ruleset {
            maps: [(name("links"), links), (name("policies"), policies)].into(),
            chains: (0..100)
                .map(|number| (name(&format!("policy{number}")), plain(vec![rule(vec![], Verdict::Accept); 5])))
                .collect(),
            ..Ruleset::default()
        };
        ruleset.chains.insert(name("forward"), forward(vec![dispatch]));
        host.within(|| {
            let mut rules = Rules::open().unwrap();
            rules.apply(&from_nothing(&ruleset)).unwrap();
            let none = none_of(&shape.elements);
            let alter =
                |removed, added| Change::AlterMap { name: name("links"), shape: shape.clone().into(), removed, added };
            let add = median(1_000, |number| {
                rules.apply(&[alter(none.clone(), element(workloads + number))]).unwrap();
            });
            let remove = median(1_000, |number| {
                rules.apply(&[alter(element(workloads + number), none.clone())]).unwrap();
            });
            println!("{workloads} workloads; one attached {add:?}, detached {remove:?}");
        });
    }
}

#[test]
#[ignore = "measures, asserts nothing"]
fn a_hundred_thousand_elements_at_once() {
    let host = Namespace::new();
    let keys = (0..100_000_u32).map(|number| vec![Atom::Address4((0x0a00_0000 + number).into())]);
    let set = hash_set(vec![Datatype::Address4], keys);
    let ruleset = Ruleset { sets: [(name("many"), set)].into(), ..Ruleset::default() };
    host.within(|| {
        let mut rules = Rules::open().unwrap();
        let changes = from_nothing(&ruleset);
        println!("100,000 elements: {:?}, and again over the first: {:?}", time(|| rules.apply(&changes).unwrap()), {
            time(|| rules.apply(&changes).unwrap())
        });
    });
}

#[test]
#[ignore = "measures, asserts nothing"]
fn routes_and_reading() {
    let host = Namespace::new();
    host.add_interface("popa");
    host.within(|| {
        let mut hands = Hands::open().unwrap();
        let step = |number: u32, target: Target| Step::SetRoute {
            destination: ipnet::Ipv4Net::new((0x0a41_0000 + number).into(), 32).unwrap().into(),
            target,
            source: None,
        };
        let set = median(10_000, |number| {
            hands.apply(&[step(number, Target::Link(interface("popa")))]).unwrap();
        });
        let replace = median(10_000, |number| hands.apply(&[step(number, Target::Blackhole)]).unwrap());
        println!("route set {set:?}, replaced {replace:?}; 10,000 read in {:?}", time(|| drop(hands.read().unwrap())));
    });
}

#[test]
#[ignore = "measures, asserts nothing"]
fn a_thousand_links() {
    let (host, container) = (Namespace::new(), Namespace::new());
    host.within(|| {
        let mut hands = Hands::open().unwrap();
        let new = |number: u32| poplin_node::kernel::NewLink {
            interface: interface(&format!("pop{number}")),
            mac: poplin_node::kernel::Mac([2, 0, 0, 0, 0, 1]),
            container_interface: format!("eth{number}"),
            container_mac: poplin_node::kernel::Mac([2, 0, 0, 0, 0, 2]),
            netns: container.path(),
            mtu_bytes: 1500,
            gateway_v6: None,
            macvlan: None,
        };
        let create = median(1_000, |number| hands.apply(&[Step::CreateLink(new(number))]).unwrap());
        let configure = median(1_000, |number| {
            hands.apply(&[Step::ConfigureLink(new(number).interface)]).unwrap();
        });
        let raise = median(1_000, |number| hands.apply(&[Step::RaiseLink(new(number).interface)]).unwrap());
        let read = time(|| drop(hands.read().unwrap()));
        let delete = median(20, |number| hands.apply(&[Step::DeleteLink(new(number).interface)]).unwrap());
        println!("link created {create:?}, configured {configure:?}, raised {raise:?}, deleted {delete:?}; 1,000 read in {read:?}");
    });
}

#[test]
#[ignore = "measures, asserts nothing"]
fn a_table_of_many_flows() {
    const SOCKETS: u16 = 20;
    const PORTS: u16 = 3_000;
    let pair = tracked();
    pair.far.within(|| {
        for _ in 0..SOCKETS {
            let socket = pair.sender();
            (1..=PORTS).for_each(|port| drop(socket.send_to(b"x", ("10.9.0.1", port))));
        }
    });
    pair.near.within(|| {
        let mut table = Conntrack::open().unwrap();
        let [near, nobody] = ["10.9.0.1", "10.9.0.9"].map(|address| [address.parse().unwrap()].into());
        let none = time(|| drop(table.read(&nobody).unwrap()));
        let mut flows = Vec::new();
        let all = time(|| flows = table.read(&near).unwrap());
        let end = median(1_000, |number| table.end(&flows[number as usize].handle).unwrap());
        println!("{} flows read in {all:?}, {none:?} if nobody's; one ended in {end:?}", flows.len());
    });
}

/// What a batch has room for follows from these: see `turn` of the node's sandboxes.
#[test]
#[ignore = "measures, asserts nothing"]
fn rules_in_a_containers_own_namespace() {
    let scene = Scene::new();
    let (open, closed) = (rules(true), rules(false));
    let mut hands = scene.host.within(|| Hands::open().unwrap());
    let mut took: [Vec<Duration>; 3] = Default::default();
    for _ in 0..50 {
        scene.make();
        scene.take();
        let steps = [
            (0, scene.changing(None, &open)),
            (1, scene.changing(Some(&open), &closed)),
            (1, scene.changing(Some(&closed), &open)),
            (2, scene.leaving(true)),
        ];
        for (kind, step) in steps {
            took[kind].push(time(|| hands.apply(&[step]).unwrap()));
        }
    }
    let [begun, changed, left] = took.map(|mut all| {
        all.sort();
        (all[all.len() / 2], all[all.len() * 9 / 10])
    });
    println!("median and nine of ten: begun anew {begun:?}, changed {changed:?}, left {left:?}");
}

fn time(deed: impl FnOnce()) -> Duration {
    let start = Instant::now();
    deed();
    start.elapsed()
}

fn median(count: u32, mut deed: impl FnMut(u32)) -> Duration {
    let mut times: Vec<_> = (0..count).map(|number| time(|| deed(number))).collect();
    times.sort();
    times[times.len() / 2]
}
