//! Nothing more fits: into etcd, or onto the host's own disk. What runs goes on, who comes is told why he cannot, and all is made up for once there is room.

use std::path::{Path, PathBuf};
use std::process::Command;

use poplin_lab::{Container, Fabric, told, until};
use serde_json::Value;

use super::etcd_days::{Watched, db_for};

/// What etcd may hold, in bytes.
const QUOTA: u64 = 4 << 20;
/// One of the values that fill it.
const FILLING: usize = 100 << 10;

#[test]
fn an_etcd_that_is_full_is_named_and_made_up_for_once_it_has_room() {
    let mut watched = Watched::new();
    let leaves = watched.fabric.container(1, "leaves");
    watched.fabric.tor.stop_etcd();
    watched.fabric.tor.limit_etcd(QUOTA);
    watched.fabric.tor.start_etcd();
    until("the store is followed", || watched.is_followed());
    fill(&watched.fabric);
    let host = &watched.fabric.hosts[0];
    let links = host.links().len();

    let comer = watched.fabric.lab.container("comer");
    let words = told(&host.cni("ADD", &comer, &Value::Null));
    assert!(words.contains("space exceeded"), "who comes hears why he cannot: {words}");
    assert_eq!(host.links().len(), links, "and leaves nothing");
    let words = told(&host.try_apply(&db_for(&["nobody"], 9)));
    assert!(words.contains("space exceeded"), "so does who declares something: {words}");
    let words = told(&host.try_poplin(&["doctor"]));
    assert!(words.contains("store-alarm") && words.contains("NOSPACE"), "{words}");
    let words = told(&host.try_poplin(&["status"]));
    assert!(words.contains("the store takes nothing") && words.contains("space exceeded"), "{words}");
    watched.flow.goes_on();
    let _ = host.cni("DEL", &leaves, &Value::Null); // done with, or to be asked for again: both are an answer
    assert_eq!(host.links().len(), links - 1, "who leaves is gone from the kernel");

    make_room(&watched.fabric);
    watched.fabric.hosts[0].cni_delete(&leaves);
    watched.ends_well();
}

/// Writes into etcd until it takes no more.
fn fill(fabric: &Fabric) {
    let value = "x".repeat(FILLING);
    let mut keys = (0..).map(|number| format!("/filling/{number}"));
    let is_taken = |key: String| fabric.tor.etcdctl(&["put", &key, &value]).status.success();
    let taken = keys.by_ref().take_while(|key| is_taken(key.clone())).count();
    assert!(taken > 0 && taken as u64 * FILLING as u64 <= QUOTA, "{taken} values");
}

/// What an administrator does when etcd is full.
fn make_room(fabric: &Fabric) {
    let ask = |arguments: &[&str]| {
        let output = fabric.tor.etcdctl(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", told(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    ask(&["del", "--prefix", "/filling/"]);
    let status: Value = serde_json::from_str(&ask(&["endpoint", "status", "-w", "json"])).expect("-w json is JSON");
    ask(&["compact", "--physical", &status[0]["Status"]["header"]["revision"].to_string()]);
    ask(&["defrag"]);
    ask(&["alarm", "disarm"]);
}

/// A small disk of its own on a directory.
struct Disk(PathBuf);

impl Disk {
    fn on(directory: PathBuf) -> Self {
        std::fs::create_dir_all(&directory).expect("the lab has a directory");
        let mount = ["-t", "tmpfs", "-o", "size=1m", "tmpfs"];
        assert!(Command::new("mount").args(mount).arg(&directory).status().expect("mount runs").success());
        Self(directory)
    }

    fn filling(&self) -> PathBuf {
        self.0.join("filling")
    }

    fn fill(&self) {
        let error = std::fs::write(self.filling(), vec![0; 2 << 20]).expect_err("it does not fit");
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    }

    fn make_room(&self) {
        std::fs::remove_file(self.filling()).expect("it is there");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status(); // the lab's directory goes, too
    }
}

fn data_of(fabric: &Fabric, host: u8) -> PathBuf {
    Path::new(fabric.lab.directory()).join(format!("h{host}-data"))
}

#[test]
fn a_disk_that_is_full_stops_nobody_who_comes_or_runs_and_is_named() {
    let mut fabric = Fabric::under_a_tor(2);
    fabric.hosts[0].kill();
    let disk = Disk::on(data_of(&fabric, 1));
    fabric.hosts[0].start();
    let (web, db, leaves) = (fabric.container(1, "web"), fabric.container(2, "db"), fabric.container(1, "leaves"));
    fabric.hosts[0].apply(&db_for(&["web"], 1));
    until("web reaches db", || web.reaches(db.v4()));

    disk.fill();
    let late = fabric.container(1, "late");
    until("the policy is in force", || !late.reaches(db.v4()) && web.reaches(db.v4()));
    fabric.hosts[0].apply(&db_for(&["web", "late"], 2));
    until("what is declared arrives", || late.reaches(db.v4()));
    until("the doctor names it", || told(&fabric.hosts[0].try_poplin(&["doctor"])).contains("store-memory"));
    fabric.hosts[0].cni_delete(&leaves);

    fabric.hosts[0].kill();
    fabric.hosts[0].start();
    fabric.until_established(1);
    until("all is as it was", || web.reaches(db.v4()) && late.reaches(db.v4()));
    all_is_accounted_for(&fabric, &late);

    disk.make_room();
    fabric.hosts[0].apply(&db_for(&["web"], 3));
    until("what is taken back is", || !late.reaches(db.v4()));
    until("the doctor is content", || !told(&fabric.hosts[0].try_poplin(&["doctor"])).contains("store-memory"));
    fabric.tor.stop_etcd();
    fabric.hosts[0].kill();
    fabric.hosts[0].launch();
    until("it lives from what it has written since", || fabric.hosts[0].status()["store"]["fromMemory"] == true);
    assert!(web.reaches(db.v4()) && !late.reaches(db.v4()));
}

fn all_is_accounted_for(fabric: &Fabric, late: &Container) {
    let listed = fabric.hosts[0].poplin(&["get", "endpoints"]);
    assert!(listed.contains(late.name()) && !listed.contains("leaves"), "{listed}");
    until("addresses are all accounted for", || fabric.hosts[0].try_poplin(&["ipam", "check"]).status.success());
}
