//! A fabric leaves its store as one file, and begins again from it in an empty one.

use poplin_lab::{Fabric, Flow, eventually, told, until};

#[test]
fn a_fabric_whose_etcd_is_lost_is_rebuilt_from_its_export_under_its_containers() {
    let mut fabric = Fabric::under_a_tor(2);
    let (web, other, db) = (fabric.container(1, "web"), fabric.container(1, "other"), fabric.container(1, "db"));
    let _port = db.listen(5432);
    fabric.hosts[0].apply(DB_FOR_WEB);
    let is_enforced = || web.connects(db.v4(), 5432) && !other.connects(db.v4(), 5432);
    until("the policy is in force", is_enforced);
    let flow = Flow::open(&web, &other, other.v4(), 80);
    let file = fabric.lab.directory().join("fabric.yaml").display().to_string();
    fabric.hosts[0].poplin(&["export", "--all", "--file", &file]);
    let declared = fabric.hosts[0].poplin(&["export"]);

    fabric.hosts.iter_mut().for_each(poplin_lab::Agent::kill);
    fabric.tor.stop_etcd();
    std::fs::remove_dir_all(fabric.lab.directory().join("etcd")).expect("etcd's data are there");
    fabric.tor.start_etcd();
    fabric.hosts[1].start(); // the one without containers begins
    let dry = fabric.hosts[1].poplin(&["import", "-f", &file, "--dry-run"]);
    assert!(dry.contains("(dry run)"), "{dry}");
    let answer = fabric.hosts[1].poplin(&["import", "-f", &file]);
    assert!(answer.contains("at once"), "{answer}");
    fabric.hosts[0].start();

    let is_of_it = |line: &&str| !line.starts_with('#'); // the first names the revision, the last is a hash of all of it
    let without_revision = |text: &str| text.lines().filter(is_of_it).map(str::to_owned).collect::<Vec<_>>();
    let after = fabric.hosts[0].poplin(&["export"]);
    assert_eq!(without_revision(&after), without_revision(&declared));
    fabric.until_established(1);
    flow.goes_on();
    assert!(is_enforced());
    flow.end().expect("the flow never breaks");
    eventually("addresses are all accounted for", || match fabric.hosts[0].try_poplin(&["ipam", "check"]) {
        output if output.status.success() => Ok(()),
        output => Err(told(&output)),
    });
    let output = fabric.hosts[1].try_poplin(&["import", "-f", &file]);
    assert!(!output.status.success() && told(&output).contains("--merge"), "{}", told(&output));
    let late = fabric.container(1, "late");
    assert!(late.v4() != web.v4() && late.v4() != db.v4());
    until("who comes after it reaches who was there", || late.reaches(web.v4()));
    [&web, &other, &db].into_iter().for_each(|one| fabric.hosts[0].cni_delete(one));
    until("who is rebuilt can leave", || fabric.hosts[0].links().len() == 1);
}

const DB_FOR_WEB: &str = "
apiVersion: poplin.dev/v1
kind: Policy
metadata: {name: db}
spec: {subject: app == 'db', ingress: [{action: allow, from: {select: app == 'web'}}]}
";
