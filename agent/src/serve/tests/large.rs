//! Files of thousands of objects, and sets of a hundred thousand prefixes.

use std::fmt::Write as _;
use std::time::Duration;

use poplin_proto::v1::{ExportRequest, Resource};

use super::*;
use crate::serve::export;
use crate::serve::import::{Import, import};
use crate::store::follow;
use crate::trial;

fn policies(count: usize, spec: &str) -> String {
    let mut yaml = String::new();
    for number in 0..count {
        let _ = write!(yaml, "---\n{}", policy(&format!("p{number:05}"), spec));
    }
    yaml
}

fn set(name: &str, count: usize) -> Resource {
    let nets = (0..count).map(|n| format!("10.{}.{}.{}/32", n >> 16, (n >> 8) & 255, n & 255)).collect();
    let metadata = poplin_proto::v1::Metadata { name: name.to_owned(), ..Default::default() };
    Resource::from(poplin_proto::v1::AddressSet {
        api_version: "poplin.dev/v1".to_owned(),
        kind: "AddressSet".to_owned(),
        metadata: Some(metadata),
        spec: Some(poplin_proto::v1::AddressSetSpec { nets }),
    })
}

fn of(resources: Vec<Resource>) -> ApplyRequest {
    ApplyRequest { resources, ..ApplyRequest::default() }
}

fn outcomes(answer: &ApplyResponse, wanted: Outcome) -> usize {
    answer.results.iter().filter(|line| line.outcome() == wanted).count()
}

async fn nets(shelf: &Shelf, name: &str) -> usize {
    let found = list::get(&*shelf.store, "AddressSet", name).await.unwrap();
    serde_json::from_str::<serde_json::Value>(&found.to_json().unwrap()).unwrap()["spec"]["nets"]
        .as_array()
        .map_or(0, Vec::len)
}

#[tokio::test]
async fn thousands_of_objects_are_applied_at_once_and_each_is_told_of() {
    let shelf = Shelf::new().await;

    let answer = shelf.apply(&policies(3_000, "  ingress: []")).await.unwrap();
    assert_eq!(outcomes(&answer, Outcome::Created), 3_000);

    let again = shelf.apply(&policies(3_001, "  ingress: []")).await.unwrap();
    assert_eq!((outcomes(&again, Outcome::Unchanged), outcomes(&again, Outcome::Created)), (3_000, 1));
    let changed = shelf.apply(&policies(3_001, "  egress: []")).await.unwrap();
    assert_eq!(outcomes(&changed, Outcome::Configured), 3_001);
}

#[tokio::test]
async fn one_bad_object_or_one_old_version_among_thousands_refuses_all_of_them() {
    let shelf = Shelf::new().await;
    shelf.apply(&policies(300, "  ingress: []")).await.unwrap();
    let changed = policies(300, "  egress: []");

    let bad = shelf.refused(&format!("{changed}---\n{}", policy("lost", "  tier: nowhere\n  ingress: []"))).await;
    assert_eq!(bad.reason, "UNKNOWN_TIER");
    assert!(bad.advice.is_some_and(|advice| advice.ends_with("there are: kube-admin, default, kube-baseline")));
    let unset = shelf.refused(&policy("lost", "  ingress:\n  - {action: allow, from: {sets: [nowhere]}}")).await;
    assert!(unset.advice.is_some_and(|advice| advice.ends_with("there are none")));
    let old = changed.replacen("{name: p00007}", "{name: p00007, resourceVersion: 1}", 1);
    assert_eq!(shelf.refused(&old).await.reason, "CONFLICT");

    let unchanged = shelf.apply(&policies(300, "  ingress: []")).await.unwrap();
    assert_eq!(outcomes(&unchanged, Outcome::Unchanged), 300, "nothing of it was written");
}

#[tokio::test]
async fn what_is_said_twice_among_thousands_is_named() {
    let shelf = Shelf::new().await;

    let failure =
        shelf.refused(&format!("{}---\n{}", policies(300, "  ingress: []"), policy("p00123", "  egress: []"))).await;

    assert_eq!((failure.reason.as_str(), failure.message.contains("p00123")), ("DUPLICATE", true));
}

