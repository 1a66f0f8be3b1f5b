//! A host's time of day jumps, both ways: what runs goes on, who comes and goes does so, and a change on trial has its time.

use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use poplin_lab::{Fabric, Flow, told, until};

use super::etcd_days::db_for;

/// What a host takes for the time.
struct Clock(PathBuf);

impl Clock {
    fn new(directory: &Path) -> Self {
        let clock = Self(directory.join("clock"));
        clock.jump("+0");
        clock
    }

    fn jump(&self, by: &str) {
        std::fs::write(&self.0, by).expect("the lab has a directory");
    }
}

#[test]
fn a_clock_that_jumps_costs_no_flow_no_address_and_no_trial_its_time() {
    let mut fabric = Fabric::under_a_tor(2);
    let clock = Clock::new(fabric.lab.directory());
    fabric.hosts[0].kill();
    fabric.hosts[0].start_by_clock(&clock.0);
    fabric.until_established(1);
    let (web, db) = (fabric.container(1, "web"), fabric.container(2, "db"));
    fabric.hosts[1].apply(&db_for(&["web"], 1));
    until("hosts reach one another", || web.reaches(db.v4()));
    let flow = Flow::open(&web, &db, db.v4(), 5432);

    for by in ["+400d", "-4000d", "+0"] {
        try_a_change(&fabric, "30s");
        clock.jump(by);
        let late = fabric.container(1, &format!("late{}", by.len()));
        until("who comes meets the policy", || late.reaches(web.v4()) && !late.reaches(db.v4()));
        fabric.hosts[0].cni_delete(&late);
        sleep(Duration::from_secs(2)); // in which a host that believed its clock would end the trial
        assert!(fabric.hosts[0].poplin(&["confirm"]).ends_with(" is kept\n"));

        let before = fabric.hosts[0].get(&["policy", "db"]);
        try_a_change(&fabric, "2s");
        until("what nobody confirms is taken back", || {
            fabric.hosts[0].get(&["policy", "db"])["spec"] == before["spec"]
        });
        fabric.hosts[0].apply(&db_for(&["web"], 1));
        flow.goes_on();
    }

    flow.end().expect("the flow never breaks");
    until("addresses are all accounted for", || fabric.hosts[0].try_poplin(&["ipam", "check"]).status.success());
}

/// Applies a change that costs nobody anything.
fn try_a_change(fabric: &Fabric, within: &str) {
    let path = fabric.lab.directory().join("change.yaml");
    std::fs::write(&path, db_for(&["web", "nobody"], 1)).expect("the lab has a directory");
    let path = path.display().to_string();
    let output = fabric.hosts[0].try_poplin(&["apply", "-f", &path, "--confirm-within", within]);
    assert!(output.status.success(), "{}", told(&output));
}
