//! Containers of one network talk, wherever they are.

use poplin_lab::until;

use super::Dockers;

#[test]
fn containers_of_two_dockers_ping_one_another() {
    let Dockers { docker: [one, two], hosts: _hosts, .. } = &Dockers::start();
    for docker in [one, two] {
        docker.run(&["network", "create", "--driver", "poplin", "--ipam-driver", "poplin", "shop"]);
    }

    one.sleeper("web", &["--network", "shop"]);
    two.sleeper("db", &["--network", "shop"]);

    let (web, db) = (one.address("web", "shop"), two.address("db", "shop"));
    until("web reaches db on the other host", || one.pings("web", &db));
    until("and the other way", || two.pings("db", &web));
}
