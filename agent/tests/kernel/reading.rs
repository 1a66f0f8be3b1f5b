//! Our table is read back as it was written, and mended by what differs.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use poplin_agent::kernel::{Dump, Ownership, ReadError, Rules, counts};
use poplin_policy::ruleset::{
    Atom, BasePolicy, Chain, Counter, Datatype, Field, Form, Hook, HookKind, HookPoint, Map, MapElements, Rule,
    Ruleset, Then, Verdict,
};
use proptest::prelude::*;

use crate::forms::{both_ends, everything};
use crate::lab::{Namespace, address4, from_nothing, interval_set, name, plain, rule};

#[test]
fn a_ruleset_of_every_form_is_read_as_it_was_written() {
    let host = Namespace::new();

    for ruleset in [everything(), both_ends(), alike(), Ruleset::default()] {
        host.within(|| {
            let mut rules = Rules::open().unwrap();
            rules.apply(&from_nothing(&ruleset)).unwrap();

            assert_eq!(rules.read(&ruleset).unwrap(), ruleset);
        });
    }
}

#[test]
fn what_is_not_asked_for_is_read_as_well() {
    let host = Namespace::new();

    host.within(|| {
        let mut rules = Rules::open().unwrap();
        rules.apply(&from_nothing(&everything())).unwrap();

        let mut read = rules.read(&Ruleset::default()).unwrap();

        // A source port and an ICMP message are the same octets.
        let Then::Lookup { fields, .. } =
            &mut Arc::make_mut(read.chains.get_mut(&name("flattened")).unwrap()).rules.last_mut().unwrap().then
        else {
            panic!("{read:?}")
        };
        assert_eq!(std::mem::replace(fields, vec![Field::IcmpMessage]), [Field::SourcePort]);
        assert_eq!(read, everything());
    });
}

#[test]
fn a_table_that_is_as_wanted_is_not_touched() {
    let host = Namespace::new();

    let (before, after) = host.within(|| {
        let mut rules = Rules::open().unwrap();
        rules.apply(&from_nothing(&counting("policy"))).unwrap();
        assert!(host.reaches("127.0.0.1"));
        let before = rules.dump().unwrap();
        rules.apply(&from_nothing(&counting("policy"))).unwrap();
        (before, rules.dump().unwrap())
    });

    assert_eq!(before, after, "counts and generation included");
}

#[test]
fn counters_go_on_under_a_successor_that_wants_something_else() {
    let host = Namespace::new();
    host.within(|| Rules::open().unwrap().apply(&from_nothing(&counting("old"))).unwrap());
    assert!(host.reaches("127.0.0.1"));
    let before = host.within(|| counts().unwrap());
    assert_eq!(before[&name("counted")].packets, 2, "a question and its answer");

    let read = host.within(|| {
        let mut successor = Rules::open().unwrap();
        successor.apply(&from_nothing(&counting("new"))).unwrap();
        successor.read(&counting("new")).unwrap()
    });

    assert_eq!(read, counting("new"));
    assert_eq!(host.within(|| counts().unwrap()), before);
}

#[test]
fn what_others_did_to_a_table_without_an_owner_is_mended() {
    let host = Namespace::new();
    let wanted = everything();
    host.within(|| Rules::open().unwrap().apply(&from_nothing(&wanted)).unwrap());
    let objects = host.within(|| bodies(&Rules::open().unwrap().dump().unwrap().objects));
    let deeds = [
        "add rule inet poplin forward ip saddr { 10.0.0.1, 10.0.0.2 } drop",
        "insert rule inet poplin each-match meta mark 1 jump { accept; }",
        "flush chain inet poplin flattened",
        "add chain inet poplin intruder { type filter hook output priority 7; }",
        "add chain inet poplin accomplice",
        "add map inet poplin intruders { type ipv4_addr : verdict; elements = { 10.0.0.1 : goto accomplice }; }",
        "add set inet poplin masks { type ipv4_addr; flags interval; elements = { 10.0.0.0/8, 255.0.0.0/8 }; }",
        "add rule inet poplin intruder meta mark 1 ip saddr vmap @intruders",
        "add rule inet poplin accomplice meta mark 1 counter name extra drop",
        "add element inet poplin peers4 { 10.0.0.9 comment \"mine\" }",
        "delete element inet poplin peers4 { 10.0.0.1 }",
        "delete element inet poplin networks4 { 10.1.0.0/16 }",
        "add element inet poplin networks4 { 10.1.0.0/24 }",
        "add rule inet poplin input ip saddr @masks accept",
    ];
    nft(&host, &["add counter inet poplin extra"]);
    nft(&host, &deeds);

    host.within(|| {
        let mut successor = Rules::open().unwrap();
        assert_eq!(successor.ownership(), Ownership::Owned);
        assert_ne!(successor.read(&wanted).unwrap(), wanted);
        successor.apply(&from_nothing(&wanted)).unwrap();

        assert_eq!(successor.read(&wanted).unwrap(), wanted);
        let dump = successor.dump().unwrap();
        assert_eq!(bodies(&dump.objects), objects, "the counter that stood is the one that stands");
        assert_eq!(dump.sets.len(), wanted.sets.len() + wanted.maps.len(), "nothing is left of a rule's own sets");
    });
}

