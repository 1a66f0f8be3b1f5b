//! What must be true of every store's leases.

use crate::words::{Subject, changed, done, keys, next};
use poplin_agent::store::{LeaseId, Rejected, StoreError, Transaction};
use std::time::{Duration, Instant};

pub(crate) async fn an_ended_lease_takes_its_keys_along(store: Subject) {
    let lease = store.grant(Duration::from_secs(2)).await.unwrap();
    let leased = Transaction::default().put_leased("/b", "", lease).put_leased("/a", "", lease).put("/stays", "");
    let revision = done(store.transact(leased).await);
    let mut watch = store.watch("/", revision).await.unwrap();
    let begin = Instant::now();

    let batch = next(&mut watch).await;

    assert!(begin.elapsed() > Duration::from_millis(1_500), "not before its time: {:?}", begin.elapsed());
    assert_eq!(changed(&batch), ["/a", "/b"]);
    assert_eq!(keys(&store.snapshot("").await.unwrap()), ["/stays"]);
    is_gone(&store, lease).await;
}

async fn is_gone(store: &Subject, lease: LeaseId) {
    let gone = Rejected::LeaseGone(lease);
    let late = store.transact(Transaction::default().put_leased("/late", "", lease)).await.unwrap_err();
    assert!(matches!(late, StoreError::Rejected(ref why) if *why == gone), "{late:?}");
    let dead = store.keep_alive(lease).await.unwrap_err();
    assert!(matches!(dead, StoreError::Rejected(ref why) if *why == gone), "{dead:?}");
    let again = store.revoke(lease).await.unwrap_err();
    assert!(matches!(again, StoreError::Rejected(ref why) if *why == gone), "{again:?}");
}

pub(crate) async fn a_lease_kept_alive_holds_its_keys(store: Subject) {
    let lease = store.grant(Duration::from_secs(2)).await.unwrap();
    done(store.transact(Transaction::default().put_leased("/a", "", lease)).await);

    for _ in 0..12 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        store.keep_alive(lease).await.unwrap();
    }
    assert_eq!(keys(&store.snapshot("").await.unwrap()), ["/a"]);

    store.revoke(lease).await.unwrap();
    assert_eq!(store.snapshot("").await.unwrap().entries, []);
    is_gone(&store, lease).await;
}

pub(crate) async fn a_lease_lets_go_of_a_key_put_without_it(store: Subject) {
    let (first, second) =
        (store.grant(Duration::from_secs(60)).await.unwrap(), store.grant(Duration::from_secs(60)).await.unwrap());
    let all =
        Transaction::default().put_leased("/a", "", first).put_leased("/b", "", first).put_leased("/c", "", first);
    done(store.transact(all).await);
    done(store.transact(Transaction::default().put("/a", "").put_leased("/b", "", second)).await);

    store.revoke(first).await.unwrap();
    assert_eq!(keys(&store.snapshot("").await.unwrap()), ["/a", "/b"]);

    store.revoke(second).await.unwrap();
    assert_eq!(keys(&store.snapshot("").await.unwrap()), ["/a"]);
}
