//! etcd's hard days, under traffic that is allowed and traffic that is not: nothing is lost, and nothing gets through.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;

use poplin_lab::{Container, Fabric, Flow, eventually, told, until};
use rustix::process::Signal;

/// A fabric under probes: a flow that may go on, and dials that may not come through.
pub(crate) struct Watched {
    pub(crate) fabric: Fabric,
    web: Container,
    db: Container,
    pub(crate) flow: Flow,
    dials: Dials,
}

impl Watched {
    pub(crate) fn new() -> Self {
        let fabric = Fabric::under_a_tor(2);
        let (web, db, other) = (fabric.container(1, "web"), fabric.container(2, "db"), fabric.container(1, "other"));
        fabric.hosts[0].apply(&db_for(&["web"], 1));
        until("the policy is in force", || web.reaches(db.v4()) && !other.reaches(db.v4()));
        let flow = Flow::open(&web, &db, db.v4(), 5432);
        let dials = Dials::start(other, db.v4());
        Self { fabric, web, db, flow, dials }
    }

    /// Whether each agent follows the store.
    pub(crate) fn is_followed(&self) -> bool {
        self.fabric.hosts.iter().all(|host| host.status()["store"]["connected"] == true)
    }

    /// A backup of etcd, as it is now.
    fn save(&self) -> String {
        let backup = self.fabric.lab.directory().join("backup.db").display().to_string();
        let output = self.fabric.tor.etcdctl(&["snapshot", "save", &backup]);
        assert!(output.status.success(), "{}", told(&output));
        backup
    }

    /// What the store forgot, as the agents see it.
    fn forgotten(&self) -> Vec<String> {
        let of = |host: &poplin_lab::Agent| host.status()["store"]["forgotten"].as_array().cloned().unwrap_or_default();
        let all = self.fabric.hosts.iter().flat_map(of);
        all.map(|key| key.as_str().expect("it is a key").to_owned()).collect()
    }

    /// How many endpoints stand in etcd.
    fn endpoints(&self) -> usize {
        let output = self.fabric.tor.etcdctl(&["get", "--prefix", "--keys-only", "/poplin/v1/e/"]);
        String::from_utf8_lossy(&output.stdout).lines().filter(|line| !line.is_empty()).count()
    }

    /// All is as it was: nothing lost, nothing through, changes arrive, and addresses are accounted for.
    pub(crate) fn ends_well(self) {
        until("the store is followed", || self.is_followed());
        self.flow.goes_on();
        let late = self.fabric.container(1, "late");
        until("who comes is reached", || late.reaches(self.web.v4()) && !late.reaches(self.db.v4()));
        self.fabric.hosts[0].apply(&db_for(&["web", "late"], 2));
        until("what is declared arrives", || late.reaches(self.db.v4()));
        self.fabric.hosts[0].apply(&db_for(&["web"], 3));
        until("and is taken back", || !late.reaches(self.db.v4()));
        for host in &self.fabric.hosts {
            eventually("addresses are all accounted for", || match host.try_poplin(&["ipam", "check"]) {
                output if output.status.success() => Ok(()),
                output => Err(told(&output)),
            });
        }
        self.flow.end().expect("the flow never breaks");
        let (tried, through) = self.dials.end();
        assert!(tried > 0);
        assert_eq!(through, 0, "of {tried} dials that are denied");
    }
}

/// Dials one after the other, all of which should fail.
pub(crate) struct Dials {
    is_over: Arc<AtomicBool>,
    counts: Arc<[AtomicU32; 2]>,
    thread: JoinHandle<()>,
}

impl Dials {
    pub(crate) fn start(from: Container, to: IpAddr) -> Self {
        let (is_over, counts) = (Arc::new(AtomicBool::new(false)), Arc::new([AtomicU32::new(0), AtomicU32::new(0)]));
        let (ends, counted) = (is_over.clone(), counts.clone());
        let thread = std::thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                let is_through = from.reaches(to);
                counted[0].fetch_add(1, Ordering::Relaxed);
                counted[1].fetch_add(is_through.into(), Ordering::Relaxed);
            }
        });
        Self { is_over, counts, thread }
    }

    pub(crate) fn end(self) -> (u32, u32) {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().expect("dialling does not panic");
        (self.counts[0].load(Ordering::Relaxed), self.counts[1].load(Ordering::Relaxed))
    }
}

#[test]
fn an_etcd_that_hangs_is_noticed_and_found_again() {
    let watched = Watched::new();

    watched.fabric.tor.signal_etcd(Signal::STOP);
    until("both agents notice", || {
        watched.fabric.hosts.iter().all(|host| host.status()["store"]["connected"] == false)
    });
    watched.flow.goes_on();
    watched.fabric.tor.signal_etcd(Signal::CONT);

    watched.ends_well();
}

