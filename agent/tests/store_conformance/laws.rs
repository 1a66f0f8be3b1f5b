//! What must be true of every store.

use crate::words::{Subject, changed, delete, done, is_done, keys, next, put, put_of, soon, watch_error};
use poplin_agent::store::{
    Change, Compare, Entry, MOST_BYTES, MOST_OPERATIONS, Outcome, Part, Rejected, StoreError, Transaction,
};

pub(crate) async fn a_new_store_is_empty_at_revision_one(store: Subject) {
    let snapshot = store.snapshot("").await.unwrap();

    assert_eq!((snapshot.revision, snapshot.entries), (1, vec![]));
}

pub(crate) async fn a_snapshot_holds_the_prefix_in_order(store: Subject) {
    for key in ["/b/2", "/a/1", "/b/10", "/c", "/b", "/b/ä"] {
        put(&store, key, key).await;
    }
    let revision = put(&store, "/b/2", "new").await;

    let snapshot = store.snapshot("/b/").await.unwrap();

    assert_eq!((snapshot.revision, keys(&snapshot)), (revision, vec!["/b/10", "/b/2", "/b/ä"]));
    let second = Entry { key: "/b/2".into(), value: b"new".into(), create_revision: 2, mod_revision: 8 };
    assert_eq!(snapshot.entries[1], second);
    assert_eq!(keys(&store.snapshot("").await.unwrap()).len(), 6);
}

pub(crate) async fn a_selection_holds_its_parts_once_and_in_order(store: Subject) {
    for key in ["/b/2", "/a/1", "/b/10", "/c", "/b", "/a/10"] {
        put(&store, key, key).await;
    }
    let revision = put(&store, "/b/2", "new").await;
    let (key, under) = (|key: &str| Part::Key(key.into()), |prefix: &str| Part::Under(prefix.into()));

    let several = store.select(&[under("/b/"), key("/none"), key("/a/1"), key("/b/2"), under("/b/2")]).await.unwrap();
    let all = store.select(&[key("/c"), under("")]).await.unwrap();
    let nothing = store.select(&[]).await.unwrap();
    let next = |after: &str, most| Part::Next { under: "/b".into(), after: after.into(), most };
    let mut pages = Vec::new();
    for part in [next("", 2), next("/b/10", 2), next("/b/10", 1), next("/b/2", 9), next("/a", 1), next("/c", 9)] {
        pages.push(keys(&store.select(&[part]).await.unwrap()).into_iter().map(str::to_owned).collect::<Vec<_>>());
    }

    assert_eq!((several.revision, keys(&several)), (revision, vec!["/a/1", "/b/10", "/b/2"]));
    assert_eq!(several.entry("/b/2").map(|entry| entry.value.as_slice()), Some(b"new".as_slice()));
    assert_eq!(all, store.snapshot("").await.unwrap());
    assert_eq!((nothing.revision, nothing.entries), (revision, vec![]));
    assert_eq!(pages, [vec!["/b", "/b/10"], vec!["/b/2"], vec!["/b/2"], vec![], vec!["/b"], vec![]]);
}

pub(crate) async fn each_compare_holds_when_it_says_so(store: Subject) {
    let mod_revision = put(&store, "/there", "").await;
    let unchanged = |key: &str, mod_revision| Compare::Unchanged { key: key.into(), mod_revision };
    let cases = [
        (Compare::Absent("/none".into()), true),
        (Compare::Absent("/there".into()), false),
        (Compare::Present("/none".into()), false),
        (Compare::Present("/there".into()), true),
        (unchanged("/there", mod_revision), true),
        (unchanged("/there", mod_revision + 1), false),
        (unchanged("/none", mod_revision), false),
        (unchanged("/none", 0), true),
    ];

    for (compare, holds) in cases {
        let outcome = store.transact(Transaction::default().when(compare.clone())).await;
        assert_eq!(is_done(outcome), holds, "{compare:?}");
    }
}

