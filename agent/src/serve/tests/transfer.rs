//! What one store exports another takes in, whole or in parts.

use std::fmt::Write as _;
use std::sync::atomic::AtomicUsize;

use async_trait::async_trait;
use poplin_proto::v1::{ExportRequest, ImportResponse, Record};

use super::*;
use crate::serve::export;
use crate::serve::import::{Import, import};
use crate::store::{LeaseId, Outcome, Part, Revision, Snapshot, StoreError, Watch};
use std::time::Duration;

const BLOCK: &str = r#"{"cidr":"10.1.0.0/26","pool":"one","host":"h1","taken":{"3":"c/eth0"}}"#;

const HOST: &str =
    r#"{"apiVersion":"poplin.dev/v1","kind":"Host","metadata":{"name":"h1"},"spec":{"routerId":"192.0.2.1"}}"#;

/// A store that is lost from sight after so many transactions.
struct Cut(Arc<dyn Store>, AtomicUsize);

#[async_trait]
impl Store for Cut {
    fn kind(&self) -> &'static str {
        self.0.kind()
    }
    fn location(&self) -> String {
        self.0.location()
    }
    async fn snapshot(&self, prefix: &str) -> Result<Snapshot, StoreError> {
        self.0.snapshot(prefix).await
    }

    async fn select(&self, parts: &[Part]) -> Result<Snapshot, StoreError> {
        self.0.select(parts).await
    }
    async fn watch(&self, prefix: &str, after: Revision) -> Result<Watch, StoreError> {
        self.0.watch(prefix, after).await
    }
    async fn transact(&self, transaction: Transaction) -> Result<Outcome, StoreError> {
        let is_cut = self.1.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err();
        match is_cut {
            true => Err(StoreError::WentBack { seen: 2, now: 1 }),
            false => self.0.transact(transaction).await,
        }
    }
    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        self.0.grant(ttl).await
    }
    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.0.keep_alive(lease).await
    }
    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.0.revoke(lease).await
    }
    async fn compact(&self, at: Revision) -> Result<(), StoreError> {
        self.0.compact(at).await
    }
}

/// What is exported, as it is imported.
async fn exported(shelf: &Shelf, all: bool, merge: bool) -> Import {
    let mut wanted = Import::with(merge, false);
    for answer in export::export(&*shelf.store, &ExportRequest { all }).await.unwrap() {
        assert_eq!(answer.unreadable, "");
        let manifest = answer.resource.map(|resource| manifest(&serde_saphyr::to_string(&resource).unwrap()));
        wanted.take(manifest, answer.record).unwrap();
    }
    wanted
}

async fn taken(shelf: &Shelf, wanted: &Import) -> Result<ImportResponse, Failure> {
    import(&*shelf.store, wanted).await.map_err(|status| Failure::all_from_status(&status).swap_remove(0))
}

/// Everything but what belongs to a store itself.
async fn everything(shelf: &Shelf) -> Vec<(String, String)> {
    let entries = shelf.store.snapshot("/poplin/v1/").await.unwrap().entries.into_iter();
    let entries = entries.filter(|entry| !entry.key.contains("/meta/"));
    entries.map(|entry| (entry.key, String::from_utf8(entry.value).unwrap())).collect()
}

async fn fabric() -> Shelf {
    let shelf = Shelf::new().await;
    let tier = "apiVersion: poplin.dev/v1\nkind: Tier\nmetadata: {name: front}\nspec: {order: 5}\n";
    let policy = policy("db", "  tier: front\n  ingress: []");
    shelf.apply(&format!("{}---\n{tier}---\n{policy}", pool("one", "10.1.0.0/16"))).await.unwrap();
    shelf
        .apply("apiVersion: poplin.dev/v1\nkind: Policy\nmetadata: {name: db, namespace: shop}\nspec: {egress: []}\n")
        .await
        .unwrap();
    shelf
}

fn many(count: usize) -> String {
    let mut yaml = String::new();
    for number in 0..count {
        let _ = write!(yaml, "---\n{}", policy(&format!("p{number:03}"), "  ingress: []"));
    }
    yaml
}

#[tokio::test]
async fn what_was_declared_goes_from_one_store_to_another_at_once() {
    let (from, to) = (fabric().await, Shelf::new().await);

    let answer = taken(&to, &exported(&from, false, false).await).await.unwrap();

    assert_eq!((answer.created, answer.transactions), (4, 1));
    assert_eq!(everything(&to).await, everything(&from).await);
}

