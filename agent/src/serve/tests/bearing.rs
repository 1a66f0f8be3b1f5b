//! What bears on a call suffices: by it alone the same is judged, and the same written, as by all of the store.

use super::*;
use crate::resource::{ROOT, key_of, path_of_name};
use crate::serve::bearing::Bearing;
use crate::store::Snapshot;

const DECLARED: [&str; 14] = [
    "kind: Pool, metadata: {name: main}, spec: {cidr: 10.77.0.0/16}",
    "kind: Pool, metadata: {name: spare}, spec: {cidr: 10.78.0.0/16}",
    "kind: Network, metadata: {name: shop}, spec: {subnets: [10.77.9.0/24]}",
    "kind: Network, metadata: {name: empty}, spec: {subnets: [10.77.8.0/24]}",
    "kind: Namespace, metadata: {name: bank, labels: {team: a}}",
    "kind: AddressSet, metadata: {name: office}, spec: {nets: [192.0.2.0/24]}",
    "kind: AddressSet, metadata: {name: home}, spec: {nets: [192.0.3.0/24]}",
    "kind: Tier, metadata: {name: front}, spec: {order: 1}",
    "kind: Tier, metadata: {name: back}, spec: {order: 2}",
    "kind: Policy, metadata: {name: db}, spec: {tier: front, ingress: [{action: allow, from: {sets: [office]}}]}",
    "kind: Service, metadata: {name: dns}, spec: {addresses: [198.51.100.7], endpoints: all()}",
    "kind: FloatingAddress, metadata: {name: front}, spec: {address: 198.51.100.9, endpoint: web}",
    "kind: RouteMap, metadata: {name: in}, spec: {rules: [], otherwise: accept}",
    "kind: Peer, metadata: {name: tor}, spec: {address: 192.0.2.99, asn: 65000, import: in}",
];

