//! Whose table it is: while we live, after we die, and when we come again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use poplin_agent::kernel::{Ownership, Rules, RulesError};
use poplin_policy::delta::Change;
use poplin_policy::ruleset::{Atom, Chain, Field, HookPoint, Match, Ruleset, Verdict};

use crate::lab::{Namespace, Pair, forward, from_nothing, interface, name, plain, rule, stdout};

#[test]
fn nobody_else_can_change_or_flush_the_table() {
    let host = Namespace::new();

    host.within(|| {
        let mut rules = Rules::open().unwrap();
        assert_eq!(rules.ownership(), Ownership::Unknown);
        rules.apply(&from_nothing(&small())).unwrap();
        assert_eq!(rules.ownership(), Ownership::Owned);
        let before = host.table();

        let flush = host.try_run("nft", "flush ruleset");
        let delete = host.try_run("nft", "delete table inet poplin");

        assert!(flush.status.success(), "others may flush what is theirs");
        assert!(!delete.status.success());
        assert_eq!(host.table(), before);
    });
}

#[test]
fn the_table_outlives_its_owner_and_is_taken_over_with_its_rules() {
    let host = Namespace::new();
    host.within(|| Rules::open().unwrap().apply(&from_nothing(&small())).unwrap());
    let orphan = host.table();
    assert!(orphan.contains("chain forward"));

    host.within(|| {
        let mut successor = Rules::open().unwrap();

        assert_eq!(successor.ownership(), Ownership::Owned);
        assert_eq!(rules_of(&host.table()), rules_of(&orphan));
        assert!(!host.try_run("nft", "delete table inet poplin").status.success());
        successor.apply(&[Change::SetRules(name("forward"), forward(vec![]))]).unwrap();
    });
}

#[test]
fn a_restart_from_an_orphan_leaves_nothing_of_it() {
    let host = Namespace::new();
    let other = Ruleset { chains: [(name("other"), plain(vec![]))].into(), ..Ruleset::default() };
    host.within(|| Rules::open().unwrap().apply(&from_nothing(&small())).unwrap());

    host.within(|| {
        let mut successor = Rules::open().unwrap();
        successor.apply(&from_nothing(&other)).unwrap();
        successor.apply(&from_nothing(&other)).unwrap();
    });

    assert_eq!(rules_of(&host.table()), "chain other { } }");
}

#[test]
fn a_table_begun_anew_stands_alone_afterwards_whether_or_not_it_was_taken() {
    let host = Namespace::new();
    let other = Ruleset { chains: [(name("forward"), plain(vec![]))].into(), ..Ruleset::default() };
    let nowhere = Ruleset {
        chains: [(name("forward"), plain(vec![rule(vec![], Verdict::Jump(name("nowhere")))]))].into(),
        ..Ruleset::default()
    };

    host.within(|| {
        let mut rules = Rules::open().unwrap();
        rules.apply(&from_nothing(&small())).unwrap();
        rules.apply(&from_nothing(&other)).unwrap();
        let before = host.table();
        rules.apply(&from_nothing(&nowhere)).unwrap_err();
        assert_eq!(host.table(), before);
        assert_eq!(stdout(&host.try_run("nft", "list tables")).trim(), "table inet poplin");
    });
}

#[test]
fn a_table_made_without_an_owner_is_owned_after_a_restart() {
    let host = Namespace::new();
    assert!(host.try_run("nft", "add table inet poplin").status.success());

    host.within(|| {
        let mut rules = Rules::open().unwrap();
        assert_eq!(rules.ownership(), Ownership::Unknown);
        rules.apply(&from_nothing(&small())).unwrap();
        assert_eq!(rules.ownership(), Ownership::Owned);
        assert!(!host.try_run("nft", "delete table inet poplin").status.success());
    });
}

