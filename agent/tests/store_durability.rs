//! What the embedded store keeps through restarts, crashes and damage.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

#[path = "store_conformance/words.rs"]
#[allow(dead_code, reason = "the laws use the rest")]
mod words;

use poplin_agent::store::{Location, StoreError, Transaction, open};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use words::{Directory, changed, delete, done, embedded, next, put, soon};

#[tokio::test]
async fn a_reopened_store_is_the_same_with_its_history() {
    let directory = Directory::new();
    let path = directory.path().join("deep/er/store");
    let store = embedded(&path).await;
    put(&store, "/a", "1").await;
    put(&store, "/b", "2").await;
    delete(&store, "/a").await;
    let before = store.snapshot("").await.unwrap();
    drop(store);

    let store = embedded(&path).await;

    assert_eq!(store.snapshot("").await.unwrap(), before);
    let mut watch = store.watch("/a", 1).await.unwrap();
    assert_eq!((next(&mut watch).await.revision, next(&mut watch).await.revision), (2, 4));
    assert_eq!(put(&store, "/c", "").await, 5);
}

#[tokio::test]
async fn a_reopened_store_has_forgotten_what_it_forgot() {
    let directory = Directory::new();
    let path = directory.path().join("store");
    let store = embedded(&path).await;
    for turn in 0..10 {
        put(&store, &format!("/{}", turn % 3), &turn.to_string()).await;
    }
    let last = delete(&store, "/2").await;
    let before = store.snapshot("").await.unwrap();
    store.compact(last).await.unwrap();
    store.compact(3).await.unwrap();
    drop(store);

    let store = embedded(&path).await;

    assert_eq!(store.snapshot("").await.unwrap(), before);
    assert!(matches!(store.watch("", last - 1).await, Err(StoreError::Compacted { .. })));
    assert_eq!(put(&store, "/d", "").await, last + 1);
}

#[tokio::test]
async fn a_lease_goes_on_after_a_restart_and_still_ends() {
    let directory = Directory::new();
    let path = directory.path().join("store");
    let store = embedded(&path).await;
    let lease = store.grant(Duration::from_millis(800)).await.unwrap();
    let revision = done(store.transact(Transaction::default().put_leased("/a", "", lease)).await);
    drop(store);

    let store = embedded(&path).await;

    store.keep_alive(lease).await.unwrap();
    let mut watch = store.watch("", revision).await.unwrap();
    assert_eq!(changed(&next(&mut watch).await), ["/a"]);
    assert_ne!(store.grant(Duration::from_secs(1)).await.unwrap(), lease);
}

#[tokio::test]
async fn a_second_opener_is_refused_by_name() {
    let directory = Directory::new();
    let path = directory.path().join("store");
    let _first = embedded(&path).await;

    let refused = refusal(&path).await;

    assert!(matches!(refused, StoreError::AlreadyOpen { .. }), "{refused:?}");
    assert!(refused.to_string().contains(path.to_str().unwrap()), "{refused}");
    assert!(refused.advice().is_some());
}

