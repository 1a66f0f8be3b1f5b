//! Users of the host.

use poplin_lab::told;

use super::{Host, OPERATOR, POLICY, READER, STRANGER, assert_done, assert_refused};

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