#[tokio::test]
async fn a_store_that_holds_objects_takes_an_import_only_when_told_to() {
    let (from, to) = (fabric().await, Shelf::new().await);
    to.apply(&policy("own", "  ingress: []")).await.unwrap();
    to.apply(&policy("db", "  egress: []")).await.unwrap();

    let failure = taken(&to, &exported(&from, false, false).await).await.unwrap_err();
    assert_eq!(failure.reason, "NOT_EMPTY");
    assert_eq!(to.names("Policy").await, ["db", "own"]);

    let answer = taken(&to, &exported(&from, false, true).await).await.unwrap();
    assert_eq!((answer.created, answer.configured, answer.unchanged), (3, 1, 0));
    let again = taken(&to, &exported(&from, false, true).await).await.unwrap();
    assert_eq!((again.created, again.configured, again.unchanged, again.transactions), (0, 0, 4, 0));
}

#[tokio::test]
async fn an_import_that_was_cut_short_goes_on_where_it_ended_and_no_other_does() {
    let to = Shelf::new().await;
    let wanted = |text: String| {
        let mut wanted = Import::with(false, false);
        wanted.take(Some(manifest(&text)), None).unwrap();
        wanted
    };
    let cut = Cut(to.store.clone(), AtomicUsize::new(2)); // the mark, and a hundred
    assert!(import(&cut, &wanted(many(250))).await.is_err());
    assert_eq!(to.names("Policy").await.len(), 100);

    assert_eq!(taken(&to, &wanted(many(249))).await.unwrap_err().reason, "IMPORT_UNDER_WAY");
    let answer = taken(&to, &wanted(many(250))).await.unwrap();

    assert_eq!((answer.created, answer.unchanged, answer.transactions), (150, 100, 2));
    assert_eq!(to.names("Policy").await.len(), 250);
    assert_eq!(taken(&to, &wanted(many(250))).await.unwrap_err().reason, "NOT_EMPTY", "it is over");
}

#[tokio::test]
async fn one_bad_object_keeps_all_of_a_large_import_away() {
    let to = Shelf::new().await;
    let mut wanted = Import::with(false, false);
    wanted.take(Some(manifest(&many(150))), None).unwrap();
    wanted.take(Some(manifest(&policy("lost", "  tier: nowhere\n  ingress: []"))), None).unwrap();

    assert!(taken(&to, &wanted).await.unwrap_err().message.contains("nowhere"));

    assert!(everything(&to).await.is_empty());
}

#[tokio::test]
async fn records_go_where_there_are_none_and_where_they_agree() {
    let from = fabric().await;
    from.claim("/poplin/v1/b/one/10.1.0.0-26", &BLOCK.replace("{\"3\":\"c/eth0\"}", "{}")).await;
    from.claim("/poplin/v1/h/h1", HOST).await;
    let whole = exported(&from, true, false).await;
    assert_eq!(whole.records.len(), 2);
    let to = Shelf::new().await;

    assert_eq!(taken(&to, &whole).await.unwrap().records, 2);
    assert_eq!(everything(&to).await, everything(&from).await);

    let other = Record { key: "b/one/10.1.0.0-26".to_owned(), value: BLOCK.replace("h1", "h2") };
    let mut wanted = Import::with(true, false);
    wanted.take(None, Some(other)).unwrap();
    assert_eq!(taken(&to, &wanted).await.unwrap_err().reason, "RECORD_DIFFERS");
    let mut leaks = Import::with(true, false);
    let record = Record { key: "b/one/10.1.0.64-26".to_owned(), value: BLOCK.replace("10.1.0.0/", "10.1.0.64/") };
    leaks.take(None, Some(record)).unwrap();
    let failure = taken(&to, &leaks).await.unwrap_err();
    assert_eq!(failure.reason, "RECORDS_DISAGREE", "{}", failure.message);
}

#[tokio::test]
async fn what_cannot_be_read_is_named_and_not_exported() {
    let from = fabric().await;
    from.claim("/poplin/v1/c/policy/db", "garbage").await;

    let answers = export::export(&*from.store, &ExportRequest { all: false }).await.unwrap();

    let unreadable: Vec<_> = answers.iter().filter(|answer| !answer.unreadable.is_empty()).collect();
    assert_eq!(unreadable.len(), 1);
    assert!(unreadable[0].unreadable.contains("/poplin/v1/c/policy/db"), "{}", unreadable[0].unreadable);
    assert_eq!(answers.iter().filter(|answer| answer.resource.is_some()).count(), 3);
}

#[tokio::test]
async fn what_another_hand_changed_since_an_import_was_cut_short_is_not_written_over() {
    let to = Shelf::new().await;
    let wanted = |merge| {
        let mut wanted = Import::with(merge, false);
        wanted.take(Some(manifest(&many(250))), None).unwrap();
        wanted
    };
    assert!(import(&Cut(to.store.clone(), AtomicUsize::new(2)), &wanted(false)).await.is_err());
    to.apply(&policy("p007", "  egress: []")).await.unwrap();

    let failure = taken(&to, &wanted(false)).await.unwrap_err();
    assert_eq!(failure.reason, "CHANGED");
    assert!(failure.message.contains("/c/policy/p007"), "{}", failure.message);
    let answer = taken(&to, &wanted(true)).await.unwrap();
    assert_eq!((answer.created, answer.configured), (150, 1));
}

