//! A compose file: its services find each other by name on a network of ours, and nothing is left when it goes.

use poplin_lab::{IMAGE, told, until};

use super::names::DNS;
use super::{Dockers, endpoints};

#[test]
fn services_of_a_compose_file_talk_by_name_and_leave_nothing() {
    let Dockers { docker: [one, two], hosts: [host, _], lab, .. } = &Dockers::start();
    let file = lab.directory().join("compose.yaml");
    let service =
        |name: &str| format!("  {name}: {{image: '{IMAGE}', command: sleep 100000, init: true, networks: [back]}}\n");
    let text = format!(
        "version: '2.4'\nservices:\n{}{}networks:\n  back: {{driver: poplin, ipam: {{driver: poplin}}, labels: {{open: 'yes'}}}}\n",
        service("web"),
        service("db")
    );
    std::fs::write(&file, text).expect("the lab has a directory");

    let up = one.compose(&file, &["up", "--detach"]);

    assert!(up.status.success(), "{}", told(&up));
    two.until_network("shop_back");
    let web = one.run(&["ps", "--quiet", "--filter", "label=com.docker.compose.service=web"]);
    until("web finds db by its service's name", || one.pings(&web, "db"));
    two.sleeper("far", &[&["--network", "shop_back"][..], &DNS].concat());
    until("and so does who joins elsewhere", || two.pings("far", "db"));
    two.run(&["rm", "--force", "far"]);

    let down = one.compose(&file, &["down", "--timeout", "0"]);
    assert!(down.status.success(), "{}", told(&down));
    assert_eq!(endpoints(host), Vec::<String>::new());
    until("the network is gone on the other host, too", || {
        !two.try_run(&["network", "inspect", "shop_back"]).status.success()
    });
}
