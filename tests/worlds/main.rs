//! Random worlds and real packets: the kernel does with every one what `verdict` says.
//!
//! Each world is loaded through the agent's hands, then changed step by step into another, as a fleet changes; packets are
//! sent after every step, between containers, the world outside, the host itself and ports of it that lead to containers. What goes wrong is told with as little of its
//! world as it takes. `POPLIN_WORLDS` says how many worlds, `POPLIN_SEED` which is the first. Needs root.

// In helpers too: a test that cannot be set up fails.
#![allow(clippy::unwrap_used)]

#[allow(dead_code)] // what the benches use
mod fabric;
mod published;
mod shrink;
mod stage;
mod wire;

#[path = "../../policy/tests/worlds/fleet.rs"]
#[allow(dead_code, unreachable_pub)]
mod fleet;
#[path = "../../policy/tests/worlds/packets.rs"]
#[allow(dead_code, unreachable_pub)]
mod packets;
#[path = "../../policy/tests/worlds/strategy.rs"]
#[allow(dead_code, unreachable_pub)]
mod strategy;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Instant, SystemTime};

use poplin_lab::Lab;
use poplin_node::kernel::Step;
use poplin_policy::delta::between;
use poplin_policy::host::WorkloadToHost;
use poplin_policy::packet::Packet;
use poplin_policy::ruleset::Ruleset;
use poplin_policy::verdict::verdict;
use poplin_policy::world::World;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use fabric::{Fabric, HOST, Place, route_to};
use packets::packet;
use published::{dialled, host_address, published};
use shrink::shrunk;
use stage::{Probe, Stage};
use strategy::{ENDPOINTS, endpoint_address, world};
use wire::{Standing, answer_to, answers, begins_a_flow};

/// Each takes 20 to 50 ms in a debug build.
const WORLDS: u64 = 500;

/// Packets after each step of a world's way.
const PACKETS: usize = 12;

#[test]
fn the_kernel_passes_what_the_verdict_allows_and_nothing_else() {
    let worlds = setting("POPLIN_WORLDS").unwrap_or(WORLDS);
    let first = setting("POPLIN_SEED").unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        now.as_secs() << 20
    });
    println!("{worlds} worlds from seed {first}");
    let (lab, began) = (Lab::new(), Instant::now());
    let mut trial = Trial { fabric: Fabric::new(&lab, ENDPOINTS).with_host(), standing: None, tally: Tally::default() };

    for seed in first..first + worlds {
        trial.follow(seed, &Way::of(seed));
    }

    let tally = &trial.tally;
    println!("{tally:?} in {:?}", began.elapsed());
    if worlds >= 20 {
        let often = [tally.passed, tally.dropped, tally.stopped_by_host_endpoint, tally.to_host, tally.from_host];
        let seldom = [tally.spoofed, tally.untracked, tally.failsafe, tally.answered, tally.translated];
        assert!(often.iter().all(|count| *count > worlds), "packets must tell something: {tally:?}");
        assert!(seldom.iter().all(|count| *count > 0), "packets must tell something: {tally:?}");
    }
}

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
}

/// From one random world to another.
#[derive(Debug)]
struct Way {
    stages: Vec<Stage>,
}

impl Way {
    fn of(seed: u64) -> Self {
        let mut octets = [0; 32];
        octets[..8].copy_from_slice(&seed.to_be_bytes());
        let random = TestRng::from_seed(RngAlgorithm::ChaCha, &octets);
        let mut runner = TestRunner::new_with_rng(Config::default(), random);
        let to_host = prop::sample::select(vec![WorkloadToHost::Accept, WorkloadToHost::Drop]);
        let side = || (world(), here(), published());
        let strategy = (side(), side(), to_host, proptest::collection::vec(probes(), 6));
        let ((old, here_old, published_old), (new, here_new, published_new), workload_to_host, probes) =
            strategy.new_tree(&mut runner).unwrap().current();

        let relabelled = World { endpoints: new.endpoints.clone(), ..old.clone() };
        let ruled = World { policies: new.policies.clone(), ..relabelled.clone() };
        let collected = World { sets: new.sets.clone(), ..ruled.clone() };
        let mut shorter = new.clone();
        shorter.policies.pop_first();
        let worlds =
            [(old, here_old, published_old.clone()), (relabelled, here_new.clone(), published_old)].into_iter();
        let later = [ruled, collected, new, shorter].map(|world| (world, here_new.clone(), published_new.clone()));
        let stage = |((world, here, published), probes)| Stage { world, here, workload_to_host, published, probes };
        let worlds = worlds.chain(later);
        Self { stages: worlds.zip(probes).map(stage).collect() }
    }
}

