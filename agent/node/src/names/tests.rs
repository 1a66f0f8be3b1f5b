use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use poplin_policy::ruleset::Interface;
use proptest::prelude::*;

use super::{Asker, Found, Holder, Home, NameChange, Names, Naming, NetworkNames, Records};
use crate::name::{EndpointName, NetworkName, ServiceName};

/// One whose name is `name` and whose address ends so, on host h1.
fn holder(name: &str, last: u8, network: Option<&str>, namespace: Option<&str>) -> Holder {
    let asker = Asker { interface: link(last), container: format!("c{last}") };
    Holder {
        here: Some(Box::new(asker)),
        home: Home { network: network.map(NetworkName::new), namespace: namespace.map(Arc::from) },
        own: name.into(),
        aliases: BTreeSet::new(),
        addresses: [address(last)].into(),
    }
}

fn link(last: u8) -> Interface {
    Interface::new(format!("pop{last}")).unwrap()
}

fn member(name: &str, last: u8, network: &str) -> Holder {
    holder(name, last, Some(network), Some(network))
}

fn address(last: u8) -> IpAddr {
    IpAddr::from([10, 77, 0, last])
}

fn endpoint(last: u8) -> EndpointName {
    EndpointName::new(format!("e{last}"))
}

/// Each called `e` and the last octet of its address.
fn table(holders: impl IntoIterator<Item = Holder>) -> Names {
    let mut names = Names::default();
    for holder in holders {
        let link = holder.here.as_ref().expect("it is on this host").interface.clone();
        let last = link.as_str().trim_start_matches("pop").parse().unwrap();
        names.change(NameChange::Endpoint(endpoint(last), Some(Box::new(holder))));
    }
    names
}

fn at<const N: usize>(lasts: [u8; N]) -> Found {
    Found::Addresses(lasts.map(address).into())
}

fn network(records: Records, is_open_outside: bool) -> NameChange {
    NameChange::Network(NetworkName::new("shop"), Some(NetworkNames { records, is_open_outside }))
}

#[test]
fn names_are_seen_within_a_network_and_from_nowhere_else() {
    let names = table([
        member("web", 1, "shop"),
        member("db", 2, "shop"),
        member("vault", 3, "bank"),
        holder("x", 4, None, None),
    ]);
    let from = |last| names.seen_by(&endpoint(last)).unwrap();

    for name in ["db", "db.shop", "db.poplin.internal", "db.shop.poplin.internal"] {
        assert_eq!(from(1).find(name), at([2]), "{name}");
    }
    assert_eq!((from(1).find("vault"), from(1).find("vault.bank")), (Found::NotOurs, Found::NotOurs));
    assert_eq!(from(1).find("vault.bank.poplin.internal"), Found::Nobody);
    assert_eq!(
        (from(4).find("db"), from(4).find("db.shop"), from(4).find("x")),
        (Found::NotOurs, Found::NotOurs, at([4]))
    );
    assert_eq!(
        (from(1).names_at(address(2)), from(1).names_at(address(3)), from(1).names_at(address(9))),
        (Some(vec!["db.shop.poplin.internal".to_owned()]), Some(vec![]), None)
    );
}

#[test]
fn who_is_in_no_network_sees_all_who_are_in_none_the_nearer_first() {
    let names = table([
        holder("web", 1, None, Some("blue")),
        holder("db", 2, None, Some("blue")),
        holder("db", 3, None, Some("green")),
        holder("db", 4, None, None),
        holder("log", 5, None, None),
    ]);
    let blue = names.seen_by(&endpoint(1)).unwrap();
    let nowhere = names.seen_by(&endpoint(5)).unwrap();

    assert_eq!((blue.find("db"), blue.find("db.green"), blue.find("log")), (at([2]), at([3]), at([5])));
    assert_eq!((nowhere.find("db"), nowhere.find("db.blue"), nowhere.find("web")), (at([4]), at([2]), Found::NotOurs));
    assert_eq!((blue.find("poplin.internal"), blue.find("blue.poplin.internal")), (Found::Empty, Found::Empty));
}

