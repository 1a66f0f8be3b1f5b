//! The pure core beside a real etcd: the same random operations, the same answers, the same histories.
//!
//! `POPLIN_STORE_OPERATIONS` sets how many (default 1,000), `POPLIN_STORE_SEED` which.

use crate::server::Server;
use crate::words::{Subject, in_time, next};
use poplin_agent::store::core::Core;
use poplin_agent::store::{
    Batch, Compare, LeaseId, Operation, Outcome, Rejected, Revision, Snapshot, StoreError, Transaction,
};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_core_answers_as_etcd_does() {
    let seed = number_from("POPLIN_STORE_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let operations = number_from("POPLIN_STORE_OPERATIONS").unwrap_or(1_000);
    println!("seed {seed}, {operations} operations");
    let server = Server::start().await;
    let mut twins = Twins::new(server.store().await, seed);

    for turn in 0..operations {
        twins.step(turn).await;
    }

    in_time(twins.compare_histories()).await;
    println!("{:?}", twins.counts);
}

fn number_from(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("it is a number"))
}

/// SplitMix64: enough chance for a test, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

struct Twins {
    core: Core,
    etcd: Subject,
    dice: Dice,
    /// The names of one lease in the core and in etcd; ended ones stay, to be asked of as well.
    leases: Vec<(LeaseId, LeaseId)>,
    counts: Counts,
    now: Instant,
}

#[derive(Debug, Default)]
struct Counts {
    committed: usize,
    refused: usize,
    rejected: usize,
    compacted: usize,
    revoked: usize,
}

impl Twins {
    fn new(etcd: Subject, seed: u64) -> Self {
        let (core, dice, counts) = (Core::new(), Dice(seed), Counts::default());
        Self { core, etcd, dice, leases: Vec::new(), counts, now: Instant::now() }
    }

    async fn step(&mut self, turn: u64) {
        match self.dice.below(100) {
            0..3 => self.grant().await,
            3..5 => self.revoke().await,
            5..6 => self.compact().await,
            6..16 => self.read().await,
            _ => self.transact(turn).await,
        }
    }

    async fn grant(&mut self) {
        let hour = Duration::from_secs(3_600);
        self.leases.push((self.core.grant(hour, self.now), self.etcd.grant(hour).await.unwrap()));
    }

    async fn revoke(&mut self) {
        let Some((ours, theirs)) = self.some_lease() else { return };
        let (mine, other) = (self.core.revoke(ours), self.etcd.revoke(theirs).await);
        assert_eq!(mine.is_ok(), other.is_ok(), "{mine:?} {other:?}");
        self.counts.revoked += usize::from(mine.is_ok());
    }

    fn some_lease(&mut self) -> Option<(LeaseId, LeaseId)> {
        let count = self.leases.len() as u64;
        (count > 0).then(|| self.leases[usize::try_from(self.dice.below(count)).unwrap()])
    }

    /// Some way back from the present, as a compaction would be.
    async fn compact(&mut self) {
        let at = self.core.revision() - i64::try_from(self.dice.below(60)).unwrap();
        if at > self.core.compacted() {
            self.etcd.compact(at).await.unwrap();
            self.core.compact(at);
            self.counts.compacted += 1;
        }
    }

    async fn read(&mut self) {
        let prefix = ["", "/", "/k/1", "/k/2", "/none"][usize::try_from(self.dice.below(5)).unwrap()];
        let theirs: Snapshot = self.etcd.snapshot(prefix).await.unwrap();
        assert_eq!(self.core.snapshot(prefix), theirs);
    }

    async fn transact(&mut self, turn: u64) {
        let (ours, theirs) = self.transaction(turn);
        let (mine, other) = (self.core.transact(&ours), self.etcd.transact(theirs).await);
        match (&mine, &other) {
            (Ok(mine), Ok(other)) => assert_eq!(mine, other, "{ours:?}"),
            (Err(Rejected::LeaseGone(_)), Err(StoreError::Rejected(Rejected::LeaseGone(_)))) => {}
            _ => panic!("{ours:?}: {mine:?} {other:?}"),
        }
        self.count(mine);
    }

    fn count(&mut self, outcome: Result<Outcome, Rejected>) {
        let counter = match outcome {
            Ok(Outcome::Committed { .. }) => &mut self.counts.committed,
            Ok(Outcome::Refused { .. }) => &mut self.counts.refused,
            Err(_) => &mut self.counts.rejected,
        };
        *counter += 1;
    }

    /// The same transaction twice, each with its own names of leases.
    fn transaction(&mut self, turn: u64) -> (Transaction, Transaction) {
        let (mut ours, mut theirs) = (Transaction::default(), Transaction::default());
        for _ in 0..self.dice.below(3) {
            ours = ours.when(self.compare());
        }
        theirs.compares = ours.compares.clone();
        for key in self.some_keys() {
            let (mine, other) = self.operation(key, turn);
            ours.operations.push(mine);
            theirs.operations.push(other);
        }
        (ours, theirs)
    }

    fn compare(&mut self) -> Compare {
        let key = self.key();
        match self.dice.below(4) {
            0 => Compare::Absent(key),
            1 => Compare::Present(key),
            2 => Compare::Unchanged { mod_revision: self.core.get(&key).map_or(0, |entry| entry.mod_revision), key },
            _ => Compare::Unchanged { key, mod_revision: self.core.revision() },
        }
    }

    fn key(&mut self) -> String {
        format!("/k/{}", self.dice.below(30))
    }

    /// Each at most once.
    fn some_keys(&mut self) -> Vec<String> {
        let mut keys: Vec<_> = (0..self.dice.below(5)).map(|_| self.key()).collect();
        keys.sort();
        keys.dedup();
        if self.dice.below(2) == 0 {
            keys.reverse();
        }
        keys
    }

    fn operation(&mut self, key: String, turn: u64) -> (Operation, Operation) {
        if self.dice.below(3) == 0 {
            return (Operation::Delete(key.clone()), Operation::Delete(key));
        }
        let leases = if self.dice.below(6) == 0 { self.some_lease() } else { None };
        let put = |lease| Operation::Put { key: key.clone(), value: turn.to_string().into_bytes(), lease };
        (put(leases.map(|pair| pair.0)), put(leases.map(|pair| pair.1)))
    }

    async fn compare_histories(&mut self) {
        let end = self.core.transact(&Transaction::default().put("/k/end", "")).unwrap();
        assert_eq!(end, self.etcd.transact(Transaction::default().put("/k/end", "")).await.unwrap());
        for prefix in ["/", "/k/1", "/k/2", "/k/end"] {
            self.compare_history(prefix, self.core.compacted()).await;
        }
        self.compare_compacted().await;
    }

    /// What happened up to the last put to the prefix.
    async fn compare_history(&self, prefix: &str, after: Revision) {
        let mine = self.core.since(prefix, after).unwrap();
        let mut watch = self.etcd.watch(prefix, after).await.unwrap();
        let mut theirs: Vec<Batch> = Vec::new();
        while theirs.len() < mine.len() {
            theirs.push(next(&mut watch).await);
        }
        assert_eq!(mine, theirs, "{prefix}");
    }

    /// Both have forgotten the same.
    async fn compare_compacted(&self) {
        let compacted = self.core.compacted();
        if compacted > 2 {
            assert!(self.core.since("/", compacted - 2).is_err());
            let error = crate::words::watch_error(&self.etcd, "/", compacted - 2).await;
            assert!(
                matches!(error, StoreError::Compacted { compacted: theirs, .. } if theirs == compacted),
                "{error:?}"
            );
        }
    }
}