#[tokio::test]
async fn only_the_owner_may_read_the_file() {
    use std::os::unix::fs::PermissionsExt;
    let directory = Directory::new();
    let path = directory.path().join("store");

    let _store = embedded(&path).await;

    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn what_is_no_store_is_refused_by_name() {
    let directory = Directory::new();
    let path = directory.path().join("store");
    std::fs::write(&path, "# this was a configuration file\n".repeat(1_000)).unwrap();

    let refused = refusal(&path).await;

    assert!(matches!(refused, StoreError::Corrupt { .. }), "{refused:?}");
    assert!(refused.to_string().contains(path.to_str().unwrap()), "{refused}");
}

#[tokio::test]
async fn a_damaged_file_is_refused_or_read_whole() {
    let directory = Directory::new();
    let path = directory.path().join("store");
    let whole = whole_file(&path).await;
    for cut in [1, 100, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let refused = refusal(&path).await;
        assert!(matches!(refused, StoreError::Corrupt { .. }), "cut at {cut}: {refused:?}");
    }
    for place in (0..whole.len()).step_by(whole.len() / 60) {
        check_damage_at(&path, &whole, place).await;
    }
}

/// A file with 300 entries.
async fn whole_file(path: &Path) -> Vec<u8> {
    let store = embedded(path).await;
    for turn in 0..300 {
        put(&store, &format!("/k/{turn:03}"), "v").await;
    }
    drop(store);
    std::fs::read(path).unwrap()
}

/// Damage in a page that holds nothing does no harm; anywhere else it must be told.
async fn check_damage_at(path: &Path, whole: &[u8], place: usize) {
    let mut damaged = whole.to_vec();
    damaged[place..].iter_mut().take(64).for_each(|octet| *octet ^= 0x55);
    std::fs::write(path, &damaged).unwrap();
    match open(&Location::Embedded(path.to_owned())).await {
        Ok(store) => assert_eq!(store.snapshot("/k/").await.unwrap().entries.len(), 300, "damage at {place}"),
        Err(StoreError::Corrupt { .. } | StoreError::File { .. }) => {}
        Err(other) => panic!("damage at {place}: {other:?}"),
    }
}

/// Needs the right to mount; without it, it says so and is content.
#[tokio::test]
async fn a_full_disk_is_told_and_loses_nothing_acknowledged() {
    let directory = Directory::new();
    let Some(disk) = SmallDisk::mount(directory.path()) else { return };
    let path = disk.0.join("store");
    let store = embedded(&path).await;

    let (mut acknowledged, value) = (0, "v".repeat(10_000));
    let error = loop {
        match store.transact(Transaction::default().put(format!("/k/{acknowledged}"), value.clone())).await {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
    assert!(error.advice().is_some());
    assert!(store.transact(Transaction::default().put("/k/more", "")).await.is_err());
    drop(store);

    let store = embedded(&path).await;
    assert_eq!(store.snapshot("/k/").await.unwrap().entries.len(), acknowledged);
}

/// Two MiB that go with the value.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(under: &Path) -> Option<Self> {
        let place = under.join("disk");
        std::fs::create_dir(&place).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(&place).status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(place));
        }
        println!("no right to mount: the full disk is not tried");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

async fn refusal(path: &Path) -> StoreError {
    open(&Location::Embedded(path.to_owned())).await.err().expect("it is refused")
}

/// Another process writes and says what was acknowledged; it is killed in the middle, five times over on one file.
#[tokio::test]
async fn a_killed_writer_loses_nothing_acknowledged() {
    let directory = Directory::new();
    let path = directory.path().join("store");
    let mut acknowledged = 0;
    for round in 1..=5 {
        acknowledged = write_and_kill(&path, acknowledged, acknowledged + 50 * round);

        let store = soon(reopened(&path)).await;
        let kept = store.snapshot("/k/").await.unwrap().entries.len();
        assert!(kept >= acknowledged, "{kept} kept of {acknowledged} acknowledged");
        assert!(kept <= acknowledged + 1, "at most one was on its way: {kept} of {acknowledged}");
        acknowledged = kept;
    }
}

async fn reopened(path: &Path) -> words::Subject {
    embedded(path).await
}

/// Runs the writer until it acknowledged so many, kills it, and says how many it acknowledged in all.
fn write_and_kill(path: &Path, from: usize, until: usize) -> usize {
    let mut writer = Command::new(std::env::current_exe().unwrap());
    writer.args(["--exact", "writes_until_it_is_killed", "--ignored", "--nocapture"]);
    writer.env("POPLIN_STORE_PATH", path).env("POPLIN_STORE_FROM", from.to_string());
    let mut writer = writer.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(writer.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut acknowledged = from;
    for line in lines {
        acknowledged = line.strip_prefix("done ").map_or(acknowledged, |count| count.parse().unwrap());
        if acknowledged == until {
            writer.kill().unwrap();
        }
    }
    writer.wait().unwrap();
    acknowledged
}

#[tokio::test]
#[ignore = "the writer of a_killed_writer_loses_nothing_acknowledged"]
async fn writes_until_it_is_killed() {
    let path = std::env::var_os("POPLIN_STORE_PATH").unwrap();
    let from: usize = std::env::var("POPLIN_STORE_FROM").unwrap().parse().unwrap();
    let store = embedded(Path::new(&path)).await;
    for count in from.. {
        put(&store, &format!("/k/{count:06}"), "v").await;
        let mut out = std::io::stdout().lock();
        writeln!(out, "\ndone {}", count + 1).unwrap();
        out.flush().unwrap();
    }
}