#[test]
fn nobody_takes_a_name_of_a_namespace_from_outside_of_it() {
    let mut thief = holder("db.shop", 3, None, None);
    thief.aliases = ["web.shop".to_owned(), "free.shop".to_owned()].into();
    let names = table([
        holder("db", 1, None, Some("shop")),
        holder("web", 2, None, Some("shop")),
        thief,
        holder("log", 4, None, None),
        holder("log", 5, None, Some("blue")),
    ]);

    for last in [1, 4, 5] {
        let view = names.seen_by(&endpoint(last)).unwrap();
        assert_eq!((view.find("db.shop"), view.find("web.shop"), view.find("free.shop")), (at([1]), at([2]), at([3])));
    }
}

#[test]
fn a_container_in_two_networks_sees_both() {
    let mut second = member("both", 4, "bank");
    second.here = Some(Box::new(Asker { interface: link(4), container: "c3".to_owned() }));
    let names = table([member("web", 1, "shop"), member("vault", 2, "bank"), member("both", 3, "shop"), second]);

    for last in [3, 4] {
        let view = names.seen_by(&endpoint(last)).unwrap();
        assert_eq!((view.find("web"), view.find("vault"), view.find("both")), (at([1]), at([2]), at([3, 4])));
    }
    assert_eq!(names.seen_by(&endpoint(1)).unwrap().find("vault"), Found::NotOurs);
}

#[test]
fn a_name_that_several_have_leads_to_all_of_them() {
    let mut holders = [member("db-1", 1, "shop"), member("db-2", 2, "shop"), member("web", 3, "shop")];
    for one in &mut holders[..2] {
        one.aliases = ["db".to_owned(), "db.local".to_owned()].into();
    }
    let mut names = table(holders);
    let find = |names: &Names, name: &str| names.seen_by(&endpoint(3)).unwrap().find(name);

    assert_eq!((find(&names, "db"), find(&names, "db.local"), find(&names, "db-2")), (at([1, 2]), at([1, 2]), at([2])));

    names.change(NameChange::Endpoint(endpoint(1), None));
    assert_eq!((find(&names, "db"), find(&names, "db-1")), (at([2]), Found::NotOurs));
}

#[test]
fn records_are_seen_in_their_network_or_everywhere() {
    let mut names = table([member("web", 1, "shop"), holder("x", 2, None, None)]);
    names.change(network([("printer".to_owned(), [address(99)].into())].into(), true));
    let records = [("ntp".to_owned(), [address(77)].into())].into();
    names.change(NameChange::Naming(Naming { domain: "lab".to_owned(), records, ..Naming::default() }));
    let [inside, outside] = [1, 2].map(|last| names.seen_by(&endpoint(last)).unwrap());

    for name in ["printer", "printer.shop", "printer.shop.lab"] {
        assert_eq!((inside.find(name), outside.find(name) == at([99])), (at([99]), false), "{name}");
    }
    assert_eq!((inside.find("ntp.lab"), outside.find("ntp")), (at([77]), at([77])));
    assert_eq!(inside.find("web.shop.poplin.internal"), Found::NotOurs, "another domain is in force");
    assert_eq!(inside.names_at(address(99)), Some(vec!["printer.shop.lab".to_owned()]));
    assert_eq!(
        (outside.names_at(address(99)), outside.names_at(address(77))),
        (None, Some(vec!["ntp.lab".to_owned()]))
    );
}

