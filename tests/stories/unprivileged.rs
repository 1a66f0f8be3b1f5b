//! Agents that are ordinary users with three capabilities, as the unit in examples/systemd starts them.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use poplin_lab::{Fabric, told, until};

/// A user that owns nothing on this machine.
const USER: u32 = 65534;

/// NET_ADMIN, NET_BIND_SERVICE, NET_RAW: bits 12, 10 and 13 (linux/capability.h).
const CAPABILITIES: &str = "0000000000003400";

const UNIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/systemd/poplind.service");

#[test]
fn agents_without_power_attach_enforce_policy_and_peer() {
    let mut fabric = Fabric::meshed(2);
    let directory = fabric.lab.directory().to_owned();
    for host in &mut fabric.hosts {
        host.kill();
    }
    std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    chown(&directory, Some(USER), Some(USER)).expect("root may give it away");
    for host in &mut fabric.hosts {
        std::fs::remove_file(host.socket()).expect("root's socket was there");
        host.launch_powerless(USER);
    }
    fabric.hosts.iter_mut().for_each(poplin_lab::Agent::until_ready);
    fabric.until_established(1);

    for host in &mut fabric.hosts {
        let status = std::fs::read_to_string(format!("/proc/{}/status", host.process().pid())).expect("it runs");
        let field = |name: &str| status.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
        assert!(field("Uid:").split_whitespace().skip(1).all(|id| id == USER.to_string()), "{}", field("Uid:"));
        assert!(field("CapEff:").ends_with(CAPABILITIES) && field("CapBnd:").ends_with(CAPABILITIES), "{status}");
    }
    let (web, db) = (fabric.container(1, "web"), fabric.container(2, "db"));
    until("containers of two hosts reach each other", || web.reaches(db.v4()) && db.reaches(web.v6()));
    let _port = db.listen(5432);
    assert!(web.connects(db.v4(), 5432));
    fabric.hosts[0].apply(
        "{apiVersion: poplin.dev/v1, kind: Policy, metadata: {name: db}, spec: {subject: app == 'db', ingress: []}}",
    );
    until("the policy holds", || !web.connects(db.v4(), 5432));
    let doctor = fabric.hosts[0].try_poplin(&["doctor"]);
    assert!(doctor.status.success(), "{}", told(&doctor));
    fabric.hosts[0].poplin(&["delete", "policy", "db"]);
    until("and is lifted", || web.connects(db.v4(), 5432));
    fabric.hosts[1].cni_delete(&db);
    until("its link is gone", || fabric.hosts[1].links().is_empty());
    fabric.hosts[1].poplin(&["attach", "--tap", "vm0", "--name", "vm"]);
    assert_eq!(fabric.hosts[1].links().len(), 1, "a tap is taken over without a right to the device that makes it");
    fabric.hosts[1].poplin(&["detach", "vm"]);
    assert!(fabric.hosts[1].links().is_empty());
}

#[test]
fn the_service_manager_hears_that_the_agent_serves_and_lives_and_nothing_from_one_that_is_stuck() {
    let lab = poplin_lab::Lab::new();
    let path = lab.directory().join("notify.sock");
    let manager = UnixDatagram::bind(&path).expect("a socket can be made");
    manager.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket can wait");
    let heard = || {
        let mut datagram = [0; 512];
        let octets = manager.recv(&mut datagram).map_err(|error| error.to_string())?;
        Ok::<_, String>(String::from_utf8_lossy(&datagram[..octets]).trim().to_owned())
    };
    let mut host = poplin_lab::Agent::new(&lab, lab.namespace("h1"), "h1");

    host.launch_managed(&path, Duration::from_millis(400));

    assert_eq!(heard().as_deref(), Ok("READY=1"));
    assert!(host.try_poplin(&["status"]).status.success(), "who is told to serve serves");
    assert_eq!([heard(), heard()], [Ok("WATCHDOG=1".to_owned()), Ok("WATCHDOG=1".to_owned())]);
    host.process().signal(rustix::process::Signal::STOP);
    manager.set_read_timeout(Some(Duration::from_secs(1))).expect("a socket can wait");
    until("it falls silent", || heard().is_err());
    host.process().signal(rustix::process::Signal::CONT);
    assert_eq!(heard().as_deref(), Ok("WATCHDOG=1"));
    host.process().signal(rustix::process::Signal::TERM);
    until("it says that it goes", || heard().as_deref() == Ok("STOPPING=1"));
}

/// Where there is no systemd nothing can be said of a unit.
#[test]
fn the_unit_is_sound_and_little_exposed() {
    let lab = poplin_lab::Lab::new();
    let program = |arguments: &[&str]| Command::new("systemd-analyze").args(arguments).output();
    let Ok(security) = program(&["security", "--offline=true", UNIT]) else {
        eprintln!("systemd-analyze is not installed");
        return;
    };
    let security = told(&security);
    let level = security.lines().find_map(|line| line.split("poplind.service:").nth(1)).unwrap_or_default();
    let level: f64 = level.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a level is told");
    assert!(level <= 2.5, "{security}");

    let unit = std::fs::read_to_string(UNIT).expect("the unit is there");
    let here = lab.directory().join("poplind.service");
    let program_here = poplin_lab::programs().join("poplind").display().to_string();
    std::fs::write(&here, unit.replace("/usr/local/bin/poplind", &program_here)).expect("the directory is there");
    let verified = program(&["verify", &path(&here)]).expect("it ran before");
    assert!(verified.status.success() && told(&verified).is_empty(), "{}", told(&verified));
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn an_agent_that_may_not_write_rules_says_what_it_lacks_and_blames_no_other_process() {
    let lab = poplin_lab::Lab::new();
    let directory = lab.directory();
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o777)).expect("it is ours");
    let program = directory.join("poplind").display().to_string();
    std::fs::copy(poplin_lab::programs().join("poplind"), &program).expect("where every user may run it");
    let at = |name: &str| directory.join(name).display().to_string();
    let (user, data, socket) = (USER.to_string(), at("data"), at("api.sock"));
    let mut arguments = vec!["--reuid", &user, "--regid", &user, "--clear-groups", "--bounding-set=-all", &program];
    arguments.extend(["--host", "h1", "--data", &data, "--socket", &socket]);

    let ended = lab.namespace("h1").output("setpriv", &arguments);

    assert_eq!(ended.status.code(), Some(1), "{}", told(&ended));
    assert!(told(&ended).contains("CAP_NET_ADMIN") && !told(&ended).contains("another process"), "{}", told(&ended));
}