/// What agents say.
const TOLD: [(&str, &str); 3] = [
    (
        "h/h1",
        r#"{"apiVersion":"poplin.dev/v1","kind":"Host","metadata":{"name":"h1"},"spec":{"addresses":["192.0.2.1"],"routerId":"192.0.2.1"}}"#,
    ),
    (
        "e/web",
        r#"{"apiVersion":"poplin.dev/v1","kind":"Endpoint","metadata":{"name":"web"},"spec":{"host":"h1","addresses":["10.77.9.9/32"],"interface":"pop0","containerInterface":"eth0","mac":"02:00:00:00:00:01","attachment":"c1/eth0","netns":"/run/netns/c1","mtuBytes":1500,"network":"shop"}}"#,
    ),
    ("b/main/10.77.9.0-26", r#"{"cidr":"10.77.9.0/26","pool":"main","host":"h1","taken":{"9":"c1/eth0"}}"#),
];

/// Calls that are right, and calls that do not fit what stands, each for another reason.
const CALLS: [&str; 24] = [
    "kind: Pool, metadata: {name: main}, spec: {cidr: 10.77.0.0/16, blockSize: 27}",
    "kind: Pool, metadata: {name: main}, spec: {cidr: 10.77.0.0/16, disabled: true}",
    "kind: Pool, metadata: {name: spare}, spec: {cidr: 10.79.0.0/16}",
    "kind: Pool, metadata: {name: third}, spec: {cidr: 10.78.4.0/24}",
    "kind: Pool, metadata: {name: third}, spec: {cidr: 198.51.100.0/24}",
    "kind: Pool, metadata: {name: third}, spec: {cidr: 192.0.2.0/24, lan: true}",
    "kind: Pool, metadata: {name: third}, spec: {cidr: 10.80.0.0/16, nat: {address: 198.51.100.9}}",
    "kind: Network, metadata: {name: shop}, spec: {subnets: [10.77.7.0/24]}",
    "kind: Network, metadata: {name: empty}, spec: {subnets: [10.77.7.0/24]}",
    "kind: Network, metadata: {name: other}, spec: {subnets: [10.77.9.0/25]}",
    "kind: Network, metadata: {name: bank}, spec: {}",
    "kind: Service, metadata: {name: web}, spec: {addresses: [198.51.100.7], endpoints: all()}",
    "kind: Service, metadata: {name: web}, spec: {addresses: [198.51.100.9], endpoints: all()}",
    "kind: Service, metadata: {name: web}, spec: {addresses: [10.78.0.9], endpoints: all()}",
    "kind: FloatingAddress, metadata: {name: two}, spec: {address: 198.51.100.10, endpoint: web}",
    "kind: FloatingAddress, metadata: {name: two}, spec: {address: 192.0.2.1}",
    "kind: Policy, metadata: {name: web}, spec: {tier: back, egress: [{action: deny, to: {sets: [home]}}]}",
    "kind: Policy, metadata: {name: web}, spec: {tier: frnt, ingress: []}",
    "kind: Policy, metadata: {name: web}, spec: {ingress: [{action: allow, from: {sets: [offise]}}]}",
    "kind: Peer, metadata: {name: tor}, spec: {address: 192.0.2.99, asn: 65000, import: out}",
    "kind: Peer, metadata: {name: tor}, spec: {address: 192.0.2.98, asn: 65000, import: in}",
    "kind: Host, metadata: {name: h1, labels: {rack: r1}}, spec: {addresses: [192.0.2.1], routerId: 192.0.2.1}",
    "kind: AddressSet, metadata: {name: office}, spec: {nets: [192.0.2.0/24, 192.0.4.0/24]}",
    "kind: Tier, metadata: {name: default}, spec: {order: 1}",
];

impl Shelf {
    async fn furnished() -> Self {
        let shelf = Self::new().await;
        for document in DECLARED {
            shelf.apply(&format!("{{apiVersion: poplin.dev/v1, {document}}}")).await.unwrap();
        }
        for (key, value) in TOLD {
            shelf.claim(&format!("{ROOT}{key}"), value).await;
        }
        shelf
    }

    async fn part(&self, bearing: &Bearing) -> Snapshot {
        self.store.select(&bearing.parts()).await.unwrap()
    }
}

#[tokio::test]
async fn a_call_is_judged_alike_by_what_bears_on_it_and_by_all() {
    let shelf = Shelf::furnished().await;
    let all = shelf.store.snapshot(ROOT).await.unwrap();
    let mut fit = 0;

    for call in CALLS {
        let text = format!("{{apiVersion: poplin.dev/v1, {call}}}");
        let documents = apply::documents_in(&[manifest(&text)], &[]).unwrap();
        let part = shelf.part(&Bearing::of_few(&documents).unwrap()).await;
        let of = |snapshot| apply::Work::of(&documents, snapshot).map(|work| work.transaction);
        match (of(&part), of(&all)) {
            (Ok(by_part), Ok(by_all)) => {
                assert_eq!(by_part, by_all, "{call}");
                fit += 1;
            }
            (Err(by_part), Err(by_all)) => assert_eq!(by_part[0].reason, by_all[0].reason, "{call}"),
            (by_part, by_all) => panic!("{call}: {by_part:?}, and by all {by_all:?}"),
        }
        assert!(part.entries.len() < all.entries.len(), "{call}");
    }

    assert_eq!(fit, 8);
}

#[tokio::test]
async fn a_removal_is_judged_alike_by_what_bears_on_it_and_by_all() {
    let shelf = Shelf::furnished().await;
    let all = shelf.store.snapshot(ROOT).await.unwrap();
    let names = DECLARED.iter().map(|document| {
        let (kind, rest) = document["kind: ".len()..].split_once(", metadata: {name: ").unwrap();
        path_of_name(kind, rest.split(['}', ',']).next().unwrap()).unwrap()
    });
    let told = TOLD.iter().map(|(key, _)| format!("{ROOT}{key}")).filter(|key| !key.contains("/b/"));
    let mut gone = 0;

    for path in names.chain(told) {
        let key = key_of(&path).unwrap();
        let part = shelf.part(&Bearing::on_removal(&key)).await;
        let of = |snapshot| delete::removal(&[key.clone()].into(), snapshot);
        match (of(&part), of(&all)) {
            (Ok(by_part), Ok(by_all)) => {
                assert_eq!(by_part, by_all, "{path}");
                gone += 1;
            }
            (Err(by_part), Err(by_all)) => assert_eq!(by_part[0].message, by_all[0].message, "{path}"),
            (by_part, by_all) => panic!("{path}: {by_part:?}, and by all {by_all:?}"),
        }
    }

    assert_eq!(gone, 9);
}
