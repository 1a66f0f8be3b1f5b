//! A network, told step by step, makes the rules that a fresh start makes.

use poplin_policy::circle::Circle;
use poplin_policy::label::Labels;
use poplin_policy::model::{Action, Hosts, Mode, Peers, Policy, Profile, Rule, Selection};
use poplin_policy::nat::Outgoing;
use poplin_policy::packet::Packet;
use poplin_policy::ruleset::SourceNat;
use poplin_policy::selector::Selector;

use super::*;
use crate::kernel::Mac;
use crate::name::{AttachmentId, NetworkName, ServiceName};
use crate::object::{Host, Network, Pool, Versioned};
use crate::quarantine::Unreadable;

mod sandboxes;

/// A host's rules, and the store they follow.
struct Desk {
    mirror: Mirror,
    policing: Policing,
    revision: i64,
}

impl Desk {
    fn put(&mut self, object: Object) {
        self.revision += 1;
        let key = object.key();
        self.mirror.change(self.revision, vec![Versioned { value: object, version: self.revision }], vec![], vec![]);
        self.policing.touch_object(key, true);
    }

    fn delete(&mut self, key: ObjectKey) {
        self.revision += 1;
        self.mirror.change(self.revision, vec![], vec![], vec![key.clone()]);
        self.policing.touch_object(key, true);
    }

    /// Somebody writes what nobody can read.
    fn damage(&mut self, key: &ObjectKey) {
        self.revision += 1;
        let garbage = Unreadable { key: key.clone(), version: self.revision, reason: "made so".to_owned() };
        self.mirror.change(self.revision, vec![], vec![garbage], vec![]);
        self.policing.touch_object(key.clone(), true);
    }

    /// Whether somebody far away reaches an endpoint.
    fn admits(&mut self, last: u8) -> bool {
        self.rules();
        let to = IpAddr::from([10, 77, 0, last]);
        let packet = Packet::tcp(IpAddr::from([192, 0, 2, 1]), to, (40_000, 80));
        self.policing.now().admits(&packet, false).expect("an end is here")
    }

    /// The rules as they are now, which are those of a fresh start.
    fn rules(&mut self) -> Ruleset {
        let local: Vec<Endpoint> = self.mirror.endpoints_on(&host()).cloned().collect();
        let rules = ruleset(&mut self.policing, &self.mirror, &local);
        assert_eq!(rules, ruleset(&mut Policing::of(host()), &self.mirror, &local), "the road does not matter");
        rules
    }
}

fn ruleset(policing: &mut Policing, mirror: &Mirror, local: &[Endpoint]) -> Ruleset {
    if let Some(load) = policing.due(mirror, local.iter()) {
        policing.load(&load);
    }
    policing.compiler.ruleset().clone()
}

fn host() -> HostName {
    HostName::new("h1")
}

fn endpoint(last: u8, network: Option<&str>) -> Object {
    let name = format!("e{last}");
    Object::Endpoint(Endpoint {
        labels: Labels::default(),
        namespace: network.map(str::to_owned),
        ports: Vec::new(),
        published: Vec::new(),
        host: host(),
        attachment: AttachmentId { container: name.clone(), interface: "eth0".to_owned() },
        addresses: [IpAddr::from([10, 77, 0, last])].into(),
        interface: Interface::new(format!("pop{last}")).unwrap(),
        mac: Mac([2, 0, 0, 0, 0, last]),
        netns: "/run/netns/x".into(),
        mtu_bytes: 1500,
        network: network.map(NetworkName::new),
        aliases: BTreeSet::new(),
        container: None,
        parent: None,
        name: EndpointName::new(name),
        is_sticky: false,
        profiles: Vec::new(),
        since: None,
    })
}

fn naming(last: u8, network: Option<&str>, profiles: &[&str]) -> Object {
    let Object::Endpoint(one) = endpoint(last, network) else { unreachable!("it is an endpoint") };
    Object::Endpoint(Endpoint { profiles: profiles.iter().map(|name| (*name).to_owned()).collect(), ..one })
}

/// A profile that gives a label.
fn profile(name: &str, value: &str) -> Object {
    let endpoint_labels = Labels::try_from_pairs([("pci", value)]).unwrap();
    Object::Profile(Profile { name: name.to_owned(), endpoint_labels })
}

/// Lets in who has that label.
fn admitting(label: &str) -> Object {
    let selection = |text: &str| Selection::anywhere(Selector::parse(text).unwrap());
    let from = Peers { select: Some(selection(label)), ..Peers::default() };
    Object::Policy(Policy {
        name: QualifiedName::global("cards"),
        tier: "default".to_owned(),
        order: None,
        mode: Mode::Enforce,
        subject: selection("all()"),
        hosts: Hosts::Never,
        ingress: Some(vec![Rule { source: from.into(), ..Rule::any("cards", Action::Allow) }].into()),
        egress: None,
    })
}

