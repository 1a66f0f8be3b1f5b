use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::store::{Batch, Snapshot};

/// A directory of its own, gone with the test.
struct Place(PathBuf);

static PLACES: AtomicU32 = AtomicU32::new(0);

impl Place {
    fn new() -> Self {
        let name = format!("poplin-memory-{}-{}", std::process::id(), PLACES.fetch_add(1, Ordering::Relaxed));
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).unwrap();
        Self(directory)
    }

    fn path(&self) -> PathBuf {
        self.0.join("known-h1.redb")
    }

    fn open(&self) -> (Memory, Option<Recalled>) {
        Memory::open(&self.path(), &endpoints(), Some(BOOT)).unwrap()
    }

    /// What a later life would know.
    fn recalled(&self) -> Option<Recalled> {
        self.open().1
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const BOOT: &str = "a boot";

fn endpoints() -> Vec<String> {
    vec!["http://192.0.2.1:2379".to_owned(), "http://192.0.2.2:2379".to_owned()]
}

fn entry(key: &str, value: &str, revision: Revision) -> Entry {
    Entry { key: key.to_owned(), value: value.into(), create_revision: 2, mod_revision: revision }
}

fn whole(revision: Revision, entries: Vec<Entry>) -> Followed {
    Followed::Snapshot(Snapshot { revision, entries })
}

#[test]
fn a_later_life_knows_what_an_earlier_one_heard() {
    let place = Place::new();
    let (memory, nothing) = place.open();
    assert_eq!(nothing, None);
    memory.hear(&whole(9, vec![entry("/a", "1", 3), entry("/b", "1", 4), entry("/c", "1", 5)]), Some(u64::MAX), |_| {
        false
    });
    let changes = vec![Change::Put(entry("/a", "2", 10)), Change::Deleted { key: "/b".to_owned(), revision: 10 }];
    memory.hear(&Followed::Changes(Batch { revision: 10, changes }), None, |_| false);
    drop(memory);

    let recalled = place.recalled().unwrap();

    assert_eq!((recalled.revision, recalled.cluster), (10, Some(u64::MAX)));
    assert_eq!(recalled.entries, [entry("/a", "2", 10), entry("/c", "1", 5)]);
    drop(place.open().0);
    let (memory, _) = place.open();
    memory.hear(&whole(12, vec![entry("/c", "1", 5)]), None, |_| false);
    drop(memory);
    assert_eq!(place.recalled().unwrap().entries, [entry("/c", "1", 5)], "what a listing has not is gone");
}

#[test]
fn it_is_known_whether_the_kernel_was_started_anew_since() {
    let place = Place::new();
    let (memory, _) = place.open();
    memory.hear(&whole(9, vec![entry("/a", "1", 3)]), None, |_| false);
    drop(memory);

    let of_this_boot = |boot| Memory::open(&place.path(), &endpoints(), boot).unwrap().1.unwrap().is_of_this_boot;

    assert!(of_this_boot(Some(BOOT)));
    assert!(!of_this_boot(Some("another")) && !of_this_boot(None));
}

#[test]
fn of_what_cannot_be_read_the_last_good_form_is_kept() {
    let place = Place::new();
    let (memory, _) = place.open();
    memory.hear(&whole(9, vec![entry("/a", "good", 3)]), None, |_| false);
    let changes = vec![Change::Put(entry("/a", "garbage", 10))];
    memory.hear(&Followed::Changes(Batch { revision: 10, changes }), None, |key| key == "/a");
    memory.hear(&whole(11, vec![entry("/a", "garbage", 10)]), None, |key| key == "/a");
    drop(memory);

    assert_eq!(place.recalled().unwrap().entries, [entry("/a", "good", 3)]);
}

#[test]
fn a_debt_is_on_the_disk_before_anybody_is_told() {
    let place = Place::new();
    let (memory, _) = place.open();
    memory.hear(&whole(9, vec![]), None, |_| false);
    let debt = BTreeSet::from([AttachmentId { container: "c".to_owned(), interface: "eth0".to_owned() }]);

    memory.owe(debt.clone());
    let copy = Place::new();
    fs::copy(place.path(), copy.path()).unwrap();

    assert_eq!(copy.recalled().unwrap().owed, debt, "as a kill at this moment would leave it");
    memory.owe(BTreeSet::new());
    drop(memory);
    assert_eq!(place.recalled().unwrap().owed, BTreeSet::new());
}

#[test]
fn what_tells_of_another_store_is_not_used() {
    let place = Place::new();
    let (memory, _) = place.open();
    memory.hear(&whole(9, vec![entry("/a", "1", 3)]), None, |_| false);
    drop(memory);

    let moved = vec!["http://192.0.2.2:2379".to_owned(), "http://192.0.2.3:2379".to_owned()];
    assert!(Memory::open(&place.path(), &moved, Some(BOOT)).unwrap().1.is_some(), "a member came, one went");
    let other = vec!["http://198.51.100.1:2379".to_owned()];
    assert_eq!(Memory::open(&place.path(), &other, Some(BOOT)).unwrap().1, None);
    assert!(place.recalled().is_some(), "whoever looked once with a wrong setting lost nothing");
}

#[test]
fn wherever_it_is_damaged_it_is_put_aside_or_whole() {
    let place = Place::new();
    let (memory, _) = place.open();
    let entries: Vec<Entry> = (0..200).map(|number| entry(&format!("/{number:03}"), "some value", 3)).collect();
    memory.hear(&whole(9, entries.clone()), None, |_| false);
    drop(memory);
    let sound = fs::read(place.path()).unwrap();

    for part in 0..24 {
        let mut octets = sound.clone();
        let at = octets.len() * part / 24;
        octets[at..at + 16].fill(0xa5);
        fs::write(place.path(), octets).unwrap();
        let (memory, recalled) = place.open();
        assert!(recalled.is_none_or(|recalled| recalled.entries == entries), "part {part}");
        drop(memory);
    }
    for length in [0, 100, sound.len() / 2] {
        fs::write(place.path(), &sound[..length]).unwrap();
        assert_eq!(place.recalled(), None, "{length} octets");
    }
}
