//! Random worlds and real packets: the kernel does with every one what `verdict` says.
//!
//! Each world is loaded through the agent's hands, then changed step by step into another, as a fleet changes; packets are
//! sent after every step. `POPLIN_WORLDS` says how many worlds, `POPLIN_SEED` which is the first. Needs root.

// In helpers too: a test that cannot be set up fails.
#![allow(clippy::unwrap_used)]

#[allow(dead_code)] // what the benches use
mod fabric;
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
use poplin_policy::compile::compile;
use poplin_policy::delta::between;
use poplin_policy::gate::{GateRuling, Lane, host_verdict, host_verdicts};
use poplin_policy::host::{Doorway, Failsafe, Host, WorkloadToHost};
use poplin_policy::packet::Packet;
use poplin_policy::ruleset::{Interface, Ruleset};
use poplin_policy::verdict::{By, verdict};
use poplin_policy::world::World;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use fabric::{Fabric, OUTSIDE, Place, UNASKED, route_to};
use fleet::{host, interface_of};
use packets::packet;
use strategy::{ENDPOINTS, endpoint_address, world};
use wire::{Standing, answer_to, answers, begins_a_flow};

/// Each takes 20 to 50 ms in a debug build.
const WORLDS: u64 = 500;

/// The host endpoints of a world that this host has: of its uplink, and of every other interface. Without the first, the second
/// stands for the uplink.
const AT_UPLINK: &str = "wan";
const ELSEWHERE: &str = "any";

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
    let mut trial = Trial { fabric: Fabric::new(&lab, ENDPOINTS), standing: None, tally: Tally::default() };

    for seed in first..first + worlds {
        trial.follow(seed, &Way::of(seed));
    }

    let tally = &trial.tally;
    println!("{tally:?} in {:?}", began.elapsed());
    if worlds >= 20 {
        let stories = [tally.passed, tally.dropped, tally.stopped_at_uplink];
        assert!(stories.iter().all(|count| *count > worlds), "packets must tell something: {tally:?}");
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

/// A world, which of its endpoints are on this host, and packets to try.
#[derive(Clone, Debug)]
struct Stage {
    world: World,
    here: BTreeSet<String>,
    probes: Vec<Probe>,
}

/// A packet, and the container that sends it if not the one it claims to come from.
#[derive(Clone, Debug)]
struct Probe {
    packet: Packet,
    impostor: Option<Place>,
}

impl Way {
    fn of(seed: u64) -> Self {
        let mut octets = [0; 32];
        octets[..8].copy_from_slice(&seed.to_be_bytes());
        let random = TestRng::from_seed(RngAlgorithm::ChaCha, &octets);
        let mut runner = TestRunner::new_with_rng(Config::default(), random);
        let strategy = ((world(), here()), (world(), here()), proptest::collection::vec(probes(), 6));
        let ((old, here_old), (new, here_new), probes) = strategy.new_tree(&mut runner).unwrap().current();

        let relabelled = World { endpoints: new.endpoints.clone(), ..old.clone() };
        let ruled = World { policies: new.policies.clone(), ..relabelled.clone() };
        let collected = World { sets: new.sets.clone(), ..ruled.clone() };
        let mut shorter = new.clone();
        shorter.policies.pop_first();
        let worlds = [(old, here_old), (relabelled, here_new.clone())].into_iter();
        let worlds = worlds.chain([ruled, collected, new, shorter].map(|world| (world, here_new.clone())));
        let stage = |((world, here), probes)| Stage { world, here, probes };
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
    let probe = (packet(), prop::option::weighted(0.1, 1..=ENDPOINTS));
    let probe = probe.prop_map(|(packet, impostor)| Probe { packet, impostor });
    proptest::collection::vec(probe, PACKETS)
}

impl Stage {
    fn compiled(&self) -> Ruleset {
        let here = self.world.endpoints.keys().filter(|name| self.here.contains(*name));
        let interfaces = here.map(|name| (name.clone(), interface_of(name))).collect();
        let uplink = self.world.host_endpoints.contains_key(AT_UPLINK).then_some((AT_UPLINK, "eth0"));
        // Governed by nobody, since the world does not know it.
        let named = uplink.into_iter().chain([("unasked", UNASKED)]);
        let named = named.map(|(name, interface)| (name, Doorway::Named(Interface::new(interface).unwrap())));
        let every = self.world.host_endpoints.contains_key(ELSEWHERE).then_some((ELSEWHERE, Doorway::Every));
        let host_endpoints = named.chain(every).map(|(name, doorway)| (name.to_owned(), doorway)).collect();
        compile(&self.world, &Host { host_endpoints, ..host(interfaces, WorkloadToHost::Drop) })
    }

    /// What the host endpoint of the uplink says in a lane; nothing if there is none.
    fn at_uplink(&self, lane: Lane, packet: &Packet) -> Option<GateRuling> {
        let says = |name| host_verdict(&self.world, &Failsafe::default(), name, lane, packet);
        says(AT_UPLINK).or_else(|| says(ELSEWHERE))
    }

    fn passes_uplink(&self, lanes: &[Lane], packet: &Packet) -> bool {
        let known = |name: &&str| self.world.host_endpoints.contains_key(*name);
        let name = [AT_UPLINK, ELSEWHERE].into_iter().find(known);
        let said = name.map(|name| host_verdicts(&self.world, &Failsafe::default(), name, lanes, packet));
        said.unwrap_or_default().iter().all(|ruling| ruling.allowed)
    }

    /// Whether what comes by the uplink is let through untracked.
    fn goes_untracked(&self, packet: &Packet) -> bool {
        let comes_by_uplink = self.place_of(packet.source) == OUTSIDE;
        let ruling = self.at_uplink(Lane::UntrackedIn, packet).filter(|_| comes_by_uplink);
        ruling.is_some_and(|ruling| ruling.is_settled)
    }

    /// Whether the host endpoint of the uplink lets a packet pass that begins a flow.
    fn passes_gates(&self, packet: &Packet) -> bool {
        let comes = self.place_of(packet.source) == OUTSIDE;
        let goes = self.place_of(packet.destination) == OUTSIDE;
        (!comes || self.passes_uplink(&Lane::FORWARDED, packet))
            && (!goes || self.passes_uplink(&[Lane::ForwardOut], packet))
    }

    /// Whether an answer is known as such: before tracking, each packet is asked by itself.
    fn is_known(&self, answer: &Packet) -> bool {
        let comes = self.place_of(answer.source) == OUTSIDE;
        !comes || self.passes_uplink(&[Lane::UntrackedIn], answer) && !self.goes_untracked(answer)
    }

    /// Where the owner of an address is.
    fn place_of(&self, address: std::net::IpAddr) -> Place {
        match self.world.endpoint_of(address) {
            Some((name, _)) if self.here.contains(name) => number_of(name),
            _ => OUTSIDE,
        }
    }

    fn sender_of(&self, probe: &Probe) -> Place {
        probe.impostor.unwrap_or_else(|| self.place_of(probe.packet.source))
    }

    /// Whether this host must let a packet through.
    fn expects(&self, probe: &Probe) -> bool {
        let packet = &probe.packet;
        let (source, destination) = (self.place_of(packet.source), self.place_of(packet.destination));
        if self.sender_of(probe) != source {
            return false;
        }
        if !self.passes_gates(packet) {
            return false;
        }
        if source == OUTSIDE && destination == OUTSIDE {
            return true;
        }
        let decision = verdict(&self.world, packet);
        let says_yes = |place, ruling: Option<poplin_policy::verdict::Ruling>| {
            place == OUTSIDE || ruling.is_none_or(|ruling| ruling.allowed)
        };
        (begins_a_flow(packet) || self.goes_untracked(packet))
            && says_yes(source, decision.egress)
            && says_yes(destination, decision.ingress)
    }

    /// What one endpoint says to itself never leaves it.
    fn leaves(&self, probe: &Probe) -> bool {
        let packet = &probe.packet;
        let is_itself = verdict(&self.world, packet).egress.is_some_and(|ruling| ruling.by == By::Itself);
        packet.source != packet.destination && !is_itself
    }
}

fn number_of(endpoint: &str) -> Place {
    endpoint.trim_start_matches('e').parse().unwrap()
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
    stopped_at_uplink: u64,
    untracked: u64,
    answered: u64,
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
            self.standing = None;
            self.load(stage);
            let wrong: Vec<_> = mistakes.iter().map(|mistake| mistake.probe.clone()).collect();
            let persists = !self.mistakes(stage, &wrong).is_empty();
            panic!(
                "seed {seed}, step {number}: the kernel disagrees{}\n{}\nhere: {:?}\n{:#?}\nagain: POPLIN_SEED={seed} POPLIN_WORLDS=1",
                if persists { ", also when the table is made anew" } else { ", but not when the table is made anew" },
                mistakes.iter().map(Mistake::to_string).collect::<Vec<_>>().join("\n"),
                stage.here,
                stage.world,
            );
        }
    }

    /// Rules by what changed, then routes.
    fn load(&mut self, stage: &Stage) {
        let rules = stage.compiled();
        let changes = between(self.standing.as_ref(), &rules);
        self.tally.changes += changes.len();
        let mut steps = vec![Step::ChangeRules(changes)];
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
            // A packet that would answer an earlier one waits until that one is forgotten.
            let mut opened: Vec<Packet> = Vec::new();
            let (now, later) = left.into_iter().partition(|probe: &&Probe| {
                let is_free = !opened.iter().any(|earlier| answers(&probe.packet, earlier));
                opened.extend(is_free.then_some(probe.packet));
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
            let place = stage.place_of(probe.packet.destination);
            if seen != expected.then_some(place) {
                mistakes.push(Mistake::new(stage, probe, if expected { "did not arrive" } else { "arrived" }));
            }
            match seen {
                Some(_) => self.tally.passed += 1,
                None => self.tally.dropped += 1,
            }
            self.tally.stopped_at_uplink += u64::from(!stage.passes_gates(&probe.packet));
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
            let answer = answer_to(&probe.packet).filter(|answer| stage.is_known(answer));
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

/// A packet that fared otherwise than it should.
struct Mistake {
    probe: Probe,
    story: String,
}

impl Mistake {
    fn new(stage: &Stage, probe: &Probe, what: &str) -> Self {
        let decision = verdict(&stage.world, &probe.packet);
        let sender = stage.sender_of(probe);
        Self { probe: probe.clone(), story: format!("{} from c{sender} {what}: {decision:?}", probe.packet) }
    }
}

impl std::fmt::Display for Mistake {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.story)
    }
}