#[test]
fn services_are_seen_everywhere_after_what_one_has_at_home() {
    let mut names = table([member("web", 1, "shop"), member("db", 2, "shop"), holder("x", 3, None, None)]);
    let api = ServiceName::new("api");
    names.change(NameChange::Service(api.clone(), [address(77), address(78)].into()));
    names.change(NameChange::Service(ServiceName::new("db"), [address(79)].into()));
    let find = |names: &Names, last, name: &str| names.seen_by(&endpoint(last)).unwrap().find(name);
    let at_77 = |names: &Names| names.seen_by(&endpoint(3)).unwrap().names_at(address(77));

    for name in ["api", "api.poplin.internal"] {
        assert_eq!((find(&names, 1, name), find(&names, 3, name)), (at([77, 78]), at([77, 78])), "{name}");
    }
    assert_eq!((find(&names, 1, "db"), find(&names, 3, "db")), (at([2]), at([79])), "shop has a db of its own");
    assert_eq!(at_77(&names), Some(vec!["api.poplin.internal".to_owned()]));

    names.change(NameChange::Service(api.clone(), [address(78)].into()));
    assert_eq!((find(&names, 3, "api"), at_77(&names)), (at([78]), None));
    names.change(NameChange::Service(api, [].into()));
    assert_eq!(find(&names, 3, "api"), Found::NotOurs);
}

#[test]
fn who_may_not_leave_his_network_may_not_ask_outside_either() {
    let mut names = table([member("web", 1, "shop"), holder("x", 2, None, None)]);
    let is_open = |names: &Names, last| names.seen_by(&endpoint(last)).unwrap().is_open_outside();

    assert!(!is_open(&names, 1), "of a network that is not known, nothing is open");
    names.change(network(Records::new(), true));
    assert!(is_open(&names, 1) && is_open(&names, 2));
    names.change(network(Records::new(), false));
    assert!(!is_open(&names, 1));
}

#[test]
fn only_endpoints_of_this_host_may_ask() {
    let mut far = holder("far", 2, None, None);
    far.here = None;
    let mut names = table([holder("near", 1, None, None)]);
    names.change(NameChange::Endpoint(endpoint(2), Some(Box::new(far))));

    assert_eq!(names.endpoint_at(address(1)), Some(&endpoint(1)));
    assert_eq!(names.endpoint_at(address(2)), None);
    assert_eq!(names.endpoint_on(&Interface::new("pop1").unwrap()), Some(&endpoint(1)));
    assert_eq!(names.endpoint_on(&Interface::new("pop2").unwrap()), None);
    assert!(names.seen_by(&endpoint(2)).is_none());
}

/// A holder out of few names, networks and containers, so that they meet.
fn any_holder() -> impl Strategy<Value = Holder> {
    let network = prop_oneof![Just(None), Just(Some("shop")), Just(Some("bank"))];
    (0..4u8, 1..6u8, network, 0..3u8, proptest::collection::btree_set("[ab]", 0..2)).prop_map(
        |(own, last, network, container, aliases)| Holder {
            here: Some(Box::new(Asker { interface: link(last), container: format!("c{container}") })),
            aliases,
            ..holder(&format!("n{own}"), last, network, network)
        },
    )
}

proptest! {
    /// However it came about, the table is that of a fresh start with what is there in the end.
    #[test]
    fn what_has_changed_step_by_step_is_as_if_made_anew(steps in proptest::collection::vec((1..6u8, proptest::option::of(any_holder())), 0..40)) {
        let mut names = Names::default();
        let mut last: std::collections::BTreeMap<u8, Holder> = std::collections::BTreeMap::new();
        for (number, holder) in steps {
            let on_its_link = |holder: Holder| {
                let asker = holder.here.map(|asker| Box::new(Asker { interface: link(number), ..*asker }));
                Holder { here: asker, ..holder }
            };
            let holder = holder.map(on_its_link);
            names.change(NameChange::Endpoint(endpoint(number), holder.clone().map(Box::new)));
            match holder {
                Some(holder) => drop(last.insert(number, holder)),
                None => drop(last.remove(&number)),
            }
        }
        prop_assert_eq!(format!("{names:?}"), format!("{:?}", table(last.into_values())));
    }
}