/// Most endpoints live here, some behind the uplink.
fn here() -> impl Strategy<Value = BTreeSet<String>> {
    proptest::array::uniform6(prop::bool::weighted(0.8)).prop_map(|all| {
        let here = (1..=ENDPOINTS).zip(all).filter(|(_, is_here)| *is_here);
        here.map(|(number, _)| format!("e{number}")).collect()
    })
}

fn probes() -> impl Strategy<Value = Vec<Probe>> {
    let packet = prop_oneof![
        12 => packet(),
        2 => packet().prop_map(to_host),
        2 => packet().prop_map(from_host),
        6 => dialled(),
    ];
    let probe = (packet, prop::option::weighted(0.1, 1..=ENDPOINTS));
    let probe = probe.prop_map(|(packet, impostor)| Probe { packet, impostor });
    proptest::collection::vec(probe, PACKETS)
}

fn to_host(packet: Packet) -> Packet {
    Packet { destination: host_address(packet.destination), ..packet }
}

fn from_host(packet: Packet) -> Packet {
    Packet { source: host_address(packet.source), ..packet }
}

/// The fabric, what stands in its kernel, and what has been seen.
struct Trial {
    fabric: Fabric,
    standing: Option<Ruleset>,
    tally: Tally,
}

#[derive(Debug, Default)]
struct Tally {
    passed: u64,
    dropped: u64,
    spoofed: u64,
    stopped_by_host_endpoint: u64,
    to_host: u64,
    from_host: u64,
    failsafe: u64,
    untracked: u64,
    answered: u64,
    translated: u64,
    changes: usize,
}

impl Trial {
    fn follow(&mut self, seed: u64, way: &Way) {
        self.standing = None; // so that a seed alone tells the whole story
        for (number, stage) in (1..).zip(&way.stages) {
            self.load(stage);
            let mistakes = self.mistakes(stage, &stage.probes);
            if mistakes.is_empty() {
                continue;
            }
            let wrong: Vec<_> = mistakes.iter().map(|mistake| mistake.probe.clone()).collect();
            let anew = self.goes_wrong(std::slice::from_ref(stage), &wrong);
            let least = self.least(if anew { std::slice::from_ref(stage) } else { &way.stages[..number] }, &wrong);
            panic!(
                "seed {seed}, step {number}: the kernel disagrees{}\n{}\nhere: {:?}, publishing {:?}\nas little of it as tells it: {:#?}\n{}",
                if anew { ", also when the table is made anew" } else { ", but not when the table is made anew" },
                mistakes.iter().map(Mistake::to_string).collect::<Vec<_>>().join("\n"),
                stage.here,
                stage.published,
                least,
                format_args!("again: POPLIN_SEED={seed} POPLIN_WORLDS=1"),
            );
        }
    }

    /// Whether packets fare otherwise than they should after one world was made into the next, beginning with nothing.
    fn goes_wrong(&mut self, stages: &[Stage], probes: &[Probe]) -> bool {
        self.standing = None;
        stages.iter().for_each(|stage| self.load(stage));
        stages.last().is_some_and(|stage| !self.mistakes(stage, probes).is_empty())
    }

    /// The least worlds after which they still do.
    fn least(&mut self, stages: &[Stage], probes: &[Probe]) -> Vec<World> {
        let worlds = stages.iter().map(|stage| stage.world.clone()).collect();
        shrunk(worlds, |worlds| {
            let stages =
                stages.iter().zip(worlds).map(|(stage, world)| Stage { world: world.clone(), ..stage.clone() });
            self.goes_wrong(&stages.collect::<Vec<_>>(), probes)
        })
    }

    /// Rules by what changed, then routes.
    fn load(&mut self, stage: &Stage) {
        let rules = stage.compiled();
        let changes = between(self.standing.as_ref(), &rules);
        self.tally.changes += changes.len();
        let mut steps = vec![Step::ChangeRules(changes.into())];
        for number in 1..=ENDPOINTS {
            for is_v6 in [false, true] {
                let is_here = stage.place_of(endpoint_address(number, is_v6)) == number;
                steps.push(route_to(number, is_v6, is_here));
            }
        }
        self.fabric.apply(&steps);
        self.standing = Some(rules);
    }

