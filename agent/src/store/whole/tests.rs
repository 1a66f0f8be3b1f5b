//! Large changes on a store that dies in the middle of them, and under the eyes of those who watch.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use super::*;
use crate::store::{Change, Compare, Embedded, Operation};

/// A store that does so many transactions more, and then dies with whoever uses it.
struct Dying {
    store: Arc<dyn Store>,
    left: AtomicUsize,
}

#[async_trait]
impl Store for Dying {
    fn kind(&self) -> &'static str {
        self.store.kind()
    }
    fn location(&self) -> String {
        self.store.location()
    }
    async fn snapshot(&self, prefix: &str) -> Result<Snapshot, StoreError> {
        self.store.snapshot(prefix).await
    }

    async fn select(&self, parts: &[Part]) -> Result<Snapshot, StoreError> {
        self.store.select(parts).await
    }
    async fn watch(&self, prefix: &str, after: Revision) -> Result<Watch, StoreError> {
        self.store.watch(prefix, after).await
    }
    async fn transact(&self, transaction: Transaction) -> Result<Outcome, StoreError> {
        match self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)) {
            Ok(_) => self.store.transact(transaction).await,
            Err(_) => Err(StoreError::WentBack { seen: 2, now: 1 }),
        }
    }
    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        self.store.grant(ttl).await
    }
    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.store.keep_alive(lease).await
    }
    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.store.revoke(lease).await
    }
    async fn compact(&self, at: Revision) -> Result<(), StoreError> {
        self.store.compact(at).await
    }
}

/// A store of its own, gone with the test.
struct Shelf {
    raw: Arc<dyn Store>,
    whole: Whole,
    directory: PathBuf,
}

static SHELVES: AtomicU32 = AtomicU32::new(0);

impl Shelf {
    async fn new() -> Self {
        let name = format!("poplin-whole-{}-{}", std::process::id(), SHELVES.fetch_add(1, Ordering::Relaxed));
        let directory = std::env::temp_dir().join(name);
        let raw: Arc<dyn Store> = Arc::new(Embedded::open(&directory.join("store.redb")).await.unwrap());
        Self { whole: Whole::over(raw.clone()), raw, directory }
    }

    /// Another agent on the same store, which dies after so many transactions.
    fn dying(&self, left: usize) -> Whole {
        Whole::over(Arc::new(Dying { store: self.raw.clone(), left: AtomicUsize::new(left) }))
    }

    /// How many policies stand with this value.
    async fn count(&self, value: &str) -> usize {
        let snapshot = self.whole.snapshot(ROOT).await.unwrap();
        snapshot.entries.iter().filter(|entry| entry.value == value.as_bytes()).count()
    }