pub(crate) async fn a_refused_transaction_shows_what_stands(store: Subject) {
    put(&store, "/b", "1").await;
    let revision = put(&store, "/a", "2").await;
    let compares = ["/b", "/c", "/a", "/b"].map(|key| Compare::Absent(key.into())).to_vec();

    let outcome = store.transact(Transaction { compares, operations: vec![put_of("/d", "")] }).await.unwrap();

    let entry = |key: &str, value: &str, at| Entry {
        key: key.into(),
        value: value.into(),
        create_revision: at,
        mod_revision: at,
    };
    let current = vec![entry("/a", "2", 3), entry("/b", "1", 2)];
    assert_eq!(outcome, Outcome::Refused { revision, current });
    assert_eq!(keys(&store.snapshot("").await.unwrap()), ["/a", "/b"]);
}

pub(crate) async fn one_transaction_is_one_batch(store: Subject) {
    put(&store, "/x/old", "").await;
    let mut watch = store.watch("/x/", 2).await.unwrap();
    let both = Transaction::default().put("/x/b", "1").delete("/x/old").put("/elsewhere", "").put("/x/a", "2");

    let first = done(store.transact(both).await);
    put(&store, "/elsewhere", "").await;
    let second = put(&store, "/x/c", "3").await;

    let (one, two) = (next(&mut watch).await, next(&mut watch).await);
    assert_eq!((one.revision, changed(&one)), (first, vec!["/x/b", "/x/old", "/x/a"]));
    assert_eq!(one.changes[1], Change::Deleted { key: "/x/old".into(), revision: first });
    assert_eq!((two.revision, changed(&two)), (second, vec!["/x/c"]));
}

pub(crate) async fn deleting_the_absent_changes_nothing(store: Subject) {
    let before = put(&store, "/a", "").await;

    assert_eq!(delete(&store, "/none").await, before);
    assert_eq!(done(store.transact(Transaction::default()).await), before);
    assert_eq!(delete(&store, "/a").await, before + 1);
    assert_eq!(delete(&store, "/a").await, before + 1);
}

pub(crate) async fn what_is_compacted_cannot_be_watched(store: Subject) {
    for turn in 0..10 {
        put(&store, "/a", &turn.to_string()).await;
    }

    store.compact(8).await.unwrap();
    store.compact(5).await.unwrap();

    let error = watch_error(&store, "/", 3).await;
    assert!(matches!(error, StoreError::Compacted { asked: 3, compacted: 8 }), "{error:?}");
    let mut watch = store.watch("/", 8).await.unwrap();
    assert_eq!(next(&mut watch).await.revision, 9);
    assert!(matches!(store.compact(1_000).await, Err(StoreError::WentBack { .. })));
}

pub(crate) async fn what_is_to_come_cannot_be_watched(store: Subject) {
    put(&store, "/a", "").await;

    let error = watch_error(&store, "/", 10).await;

    assert!(matches!(error, StoreError::WentBack { seen: 10, now: 2 }), "{error:?}");
}

pub(crate) async fn bounds_are_told_before_they_hurt(store: Subject) {
    let puts = |count: usize| Transaction::of((0..count).map(|n| put_of(&format!("/{n}"), "")).collect::<Vec<_>>());
    let big = |bytes: usize| Transaction::default().put("/big", vec![b'x'; bytes - "/big".len()]);
    let rejected = async |transaction| match store.transact(transaction).await {
        Err(StoreError::Rejected(why)) => why,
        other => panic!("{other:?}"),
    };

    done(store.transact(puts(MOST_OPERATIONS)).await);
    done(soon(store.transact(big(MOST_BYTES))).await);

    assert_eq!(rejected(puts(MOST_OPERATIONS + 1)).await, Rejected::TooMany { found: MOST_OPERATIONS + 1 });
    assert_eq!(
        rejected(big(MOST_BYTES + 1)).await,
        Rejected::TooLarge { found: MOST_BYTES + 1, largest: "/big".into() }
    );
    assert_eq!(rejected(Transaction::default().put("/a", "").delete("/a")).await, Rejected::KeyTwice("/a".into()));
    assert_eq!(rejected(Transaction::default().put("", "")).await, Rejected::NoKey);
}
