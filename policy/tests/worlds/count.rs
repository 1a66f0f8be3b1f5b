//! Who is said to have decided: the chain a packet ends in counts for the rule that `verdict` names, each rule that passes it on the way
//! counts it too, and staged policies count what they would decide and decide nothing.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use poplin_policy::compile::{Compiler, Counted, Effect};
use poplin_policy::explain::{Step, direction_account};
use poplin_policy::host::WorkloadToHost;
use poplin_policy::model::{Direction, Mode};
use poplin_policy::packet::Packet;
use poplin_policy::ruleset::{HookPoint, Name};
use poplin_policy::verdict::{By, RuleName, direction_verdict};
use poplin_policy::walk::trail;
use poplin_policy::world::World;
use proptest::prelude::*;

use crate::deep::deep;
use crate::fleet::{at, interface_of, one_host, uplink};
use crate::packets::packets;
use crate::strategy::world;

fn compiler(world: &World) -> Compiler {
    Compiler::of(world, &one_host(world, WorkloadToHost::Accept))
}

/// What was counted on the way of a packet that one endpoint receives from afar.
fn counted(compiler: &Compiler, endpoint: &str, packet: &Packet) -> Vec<Counted> {
    let legend: BTreeMap<&Name, &Counted> = compiler.counted().collect();
    let transit = at(HookPoint::Forward, &uplink(), Some(&interface_of(endpoint)), packet);
    let (_, chains) = trail(compiler.ruleset(), &transit);
    chains.iter().filter_map(|chain| legend.get(chain)).map(|counted| (*counted).clone()).collect()
}

/// The word of a rule or of the end of a tier; what nobody settled is not counted.
fn settled(by: By) -> Option<By> {
    match by {
        By::Rule(_) | By::EndOfTier { .. } => Some(by),
        By::Itself | By::Ungoverned | By::EndOfTiers => None,
    }
}

/// Whether nothing is asked after it.
fn is_last(effect: Effect) -> bool {
    match effect {
        Effect::Allow | Effect::Deny => true,
        Effect::Log | Effect::Pass => false,
    }
}

/// The rules that counted that they passed a packet on, in order.
fn passed(counted: Vec<Counted>, is_staged: bool) -> Vec<RuleName> {
    let of_pass = |counted: Counted| match counted.by {
        By::Rule(rule) if counted.effect == Effect::Pass && counted.is_staged == is_staged => Some(rule),
        _ => None,
    };
    counted.into_iter().filter_map(of_pass).collect()
}

/// The rules that pass a packet on, as it is told.
fn told_to_pass(steps: Vec<Step>) -> Vec<RuleName> {
    let of_pass = |step| match step {
        Step::Passed { rule } => Some(rule),
        Step::Skipped { .. } | Step::Logged { .. } | Step::TierPassed { .. } => None,
    };
    steps.into_iter().filter_map(of_pass).collect()
}

/// Few tiers, whose rules that pass are counted by the look-up that settles, and too many for that.
static DEEP: LazyLock<[(World, Compiler); 2]> = LazyLock::new(|| {
    [2, 7].map(|tiers| {
        let world = deep(tiers);
        let compiler = compiler(&world);
        (world, compiler)
    })
});

