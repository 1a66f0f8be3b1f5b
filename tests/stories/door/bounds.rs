//! Those who come too often, and say too much.

use poplin_lab::{Process, told, until};

use super::authority::Fleet;
use super::{Host, OPERATOR, POLICY, READER, STRANGER, assert_done};

/// Comes to a socket 400 times, and stays.
const COME: &str = "use IO::Socket::UNIX; $| = 1;
    push @s, IO::Socket::UNIX->new(Peer => $ARGV[0]) for 1..400; print qq(all came\n); sleep 600";

fn crowd(host: &Host, (user, group): (u32, u32)) -> Process {
    let (user, group, socket) = (user.to_string(), group.to_string(), host.agent.socket().display().to_string());
    let who = ["--reuid", &user, "--regid", &group, "--clear-groups", "perl", "-e", COME, &socket];
    let crowd = host.agent.namespace().spawn(host.directory.join(format!("crowd-{user}.log")), "setpriv", &who);
    until("all came", || crowd.said().contains("all came"));
    crowd
}

#[test]
fn strangers_cannot_keep_others_out_by_coming_often() {
    let host = Host::start(&["--api-read", "user:61001", "--api-operate", "user:61002"]);

    let strangers = crowd(&host, STRANGER);

    host.agent.poplin(&["status"]);
    assert_done(&host.by(READER, &["status"]));
    until("who may do nothing is gone soon, and the next is told so", || {
        told(&host.by(STRANGER, &["status"])).contains("may nothing here")
    });
    drop(strangers);
}

#[test]
fn who_may_look_takes_no_more_than_a_part_of_all_seats() {
    let host = Host::start(&["--api-read", "user:61001", "--api-operate", "user:61002"]);

    let readers = crowd(&host, READER);

    assert_eq!(host.by(READER, &["status"]).status.code(), Some(5), "there is no seat left for them");
    assert_done(&host.by(OPERATOR, &["status"]));
    drop(readers);
    until("the next has a seat", || host.by(READER, &["status"]).status.success());
}

#[test]
fn a_request_that_is_too_long_is_refused_and_the_next_one_is_served() {
    let host = Host::start(&[]);
    let long = host.file("long.yaml", &format!("{POLICY}\n# {}\n", "x".repeat(17 << 20)));

    let refused = host.agent.try_poplin(&["apply", "-f", &long]);

    assert!(told(&refused).contains("at most 16711680 go in one call"), "{}", told(&refused));
    host.agent.apply(POLICY);
}

#[test]
fn who_says_nothing_by_tls_cannot_keep_the_operator_out() {
    // Each that is hung up on comes again at once.
    const COME: &str = "use IO::Socket::INET; use IO::Select; $| = 1; $SIG{PIPE} = 'IGNORE';
        sub come { IO::Socket::INET->new(PeerAddr => '127.0.0.1:9470', LocalAddr => '127.0.0.66') || die $! }
        my $s = IO::Select->new(map { come() } 1..300); print qq(all came\n);
        while (my @gone = $s->can_read) { for (@gone) { $s->remove($_); close $_; $s->add(come()) } }";
    let fleet = Fleet::start(&[]);
    let admin = fleet.holder("deploy", "poplin:admin");

    let log = fleet.host.directory.join("crowd.log");
    let crowd = fleet.host.agent.namespace().spawn(log, "perl", &["-e", COME]);
    until("all came", || crowd.said().contains("all came"));

    for _ in 0..5 {
        assert_done(&fleet.by(&admin, &["status"]));
    }
}

#[test]
fn who_may_only_look_tries_a_megabyte_and_no_more() {
    let host = Host::start(&["--api-read", "user:61001"]);
    let file = |name: &str| host.file(name, &format!("{POLICY}\n# {}\n", "x".repeat(900_000)));
    let (one, two) = (file("one.yaml"), host.file("two.yaml", &format!("# {}\n", "x".repeat(900_000))));

    assert_done(&host.by(READER, &["apply", "--dry-run", "-f", &one]));
    let refused = host.by(READER, &["apply", "--dry-run", "-f", &one, "-f", &two]);

    assert!(told(&refused).contains("the request is longer than 1048576 octets"), "{}", told(&refused));
    host.agent.poplin(&["apply", "-f", &one, "-f", &two]);
    assert!(host.agent.said().contains("user 0 calls ResourceService/Apply"), "{}", host.agent.said());
}
