//! Of whom a LAN is told that his address is here now.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use poplin_node::lan::Advertising;
use poplin_policy::ruleset::Interface;

type Entry = (Interface, IpAddr);

#[test]
fn what_comes_is_advertised_three_times_and_what_was_there_before_never() {
    let began = Instant::now();
    let [old, new] = ["192.0.2.70", "192.0.2.71"].map(entry);
    let mut advertising = Advertising::default();
    advertising.follow(began, &[(old.clone(), true)].into());
    assert_eq!((advertising.take_due(began), advertising.next_deadline()), (BTreeSet::new(), None));

    let both: BTreeMap<Entry, bool> = [(old, true), (new.clone(), true)].into();
    let told = (0..5).map(|second| {
        let now = began + Duration::from_secs(second);
        advertising.follow(now, &both);
        advertising.take_due(now)
    });

    let told: Vec<BTreeSet<Entry>> = told.collect();
    let once = BTreeSet::from([new]);
    assert_eq!(told, [once.clone(), once.clone(), once, BTreeSet::new(), BTreeSet::new()]);
    assert_eq!(advertising.next_deadline(), None);
}

#[test]
fn what_leaves_is_advertised_no_more_and_what_comes_back_is_news() {
    let began = Instant::now();
    let entry = entry("192.0.2.70");
    let mut advertising = Advertising::default();
    advertising.follow(began, &BTreeMap::new());
    advertising.follow(began, &[(entry.clone(), true)].into());
    assert_eq!(advertising.take_due(began), BTreeSet::from([entry.clone()]));

    advertising.follow(began, &[(entry.clone(), false)].into());
    assert_eq!(advertising.next_deadline(), None, "nobody answers");
    advertising.follow(began, &[(entry.clone(), true)].into());

    assert_eq!(advertising.take_due(began), BTreeSet::from([entry]));
}

/// An address on the uplink eth1.
fn entry(address: &str) -> Entry {
    (Interface::new("eth1").expect("it is a name"), address.parse().expect("it is an address"))
}
