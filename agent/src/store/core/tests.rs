use super::*;
use crate::store::{Batch, Change, Compare};

fn put(core: &mut Core, key: &str, value: &str) -> Revision {
    commit(core, &Transaction::default().put(key, value))
}

fn delete(core: &mut Core, key: &str) -> Revision {
    commit(core, &Transaction::default().delete(key))
}

fn commit(core: &mut Core, transaction: &Transaction) -> Revision {
    match core.transact(transaction).unwrap() {
        Outcome::Committed { revision } => revision,
        refused => panic!("{refused:?}"),
    }
}

fn values(snapshot: &Snapshot) -> Vec<(&str, &str)> {
    snapshot.entries.iter().map(|it| (it.key.as_str(), std::str::from_utf8(&it.value).unwrap())).collect()
}

#[test]
fn the_past_can_be_read_until_it_is_compacted() {
    let mut core = Core::new();
    put(&mut core, "/a", "1");
    let then = put(&mut core, "/b", "2");
    put(&mut core, "/a", "3");
    delete(&mut core, "/b");

    assert_eq!(values(&core.snapshot_at("/", then).unwrap()), [("/a", "1"), ("/b", "2")]);
    assert_eq!(values(&core.snapshot("/")), [("/a", "3")]);

    core.compact(then + 1);
    assert_eq!(core.snapshot_at("/", then), Err(Compacted { asked: then, compacted: then + 1 }));
    assert_eq!(values(&core.snapshot_at("/", then + 1).unwrap()), [("/a", "3"), ("/b", "2")]);
}

#[test]
fn a_key_born_again_has_a_new_birthday() {
    let mut core = Core::new();
    put(&mut core, "/a", "1");
    put(&mut core, "/a", "2");
    assert_eq!(core.get("/a").map(|entry| (entry.create_revision, entry.mod_revision)), Some((2, 3)));

    delete(&mut core, "/a");
    put(&mut core, "/a", "3");

    assert_eq!(core.get("/a").map(|entry| (entry.create_revision, entry.mod_revision)), Some((5, 5)));
}

#[test]
fn compaction_names_what_may_be_forgotten_and_nothing_else() {
    let mut core = Core::new();
    put(&mut core, "/overwritten", "1");
    put(&mut core, "/overwritten", "2");
    put(&mut core, "/gone", "3");
    let at = delete(&mut core, "/gone");
    put(&mut core, "/later", "4");

    let gone: Vec<_> = core.compact(at).iter().map(|id| id.revision).collect();

    assert_eq!(gone, [4, 5, 2]);
    assert_eq!(values(&core.snapshot("")), [("/later", "4"), ("/overwritten", "2")]);
    assert_eq!(core.since("", at).unwrap().len(), 1);
    assert_eq!(core.compact(at), []);
}

#[test]
fn history_is_cut_when_it_grows_long() {
    let mut core = Core::new();
    for turn in 0..12_000 {
        put(&mut core, "/a", &turn.to_string());
    }

    assert!(core.revision() - core.compacted() >= KEPT_REVISIONS);
    assert!(core.revision() - core.compacted() < KEPT_REVISIONS + 1_100);
    assert!(core.since("/", 1).is_err());
}

#[test]
fn a_batch_holds_only_what_is_under_the_prefix() {
    let mut core = Core::new();
    let both = Transaction::default().put("/x/1", "").put("/y/1", "");
    let revision = commit(&mut core, &both);

    let batches = core.since("/y/", 1).unwrap();

    let entry = core.get("/y/1").unwrap();
    assert_eq!(batches, [Batch { revision, changes: vec![Change::Put(entry)] }]);
    assert_eq!(core.since("/y/", revision).unwrap(), []);
    assert_eq!(core.since("/z/", 1).unwrap(), []);
}

#[test]
fn what_is_decided_and_not_applied_changes_nothing() {
    let mut core = Core::new();

    let decision = core.decide(&Transaction::default().when(Compare::Absent("/a".into())).put("/a", "")).unwrap();
    assert_eq!((core.revision(), core.get("/a")), (1, None));

    core.apply(decision.commit);
    assert_eq!((core.revision(), core.get("/a").is_some()), (2, true));
}

#[test]
fn a_lease_ends_at_its_time_and_not_before() {
    let (mut core, begin) = (Core::new(), Instant::now());
    let second = Duration::from_secs(1);
    let lease = core.grant(10 * second, begin);
    commit(&mut core, &Transaction::default().put_leased("/a", "", lease).put_leased("/b", "", lease));

    assert_eq!(core.expire(begin + 9 * second), []);
    core.keep_alive(lease, begin + 9 * second).unwrap();
    assert_eq!(core.next_expiry(), Some(begin + 19 * second));
    assert_eq!(core.expire(begin + 18 * second), []);
    assert_eq!(core.expire(begin + 19 * second), [lease]);

    assert_eq!((core.revision(), core.snapshot("").entries), (3, vec![]));
    assert_eq!(core.keep_alive(lease, begin), Err(Rejected::LeaseGone(lease)));
}
