//! What happens to those who depend on an etcd that dies, hangs, goes back, or never was.

use crate::server::Server;
use crate::words::{Belief, found, in_time, keys, lost, put, soon};
use poplin_agent::store::{Location, Outcome, StoreError, Transaction, follow, open};
use std::net::TcpListener;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_etcd_is_lost_and_found_again() {
    let mut server = Server::start().await;
    let store = server.store().await;
    put(&store, "/f/a", "1").await;
    let mut followed = follow(store.clone(), "/f/".into());
    found(&mut followed).await;

    server.kill();
    let reason = lost(&mut followed).await;
    server.run().await;
    put(&server.store().await, "/f/b", "2").await;

    let mut belief = Belief::of(found(&mut followed).await);
    while belief.entries.len() < 2 {
        belief.hear(soon(followed.recv()).await.unwrap());
    }
    assert!(reason.contains(server.endpoint()), "{reason}");
    assert_eq!(belief, Belief::of(store.snapshot("/f/").await.unwrap()));
}

/// A server that is stopped keeps its connections open: only pings find out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hung_etcd_is_noticed() {
    let server = Server::start().await;
    let store = server.store().await;
    let mut followed = follow(store.clone(), "/f/".into());
    found(&mut followed).await;

    server.hang();
    let begin = Instant::now();
    let outcome = store.transact(Transaction::default().put("/f/a", "")).await;
    let answered = begin.elapsed();
    lost(&mut followed).await;
    let noticed = begin.elapsed();
    server.wake();

    assert!(matches!(outcome, Err(StoreError::OutcomeUnknown { .. })), "{outcome:?}");
    assert!(answered < Duration::from_secs(6), "{answered:?}");
    assert!(noticed < Duration::from_secs(12), "{noticed:?}");
    found(&mut followed).await;
}

/// The backup has the same cluster and member ids as what it replaces; only the revision tells.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_backup_is_taken_as_the_new_truth() {
    let mut server = Server::start().await;
    let store = server.store().await;
    put(&store, "/f/kept", "").await;
    let (data, backup) = (server.data(), server.data().with_extension("backup"));
    server.kill();
    copy(&data, &backup);
    server.run().await;
    for turn in 0..20 {
        put(&store, "/f/forgotten", &turn.to_string()).await;
    }
    let mut followed = follow(store.clone(), "/f/".into());
    found(&mut followed).await;

    server.kill();
    lost(&mut followed).await;
    std::fs::remove_dir_all(&data).unwrap();
    std::fs::rename(&backup, &data).unwrap();
    server.run().await;

    let reason = in_time(until_back(&mut followed)).await;
    assert!(reason.contains("went back"), "{reason}");
    assert_eq!(keys(&found(&mut followed).await), ["/f/kept"]);
}

async fn until_back(followed: &mut tokio::sync::mpsc::Receiver<poplin_agent::store::Followed>) -> String {
    loop {
        let reason = lost(followed).await;
        if reason.contains("went back") {
            return reason;
        }
    }
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    let copied = std::process::Command::new("cp").arg("-a").args([from, to]).status().unwrap();
    assert!(copied.success());
}

#[tokio::test]
async fn where_nobody_listens_the_error_says_so_at_once() {
    let store = open(&Location::etcd(vec!["http://127.0.0.1:1".into()])).await.unwrap();
    let begin = Instant::now();

    let error = store.snapshot("/").await.unwrap_err();
    let refused = store.transact(Transaction::default().put("/a", "")).await.unwrap_err();

    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    assert!(matches!(error, StoreError::Unreachable { .. }), "{error:?}");
    assert!(matches!(refused, StoreError::Unreachable { .. }), "never sent, so its outcome is known: {refused:?}");
    assert!(
        error.story().contains("etcd http://127.0.0.1:1") && error.story().contains("refused"),
        "{}",
        error.story()
    );
    assert!(error.advice().unwrap().contains("is etcd running"));
}

#[tokio::test]
async fn where_nobody_answers_the_error_comes_after_five_seconds() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let store = open(&Location::etcd(vec![endpoint])).await.unwrap();
    let begin = Instant::now();

    let error = store.snapshot("/").await.unwrap_err();

    assert!(begin.elapsed() < Duration::from_secs(6), "{:?}", begin.elapsed());
    assert!(matches!(error, StoreError::Unreachable { .. }), "{}", error.story());
}

/// One dead member of three must not be felt.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_endpoint_beside_a_living_one_is_survived() {
    let server = Server::start().await;
    let endpoints = vec!["http://127.0.0.1:1".to_owned(), server.endpoint().to_owned()];
    let store = open(&Location::etcd(endpoints)).await.unwrap();

    let mut followed = follow(store.clone(), "/f/".into());
    found(&mut followed).await;
    let mut outcomes = Vec::new();
    for _ in 0..20 {
        outcomes.push(store.transact(Transaction::default().put("/f/a", "")).await);
    }

    let done = outcomes.iter().filter(|it| matches!(it, Ok(Outcome::Committed { .. }))).count();
    assert_eq!(done, 20, "{outcomes:?}");
}

#[tokio::test]
async fn endpoints_that_cannot_be_are_refused_at_open() {
    for endpoint in ["ftp://x", "http://a b"] {
        let refused = open(&Location::etcd(vec![endpoint.into()])).await.err().expect("it is refused");
        assert!(matches!(refused, StoreError::BadLocation { .. }), "{refused:?}");
        assert!(refused.story().contains(endpoint), "{}", refused.story());
    }
    assert!(open(&Location::etcd(vec![])).await.is_err());
}
