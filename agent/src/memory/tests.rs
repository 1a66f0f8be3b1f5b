use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use poplin_node::name::{AttachmentId, EndpointName};

use super::pending::Pending;
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
        Memory::open(&self.path(), &endpoints(), Some(BOOT), Complaints::default()).unwrap()
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
    memory
        .hear(whole(9, vec![entry("/a", "1", 3), entry("/b", "1", 4), entry("/c", "1", 5)]), Some(u64::MAX), |_| false);
    let changes = vec![Change::Put(entry("/a", "2", 10)), Change::Deleted { key: "/b".to_owned(), revision: 10 }];
    memory.hear(Followed::Changes(Batch { revision: 10, changes }), None, |_| false);
    drop(memory);

    let recalled = place.recalled().unwrap();

    assert_eq!((recalled.revision, recalled.cluster), (10, Some(u64::MAX)));
    assert_eq!(recalled.entries, [entry("/a", "2", 10), entry("/c", "1", 5)]);
    drop(place.open().0);
    let (memory, _) = place.open();
    memory.hear(whole(12, vec![entry("/c", "1", 5)]), None, |_| false);
    drop(memory);
    assert_eq!(place.recalled().unwrap().entries, [entry("/c", "1", 5)], "what a listing has not is gone");
}

#[test]
fn it_is_known_whether_the_kernel_was_started_anew_since() {
    let place = Place::new();
    let (memory, _) = place.open();
    memory.hear(whole(9, vec![entry("/a", "1", 3)]), None, |_| false);
    drop(memory);

    let recalled = |boot| Memory::open(&place.path(), &endpoints(), boot, Complaints::default()).unwrap().1.unwrap();
    let of_this_boot = |boot| recalled(boot).is_of_this_boot;

    assert!(of_this_boot(Some(BOOT)));
    assert!(!of_this_boot(Some("another")) && !of_this_boot(None));
}

#[test]
fn of_what_cannot_be_read_the_last_good_form_is_kept() {
    let place = Place::new();
    let (memory, _) = place.open();
    memory.hear(whole(9, vec![entry("/a", "good", 3)]), None, |_| false);
    let changes = vec![Change::Put(entry("/a", "garbage", 10))];
    memory.hear(Followed::Changes(Batch { revision: 10, changes }), None, |key| key == "/a");
    memory.hear(whole(11, vec![entry("/a", "garbage", 10)]), None, |key| key == "/a");
    drop(memory);

    assert_eq!(place.recalled().unwrap().entries, [entry("/a", "good", 3)]);
}

#[test]
fn how_far_the_store_was_known_that_forgot_outlasts_a_life_and_a_file_that_does_not_say_is_read() {
    let place = Place::new();
    let (memory, _) = place.open();
    memory.hear(whole(9, vec![entry("/a", "1", 3)]), None, |_| false);
    drop(memory);
    assert_eq!(place.recalled().unwrap().shared, 0, "an earlier version wrote no such number");

    let (memory, _) = place.open();
    memory.keep(vec![("/a".to_owned(), Some(b"1".to_vec()))], 7);
    drop(memory);

    let recalled = place.recalled().unwrap();
    assert_eq!((recalled.shared, recalled.kept.len()), (7, 1));
}

fn debt() -> BTreeSet<Debt> {
    let attachment = AttachmentId { container: "c".to_owned(), interface: "eth0".to_owned() };
    BTreeSet::from([Debt { attachment, endpoint: EndpointName::new("web"), version: 7 }])
}

#[test]
fn a_debt_is_on_the_disk_when_it_is_written_and_is_none_of_another_store() {
    let place = Place::new();
    let file = DebtFile::beside(&place.path(), &endpoints());
    assert_eq!(file.read(), Owed::default());

    file.write(&debt(), Some(u64::MAX)).unwrap();

    assert_eq!(file.read(), Owed { debts: debt(), cluster: Some(u64::MAX), is_void: false });
    let void = Owed { is_void: true, ..Owed::default() };
    let other = DebtFile::beside(&place.path(), &["http://198.51.100.1:2379".to_owned()]);
    assert_eq!(other.read(), void);
    fs::write(file.path(), b"{\"format\":").unwrap();
    assert_eq!(file.read(), void);
    fs::write(file.path(), r#"{"format":2,"endpoints":[],"debts":[]}"#).unwrap();
    assert_eq!(file.read(), void);
    file.write(&BTreeSet::new(), None).unwrap();
    assert_eq!(file.read(), Owed::default());
}

#[test]
fn what_could_not_be_written_goes_before_what_came_since() {
    let form = |key: &str, value: &str| (key.to_owned(), Some(entry(key, value, 3)));
    let lost = || Pending {
        whole: Some([form("/a", "1"), form("/b", "1"), form("/c", "1")].into()),
        changes: [form("/a", "2"), ("/c".to_owned(), None)].into(),
        revision: Some(9),
        cluster: Some(4),
        ..Pending::default()
    };

    let changed = Pending { changes: [form("/b", "3")].into(), revision: Some(10), ..Pending::default() };
    let both = changed.after(lost());
    assert_eq!((both.revision, both.cluster, both.whole), (Some(10), Some(4), lost().whole));
    assert_eq!(both.changes, [form("/a", "2"), form("/b", "3"), ("/c".to_owned(), None)].into());

    let unread = ("/a".to_owned(), None);
    let listed = Pending { whole: Some([unread, form("/b", "4")].into()), revision: Some(11), ..Pending::default() };
    let both = listed.after(lost());
    assert_eq!(
        both.whole,
        Some([form("/a", "2"), form("/b", "4")].into()),
        "of what cannot be read the last good form"
    );
    assert!(both.changes.is_empty());
}

#[test]
fn what_cannot_be_opened_is_told_and_damages_nothing() {
    let place = Place::new();
    let (memory, _) = place.open();
    memory.hear(whole(9, vec![entry("/a", "1", 3)]), None, |_| false);
    drop(memory);
    let (held, _) = place.open();
    let complaints = Complaints::default();

    let (second, recalled) = Memory::open(&place.path(), &endpoints(), Some(BOOT), complaints.clone()).unwrap();

    assert_eq!(recalled, None);
    assert!(complaints.text().contains("known-h1.redb"), "{}", complaints.text());
    drop((second, held));
    assert!(!place.path().with_extension("damaged").exists() && place.recalled().is_some());
}

#[test]
fn what_tells_of_another_store_is_not_used() {
    let place = Place::new();
    let (memory, _) = place.open();
    memory.hear(whole(9, vec![entry("/a", "1", 3)]), None, |_| false);
    drop(memory);

    let moved = vec!["http://192.0.2.2:2379".to_owned(), "http://192.0.2.3:2379".to_owned()];
    assert!(
        Memory::open(&place.path(), &moved, Some(BOOT), Complaints::default()).unwrap().1.is_some(),
        "a member came, one went"
    );
    let other = vec!["http://198.51.100.1:2379".to_owned()];
    assert_eq!(Memory::open(&place.path(), &other, Some(BOOT), Complaints::default()).unwrap().1, None);
    assert!(place.recalled().is_some(), "whoever looked once with a wrong setting lost nothing");
}

#[test]
fn wherever_it_is_damaged_it_is_put_aside_or_whole() {
    let place = Place::new();
    let (memory, _) = place.open();
    let entries: Vec<Entry> = (0..200).map(|number| entry(&format!("/{number:03}"), "some value", 3)).collect();
    memory.hear(whole(9, entries.clone()), None, |_| false);
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
