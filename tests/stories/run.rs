//! `poplin run`: a command that is attached for as long as it runs, however it ends.

use poplin_lab::{Agent, Lab, eventually, until};
use rustix::process::Signal;
use serde_json::json;

#[test]
fn a_command_has_an_address_and_names_while_it_runs_and_its_exit_code_is_ours() {
    let lab = Lab::new();
    let host = lab.host();
    let mut db = lab.container("db");
    host.attach(&mut db, &["app=db"]);
    let look = format!("ip -o -4 address show eth0; cat /etc/resolv.conf; ping -c1 -W2 {} && exit 7", db.v4());

    let run = host.try_poplin(&["run", "--name", "try", "--label", "app=web", "--", "sh", "-c", &look]);

    let (said, told) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert_eq!(run.status.code(), Some(7), "{said}{told}");
    assert!(said.contains("inet 10.77.") && said.contains("nameserver 169.254.1.1"), "{said}");
    assert!(told.starts_with("endpoint/try attached: eth0 10.77."), "{told}");
    assert!(!std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default().contains("169.254.1.1"));
    assert_eq!((names(&host), host.links().len()), (vec!["endpoint/db".to_owned()], 1));
}

#[test]
fn policy_holds_for_it_by_its_labels() {
    let lab = Lab::new();
    let host = lab.host();
    let mut db = lab.container("db");
    host.attach(&mut db, &["app=db"]);
    host.apply(DB_FOR_WEB);
    let pings = |label: &str| {
        let address = db.v4().to_string();
        host.try_poplin(&["run", "-q", "--label", label, "--", "ping", "-c1", "-W1", &address]).status.success()
    };

    until("web is let in", || pings("app=web"));
    assert!(!pings("app=ci"), "nobody else is");
}

#[test]
fn told_to_end_it_ends_and_leaves_nothing() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let lab = Lab::new();
        let host = lab.host();
        let mut run = host.start_poplin("run", &["run", "--name", "web", "-p", "8080:80", "--", "sleep", "1000"]);
        eventually("it is attached", || if run.said().contains("attached") { Ok(()) } else { Err(run.said()) });
        assert_eq!(names(&host), ["endpoint/web"]);

        run.signal(signal);

        until("it has ended", || !run.is_running());
        assert_eq!((names(&host), host.links()), (vec![], vec![]), "{}", run.said());
        assert_eq!(host.status()["blocks"][0]["taken"].as_u64().unwrap_or(0), 0);
    }
}

#[test]
fn one_that_was_killed_outright_gives_way_to_the_next_of_its_name() {
    let lab = Lab::new();
    let host = lab.host();
    let mut killed = host.start_poplin("run", &["run", "--name", "web", "--", "cat", "/proc/self/ns/net"]);
    until("it has ended", || !killed.is_running());
    let mut killed = host.start_poplin("killed", &["run", "--name", "web", "--", "sh", "-c", "kill -9 $PPID"]);
    until("it was killed", || !killed.is_running());
    until("its link went with its namespace", || host.links().is_empty());
    assert_eq!(names(&host), ["endpoint/web"], "the agent was not told");

    let next = host.try_poplin(&["run", "--name", "web", "--", "true"]);

    assert!(next.status.success(), "{}", String::from_utf8_lossy(&next.stderr));
    assert_eq!(names(&host), Vec::<String>::new());
}

#[test]
fn what_cannot_be_run_is_told_apart_from_what_ran_and_leaves_nothing_either() {
    let lab = Lab::new();
    let host = lab.host();
    let code = |arguments: &[&str]| host.try_poplin(&[&["run"], arguments].concat()).status.code();

    assert_eq!(code(&["--", "/nowhere/program"]), Some(127));
    assert_eq!(code(&["--", "/etc"]), Some(126));
    assert_eq!(code(&["--pool", "nowhere", "--", "true"]), Some(125));
    assert_eq!((names(&host), host.links()), (vec![], vec![]));
}

#[test]
fn a_process_is_attached_by_its_number() {
    let lab = Lab::new();
    let host = lab.host();
    let inside = lab.namespace("inside");
    let process = inside.spawn(lab.directory().join("sleep.log"), "sleep", &["1000"]);

    host.poplin(&["attach", "--pid", &process.pid().to_string(), "--name", "web"]);

    assert!(inside.run("ip", &["-o", "address", "show", "eth0"]).contains("10.77."));
    assert_eq!(host.get(&["endpoint", "web"])["spec"]["netns"], json!(format!("/proc/{}/ns/net", process.pid())));
    let nobody = host.try_poplin(&["attach", "--pid", "4194305", "--name", "nobody"]);
    assert_eq!(nobody.status.code(), Some(3), "{nobody:?}");
}

/// Who is called db is reached by web alone.
pub(crate) const DB_FOR_WEB: &str = "
apiVersion: poplin.dev/v1
kind: Policy
metadata: {name: db}
spec:
  subject: app == 'db'
  ingress: [{action: allow, from: {select: app == 'web'}}]
";

fn names(host: &Agent) -> Vec<String> {
    host.poplin(&["get", "endpoints", "-o", "name"]).lines().map(str::to_owned).collect()
}
