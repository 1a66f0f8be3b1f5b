//! Users of the host.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use poplin_lab::told;

use super::{Host, OPERATOR, POLICY, READER, STRANGER, assert_done, assert_refused, open_lab};

#[test]
fn users_may_do_what_the_operator_says_and_hear_who_could_change_that() {
    let host = Host::start(&["--api-read", "group:61100", "--api-operate", "user:61002"]);
    let file = host.file("policy.yaml", POLICY);
    let apply = ["apply", "-f", &file];

    assert_done(&host.by(READER, &["status"]));
    assert_done(&host.by(READER, &["apply", "-f", &file, "--dry-run"]));
    let refused = host.by(READER, &apply);
    assert_refused(&refused, "user 61001 may ask what this would change, but not change it");
    assert!(told(&refused).contains("api.admin"), "{}", told(&refused));
    let refused = host.by(READER, &["detach", "nobody"]);
    assert_refused(&refused, "may not call WorkloadService/Detach: it asks for operate, and they may read");

    assert_done(&host.by(OPERATOR, &["detach", "nobody"]));
    assert_refused(&host.by(OPERATOR, &apply), "user 61002 may ask what this would change, but not change it");
    assert_refused(&host.by(STRANGER, &["status"]), "user 61003 may not call StatusService/GetStatus");

    host.agent.apply(POLICY);
    assert!(host.agent.said().contains("refused: user 61001 may"), "{}", host.agent.said());
}

#[test]
fn nobody_but_root_and_the_agents_own_user_reaches_a_socket_that_nothing_is_said_of() {
    let host = Host::start(&[]);

    assert_refused(&host.by(STRANGER, &["status"]), "permission denied");
    // Its group lets it reach the socket, and says nothing of what it may do there.
    assert_refused(&host.by((STRANGER.0, 0), &["status"]), "user 61003 may not call StatusService/GetStatus");
    host.agent.poplin(&["status"]);
}

#[test]
fn nobody_but_root_and_the_agents_own_user_speaks_as_dockerd_whatever_the_mode_of_its_socket() {
    let lab = open_lab();
    let plugin = lab.directory().join("plugin.sock");
    let socket = plugin.display().to_string();
    let host = Host::started(lab, &["--docker-socket", "/nonexistent", "--docker-plugin", &socket]);
    let asked = |user: (u32, u32)| {
        let (user, group) = (user.0.to_string(), user.1.to_string());
        let who = ["--reuid", &user, "--regid", &group, "--clear-groups"];
        let curl = ["curl", "-s", "--unix-socket", &socket, "-X", "POST", "http://plugin/Plugin.Activate"];
        told(&host.agent.namespace().output("setpriv", &[&who[..], &curl].concat()))
    };

    assert!(asked((0, 0)).contains("NetworkDriver"), "{}", asked((0, 0)));
    let of_its_group = asked((STRANGER.0, 0));
    assert!(of_its_group.contains("user 61003 may not call Docker's driver"), "{of_its_group}");
    std::fs::set_permissions(&plugin, Permissions::from_mode(0o666)).expect("root may");
    assert!(asked(STRANGER).contains("user 61003 may not call Docker's driver"), "{}", asked(STRANGER));
    assert!(host.agent.said().contains("refused: user 61003 called Docker's driver"), "{}", host.agent.said());
}