#[tokio::test]
async fn a_dry_run_of_thousands_writes_nothing() {
    let shelf = Shelf::new().await;
    let before = shelf.store.snapshot("").await.unwrap().revision;

    let manifests = vec![manifest(&policies(300, "  ingress: []"))];
    let answer = shelf.request(ApplyRequest { manifests, dry_run: true, ..ApplyRequest::default() }).await.unwrap();

    assert_eq!(outcomes(&answer, Outcome::Created), 300);
    assert_eq!(shelf.store.snapshot("").await.unwrap().revision, before);
}

#[tokio::test]
async fn too_many_objects_are_refused_with_their_number_and_the_bound() {
    let shelf = Shelf::new().await;

    let failure = shelf.request(of(vec![set("one", 1); 50_001])).await.unwrap_err().swap_remove(0);

    assert_eq!(failure.message, "50001 objects were sent, at most 50000 go in one call");
    assert!(failure.advice.is_some_and(|advice| advice.contains("several calls")));
}

#[tokio::test]
async fn a_large_change_on_trial_is_taken_back_but_for_what_somebody_changed_since() {
    let shelf = Shelf::new().await;
    shelf.apply(&policies(150, "  ingress: []")).await.unwrap();
    let manifests = vec![manifest(&policies(300, "  egress: []"))];
    let request = ApplyRequest { manifests, confirm_within_seconds: 1, ..ApplyRequest::default() };
    let answer = shelf.request(request).await.unwrap();
    assert_eq!((answer.trial.is_empty(), outcomes(&answer, Outcome::Created)), (false, 150));
    shelf.apply(&policy("p00299", "  ingress: []")).await.unwrap();

    let keeper = tokio::spawn(trial::keep(shelf.store.clone(), "h1".to_owned()));
    let mut news = follow(shelf.store.clone(), "/poplin/v1/c/policy/".to_owned());
    loop {
        tokio::time::timeout(Duration::from_secs(30), news.recv()).await.expect("it is taken back").unwrap();
        if shelf.names("Policy").await.len() < 300 {
            break;
        }
    }

    assert_eq!(shelf.names("Policy").await.len(), 151);
    let before = shelf.apply(&policies(150, "  ingress: []")).await.unwrap();
    assert_eq!(outcomes(&before, Outcome::Unchanged), 150);
    keeper.abort();
}

#[tokio::test]
async fn what_came_on_trial_stays_where_others_lean_on_it_since() {
    let shelf = Shelf::new().await;
    let tier =
        |name: &str| format!("---\napiVersion: poplin.dev/v1\nkind: Tier\nmetadata: {{name: {name}}}\nspec: {{}}\n");
    let used = policy("p", "  tier: own\n  ingress: []");
    let manifests = vec![manifest(&format!("{}{}{}---\n{used}", tier("kept"), tier("own"), tier("idle")))];
    let request = ApplyRequest { manifests, confirm_within_seconds: 1, ..ApplyRequest::default() };
    shelf.request(request).await.unwrap();
    shelf.apply(&policy("db", "  tier: kept\n  ingress: []")).await.unwrap();

    taken_back(&shelf).await;

    assert_eq!(
        (shelf.names("Tier").await, shelf.names("Policy").await),
        (vec!["kept".to_owned()], vec!["db".to_owned()])
    );
}

#[tokio::test]
async fn changes_on_trial_upon_one_another_are_all_taken_back() {
    let shelf = Shelf::new().await;
    shelf.apply(&policy("db", "  ingress: []")).await.unwrap();
    for (seconds, change) in [(1, "  egress: []"), (2, "  ingress: []\n  egress: []"), (3, "  order: 7\n  egress: []")]
    {
        let manifests = vec![manifest(&policy("db", change))];
        let request = ApplyRequest { manifests, confirm_within_seconds: seconds, ..ApplyRequest::default() };
        shelf.request(request).await.unwrap();
    }

    taken_back(&shelf).await;

    let before = shelf.apply(&policy("db", "  ingress: []")).await.unwrap();
    assert_eq!(outcomes(&before, Outcome::Unchanged), 1, "nobody confirmed any of them");
}