#[test]
fn what_none_of_ours_can_be_is_named_and_the_table_begun_anew() {
    let deeds = [
        ("add set inet poplin macs { type ether_addr; }", "set macs is none of ours"),
        ("add set inet poplin short { type ipv4_addr; timeout 1h; }", "set short is none of ours"),
        ("add chain inet poplin a.b", "chain a.b is none of ours"),
        ("add chain inet poplin reroute { type route hook output priority 0; }", "chain reroute is none of ours"),
        ("add quota inet poplin q { over 1 mbytes }", "object q is none of ours"),
    ];
    for (deed, word) in deeds {
        let host = Namespace::new();
        let wanted = everything();
        host.within(|| Rules::open().unwrap().apply(&from_nothing(&wanted)).unwrap());
        nft(&host, &[deed]);

        host.within(|| {
            let mut successor = Rules::open().unwrap();
            let error = successor.read(&wanted).unwrap_err();
            assert!(matches!(error, ReadError::Foreign { .. }));
            assert_eq!(error.to_string(), word);
            successor.apply(&from_nothing(&wanted)).unwrap();
            assert_eq!(successor.read(&wanted).unwrap(), wanted, "{deed}");
        });
    }
}

#[test]
fn a_set_and_a_hook_of_another_shape_are_begun_anew() {
    let host = Namespace::new();
    let hooked = |point, priority| {
        let hook = Hook { kind: HookKind::Filter, point, priority, policy: BasePolicy::Accept };
        Arc::new(Chain { hook: Some(hook), rules: vec![rule(vec![], Verdict::Accept)] })
    };
    let at =
        |point, priority| Ruleset { chains: [(name("base"), hooked(point, priority))].into(), ..Ruleset::default() };

    host.within(|| {
        let mut rules = Rules::open().unwrap();
        for wanted in [at(HookPoint::Input, 0), at(HookPoint::Input, 1), at(HookPoint::Output, 1), everything()] {
            rules.apply(&from_nothing(&wanted)).unwrap();
            assert_eq!(rules.read(&wanted).unwrap(), wanted);
        }
        let ports = interval_set(Datatype::Port, [(Atom::Port(1), Atom::Port(2))]);
        let wanted = Ruleset { sets: [(name("peers4"), ports)].into(), ..Ruleset::default() };
        rules.apply(&from_nothing(&wanted)).unwrap();
        assert_eq!(rules.read(&wanted).unwrap(), wanted);
    });
}