#[test]
fn a_table_that_shall_be_open_to_others_is_begun_anew_without_an_owner_and_with_one_when_it_shall_not() {
    let host = Namespace::new();
    let can_be_changed = || host.try_run("nft", "add chain inet poplin somebody").status.success();
    host.within(|| Rules::open().unwrap().apply(&from_nothing(&small())).unwrap());
    let before = rules_of(&host.table());

    host.within(|| {
        let mut rules = Rules::open_shared().unwrap();
        assert!(!can_be_changed(), "until it is begun anew");
        rules.apply(&from_nothing(&small())).unwrap();
        assert_eq!(rules.ownership(), Ownership::Open);
        assert_eq!(rules_of(&host.table()), before);
        assert!(can_be_changed());
        rules.apply(&from_nothing(&small())).unwrap();
        assert_eq!(rules_of(&host.table()), before, "what others did is put back");
    });
    host.within(|| {
        let mut rules = Rules::open().unwrap();
        rules.apply(&from_nothing(&small())).unwrap();
        assert_eq!(rules.ownership(), Ownership::Owned);
        assert!(!can_be_changed());
        assert_eq!(rules_of(&host.table()), before);
    });
}

#[test]
fn a_second_agent_is_refused_while_the_first_lives() {
    let host = Namespace::new();

    host.within(|| {
        let mut first = Rules::open().unwrap();
        first.apply(&from_nothing(&small())).unwrap();

        assert!(matches!(Rules::open(), Err(RulesError::Taken { .. })));
    });
}

#[test]
fn no_packet_slips_through_or_is_lost_while_the_table_restarts() {
    let pair = Pair::new();
    let deny_port_7 = rule(
        vec![
            Match::Range { field: Field::Protocol, low: Atom::Octet(17), high: Atom::Octet(17), negated: false },
            Match::Range { field: Field::DestinationPort, low: Atom::Port(7), high: Atom::Port(7), negated: false },
        ],
        Verdict::Drop,
    );
    let from_far = Match::Range {
        field: Field::InterfaceIn,
        low: Atom::Interface(interface("near0")),
        high: Atom::Interface(interface("near0")),
        negated: false,
    };
    // As our own rulesets: the base chain lets pass, rules deny.
    let input = forward(vec![rule(vec![from_far], Verdict::Jump(name("policy")))]);
    // Of another priority, it cannot be changed into the other.
    let changes = [0, 1].map(|priority| {
        let at_input = |hook| poplin_policy::ruleset::Hook { point: HookPoint::Input, priority, ..hook };
        let input = Arc::new(Chain { hook: input.hook.map(at_input), rules: input.rules.clone() });
        from_nothing(&Ruleset {
            chains: [(name("input"), input), (name("policy"), plain(vec![deny_port_7.clone()]))].into(),
            ..Ruleset::default()
        })
    });
    let (allowed, denied) = pair.near.within(|| (pair.listen(9), pair.listen(7)));

    let restarts = AtomicUsize::new(0);
    let is_going_on = |sent| sent < 20_000 || restarts.load(Ordering::Relaxed) < 20;
    let is_over = AtomicBool::new(false);
    let sent = pair.near.within(|| {
        let mut rules = Rules::open().unwrap();
        rules.apply(&changes[1]).unwrap();
        thread::scope(|scope| {
            let restarting = scope.spawn(|| {
                for change in changes.iter().cycle() {
                    rules.apply(change).unwrap();
                    restarts.fetch_add(1, Ordering::Relaxed);
                    if is_over.load(Ordering::Relaxed) {
                        break;
                    }
                }
            });
            let sent = pair.far.within(|| {
                let sender = pair.sender();
                let send = |_: &usize| {
                    sender.send_to(b"x", "10.9.0.1:9").unwrap();
                    sender.send_to(b"x", "10.9.0.1:7").unwrap();
                };
                let is_going_on = |sent: &usize| is_going_on(*sent) && !restarting.is_finished();
                (0..).take_while(is_going_on).inspect(send).count()
            });
            is_over.store(true, Ordering::Relaxed);
            sent
        })
    });

    assert_eq!(Pair::received(&denied), 0, "in {restarts:?} restarts");
    assert_eq!(Pair::received(&allowed), sent, "in {restarts:?} restarts");
}

/// The listing from the first chain on: what comes before tells of the owner.
fn rules_of(table: &str) -> String {
    let start = table.find("chain").unwrap_or(table.len());
    table[start..].split_whitespace().collect::<Vec<_>>().join(" ")
}

fn small() -> Ruleset {
    Ruleset {
        chains: [
            (name("forward"), forward(vec![rule(vec![], Verdict::Jump(name("policy")))])),
            (name("policy"), plain(vec![rule(vec![], Verdict::Drop)])),
        ]
        .into(),
        ..Ruleset::default()
    }
}