/// A store in which another hand writes a key before one of the transactions.
struct Meddled(Arc<dyn Store>, AtomicUsize, &'static str);

impl Meddled {
    fn value(&self) -> &'static str {
        match self.2.contains("/policy/") {
            true => r#"{"apiVersion":"poplin.dev/v1","kind":"Policy","metadata":{"name":"p150"},"spec":{"egress":[]}}"#,
            false => HOST,
        }
    }
}

#[async_trait]
impl Store for Meddled {
    fn kind(&self) -> &'static str {
        self.0.kind()
    }
    fn location(&self) -> String {
        self.0.location()
    }
    async fn snapshot(&self, prefix: &str) -> Result<Snapshot, StoreError> {
        self.0.snapshot(prefix).await
    }

    async fn select(&self, parts: &[Part]) -> Result<Snapshot, StoreError> {
        self.0.select(parts).await
    }
    async fn watch(&self, prefix: &str, after: Revision) -> Result<Watch, StoreError> {
        self.0.watch(prefix, after).await
    }
    async fn transact(&self, transaction: Transaction) -> Result<Outcome, StoreError> {
        if self.1.fetch_sub(1, Ordering::Relaxed) == 0 {
            let put = crate::store::Operation::Put { key: self.2.to_owned(), value: self.value().into(), lease: None };
            let put = Transaction { compares: vec![], operations: vec![put] };
            self.0.transact(put).await?;
        }
        self.0.transact(transaction).await
    }
    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        self.0.grant(ttl).await
    }
    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.0.keep_alive(lease).await
    }
    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.0.revoke(lease).await
    }
    async fn compact(&self, at: Revision) -> Result<(), StoreError> {
        self.0.compact(at).await
    }
}

#[tokio::test]
async fn an_import_names_what_another_hand_wrote_meanwhile_and_ends() {
    for (key, reason) in [("/poplin/v1/c/policy/p150", "CHANGED"), ("/poplin/v1/meta/importing", "IMPORT_UNDER_WAY")] {
        let to = Shelf::new().await;
        let mut wanted = Import::with(false, false);
        wanted.take(Some(manifest(&many(250))), None).unwrap();

        let outcome = import(&Meddled(to.store.clone(), AtomicUsize::new(2), key), &wanted).await;

        let failure = Failure::all_from_status(&outcome.unwrap_err()).swap_remove(0);
        assert_eq!(failure.reason, reason, "{}", failure.message);
    }
}

#[tokio::test]
async fn a_host_that_writes_itself_down_meanwhile_is_in_nobodys_way() {
    let to = Shelf::new().await;
    let mut wanted = Import::with(false, false);
    wanted.take(Some(manifest(&many(150))), None).unwrap();
    wanted.take(None, Some(Record { key: "h/h1".to_owned(), value: HOST.to_owned() })).unwrap();

    let store = Meddled(to.store.clone(), AtomicUsize::new(2), "/poplin/v1/h/h1");

    assert_eq!(import(&store, &wanted).await.unwrap().transactions, 3);
}

#[tokio::test]
async fn a_new_store_with_the_pool_it_begins_with_counts_as_empty() {
    let (from, to) = (fabric().await, Shelf::new().await);
    to.claim("/poplin/v1/c/pool/default", crate::run::DEFAULT_POOL).await;

    taken(&to, &exported(&from, false, false).await).await.unwrap();

    assert_eq!(everything(&to).await, everything(&from).await);
}

#[tokio::test]
async fn a_block_that_got_more_holders_since_the_export_stays_as_it_is() {
    let to = fabric().await;
    to.claim("/poplin/v1/b/one/10.1.0.0-26", &BLOCK.replace("{\"3\":\"c/eth0\"}", "{}")).await;
    let mut wanted = exported(&to, true, true).await;
    wanted.records.retain(|record| record.key.starts_with("b/"));
    to.claim("/poplin/v1/b/one/10.1.0.0-26", BLOCK).await;

    let answer = taken(&to, &wanted).await.unwrap();

    assert_eq!((answer.records, answer.transactions), (0, 0));
}

#[tokio::test]
async fn keys_of_kinds_of_a_later_version_are_named_in_an_export() {
    let from = fabric().await;
    from.claim("/poplin/v1/c/quota/gold", "{}").await;

    let answers = export::export(&*from.store, &ExportRequest { all: false }).await.unwrap();

    let named: Vec<_> = answers.iter().filter(|answer| !answer.unreadable.is_empty()).collect();
    assert!(named.len() == 1 && named[0].unreadable.contains("c/quota/gold"), "{named:?}");
}
