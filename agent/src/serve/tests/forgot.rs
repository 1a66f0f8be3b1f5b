//! A store that forgot: what only agents say of it stays, and a person may end the waiting.

use poplin_node::lineage::{Id, Lineage};
use poplin_node::name::HostName;
use poplin_node::object::{Host, Object};
use poplin_node::status::Contested;
use poplin_proto::v1::RemoveHostRequest;

use super::Shelf;
use crate::resource::{ROOT, decode};
use crate::serve::ipam::contested;
use crate::serve::{accept, remove_host};
use crate::store::Entry;

const H1: &str = r#"{"apiVersion":"poplin.dev/v1","kind":"Host","metadata":{"name":"h1"},"spec":{"addresses":["192.0.2.1"],"routerId":"192.0.2.1","told":"00000000000000aa"}}"#;
const LINEAGE: &str = r#"{"fabric":"0000000000000001","history":"00000000000000aa","awaited":["h1","h2","h3"]}"#;

impl Shelf {
    /// The store forgot, and of three hosts the first has told what it knew.
    async fn forgetful() -> Self {
        let shelf = Self::new().await;
        shelf.claim("/poplin/v1/h/h1", H1).await;
        shelf.claim("/poplin/v1/meta/lineage", LINEAGE).await;
        shelf
    }

    async fn objects(&self) -> Vec<Object> {
        let snapshot = self.store.snapshot(ROOT).await.unwrap();
        snapshot.entries.iter().filter_map(decode).map(|object| object.unwrap().value).collect()
    }

    async fn lineage(&self) -> Lineage {
        let objects = self.objects().await;
        objects.iter().find_map(|object| <&Lineage>::try_from(object).ok()).unwrap().clone()
    }
}

#[tokio::test]
async fn whatever_is_applied_to_a_host_what_its_agent_has_told_stays() {
    let shelf = Shelf::forgetful().await;
    let written = |told: &str| {
        format!(
            "{{apiVersion: poplin.dev/v1, kind: Host, metadata: {{name: h1, labels: {{rack: a}}}}, spec: {{addresses: [192.0.2.1], routerId: 192.0.2.1, drain: true{told}}}}}"
        )
    };
    for told in ["", ", told: 00000000000000bb"] {
        shelf.apply(&written(told)).await.unwrap();

        let objects = shelf.objects().await;
        let host = objects.iter().find_map(|object| <&Host>::try_from(object).ok()).unwrap();
        assert_eq!((host.told, host.is_draining), (Some(Id(0xaa)), true), "{told}");
    }
}

#[tokio::test]
async fn a_person_may_end_the_waiting_for_all_and_is_told_for_whom() {
    let shelf = Shelf::forgetful().await;

    let asked = accept::accept(&*shelf.store, true).await.unwrap();
    assert_eq!((asked.awaited, shelf.lineage().await.is_accepted), (vec!["h2".to_owned(), "h3".to_owned()], false));
    accept::accept(&*shelf.store, false).await.unwrap();

    assert!(shelf.lineage().await.is_accepted);
    assert!(accept::accept(&*shelf.store, false).await.unwrap().awaited.is_empty());
}

#[tokio::test]
async fn who_is_removed_is_awaited_no_more_even_if_the_store_has_nothing_else_of_him() {
    let shelf = Shelf::forgetful().await;

    let request = RemoveHostRequest { name: "h3".to_owned(), is_gone: true };
    remove_host::remove(&*shelf.store, &request).await.unwrap();

    let lineage = shelf.lineage().await;
    assert!(!lineage.awaited.iter().any(|host| host.as_str() == "h3") && lineage.awaited.len() == 2);
}

#[test]
fn of_two_that_claim_one_address_it_is_told_who_is_closed_who_is_open_and_what_to_do() {
    let text = r#"{"apiVersion":"poplin.dev/v1","kind":"Endpoint","metadata":{"name":"web"},"spec":{"host":"h1","addresses":["10.77.0.9/32"],"interface":"pop0","containerInterface":"eth0","mac":"02:00:00:00:00:01","attachment":"c1/eth0","netns":"/run/netns/c1","mtuBytes":1500}}"#;
    let key = "/poplin/v1/e/web".to_owned();
    let entry = Entry { key, value: text.into(), create_revision: 1, mod_revision: 1 };
    let endpoint = match decode(&entry).unwrap().unwrap().value {
        Object::Endpoint(endpoint) => endpoint,
        other => panic!("{other:?} is no endpoint"),
    };
    let (address, host) = (endpoint.addresses.first().copied(), HostName::new("h2"));

    let found = contested(&Contested { endpoint, address, rival: "db".to_owned(), host });

    let wanted = "10.77.0.9 is claimed twice since the store forgot: endpoint web of host h1 is closed off, db of host h2 is open";
    assert_eq!((found.reason.as_str(), found.message.as_str(), found.mended), ("CONTESTED", wanted, false));
    assert!(found.advice.contains("`poplin detach web` on host h1"), "{}", found.advice);
}