    /// Sends packets, each as the first of its flow, and says which fared otherwise than they should.
    fn mistakes(&mut self, stage: &Stage, probes: &[Probe]) -> Vec<Mistake> {
        let mut left: Vec<_> = probes.iter().filter(|probe| stage.leaves(probe)).collect();
        let mut mistakes = Vec::new();
        while !left.is_empty() {
            // A packet that would answer an earlier one, or be taken for one by its translation, waits until that one is forgotten.
            let mut opened: Vec<[Packet; 2]> = Vec::new();
            let (now, later) = left.into_iter().partition(|probe: &&Probe| {
                let flow = [probe.packet, stage.translated(&probe.packet)];
                let is_free = !opened.iter().any(|earlier| meet(&flow, earlier));
                opened.extend(is_free.then_some(flow));
                is_free
            });
            mistakes.extend(self.round(stage, now));
            left = later;
        }
        mistakes
    }

    fn round(&mut self, stage: &Stage, probes: Vec<&Probe>) -> Vec<Mistake> {
        self.fabric.forget_flows();
        let mut sent = BTreeMap::new();
        for (flow, probe) in (1..).zip(&probes) {
            let number = self.fabric.send(stage.sender_of(probe), &probe.packet, Standing::First, flow);
            sent.insert(number, (*probe, flow));
        }
        let arrived: BTreeMap<u32, Place> = self.fabric.arrivals().into_iter().collect();
        let mut mistakes = Vec::new();
        let mut open = Vec::new();
        for (number, (probe, flow)) in sent {
            let (expected, seen) = (stage.expects(probe), arrived.get(&number).copied());
            let translated = stage.translated(&probe.packet);
            let place = stage.place_of(translated.destination);
            if seen != expected.then_some(place) {
                mistakes.push(Mistake::new(stage, probe, if expected { "did not arrive" } else { "arrived" }));
            }
            match seen {
                Some(_) => self.tally.passed += 1,
                None => self.tally.dropped += 1,
            }
            self.tally.stopped_by_host_endpoint += u64::from(!stage.passes_gates(&probe.packet));
            self.tally.to_host += u64::from(place == HOST);
            self.tally.translated += u64::from(translated != probe.packet);
            self.tally.from_host += u64::from(stage.place_of(probe.packet.source) == HOST);
            self.tally.failsafe += u64::from(stage.is_failsafe(&probe.packet));
            self.tally.untracked += u64::from(stage.goes_untracked(&probe.packet));
            self.tally.spoofed += u64::from(stage.sender_of(probe) != stage.place_of(probe.packet.source));
            let is_tracked = begins_a_flow(&probe.packet) && !stage.goes_untracked(&probe.packet);
            open.extend((seen.is_some() && is_tracked).then_some((probe, flow)));
        }
        mistakes.extend(self.unanswered(stage, open));
        mistakes
    }

    /// What may be opened may be answered, whatever policy says of the other way.
    fn unanswered(&mut self, stage: &Stage, open: Vec<(&Probe, u16)>) -> Vec<Mistake> {
        let mut sent = BTreeMap::new();
        for (probe, flow) in open {
            // Whom a container's own answers go to, that came to itself by a port of its host, only translation knows.
            let is_to_other = |answer: &Packet| answer.source != answer.destination;
            let answer = answer_to(&stage.translated(&probe.packet));
            let answer = answer.filter(|answer| is_to_other(answer) && stage.is_known(answer));
            let Some(answer) = answer else { continue };
            let number = self.fabric.send(stage.place_of(answer.source), &answer, Standing::Answer, flow);
            sent.insert(number, (probe, stage.place_of(answer.destination)));
        }
        self.tally.answered += sent.len() as u64;
        let arrived: BTreeMap<u32, Place> = self.fabric.arrivals().into_iter().collect();
        let lost = sent.into_iter().filter(|(number, (_, place))| arrived.get(number) != Some(place));
        lost.map(|(_, (probe, _))| Mistake::new(stage, probe, "was not answered")).collect()
    }
}

/// Whether connection tracking could take one flow for the other, before or after the destination is translated.
fn meet(flow: &[Packet; 2], earlier: &[Packet; 2]) -> bool {
    let is_answer = flow.iter().any(|packet| earlier.iter().any(|other| answers(packet, other)));
    is_answer || flow[1] == earlier[1] && flow[0] != earlier[0]
}

/// A packet that fared otherwise than it should.
struct Mistake {
    probe: Probe,
    story: String,
}

impl Mistake {
    fn new(stage: &Stage, probe: &Probe, what: &str) -> Self {
        let packet = stage.translated(&probe.packet);
        let decision = verdict(&stage.world, &packet);
        let sender = stage.sender_of(probe);
        Self {
            probe: probe.clone(),
            story: format!("{} from c{sender}, {packet} as it goes on, {what}: {decision:?}", probe.packet),
        }
    }
}

impl std::fmt::Display for Mistake {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.story)
    }
}