proptest! {
    #[test]
    fn rules_that_pass_count_what_they_pass_each_once_and_in_order(world in world(), packets in packets()) {
        let compiler = compiler(&world);

        for packet in &packets {
            let Some((name, _)) = world.endpoint_of(packet.destination) else { continue };
            let story = direction_account(&world, name, Direction::Ingress, packet).unwrap();

            let counted = passed(counted(&compiler, name, packet), false);

            prop_assert_eq!(counted, told_to_pass(story.steps), "{}", packet);
        }
    }

    #[test]
    fn rules_that_pass_count_however_many_tiers_there_are(which in 0..DEEP.len(), packets in packets()) {
        let (world, compiler) = &DEEP[which];

        for packet in &packets {
            let Some((name, _)) = world.endpoint_of(packet.destination) else { continue };
            let story = direction_account(world, name, Direction::Ingress, packet).unwrap();

            let counted = passed(counted(compiler, name, packet), false);

            prop_assert_eq!(counted, told_to_pass(story.steps), "{}", packet);
        }
    }

    #[test]
    fn staged_rules_that_pass_count_what_they_would_pass(mut world in world(), packets in packets()) {
        for policy in world.policies.values_mut().filter(|policy| policy.mode == Mode::Off) {
            policy.mode = Mode::Stage;
        }
        let (compiler, promoted) = (compiler(&world), world.promoted());

        for packet in &packets {
            let Some((name, _)) = world.endpoint_of(packet.destination) else { continue };
            let story = direction_account(&promoted, name, Direction::Ingress, packet).unwrap();

            let counted = passed(counted(&compiler, name, packet), true);

            let mut expected = told_to_pass(story.steps);
            expected.retain(|rule| world.policies[&rule.policy].mode == Mode::Stage);
            prop_assert_eq!(counted, expected, "{}", packet);
        }
    }

    #[test]
    fn the_rule_that_decides_is_the_rule_that_counts(world in world(), packets in packets()) {
        let compiler = compiler(&world);

        for packet in &packets {
            let Some((name, _)) = world.endpoint_of(packet.destination) else { continue };
            let ruling = direction_verdict(&world, name, Direction::Ingress, packet).unwrap();

            let counted = counted(&compiler, name, packet);

            let settles = |counted: &&Counted| !counted.is_staged && is_last(counted.effect);
            let enforced: Vec<_> = counted.iter().filter(settles).collect();
            let effect = if ruling.allowed { Effect::Allow } else { Effect::Deny };
            prop_assert!(enforced.iter().all(|counted| counted.effect == effect));
            let by: Vec<By> = enforced.into_iter().map(|counted| counted.by.clone()).collect();
            prop_assert_eq!(by, Vec::from_iter(settled(ruling.by)), "{}", packet);
        }
    }

    #[test]
    fn rules_that_log_tell_of_what_comes_to_them_and_count_it_each_once_and_in_order(world in world(), packets in packets()) {
        let compiler = compiler(&world);

        for packet in &packets {
            let Some((name, _)) = world.endpoint_of(packet.destination) else { continue };
            let story = direction_account(&world, name, Direction::Ingress, packet).unwrap();
            let logged = story.steps.into_iter().filter_map(|step| match step {
                Step::Logged { rule } => Some(rule),
                Step::Skipped { .. } | Step::Passed { .. } | Step::TierPassed { .. } => None,
            });

            let transit = at(HookPoint::Forward, &uplink(), Some(&interface_of(name)), packet);
            let (_, chains) = trail(compiler.ruleset(), &transit);
            let told: Vec<RuleName> = chains.iter().filter_map(|chain| compiler.logs(chain)).cloned().collect();

            let of_log = |counted: Counted| match counted.by {
                By::Rule(rule) if counted.effect == Effect::Log => Some(rule),
                _ => None,
            };
            let counts: Vec<RuleName> = counted(&compiler, name, packet).into_iter().filter_map(of_log).collect();

            prop_assert_eq!(&told, &logged.collect::<Vec<_>>(), "{}", packet);
            prop_assert_eq!(counts, told, "{}", packet);
        }
    }

    #[test]
    fn a_staged_policy_counts_what_it_would_decide(mut world in world(), packets in packets()) {
        for policy in world.policies.values_mut().filter(|policy| policy.mode == Mode::Off) {
            policy.mode = Mode::Stage;
        }
        let (compiler, promoted) = (compiler(&world), world.promoted());

        for packet in &packets {
            let Some((name, endpoint)) = world.endpoint_of(packet.destination) else { continue };
            let would = direction_verdict(&promoted, name, Direction::Ingress, packet).unwrap();
            let governs = |tier: &str| world.policies.values().any(|policy| {
                policy.mode == Mode::Enforce && policy.tier == tier && policy.rules(Direction::Ingress).is_some()
                    && world.selects_endpoint(&policy.subject, endpoint)
            });
            let is_by_stage = match &would.by {
                By::Rule(rule) => world.policies[&rule.policy].mode == Mode::Stage,
                By::EndOfTier { tier } => !governs(tier),
                By::Itself | By::Ungoverned | By::EndOfTiers => false,
            };

            let staged: Vec<Counted> =
                counted(&compiler, name, packet).into_iter().filter(|counted| counted.is_staged && is_last(counted.effect)).collect();

            let expected: Vec<(By, bool)> = is_by_stage.then_some((would.by, would.allowed)).into_iter().collect();
            let is_allowed = |counted: &Counted| counted.effect == Effect::Allow;
            let counted: Vec<(By, bool)> =
                staged.into_iter().map(|counted| (counted.by.clone(), is_allowed(&counted))).collect();
            prop_assert_eq!(counted, expected, "{}", packet);
        }
    }
}