fn network(name: &str, is_open_outside: bool) -> Object {
    let labels = Labels::try_from_pairs([("team", "blue")]).unwrap();
    Object::Network(Network {
        name: NetworkName::new(name),
        circle: Circle {
            name: name.to_owned(),
            labels,
            index: 7,
            is_open_within: true,
            is_open_to_others: false,
            is_open_outside,
        },
        subnets: BTreeSet::new(),
        ranges: BTreeSet::new(),
        reserved: BTreeSet::new(),
        mtu_bytes: None,
        index: 513,
        records: crate::names::Records::new(),
        macvlan: None,
    })
}

#[test]
fn a_network_that_comes_changes_and_goes_leaves_the_rules_of_a_fresh_start() {
    let mut desk = Desk { mirror: Mirror::default(), policing: Policing::of(host()), revision: 1 };
    desk.put(endpoint(1, Some("shop")));
    desk.put(endpoint(2, None));
    let before = desk.rules();

    desk.put(network("shop", true));
    let open = desk.rules();
    desk.put(network("shop", false));
    let internal = desk.rules();
    desk.put(endpoint(3, Some("shop")));
    desk.rules();
    desk.delete(ObjectKey::Endpoint(EndpointName::new("e3")));
    desk.delete(ObjectKey::Network(NetworkName::new("shop")));

    assert_ne!(before, open);
    assert_ne!(open, internal);
    assert_eq!(desk.rules(), before);
}

#[test]
fn a_policy_of_the_name_stands_in_the_place_of_what_the_network_brings_along() {
    let mut desk = Desk { mirror: Mirror::default(), policing: Policing::of(host()), revision: 1 };
    desk.put(endpoint(1, Some("shop")));
    desk.put(network("shop", true));
    let usual = desk.rules();
    let Object::Network(shop) = network("shop", true) else { panic!("it is one") };
    let own = poplin_policy::model::Policy { ingress: Some(Vec::new().into()), ..shop.circle.policy() };

    desk.put(Object::Policy(own.clone()));
    let replaced = desk.rules();
    desk.delete(ObjectKey::Policy(own.name));

    assert_ne!(replaced, usual);
    assert_eq!(desk.rules(), usual);
}

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
        nat: Some(Outgoing { source: SourceNat::Masquerade, exclude: Vec::new() }),
        ..Pool::open(PoolName::new("main"), "10.77.0.0/16".parse().unwrap(), 26)
    };
    let host = Host {
        name: HostName::new("h1"),
        labels: Labels::default(),
        addresses: BTreeSet::from(["192.0.2.1".parse().unwrap()]),
        asn: None,
        router_id: [192, 0, 2, 1].into(),
        is_draining: false,
        told: None,
        machine: None,
        release: None,
    };
    let objects = [Object::Service(service), Object::Pool(pool), Object::Host(host)];
    mirror.change(1, objects.map(|value| Versioned { value, version: 1 }).into(), vec![], vec![]);
    let mut policing = Policing::of(HostName::new("h1"));
    let load = policing.due(&mirror, std::iter::empty()).expect("a table is to be made");
    policing.load(&load);

    policing.touch();

    assert!(policing.due(&mirror, std::iter::empty()).is_none());
}

#[test]
fn a_profile_that_comes_changes_and_goes_touches_elements_only() {
    let mut desk = Desk { mirror: Mirror::default(), policing: Policing::of(host()), revision: 1 };
    desk.put(naming(1, None, &["cards"]));
    desk.put(endpoint(2, None));
    desk.put(profile("other", "yes"));
    desk.put(admitting("pci == 'yes'"));
    desk.rules();
    let from_first = |desk: &mut Desk| {
        let packet = Packet::tcp(IpAddr::from([10, 77, 0, 1]), IpAddr::from([10, 77, 0, 2]), (40_000, 80));
        desk.policing.now().admits(&packet, false).expect("both ends are here")
    };
    assert!(!from_first(&mut desk));

    for (news, is_let_in) in [(Some("yes"), true), (Some("no"), false), (Some("yes"), true), (None, false)] {
        match news {
            Some(value) => desk.put(profile("cards", value)),
            None => desk.delete(ObjectKey::Profile("cards".to_owned())),
        }
        let local: Vec<Endpoint> = desk.mirror.endpoints_on(&host()).cloned().collect();
        let load = desk.policing.due(&desk.mirror, local.iter()).expect("something is to be changed");
        let is_of_elements = |change: &Change| matches!(change, Change::AlterSet { .. } | Change::AlterMap { .. });
        assert!(load.changes.iter().all(is_of_elements), "{:?}", load.changes);
        desk.policing.load(&load);
        assert_eq!(from_first(&mut desk), is_let_in);
        desk.rules();
    }
}

