use super::*;
use crate::name::ServiceName;
use crate::object::{Host, Pool, Versioned};
use poplin_policy::label::Labels;
use poplin_policy::nat::Outgoing;
use poplin_policy::ruleset::SourceNat;
use poplin_policy::selector::Selector;

#[test]
fn who_reads_everything_again_finds_nothing_to_change() {
    let mut mirror = Mirror::default();
    let address = "198.51.100.7".parse().unwrap();
    let service = Service {
        name: ServiceName::new("dns"),
        labels: Labels::default(),
        addresses: BTreeSet::from([address]),
        endpoints: Selector::all(),
        health: None,
    };
    let pool = Pool {
        name: PoolName::new("main"),
        cidr: "10.77.0.0/16".parse().unwrap(),
        block_bits: 26,
        hosts: Selector::all(),
        is_enabled: true,
        nat: Some(Outgoing { source: SourceNat::Masquerade, exclude: Vec::new() }),
    };
    let host = Host {
        name: HostName::new("h1"),
        labels: Labels::default(),
        addresses: BTreeSet::from(["192.0.2.1".parse().unwrap()]),
        asn: None,
        router_id: [192, 0, 2, 1].into(),
        is_draining: false,
    };
    let objects = [Object::Service(service), Object::Pool(pool), Object::Host(host)];
    mirror.change(1, objects.map(|value| Versioned { value, version: 1 }).into(), vec![]);
    let mut policing = Policing::of(HostName::new("h1"));
    let load = policing.due(&mirror, std::iter::empty()).expect("a table is to be made");
    policing.load(&load);

    policing.touch();

    assert!(policing.due(&mirror, std::iter::empty()).is_none());
}