#[test]
fn what_etcd_forgot_while_an_agent_was_away_is_listed_anew() {
    let mut watched = Watched::new();
    let before = watched.fabric.hosts[1].routes();

    watched.fabric.hosts[1].kill();
    for round in 0..20 {
        watched.fabric.hosts[0].apply(&db_for(&["web"], 10 + round));
    }
    let revision = watched.fabric.hosts[0].status()["store"]["revision"].to_string();
    let output = watched.fabric.tor.etcdctl(&["compact", &revision]);
    assert!(output.status.success(), "{}", told(&output));
    watched.fabric.hosts[1].start();

    watched.fabric.until_established(1);
    assert_eq!(watched.fabric.hosts[1].routes(), before);
    watched.ends_well();
}

#[test]
fn an_etcd_that_is_restored_from_an_old_backup_is_believed_and_no_container_suffers() {
    let mut watched = Watched::new();
    let backup = watched.save();
    for round in 0..20 {
        watched.fabric.hosts[0].apply(&db_for(&["web"], 10 + round));
    }

    watched.fabric.tor.stop_etcd();
    watched.fabric.tor.restore_etcd(&backup);
    watched.fabric.tor.start_etcd();

    until("the backup counts", || {
        let orders = watched.fabric.hosts[0].get(&["policy", "db"]);
        orders["spec"]["order"] == 1.0
    });
    watched.ends_well();
}

#[test]
fn who_came_after_the_backup_and_who_left_are_told_again_to_an_etcd_that_is_restored() {
    let mut watched = Watched::new();
    let left = watched.fabric.container(1, "left");
    watched.fabric.hosts[0].apply(&db_for(&["web", "api"], 1));
    let backup = watched.save();
    let (one, two) = (watched.fabric.container(1, "api"), watched.fabric.container(2, "one"));
    watched.fabric.hosts[0].cni_delete(&left);
    until("they are reached", || {
        one.reaches(watched.db.v4()) && one.reaches(two.v4()) && !two.reaches(watched.db.v4())
    });
    let flow = Flow::open(&one, &two, two.v4(), 5433);
    let denied = Dials::start(two, watched.db.v4());

    watched.fabric.tor.stop_etcd();
    watched.fabric.tor.restore_etcd(&backup);
    watched.fabric.tor.start_etcd();

    until("all is told again", || watched.is_followed() && watched.forgotten().is_empty() && watched.endpoints() == 5);
    flow.goes_on();
    flow.end().expect("the flow of who came after the backup never breaks");
    watched.ends_well();
    assert_eq!(denied.end().1, 0, "who may not reach db never does");
}

#[test]
fn an_etcd_that_comes_back_empty_takes_nothing_away_and_opens_nothing() {
    let mut watched = Watched::new();
    let exported = watched.fabric.hosts[0].poplin(&["export"]);

    watched.fabric.tor.stop_etcd();
    watched.fabric.tor.empty_etcd();
    watched.fabric.tor.start_etcd();

    until("hosts and endpoints are told again", || watched.is_followed() && watched.endpoints() == 3);
    watched.flow.goes_on();
    until("only what people declared is missing", || {
        let forgotten = watched.forgotten();
        !forgotten.is_empty() && forgotten.iter().all(|key| key.contains("/c/"))
    });
    let words = told(&watched.fabric.hosts[0].try_poplin(&["status"]));
    assert!(words.contains("the store forgot") && words.contains("/poplin/v1/c/policy/db"), "{words}");
    watched.fabric.hosts[1].kill();
    watched.fabric.hosts[1].start();
    until("the next life knows it too", || watched.is_followed() && watched.forgotten().len() > 1);

    let file = watched.fabric.lab.directory().join("fabric.yaml");
    std::fs::write(&file, exported).expect("it can be written");
    let output = watched.fabric.hosts[0].try_poplin(&["import", "--merge", "-f", &file.display().to_string()]);
    assert!(output.status.success(), "{}", told(&output));
    until("nothing is missing", || watched.forgotten().is_empty());
    watched.ends_well();
}

/// Of a policy whose order tells one from the other: who may talk to db.
pub(crate) fn db_for(apps: &[&str], order: u32) -> String {
    let apps = apps.join("', '");
    format!(
        "apiVersion: poplin.dev/v1\nkind: Policy\nmetadata: {{name: db}}\n\
         spec: {{subject: app == 'db', order: {order}, ingress: [{{action: allow, from: {{select: \"app in {{'{apps}'}}\"}}}}]}}\n"
    )
}
