//! Networks: what the server adds, and what it refuses.

use std::collections::BTreeSet;

use poplin_proto::v1::NetworkSpec;
use poplin_proto::v1::resource::Object;

use super::*;

fn network(name: &str, spec: &str) -> String {
    format!("apiVersion: poplin.dev/v1\nkind: Network\nmetadata: {{name: {name}}}\nspec: {spec}\n")
}

impl Shelf {
    async fn with_pool() -> Self {
        let shelf = Self::new().await;
        shelf.apply(&pool("main", "10.77.0.0/16")).await.unwrap();
        shelf
    }

    async fn network(&self, name: &str) -> NetworkSpec {
        match list::get(&*self.store, "Network", name).await.unwrap().object {
            Some(Object::Network(network)) => network.spec.unwrap(),
            other => panic!("{other:?} is no network"),
        }
    }
}

#[tokio::test]
async fn a_network_gets_a_number_and_addresses_and_keeps_them() {
    let shelf = Shelf::with_pool().await;
    shelf.apply(&network("shop", "{}")).await.unwrap();
    let shop = shelf.network("shop").await;

    let again = shelf.apply(&network("shop", "{}")).await.unwrap();
    shelf.apply(&network("shop", "{internal: true}")).await.unwrap();

    assert_eq!(again.results[0].outcome, i32::from(Outcome::Unchanged));
    assert!(shop.index > 0 && shop.subnets[0].ends_with(".0/24"), "{shop:?}");
    assert_eq!(shelf.network("shop").await, NetworkSpec { internal: true, ..shop });
}

#[tokio::test]
async fn networks_made_in_one_call_share_nothing() {
    let shelf = Shelf::with_pool().await;
    let three = ["a", "b", "c"].map(|name| network(name, "{}")).join("---\n");

    shelf.apply(&three).await.unwrap();

    let mut seen = BTreeSet::new();
    for name in ["a", "b", "c"] {
        let spec = shelf.network(name).await;
        assert!(seen.insert(spec.index.to_string()) && seen.insert(spec.subnets.join(" ")), "{spec:?}");
    }
}

#[tokio::test]
async fn a_pools_name_stands_for_its_range_and_the_pool_then_stays() {
    let shelf = Shelf::with_pool().await;
    let both = pool("side", "10.99.0.0/24") + "---\n" + &network("shop", "{subnets: [side]}");

    shelf.apply(&both).await.unwrap();

    assert_eq!(shelf.network("shop").await.subnets, ["10.99.0.0/24"]);
    let refusal = shelf.delete("Pool", "side").await.unwrap_err();
    assert_eq!(refusal.message, "pool side has the addresses of network shop");
    shelf.delete("Network", "shop").await.unwrap();
    shelf.delete("Pool", "side").await.unwrap();
}

#[tokio::test]
async fn addresses_of_another_network_or_of_no_pool_are_refused_by_name() {
    let shelf = Shelf::with_pool().await;
    shelf.apply(&network("shop", "{subnets: [10.77.8.0/22]}")).await.unwrap();

    let overlap = shelf.refused(&network("bank", "{subnets: [10.77.9.0/24]}")).await;
    let nowhere = shelf.refused(&network("bank", "{subnets: [10.99.0.0/24]}")).await;
    let range = shelf.refused(&network("bank", "{subnets: [10.77.0.0/24], ranges: [10.77.1.0/25]}")).await;

    assert!(overlap.message.contains("network shop has a subnet or the index of it already"), "{}", overlap.message);
    assert!(nowhere.message.contains("10.99.0.0/24 lies in no pool"), "{}", nowhere.message);
    assert!(range.message.contains("10.77.1.0/25 is in none of the subnets"), "{}", range.message);
    assert!(shelf.names("Network").await == ["shop"]);
}

#[tokio::test]
async fn a_network_may_ask_for_any_addresses_of_one_family() {
    let shelf = Shelf::with_pool().await;
    shelf.apply(&pool("main-v6", "'fd77::/48'")).await.unwrap();

    shelf.apply(&network("four", "{subnets: [ipv4]}")).await.unwrap();
    shelf.apply(&network("both", "{}")).await.unwrap();

    let four = shelf.network("four").await;
    assert!(four.subnets.len() == 1 && four.subnets[0].starts_with("10.77."), "{four:?}");
    shelf.apply(&network("four", "{subnets: [ipv4]}")).await.unwrap();
    assert_eq!(shelf.network("four").await, four, "and keeps them");
    assert_eq!(shelf.network("both").await.subnets.len(), 2);
}

#[tokio::test]
async fn a_fabric_without_room_says_so() {
    let shelf = Shelf::new().await;

    let refusal = shelf.refused(&network("shop", "{}")).await;

    assert!(refusal.message.contains("no pool has 256 addresses that are nobody's"), "{}", refusal.message);
}