    /// The keys that stand for nothing by themselves, but for the mark.
    async fn rest(&self) -> Vec<String> {
        let entries = self.raw.snapshot(ROOT).await.unwrap().entries;
        let rest = entries.into_iter().map(|entry| entry.key);
        rest.filter(|key| journal::is_inside(key) && key != journal::MARK).collect()
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

const MANY: usize = 350;

fn key(number: usize) -> String {
    format!("/poplin/v1/c/policy/p{number:04}")
}

fn many(value: &str) -> Transaction {
    let put = |number| Operation::Put { key: key(number), value: value.into(), lease: None };
    Transaction::of((0..MANY).map(put).collect::<Vec<_>>())
}

fn set(count: u32) -> String {
    let nets: Vec<String> =
        (0..count).map(|n| format!("\"10.{}.{}.{}/32\"", n >> 16, (n >> 8) & 255, n & 255)).collect();
    format!("{{\"spec\":{{\"nets\":[{}]}}}}", nets.join(","))
}

const SET: &str = "/poplin/v1/c/addressset/big";

async fn value(store: &dyn Store, prefix: &str, key: &str) -> Option<String> {
    let snapshot = store.snapshot(prefix).await.unwrap();
    snapshot.entry(key).map(|entry| String::from_utf8(entry.value.clone()).unwrap())
}

#[tokio::test]
async fn whoever_dies_in_the_middle_of_a_large_change_has_done_nothing_or_all_of_it() {
    let shelf = Shelf::new().await;
    shelf.whole.transact(many("before")).await.unwrap();
    let (mut done, mut undone) = (0, 0);

    for left in 0..10 {
        let outcome = shelf.dying(left).transact(many("after")).await;

        let after = shelf.count("after").await;
        assert!(after == 0 || after == MANY, "{after} of {MANY} after {left} transactions");
        assert_eq!(shelf.count("before").await, MANY - after);
        assert_eq!(outcome.is_ok(), after == MANY, "{left}");
        (done, undone) = (done + usize::from(after == MANY), undone + usize::from(after == 0));
        shelf.whole.finish().await.unwrap();
        assert_eq!(shelf.count("after").await, after);
        shelf.whole.transact(many("before")).await.unwrap();
    }

    assert!(done > 2 && undone > 4, "{done} {undone}");
}

#[tokio::test]
async fn what_was_decided_is_carried_over_by_whoever_comes_next() {
    let shelf = Shelf::new().await;
    shelf.dying(6).transact(many("new")).await.unwrap(); // call, four pieces, decision
    assert!(shelf.raw.snapshot("/poplin/v1/c/").await.unwrap().entries.is_empty());
    assert_eq!(shelf.count("new").await, MANY);

    shelf.whole.finish().await.unwrap();

    assert_eq!(shelf.raw.snapshot("/poplin/v1/c/").await.unwrap().entries.len(), MANY);
    assert_eq!(shelf.rest().await, Vec::<String>::new());
}

#[tokio::test]
async fn whoever_selects_sees_large_changes_and_large_values_whole_too() {
    let shelf = Shelf::new().await;
    shelf.whole.transact(Transaction::default().put(SET, set(100_000)).put("/poplin/v1/e/web", "{}")).await.unwrap();
    shelf.dying(6).transact(many("new")).await.unwrap();
    let parts = [SET, &key(7), "/poplin/v1/e/web"].map(|key| Part::Key(key.to_owned()));

    let decided = shelf.whole.select(&parts[1..]).await.unwrap();
    shelf.whole.finish().await.unwrap();
    let large = shelf.whole.select(&parts).await.unwrap();

    assert_eq!(decided.entry(&key(7)).map(|entry| &entry.value[..]), Some(&b"new"[..]), "decided, not carried over");
    assert_eq!(decided.entries.len(), 2, "and nothing beside what was asked for");
    assert_eq!(large.entry(SET).map(|entry| entry.value.len()), Some(set(100_000).len()));
    assert_eq!(large.entries.len(), 3);
}

#[tokio::test]
async fn whoever_is_refused_for_what_is_not_carried_over_yet_finds_it_done() {
    let shelf = Shelf::new().await;
    shelf.dying(6).transact(many("new")).await.unwrap();
    let seen = shelf.whole.snapshot(ROOT).await.unwrap();
    let again = |seen: &Snapshot| {
        let mod_revision = seen.entry(&key(7)).unwrap().mod_revision;
        Transaction::default().put(key(7), "newer").when(Compare::Unchanged { key: key(7), mod_revision })
    };

    assert!(matches!(shelf.whole.transact(again(&seen)).await.unwrap(), Outcome::Refused { .. }));
    let seen = shelf.whole.snapshot(ROOT).await.unwrap();
    assert!(matches!(shelf.whole.transact(again(&seen)).await.unwrap(), Outcome::Committed { .. }));

    assert_eq!((shelf.count("newer").await, shelf.count("new").await), (1, MANY - 1));
}

#[tokio::test]
async fn a_refused_compare_refuses_all_of_a_large_change_and_its_pieces_serve_the_next_try() {
    let shelf = Shelf::new().await;
    shelf.whole.transact(Transaction::default().put("/poplin/v1/meta/declared", "")).await.unwrap();
    let fenced = |mod_revision| {
        many("new").when(Compare::Unchanged { key: "/poplin/v1/meta/declared".to_owned(), mod_revision })
    };

    let refused = shelf.whole.transact(fenced(1)).await.unwrap();

    assert!(matches!(refused, Outcome::Refused { .. }));
    assert_eq!(shelf.count("new").await, 0);
    let gathered = shelf.rest().await;
    let stands = shelf.raw.snapshot("/poplin/v1/meta/declared").await.unwrap();
    let before = stands.revision;
    shelf.whole.transact(fenced(stands.entries[0].mod_revision)).await.unwrap();
    assert_eq!((shelf.count("new").await, gathered.len()), (MANY, 5));
    let after = shelf.raw.snapshot(journal::MARK).await.unwrap().revision;
    assert_eq!(after - before, 5, "the decision, and each of four pieces carried over");
    assert_eq!(shelf.rest().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_large_change_is_told_at_once_to_whoever_watches_any_of_it() {
    for prefix in [ROOT, "/poplin/v1/c/policy/"] {
        let shelf = Shelf::new().await;
        let before = shelf.whole.snapshot(prefix).await.unwrap();
        let mut watch = shelf.whole.watch(prefix, before.revision).await.unwrap();

        shelf.whole.transact(many("new")).await.unwrap();

        let batch = watch.next().await.unwrap();
        assert_eq!(batch.changes.len(), MANY, "{prefix}");
        assert!(batch.changes.iter().all(|change| change.revision() == batch.revision));
    }
}

#[tokio::test]
async fn a_watch_hears_of_a_change_at_its_decision_or_else_when_it_is_carried_over() {
    let shelf = Shelf::new().await;
    let before = shelf.whole.snapshot(ROOT).await.unwrap().revision;
    shelf.dying(6).transact(many("new")).await.unwrap();
    let decided = shelf.raw.snapshot(journal::MARK).await.unwrap().revision;
    let mut early = shelf.whole.watch(ROOT, before).await.unwrap();
    let mut late = shelf.whole.watch("/poplin/v1/c/", decided).await.unwrap();

    shelf.whole.finish().await.unwrap();

    assert_eq!(early.next().await.unwrap().changes.len(), MANY);
    assert_eq!(late.next().await.unwrap().changes.len(), 100, "each piece with a revision of its own");
}

#[tokio::test]
async fn a_watch_that_comes_too_late_for_the_pieces_of_a_change_ends_and_does_not_tell_half_of_it() {
    let shelf = Shelf::new().await;
    shelf.dying(6).transact(many("new")).await.unwrap();
    let decided = shelf.raw.snapshot(journal::MARK).await.unwrap().revision;
    shelf.whole.finish().await.unwrap();

    let mut watch = shelf.whole.watch("/poplin/v1/c/", decided - 1).await.unwrap();

    assert!(matches!(watch.next().await, Err(StoreError::WatchEnded { .. })));
}

#[tokio::test]
async fn a_value_larger_than_a_transaction_is_read_and_told_as_one() {
    let shelf = Shelf::new().await;
    let text = set(120_000);
    assert!(text.len() > crate::store::MOST_BYTES);
    let mut watches = Vec::new();
    for prefix in [ROOT, "/poplin/v1/c/addressset/"] {
        watches.push(shelf.whole.watch(prefix, 1).await.unwrap());
    }

    shelf.whole.transact(Transaction::default().put(SET, text.clone())).await.unwrap();

    for prefix in ["", ROOT, "/poplin/v1/c/addressset/", SET] {
        assert_eq!(value(&shelf.whole, prefix, SET).await.as_deref(), Some(&text[..]), "{prefix}");
    }
    for watch in &mut watches {
        let batch = watch.next().await.unwrap();
        let [Change::Put(entry)] = batch.changes.as_slice() else { panic!("one thing changed") };
        assert_eq!((&entry.key[..], &entry.value[..]), (SET, text.as_bytes()));
    }
    let raw = value(&*shelf.raw, SET, SET).await.unwrap();
    assert!(raw.len() < 10_000, "who knows nothing of parts finds what is no document: {raw}");
}

#[tokio::test]
async fn a_few_entries_more_or_less_write_a_few_parts_and_leave_none_over() {
    let shelf = Shelf::new().await;
    shelf.whole.transact(Transaction::default().put(SET, set(100_000))).await.unwrap();
    let (before, parts) = (shelf.raw.snapshot(ROOT).await.unwrap().revision, shelf.rest().await.len());
    let mut watch = shelf.whole.watch(ROOT, before).await.unwrap();

    let text = set(100_000).replace("\"10.0.77.1/32\",", "");
    shelf.whole.transact(Transaction::default().put(SET, text.clone())).await.unwrap();

    let now = shelf.raw.snapshot(ROOT).await.unwrap();
    assert_eq!(now.revision, before + 1, "one transaction");
    assert!(now.entries.iter().filter(|entry| entry.mod_revision == now.revision).count() <= 4);
    assert!(shelf.rest().await.len().abs_diff(parts) <= 1);
    let batch = watch.next().await.unwrap();
    let [Change::Put(entry)] = batch.changes.as_slice() else { panic!("one thing changed") };
    assert_eq!(entry.value, text.as_bytes());
}

#[tokio::test]
async fn a_large_value_that_goes_or_becomes_small_leaves_nothing() {
    let shelf = Shelf::new().await;
    for small in [Transaction::default().put(SET, set(3)), Transaction::default().delete(SET)] {
        shelf.whole.transact(Transaction::default().put(SET, set(100_000))).await.unwrap();
        let other = Whole::over(shelf.raw.clone());
        other.snapshot(ROOT).await.unwrap(); // as every writer reads before it writes

        other.transact(small).await.unwrap();

        assert_eq!(shelf.rest().await, Vec::<String>::new());
    }
    assert_eq!(value(&shelf.whole, ROOT, SET).await, None);
}

#[tokio::test]
async fn a_value_that_lacks_a_part_is_its_own_objects_trouble() {
    let shelf = Shelf::new().await;
    shelf.whole.transact(Transaction::default().put(SET, set(100_000)).put(key(1), "{}")).await.unwrap();
    let part = shelf.rest().await.swap_remove(3);

    shelf.raw.transact(Transaction::default().delete(part)).await.unwrap();

    let found = value(&shelf.whole, ROOT, SET).await.unwrap();
    assert!(found.starts_with("{\"parts\""), "nobody can read it: {found}");
    assert_eq!(value(&shelf.whole, ROOT, &key(1)).await.as_deref(), Some("{}"));
}

#[tokio::test]
async fn what_fits_goes_as_it_is() {
    let shelf = Shelf::new().await;
    let before = shelf.raw.snapshot(ROOT).await.unwrap().revision;

    shelf.whole.transact(Transaction::default().put(key(1), "a").put("/poplin/v1/e/web", "b")).await.unwrap();

    let now = shelf.raw.snapshot(ROOT).await.unwrap();
    assert_eq!((now.revision, now.entries.len()), (before + 1, 2));
}

#[tokio::test]
async fn what_is_not_ours_is_read_as_it_is_and_keeps_the_bounds_of_the_store() {
    let shelf = Shelf::new().await;
    shelf.whole.transact(Transaction::default().put("/foreign", "a").put(key(1), "b")).await.unwrap();
    for prefix in ["", "/"] {
        assert_eq!(value(&shelf.whole, prefix, "/foreign").await.as_deref(), Some("a"), "{prefix}");
    }

    let large = shelf.whole.transact(Transaction::default().put("/foreign", set(100_000))).await;

    assert!(matches!(large, Err(StoreError::Rejected(_))));
}

#[tokio::test]
async fn pieces_whose_writer_died_are_cleared_away_once_its_lease_is_over_and_not_before() {
    let shelf = Shelf::new().await;
    shelf.dying(3).transact(many("new")).await.unwrap_err();
    shelf.whole.finish().await.unwrap();
    let rest = shelf.rest().await;
    assert_eq!(rest.len(), 3, "a call and two pieces");
    let call = rest.into_iter().find(|key| key.starts_with(journal::MARK)).unwrap();

    shelf.raw.transact(Transaction::default().delete(call)).await.unwrap(); // as the end of its lease does
    shelf.whole.finish().await.unwrap();

    assert_eq!(shelf.rest().await, Vec::<String>::new());
    assert_eq!(shelf.count("new").await, 0);
}