#[test]
fn a_hundred_thousand_elements_are_read_while_the_kernel_moves_them_about() {
    let host = Namespace::new();
    let keys = (0..100_000_u32).map(|number| vec![Atom::Address4((0x0a00_0000 + number).into())]);
    let many = crate::lab::hash_set(vec![Datatype::Address4], keys);
    let wanted = Ruleset { sets: [(name("many"), many)].into(), ..Ruleset::default() };

    host.within(|| {
        let mut rules = Rules::open().unwrap();
        rules.apply(&from_nothing(&wanted)).unwrap();
        assert!(rules.read(&wanted).unwrap() == wanted);
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_dump_with_any_octets_in_it_is_read_or_refused(wounds in proptest::collection::vec(wound(), 1..8)) {
        let mut dump = DUMP.clone();
        for wound in &wounds {
            wound.inflict(&mut dump);
        }

        if let Ok(ruleset) = dump.ruleset(&everything()) {
            // Whatever it is, it can be compared with what is wanted.
            drop(poplin_policy::delta::between(Some(&ruleset), &everything()));
        }
    }

    #[test]
    fn any_octets_after_the_tables_name_are_read_or_refused(
        messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 6)
    ) {
        let ours = |octets: &Vec<u8>| [&[1, 0, 0, 0, 11, 0, 1, 0][..], b"poplin\0\0", octets].concat();
        let [sets, elements, chains, rules, objects, flowtables] =
            [0, 1, 2, 3, 4, 5].map(|index| vec![ours(&messages[index]), messages[index].clone()]);
        let dump = Dump { sets, elements, chains, rules, objects, flowtables };

        drop(dump.ruleset(&everything()));
    }
}

/// Octets written over others, somewhere in a dump.
#[derive(Clone, Debug)]
struct Wound {
    list: usize,
    message: prop::sample::Index,
    place: prop::sample::Index,
    octets: Vec<u8>,
    cuts: bool,
}

fn wound() -> impl Strategy<Value = Wound> {
    let octets = proptest::collection::vec(prop_oneof![any::<u8>(), 0..16_u8], 1..6);
    let place = (0..5_usize, any::<prop::sample::Index>(), any::<prop::sample::Index>());
    (place, octets, prop::bool::weighted(0.1)).prop_map(|((list, message, place), octets, cuts)| Wound {
        list,
        message,
        place,
        octets,
        cuts,
    })
}

impl Wound {
    fn inflict(&self, dump: &mut Dump) {
        let Dump { sets, elements, chains, rules, objects, flowtables: _ } = dump;
        let list = [sets, elements, chains, rules, objects][self.list].as_mut_slice();
        let message = &mut list[self.message.index(list.len())];
        // The table's name stays, or nothing behind it would be looked at.
        let named = 16.min(message.len());
        let place = named + self.place.index(message.len() - named + 1);
        for (octet, new) in message[place..].iter_mut().zip(&self.octets) {
            *octet = *new;
        }
        if self.cuts {
            message.truncate(place);
        }
    }
}

/// What the kernel says of [`everything`].
static DUMP: LazyLock<Dump> = LazyLock::new(|| {
    let host = Namespace::new();
    host.within(|| {
        let mut rules = Rules::open().unwrap();
        rules.apply(&from_nothing(&everything())).unwrap();
        rules.dump().unwrap()
    })
});

/// Runs nft once for each command.
fn nft(host: &Namespace, commands: &[&str]) {
    for command in commands {
        let output = host.within(|| std::process::Command::new("nft").arg(command).output().unwrap());
        assert!(output.status.success(), "{command}: {output:?}");
    }
}

/// Messages without their heads, which carry the generation.
fn bodies(messages: &[Vec<u8>]) -> Vec<Vec<u8>> {
    messages.iter().map(|message| message[4..].to_vec()).collect()
}

/// Counts what comes in by a counter of the table's and by a rule's own, and asks a chain that may be called otherwise.
fn counting(asked: &str) -> Ruleset {
    let count = |counter| Rule { counter: Some(counter), ..rule(vec![], Verdict::Jump(name("counted"))) };
    let hook = Hook { kind: HookKind::Filter, point: HookPoint::Input, priority: 0, policy: BasePolicy::Accept };
    let input = vec![count(Counter::Named(name("counted"))), count(Counter::Own)];
    let ask = Hook { point: HookPoint::Output, ..hook };
    Ruleset {
        counters: [name("counted")].into(),
        chains: [
            (name("input"), Chain { hook: Some(hook), rules: input }.into()),
            (name("output"), Chain { hook: Some(ask), rules: vec![rule(vec![], Verdict::Jump(name(asked)))] }.into()),
            (name("counted"), plain(vec![])),
            (name(asked), plain(vec![rule(vec![], Verdict::Return)])),
        ]
        .into(),
        ..Ruleset::default()
    }
}

/// What is the same octets by two names, and what is hard to tell from something else.
fn alike() -> Ruleset {
    let look_up =
        |field| Rule { matches: vec![], counter: None, then: Then::Lookup { fields: vec![field], map: name("ports") } };
    let elements = BTreeMap::from([(
        poplin_policy::ruleset::Element::range(Atom::Port(0), Atom::Port(u16::MAX)),
        Verdict::Return,
    )]);
    let ports = Map { key: vec![Datatype::Port], form: Form::Interval, elements: MapElements::Verdicts(elements) };
    let notrack = Rule { matches: vec![], counter: None, then: Then::Notrack };
    let raw = Hook { kind: HookKind::Filter, point: HookPoint::Prerouting, priority: -300, policy: BasePolicy::Accept };
    Ruleset {
        maps: [(name("ports"), ports)].into(),
        sets: [
            (name("none"), interval_set(Datatype::Address4, [])),
            (name("one"), { interval_set(Datatype::Address4, [(address4("0.0.0.0"), address4("0.0.0.0"))]) }),
        ]
        .into(),
        chains: [
            (name("messages"), plain(vec![look_up(Field::IcmpMessage)])),
            (name("sources"), plain(vec![look_up(Field::SourcePort)])),
            (name("raw"), Chain { hook: Some(raw), rules: vec![notrack] }.into()),
        ]
        .into(),
        ..Ruleset::default()
    }
}