/// Until nothing is on trial.
async fn taken_back(shelf: &Shelf) {
    let keeper = tokio::spawn(trial::keep(shelf.store.clone(), "h1".to_owned()));
    let mut news = follow(shelf.store.clone(), "/poplin/v1/t/".to_owned());
    while !shelf.store.snapshot("/poplin/v1/t/").await.unwrap().entries.is_empty() {
        tokio::time::timeout(Duration::from_secs(30), news.recv()).await.expect("they are taken back").unwrap();
    }
    keeper.abort();
}

#[tokio::test]
async fn a_large_change_that_is_confirmed_stays() {
    let shelf = Shelf::new().await;
    let manifests = vec![manifest(&policies(300, "  egress: []"))];
    let request = ApplyRequest { manifests, confirm_within_seconds: 3_600, ..ApplyRequest::default() };
    let answer = shelf.request(request).await.unwrap();

    assert_eq!(trial::confirm(&*shelf.store, "").await.unwrap(), answer.trial);

    assert!(shelf.store.snapshot("/poplin/v1/t/").await.unwrap().entries.is_empty());
    assert_eq!(shelf.names("Policy").await.len(), 300);
}

#[tokio::test]
async fn a_set_of_a_hundred_thousand_prefixes_is_an_object_like_any_other() {
    let shelf = Shelf::new().await;
    shelf.request(of(vec![set("big", 100_000), set("small", 3)])).await.unwrap();
    assert_eq!(nets(&shelf, "big").await, 100_000);

    let answer = shelf.request(of(vec![set("big", 100_002)])).await.unwrap();
    assert_eq!(outcomes(&answer, Outcome::Configured), 1);
    assert_eq!(nets(&shelf, "big").await, 100_002);
    let answer = shelf.request(of(vec![set("big", 100_002)])).await.unwrap();
    assert_eq!(outcomes(&answer, Outcome::Unchanged), 1);

    let rule = "  ingress: [{action: allow, from: {sets: [big]}}]";
    shelf.apply(&policy("leans", rule)).await.unwrap();
    assert_eq!(shelf.delete("AddressSet", "big").await.unwrap_err().reason, "IN_USE");
    shelf.delete("Policy", "leans").await.unwrap();
    shelf.delete("AddressSet", "big").await.unwrap();
    assert_eq!(shelf.names("AddressSet").await, ["small"]);
}

#[tokio::test]
async fn large_sets_come_in_pages_that_go_into_a_message() {
    let shelf = Shelf::new().await;
    let sets = ["a", "b", "c", "d", "e"].map(|name| set(name, 100_000));
    shelf.request(of(sets.to_vec())).await.unwrap();

    let mut request = ListRequest { kind: "AddressSet".to_owned(), ..ListRequest::default() };
    let mut found = Vec::new();
    loop {
        let page = list::list(&*shelf.store, &request).await.unwrap();
        assert!(prost::Message::encoded_len(&page) < 4 << 20);
        found.extend(page.resources.iter().map(|one| one.name().to_owned()));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }

    assert_eq!(found, ["a", "b", "c", "d", "e"]);
}

#[tokio::test]
async fn a_large_set_goes_from_one_store_to_another() {
    let (from, to) = (Shelf::new().await, Shelf::new().await);
    from.request(of(vec![set("big", 100_000)])).await.unwrap();

    let answers = export::export(&*from.store, &ExportRequest { all: true }).await.unwrap();
    let mut wanted = Import::with(false, false);
    for answer in answers {
        assert_eq!(answer.unreadable, "");
        let text = answer.resource.map(|resource| serde_saphyr::to_string(&resource).unwrap());
        wanted.take(text.map(|text| manifest(&text)), answer.record).unwrap();
    }
    import(&*to.store, &wanted).await.unwrap();

    assert_eq!(nets(&to, "big").await, 100_000);
}
