//! What must be true of every store when many ask at once.

use crate::words::{Belief, Subject, delete, done, is_done, next, put, put_of};
use poplin_agent::store::{Compare, Transaction};
use std::time::Duration;
use tokio::task::JoinSet;

pub(crate) async fn of_racing_claimants_one_wins(store: Subject) {
    let mut claimants = JoinSet::new();
    (0..24).for_each(|name| drop(claimants.spawn(claim_all(store.clone(), name))));

    let won: usize = claimants.join_all().await.into_iter().sum();

    assert_eq!(won, 10);
    assert_eq!(store.snapshot("/block/").await.unwrap().entries.len(), 10);
}

async fn claim_all(store: Subject, name: usize) -> usize {
    let mut won = 0;
    for block in 0..10 {
        let key = format!("/block/{}", (block + name) % 10);
        let claim = Transaction::default().when(Compare::Absent(key.clone())).put(key.clone(), name.to_string());
        won += usize::from(is_done(store.transact(claim).await));
    }
    won
}

pub(crate) async fn no_increment_is_lost(store: Subject) {
    put(&store, "/n", "0").await;
    let mut counters = JoinSet::new();
    (0..8).for_each(|_| drop(counters.spawn(count_ten(store.clone()))));

    counters.join_all().await;

    assert_eq!(store.snapshot("/n").await.unwrap().entries[0].value, b"80");
}

async fn count_ten(store: Subject) {
    for _ in 0..10 {
        while !increment(&store).await {}
    }
}

async fn increment(store: &Subject) -> bool {
    let entry = store.snapshot("/n").await.unwrap().entries.remove(0);
    let count: u32 = String::from_utf8(entry.value).unwrap().parse().unwrap();
    let unchanged = Compare::Unchanged { key: "/n".into(), mod_revision: entry.mod_revision };
    is_done(store.transact(Transaction::default().when(unchanged).put("/n", (count + 1).to_string())).await)
}

pub(crate) async fn a_long_snapshot_is_true_at_one_revision(store: Subject) {
    for first in (0..2_500).step_by(100) {
        let puts: Vec<_> = (first..first + 100).map(|n| put_of(&format!("/long/{n:05}"), "0")).collect();
        done(store.transact(Transaction::of(puts)).await);
    }
    let writer = tokio::spawn(move_both_ends(store.clone()));

    for _ in 0..5 {
        let entries = store.snapshot("/long/").await.unwrap().entries;
        assert_eq!(entries.len(), 2_500);
        assert!(entries.is_sorted_by(|a, b| a.key < b.key));
        assert_eq!(entries[0].value, entries[2_499].value, "both ends always move together");
    }
    writer.abort();
}

async fn move_both_ends(store: Subject) {
    for turn in 0_u32.. {
        let turn = turn.to_string();
        done(store.transact(Transaction::default().put("/long/00000", turn.clone()).put("/long/02499", turn)).await);
    }
}

pub(crate) async fn a_watch_after_a_snapshot_misses_nothing(store: Subject) {
    let mut writers = JoinSet::new();
    (0..4).for_each(|writer| drop(writers.spawn(write_some(store.clone(), writer))));
    tokio::time::sleep(Duration::from_millis(20)).await;

    let snapshot = store.snapshot("/w/").await.unwrap();
    let mut watch = store.watch("/w/", snapshot.revision).await.unwrap();
    writers.join_all().await;

    let mut belief = Belief::of(snapshot);
    let last = put(&store, "/w/last", "").await;
    while belief.revision < last {
        belief.learn(next(&mut watch).await);
    }
    assert_eq!(belief, Belief::of(store.snapshot("/w/").await.unwrap()));
}

async fn write_some(store: Subject, writer: u32) {
    for turn in 0..100 {
        put(&store, &format!("/w/{}", (turn * 7 + writer) % 13), &format!("{writer} {turn}")).await;
        delete(&store, &format!("/w/{}", (turn * 5 + writer) % 13)).await;
    }
}