#[test]
fn a_host_endpoint_has_the_labels_of_its_profile_for_as_long_as_that_says_so() {
    let mut desk = Desk { mirror: Mirror::default(), policing: Policing::of(host()), revision: 1 };
    desk.put(Object::HostEndpoint(HostEndpoint {
        name: "up".to_owned(),
        labels: Labels::default(),
        profiles: vec!["cards".to_owned()],
        host: host().to_string(),
        doorway: Doorway::Every,
        addresses: [IpAddr::from([192, 0, 2, 9])].into(),
        ports: Vec::new(),
    }));
    // It is selected as what a policy governs, and as who is let in.
    let Object::Policy(policy) = admitting("pci == 'yes'") else { unreachable!("it is a policy") };
    let labels = Selector::parse("pci == 'yes'").unwrap();
    desk.put(Object::Policy(Policy { subject: Selection::anywhere(labels), hosts: Hosts::Local, ..policy }));
    let closed = desk.rules();

    for (news, is_governed) in [(Some("yes"), true), (Some("no"), false), (Some("yes"), true), (None, false)] {
        match news {
            Some(value) => desk.put(profile("cards", value)),
            None => desk.delete(ObjectKey::Profile("cards".to_owned())),
        }
        assert_eq!(desk.rules() != closed, is_governed, "{news:?}");
    }
}

#[test]
fn ports_of_an_address_are_called_as_all_host_endpoints_there_say() {
    let mut desk = Desk { mirror: Mirror::default(), policing: Policing::of(host()), revision: 1 };
    let up = |name: &str, ports: &[&str]| {
        Object::HostEndpoint(HostEndpoint {
            name: name.to_owned(),
            labels: Labels::default(),
            profiles: Vec::new(),
            host: "h2".to_owned(),
            doorway: Doorway::Every,
            addresses: [IpAddr::from([192, 0, 2, 9])].into(),
            ports: ports.iter().map(|text| text.parse().unwrap()).collect(),
        })
    };
    let Object::Policy(policy) = admitting("pci == 'yes'") else { unreachable!("it is a policy") };
    let rule = Rule { ports: vec!["tcp/http".parse().unwrap()], ..Rule::any("out", Action::Allow) };
    desk.put(Object::Policy(Policy { ingress: None, egress: Some(vec![rule].into()), ..policy }));
    desk.put(endpoint(1, None));
    let open = |desk: &mut Desk| {
        desk.rules();
        let to = |port| Packet::tcp(IpAddr::from([10, 77, 0, 1]), IpAddr::from([192, 0, 2, 9]), (40_000, port));
        [80, 81, 82].map(|port| desk.policing.now().admits(&to(port), false).expect("an end is here"))
    };
    assert_eq!(open(&mut desk), [false, false, false]);

    desk.put(up("a", &["http=tcp/80", "http=tcp/81"]));
    desk.put(up("b", &["http=tcp/81", "http=tcp/82", "other=tcp/83"]));
    assert_eq!(open(&mut desk), [true, true, true]);

    desk.put(up("a", &[]));
    assert_eq!(open(&mut desk), [false, true, true]);
    desk.put(up("a", &["http=tcp/80"]));
    desk.delete(ObjectKey::HostEndpoint("b".to_owned()));
    assert_eq!(open(&mut desk), [true, false, false]);
    desk.policing.touch();
    desk.delete(ObjectKey::HostEndpoint("a".to_owned()));
    assert_eq!(open(&mut desk), [false, false, false]);
}

#[test]
fn what_was_never_read_well_closes_whom_it_may_have_closed_until_it_is_mended_or_deleted() {
    let within = |name| QualifiedName::within("shop", name);
    for (key, closes_all) in [
        (ObjectKey::Policy(QualifiedName::global("db")), true),
        (ObjectKey::Policy(within("db")), false),
        (ObjectKey::AddressSet(QualifiedName::global("office")), true),
        (ObjectKey::AddressSet(within("office")), false),
        (ObjectKey::Namespace("shop".to_owned()), false),
        (ObjectKey::Network(NetworkName::new("shop")), false),
        (ObjectKey::Tier("front".to_owned()), true),
        (ObjectKey::Profile("pci".to_owned()), false),
    ] {
        let mut desk = Desk { mirror: Mirror::default(), policing: Policing::of(host()), revision: 1 };
        desk.put(naming(1, Some("shop"), &["lost", "pci"]));
        desk.put(endpoint(2, None));
        let before = desk.rules();
        assert!(desk.admits(1) && desk.admits(2));

        desk.damage(&key);
        assert_eq!((desk.admits(1), desk.admits(2)), (false, !closes_all), "{key:?}");

        desk.delete(key);
        assert_eq!(desk.rules(), before);
    }
}

#[test]
fn what_was_read_well_once_stays_as_it_was_read() {
    let mut desk = Desk { mirror: Mirror::default(), policing: Policing::of(host()), revision: 1 };
    desk.put(endpoint(1, Some("shop")));
    desk.put(network("shop", true));
    let before = desk.rules();

    desk.damage(&ObjectKey::Network(NetworkName::new("shop")));
    assert_eq!(desk.rules(), before);

    desk.put(network("shop", false));
    assert_ne!(desk.rules(), before);
}
